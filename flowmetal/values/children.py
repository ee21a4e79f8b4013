"""What an object holds, for those who walk a heap: quotas, inspection, reachability."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmetal.values.errors import ErrorValue
from flowmetal.values.functions import Closure, Reduced
from flowmetal.values.hash_trie import HashLeaf, HashNode
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.records import Instance, Record
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import OrderedNode, SortedMap, SortedNode, SortedSet
from flowmetal.values.vector import Vector, VectorNode, VectorSeq


def _in_table(value: Map | Set) -> Iterable[Any]:
    table: dict[Any, Any] | None = value.table
    return (value.root,) if table is None else (*table, *table.values())


def _in_resumption(value: Resumption) -> Iterable[Any]:
    for frame in value.frames:
        for part in frame:
            if part.__class__ is list or part.__class__ is tuple:
                yield from part
            else:
                yield part


_CHILDREN: dict[type, Callable[[Any], Iterable[Any]]] = {
    List: lambda value: (value.first, value.rest) if value.count else (),
    Cons: lambda value: (value.first, value.rest),
    LazySeq: lambda value: (value.thunk, value.value),
    Range: lambda value: (),
    Vector: lambda value: (*value.tail, value.root),
    VectorNode: lambda value: value.children,
    VectorSeq: lambda value: (value.vector,),
    Map: _in_table,
    Set: _in_table,
    Record: lambda value: (*_in_table(value), value.fields),
    Instance: lambda value: (value.methods,),
    HashNode: lambda value: value.children,
    HashLeaf: lambda value: (*value.table, *value.table.values()),
    SortedMap: lambda value: (value.root, value.order),
    SortedSet: lambda value: (value.root, value.order),
    SortedNode: lambda value: (value.key, value.value, value.left, value.right),
    OrderedNode: lambda value: (value.key, value.value, value.left, value.right),
    Closure: lambda value: value.captures,
    ErrorValue: lambda value: (value.data, value.cause, value.trace),
    Reduced: lambda value: (value.value,),
    Cell: lambda value: (value.value, value.care),
    Promise: lambda value: (value.value,),
    Resumption: _in_resumption,
}


def long_texts(value: Any, least: int, most: int) -> list[str | bytes]:
    """The strings and bytes of at least `least` inside a value, each once, in the first `most` objects."""
    found: dict[str | bytes, None] = {}
    pending: list[Any] = [value]
    seen: set[int] = set()
    while pending and len(seen) < most:
        one = pending.pop()
        if one.__class__ is str or one.__class__ is bytes:
            if len(one) >= least:
                found[one] = None
            continue
        below = children_of(one)
        if below is not None and id(one) not in seen:
            seen.add(id(one))
            pending.extend(below)
    return list(found)


def children_of(value: Any) -> Iterable[Any] | None:
    """The objects and scalars directly inside a heap object, inner nodes of collections included; None for scalars.

    Metadata is left out.  Boxed keys of tables are given as they are; they count as scalars.
    """
    children = _CHILDREN.get(value.__class__)
    return None if children is None else children(value)
