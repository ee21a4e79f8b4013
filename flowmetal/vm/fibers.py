"""Fibers, the scopes they end with, promises they wait for, and cancellation.

Fibers end with their scope.  Cancellation is an error raised at suspension points: in a fiber that waits at once, in
one that runs where it next suspends, in none that is shielded.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    Duration,
    ErrorValue,
    LanguageError,
    Map,
    Promise,
    Vector,
    fail,
    print_string,
)
from flowmetal.vm.faults import limit_error
from flowmetal.vm.frames import (
    Mode,
    check_closure,
    cleans_up,
    entry_frame,
    innermost_scope,
    inside,
    mount,
    pop_frame,
    push_region,
    refuse_in_atomic,
    shielded,
)
from flowmetal.vm.load import RunCode
from flowmetal.vm.quota import unrealized_inside
from flowmetal.vm.state import (
    ENTER,
    KIND_CANCELLED,
    CancelRequest,
    Deadline,
    Failed,
    Fiber,
    Finished,
    Frame,
    Performed,
    Process,
    Region,
    Resume,
    Scope,
    Wait,
)
from flowmetal.vm.waiting import forget_waits, make_ready, register_wait, settle_promise

#: The effect by which the machine asks for the deadline of a fiber's `finally` blocks, and its payload: how long they
#: may take.  The engine gives more where the program has asked for it.
FINALLY = "flowmetal/finally"
FINALLY_TIME = Duration(30 * 10**9)

# ---- fibers and scopes -------------------------------------------------------------------------------------------


def start_fiber(
    process: Process, parent: Fiber | None, closure: Any, arguments: list[Any], bindings: Map | None = None
) -> Promise:
    """Starts a fiber on a call, see `add_fiber`, with bindings of its own if need be.  Gives its promise."""
    frame = entry_frame(check_closure(closure, "what a fiber runs"), arguments)
    fiber = add_fiber(process, parent)
    if bindings is not None:
        push_region(fiber, Region.BIND, bindings)
    fiber.frames.append(frame)
    return fiber.promise


def add_fiber(process: Process, parent: Fiber | None) -> Fiber:
    """A new ready fiber in the innermost scope of `parent`, with the handlers and bindings in force there."""
    if parent is not None:
        refuse_in_atomic(parent, "a fiber cannot be started")
    if len(process.fibers) >= process.limits.fibers:
        raise limit_error("fibers", process.limits.fibers, "fibers")
    number = process.next_fiber
    process.next_fiber += 1
    fiber = Fiber(number, 0, Promise(fiber=number))
    push_region(fiber, Region.SCOPE, new_scope(process, fiber))
    if parent is not None:
        fiber.scope = innermost_scope(parent)
        process.scopes[fiber.scope].living[number] = None
        inherited = (parent.frames[index] for index in parent.regions)
        mount(fiber, [frame for frame in inherited if frame[1] in (Region.HANDLE, Region.BIND)])
    process.fibers[number] = fiber
    process.mark(fiber)
    process.ready.append(number)
    return fiber


def new_scope(process: Process, fiber: Fiber) -> int:
    """Opens a scope and gives its number."""
    number = process.next_scope
    process.next_scope += 1
    process.scopes[number] = Scope(fiber.id)
    return number


def end_fiber(process: Process, fiber: Fiber, value: Any, error: ErrorValue | None) -> None:
    """A fiber's frames are gone: settles its promise, tells its scope, ends the process with the first fiber."""
    del process.fibers[fiber.id]
    if fiber.known:
        process.ended.append(fiber.id)
    if fiber.cancelled is not None:
        forget_deadline(process, fiber)
    settle_promise(process, fiber.promise, value, error)
    if fiber.scope == 0:
        process.end = Finished(value) if error is None else Failed(error)
        return
    scope = process.scopes[fiber.scope]
    scope.living.pop(fiber.id, None)
    cancelled = error is not None and fiber.cancelled is not None and error.kind is KIND_CANCELLED
    if error is not None and not cancelled:
        # Whether somebody looks at it shows only later.  Those that were looked at are let go now and then.
        failures = scope.failures
        if len(failures) >= 8 and len(failures).bit_count() == 1:
            scope.failures = failures = [one for one in failures if one.state == "failed"]
        failures.append(fiber.promise)
        process.changed_scopes[fiber.scope] = None
    if not scope.living:
        owner = process.fibers.get(scope.fiber)
        if owner is not None and owner.wait is not None and owner.wait == (Wait.SCOPE, fiber.scope):
            make_ready(process, owner)


