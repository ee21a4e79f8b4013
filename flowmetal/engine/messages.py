"""Messages on their way from the inbox of a process to what receives them.

The effect `receive` is what the library's `(receive ...)` is made of (docs/decisions has why).  Its payload says how
many messages it takes: nil the oldest one; `:some` all that have come, at least one; `:all` all that have come, and
none is an answer too, so that it never waits.  Both give a vector.  The oldest open request is served first.
"""

from __future__ import annotations

from typing import Any

from flowmetal.engine import events
from flowmetal.engine.draft import Draft
from flowmetal.engine.lines import LINE_MAX
from flowmetal.engine.live import Live
from flowmetal.values import CodecError, ErrorValue, Vector, encode_value, keyword

#: Messages that one request takes at most, and their bytes: they become one event of the log.
BATCH_MESSAGES = 256
BATCH_BYTES = 256 << 10

KIND_UNREADABLE = keyword("flowmetal/unreadable")

_SOME, _ALL = encode_value(keyword("some")), encode_value(keyword("all"))


def hand(draft: Draft) -> bool:
    """Hands messages that have come to the oldest open request; False where there is nothing to hand over.

    It is called where the store's requests and the program's are the same, so that no message meets a request that the
    program has given up.
    """
    live = draft.live
    if not live.receives:
        return False
    if not draft.messages:
        number = _look(live) if live.inbox_read else 0
        if number:
            _settle(draft, number, [])
        return number != 0
    number = live.receiver
    if live.open[number].request.payload in (_SOME, _ALL):
        _hand_many(draft, number)
        return True
    item = draft.messages.pop(0)
    draft.take(item)
    try:
        message = draft.decode(item.data)
    except CodecError as problem:
        _unreadable(draft, number, problem)
    else:
        draft.settle(number, message, events.MessageReceived(draft.now, number, item.data))
    return True


def looks(live: Live) -> bool:
    """Whether the program waits to hear what is in its inbox, which the next turn reads."""
    return bool(live.receives) and _look(live) != 0


def _look(live: Live) -> int:
    """The oldest request that does not wait, or 0."""
    return next((number for number in live.receives if live.open[number].request.payload == _ALL), 0)


def _hand_many(draft: Draft, number: int) -> None:
    found: list[Any] = []
    size = 0
    waiting = draft.messages
    for item in waiting[:BATCH_MESSAGES]:
        size += len(item.data)
        if found and size > BATCH_BYTES:
            break
        try:
            found.append(draft.decode(item.data))
        except CodecError as problem:
            if not found:
                draft.take(waiting.pop(0))
                _unreadable(draft, number, problem)
                return
            break
    for item in waiting[: len(found)]:
        draft.take(item)
    del waiting[: len(found)]
    _settle(draft, number, found)


def _settle(draft: Draft, number: int, found: list[Any]) -> None:
    messages = Vector.of(found)
    draft.settle(number, messages, events.MessageReceived(draft.now, number, draft.encode(messages)))


def _unreadable(draft: Draft, number: int, problem: CodecError) -> None:
    error = ErrorValue(KIND_UNREADABLE, f"a message cannot be read: {problem}"[:LINE_MAX], None)
    draft.settle_error(number, error, events.AnsweredError(draft.now, number, encode_value(error)))
