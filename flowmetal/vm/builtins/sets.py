"""Operations on whole sets."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Set, SortedSet
from flowmetal.vm.builtins.check import wrong_type
from flowmetal.vm.builtins.registry import builtin

_EMPTY = Set.of(())


def _set(who: str, value: Any) -> Any:
    if value is None:
        return _EMPTY
    if value.__class__ not in (Set, SortedSet):
        wrong_type(who, "a set", value)
    return value


@builtin(1300, "union", 0, None)
def union(*sets: Any) -> Any:
    """A set of the elements of all the sets."""
    result = _set("union", sets[0]) if sets else _EMPTY
    for other in sets[1:]:
        for value in _set("union", other):
            result = result.conj(value)
    return result


@builtin(1301, "intersection", 1, None)
def intersection(first: Any, *sets: Any) -> Any:
    """A set of the elements that all the sets have."""
    result = _set("intersection", first)
    for other in sets:
        kept = _set("intersection", other)
        for value in list(result):
            if not kept.contains(value):
                result = result.disj(value)
    return result


@builtin(1302, "difference", 1, None)
def difference(first: Any, *sets: Any) -> Any:
    """The first set without the elements of the others."""
    result = _set("difference", first)
    for other in sets:
        for value in _set("difference", other):
            result = result.disj(value)
    return result


@builtin(1303, "subset?", 2)
def is_subset(first: Any, second: Any) -> bool:
    """Whether every element of the first set is in the second."""
    whole = _set("subset?", second)
    return all(whole.contains(value) for value in _set("subset?", first))
