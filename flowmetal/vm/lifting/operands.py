"""The state of a block that is being written: what registers hold, what is put off, what is written.

What has no effect is put off and written into the statement that uses it, if that is the only one; every statement that
is written first writes what was put off and is not part of it.  So whatever a statement raises, nothing has happened
since the first of the instructions that it is made of, and the frame can begin again there: its registers are the local
variables `r0`, `r1` and so on, and the constants that are not in variables, which `Operands.constants` keeps.
"""

from __future__ import annotations

from typing import Any, Protocol

from flowmetal.bytecode.program import Code
from flowmetal.vm.lifting.accumulators import ITEMS
from flowmetal.vm.lifting.expressions import Expressions, Operand
from flowmetal.vm.lifting.flow import Block
from flowmetal.vm.lifting.kinds import ANY, Kinds
from flowmetal.vm.lifting.structure import Line, Meta

TEXT_MAX = 400  # characters of an expression; a longer one is written down


class Unit(Protocol):
    """What a block needs to know of the function it is part of; see function.py."""

    code: Code
    live: list[int]
    kinds: Kinds
    expressions: Expressions
    fixed: dict[int, Operand]
    own: dict[int, tuple[int, ...]]
    loops: bool  # calls of itself in place of its frame go round
    gathered: dict[int, dict[int, int]]  # for blocks, registers whose changes are gathered, see accumulators.py
    before: dict[int, list[int]]  # the blocks that lead to a block
    exits: dict[int, dict[int, Operand]]  # for blocks that are written, the registers that hold constants at their end
    nth_calls: set[int]  # instructions that call the library's `nth`
    unsteady: dict[int, set[int]]  # for blocks of loops, the registers that the loop writes
    callees: set[tuple[int, int]]  # registers that hold one function in all of a loop, and with how many arguments
    held: int  # mask of the registers that hold something at the entry
    again: bool  # all of it may be run again, so what is lazy ends it
    walked: set[int]  # registers of which a loop keeps the block of items that it looked at last

    def constant(self, value: Any) -> Operand:
        """A constant, by a name of the namespace or as a literal."""

    def known(self, reference: int) -> tuple[bool, Any]:
        """Whether the value of a reference is settled, and the value."""

    def entry(self, value: Any, count: int, integers: tuple[bool, ...]) -> str | None:
        """The name of the function that a call of a closure goes to; None if it is called like any value."""

    def give(self, operand: Operand) -> list[str]:
        """The statements that end the body with a value."""

    def site(self, index: int, arguments: tuple[int, ...], function: int) -> int:
        """The number of a place where the body calls itself in place of its frame."""


