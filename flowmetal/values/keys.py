"""Keys of the Python dicts that maps and sets are made of.

Python holds 1, 1.0, True and Decimal(1) for one key; the language does not.  `key_of` boxes the kinds Python confuses
and leaves all others as they are; `unkey` undoes it.  `identical` tells whether two values are the same for a
program, by value for scalars: whether Python shares an object of two equal scalars must never show in a map or an
image.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import copysign, isnan
from typing import Any
from uuid import UUID

from flowmetal.values.base import Value
from flowmetal.values.hashing import HASHERS, hash_of
from flowmetal.values.scalars import Char, Duration, Instant, Pid, Regex, Symbol
from flowmetal.values.secrets import Secret


class Boxed:
    """A bool, float or decimal as a dict key: equal only to a box of an equal value of the same class."""

    __slots__ = ("hash", "kind", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.kind = value.__class__
        self.hash = hash_of(value)

    def __eq__(self, other: object) -> bool:
        return other.__class__ is Boxed and self.kind is other.kind and self.value == other.value

    def __hash__(self) -> int:
        return self.hash

    def __repr__(self) -> str:
        return f"Boxed({self.value!r})"


HASHERS[Boxed] = Boxed.__hash__

_TRUE, _FALSE = Boxed(True), Boxed(False)


def _box_bool(value: bool) -> Boxed:
    return _TRUE if value else _FALSE


WRAPPERS: dict[type, Callable[[Any], Any]] = {bool: _box_bool, float: Boxed, Decimal: Boxed}
"""Class -> function that gives the key of a value of that class; classes that are not here are their own keys."""


def key_of(value: Value) -> Any:
    """The dict key that stands for a value."""
    wrapper = WRAPPERS.get(value.__class__)
    return value if wrapper is None else wrapper(value)


def unkey(key: Any) -> Value:
    """The value a dict key stands for."""
    return key.value if key.__class__ is Boxed else key


_BY_VALUE = frozenset({int, str, bytes, Fraction, UUID, Char, Instant, Duration, Pid, Regex, Secret})


def identical(a: Value, b: Value) -> bool:
    """Whether a program cannot tell two values apart: the same object, or the same scalar."""
    if a is b:
        return True
    kind = a.__class__
    if kind is not b.__class__:
        return False
    if kind in _BY_VALUE:
        return bool(a == b)
    if kind is float:
        if isnan(a):
            return isnan(b)
        return bool(a == b and copysign(1.0, a) == copysign(1.0, b))
    if kind is Decimal:
        return bool(a.as_tuple() == b.as_tuple())
    if kind is Symbol:
        return a.meta is None and b.meta is None and bool(a == b)
    return False
