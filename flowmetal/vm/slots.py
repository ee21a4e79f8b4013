"""Constants that need no loading: which loads of a code can be left out because their readers find the constant itself.

Behind its registers a running frame has one slot for each constant of its code that is used this way.  An instruction
that would read a register just loaded reads the slot, and the load is not run.  Slots are not part of a frame's state:
an image does not hold them.  So wherever a frame can be left while a register whose load was left out is still to be
read, `Slots.pending` says what has to be put there first; the frame is then what it would have been.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.liveness import liveness
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES, jump_target, register_written, registers_read

SLOTS_MAX = 48  # constants of one code; each call copies them
REACH_MAX = 48  # instructions between a load and its last reader, so that finding it stays linear

_LOADS = frozenset({Op.nil, Op.true, Op.false, Op.integer, Op.constant})
#: Whose readers may read a slot: all that leave the frame, if they do, to run the same instruction again.
_READERS = frozenset(
    {
        Op.return_, Op.call, Op.tail_call, Op.call_global, Op.tail_call_global, Op.builtin, Op.add, Op.subtract,
        Op.multiply, Op.add_integer, Op.less, Op.less_equal, Op.equal, Op.not_, Op.vector, Op.map, Op.set,
    }
)  # fmt: skip
#: What leaves the frame and comes back behind the instruction: what is read behind it has to be in its register.
_CALLS = frozenset({Op.call, Op.call_global, Op.apply})


def loaded(code: Code, row: tuple[Any, ...]) -> Any:
    """The value that a load puts into its register."""
    number = row[0]
    if number == Op.integer:
        return row[2]
    if number == Op.constant:
        assert code.module is not None
        return code.module.constants[row[2]]
    return None if number == Op.nil else number == Op.true


class Slots:
    """The constants of one code that are read from slots.

    `values`: what the slots hold; the first of them stands at `first`, behind the registers.  `left_out`: the loads
    that are not run.  `renamed`: for an instruction, the registers it reads and the slots to read in their place.
    `pending`: for an instruction, registers and values to be put there before a frame that stands at it is seen by
    anybody.
    """

    __slots__ = ("_numbers", "first", "left_out", "pending", "renamed", "values")

    def __init__(self, code: Code) -> None:
        self.values: list[Any] = []
        self.left_out: set[int] = set()
        self.renamed: dict[int, dict[int, int]] = {}
        self.pending: dict[int, list[tuple[int, Any]]] = {}
        self.first = code.registers
        self._numbers: dict[tuple[type, int], int] = {}
        rows = code.instructions
        loads = [index for index, row in enumerate(rows) if row[0] in _LOADS]
        if not loads:
            return
        labels = {target for row in rows if (target := jump_target(row)) is not None}
        labels.update(row.target for row in code.tries)
        for index in loads:
            self._leave_out(code, index, labels)

    def _slot(self, value: Any) -> int | None:
        key = (value.__class__, value) if value.__class__ is int else (value.__class__, id(value))
        number = self._numbers.get(key)
        if number is None:
            if len(self.values) >= SLOTS_MAX:
                return None
            number = self._numbers[key] = self.first + len(self.values)
            self.values.append(value)
        return number

    def _leave_out(self, code: Code, load: int, labels: set[int]) -> None:
        found = _readers(code, load, labels)
        if found is None:
            return
        readers, waiting = found
        if not readers:
            return
        value = loaded(code, code.instructions[load])
        slot = self._slot(value)
        if slot is None:
            return
        register = code.instructions[load][1]
        self.left_out.add(load)
        for index in readers:
            self.renamed.setdefault(index, {})[register] = slot
        for index in waiting:
            self.pending.setdefault(index, []).append((register, value))


def _readers(code: Code, load: int, labels: set[int]) -> tuple[list[int], list[int]] | None:
    """Who reads what a load puts into its register, and all instructions at which it is still to be read.

    None if the load has to be run: someone reads it who cannot read a slot, or on another way.
    """
    rows = code.instructions
    register = rows[load][1]
    bit = 1 << register
    live = liveness(code)
    readers: list[int] = []
    waiting: list[int] = []
    for index in range(load + 1, min(len(rows), load + 1 + REACH_MAX)):
        if not live.live_in[index] & bit:
            return readers, waiting
        if index in labels or live.unwinding(index) & bit:
            return None
        row = rows[index]
        number, shape = row[0], SHAPES[row[0]]
        waiting.append(index)
        if register in registers_read(row):
            if number not in _READERS:
                return None
            readers.append(index)
        target = jump_target(row)
        if target is not None and live.live_in[target] & bit:
            return None
        if shape.ends or register_written(row) == register:
            return readers, waiting
        if (number in _CALLS or number >= Op.perform) and live.live_in[index + 1] & bit:
            return None
    return None
