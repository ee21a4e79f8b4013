"""Everything that moves control other than a plain call: unwinding, regions, handlers, fibers, promises, cancellation.

The loop in machine.py calls in here for the rare ways; each function leaves the fiber's frames in a state that the loop
can go on with, and says how by one of the modes below.  The meaning is docs/language.md's: handlers are deep and
resume at most once, fibers end with their scope, cancellation is an error raised at suspension points.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    Closure,
    ErrorValue,
    Keyword,
    LanguageError,
    LazySeq,
    Map,
    NeedsRealize,
    Promise,
    Resumption,
    Vector,
    fail,
    keyword,
    print_string,
    sequences,
)
from flowmetal.vm.load import RunCode, run_function
from flowmetal.vm.quota import unrealized_inside
from flowmetal.vm.state import (
    ENTER,
    KIND_ABANDONED,
    KIND_CANCELLED,
    KIND_LIMIT,
    UNCATCHABLE,
    CancelRequest,
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


class Mode:
    """How the loop goes on: enter the frame on top, deliver a value to it, or stop running this fiber."""

    ENTER, DELIVER, STOP = 0, 1, 2


TRACE_FRAMES = 32  # lines of a trace kept in an error; enough to find the place, small in an image


# ---- calls -------------------------------------------------------------------------------------------------------


def entry_frame(closure: Closure, arguments: list[Any]) -> Frame:
    """The frame of a call that has not begun.  LanguageError :arity."""
    code = run_function(closure.function).select(len(arguments))
    return (code, call_registers(code, closure, arguments), 0, -1)


def call_registers(code: RunCode, closure: Closure, arguments: list[Any]) -> list[Any]:
    """The registers a call starts with.  `arguments` is used up."""
    if code.variadic:
        fixed = code.parameters
        rest = arguments[fixed:]
        del arguments[fixed:]
        arguments.append(sequences.seq(Vector.of(rest)) if rest else None)
    if closure.captures:
        arguments.extend(closure.captures)
    if code.takes_self:
        arguments.append(closure)
    arguments.extend(code.padding)
    return arguments


def push_region(fiber: Fiber, kind: int, data: Any) -> None:
    """Puts a region frame on top."""
    fiber.regions.append(len(fiber.frames))
    fiber.frames.append((None, kind, data))


def pop_frame(fiber: Fiber) -> Frame:
    """Takes the top frame off, keeping `regions` right."""
    frame = fiber.frames.pop()
    if frame[0] is None:
        fiber.regions.pop()
    return frame


def mount(fiber: Fiber, frames: list[Frame]) -> None:
    """Puts frames cut off earlier back on top."""
    base = len(fiber.frames)
    for offset, frame in enumerate(frames):
        if frame[0] is None:
            fiber.regions.append(base + offset)
    fiber.frames.extend(frames)


# ---- fibers and scopes -------------------------------------------------------------------------------------------


def start_fiber(process: Process, parent: Fiber | None, closure: Any, arguments: list[Any]) -> Promise:
    """Starts a fiber in the innermost scope of `parent`, with the handlers and bindings in force there."""
    if closure.__class__ is not Closure:
        fail("type", f"a fiber runs a function, not {print_string(closure, limit=80)}")
    if len(process.fibers) >= process.limits.fibers:
        raise LanguageError(ErrorValue(KIND_LIMIT, f"more than {process.limits.fibers} fibers", None))
    frame = entry_frame(closure, arguments)
    number = process.next_fiber
    process.next_fiber += 1
    promise = Promise()
    promise.fiber = number
    fiber = Fiber(number, 0, promise)
    push_region(fiber, Region.SCOPE, new_scope(process, fiber))
    if parent is not None:
        fiber.scope = innermost_scope(parent)
        process.scopes[fiber.scope].living[number] = None
        for index in parent.regions:
            inherited = parent.frames[index]
            if inherited[1] == Region.HANDLE or inherited[1] == Region.BIND:
                push_region(fiber, inherited[1], inherited[2])
        if parent.cancelled is not None:
            fiber.cancelled = parent.cancelled
    fiber.frames.append(frame)
    process.fibers[number] = fiber
    process.ready.append(number)
    return promise


def new_scope(process: Process, fiber: Fiber) -> int:
    """Opens a scope and gives its number."""
    number = process.next_scope
    process.next_scope += 1
    process.scopes[number] = Scope(fiber.id)
    return number


def innermost_scope(fiber: Fiber) -> int:
    """The scope a fiber started here would belong to."""
    frames = fiber.frames
    for index in reversed(fiber.regions):
        if frames[index][1] == Region.SCOPE:
            number: int = frames[index][2]
            return number
    raise AssertionError("every fiber stands on a scope")


def end_fiber(process: Process, fiber: Fiber, value: Any, error: ErrorValue | None) -> None:
    """A fiber's frames are gone: settles its promise, tells its scope, ends the process with the first fiber."""
    del process.fibers[fiber.id]
    awaited = settle_promise(process, fiber.promise, value, error)
    if fiber.scope == 0:
        process.end = Finished(value) if error is None else Failed(error)
        return
    scope = process.scopes[fiber.scope]
    scope.living.pop(fiber.id, None)
    cancelled = error is not None and fiber.cancelled is not None and error.kind is KIND_CANCELLED
    if error is not None and not awaited and not cancelled:
        scope.failures.append(fiber.promise)
        process.fibers[scope.fiber].changed = True
    if not scope.living:
        owner = process.fibers.get(scope.fiber)
        if owner is not None and owner.wait is not None and owner.wait == (Wait.SCOPE, fiber.scope):
            owner.wait = None
            owner.changed = True
            process.ready.append(owner.id)


