"""The verifier: the guard between the bytes of an artifact and the machine.

Checks one code body against the tables around it, in one forward pass of linear time: every index, jump, register and
count, that a register is written before it is read on every way, that loops and tries nest, that a closure gets as
many captures as its function takes.  The machine trusts what has passed here and checks none of it again; the types of
values are all that is left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from flowmetal.bytecode.flat import LAYOUTS
from flowmetal.bytecode.opcodes import (
    ARGUMENTS_MAX,
    BY_NUMBER,
    INSTRUCTIONS_MAX,
    NESTING_MAX,
    REGION_KINDS,
    REGISTERS_MAX,
    Op,
    Operand,
)
from flowmetal.bytecode.program import Code, Function, Instruction, Module
from flowmetal.bytecode.shape import SHAPES, register_written
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError

#: Least and greatest number of arguments of a builtin (None: any number), or None if there is no such builtin.
BuiltinArity = Callable[[int], tuple[int, int | None] | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """The tables a code refers to: their sizes, the number of captures of each function, the builtins if known."""

    constants: int
    references: int
    captures: Sequence[int]
    builtin_arity: BuiltinArity | None = None


def verify_code(code: Code, scope: Scope) -> None:
    """Passes, or raises FlowmetalError B1xx with the place of what is wrong first."""
    _Verifier(code, scope).run()


def verify_module(module: Module, builtin_arity: BuiltinArity | None = None) -> None:
    """Checks the function table of a module and then every code."""
    codes = list(module.codes)
    captures = [verify_function(function, codes) for function in module.functions]
    claimed: set[int] = set()
    for function in module.functions:
        if not claimed.isdisjoint(function.codes):
            raise FlowmetalError("B120", place=function.name, problem="shares a body with another function")
        claimed.update(function.codes)
    scope = Scope(len(module.constants), len(module.references), captures, builtin_arity)
    for code in codes:
        verify_code(code, scope)


def verify_function(function: Function, codes: Sequence[Code]) -> int:
    """Checks a function's arities; gives the number of captures of its closures.  Errors: B120."""
    for index in function.codes:
        if not 0 <= index < len(codes):
            raise FlowmetalError("B120", place=function.name, problem=f"has body {index}, of {len(codes)}")
    bodies = [codes[index] for index in function.codes]
    verify_arities(function.name, [(code.parameters, code.variadic) for code in bodies])
    captures = {code.captures for code in bodies}
    if len(captures) != 1:
        raise FlowmetalError("B120", place=function.name, problem="has bodies with unequal captures")
    return captures.pop()


def verify_arities(name: str, arities: Sequence[tuple[int, bool]]) -> None:
    """Checks the parameter counts of a function's bodies: rising, the variadic one last.  Errors: B120."""
    if not arities:
        raise FlowmetalError("B120", place=name, problem="has no body")
    for (before, variadic), (after, last_variadic) in pairwise(arities):
        if variadic:
            raise FlowmetalError("B120", place=name, problem="has a body after the one that takes any number")
        if after < before or (after == before and not last_variadic):
            raise FlowmetalError("B120", place=name, problem="has two bodies for one number of arguments")


#: Instructions with operands that must fit each other.
_COUNTED = frozenset({Op.closure, Op.builtin, Op.map})


