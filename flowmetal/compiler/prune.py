"""Pruning: drops what only evaluation at compile time needed, and numbers the rest anew.

What stays is what the module's globals reach: functions, their codes, the constants and references of those.  The new
numbers follow the order of the globals, so they depend on the source alone.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import BY_NUMBER, Operand
from flowmetal.bytecode.program import Code, Function, Instruction, Module, Reference
from flowmetal.compiler.building import Builder
from flowmetal.compiler.reachable import walk
from flowmetal.values import Closure

_FUNCTION = Operand.FUNCTION
_CONSTANT = Operand.CONSTANT
_REFERENCE = Operand.REFERENCE

#: Operands to renumber, by opcode: (position in the instruction, what it is).
_NUMBERED: dict[int, tuple[tuple[int, Operand], ...]] = {
    number: tuple(
        (position, operand)
        for position, operand in enumerate(opcode.operands, 1)
        if operand in (_FUNCTION, _CONSTANT, _REFERENCE)
    )
    for number, opcode in BY_NUMBER.items()
}


class Pruner:
    """Finds what is reachable, in the order in which it will be numbered."""

    def __init__(self, builder: Builder, tests: bool) -> None:
        self.builder = builder
        self.tests = tests
        self.module: Module = builder.module
        self.functions: dict[int, Function] = {}  # by old index, in new order
        self.constants: dict[int, Any] = {}
        self.references: dict[int, Reference] = {}
        self.globals: dict[str, None] = {}
        self.modules: dict[str, None] = {}  # other modules whose functions values hold
        self._seen: set[int] = set()
        self._waiting: list[int] = []

    def run(self) -> None:
        """Prunes the builder's module."""
        for name, definition in self.module.globals.items():
            if not self._on_demand(name):
                self._global(name, definition)
        self._drain()
        self._rebuild()

    def _on_demand(self, name: str) -> bool:
        """Whether a global stays only if something that stays refers to it."""
        return name in self.builder.hidden or (self.module.globals[name].test and not self.tests)

    def _global(self, name: str, definition: Any) -> None:
        self.globals[name] = None
        self._values([definition.value, definition.contract])
        self._drain()

    def _values(self, values: list[Any]) -> None:
        for value in walk(values, self._seen):
            if value.__class__ is not Closure:
                continue
            function = value.function
            if function.module is self.module:
                self._function(function.index)
            elif function.module is not None:
                self.modules[function.module.name] = None

    def _function(self, index: int) -> None:
        if index not in self.functions:
            self.functions[index] = self.module.functions[index]
            self._waiting.append(index)

    def _drain(self) -> None:
        while self._waiting:
            function = self.functions[self._waiting.pop()]
            for number in function.codes:
                for instruction in self.module.codes[number].instructions:
                    for position, operand in _NUMBERED[instruction[0]]:
                        self._operand(operand, instruction[position])

    def _operand(self, operand: Operand, index: int) -> None:
        if operand is _FUNCTION:
            self._function(index)
        elif operand is _CONSTANT:
            if index not in self.constants:
                self.constants[index] = self.module.constants[index]
                self._values([self.constants[index]])
        elif index not in self.references:
            reference = self.references[index] = self.module.references[index]
            if reference.module == self.module.name and self._on_demand(reference.name):
                definition = self.module.globals[reference.name]
                if reference.name not in self.globals:
                    self.globals[reference.name] = None
                    self._values([definition.value])

    def _rebuild(self) -> None:
        module = self.module
        functions = {old: new for new, old in enumerate(self.functions)}
        constants = {old: new for new, old in enumerate(self.constants)}
        references = {old: new for new, old in enumerate(self.references)}
        numbers = {_FUNCTION: functions, _CONSTANT: constants, _REFERENCE: references}
        codes: list[Code] = []
        for new, function in enumerate(self.functions.values()):
            indexes: list[int] = []
            for number in function.codes:
                code = module.codes[number]
                code.instructions = tuple(_renumbered(instruction, numbers) for instruction in code.instructions)
                code.ready = code.live = None
                code.index = len(codes)
                indexes.append(code.index)
                codes.append(code)
            function.index = new
            function.codes = tuple(indexes)
            function.ready = None
        self.builder.facts = [self.builder.facts[old] for old in self.functions]
        for facts in self.builder.facts:
            facts.inner = [(functions[old], handled) for old, handled in facts.inner if old in functions]
        module.codes[:] = codes
        module.functions[:] = self.functions.values()
        module.constants[:] = self.constants.values()
        module.references[:] = self.references.values()
        for name in list(module.globals):
            if name not in self.globals:
                del module.globals[name]


def _renumbered(instruction: Instruction, numbers: dict[Operand, dict[int, int]]) -> Instruction:
    numbered = _NUMBERED[instruction[0]]
    if not numbered:
        return instruction
    parts = list(instruction)
    for position, operand in numbered:
        parts[position] = numbers[operand][parts[position]]
    return tuple(parts)


def prune(builder: Builder, tests: bool = False) -> list[str]:
    """Prunes a finished module; gives the names of the other modules it cannot be without, sorted.

    `tests`: the module's tests stay; without it they go, with all that only they need.
    """
    pruner = Pruner(builder, tests)
    pruner.run()
    names = set(pruner.modules) | {reference.module for reference in pruner.references.values()}
    return sorted(names - {builder.module.name})