def finish(process: Process, fiber: Fiber, value: Any) -> int:
    """A fiber has come to a value.  The value of the first fiber leaves the process: what is lazy inside it is realized
    first, on frames put below it again.  Gives the mode."""
    if fiber.scope == 0 and process.realizes_result:
        lazy = unrealized_inside(value)
        walker = process.program.lookup("flowmetal.core", "realize-all") if lazy is not None else None
        if walker is not None:
            push_region(fiber, Region.SCOPE, new_scope(process, fiber))
            push_region(fiber, Region.RESULT, value)
            fiber.frames.append(entry_frame(walker.value, [lazy]))
            return Mode.ENTER
    end_fiber(process, fiber, value, None)
    return Mode.STOP


def close_scope(process: Process, fiber: Fiber, number: int, resume: tuple[int, Any]) -> bool:
    """Leaves a scope whose region frame is on top.  False: its fibers still live, and `fiber` now waits for them.

    With an error (`resume`) the living are cancelled first.  The failure nobody awaited is raised where a value was
    on its way.
    """
    scope = process.scopes[number]
    if scope.living:
        fiber.wait = (Wait.SCOPE, number)
        fiber.resume = resume
        if resume[0] == Resume.ERROR:
            cancel_scope(process, number, resume[1])
        return False
    pop_frame(fiber)
    del process.scopes[number]
    if resume[0] == Resume.VALUE:
        for promise in scope.failures:
            if promise.state == "failed":
                raise LanguageError(promise.value)
    return True


def cancel_scope(process: Process, number: int, cause: ErrorValue | None) -> None:
    """Cancels the living fibers of a scope."""
    if cause is not None and cause.kind is KIND_CANCELLED:
        error = cause
    else:
        error = ErrorValue(KIND_CANCELLED, "the scope of this fiber has failed", None)
    for id in list(process.scopes[number].living):
        cancel_fiber(process, process.fibers[id], error)


# ---- promises, requests ------------------------------------------------------------------------------------------


def settle_promise(process: Process, promise: Promise, value: Any, error: ErrorValue | None) -> bool:
    """Settles a promise and wakes who waits for it; says whether anybody did."""
    if error is None:
        promise.state, promise.value = "done", value
    else:
        promise.state, promise.value = "failed", error
    process.touch(promise)
    return wake(process, promise)


def wake(process: Process, what: Any) -> bool:
    """Makes the fibers that wait for a promise or lazy sequence ready, in the order in which they came."""
    waiting = process.waiters.pop(id(what), None)
    if not waiting:
        return False
    woken = False
    for number in waiting:
        fiber = process.fibers.get(number)
        if fiber is None or fiber.wait is None:
            continue
        if fiber.wait[0] == Wait.ANY:
            forget_waits(process, fiber, except_for=what)
        fiber.wait = None
        fiber.resume = ENTER
        fiber.changed = True
        process.ready.append(number)
        woken = True
    return woken


def forget_waits(process: Process, fiber: Fiber, except_for: Any = None) -> None:
    """Takes a fiber off the waiting lists it stands in."""
    if fiber.wait is None:
        return
    kind, what = fiber.wait
    waited = [what] if kind in (Wait.PROMISE, Wait.REALIZE) else list(what) if kind == Wait.ANY else []
    for one in waited:
        if one is except_for:
            continue
        waiting = process.waiters.get(id(one))
        if waiting is not None and fiber.id in waiting:
            waiting.remove(fiber.id)
            if not waiting:
                del process.waiters[id(one)]


