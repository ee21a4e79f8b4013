"""What arrives for a process, applied to it: answers, errors, lost attempts, timers, messages, a person's commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine import events
from flowmetal.engine.deciding import ask_program
from flowmetal.engine.draft import Draft
from flowmetal.engine.effects import MORE_TIME, PERSON
from flowmetal.engine.lines import LINE_MAX, error_line, plain_error
from flowmetal.engine.live import Open, exhausted, start_process
from flowmetal.engine.policies import SECOND, Again, AskProgram, Decision, Throw, after_error, after_lost
from flowmetal.store.interface import InboxEvent, Timer
from flowmetal.store.limits import NEVER
from flowmetal.values import (
    CodecError,
    ErrorValue,
    LanguageError,
    Pid,
    Vector,
    decode_value,
    encode_value,
    keyword,
    print_string,
)
from flowmetal.vm import FINALLY, KIND_CANCELLED, Process, cancel

logger = logging.getLogger("flowmetal.engine")

#: What is taken from the inbox of a paused process; everything else waits there until it goes on.
CONTROL_KINDS = frozenset({"pause", "resume", "retry", "cancel", "linked", "decided"})

#: How long the `finally` blocks of a cancelled process may take.
CANCEL_DEADLINE = 30 * SECOND

K_RETRY = keyword("retry")
KIND_ERROR = keyword("error")
KIND_TIMEOUT = keyword("timeout")
KIND_LINKED = keyword("flowmetal/linked")
KIND_UNREADABLE = keyword("flowmetal/unreadable")
KIND_LOST = keyword("lost")
KIND_STATUS = keyword("http/status")

_NIL = encode_value(None)


def apply(draft: Draft, item: InboxEvent, go_on: Callable[[], None]) -> None:
    """Applies one inbox event.  `go_on` is called where it ends a pause, before anything else happens."""
    match item.kind:
        case "start":
            _start(draft, item.data)
        case "answer":
            _answer(draft, item.number, item.attempt, item.data)
        case "error":
            _error(draft, item.number, item.attempt, item.data)
        case "lost":
            _lost(draft, item.number, item.attempt)
        case "timer":
            _timer(draft, item.number, item.data)
        case "spawned":
            _spawned(draft, item.number, item.data)
        case "cancel":
            _cancel(draft, item.data, go_on)
        case "linked":
            _linked(draft, item.data, go_on)
        case "pause":
            if draft.live.status != "paused":
                _note(draft, "pause", 0, _text(item.data))
                draft.pause(0, b"", "")
        case "resume" | "retry":
            _resume(draft, item.kind, item.number, _text(item.data), go_on)
        case "settled" | "decided":
            _settled(draft, item, go_on)
        case _:
            raise AssertionError(f"unknown kind of inbox event {item.kind}")


def _start(draft: Draft, arguments: bytes) -> None:
    live = draft.live
    if live.process is not None:
        return
    draft.entry(events.Started(draft.now, live.function, arguments))
    try:
        start_process(live, arguments, live.limits.vm)
    except LanguageError as failed:
        draft.end("failed", events.Failed(draft.now, encode_value(failed.error)), failed.error)
    except CodecError as problem:
        error = ErrorValue(KIND_UNREADABLE, f"the arguments cannot be read: {problem}"[:LINE_MAX], None)
        draft.end("failed", events.Failed(draft.now, encode_value(error)), error)


def _answer(draft: Draft, number: int, attempt: int, data: bytes) -> None:
    opened = draft.live.open.get(number)
    if opened is None:
        draft.late(number, "answer")
        return
    try:
        value = draft.decode(data)
    except CodecError as problem:
        _unreadable(draft, number, problem)
        return
    retry = opened.policy.retry
    if retry is not None and retry.takes_answer(value):
        error = ErrorValue(KIND_STATUS, f"{opened.request.effect} answered with a status to try again", value)
        decision = after_error(opened.policy, draft.live.pid, number, attempt, error)
        if not isinstance(decision, Throw):
            decide(draft, opened, attempt, error, decision)
            return
    draft.answer(number, value, data)


def _error(draft: Draft, number: int, attempt: int, data: bytes) -> None:
    opened = draft.live.open.get(number)
    if opened is None:
        draft.late(number, "error")
        return
    try:
        error = draft.decode(data)
    except CodecError as problem:
        _unreadable(draft, number, problem)
        return
    if error.__class__ is not ErrorValue:
        error = ErrorValue(KIND_ERROR, print_string(error, limit=LINE_MAX), error)
    decision = after_error(opened.policy, draft.live.pid, number, attempt, error)
    decide(draft, opened, attempt, error, decision)


def _spawned(draft: Draft, number: int, data: bytes) -> None:
    """A child was started, in the commit of the turn that asked for it."""
    pid = Pid(int(data))
    draft.settle(number, pid, events.Answered(draft.now, number, encode_value(pid)))


def _unreadable(draft: Draft, number: int, problem: CodecError) -> None:
    """An answer whose bytes are no value: an error of the program's call, and not retried, since it took effect."""
    error = ErrorValue(KIND_UNREADABLE, f"the answer cannot be read: {problem}"[:LINE_MAX], None)
    draft.settle_error(number, error, events.AnsweredError(draft.now, number, encode_value(error)))


