"""Operations that treat every type alike: sequences, look-up, adding to collections.

All are leaves: where they meet an unrealized lazy sequence they raise NeedsRealize and are run again.  Strings are
sequences of characters, maps of entries, nil is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from flowmetal.values.base import MISSING, Value
from flowmetal.values.errors import NeedsRealize, fail, shortly
from flowmetal.values.maps import EMPTY_MAP, Map
from flowmetal.values.meta import meta_of, with_meta
from flowmetal.values.records import Record
from flowmetal.values.scalars import Char
from flowmetal.values.seqs import EMPTY_LIST, ITEMS_AT_ONCE_MAX, Cons, LazySeq, List, Range
from flowmetal.values.sets import EMPTY_SET, Set
from flowmetal.values.sorted import SortedMap, SortedSet
from flowmetal.values.vector import EMPTY_VECTOR, Vector, VectorSeq, is_entry

_SEQS = frozenset({List, Cons, LazySeq, Range, VectorSeq})
_ITERABLE = frozenset({List, Cons, LazySeq, Range, VectorSeq, Vector, Map, Record, Set, SortedMap, SortedSet})
_MAPS = frozenset({Map, SortedMap, Record})
_SEQABLE = _ITERABLE | {str, bytes}
_COUNTED = frozenset({List, VectorSeq, Vector, Map, Record, Set, SortedMap, SortedSet, Range, str, bytes})


def _no_seq(value: Value) -> NoReturn:
    fail("type", "this value is not a sequence or collection", value)


def is_seq(value: Value) -> bool:
    """Whether a value is a sequence (`seq?`): a list, cons cell, lazy sequence, range, or the sequence of a vector."""
    return value.__class__ in _SEQS


def is_lookup(value: Value) -> bool:
    """Whether a value is a function of its keys: a map or a set."""
    kind = value.__class__
    return kind is Map or kind is Set or kind is SortedMap or kind is SortedSet


def is_seqable(value: Value) -> bool:
    """Whether `seq` takes the value."""
    return value is None or value.__class__ in _ITERABLE or value.__class__ is str or value.__class__ is bytes


def seq(value: Value) -> Any:
    """The items as a sequence that is not lazy, or None if there are none."""
    kind = value.__class__
    if value is None:
        return None
    if kind is Vector:
        return VectorSeq(value) if value.tail else None
    if kind is VectorSeq or kind is Cons:
        return value
    if kind is List:
        return value if value.count else None
    if kind is LazySeq:
        return value.seq()
    if kind is Range:
        return None if value.is_empty else value
    if kind is str:
        return VectorSeq.of(_characters(value))
    if kind in _ITERABLE or kind is bytes:
        return VectorSeq.of(value)
    _no_seq(value)


def _characters(text: str) -> Iterator[Char]:
    """The characters of a string; they are taken within one instruction, which nothing can interrupt."""
    if len(text) > ITEMS_AT_ONCE_MAX:
        fail("limit", f"more than {ITEMS_AT_ONCE_MAX} characters cannot be taken at once; take parts with `subs`")
    return map(Char, text)


def first(value: Value) -> Value:
    """The first item, nil if there is none."""
    kind = value.__class__
    if kind is List or kind is Cons or kind is VectorSeq:
        return value.first
    if value is None:
        return None
    if kind is Vector:
        return value.get(0) if value.tail else None
    if kind is LazySeq:
        found = value.seq()
        return None if found is None else first(found)
    if kind is Range:
        return None if value.is_empty else value.start
    if kind is str:
        return Char(value[0]) if value else None
    if kind in _ITERABLE or kind is bytes:
        return next(iter(value), None)
    _no_seq(value)


def rest(value: Value) -> Any:
    """The sequence after the first item; the empty list at the end."""
    kind = value.__class__
    if kind is List or kind is Cons:
        return value.rest
    if kind is LazySeq:
        found = value.seq()
        return EMPTY_LIST if found is None else rest(found)
    if kind is VectorSeq or kind is Range:
        if kind is Range and value.is_empty:
            return EMPTY_LIST
        after = value.next()
        return EMPTY_LIST if after is None else after
    if kind is Vector:
        return VectorSeq(value, 1) if len(value) > 1 else EMPTY_LIST
    found = seq(value)
    return EMPTY_LIST if found is None else rest(found)


def next_(value: Value) -> Any:
    """The sequence after the first item, None if there is none."""
    return seq(rest(value))


def count(value: Value) -> int:
    """How many items there are; realizes a lazy sequence to its end."""
    kind = value.__class__
    if kind in _COUNTED:
        return len(value)
    if value is None:
        return 0
    if kind is Cons or kind is LazySeq:
        total = 0
        while True:
            kind = value.__class__
            if kind is Cons:
                total += 1
                value = value.rest
            elif kind is LazySeq:
                if value.state != "done":
                    raise NeedsRealize(value, True)
                value = value.value
            else:
                return total + (0 if value is None else len(value))
    _no_seq(value)


def is_empty(value: Value) -> bool:
    """Whether there are no items; looks at the first one only."""
    kind = value.__class__
    if kind in _COUNTED and kind is not Range:
        return not len(value)
    return seq(value) is None


def iterate(value: Value) -> Iterator[Value]:
    """A Python iterator over the items; raises NeedsRealize (of the whole) where it meets an unrealized lazy
    sequence.
    """
    kind = value.__class__
    if kind in _ITERABLE:
        return iter(value)
    if value is None:
        return iter(())
    if kind is str:
        return _characters(value)
    if kind is bytes:
        return iter(value)
    _no_seq(value)


def nth(value: Value, index: int, default: Value = MISSING) -> Value:
    """The item at an index; the default outside, an error of kind :index if there is none.  nil has nil everywhere."""
    if index.__class__ is not int:
        fail("type", "`nth` needs an integer index", index)
    kind = value.__class__
    if value is None:
        return None if default is MISSING else default
    if kind is Vector or kind is VectorSeq:
        if 0 <= index < len(value) or default is MISSING:
            return value.get(index)
        return default
    if kind is str or kind is bytes:
        if 0 <= index < len(value):
            return Char(value[index]) if kind is str else value[index]
    elif kind is Range:
        if default is MISSING:
            return value.get(index)
        if index >= 0:
            whole = value.integers()
            if whole is not None:
                return value.get(index) if index < len(value) else default
            return next((item for place, item in enumerate(value) if place == index), default)
    elif kind in _SEQS:
        if index >= 0:
            found = _nth_step(value, index)
            if found is not MISSING:
                return found
    else:
        fail("type", "`nth` takes a sequence, a vector or a string", value)
    if default is not MISSING:
        return default
    fail("index", f"index {shortly(index)} is outside the sequence", index)


def _nth_step(value: Any, index: int) -> Value:
    """The item `index` cells on in a list or a chain of lazy cells, or MISSING."""
    while True:
        kind = value.__class__
        if kind is LazySeq:
            if value.state != "done":
                raise NeedsRealize(value, False, index + 1)
            value = value.value
        elif kind is Cons:
            if index == 0:
                return value.first
            index -= 1
            value = value.rest
        elif kind is List:
            if index >= value.count:
                return MISSING
            while index:
                value = value.rest
                index -= 1
            return value.first
        else:
            return MISSING if value is None else _nth_or_missing(value, index)


def _nth_or_missing(value: Any, index: int) -> Value:
    if value.__class__ is Range:
        return next((item for place, item in enumerate(value) if place == index), MISSING)
    return value.get(index) if index < len(value) else MISSING


def cons(item: Value, value: Value) -> Any:
    """An item in front of a sequence."""
    if value is None:
        return List(item, EMPTY_LIST)
    kind = value.__class__
    if kind is List:
        return List(item, value)
    if kind in _SEQS:
        return Cons(item, value)
    found = seq(value)
    return List(item, EMPTY_LIST) if found is None else Cons(item, found)


def _is_map(value: Value) -> bool:
    return value.__class__ in _MAPS


def _added(value: Any, item: Value) -> Any:
    """A map with what an item adds to it: an entry, a vector of two, or a collection of entries."""
    if item.__class__ is Vector:
        if len(item) != 2:
            fail("argument", "a map takes entries, vectors of two and collections of entries", item)
        return value.assoc(*item.tail)
    if item.__class__ not in _SEQABLE and item is not None:
        fail("type", "a map takes entries, vectors of two and collections of entries", item)
    for each in iterate(item):
        if not is_entry(each):
            fail("type", "a map takes entries, vectors of two and collections of entries", item)
        value = value.assoc(*each.tail)
    return value


def conj(value: Value, item: Value) -> Any:
    """A collection with an item added where it is cheapest: at the end of a vector, at the front of a list."""
    kind = value.__class__
    if kind is Vector or kind is Set or kind is List or kind is SortedSet:
        return value.conj(item)
    if value is None:
        return List(item, EMPTY_LIST)
    if kind is Map or kind is SortedMap or kind is Record:
        if item is None:
            return value
        if _is_map(item):
            return into(value, item)
        return _added(value, item)
    if kind in _SEQS:
        return Cons(item, value)
    fail("type", "`conj` takes a collection", value)


def into(target: Value, source: Value) -> Any:
    """A collection with all items of another added."""
    kind = target.__class__
    items = iterate(source)
    if kind is Vector:
        if source.__class__ is Vector and not target.tail and target.meta is None and source.meta is None:
            return source if source.tail.__class__ is tuple else Vector(tuple(source.tail))
        return target.extend(items)
    if kind is Map or kind is Record:
        if _is_map(source):
            return target.merge(source.items())
        pairs: list[tuple[Value, Value]] = []
        for item in items:
            if item.__class__ is Vector and len(item) == 2:
                pairs.append(item.tail)
            elif _is_map(item):
                pairs.extend(item.items())
            else:
                target = _added(target.merge(pairs), item)
                pairs.clear()
        return target.merge(pairs)
    if kind is Set:
        return target.union(items)
    for item in items:
        target = conj(target, item)
    return target


def get(value: Value, key: Value, default: Value = None) -> Value:
    """What a collection has under a key: a map's value, a set's item, a vector's item at an index; else the default."""
    kind = value.__class__
    if kind is Map or kind is Record or kind is Set or kind is SortedMap or kind is SortedSet:
        return value.get(key, default)
    if key.__class__ is int and (kind is Vector or kind is str or kind is bytes) and 0 <= key < len(value):
        if kind is Vector:
            return value.get(key)
        return Char(value[key]) if kind is str else value[key]
    return default


