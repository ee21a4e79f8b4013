"""Assembly: one code body while it is emitted.

Hands out registers like a stack, keeps the span of every instruction, patches labels, and drops what cannot be
reached, so that every body the verifier sees is straight structured code.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import BY_NAME, INSTRUCTIONS_MAX, NESTING_MAX, REGISTERS_MAX
from flowmetal.bytecode.program import Instruction, LocalName, Try
from flowmetal.diagnostics import Span

_NUMBERS: dict[str, int] = {name: opcode.number for name, opcode in BY_NAME.items()}
_ENDS: dict[str, bool] = {name: opcode.ends for name, opcode in BY_NAME.items()}


class TooLarge(Exception):
    """A body outgrew a limit of one code; `what` names it."""

    def __init__(self, what: str, limit: int, span: Span | None) -> None:
        super().__init__(what)
        self.what = what
        self.limit = limit
        self.span = span


class Label:
    """A place later in the code; `uses` are the instructions that jump there."""

    __slots__ = ("uses",)

    def __init__(self) -> None:
        self.uses: list[int] = []


class Assembly:
    """Instructions, spans and tables of one body."""

    def __init__(self, first_free: int) -> None:
        self.instructions: list[Instruction] = []
        self.spans: list[Span | None] = []
        self.locals: list[LocalName] = []
        self.tries: list[Try] = []
        self.span: Span | None = None
        self.reachable = True
        self.next = first_free
        self.registers = first_free
        self.nested: dict[str, int] = {}

    def allocate(self) -> int:
        """A free register; it is free again once `next` is set back below it."""
        register = self.next
        self.next = register + 1
        if self.next > self.registers:
            self.registers = self.next
            if self.registers > REGISTERS_MAX:
                raise TooLarge("registers", REGISTERS_MAX, self.span)
        return register

    def enter(self, what: str) -> None:
        """Goes into one more nested construct of a kind ("loops" or "tries"); `leave` comes out."""
        self.nested[what] = self.nested.get(what, 0) + 1
        if self.nested[what] > NESTING_MAX:
            raise TooLarge(f"{what} inside each other", NESTING_MAX, self.span)

    def leave(self, what: str) -> None:
        """Comes out of a nested construct."""
        self.nested[what] -= 1

    def emit(self, mnemonic: str, *operands: Any) -> None:
        """Adds an instruction, unless control cannot come here."""
        if not self.reachable:
            return
        if len(self.instructions) >= INSTRUCTIONS_MAX:
            raise TooLarge("instructions", INSTRUCTIONS_MAX, self.span)
        self.instructions.append((_NUMBERS[mnemonic], *operands))
        self.spans.append(self.span)
        if _ENDS[mnemonic]:
            self.reachable = False

    def jump(self, label: Label, mnemonic: str = "jump", *operands: int) -> None:
        """Adds a jump to a label that is placed later."""
        if self.reachable:
            label.uses.append(len(self.instructions))
            self.emit(mnemonic, *operands, -1)

    def place(self, label: Label) -> None:
        """Puts the label at the next instruction."""
        here = len(self.instructions)
        for index in label.uses:
            self.instructions[index] = (*self.instructions[index][:-1], here)
            self.reachable = True

    def name(self, name: str, register: int, start: int) -> None:
        """Notes that `register` holds the local `name` from `start` up to here."""
        end = len(self.instructions)
        if start < end:
            self.locals.append(LocalName(name, register, start, end))