def _lost(draft: Draft, number: int, attempt: int) -> None:
    opened = draft.live.open.get(number)
    if opened is None:
        draft.late(number, "loss")
        return
    message = f"the worker of {opened.request.effect} vanished; whether it took effect is not known"
    error = ErrorValue(KIND_LOST, message, None)
    decision = after_lost(opened.policy, draft.live.pid, number, attempt)
    decide(draft, opened, attempt, error, decision)


def decide(
    draft: Draft, opened: Open, attempt: int, error: ErrorValue, decision: Decision, logged: bool = False
) -> None:
    """Does what the policy says about a failed attempt, which may be in the log already."""
    number = opened.request.number
    data = encode_value(plain_error(error))
    if isinstance(decision, AskProgram):
        draft.entry(events.AttemptFailed(draft.now, number, attempt, data))
        logged = True
        answer = ask_program(draft, opened, attempt, error)
        if answer is None:
            return
        decision = answer
    if isinstance(decision, Throw):
        draft.settle_error(number, error, events.AnsweredError(draft.now, number, data))
        return
    if not logged:
        draft.entry(events.AttemptFailed(draft.now, number, attempt, data))
    deadline = opened.policy.deadline
    if deadline and deadline <= draft.now and isinstance(decision, Again):
        _time_out(draft, opened)
        return
    if isinstance(decision, Again):
        draft.entry(events.RetryPlanned(draft.now, number, attempt, decision.delay))
        draft.put_back(opened, attempt, draft.now + decision.delay if decision.delay else 0)
        return
    opened.request = replace(opened.request, attempt=attempt, state="held", worker="", not_before=NEVER, lease_until=0)
    draft.requests[number] = opened.request
    draft.pause(number, data, error_line(error))


def _overdue(draft: Draft) -> None:
    """A cancelled process is still there: its `finally` blocks have had their time, or asked for more."""
    until = _more_time(draft)
    if until > draft.now:
        draft.timers.append(Timer(until, 0, "deadline"))
        return
    process = draft.live.process
    first = process.fibers.get(1) if process is not None else None
    cause = linked_cause(first.cancelled) if first is not None else None
    if cause is not None:
        draft.end("failed", events.Failed(draft.now, encode_value(plain_error(cause))), cause)
        return
    error = ErrorValue(KIND_CANCELLED, "cancelled; its `finally` blocks did not end in time", None)
    draft.end("cancelled", events.Cancelled(draft.now, encode_value(error)), error)


def _more_time(draft: Draft) -> int:
    """Until when the program has asked for time, or 0."""
    asked = [one.request.not_before for one in draft.live.open.values() if one.request.effect == MORE_TIME]
    return max(asked, default=0)


def _timer(draft: Draft, number: int, data: bytes) -> None:
    if not number and data == b"deadline":
        _overdue(draft)
        return
    opened = draft.live.open.get(number)
    if opened is None:
        draft.late(number, "timer")
        return
    if opened.request.effect == FINALLY:
        until = _more_time(draft)
        if until > draft.now:
            draft.timers.append(Timer(until, number, "sleep"))
            return
    if data == b"sleep":  # also that of other requests that a time ends
        draft.settle(number, None, events.TimerFired(draft.now, number))
        return
    _time_out(draft, opened)


def _time_out(draft: Draft, opened: Open) -> None:
    number = opened.request.number
    error = ErrorValue(KIND_TIMEOUT, f"{opened.request.effect} had no answer in time", None)
    draft.settle_error(number, error, events.TimedOut(draft.now, number, encode_value(error)))


def _read(data: bytes) -> Any:
    """A value that came with a person's command; None where there is none, or none that can be read."""
    try:
        return decode_value(data) if data else None
    except CodecError:
        return None


def _text(data: bytes) -> str | None:
    value = _read(data)
    return value if value.__class__ is str else None