def contains(value: Value, key: Value) -> bool:
    """Whether a collection has a key: of a map, an item of a set, an index of a vector or string."""
    kind = value.__class__
    if kind is Map or kind is Set or kind is SortedMap or kind is SortedSet or kind is Record:
        return bool(value.contains(key))
    if kind is Vector or kind is str or kind is bytes:
        return key.__class__ is int and 0 <= key < len(value)
    if value is None:
        return False
    fail("type", "`contains?` takes a map, a set, a vector or a string", value)


def assoc(value: Value, key: Value, item: Value) -> Any:
    """A map with an entry, or a vector with an item at an index, added or changed; nil is an empty map."""
    kind = value.__class__
    if kind is Map or kind is SortedMap or kind is Record:
        return value.assoc(key, item)
    if kind is Vector:
        if key.__class__ is not int:
            fail("type", "the key of a vector is an integer", key)
        return value.assoc(key, item)
    if value is None:
        return EMPTY_MAP.assoc(key, item)
    fail("type", "`assoc` takes a map or a vector", value)


def dissoc(value: Value, key: Value) -> Any:
    """A map without a key."""
    kind = value.__class__
    if kind is Map or kind is SortedMap or kind is Record:
        return value.dissoc(key)
    if value is None:
        return None
    fail("type", "`dissoc` takes a map", value)


