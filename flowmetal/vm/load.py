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
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import fail
from flowmetal.vm.builtins.registry import BUILTINS, BuiltinInfo

#: Numbers of instructions that are not in the opcode table and never stored; predecoding and the loop put them in place
#: of stored ones.
BUILTIN_ONE, BUILTIN_TWO = 27, 28  # a builtin of one or two arguments: destination, Python function, registers
CALL_KNOWN, TAIL_CALL_KNOWN = 37, 38  # a call that was looked up: destination, body, getter of a list, what follows
LESS_JUMP, EQUAL_JUMP = 48, 49  # a comparison and the `jump_if_false` after it, which stays where it is

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
        _fuse(self.instructions)
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


def find_builtin(code: Code, number: int) -> BuiltinInfo:
    """The builtin with a number; FlowmetalError B109 where this version has none."""
    info = BUILTINS.get(number)
    if info is None:
        raise FlowmetalError("B109", place=code.name, number=number)
    return info


def list_getter(registers: tuple[int, ...]) -> Callable[[list[Any]], Any]:
    """What gets arguments out of the registers as a list or tuple, whatever their number."""
    if len(registers) > 1:
        return itemgetter(*registers)
    start = registers[0] if registers else 0
    return itemgetter(slice(start, start + len(registers)))


def _fuse(instructions: list[tuple[Any, ...]]) -> None:
    """Puts comparison and jump in place of a comparison whose result the next instruction jumps by."""
    for index in range(len(instructions) - 1):
        number, to, left, right, _ = instructions[index]
        after = instructions[index + 1]
        if number in (Op.less, Op.equal) and after[0] == Op.jump_if_false and after[1] == to:
            fused = LESS_JUMP if number == Op.less else EQUAL_JUMP
            instructions[index] = (fused, to, left, right, after[2])


def plain(instruction: tuple[Any, ...]) -> tuple[Any, ...]:
    """The instruction without the jump that was fused with it."""
    number, to, left, right, _ = instruction
    if number in (LESS_JUMP, EQUAL_JUMP):
        return (Op.less if number == LESS_JUMP else Op.equal, to, left, right, None)
    return instruction


def predecode(code: Code, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """One instruction as the loop wants it; operands past the fifth do not exist.

    A REGISTERS operand becomes (count, getter) as one operand; the operand of `jump_back` the instruction after the
    `loop`, which does nothing.  `global`, `call_global` and friends keep the reference's index: the loop resolves it at
    the first run and replaces the tuple.
    """
    number = row[0]
    if number == Op.builtin and 1 <= len(row[3]) <= 2:
        info = find_builtin(code, row[2])
        if not info.context:
            return (BUILTIN_ONE - 1 + len(row[3]), row[1], info.function, *row[3], None)[:5]
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
            out.append(find_builtin(code, operand))
        elif kind is Operand.BACK:
            out.append(operand + 1)
        else:
            out.append(operand)
    while len(out) < 5:
        out.append(None)
    return tuple(out)
