"""Better forms of running instructions: two in one, and such that know a constant beforehand.

Which pairs are worth a form of their own was counted (benchmarks/instruction_pairs.py, docs/decisions).  A fused
instruction does the work of two only if the second cannot fail once the first is done, or takes fuel and nothing else:
an error, a lazy sequence to be realized and the end of the fuel find the frame at the first or at the second, never in
between.  A register that only passes a value from the first to the second is not written, so it must be dead behind
them.  The second one stays where it is, for whoever enters there.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.liveness import live_in
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code
from flowmetal.values import Closure, Keyword
from flowmetal.values.hash_trie import SMALL_MAX
from flowmetal.vm import instructions as run
from flowmetal.vm.builtins.lean import direct
from flowmetal.vm.builtins.registry import BY_NAME
from flowmetal.vm.predecode import Running, first_run, list_getter
from flowmetal.vm.slots import Slots

_JUMPING = {
    run.LESS: run.LESS_JUMP, run.EQUAL: run.EQUAL_JUMP, run.LESS_EQUAL: run.LESS_EQUAL_JUMP,
    run.BUILTIN_ONE: run.BUILTIN_ONE_JUMP, run.BUILTIN_TWO: run.BUILTIN_TWO_JUMP,
}  # fmt: skip
_RETURNING = {
    run.ADD: run.ADD_RETURN, run.MULTIPLY: run.MULTIPLY_RETURN, run.BUILTIN_ONE: run.BUILTIN_ONE_RETURN,
    run.BUILTIN_TWO: run.BUILTIN_TWO_RETURN,
}  # fmt: skip
_FIRST = frozenset({*_JUMPING, *_RETURNING, run.MOVE, run.ADD_INTEGER})
_GET = BY_NAME["get"].number
_NTH = BY_NAME["nth"].number
_CONS = BY_NAME["cons"].number
_MODULO = BY_NAME["mod"].number
_REDUCED = BY_NAME["reduced?"].function
_ZERO = direct(BY_NAME["zero?"], 1)


def improve(code: Code, slots: Slots, made: list[Running | None]) -> None:
    """Puts better forms in place, from the last instruction to the first."""
    live: list[int] | None = None
    for index in range(len(made) - 1, -1, -1):
        this = made[index]
        if this is None:
            continue
        if this[0] == run.BUILTIN_TWO:
            _inline(code, slots, index, this)
        elif this[0] == run.MAP:
            _with_keys(code, slots, index, this)
        number = this[0]
        if number in _FIRST:
            after = first_run(code, slots, index + 1)
            then = made[after]
            assert then is not None
            if then[0] == run.RETURN and number in _RETURNING and then[1] == this[1]:
                this[0], this[5] = _RETURNING[number], None
                continue
            if number == run.MOVE:
                if then[0] == run.JUMP_BACK:
                    this[:] = [run.MOVE_JUMP_BACK, then[1], this[1], this[2], then[4], None]
                continue
            if number == run.ADD_INTEGER:
                if then[0] == run.JUMP_BACK:
                    step: tuple[Any, ...] = (this[2], this[3], None)
                    this[:] = [run.ADD_INTEGER_JUMP_BACK, then[1], this[1], step, then[4], then]
                elif then[0] == run.MOVE_JUMP_BACK:
                    step = (this[2], this[3], (then[2], then[3]))
                    this[:] = [run.ADD_INTEGER_MOVE_JUMP_BACK, then[1], this[1], step, then[4], then]
                continue
            if then[0] == run.JUMP_IF_FALSE and number in _JUMPING and then[1] == this[1]:
                if live is None:
                    live = live_in(code)
                if not (live[after + 1] | live[code.instructions[after][2]]) >> this[1] & 1:
                    _with_jump(slots, this, then)


def _with_jump(slots: Slots, this: Running, then: Running) -> None:
    number, _, left, right, last, _ = this
    form = _JUMPING[number]
    if number == run.BUILTIN_ONE:
        if left is _REDUCED:
            this[:] = [run.REDUCED_JUMP, right, None, None, then[4], then[5]]
        elif left is _ZERO:
            this[:] = [run.ZERO_JUMP, right, left, None, then[4], then[5]]
        else:
            this[:] = [form, None, left, right, then[4], then[5]]
        return
    if number == run.BUILTIN_TWO:
        this[:] = [form, left, right, last, then[4], then[5]]
        return
    this[:] = [form, left, right, None, then[4], then[5]]
    if number == run.LESS:
        value = _known(slots, right)
        if value.__class__ is int:
            this[:3] = [run.LESS_CONSTANT_JUMP, left, value]
    elif number == run.EQUAL:
        for one, other in ((left, right), (right, left)):
            value = _known(slots, other)
            if value.__class__ is int or value.__class__ is Keyword:
                this[:3] = [run.EQUAL_CONSTANT_JUMP, one, value]
                return


def _known(slots: Slots, register: int) -> Any:
    """The constant in a slot, None for a register."""
    return slots.values[register - slots.first] if register >= slots.first else None


def _inline(code: Code, slots: Slots, index: int, this: Running) -> None:
    builtin = code.instructions[index][2]
    _, to, function, left, right, after = this
    if builtin == _NTH:
        this[:] = [run.NTH, to, left, right, function, after]
    elif builtin == _MODULO:
        this[:] = [run.MODULO, to, left, right, None, after]
    elif builtin == _CONS:
        this[:] = [run.CONS, to, left, right, function, after]
    elif builtin == _GET:
        key = _known(slots, right)
        if key.__class__ is Keyword:
            this[:] = [run.GET_CONSTANT, to, left, key, function, after]


def _with_keys(code: Code, slots: Slots, index: int, this: Running) -> None:
    """A small map whose keys are keywords known beforehand, no two the same."""
    names = slots.renamed.get(index, {})
    items = [names.get(register, register) for register in code.instructions[index][2]]
    keys = [_known(slots, register) for register in items[::2]]
    if 2 <= len(keys) <= SMALL_MAX and len(set(map(id, keys))) == len(keys):
        if all(key.__class__ is Keyword for key in keys):
            this[:4] = [run.MAP_CONSTANT, this[1], tuple(keys), list_getter(tuple(items[1::2]))]


def link_call(code: Code, made: list[Running], index: int, body: Any, function: Closure) -> None:
    """A call of a global at `index` becomes a call of the body that the global's function has for its arguments."""
    call = made[index]
    arguments: tuple[int, ...] = call[4]
    after = (*function.captures, *((function,) if body.takes_self else ()), *body.padding)
    tail = call[0] == run.TAIL_CALL_GLOBAL
    if len(arguments) == 1:
        form = run.TAIL_CALL_KNOWN_ONE if tail else run.CALL_KNOWN_ONE
        call[:] = [form, call[1], body, arguments[0], after, index + 1]
        if not tail and index:
            _with_call(code, made[index - 1], call, index)
    elif len(arguments) == 2:
        form = run.TAIL_CALL_KNOWN_TWO if tail else run.CALL_KNOWN_TWO
        call[:] = [form, call[1], body, arguments, after, index + 1]
    else:
        form = run.TAIL_CALL_KNOWN if tail else run.CALL_KNOWN
        call[:] = [form, call[1], body, call[3], after, index + 1]


def _with_call(code: Code, before: Running, call: Running, index: int) -> None:
    """Adding a constant, and a call with the sum alone."""
    _, to, body, argument, after, pc = call
    if before[0] != run.ADD_INTEGER or before[1] != argument or before[5] is not call:
        return
    if code.instructions[index - 1][0] == Op.add_integer and (argument == to or not live_in(code)[pc] >> argument & 1):
        before[:] = [run.ADD_INTEGER_CALL_KNOWN, to, body, (before[2], before[3], argument), after, pc]