def wait_for(process: Process, fiber: Fiber, frame: Frame, kind: int, what: Any) -> None:
    """Suspends a fiber until `what` is settled; `frame` is run again then."""
    fiber.frames.append(frame)
    fiber.wait = (kind, what)
    fiber.resume = ENTER
    register_wait(process, fiber)


def register_wait(process: Process, fiber: Fiber) -> None:
    """Enters a waiting fiber in the lists that wake it.  Also what a restored process does."""
    if fiber.wait is None:
        return
    kind, what = fiber.wait
    if kind == Wait.REQUEST:
        process.request_waits[what] = fiber.id
    elif kind in (Wait.PROMISE, Wait.REALIZE):
        process.waiters.setdefault(id(what), []).append(fiber.id)
    elif kind == Wait.ANY:
        for promise in what:
            waiting = process.waiters.setdefault(id(promise), [])
            if fiber.id not in waiting:
                waiting.append(fiber.id)


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


def perform(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any, waits: bool
) -> tuple[int, Any]:
    """Performs an effect: calls the nearest handler's clause, or opens a request.  Gives (mode, value)."""
    if effect.__class__ is not Keyword:
        fail("type", f"an effect is named by a keyword, not {print_string(effect, limit=80)}")
    if options is not None and options.__class__ is not Map:
        fail("type", f"the options of an effect are a map, not {print_string(options, limit=80)}")
    frames = fiber.frames
    for position in range(len(fiber.regions) - 1, -1, -1):
        index = fiber.regions[position]
        _, kind, data = frames[index]
        if kind == Region.HANDLE:
            clause = data.get(effect)
            if clause is not None:
                if not waits:
                    break  # a handler answers at once: `request` gives a settled promise, see below
                return enter_clause(process, fiber, frame, index, clause, payload)
        elif kind == Region.ATOMIC:
            fail("atomic", f"{effect.text} cannot be performed here: a cell is being updated")
    else:
        return open_request(process, fiber, frame, effect, payload, options, waits)
    return request_by_handler(process, fiber, frame, effect, payload, options)


def open_request(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any, waits: bool
) -> tuple[int, Any]:
    """No handler took the effect: it goes out.  What is lazy inside it is realized first."""
    lazy = unrealized_inside(payload) or unrealized_inside(options)
    if lazy is not None:
        raise NeedsRealize(lazy, True)
    if len(process.request_waits) + len(process.request_promises) >= process.limits.requests:
        raise LanguageError(ErrorValue(KIND_LIMIT, f"more than {process.limits.requests} open requests", None))
    number = process.next_request
    process.next_request += 1
    process.outbox.append(Performed(number, effect.text, payload, options, fiber.id, waits))
    fiber.frames.append(frame)
    if waits:
        process.request_waits[number] = fiber.id
        fiber.wait = (Wait.REQUEST, number)
        return Mode.STOP, None
    promise = Promise()
    promise.request = number
    process.request_promises[number] = promise
    process.opened.append(promise)
    # The request is in the log before the program goes on: the fiber steps aside and is the next to run.
    fiber.resume = (Resume.VALUE, promise)
    process.ready.appendleft(fiber.id)
    return Mode.STOP, None


def request_by_handler(
    process: Process, fiber: Fiber, frame: Frame, effect: Any, payload: Any, options: Any
) -> tuple[int, Any]:
    """`request` under a handler: a fiber of its own performs it, so that the handler's clause can take its time."""
    performer = process.program.lookup("flowmetal.core", "perform*")
    if performer is None:
        fail("unbound", "flowmetal.core/perform* is not defined")
        raise AssertionError
    promise = start_fiber(process, fiber, performer.value, [effect, payload, options])
    fiber.frames.append(frame)
    return Mode.DELIVER, promise


def check_cancelled(fiber: Fiber, code: RunCode | None, index: int) -> None:
    """At a suspension point: raises the fiber's cancellation unless it is shielded there."""
    error = fiber.cancelled
    if error is not None and not shielded(fiber, code, index):
        raise LanguageError(error)


def shielded(fiber: Fiber, code: RunCode | None, index: int) -> bool:
    """Whether cancellation is held back: inside a shield or the body of a `finally`."""
    if code is not None and code.in_finally(index):
        return True
    for frame in fiber.frames:
        if frame[0] is None:
            if frame[1] == Region.SHIELD:
                return True
        elif frame[0].finally_ranges and frame[0].in_finally(frame[2] - 1 if frame[3] >= 0 else frame[2]):
            return True
    return False


