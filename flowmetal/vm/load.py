"""Turns stored code into what the machine's loop runs: RunCode, RunFunction.

Every instruction becomes a tuple of five, `(opcode, a, b, c, d)`, with constants and functions looked up and argument
lists turned into getters.  Done once per code, when it is first called.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from flowmetal.bytecode.opcodes import BY_NUMBER, Op, Operand
from flowmetal.bytecode.program import Code, Function, Global, Module
from flowmetal.values import fail
from flowmetal.vm.builtins.registry import BUILTINS

#: What gets the arguments of a call out of the registers: (how many, getter).  The getter gives the bare value for one
#: argument and a tuple for more; None for no arguments.
Getter = Callable[[list[Any]], Any]


class RunCode:
    """A code body ready to run."""

    __slots__ = ("code", "finally_ranges", "instructions", "padding", "parameters", "takes_self", "variadic")

    def __init__(self, code: Code) -> None:
        self.code = code
        self.parameters = code.parameters
        self.variadic = code.variadic
        self.takes_self = code.takes_self
        fixed = code.parameters + code.variadic + code.captures + code.takes_self
        self.padding: tuple[None, ...] = (None,) * (code.registers - fixed)
        self.instructions: list[tuple[Any, ...]] = [predecode(code, row) for row in code.instructions]
        self.finally_ranges: list[tuple[int, int]] = [
            (row.target, _end_of_finally(code, row.target, row.register)) for row in code.tries if row.kind == "finally"
        ]

    def in_finally(self, index: int) -> bool:
        """Whether instruction `index` belongs to the body of a `finally`."""
        return any(start <= index < end for start, end in self.finally_ranges)


class RunFunction:
    """A function ready to be called: its bodies by number of arguments."""

    __slots__ = ("fixed", "function", "variadic")

    def __init__(self, function: Function) -> None:
        module = function.module
        assert module is not None
        self.function = function
        self.fixed: dict[int, RunCode] = {}
        self.variadic: RunCode | None = None
        for index in function.codes:
            code = module.codes[index]
            ready = code.ready
            if ready is None:
                ready = code.ready = RunCode(code)
            if code.variadic:
                self.variadic = ready
            else:
                self.fixed[code.parameters] = ready

    def select(self, count: int) -> RunCode:
        """The body for `count` arguments; LanguageError :arity where there is none."""
        found = self.fixed.get(count)
        if found is not None:
            return found
        variadic = self.variadic
        if variadic is not None and count >= variadic.parameters:
            return variadic
        counts = [str(number) for number in sorted(self.fixed)]
        if variadic is not None:
            counts.append(f"{variadic.parameters} or more")
        wanted = " or ".join(counts)
        fail("arity", f"{self.function.name} takes {wanted} argument{'' if wanted == '1' else 's'}, got {count}")
        raise AssertionError


def run_function(function: Function) -> RunFunction:
    """The function's ready form, made at its first call."""
    ready: RunFunction | None = function.ready
    if ready is None:
        ready = function.ready = RunFunction(function)
    return ready


def run_code(code: Code) -> RunCode:
    """The code's ready form."""
    ready: RunCode | None = code.ready
    if ready is None:
        ready = code.ready = RunCode(code)
    return ready


def find_global(program: Any, module: Module, index: int) -> Global:
    """The global a reference of `module` names; LanguageError :unbound where it is missing."""
    reference = module.references[index]
    found: Global | None
    if reference.module == module.name:
        found = module.globals.get(reference.name)
    else:
        found = program.lookup(reference.module, reference.name)
    if found is None:
        fail("unbound", f"{reference.module}/{reference.name} is not defined")
        raise AssertionError
    return found


def _getter(registers: tuple[int, ...]) -> tuple[int, Getter | None]:
    if not registers:
        return 0, None
    return len(registers), itemgetter(*registers)


def _end_of_finally(code: Code, target: int, register: int) -> int:
    for index in range(target, len(code.instructions)):
        row = code.instructions[index]
        if row[0] == Op.end_finally and row[1] == register:
            return index
    return len(code.instructions)


def predecode(code: Code, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """One instruction as the loop wants it; operands past the fifth do not exist.

    A REGISTERS operand becomes (count, getter) as one operand.  `global`, `call_global` and friends keep the
    reference's index: the loop resolves it at the first run and replaces the tuple.
    """
    number = row[0]
    kinds = BY_NUMBER[number].operands
    out: list[Any] = [number]
    for kind, operand in zip(kinds, row[1:], strict=True):
        if kind is Operand.REGISTERS:
            out.append(_getter(operand))
        elif kind is Operand.CONSTANT:
            assert code.module is not None
            out.append(code.module.constants[operand])
        elif kind is Operand.FUNCTION:
            assert code.module is not None
            out.append(code.module.functions[operand])
        elif kind is Operand.BUILTIN:
            out.append(BUILTINS[operand])
        else:
            out.append(operand)
    while len(out) < 5:
        out.append(None)
    return tuple(out)
