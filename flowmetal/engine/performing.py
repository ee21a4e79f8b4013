"""What a program performs: local effects answered on the spot, all others opened as requests."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine import effects, events
from flowmetal.engine.draft import Call, Draft
from flowmetal.engine.lines import LINE_MAX, plain_error
from flowmetal.engine.live import Open
from flowmetal.engine.policies import read_options, with_deadline
from flowmetal.store.interface import Request, Timer
from flowmetal.values import LanguageError, encode_value, fail, print_string
from flowmetal.vm import Performed, Process, answer_now, answer_now_error

NIL = encode_value(None)


def perform(draft: Draft, process: Process, performed: Performed) -> None:
    """Does what one performed effect asks for; what is wrong with it becomes an error of the program's call."""
    number = performed.number
    try:
        answer = effects.LOCAL.get(performed.effect)
        if answer is None:
            _open(draft, process, performed)
            return
        payload = _recorded(draft, performed.payload)
        read_options(performed.options)  # none has a meaning here; a mistake is one all the same
        value = answer(performed.payload, draft.local)
        encoded = draft.encode(value)
    except LanguageError as error:
        answer_now_error(process, number, error.error)
        data = encode_value(plain_error(error.error))
        draft.entry(events.AnsweredError(draft.now, number, data), draft.segment(process))
        return
    answer_now(process, number, value)
    event = events.LocalDone(draft.now, number, performed.effect, payload, encoded)
    draft.entry(event, draft.segment(process))


def _recorded(draft: Draft, payload: Any) -> bytes:
    """The bytes of what a local effect was given, for the log; what holds functions is kept as it prints."""
    try:
        data = encode_value(payload)
    except LanguageError:
        draft.encode(payload)  # raises it again for what may not leave its process at all
        return encode_value(print_string(payload, limit=LINE_MAX))
    return effects.checked_size(data)


def _open(draft: Draft, process: Process, performed: Performed) -> None:
    """Opens a request: to the queue, to a function of this interpreter, or held until a timer or delivery.

    Whoever answers it does not have the program, so functions cannot go along.
    """
    effects.check_effect(performed.effect)
    if len(draft.live.open) >= effects.OPEN_MAX:
        fail("limit", f"a process has at most {effects.OPEN_MAX} requests open at once")
    payload = effects.checked_size(encode_value(performed.payload))
    surroundings, pid = draft.setting.surroundings, draft.live.pid
    number, effect = performed.number, performed.effect
    policy = read_options(performed.options)
    sent, limit = with_deadline(performed.options, policy, draft.now)
    options = NIL if sent is None else effects.checked_size(encode_value(sent))
    key = policy.key or f"{surroundings.store_id}-{pid}-{number}"
    timers = [Timer(limit, number, "timeout")] if limit else []
    until = limit  # the time a person is told
    state, queued, not_before = "queued", True, 0
    tokens: list[tuple[str, int]] = []
    if effect in effects.HELD:
        if policy.retry is not None:
            fail("argument", f"{effect} is not attempted by anybody, so it takes no :retry")
        state, queued = "held", False
        if effect == effects.SLEEP:
            due = effects.sleep_until(performed.payload, draft.now)
            timers.append(Timer(due, number, "sleep"))
            until = min(until, due) if until else due
        elif effect == effects.CALLBACK:
            # The token stands in for the idempotency key: it is what a delivery is recognised by.
            key = effects.new_token(surroundings)
            tokens.append((key, number))
        not_before = until
    elif effect in draft.setting.functions:
        state, queued = "held", False
    request = Request(pid, number, effect, payload, options, key, not_before=not_before, state=state, queued=queued)
    if not queued and effect not in effects.HELD:
        draft.calls.append(Call(pid, number, effect, performed.payload, sent, key))
    draft.live.open[number] = Open(request, replace(policy, deadline=limit) if limit else policy, until)
    draft.requests[number] = request
    draft.timers.extend(timers)
    draft.tokens.extend(tokens)
    text = "" if performed.options is None else print_string(performed.options, limit=LINE_MAX)
    event = events.Requested(draft.now, number, effect, payload, text, policy.key or "")
    draft.entry(event, draft.segment(process))
