"""The natural order of values (`compare`): what sorted maps, sorted sets and `sort` use without a comparator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from flowmetal.values.base import Value
from flowmetal.values.errors import fail
from flowmetal.values.numbers import compare_numbers, is_number
from flowmetal.values.scalars import Char, Duration, Instant, Keyword, Pid, Symbol
from flowmetal.values.vector import Vector


def _name_order(value: Any) -> tuple[str, str]:
    return value.namespace or "", value.name


_ORDERED: dict[type, Any] = {
    str: None,
    bool: None,
    bytes: None,
    Char: lambda char: char.text,
    Keyword: _name_order,
    Symbol: _name_order,
    Instant: lambda instant: instant.ns,
    Duration: lambda duration: duration.ns,
    Pid: lambda pid: pid.number,
    UUID: lambda uuid: uuid.int,
}


def compare(a: Value, b: Value) -> int:
    """-1, 0 or 1.  nil comes before everything; numbers compare by value; strings by code points; vectors by length,
    then item by item.  Raises an error of kind :type for values that have no order between them."""
    kind = a.__class__
    if kind is int and b.__class__ is int:
        return int(a > b) - int(a < b)
    if kind is not Vector or b.__class__ is not Vector:
        return _compare_flat(a, b)
    if len(a) != len(b):
        return -1 if len(a) < len(b) else 1
    stack: list[Iterator[tuple[Any, Any]]] = [zip(a, b, strict=True)]
    memo: dict[tuple[int, int], tuple[Any, Any]] = {}  # pairs found equal: with sharing there are few, met often
    while stack:
        for x, y in stack[-1]:
            if x.__class__ is Vector and y.__class__ is Vector:
                if x is y or (id(x), id(y)) in memo:
                    continue
                memo[id(x), id(y)] = (x, y)
                if len(x) != len(y):
                    return -1 if len(x) < len(y) else 1
                stack.append(zip(x, y, strict=True))
                break
            order = _compare_flat(x, y)
            if order:
                return order
        else:
            stack.pop()
    return 0


def check_ordered(value: Any) -> None:
    """Raises an error of kind :type for a value of a kind that has no order; what a vector holds is not looked at."""
    if value is not None and value.__class__ not in _ORDERED and value.__class__ is not Vector and not is_number(value):
        fail("type", "these two values have no order between them", Vector((value, value)))


def _compare_flat(a: Any, b: Any) -> int:
    if a is None or b is None:
        return (a is not None) - (b is not None)
    kind = a.__class__
    if kind is b.__class__ and kind in _ORDERED:
        order = _ORDERED[kind]
        if order is not None:
            a, b = order(a), order(b)
        return int(a > b) - int(a < b)
    if is_number(a) and is_number(b):
        return compare_numbers(a, b)
    fail("type", "these two values have no order between them", Vector((a, b)))
