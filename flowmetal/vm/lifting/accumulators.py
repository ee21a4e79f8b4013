"""Registers that a loop changes in place of themselves, `(recur (conj v x))`, so that the changes can be gathered.

Such a register is read in the loop by nothing but these changes and look-ups.  Where it is used otherwise, behind the
loop, the changes are put into the collection first.
"""

from __future__ import annotations

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


def accumulators(flow: Flow) -> dict[int, int]:
    """The registers whose changes are gathered, with what is gathered."""
    instructions = flow.code.instructions
    inside: set[int] = set()
    for start in flow.order:
        if flow.blocks[start].head:
            inside |= flow.loop_of(start)
    rows = [instructions[index] for start in sorted(inside) for index in range(start, flow.blocks[start].stop)]
    changed = {row[1] for row in rows if changes(row)}
    if not changed:
        return {}
    spoiled: set[int] = set()
    for row in rows:
        read, written = registers_read(row), register_written(row)
        if changes(row):
            spoiled.update(read[1:])
        else:
            spoiled.update(read[1:] if read and looks_up(row, read[0]) else read)
            if written is not None:
                spoiled.add(written)
    kinds: dict[int, int] = {}
    for register in sorted(changed - spoiled):
        mine = [row for row in rows if changes(row) and row[1] == register]
        read_too = any(looks_up(row, register) for row in rows)
        kinds[register] = CHANGES if read_too or any(row[2] == ASSOC for row in mine) else ITEMS
    return kinds