class _Verifier:
    """The state of one pass.  `assigned` is a bit mask of registers, None where control cannot come."""

    def __init__(self, code: Code, scope: Scope) -> None:
        self.code = code
        self.scope = scope
        self.count = len(code.instructions)
        self.sizes = {
            Operand.CONSTANT: scope.constants,
            Operand.REFERENCE: scope.references,
            Operand.FUNCTION: len(scope.captures),
        }
        self.assigned: int | None = 0
        self.pending: dict[int, int] = {}  # index -> what is assigned on every way that has been seen to lead there
        self.heads: dict[int, int | None] = {}  # `loop` -> what is assigned there
        self.closures: dict[int, int] = {}  # register -> captures of the closure that it is known to hold
        self.own: dict[int, int] = {}  # the same, for what is known everywhere: the closure itself

    def fail(self, fault: str, /, index: int | None = None, **facts: Any) -> NoReturn:
        place = self.code.name
        if index is not None:
            opcode = BY_NUMBER.get(self.code.instructions[index][0])
            place = f"{place}, instruction {index}" + (f" ({opcode.name})" if opcode else "")
        raise FlowmetalError(fault, place=place, **facts)

    def run(self) -> None:
        self.header()
        for index, instruction in enumerate(self.code.instructions):
            self.form(index, instruction)
        if not SHAPES[self.code.instructions[-1][0]].ends:
            self.fail("B107", self.count - 1)
        self.nesting()
        self.loops()
        self.flow()
        self.tables()

    def header(self) -> None:
        code = self.code
        if not 0 < self.count <= INSTRUCTIONS_MAX:
            self.fail("B119", limit=INSTRUCTIONS_MAX)
        if not 0 <= code.parameters <= ARGUMENTS_MAX:
            self.fail("B118", problem=f"takes {code.parameters} parameters, and at most {ARGUMENTS_MAX} are allowed")
        if not 0 <= code.registers <= REGISTERS_MAX:
            self.fail("B118", problem=f"has {code.registers} registers, and at most {REGISTERS_MAX} are allowed")
        entry = code.parameters + code.variadic + code.captures + code.takes_self
        if code.captures < 0 or entry > code.registers:
            self.fail("B118", problem=f"starts with {entry} values in {code.registers} registers")
        self.assigned = (1 << entry) - 1
        if code.takes_self:
            self.own[entry - 1] = code.captures

    def form(self, index: int, instruction: Instruction) -> None:
        """One instruction by itself: the kinds and ranges of its operands."""
        opcode = BY_NUMBER.get(instruction[0]) if instruction else None
        if opcode is None:
            raise FlowmetalError(
                "B101", place=f"{self.code.name}, instruction {index}", number=instruction[0] if instruction else "none"
            )
        registers = self.code.registers
        single, listed = LAYOUTS[opcode.number]
        if len(instruction) != 1 + single + listed:
            self.fail("B102", index)
        for kind, operand in zip(opcode.operands, instruction[1:], strict=True):
            if kind is Operand.REGISTERS:
                if operand.__class__ is not tuple:
                    self.fail("B102", index)
                if len(operand) > ARGUMENTS_MAX:
                    self.fail("B114", index, count=len(operand), limit=ARGUMENTS_MAX)
                for register in operand:
                    if register.__class__ is not int or not 0 <= register < registers:
                        self.fail("B103", index, register=register, registers=registers)
            elif operand.__class__ is not int:
                self.fail("B102", index)
            elif kind is Operand.READ or kind is Operand.WRITE:
                if not 0 <= operand < registers:
                    self.fail("B103", index, register=operand, registers=registers)
            else:
                self.operand(index, kind, operand)
        if opcode.number in _COUNTED:
            self.counts(index, instruction)

    def operand(self, index: int, kind: Operand, operand: int) -> None:
        scope = self.scope
        if kind is Operand.INTEGER:
            if not -(1 << 31) <= operand < 1 << 31:
                self.fail("B115", index, operand=operand)
        elif kind is Operand.LABEL:
            if not index < operand < self.count:
                self.fail("B105", index, target=operand)
        elif kind is Operand.BACK:
            if not 0 <= operand < index or self.code.instructions[operand][0] != Op.loop:
                self.fail("B106", index, target=operand)
        elif kind is Operand.REGION:
            if operand not in REGION_KINDS:
                self.fail("B112", index, kind=operand)
        elif kind is Operand.BUILTIN:
            if operand < 0 or (scope.builtin_arity is not None and scope.builtin_arity(operand) is None):
                self.fail("B109", index, number=operand)
        else:
            size = self.sizes[kind]
            if not 0 <= operand < size:
                self.fail("B108", index, operand=operand, what=kind.name.lower(), size=size)

    def counts(self, index: int, instruction: Instruction) -> None:
        """What relates two operands of an instruction."""
        number = instruction[0]
        if number == Op.closure:
            captures = self.scope.captures[instruction[2]]
            if len(instruction[3]) != captures:
                self.fail("B111", index, found=len(instruction[3]), wanted=captures)
        elif number == Op.builtin:
            arity = self.scope.builtin_arity(instruction[2]) if self.scope.builtin_arity is not None else None
            given = len(instruction[3])
            if arity is not None and not (arity[0] <= given and (arity[1] is None or given <= arity[1])):
                self.fail("B110", index, given=given, number=instruction[2])
        elif number == Op.map:
            if len(instruction[2]) % 2:
                self.fail("B113", index)

    def nesting(self) -> None:
        """Try rows: in range, one inside the other or apart, inner ones first."""
        rows = self.code.tries
        for number, row in enumerate(rows):
            if not 0 <= row.start < row.end <= row.target < self.count:
                self.fail("B116", row=number, problem="is out of order or out of range")
            if not 0 <= row.register < self.code.registers:
                self.fail("B116", row=number, problem=f"puts the error into register {row.register}")
            if row.kind not in ("catch", "finally"):
                self.fail("B116", row=number, problem=f"is of the unknown kind {row.kind}")
        order = sorted(range(len(rows)), key=lambda number: (rows[number].start, -rows[number].end, -number))
        opened: list[int] = []
        for number in order:
            while opened and rows[opened[-1]].end <= rows[number].start:
                opened.pop()
            if opened:
                outer = opened[-1]
                if rows[number].end > rows[outer].end:
                    self.fail("B116", row=number, problem=f"overlaps row {outer}")
                if number > outer:
                    self.fail("B116", row=number, problem=f"stands after row {outer}, which is around it")
            opened.append(number)
            if len(opened) > NESTING_MAX:
                self.fail("B117", what="tries", limit=NESTING_MAX)

    def loops(self) -> None:
        """Loops, each from its head to the last jump back to it: one inside the other or apart, entered by the head."""
        instructions = self.code.instructions
        ends: dict[int, int] = {}
        for index, instruction in enumerate(instructions):
            if instruction[0] == Op.jump_back:
                ends[instruction[1]] = index  # rises, so the last one stays
        if not ends:
            return
        outer = [-1] * self.count  # head of the innermost loop that an instruction is in, without its own head
        opened: list[int] = []
        for index in range(self.count):
            while opened and ends[opened[-1]] < index:
                opened.pop()
            outer[index] = opened[-1] if opened else -1
            if index in ends:
                if opened and ends[index] > ends[opened[-1]]:
                    self.fail("B122", ends[index], problem="its loop overlaps another")
                opened.append(index)
                if len(opened) > NESTING_MAX:
                    self.fail("B117", what="loops", limit=NESTING_MAX)
        for index, instruction in enumerate(instructions):
            shape = SHAPES[instruction[0]]
            target = instruction[shape.label or shape.back] if shape.label or shape.back else -1
            # A forward jump comes from before its target, so it is inside a loop if the loop's head is not after it.
            if target >= 0 and outer[target] > index:
                self.fail("B122", index, problem=f"it jumps into the loop at {outer[target]}")
        for number, row in enumerate(self.code.tries):
            if outer[row.target] > row.start:
                self.fail("B116", row=number, problem=f"has its target inside the loop at {outer[row.target]}")

    def flow(self) -> None:
        """Definite assignment.  Jumps go forward but to loop heads, so one pass sees every way before its end."""
        code = self.code
        written = {register_written(instruction) for instruction in code.instructions}
        if not self.own.keys().isdisjoint(written | {row.register for row in code.tries}):
            self.own = {}
        self.closures = dict(self.own)
        starts: dict[int, list[int]] = {}
        for number, row in enumerate(code.tries):
            starts.setdefault(row.start, []).append(number)
        around: list[tuple[int, int]] = []  # (end, assigned at the start) of the ranges that are open, inner last
        for index, instruction in enumerate(code.instructions):
            joined = index in self.pending
            if joined or instruction[0] == Op.loop:
                self.closures = dict(self.own)
            if joined:
                self.join(self.pending.pop(index))
            while around and around[-1][0] <= index:
                around.pop()
            # An error inside a range reaches the target with what the range's start had, so no way into the range
            # may have less.
            if joined and around and self.assigned is not None and around[-1][1] & ~self.assigned:
                self.fail("B122", index, problem="a jump into a try range leaves out what its start had written")
            for number in sorted(starts.get(index, ()), reverse=True):
                row = code.tries[number]
                if self.assigned is not None:
                    self.lead(row.target, self.assigned | 1 << row.register)
                around.append((row.end, -1 if self.assigned is None else self.assigned))
            if self.assigned is not None:
                self.step(index, instruction)

    def step(self, index: int, instruction: Instruction) -> None:
        shape = SHAPES[instruction[0]]
        assigned = self.assigned
        assert assigned is not None
        for position in shape.reads:
            if not assigned >> instruction[position] & 1:
                self.fail("B104", index, register=instruction[position])
        if shape.registers:
            for register in instruction[shape.registers]:
                if not assigned >> register & 1:
                    self.fail("B104", index, register=register)
        if instruction[0] == Op.loop:
            self.heads[index] = assigned
        if instruction[0] == Op.sibling:
            captures = self.scope.captures[instruction[3]]
            if self.closures.get(instruction[2]) != captures:
                self.fail("B111", index, found=self.closures.get(instruction[2], "unknown"), wanted=captures)
        if shape.write:
            assigned |= 1 << instruction[shape.write]
            self.closures.pop(instruction[shape.write], None)
            if instruction[0] in (Op.closure, Op.sibling):
                function = instruction[2 if instruction[0] == Op.closure else 3]
                self.closures[instruction[shape.write]] = self.scope.captures[function]
        if shape.label:
            self.lead(instruction[shape.label], assigned)
        elif shape.back:
            head = self.heads.get(instruction[shape.back])
            if head is None or head & ~assigned:
                self.fail("B106", index, target=instruction[shape.back])
        self.assigned = None if shape.ends else assigned

    def lead(self, target: int, assigned: int) -> None:
        """Notes a way to a later instruction."""
        before = self.pending.get(target)
        self.pending[target] = assigned if before is None else before & assigned

    def join(self, other: int) -> None:
        self.assigned = other if self.assigned is None else self.assigned & other

    def tables(self) -> None:
        """What only people look at must still be in range."""
        code = self.code
        if code.spans and len(code.spans) != self.count:
            self.fail("B121", problem=f"has {len(code.spans)} spans for {self.count} instructions")
        for row in code.locals:
            if not (0 <= row.register < code.registers and 0 <= row.start <= row.end <= self.count):
                self.fail("B121", problem=f"has the local {row.name} out of range")