def cancel_fiber(process: Process, fiber: Fiber, error: ErrorValue) -> None:
    """Cancels a fiber: a waiting one goes on with the error at once, another meets it where it next suspends."""
    if fiber.cancelled is not None:
        return
    fiber.cancelled = error
    fiber.changed = True
    if fiber.wait is None or shielded(fiber, None, -1):
        return
    kind, what = fiber.wait
    if kind == Wait.SCOPE:
        if fiber.resume[0] != Resume.ERROR:
            fiber.resume = (Resume.ERROR, error)
        cancel_scope(process, what, error)
        return
    if kind == Wait.REQUEST:
        del process.request_waits[what]
        process.outbox.append(CancelRequest(what))
    else:
        forget_waits(process, fiber)
    fiber.wait = None
    fiber.resume = (Resume.ERROR, error)
    process.ready.append(fiber.id)


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


# ---- handlers ----------------------------------------------------------------------------------------------------


def enter_clause(
    process: Process, fiber: Fiber, frame: Frame, index: int, clause: Any, payload: Any
) -> tuple[int, Any]:
    """Cuts the body off at its `handle` and calls the clause in its place with the payload and a resumption."""
    if clause.__class__ is not Closure:
        fail("type", f"a handler's clause is a function, not {print_string(clause, limit=80)}")
    resumption = Resumption()
    call = entry_frame(clause, [payload, resumption])
    resumption.fiber = fiber.id
    resumption.frames = (*fiber.frames[index:], frame)
    del fiber.frames[index:]
    while fiber.regions and fiber.regions[-1] >= index:
        fiber.regions.pop()
    push_region(fiber, Region.CLAUSE, resumption)
    fiber.frames.append(call)
    return Mode.ENTER, None


def resume(process: Process, fiber: Fiber, resumption: Resumption, arguments: list[Any]) -> tuple[int, Any]:
    """Calls a resumption: the body goes on with the value.  What the body comes to is the value of the call."""
    if len(arguments) > 1:
        fail("arity", f"resume takes 0 or 1 arguments, got {len(arguments)}")
    if resumption.state != "new":
        fail("resume", "this handler has already resumed its body, or given it up")
    if resumption.fiber != fiber.id:
        fail("resume", "a body is resumed in the fiber that performed the effect")
    frames = fiber.frames
    if frames and frames[-1][0] is None and frames[-1][1] == Region.CLAUSE and frames[-1][2] is resumption:
        pop_frame(fiber)  # resumed in tail position: nothing of the clause is left, so a loop of effects stays flat
    body = spend(process, resumption)
    mount(fiber, body)
    return Mode.DELIVER, arguments[0] if arguments else None


def spend(process: Process, resumption: Resumption) -> list[Frame]:
    """Uses a resumption up and gives its frames."""
    body = list(resumption.frames)
    resumption.state = "used"
    resumption.frames = ()
    process.touch(resumption)
    return body


def abandon(process: Process, fiber: Fiber, resumption: Resumption, error: ErrorValue | None, value: Any) -> ErrorValue:
    """A clause ended without resuming: mounts the body again, to be unwound by the error that is returned."""
    token = process.next_token
    process.next_token += 1
    push_region(fiber, Region.ABANDON, (token, error, value))
    mount(fiber, spend(process, resumption))
    return ErrorValue(KIND_ABANDONED, "the handler's clause gave this body up", token)


# ---- leaving regions, unwinding ----------------------------------------------------------------------------------


def leave_region(process: Process, fiber: Fiber, value: Any) -> tuple[int, Any]:
    """A value is on its way down and the frame on top is a region's.  Gives (mode, value); raises LanguageError."""
    _, kind, data = fiber.frames[-1]
    if kind == Region.SCOPE:
        if not close_scope(process, fiber, data, (Resume.VALUE, value)):
            return Mode.STOP, None
        return Mode.DELIVER, value
    pop_frame(fiber)
    if kind == Region.CLAUSE and data.state == "new":
        raise LanguageError(abandon(process, fiber, data, None, value))
    if kind == Region.REALIZE:
        return realized(process, fiber, data, value)
    if kind == Region.RESULT:
        return Mode.DELIVER, data
    return Mode.DELIVER, value