class Operands:
    """What is known while one block is written, and the statements so far."""

    def __init__(self, unit: Unit, block: Block, snapshots: dict[int, dict[int, Operand]]) -> None:
        self.unit = unit
        self.block = block
        self.snapshots = snapshots
        self.lines: list[Line] = []
        self.kinds = dict(unit.kinds.before.get(block.start, {}))
        self.constants: dict[int, Operand] = unit.fixed
        self.pending: dict[int, Operand] = {}
        self.index = block.start
        self.gathered = unit.gathered.get(block.start, {})

    def _put_in(self) -> None:
        """Behind a loop: what it gathered is put into the collections."""
        unit = self.unit
        for before in unit.before.get(self.block.start, ()):
            for register, gathered in unit.gathered.get(before, {}).items():
                if register in self.gathered or not unit.live[self.block.start] >> register & 1:
                    continue
                if gathered == ITEMS:
                    text = f"r{register} = grown(r{register}, L{register})"
                else:
                    text = f"if A{register} is not None: r{register} = A{register}.value(); A{register} = None"
                if all(line.text != text for line in self.lines):
                    self.lines.append(Line(text, pure=True))

    def _begin_gathering(self, targets: tuple[int, ...]) -> None:
        """Before a loop."""
        for target in targets:
            for register, gathered in self.unit.gathered.get(target, {}).items():
                if register not in self.gathered and self.unit.live[target] >> register & 1:
                    self.lines.append(Line(begin_gathering(register, gathered), pure=True))

    # ---- operands ------------------------------------------------------------------------------------------------

    def _live_after(self) -> int:
        """The registers that are read after the instruction, before they are written."""
        live = self.unit.live
        if self.index < self.block.stop - 1:
            return live[self.index + 1]
        mask = 0
        for edge in self.block.edges:
            mask |= live[edge.target]
        return mask

    def local(self, register: int) -> Operand:
        """A register that is in its variable."""
        kind = self.kinds.get(register, ANY)
        return Operand(f"r{register}", kind, True, True, self.index, frozenset((register,)))

    def uses(self, registers: tuple[int, ...], written: int = -1, root: bool = True) -> list[Operand]:
        """The values of registers, in order; what was put off is taken out where it is used for the only time.

        `written`: the register that the instruction writes.  `root`: a statement is written, not an expression put off.
        """
        self._make_room(registers, written, root)
        found = []
        for register in registers:
            operand = self.constants.get(register)
            if operand is None:
                operand = self.pending.pop(register, None)
            found.append(self.local(register) if operand is None else operand)
        return found

    def _make_room(self, registers: tuple[int, ...], written: int, root: bool) -> None:
        """Writes down what was put off unless it can be taken out, or can wait until after the instruction.

        What waits must not have to be written down between the start of something taken out and its end: a frame that
        begins there again would run its instructions twice.
        """
        pending = self.pending
        if not pending:
            return
        taken = {register for register in registers if register in pending}
        others = {register: one for register, one in pending.items() if register not in taken}
        old = others.get(written)
        if old is not None and old.safe and not any(written in one.uses for one in pending.values()):
            del pending[written], others[written]
        live = self._live_after()
        if (
            any(registers.count(one) > 1 or (one != written and live >> one & 1) for one in taken)
            or any(register == written or written in one.uses for register, one in others.items())
            or (root and taken and any(one.start > min(pending[t].start for t in taken) for one in others.values()))
        ):
            self.flush()

    # ---- statements ----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes down all that was put off."""
        pending = self.pending
        self.pending = {}
        for register, operand in sorted(pending.items(), key=lambda item: item[1].start):
            self.lines.append(Line(f"r{register} = {operand.text}", ("at", operand.start, operand.start), pure=True))

    def statement(self, text: str, parts: list[Operand], kind: str = "at") -> None:
        """Writes a statement made of operands that were taken out."""
        self.flush()
        self.lines.append(Line(text, self.meta(parts, kind)))

    def meta(self, parts: list[Operand], kind: str = "at") -> Meta:
        """Where a statement stands: the kind of it, its instruction, and where it begins again."""
        starts = [part.start for part in parts if part.start >= 0 and not part.constant]
        return (kind, self.index, min([self.index, *starts]))

    def define(
        self, register: int, text: str, kind: int, parts: list[Operand], safe: bool, atomic: bool = False
    ) -> None:
        """Puts off an expression that a register is to hold."""
        uses = frozenset().union(*[part.uses for part in parts])
        if len(text) > TEXT_MAX:
            self.assign(register, text, kind, parts)
            return
        self._forget(register)
        starts = [part.start for part in parts if part.start >= 0 and not part.constant]
        safe = safe and all(part.safe for part in parts)
        self.pending[register] = Operand(text, kind, atomic, safe, min([self.index, *starts]), uses)
        self.kinds[register] = kind

    def assign(self, register: int, text: str, kind: int, parts: list[Operand], what: str = "at") -> None:
        """Writes a statement whose value a register holds then."""
        if register in self.pending and self.pending[register].safe:
            del self.pending[register]
        self.statement(f"r{register} = {text}", parts, what)
        self._drop_constant(register)
        self.kinds[register] = kind

    def _forget(self, register: int) -> None:
        """A register is to hold something else: what was put off and needs the old value is written down."""
        old = self.pending.get(register)
        if old is not None and old.safe and not any(register in one.uses for one in self.pending.values()):
            del self.pending[register]
        elif old is not None or any(register in one.uses for one in self.pending.values()):
            self.flush()
        self._drop_constant(register)

    def _drop_constant(self, register: int) -> None:
        if register in self.constants and register not in self.unit.fixed:
            self.constants = {key: value for key, value in self.constants.items() if key != register}

    def hold(self, register: int, operand: Operand) -> None:
        """A register holds a constant from here on."""
        self._forget(register)
        if register not in self.unit.fixed:
            self.constants = {**self.constants, register: operand}
        self.kinds[register] = operand.kind

    def _spill(self, *targets: int) -> None:
        """At the end of a block: what other blocks read goes into variables."""
        live = 0
        for target in targets:
            live |= self.unit.live[target]
        for register, operand in list(self.pending.items()):
            if operand.safe and not live >> register & 1:
                del self.pending[register]
        self.flush()
        for register, operand in self.constants.items():
            if live >> register & 1 and register not in self.unit.fixed:
                self.lines.append(Line(f"r{register} = {operand.text}"))
        self._begin_gathering(targets)


def begin_gathering(register: int, gathered: int) -> str:
    """The statement that begins to gather the changes of a register."""
    if gathered == ITEMS:
        return f"L{register} = []"
    return f"A{register} = Building(r{register}); G{register} = A{register}.changes; {flat_of(register, begin=True)}"


def flat_of(register: int, begin: bool = False) -> str:
    """What looks up the items of a vector that are in one list, how many, and their blocks; for nothing else any."""
    if begin:
        return f"B{register} = (); n{register} = 0"
    return f"B{register} = A{register}.flat or (); n{register} = len(B{register}); D{register} = A{register}.blocks"
