"""Equality of values (`=`), without recursion over nesting.

Numbers are equal within their kind only; sequences of every type are equal when their items are; maps and sets are
equal by content, sorted or not; functions, cells and promises are equal to themselves.  A chain of a million nested
vectors takes memory in proportion and no Python stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

from flowmetal.values.base import LATE, MISSING, Value
from flowmetal.values.errors import ErrorValue, NeedsRealize, fail
from flowmetal.values.functions import BuiltinFn, Closure, Reduced
from flowmetal.values.hash_trie import leaf_of
from flowmetal.values.hashing import hash_of
from flowmetal.values.keys import key_of
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import Keyword
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import SortedMap, SortedSet
from flowmetal.values.vector import Vector, VectorSeq

SEQUENTIAL, MAP, SET, ERROR, REDUCED, RECORD, INSTANCE = 1, 2, 3, 4, 5, 6, 7

KINDS: dict[type, int] = {
    List: SEQUENTIAL,
    Cons: SEQUENTIAL,
    LazySeq: SEQUENTIAL,
    Range: SEQUENTIAL,
    Vector: SEQUENTIAL,
    VectorSeq: SEQUENTIAL,
    Map: MAP,
    SortedMap: MAP,
    Set: SET,
    SortedSet: SET,
    ErrorValue: ERROR,
    Reduced: REDUCED,
    Record: RECORD,
    Instance: INSTANCE,
}
"""What a composite class is equal to: classes of the same kind may be equal to each other."""

_OWN = frozenset({Cell, Promise, Resumption, Closure, BuiltinFn})
_MEMO_AT = 512  # composite pairs compared before pairs are remembered; sharing can make their number exponential
_NESTING_MAX = 64  # depth of colliding hashes within keys within keys; beyond it is an attack
_CELLS = 32  # lazy cells walked before more than one is asked for at once, when neither side has a known length

_Pairs = Iterator[tuple[Any, Any]]


def equal(a: Value, b: Value) -> bool:
    """Whether two values are equal.  Raises NeedsRealize at a lazy sequence that has to be looked into."""
    if a is b:
        return a.__class__ is not float or not isnan(a)
    kind = a.__class__
    if kind is b.__class__:
        if kind in KINDS:
            return _equal_deep(a, b, 0)
        return kind is not Keyword and bool(a == b)
    shape = KINDS.get(kind)
    if shape is None or shape != KINDS.get(b.__class__):
        return False
    return _equal_deep(a, b, 0)


LATE.equal = equal


def _equal_deep(a: Any, b: Any, nesting: int) -> bool:
    if nesting > _NESTING_MAX:
        fail("limit", "keys of equal hash are nested too deeply to be compared")
    first = _pairs(a, b, nesting)
    if first is None:
        return False
    stack = [first]
    compared = 0
    memo: dict[tuple[int, int], tuple[Any, Any]] = {}
    while stack:
        for x, y in stack[-1]:
            kind = x.__class__
            if x is y:
                if kind is float and isnan(x):
                    return False
                continue
            if kind is y.__class__ and kind not in KINDS:
                if x == y:
                    continue
                return False
            shape = KINDS.get(kind)
            if shape is None or shape != KINDS.get(y.__class__):
                return False
            compared += 1
            if compared > _MEMO_AT:
                # A pair met before is equal, or is being compared: what is left of it is still on the stack.
                if (id(x), id(y)) in memo:
                    continue
                memo[id(x), id(y)] = (x, y)
            below = _pairs(x, y, nesting)
            if below is None:
                return False
            stack.append(below)
            break
        else:
            stack.pop()
    return True


def _pairs(a: Any, b: Any, nesting: int) -> _Pairs | None:
    """The pairs that must be equal for a and b to be equal; None if they differ in length or hash already."""
    if a.hash is not None and b.hash is not None and a.hash != b.hash:
        return None
    shape = KINDS[a.__class__]
    if shape == SEQUENTIAL:
        if a.__class__ is Range and b.__class__ is Range:
            whole, other = a.integers(), b.integers()
            if whole is not None and other is not None:
                return iter(()) if whole == other else None
        known_a, known_b = _length(a), _length(b)
        if known_a is not None and known_b is not None:
            if known_a != known_b:
                return None
            return zip(a, b, strict=True)
        return _stepwise(a, b, known_a if known_b is None else known_b)
    if shape == ERROR:
        return iter(((a.kind, b.kind), (a.message, b.message), (a.data, b.data), (a.cause, b.cause)))
    if shape == REDUCED:
        return iter(((a.value, b.value),))
    if shape == INSTANCE:
        return iter(((a.type, b.type), (a.methods, b.methods)))
    if len(a) != len(b):
        return None
    if shape == RECORD:
        return _map_pairs(a, b, nesting) if a.type == b.type else None
    if shape == MAP:
        if a.__class__ is b.__class__ is SortedMap:
            if a.order is not b.order:
                return _map_pairs(a, Map.of(b.items()), nesting)
            return _flatten(zip(a.items(), b.items(), strict=True))
        return _map_pairs(a, b, nesting) if b.__class__ is Map else _map_pairs(b, a, nesting)
    if a.__class__ is b.__class__ is SortedSet:
        if a.order is not b.order:
            return _set_pairs(a, Set.of(b), nesting)
        return zip(a, b, strict=True)
    return _set_pairs(a, b, nesting) if b.__class__ is Set else _set_pairs(b, a, nesting)


def _length(value: Any) -> int | None:
    kind = value.__class__
    if kind is Cons or kind is LazySeq or (kind is Range and value.integers() is None):
        return None
    return len(value)


def _stepwise(a: Any, b: Any, bound: int | None) -> _Pairs:
    """Items of two sequences side by side; MISSING against an item where one is longer."""
    left, right = _Steps(a, bound), _Steps(b, bound)
    while True:
        x, y = left.item(), right.item()
        if x is MISSING and y is MISSING:
            return
        yield x, y


class _Steps:
    """Walks a sequence item by item, asking for no more lazy cells than the comparison may look at.

    Where neither side has a known length nobody can say how many these are.  The comparison begins anew whenever it has
    to ask, so beyond some first cells it asks for half as many again as it has seen: that makes its work linear.
    """

    def __init__(self, sequence: Any, bound: int | None) -> None:
        self.sequence = sequence
        self.items: Iterator[Any] | None = None
        self.left = bound
        self.walked = 0

    def item(self) -> Value:
        """The next item, or MISSING at the end."""
        if self.items is not None:
            return next(self.items, MISSING)
        sequence = self.sequence
        while sequence.__class__ is LazySeq:
            if sequence.state != "done":
                raise NeedsRealize(sequence, False, self._wanted())
            sequence = sequence.value
        if self.left:
            self.left -= 1
        self.walked += 1
        if sequence.__class__ is Cons:
            self.sequence = sequence.rest
            return sequence.first
        self.items = iter(() if sequence is None else sequence)
        return next(self.items, MISSING)

    def _wanted(self) -> int:
        if self.left is not None:
            return self.left + 1
        return 1 if self.walked < _CELLS else self.walked // 2


def _flatten(entries: Iterator[tuple[tuple[Any, Any], tuple[Any, Any]]]) -> _Pairs:
    for (key, value), (other_key, other_value) in entries:
        yield key, other_key
        yield value, other_value


def _same_hash(table: Map | Set, key: Any) -> list[tuple[Any, Any]]:
    """The entries of a map or set whose keys are composite and have the hash of `key`."""
    place = hash_of(key)
    held: dict[Any, Any] | None = table.table
    if held is None:
        held = leaf_of(table.root, place)  # type: ignore[arg-type]
    return [(own, value) for own, value in held.items() if own.__class__ in KINDS and hash_of(own) == place]


def _key_matches(candidates: list[tuple[Any, Any]], key: Any, nesting: int) -> Iterator[tuple[Any, Any]]:
    for own, value in candidates:
        if own is key or (KINDS[own.__class__] == KINDS[key.__class__] and _equal_deep(own, key, nesting + 1)):
            yield own, value
            return


def _map_pairs(a: Any, b: Map, nesting: int) -> _Pairs:
    """Pairs of the entries of a map of any kind and a hashed one.

    A composite key is not looked up (Python would compare it recursively): with one candidate of its hash the two
    keys must be equal, so they become a pair like any other.
    """
    for key, value in a.items():
        if key.__class__ in KINDS:
            candidates = _same_hash(b, key)
            if len(candidates) > 1:
                candidates = list(_key_matches(candidates, key, nesting))
            else:
                yield key, candidates[0][0] if candidates else MISSING
            yield value, candidates[0][1] if candidates else MISSING
        else:
            yield value, b.find(key_of(key))


def _set_pairs(a: Any, b: Set, nesting: int) -> _Pairs:
    for item in a:
        if item.__class__ in KINDS:
            candidates = _same_hash(b, item)
            if len(candidates) > 1:
                candidates = list(_key_matches(candidates, item, nesting))
                yield None, None if candidates else MISSING
            else:
                yield item, candidates[0][0] if candidates else MISSING
        else:
            yield None, b.find(key_of(item))
