"""Operations on whole sets, as Clojure does them: which set is walked, and which one the result comes from, shows
where sets are sorted, hold equal elements of two kinds (1 and 1.0 in a sorted set) or have metadata."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Set, SortedSet
from flowmetal.vm.builtins.check import wrong_type
from flowmetal.vm.builtins.registry import builtin

_EMPTY = Set.of(())


def _set(who: str, value: Any) -> Any:
    """A set, or nil, which counts as an empty one."""
    if value is not None and value.__class__ not in (Set, SortedSet):
        wrong_type(who, "a set", value)
    return value


def _sets(who: str, values: tuple[Any, ...]) -> list[Any]:
    return [_set(who, value) for value in values]


def _size(value: Any) -> int:
    return 0 if value is None else len(value)


def _has(value: Any, item: Any) -> bool:
    return value is not None and bool(value.contains(item))


def _first_of(sets: list[Any], at: int) -> list[Any]:
    """The sets with that at an index before the others."""
    return [sets[at], *sets[:at], *sets[at + 1 :]]


@builtin(1300, "union", 0, None)
def union(*sets: Any) -> Any:
    """A set of the elements of all the sets."""
    given = _sets("union", sets)
    if not given:
        return _EMPTY
    sizes = [_size(one) for one in given]
    result, *others = _first_of(given, sizes.index(max(sizes)))
    for other in others:
        for value in other or ():
            result = result.conj(value)
    return result


def _both(a: Any, b: Any) -> Any:
    if _size(b) < _size(a):
        a, b = b, a
    result = a
    for value in a or ():
        if not _has(b, value):
            result = result.disj(value)
    return result


@builtin(1301, "intersection", 1, None)
def intersection(first: Any, *sets: Any) -> Any:
    """A set of the elements that all the sets have."""
    given = _sets("intersection", (first, *sets))
    if len(given) > 2:
        sizes = [_size(one) for one in given]
        given = _first_of(given, sizes.index(min(sizes)))
    result = given[0]
    for other in given[1:]:
        result = _both(result, other)
    return result


@builtin(1302, "difference", 1, None)
def difference(first: Any, *sets: Any) -> Any:
    """The first set without the elements of the others."""
    result = _set("difference", first)
    for other in _sets("difference", sets):
        if result is None:
            return None
        if len(result) < _size(other):
            for value in list(result):
                if _has(other, value):
                    result = result.disj(value)
        else:
            for value in other or ():
                result = result.disj(value)
    return result


@builtin(1303, "subset?", 2)
def is_subset(first: Any, second: Any) -> bool:
    """Whether every element of the first set is in the second."""
    part, whole = _sets("subset?", (first, second))
    return _size(part) <= _size(whole) and all(_has(whole, value) for value in part or ())


@builtin(1304, "superset?", 2)
def is_superset(first: Any, second: Any) -> bool:
    """Whether every element of the second set is in the first."""
    whole, part = _sets("superset?", (first, second))
    return _size(part) <= _size(whole) and all(_has(whole, value) for value in part or ())