def peek(value: Value) -> Value:
    """The item that `pop` takes away: the last of a vector, the first of a list."""
    kind = value.__class__
    if kind is Vector:
        return value.peek()
    if kind is List:
        return value.first
    if value is None:
        return None
    fail("type", "`peek` takes a vector or a list", value)


def pop(value: Value) -> Any:
    """A vector without its last item, a list without its first."""
    kind = value.__class__
    if kind is Vector:
        return value.pop()
    if kind is List:
        if not value.count:
            fail("index", "an empty list has no first item to take away")
        # A list that is empty by this keeps the metadata, one with items left has its own: as in Clojure.
        return value.rest if value.count > 1 else List.empty(meta_of(value))
    if value is None:
        return None
    fail("type", "`pop` takes a vector or a list", value)


_EMPTY: dict[type, Any] = {
    Vector: EMPTY_VECTOR,
    Map: EMPTY_MAP,
    Set: EMPTY_SET,
    List: EMPTY_LIST,
    Cons: EMPTY_LIST,
    LazySeq: EMPTY_LIST,
    Range: EMPTY_LIST,
    VectorSeq: EMPTY_LIST,
}


_EMPTY_WITH_META = frozenset({Vector, Map, Set, List, Cons})


def empty(value: Value) -> Any:
    """An empty collection of the same kind, with the same metadata; nil for what is none, and for an entry of a map."""
    kind = value.__class__
    if kind is Record:
        fail("type", f"there is no empty record of type {value.type.text}")
    if is_entry(value):
        return None
    if kind is SortedMap or kind is SortedSet:
        return kind(None, meta_of(value), value.order)
    made = _EMPTY.get(kind)
    meta = meta_of(value) if kind in _EMPTY_WITH_META else None
    return made if meta is None else with_meta(made, meta)


def to_vector(value: Value) -> Vector:
    """The items as a vector."""
    if value.__class__ is Vector:
        return value
    return Vector.of(iterate(value))


def to_list(items: Iterable[Value]) -> List:
    """The items as a list."""
    return List.of(items)
