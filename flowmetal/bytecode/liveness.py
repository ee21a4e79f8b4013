"""Liveness: which registers of a suspended frame can still be read, so that an image writes only those.

A backward pass over the instructions gives for each the set of registers that some way on from it reads before
writing.  Errors are ways on too: every instruction inside a try range may go to the range's target, also one that
raises nothing itself, since a frame can be abandoned wherever it was stopped.  Loops need the pass once more for each
level of nesting.  The result is kept in `code.live`; it follows from the instructions alone, so it is never stored.
"""

from __future__ import annotations

from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES


class Liveness:
    """What is live in one code.  `live_in[i]` is a bit mask of the registers live before instruction i."""

    __slots__ = ("_innermost", "_unwinding", "after_call", "live_in", "retry")

    def __init__(self, live_in: list[int], innermost: list[int], unwinding: list[int]) -> None:
        self.live_in = live_in
        self.after_call: dict[int, tuple[int, ...]] = {}
        self.retry: dict[int, tuple[int, ...]] = {}
        self._innermost = innermost
        self._unwinding = unwinding

    def unwinding(self, index: int) -> int:
        """The registers that the handlers around an instruction may read when it raises."""
        row = self._innermost[index]
        return self._unwinding[row] if row >= 0 else 0


def liveness(code: Code) -> Liveness:
    """The liveness of a code, computed when first asked."""
    found = code.live
    if found is None:
        found = code.live = _analyse(code)
    result: Liveness = found
    return result


def live_in(code: Code) -> list[int]:
    """A bit mask for each instruction: bit r says that register r may be read from there on before it is written."""
    return liveness(code).live_in


def live_after_call(code: Code, pc: int) -> tuple[int, ...]:
    """The registers to save of a frame that waits for the result of instruction `pc - 1`, ascending.

    These are what is live at `pc` without the register the result goes to, and what a handler around the instruction
    reads if the call fails.
    """
    live = code.live if code.live is not None else liveness(code)
    found: tuple[int, ...] | None = live.after_call.get(pc)
    if found is None:
        instruction = code.instructions[pc - 1]
        shape = SHAPES[instruction[0]]
        mask = 0 if shape.ends else live.live_in[pc]
        if shape.write:
            mask &= ~(1 << instruction[shape.write])
        found = live.after_call[pc] = _registers(mask | live.unwinding(pc - 1))
    return found


def read_after(code: Code, index: int) -> int:
    """A bit mask of the registers that instruction `index` leaves to be read later, its own result not counted."""
    live = code.live if code.live is not None else liveness(code)
    shape = SHAPES[code.instructions[index][0]]
    mask: int = 0 if shape.ends else live.live_in[index + 1]
    if shape.write:
        mask &= ~(1 << code.instructions[index][shape.write])
    return mask | live.unwinding(index)


def live_retry(code: Code, pc: int) -> tuple[int, ...]:
    """The registers to save of a frame that will run instruction `pc` next, or again, ascending."""
    live = code.live if code.live is not None else liveness(code)
    found: tuple[int, ...] | None = live.retry.get(pc)
    if found is None:
        found = live.retry[pc] = _registers(live.live_in[pc])
    return found


def _registers(mask: int) -> tuple[int, ...]:
    registers = []
    while mask:
        low = mask & -mask
        registers.append(low.bit_length() - 1)
        mask ^= low
    return tuple(registers)


def _analyse(code: Code) -> Liveness:
    count = len(code.instructions)
    innermost = [-1] * count  # the innermost try row around each instruction
    parents = [-1] * len(code.tries)
    for number in range(len(code.tries) - 1, -1, -1):  # outermost first, so that inner rows paint over
        row = code.tries[number]
        if row.start < row.end:
            parents[number] = innermost[row.start]
            innermost[row.start : row.end] = [number] * (row.end - row.start)
    live = [0] * count
    unwinding = [0] * len(code.tries)
    backs = [(index, ins[1]) for index, ins in enumerate(code.instructions) if SHAPES[ins[0]].back]
    start = count - 1
    while start >= 0:
        used = [live[head] for _, head in backs]
        _pass(code, start, live, innermost, parents, unwinding)
        # A back edge that was given less than its loop's head turned out to need makes another pass necessary.
        stale = [index for (index, head), before in zip(backs, used, strict=True) if live[head] != before]
        start = max(stale, default=-1)
    return Liveness(live, innermost, unwinding)


def _pass(
    code: Code, start: int, live: list[int], innermost: list[int], parents: list[int], unwinding: list[int]
) -> None:
    """One backward pass from instruction `start`, over what earlier passes have found."""
    instructions, tries = code.instructions, code.tries
    count = len(instructions)
    fresh = [False] * len(tries)
    for index in range(start, -1, -1):
        instruction = instructions[index]
        shape = SHAPES[instruction[0]]
        mask = 0 if shape.ends or index + 1 == count else live[index + 1]
        if shape.label:
            mask |= live[instruction[shape.label]]
        elif shape.back:
            mask |= live[instruction[shape.back]]
        if shape.write:
            mask &= ~(1 << instruction[shape.write])
        for position in shape.reads:
            mask |= 1 << instruction[position]
        if shape.registers:
            for register in instruction[shape.registers]:
                mask |= 1 << register
        row = innermost[index]
        if row >= 0:
            if not fresh[row]:
                # The target stands behind the range, so what is live there is already known.
                chain = []
                while row >= 0 and not fresh[row]:
                    chain.append(row)
                    row = parents[row]
                for number in reversed(chain):
                    handler = tries[number]
                    reads = live[handler.target] & ~(1 << handler.register)
                    unwinding[number] = reads | (unwinding[parents[number]] if parents[number] >= 0 else 0)
                    fresh[number] = True
                row = innermost[index]
            mask |= unwinding[row]
        live[index] = mask