def _note(draft: Draft, what: str, number: int, by: str | None) -> None:
    """Puts into the log who did something by hand, where that is known."""
    if by:
        draft.entry(events.Steered(draft.now, what, number, by[:LINE_MAX]))


def _settled(draft: Draft, item: InboxEvent, go_on: Callable[[], None]) -> None:
    """A person answered a request.  One that had used up its retries held up the process, which goes on."""
    number = item.number
    try:
        value = draft.decode(item.data)
    except CodecError as problem:
        value = None
        logger.warning("an answer by hand for process %d cannot be read: %s", draft.live.pid, problem)
    by, is_answer, answer = value if value.__class__ is Vector and len(value) == 3 else ("somebody", False, None)
    opened = draft.live.open.get(number)
    what = "answer" if is_answer else "fail"
    if opened is None:
        draft.late(number, what)
        return
    _note(draft, what, number, by if by.__class__ is str else None)
    if item.kind == "decided" and draft.live.status == "paused":
        draft.entry(events.Resumed(draft.now, 0))
        go_on()
    if is_answer:
        draft.answer(number, answer, draft.encode(answer))
        return
    if answer.__class__ is not ErrorValue:
        answer = ErrorValue(KIND_UNREADABLE, "the answer that was given by hand cannot be read", None)
    draft.settle_error(number, answer, events.AnsweredError(draft.now, number, encode_value(plain_error(answer))))


def _cancel(draft: Draft, reason: bytes, go_on: Callable[[], None]) -> None:
    live = draft.live
    value = _read(reason)
    if value.__class__ is Vector and len(value) == 2:  # by a person, whose name stands behind the reason
        value, by = value
        _note(draft, "cancel", 0, by if by.__class__ is str else None)
        reason = encode_value(value)
    text = value if value.__class__ is str else None
    draft.entry(events.CancelAsked(draft.now, reason or _NIL))
    go_on()
    if live.process is None:
        error = ErrorValue(KIND_CANCELLED, "the process was cancelled before it began", text)
        draft.end("cancelled", events.Cancelled(draft.now, encode_value(error)), error)
        return
    _stop(draft, live.process, text, None)


def _linked(draft: Draft, data: bytes, go_on: Callable[[], None]) -> None:
    """A process that this one is linked to has ended badly: this one is cancelled, and fails with the error."""
    live = draft.live
    error = decode_value(data)
    assert isinstance(error, ErrorValue)  # the store made it
    draft.entry(events.Linked(draft.now, data))
    go_on()
    if live.process is None:
        draft.end("failed", events.Failed(draft.now, data), error)
        return
    _stop(draft, live.process, error.message, error)


def linked_cause(error: ErrorValue | None) -> ErrorValue | None:
    """The error to fail with, of one that cancels a process because of a link; None for any other."""
    cause = None if error is None or error.kind is not KIND_CANCELLED else error.data
    return cause if isinstance(cause, ErrorValue) and cause.kind is KIND_LINKED else None


def _stop(draft: Draft, process: Process, reason: str | None, cause: ErrorValue | None) -> None:
    cancel(process, reason, cause)
    draft.timers.append(Timer(draft.now + CANCEL_DEADLINE, 0, "deadline"))
    draft.unsaved = True
    # What a `finally` block waits for stays open; nobody sees that it stands still in a process that is not paused.
    _try_again(draft, _used_up(draft))


def _resume(draft: Draft, what: str, number: int, by: str | None, go_on: Callable[[], None]) -> None:
    """Lets a paused process go on; requests whose retries were used up get one more attempt each.

    One request by its number alone: where it has been settled since, nothing is done.
    """
    again = _used_up(draft, number)
    if not again and (number or draft.live.status != "paused"):
        return
    _note(draft, what, number, by)
    draft.entry(events.Resumed(draft.now, again[0].request.number if again else 0))
    _try_again(draft, again)
    go_on()


def _used_up(draft: Draft, number: int = 0) -> list[Open]:
    """The requests whose retries are used up; the one of this number alone."""
    return [one for one in draft.live.open.values() if exhausted(one.request) and number in (0, one.request.number)]


def _try_again(draft: Draft, again: list[Open]) -> None:
    for opened in again:
        if opened.request.effect == PERSON:  # there is nobody to try again; the program is told
            answer = encode_value(K_RETRY)
            draft.settle(opened.request.number, K_RETRY, events.Answered(draft.now, opened.request.number, answer))
            continue
        draft.put_back(opened, opened.request.attempt, 0)
