"""From Python frames to frames of the machine: what lifted code was doing when an exception ended it.

The exception is that fuel is used up, that something is for frames, that Python's stack is full, or an error of the
program.  The traceback has every Python function that was running with its variables and its line; each line says where
it stands in the bytecode, so the stack of the fiber is built as frames would have built it, and they go on.  Nothing is
done twice but the pure instructions of the statement that was interrupted.

Metas of lines:
    ("entry",)                 the function has not begun: the call is made again
    ("through",)               it stands for nothing
    ("own",)                   the body's own loop: j says which call of itself was next, 0 that it has not begun
    ("loop", head, sites, m)   the loop's fuel: j says which jump back was next, -1 that it was entered; m: by the call
    ("at", index, start)       an instruction that begins again at `start`
    ("call", index, start)     a call, whose result it waits for
    ("tail", index, start)     a call in place of the frame, which is gone then
"""

from __future__ import annotations

from types import FrameType, TracebackType
from typing import Any

from flowmetal.bytecode.shape import register_written
from flowmetal.values import Closure
from flowmetal.vm.frames import Mode, entry_frame, push_region
from flowmetal.vm.lifting.accumulators import ITEMS
from flowmetal.vm.lifting.building import grown
from flowmetal.vm.lifting.entries import HELPERS
from flowmetal.vm.lifting.function import Info
from flowmetal.vm.lifting.runtime import Fuel, atomic, realize
from flowmetal.vm.state import Fiber, Frame, Region

_REALIZE, _ATOMIC = realize.__code__, atomic.__code__


class _Stand:
    """One Python function that was running: lifted code, or a helper that stands for a region."""

    __slots__ = ("info", "meta", "python")

    def __init__(self, python: FrameType, info: Info | None, meta: tuple[Any, ...]) -> None:
        self.python = python
        self.info = info
        self.meta = meta


def take_over(fiber: Fiber, problem: BaseException, fuel: Fuel) -> tuple[int, Any] | None:
    """Puts the frames of interrupted lifted code on the stack of its fiber: (mode, value) to go on with.

    None: it had not begun, and nothing was done.
    """
    stands = _stands(problem.__traceback__)
    while stands:
        last = stands[-1]
        kind = last.meta[0]
        if kind == "realize":
            stage = last.python.f_locals["stage"]
            if stage == 1:
                fuel.extra -= 1  # the body did not take its fuel
            if stage > 0:
                break
        elif kind == "loop":
            if last.python.f_locals[f"j{last.meta[1]}"] >= 0:
                break
            if not last.meta[3]:
                fuel.extra -= 1
                break
        elif kind == "own":
            if last.meta[1] and last.python.f_locals["j"]:
                break
        elif kind != "entry" and kind != "atomic":
            break
        stands.pop()
    if not stands:
        return None
    for place, stand in enumerate(stands[:-1]):
        _push(fiber, stand, stands[place + 1].meta[0])
    last = stands[-1]
    if last.meta[0] != "realize":
        fiber.frames.append(_again(last))
        return Mode.ENTER, None
    variables = last.python.f_locals
    push_region(fiber, Region.REALIZE, variables["lazy"])
    if variables["stage"] == 2:
        return Mode.DELIVER, variables["value"]
    thunk: Closure = variables["thunk"]
    fiber.frames.append(entry_frame(thunk, []))
    return Mode.ENTER, None


def _stands(traceback: TracebackType | None) -> list[_Stand]:
    stands: list[_Stand] = []
    traceback = traceback.tb_next if traceback is not None else None  # the first is who entered lifted code
    while traceback is not None:
        python = traceback.tb_frame
        code = python.f_code
        if code is _REALIZE:
            stands.append(_Stand(python, None, ("realize",)))
        elif code is _ATOMIC:
            stands.append(_Stand(python, None, ("atomic",)))
        elif code not in HELPERS:
            info = python.f_globals.get("INFO")
            if info.__class__ is not Info:
                break
            meta = info.metas.get(traceback.tb_lineno)
            if meta is None:
                raise RuntimeError(f"line {traceback.tb_lineno} of lifted code cannot be taken over") from None
            if meta[0] == "own":
                meta = ("own", bool(info.sites))
            if meta[0] != "through":
                stands.append(_Stand(python, info, meta))
        traceback = traceback.tb_next
    return stands


def _push(fiber: Fiber, stand: _Stand, above: str) -> None:
    """A frame below the last: it waits for what is above it."""
    kind = stand.meta[0]
    if kind == "realize":
        push_region(fiber, Region.REALIZE, stand.python.f_locals["lazy"])
    elif kind == "atomic":
        push_region(fiber, Region.ATOMIC, None)
    elif above == "realize":
        fiber.frames.append(_again(stand))
    elif kind == "call":
        assert stand.info is not None
        index = stand.meta[1]
        written = register_written(stand.info.body.code.instructions[index])
        assert written is not None
        fiber.frames.append((stand.info.body, _registers(stand, index), index + 1, written))
    else:
        assert kind == "tail", kind


def _again(stand: _Stand) -> Frame:
    """The frame that begins the interrupted statement again."""
    assert stand.info is not None
    meta = stand.meta
    if meta[0] == "loop":
        turn = stand.python.f_locals[f"j{meta[1]}"]
        index = meta[1] if turn < 0 else meta[2][turn]
    elif meta[0] == "own":
        index, arguments, function = stand.info.sites[stand.python.f_locals["j"] - 1]
        variables = stand.python.f_locals
        registers = _registers(stand, index)
        for place, register in enumerate(arguments):
            registers[register] = variables[f"r{place}"]
        if function >= 0:
            registers[function] = variables["S"]
        return (stand.info.body, registers, index, -1)
    else:
        index = meta[2]
    return (stand.info.body, _registers(stand, index), index, -1)


def _registers(stand: _Stand, index: int) -> list[Any]:
    """The registers of a frame that stands at an instruction."""
    assert stand.info is not None
    body = stand.info.body
    registers: list[Any] = [None] * body.code.registers
    registers.extend(body.slots)
    variables = stand.python.f_locals
    for name, value in variables.items():
        if name[0] == "r":
            registers[int(name[1:])] = value
    for start, stop, gathered in stand.info.gathered:
        if start <= index < stop:
            for register, what in gathered.items():
                if what == ITEMS:
                    registers[register] = grown(registers[register], variables[f"L{register}"])
                elif variables[f"A{register}"] is not None:
                    registers[register] = variables[f"A{register}"].value()
    for register, operand in stand.info.snapshots[index].items():
        registers[register] = operand.value
    return registers
