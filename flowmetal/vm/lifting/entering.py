"""From frames into lifted code and back."""

from __future__ import annotations

import sys
from typing import Any

from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Closure
from flowmetal.vm.frames import Mode
from flowmetal.vm.lifting import many as _  # noqa: F401 - lifted code refers to it
from flowmetal.vm.lifting.entries import PLAIN, TYPED, integers, lifted_of
from flowmetal.vm.lifting.kinds import SMALL, SPAN
from flowmetal.vm.lifting.runtime import Exhausted, Fuel
from flowmetal.vm.lifting.takeover import take_over
from flowmetal.vm.load import RunCode
from flowmetal.vm.quota import SLICE_TICKS
from flowmetal.vm.state import SLICE, Fiber, Process

#: A call that is not lifted.
MISSED = (False, Mode.ENTER, None)

NEVER = 1 << 60
#: Fuel that lifted code must have used at least for being given up not to count against it.
WORTH = 300
#: Entries for each time of being given up that are good enough.
ENTRIES = 30
MISSES_MAX = 16  # the pause between two tries doubles so often


def enter(process: Process, body: RunCode, registers: list[Any], fuel: int, floor: int) -> tuple[bool, int, Any]:
    """Runs a call in lifted code: whether it was run at all, and the mode and value to go on with.

    `registers`: those that the body would start with.  The call's own fuel has been taken, and who waits for its value
    is on the stack; if it was run, `process.fuel` says what is left.
    """
    lifted = lifted_of(body)
    if not lifted.calls:
        body.heat = NEVER
        return MISSED
    code = body.code
    given = code.parameters + code.variadic
    own: Any = None
    if code.takes_self:
        own = registers[given + code.captures]
    elif code.captures:
        own = Closure(None, tuple(registers[given : given + code.captures]))
    typed = bool(lifted.needs) and integers(registers, lifted.needs, SMALL)
    entry = lifted.entry(TYPED if typed else PLAIN, process)
    return _run(process, body, entry, [own, *registers[:given]], fuel, floor)


def enter_loop(
    process: Process, body: RunCode, back: int, registers: list[Any], fuel: int, floor: int
) -> tuple[bool, int, Any]:
    """Goes on in lifted code from the head of a loop, where the `jump_back` at `back` leads; else as `enter`.

    The jump has taken its fuel.  The value is the body's.
    """
    loop = lifted_of(body).loop(body.code.instructions[back][1], process)
    entry = None
    if loop is not None:
        entry = loop.entry(registers, process)
    if loop is None or entry is None:
        body.heat = ENTRIES * 10  # another loop of the body may do
        return MISSED
    return _run(process, body, entry, [registers[one] for one in loop.registers], fuel, floor)


def _run(
    process: Process,
    body: RunCode,
    entry: Any,
    arguments: list[Any],
    fuel: int,
    floor: int,
) -> tuple[bool, int, Any]:
    fiber = process.fibers[process.running]
    floor = _far_floor(process, fiber, floor)
    given = fuel - floor + 1
    counter = Fuel(None, given)
    counter.process = process
    counter.fiber = fiber
    counter.extra = 0
    try:
        value = entry(counter, *arguments)
    except FlowmetalError:
        raise
    except Exception as problem:
        taken = take_over(fiber, problem, counter)
        out_of_fuel = problem.__class__ is Exhausted
    else:
        _pass_slices(process, floor + counter.left())
        return True, Mode.DELIVER, value
    left = counter.left()
    if not out_of_fuel and given - left < WORTH:
        _missed(body)
    if taken is None:
        return MISSED
    _pass_slices(process, floor + left)
    return True, *taken


def _far_floor(process: Process, fiber: Fiber, floor: int) -> int:
    """The fuel that lifted code may run down to: past the ends of slices at which the quotas would be found kept.

    These are those before the heap is due to be counted, if the stack cannot outgrow its quota meanwhile: it gets two
    frames at most for each of Python's.
    """
    if floor <= 0 or len(fiber.frames) + 2 * sys.getrecursionlimit() >= process.limits.frames:
        return floor
    due = (process.heap_due - process.next_request - 1) // SLICE_TICKS
    free = min(due, process.limits.fuel // SLICE) - process.slices
    return max(floor - min(max(free, 0), SPAN - 1) * (SLICE + 1), 0)


def _pass_slices(process: Process, fuel: int) -> None:
    """Takes note of the fuel that is left, and of the slices that have ended."""
    process.fuel = fuel
    while fuel < process.slice_end:
        process.slices += 1
        process.slice_end -= SLICE + 1


def _missed(body: RunCode) -> None:
    """Lifted code was given up after little work: if that is often so, it is left alone for a while."""
    lifted = lifted_of(body)
    if -body.heat < ENTRIES:
        lifted.misses = min(lifted.misses + 1, MISSES_MAX)
        body.heat = 8 << lifted.misses
    else:
        lifted.misses = 0
        body.heat = 0
