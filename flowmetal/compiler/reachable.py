"""What a value holds: the functions, cells and other values inside values of any kind, without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.values import (
    Cell,
    Closure,
    Cons,
    ErrorValue,
    Instance,
    LazySeq,
    List,
    Map,
    Promise,
    Record,
    Reduced,
    Resumption,
    Set,
    SortedMap,
    SortedSet,
    Vector,
    VectorSeq,
    meta_of,
)

_PAIRS = (Map, SortedMap, Record)
_ITEMS = (List, Vector, Set, SortedSet, VectorSeq)
MUTABLE = (Cell, LazySeq, Promise, Resumption)


def parts_of(value: Any) -> list[Any]:
    """The values directly inside a value, in a fixed order; metadata last."""
    kind = value.__class__
    found: list[Any]
    if kind is Closure:
        found = list(value.captures)
    elif kind in _PAIRS:
        found = [part for pair in value.items() for part in pair]
        if kind is SortedMap:
            found.append(value.order)
    elif kind is Instance:
        found = [value.methods]
    elif kind in _ITEMS:
        found = list(value)
        if kind is SortedSet:
            found.append(value.order)
    elif kind is Cons:
        found = [value.first, value.rest]
    elif kind is LazySeq:
        found = [value.thunk, value.value]
    elif kind is Cell:
        found = [value.value, value.care]
    elif kind in (Promise, Reduced):
        found = [value.value]
    elif kind is ErrorValue:
        found = [value.data, value.cause, value.trace]
    else:
        return []
    meta = meta_of(value)
    if meta is not None:
        found.append(meta)
    return found


def walk(roots: Iterable[Any], seen: set[int]) -> Iterable[Any]:
    """Values reachable from roots that hold others, each once, in a fixed order.

    `seen` has the ids of those met before; the caller keeps the values alive while it uses it.
    """
    pending = list(roots)[::-1]
    while pending:
        value = pending.pop()
        parts = parts_of(value)
        if not parts and value.__class__ is not Closure and value.__class__ not in MUTABLE:
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        pending.extend(reversed(parts))
