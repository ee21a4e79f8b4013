"""Operations that the program itself does in a builtin's place.

A builtin that would have to call a function of the program (the order of a sorted collection, a watch of an atom)
raises NeedsProgram, and nothing has happened yet.  The function that comes with it, a closure the library made, then
does the whole operation: it is called with the builtin's name as a keyword and a vector of the arguments, so it can
wait and be saved like any call.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.values import BuiltinFn, Keyword, NeedsProgram, Symbol, Vector, keyword
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.calls import apply_arguments, global_value
from flowmetal.vm.frames import Mode, entry_frame
from flowmetal.vm.load import RunCode
from flowmetal.vm.state import Fiber, Process

_TAIL = frozenset((Op.tail_call, Op.tail_call_global, Op.tail_apply))


def redirect(process: Process, fiber: Fiber, code: RunCode, registers: list[Any], pc: int, need: NeedsProgram) -> int:
    """Puts a call of the program's function in place of the instruction at `pc`, which raised `need`; gives the mode.

    NeedsProgram again, as the error of the program that it is, where the instruction is none that can be replaced.
    """
    row = code.code.instructions[pc]
    op = row[0]
    if op == Op.builtin:
        name, arguments = BUILTINS[row[2]].name, [registers[index] for index in row[3]]
    elif op in (Op.call, Op.tail_call, Op.call_global, Op.tail_call_global, Op.apply, Op.tail_apply):
        asked = row[-2]
        if op == Op.call_global or op == Op.tail_call_global:
            function = global_value(process, code, asked)[0]
        else:
            function = registers[asked]
        if op == Op.apply or op == Op.tail_apply:
            given = apply_arguments(registers[row[-1]])
        else:
            given = [registers[index] for index in row[-1]]
        name, arguments = _call(function, given, need)
    else:
        raise need
    call = entry_frame(need.function, [keyword(name), Vector.of(arguments)])
    if op not in _TAIL:
        fiber.frames.append((code, registers, pc + 1, row[1]))
    fiber.frames.append(call)
    return Mode.ENTER


def _call(function: Any, arguments: list[Any], need: NeedsProgram) -> tuple[str, list[Any]]:
    """A call of what is no closure as the name of a builtin and its arguments."""
    kind = function.__class__
    if kind is BuiltinFn:
        return BUILTINS[function.number].name, arguments
    if kind is Keyword or kind is Symbol:
        return "get", [arguments[0], function, *arguments[1:]]
    return "get", [function, *arguments]