def finish(process: Process, fiber: Fiber, value: Any) -> int:
    """A fiber has come to a value.  The value of the first fiber leaves the process: what is lazy inside it is realized
    first, on frames put below it again.  Gives the mode."""
    if fiber.scope == 0 and process.realizes_result:
        lazy = unrealized_inside(value)
        walker = process.program.lookup("flowmetal.core", "realize-all") if lazy is not None else None
        if walker is not None:
            call = entry_frame(check_closure(walker.value, "flowmetal.core/realize-all"), [lazy])
            push_region(fiber, Region.SCOPE, new_scope(process, fiber))
            push_region(fiber, Region.RESULT, value)
            fiber.frames.append(call)
            return Mode.ENTER
    end_fiber(process, fiber, value, None)
    return Mode.STOP


def close_scope(process: Process, fiber: Fiber, number: int, resume: tuple[int, Any]) -> bool:
    """Leaves a scope whose region frame is on top.  False: its fibers still live, and `fiber` now waits for them.

    With an error (`resume`) the living are cancelled first; so they are when `fiber` itself was cancelled, since
    waiting for them is a suspension point.  The failure nobody awaited is raised where a value was on its way.
    """
    scope = process.scopes[number]
    if scope.living:
        if resume[0] == Resume.VALUE and fiber.cancelled is not None and not shielded(fiber):
            resume = (Resume.ERROR, fiber.cancelled)
        fiber.wait = (Wait.SCOPE, number)
        fiber.resume = resume
        if resume[0] == Resume.ERROR:
            cancel_scope(process, number, resume[1])
        return False
    pop_frame(fiber)
    del process.scopes[number]
    process.changed_scopes.pop(number, None)
    if resume[0] == Resume.VALUE:
        for promise in scope.failures:
            if promise.state == "failed":
                raise LanguageError(promise.value)
    return True


# ---- promises and waiting ----------------------------------------------------------------------------------------


def wait_for(process: Process, fiber: Fiber, frame: Frame | None, kind: int, what: Any, resume: Any = ENTER) -> None:
    """Suspends a fiber until `what` is settled; `frame` is run again then, or the fiber goes on as `resume` says.

    LanguageError :atomic inside the update of a cell.
    """
    refuse_in_atomic(fiber, "a fiber cannot wait")
    if frame is not None:
        fiber.frames.append(frame)
    fiber.wait = (kind, what)
    fiber.resume = resume
    register_wait(process, fiber)


def check_promise(value: Any) -> Promise:
    """The value as a promise; LanguageError :type."""
    if value.__class__ is not Promise:
        fail("type", f"only a promise can be awaited, not {print_string(value, limit=80)}")
    promise: Promise = value
    return promise


def await_promise(process: Process, fiber: Fiber, frame: Frame, promise: Promise) -> tuple[bool, Any]:
    """(True, value) of a settled promise, or (False, None) with the fiber suspended.  Raises a failed one's error."""
    if promise.state == "done":
        return True, promise.value
    if promise.state == "pending":
        wait_for(process, fiber, frame, Wait.PROMISE, promise)
        return False, None
    if promise.state == "failed":
        promise.state = "seen"  # its scope need not raise it again
        process.touch(promise)
    raise LanguageError(promise.value)


def await_any(process: Process, fiber: Fiber, frame: Frame, promises: Any) -> int:
    """The index of the first settled promise of a vector, or -1 with the fiber suspended."""
    if promises.__class__ is not Vector or not len(promises):
        fail("type", "await-any takes a vector of promises that is not empty")
    for index, promise in enumerate(promises):
        if check_promise(promise).state != "pending":
            return index
    wait_for(process, fiber, frame, Wait.ANY, promises)
    return -1


# ---- cancellation ------------------------------------------------------------------------------------------------


def check_cancelled(fiber: Fiber, code: RunCode | None, index: int) -> None:
    """At a suspension point: raises the fiber's cancellation unless it is shielded there."""
    error = fiber.cancelled
    if error is not None and not shielded(fiber, code, index):
        raise LanguageError(error)


def cancel_scope(process: Process, number: int, cause: ErrorValue) -> None:
    """Cancels the living fibers of a scope."""
    error = cause
    if cause.kind is not KIND_CANCELLED:
        error = ErrorValue(KIND_CANCELLED, "the scope of this fiber has failed", None)
    for id in list(process.scopes[number].living):
        cancel_fiber(process, process.fibers[id], error)


