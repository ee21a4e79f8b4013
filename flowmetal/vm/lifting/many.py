"""Walks through many items at once: what a loop over a collection would do in so many turns, done in one go.

Lifted code asks for it where it comes to a loop that is a walk (walks.py).  Whatever is in the way, an error,
something lazy, the end of the fuel: what was done for the last items is forgotten, the fuel for it given back, and the
loop goes on from there one by one.  So the loop's registers and the fuel are, after each go, what single turns
leave.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from itertools import islice
from typing import Any

from flowmetal.values import BuiltinFn, Char, Closure, Keyword, Map, Range, Vector, VectorSeq, sequences
from flowmetal.vm.lifting.function import BASE
from flowmetal.vm.lifting.inlining import lift_many_of
from flowmetal.vm.lifting.kinds import SMALL
from flowmetal.vm.lifting.runtime import OF_ONE, OF_TWO, Bail, Exhausted, Fuel
from flowmetal.vm.lifting.walks import FILTER, MAP, REDUCE, WHILE_FALSE, WHILE_TRUE

FIRST, MOST, FACTOR = 64, 1024, 4  # items of the first go, of the longest, and how they grow
FUEL = 2  # that a turn takes: itself and the call

_PLUS = 100
_INTEGERS = {int}
#: Builtins of two arguments that never give a `reduced`: + - * max min conj.
_STEPS = frozenset({100, 101, 102, 415})

Many = Callable[..., Any]


def _walk(
    F: Fuel, coll: Any, place: int, end: int, call: Callable[[Any], Any], keep: Callable[[Any], None] | None
) -> int:
    """Goes on from `place`, with some items at a time, and gives the place that it came to.

    `call` goes through items and changes nothing; `keep` gets what it gave, when that is to count.  Without `keep` it
    gives how many of the items it has gone past.
    """
    if (
        place.__class__ is not int
        or end.__class__ is not int
        or not 0 <= place < end
        or coll.__class__ not in _LENGTHS
        or _LENGTHS[coll.__class__](coll) < end
    ):
        return place
    size = FIRST
    while place < end:
        stop = min(place + size, end)
        wanted = stop - place
        before, left = F.__length_hint__(), F.left()
        if before < FUEL * wanted:
            break
        try:
            made = call(_items(coll, place, stop))
            passed = wanted if keep is not None else made
            now = F.__length_hint__()
            if passed < wanted and now != before:
                raise Bail  # what was called for the item that ends it took fuel too
            if now < FUEL * passed:
                raise Exhausted
        except BaseException as problem:
            F.extra = left - F.__length_hint__()
            if not isinstance(problem, Exception):
                raise
            break
        if passed:
            next(islice(F, FUEL * passed - 1, None), None)
        if keep is not None:
            keep(made)
        place += passed
        if place < stop:
            break
        size = min(size * FACTOR, MOST)
    return place


def _length_of_range(coll: Range) -> int:
    whole = coll.integers()
    return 0 if whole is None or not -SMALL < coll.start < SMALL or not -SMALL < coll.end < SMALL else len(whole)


_LENGTHS: dict[Any, Callable[[Any], int]] = {Vector: len, VectorSeq: len, Range: _length_of_range, str: len}


def _items(coll: Any, start: int, stop: int) -> Any:
    kind = coll.__class__
    if kind is Range:
        return coll.integers()[start:stop]
    if kind is str:
        return tuple(map(Char, coll[start:stop]))
    if kind is VectorSeq:
        start += coll.start
        stop += coll.start
        coll = coll.vector
    if coll.root is None:
        return coll.tail if stop - start == len(coll.tail) else coll.tail[start:stop]
    return coll.some(start, stop)


# ---- what to call ---------------------------------------------------------------------------------------------------


def _of_one(F: Fuel, function: Any, kind: str, coll: Any) -> Many | None:
    """A function of items that calls a value for each."""
    cls = function.__class__
    if cls is Closure:
        integers = (0,) if coll.__class__ is Range else ()
        made = lift_many_of(function.function, 1, kind, integers, F.process.program)
        return None if made is None else partial(made, F, function)
    call: Callable[[Any], Any] | None = None
    if cls is BuiltinFn:
        call = OF_ONE.get(function.number)
    elif cls is Keyword:
        call = partial(_look_up, function)
    return None if call is None else partial(_ALL[kind], call)


def _look_up(key: Keyword, item: Any) -> Any:
    if item.__class__ is Map and item.table is not None:
        return item.table.get(key)
    return sequences.get(item, key)


def _map_all(call: Callable[[Any], Any], items: Any) -> list[Any]:
    return list(map(call, items))


def _filter_all(call: Callable[[Any], Any], items: Any) -> list[Any]:
    return [item for item in items if (found := call(item)) is not None and found is not False]


def _while_true(call: Callable[[Any], Any], items: Any) -> int:
    passed = 0
    for item in items:
        found = call(item)
        if found is None or found is False:
            break
        passed += 1
    return passed


def _while_false(call: Callable[[Any], Any], items: Any) -> int:
    passed = 0
    for item in items:
        found = call(item)
        if found is not None and found is not False:
            break
        passed += 1
    return passed


_ALL: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    MAP: _map_all,
    FILTER: _filter_all,
    WHILE_TRUE: _while_true,
    WHILE_FALSE: _while_false,
}


def _sum(value: Any, items: Any) -> Any:
    """`+` of a value and items, integers all."""
    if value.__class__ is not int:
        raise Bail
    total = sum(items, value)
    # No item is much longer then, and so was no sum on the way: neither would have been refused.
    if not (-SMALL < value < SMALL and -SMALL < total < SMALL):
        raise Bail
    if items.__class__ is not range and (set(map(type, items)) != _INTEGERS or max(items) >= SMALL):
        raise Bail
    return total


def _small(value: Any) -> bool:
    return value.__class__ is int and -SMALL < value < SMALL


# ---- what lifted code calls ------------------------------------------------------------------------------------------


def many_map(F: Fuel, function: Any, coll: Any, place: Any, end: Any, out: list[Any], kind: str) -> Any:
    """Goes on with MAP or FILTER: adds to `out`, gives the new place."""
    call = _of_one(F, function, kind, coll)
    if call is None:
        return place

    return _walk(F, coll, place, end, call, out.extend)


def many_while(F: Fuel, function: Any, coll: Any, place: Any, end: Any, kind: str) -> Any:
    """Goes on with WHILE_TRUE or WHILE_FALSE: gives the new place."""
    call = _of_one(F, function, kind, coll)
    return place if call is None else _walk(F, coll, place, end, call, None)


def many_reduce(F: Fuel, function: Any, value: Any, coll: Any, place: Any, end: Any) -> tuple[Any, Any]:
    """Goes on with REDUCE: gives the new value and place."""
    cls = function.__class__
    items_are = (1,) if coll.__class__ is Range else ()
    call: Many | None = None
    integer = False  # the value so far has to be one
    if cls is BuiltinFn:
        if function.number == _PLUS:
            call = _sum
        elif function.number in _STEPS:
            call = partial(_fold, OF_TWO[function.number])
    elif cls is Closure:
        program = F.process.program
        if _small(value):
            call = lift_many_of(function.function, 2, REDUCE, (0, *items_are), program)
            integer = call is not None
        if call is None:
            call = lift_many_of(function.function, 2, REDUCE, items_are, program)
        if call is not None:
            call = partial(call, F, function)
    if call is None:
        return value, place
    held = value

    def go(items: Any) -> Any:
        if integer and not _small(held):
            raise Bail
        return call(held, items)

    def keep(made: Any) -> None:
        nonlocal held
        held = made

    place = _walk(F, coll, place, end, go, keep)
    return held, place


def _fold(step: Callable[[Any, Any], Any], value: Any, items: Any) -> Any:
    return reduce(step, items, value)


for _name in (many_map, many_reduce, many_while):
    BASE[_name.__name__] = _name
