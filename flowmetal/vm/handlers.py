"""Effects: to the nearest handler's clause, or out of the process as a request; resuming and giving up a body.

Handlers are deep and resume at most once.  The frames of a body that performed are kept in a resumption while the
clause runs in their place (docs/decisions has why).
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    BuiltinFn,
    Closure,
    ErrorValue,
    Keyword,
    Map,
    NeedsRealize,
    Promise,
    Resumption,
    fail,
    keyword,
    print_string,
)
from flowmetal.vm.faults import limit_error
from flowmetal.vm.fibers import add_fiber, start_fiber
from flowmetal.vm.frames import (
    Mode,
    check_closure,
    cut_off,
    entry_frame,
    mount,
    pop_frame,
    push_region,
    running_clause,
)
from flowmetal.vm.load import run_function
from flowmetal.vm.quota import SLICE_TICKS, check_quotas, unrealized_inside
from flowmetal.vm.state import KIND_ABANDONED, Fiber, Frame, Performed, Process, Region, Resume, Wait

K_RETRY, K_ON = keyword("retry"), keyword("on")

#: Classes of values that hold nothing.
_FLAT = frozenset({type(None), bool, int, float, str, bytes, Keyword})


def perform(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any, waits: bool
) -> tuple[int, Any]:
    """Performs an effect: calls the nearest handler's clause, or opens a request.  Gives (mode, value).

    `frame` is the performing one, off the stack.  Without `waits` the value is a promise.
    """
    if effect.__class__ is not Keyword:
        fail("type", f"an effect is named by a keyword, not {print_string(effect, limit=80)}")
    if options is not None and options.__class__ is not Map:
        fail("type", f"the options of an effect are a map, not {print_string(options, limit=80)}")
    index, clause = _find_clause(fiber, effect) if fiber.regions else (-1, None)
    if clause is None:
        if options is not None and _program_decides(options):
            return _perform_deciding(process, fiber, frame, effect, payload, options, waits)
        return _open_request(process, fiber, frame, effect, payload, options, waits)
    named = fiber.frames[index][2].get(effect) is not None
    arguments = [payload] if named else [effect, payload, options]
    if waits:
        _enter_clause(fiber, frame, index, clause, arguments)
        return Mode.ENTER, None
    # `request` under a handler: a fiber of its own performs it, so that the clause can take its time.  It has no code,
    # only the handlers; what the clause resumes with falls through them and settles the promise.
    run_function(check_closure(clause, "a handler's clause").function).select(
        len(arguments) + 1
    )  # before anything has changed
    performer = add_fiber(process, fiber)
    _enter_clause(performer, None, _find_clause(performer, effect)[0], clause, arguments)
    fiber.frames.append(frame)
    return Mode.DELIVER, performer.promise


def _find_clause(fiber: Fiber, effect: Keyword) -> tuple[int, Any]:
    """(where the nearest handler of an effect is, its clause), or (-1, None).  LanguageError :atomic."""
    frames = fiber.frames
    for index in reversed(fiber.regions):
        _, kind, data = frames[index]
        if kind == Region.HANDLE:
            clause = data.get(effect)
            if clause is None:
                clause = data.get(None)  # that of all other effects
            if clause is not None:
                return index, clause
        elif kind == Region.ATOMIC:
            fail("atomic", f"{effect.text} cannot be performed here: a cell is being updated")
    return -1, None


def _program_decides(options: Map) -> bool:
    """Whether a function of the program says which errors of an effect are tried again."""
    retry = options.get(K_RETRY)
    return retry.__class__ is Map and retry.get(K_ON).__class__ in (Closure, BuiltinFn)


def _perform_deciding(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any, waits: bool
) -> tuple[int, Any]:
    """The function stays in the process, so a function of the library performs the effect and asks it."""
    found = process.program.lookup("flowmetal.core", "perform-deciding")
    if found is None:
        return _open_request(process, fiber, frame, effect, payload, options, waits)
    library = check_closure(found.value, "flowmetal.core/perform-deciding")
    arguments = [effect, payload, options]
    if waits:
        fiber.frames.append(frame)
        fiber.frames.append(entry_frame(library, arguments))
        return Mode.ENTER, None
    promise = start_fiber(process, fiber, library, arguments)
    fiber.frames.append(frame)
    return Mode.DELIVER, promise


def _open_request(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any, waits: bool
) -> tuple[int, Any]:
    """No handler took the effect: it goes out.  What is lazy inside it is realized first."""
    lazy = None if payload.__class__ in _FLAT else unrealized_inside(payload)
    if lazy is None and options is not None:
        lazy = unrealized_inside(options)
    if lazy is not None:
        raise NeedsRealize(lazy, True)
    if len(process.request_waits) + len(process.request_promises) >= process.limits.requests:
        raise limit_error("requests", process.limits.requests, "open requests")
    if (
        len(fiber.frames) >= process.limits.frames
        or process.slices * SLICE_TICKS + process.next_request >= process.heap_due
    ):  # else it finds nothing
        check_quotas(process, fiber, frame)
    number = process.next_request
    process.next_request += 1
    process.outbox.append(Performed(number, effect.text, payload, options, fiber.id, waits))
    fiber.frames.append(frame)
    if waits:
        process.request_waits[number] = fiber.id
        fiber.wait = (Wait.REQUEST, number)
        return Mode.STOP, None
    promise = Promise(request=number)
    process.request_promises[number] = promise
    process.opened.append(promise)
    # The request is in the log before the program goes on: the fiber steps aside and is the next to run.
    fiber.resume = (Resume.VALUE, promise)
    process.ready.appendleft(fiber.id)
    return Mode.STOP, None


def _enter_clause(fiber: Fiber, frame: Frame | None, index: int, clause: Any, arguments: list[Any]) -> None:
    """Cuts the body off at its `handle` and calls the clause in its place with the arguments and a resumption."""
    resumption = Resumption()
    call = entry_frame(check_closure(clause, "a handler's clause"), [*arguments, resumption])
    body = cut_off(fiber, index)
    if frame is not None:
        body.append(frame)
    resumption.fiber = fiber.id
    resumption.frames = tuple(body)
    push_region(fiber, Region.CLAUSE, resumption)
    fiber.frames.append(call)


def resume(process: Process, fiber: Fiber, resumption: Resumption, arguments: list[Any]) -> tuple[int, Any]:
    """Calls a resumption: the body goes on with the value.  What the body comes to is the value of the call.

    A second argument is an error that is thrown where the body performed, in place of the value.
    """
    if len(arguments) > 2:
        fail("arity", f"resume takes 0 to 2 arguments, got {len(arguments)}")
    error = arguments[1] if len(arguments) == 2 else None
    if error is not None and error.__class__ is not ErrorValue:
        fail("type", f"a body is resumed with an error, not {print_string(error, limit=80)}")
    if resumption.state != "new":
        fail("resume", "this handler has already resumed its body, or given it up")
    if resumption.fiber != fiber.id:
        fail("resume", "a body is resumed in the fiber that performed the effect")
    # Elsewhere the frames below would be others than those that the body was cut off from.
    if not running_clause(fiber, resumption):
        fail("resume", "a body is resumed while its own clause runs")
    top = fiber.frames[-1]
    if top[0] is None and top[1] == Region.CLAUSE and top[2] is resumption:
        pop_frame(fiber)  # resumed in tail position: nothing of the clause is left, so a loop of effects stays flat
    mount(fiber, _spend(process, resumption))
    if error is not None:
        # Thrown from below the frames of the body: the fiber steps aside and is the next to run.
        fiber.resume = (Resume.ERROR, error)
        process.ready.appendleft(fiber.id)
        return Mode.STOP, None
    return Mode.DELIVER, arguments[0] if arguments else None


def abandon(process: Process, fiber: Fiber, resumption: Resumption, error: ErrorValue | None, value: Any) -> ErrorValue:
    """A clause ended without resuming: mounts the body again, to be unwound by the error that is returned.

    Where that error arrives, at the ABANDON region, `error` goes on in its place, or `value` is delivered.
    """
    token = process.next_token
    process.next_token += 1
    push_region(fiber, Region.ABANDON, (token, error, value))
    mount(fiber, _spend(process, resumption))
    return ErrorValue(KIND_ABANDONED, "the handler's clause gave this body up", token)


def _spend(process: Process, resumption: Resumption) -> tuple[Frame, ...]:
    """Uses a resumption up and gives its frames."""
    body = resumption.frames
    resumption.state = "used"
    resumption.frames = ()
    process.touch(resumption)
    return body