def cancel_fiber(process: Process, fiber: Fiber, error: ErrorValue, again: bool = False) -> None:
    """Cancels a fiber, and with one that waits to leave a scope the fibers of that scope.

    One that waits, has not begun, or was cut where its fuel ran out goes on with the error.  One that runs, has got
    the answer it waited for, or is shielded meets it where it next suspends.  `again` raises the error also in those
    that have been cancelled already: a program that goes on all the same can be told once more.
    """
    pending = [fiber]
    seen: set[int] = set()
    while pending:
        fiber = pending.pop()
        if fiber.id in seen or (fiber.cancelled is not None and not again):
            continue
        seen.add(fiber.id)
        if fiber.cancelled is None:
            fiber.cancelled = error
            process.cleaning[fiber.id] = None
            process.mark(fiber)
        if fiber.id == process.running or shielded(fiber):
            continue
        process.mark(fiber)
        if fiber.wait is not None and fiber.wait[0] == Wait.SCOPE:
            if fiber.resume[0] != Resume.ERROR:
                fiber.resume = (Resume.ERROR, error)
            living = process.scopes[fiber.wait[1]].living
            pending.extend(process.fibers[id] for id in reversed(living))
        else:
            _interrupt(process, fiber, error)


# ---- the deadline of `finally` blocks ----------------------------------------------------------------------------

# A process that was cancelled as a whole has its deadline from the engine.  Any other cancelled fiber gets one when it
# first waits in a `finally`: a request of its own, which the engine holds like a sleep and answers when it is over.


def set_deadline(process: Process) -> bool:
    """Asks for the deadline of one cancelled fiber that waits in a `finally`; False where there is none to be set."""
    first = process.fibers.get(1)
    if first is None or first.cancelled is not None:
        return False
    for id in process.cleaning:
        fiber = process.fibers[id]
        if cleans_up(fiber):
            del process.cleaning[id]
            number = process.next_request
            process.next_request += 1
            fiber.deadline = number
            process.deadlines[number] = id
            process.mark(fiber)
            process.outbox.append(Performed(number, FINALLY, FINALLY_TIME, None, id, False))
            return True
    return False


def end_deadline(process: Process, number: int, over: bool) -> bool:
    """The answer to such a request: it is over, or there is nobody to tell (an error).  False: it is none of them."""
    id = process.deadlines.pop(number, None)
    if id is None:
        return False
    fiber = process.fibers[id]
    fiber.deadline = Deadline.OVER if over else Deadline.NONE
    process.mark(fiber)
    if over:
        error = ErrorValue(KIND_CANCELLED, "cancelled; its `finally` blocks did not end in time", None)
        cancel_fiber(process, fiber, error, again=True)
    return True


def forget_deadline(process: Process, fiber: Fiber) -> None:
    """A cancelled fiber has ended."""
    process.cleaning.pop(fiber.id, None)
    if fiber.deadline > 0:
        del process.deadlines[fiber.deadline]
        process.outbox.append(CancelRequest(fiber.deadline))


def _interrupt(process: Process, fiber: Fiber, error: ErrorValue) -> None:
    """Has a fiber that does not run, and waits for no scope, go on with an error."""
    if fiber.wait is None:
        if fiber.resume[0] == Resume.ENTER:
            fiber.resume = (Resume.ERROR, error)
        return
    kind, what = fiber.wait
    if kind == Wait.REQUEST:
        del process.request_waits[what]
        process.outbox.append(CancelRequest(what))
    else:
        forget_waits(process, fiber)
    fiber.resume = (Resume.ERROR, error)
    make_ready(process, fiber)


def cancel_process(process: Process, error: ErrorValue) -> None:
    """Cancels the first fiber, and with the scopes it leaves all others.

    It goes before the other ready fibers: one of them may have been cut in a loop without end, and would be the next
    to run for ever.  Only the update of a cell is not overtaken.
    """
    fiber = process.fibers.get(1)
    if fiber is None:
        return
    cancel_fiber(process, fiber, fiber.cancelled or error, again=True)
    if fiber.wait is None and fiber.resume[0] == Resume.ERROR and process.ready[0] != fiber.id:
        if not inside(process.fibers[process.ready[0]], Region.ATOMIC):
            process.ready.remove(fiber.id)
            process.ready.appendleft(fiber.id)


def cancel_promise(process: Process, promise: Promise, reason: ErrorValue) -> None:
    """Cancels what would settle a promise; a settled one is left alone."""
    if promise.state != "pending":
        return
    if promise.fiber:
        fiber = process.fibers.get(promise.fiber)
        if fiber is not None:
            cancel_fiber(process, fiber, reason)
    elif promise.request in process.request_promises:
        del process.request_promises[promise.request]
        process.outbox.append(CancelRequest(promise.request))
        settle_promise(process, promise, None, reason)
