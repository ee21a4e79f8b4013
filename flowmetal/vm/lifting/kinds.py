"""What is known of the values in registers: a small integer, true or false, or anything.

INT means an integer whose additions need no look at its size.  The integers that lifted code starts from are smaller
than 2^SMALL_BITS; in one go it takes SPAN slices of fuel at most, and a body that has at most ADDITIONS_MAX additions
of two variables makes integers longer by as many bits for each; so none comes near the size that the language allows,
and the check for it can be left out.  What is multiplied is looked at.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code, Instruction
from flowmetal.bytecode.shape import register_written
from flowmetal.values.numbers import INTEGER_BITS_MAX
from flowmetal.vm.lifting.flow import Flow
from flowmetal.vm.state import SLICE

NOTHING, INT, BOOL, ANY = 0, 1, 2, 3

SMALL_BITS = 62
SMALL = 1 << SMALL_BITS
#: Slices of fuel that lifted code runs through at most before frames take over.
SPAN = 10
ADDITIONS_MAX = 5
FACTOR_BITS_MAX = 3  # of constants whose products count as so many additions
assert SMALL_BITS + (SLICE + 1) * SPAN * ADDITIONS_MAX + 64 < INTEGER_BITS_MAX  # 64: what the constants added come to

#: Builtins that give an integer, smaller than SMALL, or no value at all; and those that give true or false.
INTEGER_BUILTINS = frozenset({505})
BOOLEAN_BUILTINS = frozenset(
    {109, 110, 111, 112, 113, 117, 118, 119, 120, 121, 410, 507, 508, 605, 606, 609, 611, 700, 701, 702}
    | set(range(706, 744))
)
#: Of two integers, the second not zero: quot, rem, mod.
DIVISIONS = frozenset({104, 105, 106})

#: Builtins whose arguments are numbers, integers most of the time.
_OF_INTEGERS = DIVISIONS | {107, 108, 117, 118, 119, 120, 121}

_ARITHMETIC = frozenset({Op.add, Op.subtract, Op.multiply, Op.less, Op.less_equal})
_SUMS = frozenset({Op.add, Op.subtract})
_TRUTHS = frozenset({Op.true, Op.false, Op.less, Op.less_equal, Op.equal, Op.not_})


def constant_kind(value: Any) -> int:
    """The kind of a constant."""
    kind = value.__class__
    if kind is int and -SMALL < value < SMALL:
        return INT
    return BOOL if kind is bool else ANY


def additions(code: Code) -> int:
    """How many bits the sums of a body, and its products with small constants, can make integers longer by."""
    bits = sum(1 for row in code.instructions if row[0] in _SUMS)
    for index, row in enumerate(code.instructions):
        if row[0] == Op.multiply:
            loads = [one[2] for one in code.instructions[:index] if one[0] == Op.integer and one[1] in row[2:4]]
            bits += max([one.bit_length() for one in loads if one.bit_length() <= FACTOR_BITS_MAX], default=0)
    return bits


def wanted(code: Code, registers: int) -> int:
    """Of a mask of registers those that arithmetic is done with, as a mask."""
    used = 0
    for row in code.instructions:
        number = row[0]
        if number in _ARITHMETIC:
            used |= 1 << row[2] | 1 << row[3]
        elif number == Op.add_integer or (number == Op.move and used >> row[1] & 1):
            used |= 1 << row[2]
    return used & registers


class Kinds:
    """The kinds of registers at the start of each block, by going round until nothing changes.

    `start`: kinds at the entry, by register; others hold anything.  `own`: arguments of the instructions that call the
    body itself; `needs`: positions where it wants integers; `returns`: what it then gives.
    """

    def __init__(
        self, flow: Flow, start: dict[int, int], own: dict[int, tuple[int, ...]], needs: tuple[int, ...], returns: int
    ) -> None:
        self.flow = flow
        self.own = own
        self.needs = needs
        self.returns = returns
        self.before: dict[int, dict[int, int]] = {flow.entry: dict(start)}
        self.result = NOTHING  # what the body returns, as far as it is known
        self._run()

    def _run(self) -> None:
        blocks = self.flow.blocks
        changed = True
        while changed:
            changed = False
            self.result = NOTHING
            for start in self.flow.order:
                kinds = self.before.get(start)
                if kinds is None:
                    continue
                kinds = dict(kinds)
                block = blocks[start]
                for index in range(start, block.stop):
                    self._step(index, self.flow.code.instructions[index], kinds)
                for edge in block.edges:
                    known = self.before.get(edge.target)
                    if known is None:
                        self.before[edge.target] = dict(kinds)
                        changed = True
                        continue
                    for register, kind in list(known.items()):
                        if kind != ANY and kinds.get(register, ANY) != kind:
                            known[register] = ANY
                            changed = True

    def _step(self, index: int, row: Instruction, kinds: dict[int, int]) -> None:
        if row[0] == Op.return_:
            kind = kinds.get(row[1], ANY)
            self.result = kind if self.result in (NOTHING, kind) else ANY
            return
        if row[0] in (Op.tail_call, Op.tail_call_global, Op.tail_apply):
            kind = self.returns if self.fits(index, kinds) else ANY
            self.result = kind if self.result in (NOTHING, kind) else ANY
            return
        written = register_written(row)
        if written is not None:
            kinds[written] = self.result_kind(index, row, kinds)

    def result_kind(self, index: int, row: Instruction, kinds: dict[int, int]) -> int:
        """The kind of what an instruction writes."""
        number = row[0]
        if number == Op.integer:
            return INT
        if number in _TRUTHS:
            return BOOL
        if number == Op.move:
            return kinds.get(row[2], ANY)
        if number == Op.constant:
            assert self.flow.code.module is not None
            return constant_kind(self.flow.code.module.constants[row[2]])
        if number == Op.add_integer:
            return INT if kinds.get(row[2], ANY) == INT else ANY
        if number in _ARITHMETIC:
            return INT if kinds.get(row[2], ANY) == INT == kinds.get(row[3], ANY) else ANY
        if number == Op.builtin:
            if row[2] in INTEGER_BUILTINS:
                return INT
            if row[2] in BOOLEAN_BUILTINS:
                return BOOL
            if row[2] in DIVISIONS and all(kinds.get(register, ANY) == INT for register in row[3]):
                return INT
            return ANY
        if number in (Op.call, Op.call_global) and self.fits(index, kinds):
            return self.returns
        return ANY

    def fits(self, index: int, kinds: dict[int, int]) -> bool:
        """Whether an instruction calls the body itself with integers where it wants them."""
        arguments = self.own.get(index)
        return arguments is not None and all(kinds.get(arguments[place], ANY) == INT for place in self.needs)
