"""What lifted code refers to while it runs: its fuel, and helpers that frames have as instructions of their own.

A helper that stands between two lifted functions is known to takeover.py by its code object, since it stands for
nothing, or for a region, on the stack that the frames are made from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, repeat
from typing import Any

from flowmetal.values import (
    BuiltinFn,
    Char,
    Closure,
    Cons,
    Keyword,
    LazySeq,
    List,
    Map,
    NeedsRealize,
    Range,
    Resumption,
    Vector,
    VectorSeq,
    equal,
    identical,
    next_,
    numbers,
)
from flowmetal.values import assoc as plain_assoc
from flowmetal.values import first as first_of
from flowmetal.values import rest as rest_of
from flowmetal.values import seq as seq_of
from flowmetal.values.hash_trie import SMALL_MAX
from flowmetal.vm.builtins.lean import direct
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.calls import apply_arguments, call_value
from flowmetal.vm.lifting.kinds import SMALL
from flowmetal.vm.state import Fiber, Process
from flowmetal.vm.waiting import wake


class Bail(Exception):
    """Lifted code has come to something that is for frames."""


class Exhausted(Exception):
    """There is no fuel for what lifted code is about to do."""


class Fuel(repeat):  # type: ignore[type-arg]
    """The fuel until somebody has to look: an iterator that gives None as often, so that Python's `for` counts it in C.

    `extra`: how often it was asked for what takes none in frames.
    """

    __slots__ = ("extra", "fiber", "process")

    process: Process
    fiber: Fiber
    extra: int

    def left(self) -> int:
        """How much is left of what frames would have left, without the extra."""
        found: int = self.__length_hint__()
        return found + self.extra


class _Late:
    """Functions of modules that build on this one, filled in when they are imported."""

    calls_of: Callable[[Any], Any]  # entries.py
    lift: Callable[[Any, str, Any], Callable[..., Any]]  # function.py
    lift_loop: Callable[[Any, tuple[int, ...], Any], Callable[..., Any]]


LATE = _Late()


def refuse(F: Fuel, S: Any, *arguments: Any) -> Any:
    """Stands for a function that runs in frames."""
    raise Bail


def tame(value: int) -> int:
    """An integer that is longer than usual: such arithmetic is for frames, which look at the size each time."""
    raise Bail


def too_long() -> Any:
    """A text that may be longer than allowed."""
    raise Bail


#: Builtins as functions of one or two arguments, to be called as values.
OF_ONE = {number: direct(info, 1) for number, info in BUILTINS.items() if not info.context and info.accepts(1)}
_PLUS = 100
OF_TWO = {number: direct(info, 2) for number, info in BUILTINS.items() if not info.context and info.accepts(2)} | {
    100: numbers.add,
    101: numbers.subtract,
    102: numbers.multiply,
    109: numbers.less,
    110: numbers.less_equal,
    700: equal,
}


# ---- calls of values whose class is not known ---------------------------------------------------------------------


def other_call(F: Fuel, function: Any, *arguments: Any) -> Any:
    """The call of something that is no closure with an entry for so many arguments."""
    if function.__class__ is Closure:
        return many(F, function, arguments)
    if function.__class__ is Resumption:
        raise Bail
    for _ in F:
        break
    else:
        raise Exhausted
    try:
        if function.__class__ is BuiltinFn:
            info = BUILTINS[function.number]
            if not info.context and info.accepts(len(arguments)):
                return info.function(*arguments)
        _, value = call_value(F.process, F.fiber, function, list(arguments))
    except BaseException:
        F.extra += 1  # the frame that takes over runs the call again, with its fuel
        raise
    return value


def call_one(F: Fuel, function: Any, argument: Any) -> Any:
    """`other_call` with one argument."""
    if function.__class__ is BuiltinFn:
        builtin = OF_ONE.get(function.number)
        if builtin is not None:
            for _ in F:
                try:
                    return builtin(argument)
                except BaseException:
                    F.extra += 1
                    raise
            raise Exhausted
    return other_call(F, function, argument)


def call_two(F: Fuel, function: Any, one: Any, two: Any) -> Any:
    """`other_call` with two arguments."""
    if function.__class__ is BuiltinFn:
        number = function.number
        if number == _PLUS and one.__class__ is int and two.__class__ is int and -SMALL < one + two < SMALL:
            for _ in F:
                return one + two
            raise Exhausted
        builtin = OF_TWO.get(number)
        if builtin is not None:
            for _ in F:
                try:
                    return builtin(one, two)
                except BaseException:
                    F.extra += 1
                    raise
            raise Exhausted
    return other_call(F, function, one, two)


def call_plus(F: Fuel, function: Any, one: Any, two: Any) -> Any:
    """`call_two` of `+`."""
    if one.__class__ is int and two.__class__ is int and -SMALL < one + two < SMALL:
        for _ in F:
            return one + two
        raise Exhausted
    return call_two(F, function, one, two)


def callee(F: Fuel, function: Any, count: int) -> Callable[..., Any]:
    """What a value is called by with a number of arguments: a function of the fuel, the value and the arguments."""
    if function.__class__ is Closure:
        calls = function.function.lifted or warm(function)
        found: Callable[..., Any] = calls.ready.get(count) or calls.made(count, F.process)
        return found
    if function.__class__ is BuiltinFn and count == 2 and function.number == _PLUS:
        return call_plus
    return call_two if count == 2 else call_one if count == 1 else other_call


def value_call(F: Fuel, function: Any, *arguments: Any) -> Any:
    """The call of a value with more arguments than closures have entries for."""
    if function.__class__ is Closure:
        return many(F, function, arguments)
    return other_call(F, function, *arguments)


def apply_call(F: Fuel, function: Any, sequence: Any) -> Any:
    """The call of a value with the items of a sequence."""
    arguments = apply_arguments(sequence)
    if function.__class__ is Closure:
        return many(F, function, arguments)
    return other_call(F, function, *arguments)


def many(F: Fuel, function: Closure, arguments: Any) -> Any:
    """The call of a closure with any number of arguments."""
    calls = function.function.lifted or warm(function)
    return calls.entry(len(arguments))(F, function, *arguments)


def warm(function: Closure) -> Any:
    """What lifted code calls a closure by, made at the first such call."""
    return LATE.calls_of(function.function)


# ---- regions ------------------------------------------------------------------------------------------------------


def atomic(F: Fuel, function: Any) -> Any:
    """The body of an update of a cell."""
    if function.__class__ is not Closure:
        raise Bail
    return (function.function.lifted or warm(function)).n0(F, function)


def realize(F: Fuel, lazy: LazySeq) -> None:
    """Computes a lazy sequence that is not, up to its first cell."""
    stage = 0
    if lazy.state != "new" or lazy.thunk.__class__ is not Closure:
        raise Bail
    thunk = lazy.thunk
    for _ in F:
        break
    else:
        raise Exhausted
    F.extra += 1  # the body takes it once more
    stage = 1
    lazy.state = "running"
    lazy.owner_fiber = F.fiber.id
    process = F.process
    process.touch(lazy)
    value = (thunk.function.lifted or warm(thunk)).n0(F, thunk)
    stage = 2  # noqa: F841 - read by takeover.py, as the others
    if value.__class__ is LazySeq:
        raise Bail
    lazy.value = seq_of(value)
    lazy.state = "done"
    lazy.thunk = None
    process.touch(lazy)
    if process.waiters:
        wake(process, lazy)


def lifted_seq(F: Fuel, value: Any) -> Any:
    """`seq`."""
    while True:
        if value.__class__ is LazySeq and value.state != "done":
            realize(F, value)
        return seq_of(value)


def lifted_first(F: Fuel, value: Any) -> Any:
    """`first`."""
    kind = value.__class__
    if kind is List:
        return value.first
    if kind is LazySeq and value.state != "done":
        realize(F, value)
    return first_of(value)


def lifted_rest(F: Fuel, value: Any) -> Any:
    """`rest`."""
    kind = value.__class__
    if kind is List:
        return value.rest
    if kind is LazySeq and value.state != "done":
        realize(F, value)
    return rest_of(value)


def lifted_next(F: Fuel, value: Any) -> Any:
    """`next`."""
    kind = value.__class__
    if kind is Cons:
        value = value.rest
        if value.__class__ is LazySeq:
            if value.state != "done":
                realize(F, value)
            return value.value
        return seq_of(value)
    if kind is LazySeq and value.state != "done":
        realize(F, value)
    while True:
        try:
            return next_(value)
        except NeedsRealize as need:
            if need.whole:
                raise
            lazy = need.seq
        realize(F, lazy)


def items_of(coll: Any, number: int) -> Any:
    """32 items of a collection, from 32 * number on."""
    kind = coll.__class__
    start = number << 5
    if number >= 0:
        if kind is Vector:
            node = coll.root
            if node is None:
                if not number:
                    return coll.tail
            elif start >= node.size:
                if start == node.size:
                    return coll.tail
            else:
                shift = node.shift
                while shift:
                    node = node.children[(start >> shift) & 31]
                    shift -= 5
                return node.children
        elif kind is Range:
            whole = coll.integers()
            if whole is not None and start < len(whole):
                return whole[start : start + 32]
        elif kind is VectorSeq:
            return tuple(islice(coll.vector.iter_from(coll.start + start), 32))
        elif kind is str:
            return tuple(map(Char, coll[start : start + 32]))
    raise Bail


# ---- look-ups ------------------------------------------------------------------------------------------------------


def assoc(coll: Any, key: Any, value: Any) -> Any:
    """`assoc` of one key."""
    if coll.__class__ is Vector and key.__class__ is int:
        return coll.assoc(key, value)
    return plain_assoc(coll, key, value)


def assoc_pairs(coll: Any, *pairs: Any) -> Any:
    """`assoc` of several keys."""
    if coll.__class__ is Map and coll.table is not None:
        table = coll.table.copy()
        changed = False
        for place in range(0, len(pairs), 2):
            key, value = pairs[place], pairs[place + 1]
            if key.__class__ is not Keyword and key.__class__ is not str:
                break
            if key not in table or not identical(table[key], value):
                table[key] = value
                changed = True
        else:
            if len(table) <= SMALL_MAX:
                return Map(table, None, coll.meta) if changed else coll
    for place in range(0, len(pairs), 2):
        coll = assoc(coll, pairs[place], pairs[place + 1])
    return coll


#: Helpers that stand for nothing on the stack.
TRANSPARENT = frozenset(
    function.__code__
    for function in (
        refuse,
        call_one,
        call_two,
        call_plus,
        callee,
        other_call,
        value_call,
        apply_call,
        many,
        lifted_seq,
        lifted_first,
        lifted_rest,
        lifted_next,
    )
)
