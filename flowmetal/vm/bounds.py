"""A second look at code before it is first run: that no operand leads outside of its tables.

The verifier has seen to that, and more; this is for the case that it was wrong, or that code came by another way.  It
knows the opcode table and nothing of the verifier.  Made once per code, so the loop of the machine checks nothing.
"""

from __future__ import annotations

from typing import NoReturn

from flowmetal.bytecode.opcodes import OPCODES, REGISTERS_MAX, Op, Operand
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES
from flowmetal.diagnostics import FlowmetalError

_TABLES = (Operand.CONSTANT, Operand.REFERENCE, Operand.FUNCTION)

#: For each opcode its number of operands, the places of registers, and places with the table they are indexes into.
_PLACES: dict[int, tuple[int, tuple[int, ...], tuple[tuple[int, Operand], ...]]] = {
    opcode.number: (
        len(opcode.operands),
        tuple(place for place, kind in enumerate(opcode.operands, 1) if kind in (Operand.READ, Operand.WRITE)),
        tuple((place, kind) for place, kind in enumerate(opcode.operands, 1) if kind in _TABLES),
    )
    for opcode in OPCODES
}


def check_bounds(code: Code) -> None:
    """Passes, or raises FlowmetalError V351."""
    rows = code.instructions
    module = code.module
    if (
        not rows
        or module is None
        or not (
            0 <= code.parameters + code.variadic + code.captures + code.takes_self <= code.registers <= REGISTERS_MAX
        )
    ):
        _refuse(code, -1)
    sizes = dict(zip(_TABLES, map(len, (module.constants, module.references, module.functions)), strict=True))
    count, registers = len(rows), code.registers
    for index, row in enumerate(rows):
        found = _PLACES.get(row[0])
        if found is None or len(row) != found[0] + 1:
            _refuse(code, index)
        for place in found[1]:
            if not 0 <= row[place] < registers:
                _refuse(code, index)
        for place, kind in found[2]:
            if not 0 <= row[place] < sizes[kind]:
                _refuse(code, index)
        shape = SHAPES[row[0]]
        if shape.registers:
            for register in row[shape.registers]:
                if not 0 <= register < registers:
                    _refuse(code, index)
        if shape.label:
            if not index < row[shape.label] < count:
                _refuse(code, index)
        elif shape.back and not (0 <= row[shape.back] < index and rows[row[shape.back]][0] == Op.loop):
            _refuse(code, index)
    if not SHAPES[rows[-1][0]].ends:
        _refuse(code, count - 1)
    for handler in code.tries:
        if not (0 <= handler.start < handler.end <= handler.target < count and 0 <= handler.register < registers):
            _refuse(code, handler.start)


def _refuse(code: Code, index: int) -> NoReturn:
    raise FlowmetalError("V351", code=code.name, index=index)
