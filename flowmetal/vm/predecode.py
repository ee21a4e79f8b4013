"""Turns stored instructions into what the machine's loop runs.

A running instruction is a list `[number, a, b, c, d, next]`.  `next` is the instruction to be run after it, so that
jumps, loop heads and loads that were left out (slots.py) cost nothing; calls and effects, behind which a frame is
entered again, have the index of the stored instruction behind them in that place.  Constants, functions and builtins
are looked up.  It is a list because a loop makes a cycle, and because what looks up a global becomes, in place, what
that global turned out to be.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES
from flowmetal.diagnostics import FlowmetalError
from flowmetal.vm import instructions as run
from flowmetal.vm.builtins.lean import direct
from flowmetal.vm.builtins.registry import BUILTINS, BuiltinInfo
from flowmetal.vm.slots import Slots, loaded

Running = list[Any]

_COMPUTE = {
    Op.add: run.ADD, Op.subtract: run.SUBTRACT, Op.multiply: run.MULTIPLY, Op.less: run.LESS,
    Op.less_equal: run.LESS_EQUAL, Op.equal: run.EQUAL,
}  # fmt: skip
_JUMPS = {
    Op.jump_if_false: run.JUMP_IF_FALSE, Op.jump_if_true: run.JUMP_IF_TRUE, Op.jump_if_not_nil: run.JUMP_IF_NOT_NIL
}  # fmt: skip
_COLLECTIONS = {Op.vector: run.VECTOR, Op.map: run.MAP, Op.set: run.SET}
_BUILTINS = (run.BUILTIN_NONE, run.BUILTIN_ONE, run.BUILTIN_TWO, run.BUILTIN_THREE)


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


def predecode(code: Code, slots: Slots) -> list[Running | None]:
    """The running instruction of each stored one, linked; None for those that do nothing when they run."""
    rows = code.instructions
    made: list[Running | None] = []
    for index, row in enumerate(rows):
        if row[0] == Op.jump or row[0] == Op.loop or index in slots.left_out:
            made.append(None)
        else:
            made.append(one(code, index, slots))
    for index, running in enumerate(made):
        if running is None:
            continue
        row = rows[index]
        shape = SHAPES[row[0]]
        if running[5] is None and not shape.ends:
            running[5] = made[first_run(code, slots, index + 1)]
        if shape.label:
            running[4] = made[first_run(code, slots, row[shape.label])]
        elif shape.back:
            running[1] = made[first_run(code, slots, row[shape.back])]
    return made


def first_run(code: Code, slots: Slots, index: int) -> int:
    """The first instruction from `index` on that does anything."""
    rows = code.instructions
    while True:
        number = rows[index][0]
        if number == Op.jump:
            index = rows[index][1]
        elif number == Op.loop or index in slots.left_out:
            index += 1
        else:
            return index


def one(code: Code, index: int, slots: Slots | None) -> Running:
    """The running form of one stored instruction, not linked; without slots all that it reads is in registers.

    A call has in `d` the registers of its arguments, for when it becomes a call of a known body.
    """
    row = code.instructions[index]
    number = row[0]
    names = {} if slots is None else slots.renamed.get(index, {})
    after = index + 1
    if number == Op.builtin:
        return _builtin(code, row, tuple(names.get(register, register) for register in row[3]))
    if number == Op.move:
        return [run.MOVE, row[1], row[2], None, None, None]
    if number <= Op.constant:
        return [run.CONSTANT, row[1], loaded(code, row), None, None, None]
    if number in _COMPUTE:
        return [_COMPUTE[number], row[1], names.get(row[2], row[2]), names.get(row[3], row[3]), None, None]
    if number == Op.add_integer:
        return [run.ADD_INTEGER, row[1], names.get(row[2], row[2]), row[3], None, None]
    if number in _JUMPS:
        return [_JUMPS[number], row[1], None, None, None, None]
    if number == Op.not_:
        return [run.NOT, row[1], names.get(row[2], row[2]), None, None, None]
    if number in _COLLECTIONS:
        items = tuple(names.get(register, register) for register in row[2])
        return [_COLLECTIONS[number], row[1], list_getter(items), None, None, None]
    if number == Op.return_:
        return [run.RETURN, names.get(row[1], row[1]), None, None, None, None]
    if number == Op.jump_back:
        return [run.JUMP_BACK, None, None, None, index, None]
    if number == Op.closure:
        return _closure(code, row)
    if number == Op.sibling:
        assert code.module is not None
        return [run.SIBLING, row[1], row[2], code.module.functions[row[3]], None, None]
    if number == Op.global_ or number == Op.dynamic:
        return [run.GLOBAL if number == Op.global_ else run.DYNAMIC, row[1], row[2], None, None, None]
    if number in (Op.throw, Op.end_finally):
        return [run.THROW if number == Op.throw else run.END_FINALLY, row[1], None, None, None, None]
    if Op.call <= number <= Op.tail_call_global:
        tail = number in (Op.tail_call, Op.tail_call_global)
        arguments = tuple(names.get(register, register) for register in row[-1])
        callee = row[1] if tail else row[2]
        to = -1 if tail else row[1]
        if number in (Op.call_global, Op.tail_call_global):
            form = run.TAIL_CALL_GLOBAL if tail else run.CALL_GLOBAL
            return [form, to, callee, list_getter(arguments), arguments, after]
        callee = names.get(callee, callee)
        if slots is None or not 1 <= len(arguments) <= 2:
            return [run.TAIL_CALL if tail else run.CALL, to, callee, list_getter(arguments), arguments, after]
        if len(arguments) == 1:
            return [run.TAIL_CALL_ONE if tail else run.CALL_ONE, to, callee, arguments[0], None, after]
        return [run.TAIL_CALL_TWO if tail else run.CALL_TWO, to, callee, *arguments, after]
    if number == Op.apply:
        return [run.APPLY, row[1], row[2], row[3], None, after]
    if number == Op.tail_apply:
        return [run.TAIL_APPLY, -1, row[1], row[2], None, after]
    operands = (*row[1:], None, None, None)[:4]
    return [number + run.EFFECTS, *operands, after]


def _builtin(code: Code, row: tuple[Any, ...], arguments: tuple[int, ...]) -> Running:
    info = find_builtin(code, row[2])
    count = len(arguments)
    function = direct(info, count)
    if info.context:
        return [run.BUILTIN_CONTEXT, row[1], info.function, list_getter(arguments), None, None]
    if count > 3:
        return [run.BUILTIN_MANY, row[1], function, itemgetter(*arguments), None, None]
    operands = (*arguments, None, None)[:2] if count < 3 else (arguments, None)
    return [_BUILTINS[count], row[1], function, *operands, None]


def _closure(code: Code, row: tuple[Any, ...]) -> Running:
    assert code.module is not None
    function, captured = code.module.functions[row[2]], row[3]
    if not captured:
        return [run.CLOSURE_NONE, row[1], function, None, None, None]
    if len(captured) == 1:
        return [run.CLOSURE_ONE, row[1], function, captured[0], None, None]
    return [run.CLOSURE, row[1], function, itemgetter(*captured), None, None]


def single(code: Code, index: int) -> Running:
    """One stored instruction alone, as a stepped process runs it: wherever it goes, the step ends there.

    All it reads is in registers, and it leaves its frame by ways on which nothing is run before the loop looks up.
    """
    row = code.instructions[index]
    number = row[0]
    shape = SHAPES[number]
    if number == Op.jump:
        return stopped(row[1])
    if number == Op.loop:
        return stopped(index + 1)
    if number == Op.return_:
        return [run.STEP_RETURN, row[1], None, None, None, None]
    running = one(code, index, None)
    if running[5] is None and not shape.ends:
        running[5] = stopped(index + 1)
    if shape.label:
        running[4] = stopped(row[shape.label])
    elif shape.back:
        running[1] = stopped(row[shape.back])
    return running


def stopped(index: int) -> Running:
    """The end of a step, before the instruction at `index`."""
    return [run.STOPPED, index, None, None, None, None]
