"""What a program performs: local effects answered on the spot, all others opened as requests."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine import effects, events
from flowmetal.engine.arrivals import decide
from flowmetal.engine.deciding import check_decision, decided
from flowmetal.engine.draft import NIL, Call, Draft
from flowmetal.engine.lines import LINE_MAX, error_line, plain_error
from flowmetal.engine.live import Open
from flowmetal.engine.policies import NO_POLICY, read_options, usual_options, with_deadline
from flowmetal.engine.starting import child_of
from flowmetal.store.interface import Ask, Request, Timer
from flowmetal.store.limits import NEVER
from flowmetal.store.operations import OPERATIONS
from flowmetal.values import ErrorValue, LanguageError, Vector, encode_value, fail, keyword, print_string, secret_names
from flowmetal.vm import Performed, Process, answer_now, answer_now_error, trace_of
from flowmetal.vm.faults import limit_error
from flowmetal.vm.image import LONG_TEXT

KIND_KILLED = keyword("flowmetal/killed")


def perform(draft: Draft, process: Process, performed: Performed) -> None:
    """Does what one performed effect asks for; what is wrong with it becomes an error of the program's call."""
    number = performed.number
    grants = draft.live.grants
    try:
        if draft.live.burst >= draft.live.limits.engine.burst:
            most, draft.live.burst = draft.live.limits.engine.burst, 0  # what cleans up may perform
            raise limit_error("burst", most, "entries in the log without waiting for anything outside")
        if grants is not None:
            effects.check_effect(performed.effect)  # before it is looked up and remembered
            grants.check(performed.effect, performed.payload)
            if performed.effect == effects.SEND:
                grants.check_secrets(secret_names(encode_value(performed.payload)))
        answer = effects.LOCAL.get(performed.effect)
        if answer is None or effects.is_by_name(performed.effect, performed.payload):
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


def _killing(draft: Draft, payload: Any) -> bytes:
    """What the store is asked for that is to kill a process: with the entry that ends its log."""
    if payload.__class__ is not Vector or not 1 <= len(payload) <= 2:
        fail("argument", f"kill takes a process and if wanted a reason, not {print_string(payload, limit=80)}")
    reason = payload.get(1) if len(payload) == 2 else None
    if reason is not None and reason.__class__ is not str:
        fail("argument", f"the reason of kill is a string, not {print_string(reason, limit=80)}")
    text = None if reason is None else reason[:LINE_MAX]
    error = ErrorValue(KIND_KILLED, f"the process was killed by process {draft.live.pid}", text)
    result = encode_value(error)
    event = events.encode_event(events.Cancelled(draft.now, result))
    return encode_value(Vector.of([payload.get(0), Vector.of([event, result, error_line(error)])]))


def _recorded(draft: Draft, payload: Any) -> bytes:
    """The bytes of what a local effect was given, for the log; what holds functions is kept as it prints."""
    try:
        data = encode_value(payload)
    except LanguageError:
        draft.encode(payload)  # raises it again for what may not leave its process at all
        return encode_value(print_string(payload, limit=LINE_MAX))
    return effects.checked_size(data, draft.live.limits.engine)


def _open(draft: Draft, process: Process, performed: Performed) -> None:
    """Opens a request: to the queue, to a function of this interpreter, or held until a timer or delivery.

    Whoever answers it does not have the program, so functions cannot go along.
    """
    live, setting = draft.live, draft.setting
    number, effect = performed.number, performed.effect
    effects.check_effect(effect)
    limits = live.limits.engine
    if len(live.open) >= limits.requests:
        most = limits.requests
        effects.refuse("requests", most, f"a process has at most {most} requests open at once")
    operation = OPERATIONS.get(effect)
    starts = operation is not None and operation.starts
    if starts:
        payload = _recorded(draft, performed.payload)
    else:
        payload = effects.checked_size(encode_value(performed.payload), limits)
    if live.grants is not None:
        live.grants.check_secrets(secret_names(payload))
    if len(payload) >= LONG_TEXT and not starts:
        draft.note_texts(performed.payload)
    surroundings, pid = setting.surroundings, live.pid
    given = usual_options(effect, performed.options)
    if given is None:
        policy, sent, limit, options, text = NO_POLICY, None, 0, NIL, ""
    else:
        policy = read_options(given)
        sent, limit = with_deadline(given, policy, draft.now)
        options = NIL if sent is None else effects.checked_size(encode_value(sent), limits)
        text = print_string(given, limit=LINE_MAX)
    if live.grants is not None:
        live.grants.check_secrets(secret_names(options))
    key = policy.key or surroundings.usual_key(pid, number)
    timers = [Timer(limit, number, "timeout")] if limit else None
    until = limit  # the time a person is told
    state, queued, not_before = "queued", True, 0
    call: Call | None = None
    ask: Ask | None = None
    token = ""
    decision: tuple[int, int, bool, ErrorValue] | None = None
    paused: ErrorValue | None = None
    if effect in effects.HELD:
        if policy.retry is not None:
            fail("argument", f"{effect} is not attempted by anybody, so it takes no :retry")
        state, queued = "held", False
        if effect in effects.TIMED:
            due = effects.sleep_until(performed.payload, draft.now)
            timers = [*(timers or ()), Timer(due, number, "sleep")]
            until = min(until, due) if until else due
        elif effect == effects.CALLBACK:
            # The token stands in for the idempotency key: it is what a delivery is recognised by.
            key = token = effects.new_token(surroundings)
        elif starts:
            if surroundings.rooms is not None and not surroundings.rooms.processes.take(0, limits.processes):
                most = limits.processes
                effects.refuse("processes", most, f"{most} processes have not ended, which is the limit")
            program = live.program
            trace = trace_of(process, performed.fiber)
            texts = None if live.grants is None else live.grants.texts
            child, bonds = child_of(
                program.program, program.table, live.artifact, performed.payload, trace, draft.now, texts
            )
            effects.checked_size(child.arguments, limits)
            child = replace(child, family=(limits.children, limits.descendants, limits.starts))
            ask = Ask(number, effect, encode_value(bonds), child)
        elif operation is not None:
            ask = Ask(number, effect, payload if effect != effects.KILL else _killing(draft, performed.payload))
        elif effect == effects.ATTEMPTS:
            decision = check_decision(performed.payload)
        elif effect == effects.PERSON:
            paused = effects.asked_of_person(performed.payload)
        not_before = NEVER if paused is not None else until
    elif effect in setting.functions:
        state, queued = "held", False
        call = Call(pid, number, effect, performed.payload, sent, key)
    # What follows must not fail halfway, and writing the segment is the last thing that can fail.
    draft.encoded_entry(
        events.encode_requested(draft.now, number, effect, payload, text, policy.key or ""), draft.segment(process)
    )
    request = Request(pid, number, effect, payload, options, key, not_before, 0, state, "", 0, queued, call is not None)
    live.add(Open(request, replace(policy, deadline=limit) if limit else policy, until))
    draft.requests[number] = request
    if call is not None:
        draft.calls.append(call)
    if ask is not None:
        draft.asks.append(ask)
    if timers is not None:
        draft.timers.extend(timers)
    if token:
        draft.tokens.append((token, number))
    if decision is not None:
        asked, attempt, again, error = decision
        taken = decided(draft, number, asked, attempt, again)
        if taken is not None:
            decide(draft, taken[0], attempt, error, taken[1], logged=True)
    if paused is not None:
        draft.pause(number, encode_value(plain_error(paused)), error_line(paused))
