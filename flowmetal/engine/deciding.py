"""Failed attempts that the program decides on: `:retry {:on function}`.

A function of the program may wait and be saved, so the engine cannot call it.  The library performs such a request
together with another one, its *decider* (`flowmetal/attempts`), which is opened first.  A failed attempt settles the
decider and leaves the request undecided; the program looks at the error and opens the next decider, with what it
decided as its payload.  So the request, its key and the number of its attempts stay what they are for every other
policy, and no failure comes while nobody listens for it.
"""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine import events
from flowmetal.engine.draft import Draft
from flowmetal.engine.effects import ATTEMPTS
from flowmetal.engine.lines import plain_error
from flowmetal.engine.live import Open
from flowmetal.engine.policies import K_DECIDER, AskProgram, Decision, Throw, again
from flowmetal.store.interface import Request, Timer
from flowmetal.store.limits import NEVER
from flowmetal.values import ErrorValue, Map, Vector, decode_value, encode_value, fail, keyword

#: `Request.not_before` of a held request whose last attempt the program has not decided on yet.
UNDECIDED = NEVER - 1

K_REQUEST, K_ATTEMPT, K_ERROR = keyword("request"), keyword("attempt"), keyword("error")


def undecided(request: Request) -> bool:
    """Whether the program has still to decide on the request's last attempt."""
    return request.state == "held" and request.not_before == UNDECIDED


def ask_program(draft: Draft, opened: Open, attempt: int, error: ErrorValue) -> Decision | None:
    """Hands a failed attempt to the program; Throw where it does not listen any more."""
    decider = opened.policy.decider
    listening = draft.live.open.get(decider)
    if listening is None or listening.request.effect != ATTEMPTS:
        return Throw()
    number = opened.request.number
    opened.request = replace(
        opened.request, attempt=attempt, state="held", worker="", not_before=UNDECIDED, lease_until=0
    )
    draft.requests[number] = opened.request
    if opened.policy.deadline:
        draft.timers.append(Timer(opened.policy.deadline, number, "timeout"))
    value = Map.of([(K_REQUEST, number), (K_ATTEMPT, attempt), (K_ERROR, plain_error(error))])
    draft.settle(decider, value, events.Answered(draft.now, decider, encode_value(value)))
    return None


def check_decision(payload: Any) -> tuple[int, int, bool, ErrorValue] | None:
    """The payload of a decider: nil for the first one, else [request attempt again? error].  LanguageError."""
    if payload is None:
        return None
    items = list(payload) if payload.__class__ is Vector else []
    kinds = [item.__class__ for item in items]
    if kinds != [int, int, bool, ErrorValue]:
        fail(
            "argument", "flowmetal/attempts takes nothing, or a request, an attempt, whether to try again, and an error"
        )
    return items[0], items[1], items[2], items[3]


def decided(draft: Draft, decider: int, request: int, attempt: int, retries: bool) -> tuple[Open, Decision] | None:
    """Takes in what the program decided; the request and what follows, None where it is over or was decided on."""
    opened = draft.live.open.get(request)
    if opened is None or not undecided(opened.request) or opened.request.attempt != attempt:
        return None
    options = decode_value(opened.request.options)
    if options.__class__ is not Map:
        return None
    opened.request = replace(opened.request, options=encode_value(options.assoc(K_DECIDER, decider)))
    opened.policy = replace(opened.policy, decider=decider)
    policy = opened.policy
    return opened, again(policy, draft.live.pid, request, attempt) if retries else Throw()


__all__ = ["UNDECIDED", "AskProgram", "ask_program", "check_decision", "decided", "undecided"]