def unwind(
    process: Process, fiber: Fiber, code: RunCode | None, registers: list[Any], index: int, error: ErrorValue
) -> tuple[int, Any, list[Any], int]:
    """Finds who takes an error raised at instruction `index` of `code` (None: only the frames below are asked).

    Gives (mode, code, registers, pc) for ENTER, (mode, value, [], 0) for DELIVER, and STOP when the fiber waits or
    has ended.
    """
    while True:
        if code is not None:
            catchable = error.kind not in UNCATCHABLE
            for row in code.code.tries:
                if row.start <= index < row.end and (catchable or row.kind == "finally"):
                    registers[row.register] = error
                    return Mode.ENTER, code, registers, row.target
        if not fiber.frames:
            end_fiber(process, fiber, None, error)
            return Mode.STOP, None, [], 0
        frame = fiber.frames[-1]
        if frame[0] is not None:
            fiber.frames.pop()
            code, registers, pc, destination = frame
            index = pc - 1 if destination >= 0 else pc
            continue
        code = None
        _, kind, data = frame
        if kind == Region.SCOPE:
            if not close_scope(process, fiber, data, (Resume.ERROR, error)):
                return Mode.STOP, None, [], 0
            continue
        pop_frame(fiber)
        if kind == Region.CLAUSE and data.state == "new":
            error = abandon(process, fiber, data, error, None)
        elif kind == Region.ABANDON:
            token, stopped, value = data
            if error.kind is KIND_ABANDONED and error.data == token:
                if stopped is None:
                    return Mode.DELIVER, value, [], 0
                error = stopped
        elif kind == Region.REALIZE:
            data.state = "new"  # an error is not kept: who comes next tries again
            process.touch(data)
            wake(process, data)


def realize(process: Process, fiber: Fiber, frame: Frame, lazy: Any, whole: bool) -> int:
    """An instruction met an unrealized lazy sequence: runs its body above `frame`, which is then run again."""
    if whole:
        walker = process.program.lookup("flowmetal.core", "realize-all")
        if walker is not None and walker.value.__class__ is Closure:
            fiber.frames.append(frame)
            fiber.frames.append(entry_frame(walker.value, [lazy]))
            return Mode.ENTER
        while lazy.__class__ is not LazySeq or lazy.state == "done":
            lazy = sequences.rest(lazy)  # raises NeedsRealize with the cell itself before it runs out
    if lazy.state == "running":
        if lazy.owner_fiber == fiber.id:
            fail("argument", "a lazy sequence needs itself while it is being realized")
        wait_for(process, fiber, frame, Wait.REALIZE, lazy)
        return Mode.STOP
    fiber.frames.append(frame)
    begin_realizing(process, fiber, lazy)
    return Mode.ENTER


def begin_realizing(process: Process, fiber: Fiber, lazy: LazySeq) -> None:
    """Puts the body of a lazy sequence on top, to be entered."""
    call = entry_frame(lazy.thunk, [])
    lazy.state = "running"
    lazy.owner_fiber = fiber.id
    process.touch(lazy)
    push_region(fiber, Region.REALIZE, lazy)
    fiber.frames.append(call)


def realized(process: Process, fiber: Fiber, lazy: LazySeq, value: Any) -> tuple[int, Any]:
    """The body of a lazy sequence came to `value`, which may itself be lazy still."""
    if value.__class__ is LazySeq and value.state != "done":
        push_region(fiber, Region.REALIZE, lazy)
        if value.state == "running":
            pop_frame(fiber)
            lazy.state = "new"
            process.touch(lazy)
            fail("argument", "a lazy sequence needs itself while it is being realized")
        begin_realizing(process, fiber, value)
        return Mode.ENTER, None
    try:
        lazy.value = sequences.seq(value)
    except LanguageError:
        lazy.state = "new"
        process.touch(lazy)
        wake(process, lazy)
        raise
    lazy.state = "done"
    lazy.thunk = None
    process.touch(lazy)
    wake(process, lazy)
    return Mode.DELIVER, value


# ---- errors ------------------------------------------------------------------------------------------------------

_FUNCTION, _FILE, _LINE = keyword("function"), keyword("file"), keyword("line")


def with_trace(fiber: Fiber, code: RunCode | None, index: int, error: ErrorValue) -> ErrorValue:
    """The error with the place it was raised at, if it has none yet: the innermost TRACE_FRAMES frames."""
    if error.trace is not None or error.kind is KIND_ABANDONED:
        return error
    lines = []
    if code is not None:
        lines.append(_trace_line(code, index))
    for frame in reversed(fiber.frames):
        if len(lines) >= TRACE_FRAMES:
            break
        if frame[0] is not None:
            lines.append(_trace_line(frame[0], frame[2] - 1 if frame[3] >= 0 else frame[2]))
    return ErrorValue(error.kind, error.message, error.data, error.cause, Vector.of(lines))


def _trace_line(code: RunCode, index: int) -> Map:
    spans = code.code.spans
    span = spans[index] if 0 <= index < len(spans) else None
    pairs: list[tuple[Any, Any]] = [(_FUNCTION, code.code.name)]
    if span is not None:
        pairs += [(_FILE, span.file), (_LINE, span.line)]
    return Map.of(pairs)
