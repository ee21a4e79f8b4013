"""Functions as values, and the mark that ends a reduction."""

from __future__ import annotations

from typing import Any

from flowmetal.values.base import LATE, Collection, Heap, Value
from flowmetal.values.keys import identical


class Closure(Heap):
    """A function of a module with the values it captured.

    `function` is a bytecode Function; it has a `name`.  Two closures are equal when they are of the same function and
    captured identical values.
    """

    __slots__ = ("captures", "function", "meta")

    def __init__(self, function: Any, captures: tuple[Value, ...] = (), meta: Any = None) -> None:
        self.function = function
        self.captures = captures
        self.meta = meta
        self.owner = None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if other.__class__ is not Closure or self.function is not other.function:
            return False
        theirs: tuple[Value, ...] = other.captures
        return len(self.captures) == len(theirs) and all(map(identical, self.captures, theirs))

    def __hash__(self) -> int:
        return LATE.hash(self)

    def __repr__(self) -> str:
        return LATE.text(self)


class BuiltinFn:
    """A builtin as a value: its permanent number and its name.

    `one` and `two` are the machine's: what it calls for one argument and for two, once it has been called so.
    """

    __slots__ = ("name", "number", "one", "two")

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.one: Any = None
        self.two: Any = None

    def __eq__(self, other: object) -> bool:
        return self is other or (other.__class__ is BuiltinFn and self.number == other.number)

    def __hash__(self) -> int:
        return LATE.hash(self)

    def __repr__(self) -> str:
        return LATE.text(self)


class Reduced(Collection):
    """A value that ends the reduction which meets it."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value
        self.meta = None
        self.hash = None
        self.owner = None
