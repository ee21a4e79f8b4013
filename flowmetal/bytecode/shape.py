"""Where the operands stand in an instruction tuple, derived from the opcode table.

Liveness, the verifier and whoever rewrites instructions ask here which registers an instruction reads and writes and
where it may go, so that a new row in the table is known to all of them at once.
"""

from __future__ import annotations

from flowmetal.bytecode.opcodes import OPCODES, Opcode, Operand
from flowmetal.bytecode.program import Instruction
from flowmetal.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Positions in the tuple `(number, operand, ...)`; 0, where the number stands, means that there is none."""

    write: int
    reads: tuple[int, ...]
    registers: int
    label: int
    back: int
    ends: bool


def _shape(opcode: Opcode) -> Shape:
    places: dict[Operand, list[int]] = {}
    for position, operand in enumerate(opcode.operands, 1):
        places.setdefault(operand, []).append(position)

    def one(operand: Operand) -> int:
        found = places.get(operand, [0])
        assert len(found) == 1, f"{opcode.name} has two operands of the kind {operand.name}"
        return found[0]

    return Shape(
        write=one(Operand.WRITE),
        reads=tuple(places.get(Operand.READ, ())),
        registers=one(Operand.REGISTERS),
        label=one(Operand.LABEL),
        back=one(Operand.BACK),
        ends=opcode.ends,
    )


#: The shape of each opcode by wire number.
SHAPES: dict[int, Shape] = {opcode.number: _shape(opcode) for opcode in OPCODES}


def registers_read(instruction: Instruction) -> tuple[int, ...]:
    """The registers an instruction reads, in the order of its operands."""
    shape = SHAPES[instruction[0]]
    read = tuple(instruction[position] for position in shape.reads)
    return read + instruction[shape.registers] if shape.registers else read


def register_written(instruction: Instruction) -> int | None:
    """The register an instruction writes, or None."""
    position = SHAPES[instruction[0]].write
    return instruction[position] if position else None


def jump_target(instruction: Instruction) -> int | None:
    """The index an instruction may jump to, forward or back, or None."""
    shape = SHAPES[instruction[0]]
    position = shape.label or shape.back
    return instruction[position] if position else None
