"""Control on its way down the stack: a value or an error leaves regions, and lazy sequences are realized above the
instruction that met them.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import Closure, ErrorValue, LanguageError, LazySeq, NeedsRealize, fail, sequences
from flowmetal.vm.fibers import close_scope, end_fiber, wait_for
from flowmetal.vm.frames import Mode, check_closure, entry_frame, pop_frame, position, push_region
from flowmetal.vm.handlers import abandon
from flowmetal.vm.load import RunCode
from flowmetal.vm.state import KIND_ABANDONED, UNCATCHABLE, Fiber, Frame, Process, Region, Resume, Wait
from flowmetal.vm.waiting import wake


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
        return _realized(process, fiber, data, value)
    if kind == Region.RESULT:
        return Mode.DELIVER, data
    if kind == Region.ABANDON:
        # A `finally` of an abandoned body performed, and that clause gave up too: what the first one said stands.
        _, error, first = data
        if error is not None:
            raise LanguageError(error)
        return Mode.DELIVER, first
    return Mode.DELIVER, value


def unwind(
    process: Process, fiber: Fiber, code: RunCode | None, registers: list[Any], index: int, error: ErrorValue
) -> tuple[int, Any]:
    """Finds who takes an error raised at instruction `index` of `code` (None: only the frames below are asked).

    Gives (ENTER, None) with the frame that takes it on top, (DELIVER, value) where an abandoned body ends, or
    (STOP, None) when the fiber waits or has ended.
    """
    while True:
        if code is not None:
            catchable = error.kind not in UNCATCHABLE
            for row in code.code.tries:
                if row.start <= index < row.end and (catchable or row.kind == "finally"):
                    registers[row.register] = error
                    fiber.frames.append((code, registers, row.target, -1))
                    return Mode.ENTER, None
        if not fiber.frames:
            end_fiber(process, fiber, None, error)
            return Mode.STOP, None
        frame = fiber.frames[-1]
        if frame[0] is not None:
            fiber.frames.pop()
            code, registers, index = frame[0], frame[1], position(frame)
            continue
        code = None
        _, kind, data = frame
        if kind == Region.SCOPE:
            if not close_scope(process, fiber, data, (Resume.ERROR, error)):
                return Mode.STOP, None
            continue
        pop_frame(fiber)
        if kind == Region.CLAUSE and data.state == "new":
            error = abandon(process, fiber, data, error, None)
        elif kind == Region.ABANDON:
            token, stopped, value = data
            if error.kind is KIND_ABANDONED and error.data == token:
                if stopped is None:
                    return Mode.DELIVER, value
                error = stopped
        elif kind == Region.REALIZE:
            _unrealize(process, data)


# ---- lazy sequences ----------------------------------------------------------------------------------------------


def realize(process: Process, fiber: Fiber, frame: Frame, need: NeedsRealize) -> int:
    """An instruction met an unrealized lazy sequence: runs its body above `frame`, which is then run again.

    Where the instruction needs more than one cell the library walks through them, so that the instruction is not run
    once a cell.  Gives the mode.  A sequence that another fiber realizes is waited for.
    """
    lazy = need.seq
    if need.whole or need.cells > 1:
        walker = process.program.lookup("flowmetal.core", "realize-all" if need.whole else "realize-some")
        if walker is not None and walker.value.__class__ is Closure:
            call = entry_frame(walker.value, [lazy] if need.whole else [lazy, need.cells])
            fiber.frames.append(frame)
            fiber.frames.append(call)
            return Mode.ENTER
    if lazy.state == "running":
        _check_owner(fiber, lazy)
        wait_for(process, fiber, frame, Wait.REALIZE, lazy)
        return Mode.STOP
    call = _body(lazy)
    fiber.frames.append(frame)
    _begin(process, fiber, lazy, call)
    return Mode.ENTER


def _check_owner(fiber: Fiber, lazy: LazySeq) -> None:
    if lazy.owner_fiber == fiber.id:
        fail("argument", "a lazy sequence needs itself while it is being realized")


def _body(lazy: LazySeq) -> Frame:
    return entry_frame(check_closure(lazy.thunk, "the body of a lazy sequence"), [])


def _begin(process: Process, fiber: Fiber, lazy: LazySeq, call: Frame) -> None:
    """Puts the body of a lazy sequence on top, to be entered."""
    lazy.state = "running"
    lazy.owner_fiber = fiber.id
    process.touch(lazy)
    push_region(fiber, Region.REALIZE, lazy)
    fiber.frames.append(call)


def _realized(process: Process, fiber: Fiber, lazy: LazySeq, value: Any) -> tuple[int, Any]:
    """The body of a lazy sequence came to `value`, which may itself be lazy still.  Its region is off the stack."""
    try:
        if value.__class__ is LazySeq and value.state != "done":
            if value.state == "running":
                _check_owner(fiber, value)
                push_region(fiber, Region.REALIZE, lazy)
                try:
                    wait_for(process, fiber, None, Wait.REALIZE, value, (Resume.VALUE, value))
                except LanguageError:
                    pop_frame(fiber)
                    raise
                return Mode.STOP, None
            call = _body(value)
            push_region(fiber, Region.REALIZE, lazy)
            _begin(process, fiber, value, call)
            return Mode.ENTER, None
        lazy.value = sequences.seq(value)
    except LanguageError:
        _unrealize(process, lazy)
        raise
    lazy.state = "done"
    lazy.thunk = None
    process.touch(lazy)
    wake(process, lazy)
    return Mode.DELIVER, value


def _unrealize(process: Process, lazy: LazySeq) -> None:
    """An error is not kept: who comes next tries again."""
    lazy.state = "new"
    process.touch(lazy)
    wake(process, lazy)
