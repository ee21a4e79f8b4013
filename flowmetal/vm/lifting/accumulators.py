"""Registers that a loop changes in place of themselves, `(recur (conj v x))`, so that the changes can be gathered.

Such a register is read in the loop by nothing but these changes and look-ups.  Where it is used otherwise, behind the
loop, the changes are put into the collection first.
"""

from __future__ import annotations

from collections.abc import Set

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Instruction
from flowmetal.bytecode.shape import register_written, registers_read
from flowmetal.vm.lifting.flow import Flow

CONJ, ASSOC, GET, NTH = 415, 412, 408, 506

#: What is gathered: items added to a vector, and nothing is read; or any change, with look-ups.
ITEMS, CHANGES = 1, 2


def changes(row: Instruction) -> bool:
    """Whether an instruction changes a register in place of itself, in a way that can be gathered."""
    return (
        row[0] == Op.builtin
        and ((row[2] == CONJ and len(row[3]) == 2) or (row[2] == ASSOC and len(row[3]) == 3))
        and row[3][0] == row[1]
        and row[1] not in row[3][1:]
    )


def looks_up(row: Instruction, register: int) -> bool:
    """Whether an instruction looks something up in the collection of a register."""
    return row[0] == Op.builtin and row[2] in (GET, NTH) and row[3][0] == register and register not in row[3][1:]


def calls_nth(row: Instruction, register: int) -> bool:
    """Whether an instruction, known to call the library's `nth`, looks something up in the collection of a register."""
    return len(row[3]) == 2 and row[3][0] == register != row[3][1]


def accumulators(flow: Flow, nth_calls: Set[int]) -> dict[int, dict[int, int]]:
    """The registers whose changes are gathered, with what is gathered, for each block of a loop.

    `nth_calls`: the instructions that are known to call `nth`.
    """
    loops = [flow.loop_of(start) for start in flow.order if flow.blocks[start].head]
    found: dict[int, dict[int, int]] = {}
    for loop in sorted(loops, key=len, reverse=True):  # a loop around another first
        gathered = _of_loop(flow, loop, nth_calls)
        for start in loop:
            for register, what in gathered.items():
                found.setdefault(start, {}).setdefault(register, what)
    return found


def _of_loop(flow: Flow, loop: Set[int], nth_calls: Set[int]) -> dict[int, int]:
    instructions = flow.code.instructions
    indexes = [index for start in sorted(loop) for index in range(start, flow.blocks[start].stop)]
    changed = {instructions[index][1] for index in indexes if changes(instructions[index])}
    if not changed:
        return {}
    spoiled: set[int] = set()
    looked: set[int] = set()
    for index in indexes:
        row = instructions[index]
        read, written = registers_read(row), register_written(row)
        if changes(row):
            spoiled.update(read[1:])
            continue
        if read and (looks_up(row, read[0]) or (index in nth_calls and calls_nth(row, read[0]))):
            looked.add(read[0])
            read = read[1:]
        spoiled.update(read)
        if written is not None:
            spoiled.add(written)
    kinds: dict[int, int] = {}
    for register in sorted(changed - spoiled):
        mine = [instructions[index] for index in indexes if changes(instructions[index])]
        assoc = any(row[1] == register and row[2] == ASSOC for row in mine)
        kinds[register] = CHANGES if assoc or register in looked else ITEMS
    return kinds
