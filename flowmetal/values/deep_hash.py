"""The stable hash of composite values, without recursion, and keys made fit for tables.

The hash of a value without lazy parts is cached in it.  A value with lazy parts is never cached and never becomes a
key as it is: `settle` replaces its lazy sequences by lists, so that a table read back from an image needs nothing
realized. Part of the image format, like hashing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flowmetal.values.base import LATE, Value
from flowmetal.values.errors import ErrorValue, fail
from flowmetal.values.functions import BuiltinFn, Closure, Reduced
from flowmetal.values.hashing import HASHERS, hash_int, hash_of, hash_text
from flowmetal.values.keys import WRAPPERS
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import mix
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import SortedMap, SortedSet
from flowmetal.values.vector import Vector, VectorSeq

_MASK = 0xFFFFFFFF
RANGE_HASH_MAX = 1 << 20  # a range takes a few bytes to write and could take years to walk
_NOT_KEPT = frozenset({LazySeq, Cons, Range})  # in keys, lists stand for them
_ORDERED, _ENTRIES, _UNORDERED = 0, 1, 2  # how the hashes of the parts are joined


def _map_parts(value: Any) -> Iterator[Value]:
    for key, item in value.items():
        yield key
        yield item


def _range_parts(value: Range) -> Iterator[Value]:
    most = RANGE_HASH_MAX if value.integers() is not None else RANGE_HASH_MAX >> 6
    for position, item in enumerate(value):
        if position >= most:
            fail("limit", f"a range of more than {most} numbers cannot be hashed")
        yield item


def _error_parts(value: ErrorValue) -> Iterator[Value]:
    return iter((value.kind, value.message, value.data, value.cause))


def _reduced_parts(value: Reduced) -> Iterator[Value]:
    return iter((value.value,))


def _instance_parts(value: Instance) -> Iterator[Value]:
    return iter((value.type, value.methods))


# class -> (how to join, salt, the parts)
_PLANS: dict[type, tuple[int, int, Callable[[Any], Iterator[Value]]]] = {
    List: (_ORDERED, 0, iter),
    Cons: (_ORDERED, 0, iter),
    LazySeq: (_ORDERED, 0, iter),
    Range: (_ORDERED, 0, _range_parts),
    Vector: (_ORDERED, 0, iter),
    VectorSeq: (_ORDERED, 0, iter),
    Map: (_ENTRIES, 0x2F0B4C47, _map_parts),
    SortedMap: (_ENTRIES, 0x2F0B4C47, _map_parts),
    Set: (_UNORDERED, 0x6C62272E, iter),
    SortedSet: (_UNORDERED, 0x6C62272E, iter),
    ErrorValue: (_ORDERED, 0x3F84D5B5, _error_parts),
    Reduced: (_ORDERED, 0x1B5F4A3D, _reduced_parts),
    Record: (_ENTRIES, 0x4D6A1E73, _map_parts),
    Instance: (_ORDERED, 0x2C9277B5, _instance_parts),
}


def _hash_closure(value: Closure) -> int:
    # Captured values stay out: they may hold lazy parts, and equal closures have the same number of them anyhow.
    return mix(hash_text(value.function.name) ^ len(value.captures))


HASHERS[Closure] = _hash_closure
HASHERS[BuiltinFn] = lambda value: mix(hash_int(value.number) ^ 0x5A827999)
# What is equal to itself only has no number that would be the same after a restore, so all of a kind share one hash.
HASHERS[Cell] = lambda value: 0x0CE110CE
HASHERS[Promise] = lambda value: 0x09807155
HASHERS[Resumption] = lambda value: 0x07E50301

_FLAT = dict(HASHERS)


class _Frame:
    """A composite value whose parts are being hashed."""

    __slots__ = ("count", "join", "key", "lazy", "parts", "salt", "total", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.join, self.salt, parts = _PLANS[value.__class__]
        self.parts = parts(value)
        self.total = 1 if self.join == _ORDERED else 0
        self.count = 0
        self.key = 0
        self.lazy = value.__class__ in _NOT_KEPT

    def take(self, part: int) -> None:
        """Joins the hash of the next part."""
        if self.join == _ORDERED:
            self.total = (self.total * 31 + part) & _MASK
        elif self.join == _UNORDERED:
            self.total = (self.total + mix(part)) & _MASK
        elif self.count & 1:
            self.total = (self.total + mix((self.key * 31 + part) & _MASK)) & _MASK
        else:
            self.key = part
        self.count += 1


def hash_deep(value: Any) -> int:
    """The hash of a composite value; cached where the value has no lazy parts."""
    cached: int | None = value.hash
    if cached is not None:
        return cached
    stack = [_Frame(value)]
    result = 0
    while stack:
        frame = stack[-1]
        for part in frame.parts:
            hasher = _FLAT.get(part.__class__)
            if hasher is not None:
                frame.take(hasher(part))
            elif part.hash is not None:
                frame.take(part.hash)
            else:
                stack.append(_Frame(part))
                break
        else:
            stack.pop()
            result = mix((frame.total ^ frame.salt ^ frame.count * 0x9E3779B1) & _MASK)
            if not frame.lazy:
                frame.value.hash = result
            if stack:
                stack[-1].take(result)
                stack[-1].lazy |= frame.lazy
    return result


for _class in _PLANS:
    HASHERS[_class] = hash_deep
LATE.hash = hash_of


def settle(value: Any) -> Value:
    """A composite value as a key: itself, or a copy with lists for its lazy parts."""
    if value.hash is None:
        hash_deep(value)
        if value.hash is None:
            value = _without_laziness(value)
            hash_deep(value)
    return value


for _class in _PLANS:
    WRAPPERS[_class] = settle


def _rebuild(value: Any, parts: list[Any]) -> Value:
    kind = value.__class__
    if kind is Vector:
        result: Any = Vector.of(parts)
    elif kind is Map or kind is SortedMap:
        result = kind.of(zip(parts[::2], parts[1::2], strict=True))
    elif kind is Set or kind is SortedSet:
        result = kind.of(parts)
    elif kind is Record:
        result = Record.made(value.type, value.fields, Map.of(zip(parts[::2], parts[1::2], strict=True)))
    elif kind is Instance:
        result = Instance(parts[0], parts[1])
    elif kind is ErrorValue:
        result = ErrorValue(parts[0], parts[1], parts[2], parts[3], value.trace)
    elif kind is Reduced:
        result = Reduced(parts[0])
    else:
        result = List.of(parts)
    hash_deep(result)
    return result


def _without_laziness(value: Any) -> Value:
    """A copy of a wholly realized value in which lists stand for cons cells, ranges and lazy sequences."""
    stack: list[tuple[Any, Iterator[Any], list[Any]]] = [(value, _PLANS[value.__class__][2](value), [])]
    part: Any
    while True:
        whole, parts, done = stack[-1]
        for part in parts:
            plan = _PLANS.get(part.__class__)
            if plan is None or part.hash is not None:
                done.append(part)
            else:
                stack.append((part, plan[2](part), []))
                break
        else:
            stack.pop()
            result = _rebuild(whole, done)
            if not stack:
                return result
            stack[-1][2].append(result)
