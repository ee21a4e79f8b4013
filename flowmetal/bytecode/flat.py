"""Instructions as flat integers, and integers as bytes: the stored form of a code body.

A flat instruction is its number and its operands in turn; a list of registers is its length followed by its items.
Integers are stored in the least fixed width that holds all of them, little-endian, so that reading takes one call
whatever the bytes are.  Decoding gives instructions of the right shape; verify.py looks at what they mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from flowmetal.bytecode.opcodes import ARGUMENTS_MAX, BY_NUMBER, INSTRUCTIONS_MAX, OPCODES, Operand
from flowmetal.bytecode.program import Instruction
from flowmetal.diagnostics import FlowmetalError

#: For each opcode the number of its single operands, and whether a list of registers follows them.
LAYOUTS: dict[int, tuple[int, bool]] = {
    opcode.number: (
        sum(operand is not Operand.REGISTERS for operand in opcode.operands),
        Operand.REGISTERS in opcode.operands,
    )
    for opcode in OPCODES
}
assert all(Operand.REGISTERS not in opcode.operands[:-1] for opcode in OPCODES), "a register list comes last"

_WIDTHS: dict[int, str] = {1: "b", 2: "h", 4: "i", 8: "q"}


def encode_instructions(instructions: Iterable[Instruction]) -> list[int]:
    """The flat form of instructions, which must be well formed."""
    flat: list[int] = []
    for instruction in instructions:
        if LAYOUTS[instruction[0]][1]:
            flat.extend(instruction[:-1])
            flat.append(len(instruction[-1]))
            flat.extend(instruction[-1])
        else:
            flat.extend(instruction)
    return flat


def decode_instructions(flat: Sequence[int], place: str) -> tuple[Instruction, ...]:
    """Instructions from their flat form.  `place` is for messages.  Errors: B101, B102, B114, B119."""
    instructions: list[Instruction] = []
    position, size = 0, len(flat)
    while position < size:
        index = len(instructions)
        if index >= INSTRUCTIONS_MAX:
            raise FlowmetalError("B119", place=place, limit=INSTRUCTIONS_MAX)
        number = flat[position]
        layout = LAYOUTS.get(number)
        if layout is None:
            raise FlowmetalError("B101", place=f"{place}, instruction {index}", number=number)
        end = position + 1 + layout[0]
        if layout[1] and end < size:
            count = flat[end]
            if not 0 <= count <= ARGUMENTS_MAX:
                raise FlowmetalError("B114", place=_at(place, index, number), count=count, limit=ARGUMENTS_MAX)
            last = end + 1 + count
            operands: tuple[Any, ...] = (*flat[position:end], tuple(flat[end + 1 : last]))
            end = last
        else:
            operands = tuple(flat[position:end])
            end += layout[1]
        if end > size:
            raise FlowmetalError("B102", place=_at(place, index, number))
        instructions.append(operands)
        position = end
    return tuple(instructions)


def pack_integers(integers: Sequence[int]) -> bytes:
    """Integers of up to 64 bits as bytes: the width, then each in that width."""
    low, high = min(integers, default=0), max(integers, default=0)
    width = next(width for width in _WIDTHS if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)
    return bytes([width]) + struct.pack(f"<{len(integers)}{_WIDTHS[width]}", *integers)


def unpack_integers(data: bytes | memoryview, place: str) -> tuple[int, ...]:
    """Integers from their bytes.  Errors: B005."""
    width = data[0] if len(data) else 0
    code = _WIDTHS.get(width)
    if code is None or (len(data) - 1) % width:
        raise FlowmetalError("B005", place=place, problem="is not a list of integers")
    return struct.unpack(f"<{(len(data) - 1) // width}{code}", data[1:])


def _at(place: str, index: int, number: int) -> str:
    return f"{place}, instruction {index} ({BY_NUMBER[number].name})"
