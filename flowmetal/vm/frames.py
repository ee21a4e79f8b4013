"""The stack of a fiber: frames of calls, region frames, and what the regions say about where a fiber stands.

`Fiber.regions` lists where the region frames are; whoever adds or takes away frames goes through here, or keeps it
right itself as the loop in machine.py does for frames of calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.values import Closure, Resumption, Vector, fail, print_string, sequences
from flowmetal.vm.load import RunCode, run_function
from flowmetal.vm.state import Deadline, Fiber, Frame, Region


class Mode:
    """How the loop goes on: enter the frame on top, deliver a value to it, or stop running this fiber.

    ON, of instructions that run outside the loop: the running frame goes on behind them.
    """

    ENTER, DELIVER, STOP, ON = 0, 1, 2, 3


def check_closure(value: Any, what: str) -> Closure:
    """The value as a closure; LanguageError :type, `what` saying what it is for."""
    if value.__class__ is not Closure:
        fail("type", f"{what} is a function of the program, not {print_string(value, limit=80)}")
    closure: Closure = value
    return closure


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
    """Takes the top frame off."""
    frame = fiber.frames.pop()
    if frame[0] is None:
        fiber.regions.pop()
    return frame


def cut_off(fiber: Fiber, index: int) -> list[Frame]:
    """Takes the frames from `index` up off the stack."""
    body = fiber.frames[index:]
    del fiber.frames[index:]
    while fiber.regions and fiber.regions[-1] >= index:
        fiber.regions.pop()
    return body


def mount(fiber: Fiber, frames: Iterable[Frame]) -> None:
    """Puts frames cut off earlier on top."""
    for frame in frames:
        if frame[0] is None:
            fiber.regions.append(len(fiber.frames))
        fiber.frames.append(frame)


def position(frame: Frame) -> int:
    """The instruction at which a code frame stands: the one it waits for, or the one to be run."""
    pc: int = frame[2]
    return pc - 1 if frame[3] >= 0 else pc


def innermost_scope(fiber: Fiber) -> int:
    """The scope a fiber started here would belong to."""
    frames = fiber.frames
    for index in reversed(fiber.regions):
        if frames[index][1] == Region.SCOPE:
            number: int = frames[index][2]
            return number
    raise AssertionError("every fiber stands on a scope")


def inside(fiber: Fiber, kind: int) -> bool:
    """Whether a fiber stands inside a region of a kind."""
    return any(fiber.frames[index][1] == kind for index in fiber.regions)


def refuse_in_atomic(fiber: Fiber, what: str) -> None:
    """LanguageError :atomic inside the update of a cell: it is one step, so nothing in it may wait or start."""
    if fiber.regions and inside(fiber, Region.ATOMIC):
        fail("atomic", f"{what} here: a cell is being updated")


def running_clause(fiber: Fiber, resumption: Resumption) -> bool:
    """Whether the clause that a resumption was made for is on the stack."""
    frames = fiber.frames
    for index in reversed(fiber.regions):
        if frames[index][1] == Region.CLAUSE and frames[index][2] is resumption:
            return True
    return False


def shielded(fiber: Fiber, code: RunCode | None = None, index: int = -1) -> bool:
    """Whether cancellation is held back: inside a shield or the body of a `finally`.

    `code` and `index`: the running instruction, whose frame is off the stack.  A clause that runs for a body which
    performed inside a shield is as shielded as that body, whose frames its resumption holds.
    """
    if fiber.deadline == Deadline.OVER:
        return False
    if code is not None and code.in_finally(index):
        return True
    return _stands_in(fiber, shields=True)


def cleans_up(fiber: Fiber) -> bool:
    """Whether a fiber that does not run stands in the body of a `finally`."""
    return _stands_in(fiber, shields=False)


def _stands_in(fiber: Fiber, shields: bool) -> bool:
    """Whether the body of a `finally` is on the stack, or a shield where `shields` says so."""
    stacks: list[Iterable[Frame]] = [fiber.frames]
    seen: set[int] = set()
    while stacks:
        for frame in stacks.pop():
            if frame[0] is not None:
                if frame[0].finally_ranges and frame[0].in_finally(position(frame)):
                    return True
            elif frame[1] == Region.SHIELD and shields:
                return True
            elif frame[1] == Region.CLAUSE and id(frame[2]) not in seen:
                seen.add(id(frame[2]))
                stacks.append(frame[2].frames)
    return False
