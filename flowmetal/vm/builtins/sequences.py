"""Sequences: walking them, and the eager halves of the sequence functions.

A function that keeps the laziness of its input (`take`, `concat`, `distinct` ...) is written in the language; it
calls the builtin here for a finite collection and makes a lazy sequence for a lazy one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cmp_to_key
from itertools import islice
from typing import Any

from flowmetal.values import (
    EMPTY_LIST,
    Cons,
    LazySeq,
    List,
    Map,
    Range,
    Record,
    Set,
    SortedMap,
    SortedSet,
    Vector,
    VectorSeq,
    compare,
    cons,
    count,
    equal,
    fail,
    first,
    iterate,
    key_of,
    next_,
    nth,
    rest,
    seq,
    unkey,
)
from flowmetal.values.errors import shortly
from flowmetal.vm.builtins.check import integer, number, shown, wrong_type
from flowmetal.vm.builtins.registry import add, builtin

ITEMS_MAX = 1 << 21  # that one builtin may make at once: about a second's work, which nothing can interrupt

_MISSING = object()
_WORD = 1 << 63
_LISTS = (List, Cons, VectorSeq, Range, LazySeq)


def sequence(items: Iterable[Any]) -> Any:
    """What an eager sequence function returns: the sequence of the items, () for none."""
    made = items if items.__class__ is Vector else Vector.of(items)
    return seq(made) or EMPTY_LIST


def _bounded(size: int, who: str) -> None:
    if size > ITEMS_MAX:
        fail("limit", f"{who} would make {shortly(size)} items; {ITEMS_MAX} are allowed")


add(500, "seq", 1, 1, seq, doc="The sequence of a collection's items; nil if it has none.")
add(501, "first", 1, 1, first, doc="The first item of a collection; nil if it has none.")
add(502, "rest", 1, 1, rest, doc="The items of a collection after the first, maybe ().")
add(503, "next", 1, 1, next_, doc="The items of a collection after the first; nil if there are none.")
add(504, "cons", 2, 2, cons, doc="A sequence of an item and then the items of a collection.")
add(505, "count", 1, 1, count, doc="How many items a collection, a string or nil has.")


@builtin(506, "nth", 2, 3)
def nth_item(coll: Any, position: Any, default: Any = _MISSING) -> Any:
    """The item at an index of a sequence, vector or string; an error or the default outside of it."""
    if (coll.__class__ is Vector or coll.__class__ is VectorSeq) and position.__class__ is int:
        if 0 <= position < len(coll):
            return coll.get(position)
    elif coll.__class__ is Range and position.__class__ is int and position >= 0:
        start, step = coll.start, coll.step
        if start.__class__ is int and step.__class__ is int and coll.end.__class__ is int:
            item = start + position * step
            if (item < coll.end if step > 0 else item > coll.end) and -_WORD < item < _WORD:
                return item
    if integer("nth", position) < 0 and default is not _MISSING:
        return default
    if coll.__class__ in (Map, Set, SortedMap, SortedSet):
        wrong_type("nth", "a sequence, a vector or a string", coll)
    if position < 0:
        found = _MISSING
    else:
        found = nth(coll, position, _MISSING)
    if found is not _MISSING:
        return found
    if default is not _MISSING:
        return default
    if coll is None:
        return None
    fail("index", f"nth at {shortly(position)} is outside {shown(coll)}")


@builtin(507, "lazy?", 1)
def is_lazy(value: Any) -> bool:
    """Whether a sequence is lazy: its items, or those after some first ones, are made as they are looked at."""
    while value.__class__ is Cons:
        value = value.rest
    return value.__class__ is LazySeq


@builtin(508, "indexed?", 1)
def is_indexed(value: Any) -> bool:
    """Whether `nth` takes the same short time everywhere in the collection."""
    return value.__class__ in (Vector, VectorSeq, Range, str)


@builtin(509, "reversed-seq", 1)
def reversed_seq(items: Any) -> Any:
    """The sequence of a list's items, last first; how eager functions turn what they gathered into their result."""
    return sequence(_reversed(items))


@builtin(510, "reversed-vector", 1)
def reversed_vector(items: Any) -> Vector:
    """The vector of a list's items, last first."""
    return Vector.of(_reversed(items))


def _reversed(items: Any) -> list[Any]:
    gathered = list(iterate(items))
    gathered.reverse()
    return gathered


@builtin(511, "last", 1)
def last(coll: Any) -> Any:
    """The last item of a collection, or nil."""
    if coll.__class__ is Vector:
        return coll.get(len(coll) - 1) if len(coll) else None
    item = None
    for item in iterate(coll):  # noqa: B007 - the last one is what is wanted
        pass
    return item


@builtin(512, "butlast", 1)
def but_last(coll: Any) -> Any:
    """The items of a collection without the last one, or nil."""
    return seq(Vector.of(list(iterate(coll))[:-1]))


@builtin(513, "reverse", 1)
def reverse(coll: Any) -> Any:
    """A list of a collection's items in the opposite order."""
    return List.of(tuple(_reversed(coll)))


@builtin(514, "rseq", 1)
def reverse_seq(coll: Any) -> Any:
    """The sequence of a vector's or sorted collection's items in the opposite order, or nil."""
    if coll.__class__ not in (Vector, SortedMap, SortedSet):
        wrong_type("rseq", "a vector or a sorted collection", coll)
    return seq(Vector.of(_reversed(coll)))


@builtin(515, "range", 3)
def make_range(start: Any, end: Any, step: Any) -> Any:
    """The numbers from start up to end, step apart."""
    for value in (start, end, step):
        number("range", value)
    if step == 0:
        fail("argument", "range needs a step that is not zero")
    if not (start < end if step > 0 else start > end):
        return EMPTY_LIST
    return Range(start, end, step)


@builtin(516, "repeat", 2)
def repeat(times: Any, value: Any) -> Any:
    """A sequence of one value some times over."""
    _bounded(integer("repeat", times), "repeat")
    return sequence([value] * max(0, times))


@builtin(517, "concat", 0, None)
def concat(*colls: Any) -> Any:
    """The items of collections, one after the other."""
    items: list[Any] = []
    for coll in colls:
        items.extend(iterate(coll))
    return sequence(items)


@builtin(518, "take", 2)
def take(amount: Any, coll: Any) -> Any:
    """The first items of a collection."""
    wanted = min(max(0, integer("take", amount)), sys.maxsize)
    if not wanted:
        return EMPTY_LIST
    if coll.__class__ is Vector:
        return sequence(coll.slice(0, min(wanted, len(coll))))
    return sequence(list(islice(iterate(coll), wanted)))


@builtin(519, "drop", 2)
def drop(amount: Any, coll: Any) -> Any:
    """The items of a collection after the first ones."""
    skipped = min(max(0, integer("drop", amount)), sys.maxsize)
    if coll.__class__ is Vector:
        return VectorSeq(coll, skipped) if skipped < len(coll) else EMPTY_LIST
    if coll.__class__ is VectorSeq:
        start = coll.start + skipped
        return VectorSeq(coll.vector, start) if start < len(coll.vector) else EMPTY_LIST
    if coll.__class__ is List:
        while skipped and coll.count:
            coll = coll.rest
            skipped -= 1
        return coll
    return sequence(list(islice(iterate(coll), skipped, None)))


@builtin(520, "take-last", 2)
def take_last(amount: Any, coll: Any) -> Any:
    """The last items of a collection, or nil."""
    items = list(iterate(coll))
    return seq(Vector.of(items[max(0, len(items) - max(0, integer("take-last", amount))) :]))


@builtin(521, "drop-last", 2)
def drop_last(amount: Any, coll: Any) -> Any:
    """The items of a collection without the last ones."""
    items = list(iterate(coll))
    return sequence(items[: max(0, len(items) - max(0, integer("drop-last", amount)))])


@builtin(522, "take-nth", 2)
def take_nth(step: Any, coll: Any) -> Any:
    """Every so manieth item of a collection, the first included."""
    return sequence(list(iterate(coll))[:: _positive("take-nth", step)])


def _positive(who: str, value: Any) -> int:
    if integer(who, value) < 1:
        fail("argument", f"{who} needs a number above zero, not {shown(value)}")
    return value  # type: ignore[no-any-return]


@builtin(523, "partition", 3, 4)
def partition(size: Any, step: Any, coll: Any, pad: Any = _MISSING) -> Any:
    """Runs of a number of items, step apart; a last short one is left out, or filled from a padding."""
    _positive("partition", size)
    _positive("partition", step)
    items = list(iterate(coll))
    runs = []
    for start in range(0, len(items), step):
        run = items[start : start + size]
        if len(run) < size:
            if pad is not _MISSING:
                runs.append(sequence(run + list(islice(iterate(pad), size - len(run)))))
            break
        runs.append(sequence(run))
    return sequence(runs)


@builtin(524, "partition-all", 3)
def partition_all(size: Any, step: Any, coll: Any) -> Any:
    """Runs of a number of items, step apart; the last ones may be short."""
    _positive("partition-all", size)
    _positive("partition-all", step)
    items = list(iterate(coll))
    return sequence([sequence(items[start : start + size]) for start in range(0, len(items), step)])


@builtin(525, "interleave", 0, None)
def interleave(*colls: Any) -> Any:
    """The first items of all the collections, then the second ones, as long as all have one."""
    turns = zip(*[list(iterate(coll)) for coll in colls], strict=False)
    return sequence([item for turn in turns for item in turn])


@builtin(526, "interpose", 2)
def interpose(separator: Any, coll: Any) -> Any:
    """The items of a collection with a separator between them."""
    items: list[Any] = []
    for item in iterate(coll):
        items += (separator, item)
    return sequence(items[1:])


@builtin(527, "distinct", 1)
def distinct(coll: Any) -> Any:
    """The items of a collection, each different one once, where it first stands."""
    seen: dict[Any, None] = {}
    for item in iterate(coll):
        seen.setdefault(key_of(item), None)
    return sequence([unkey(item) for item in seen])


@builtin(528, "dedupe", 1)
def dedupe(coll: Any) -> Any:
    """The items of a collection without those equal to the one before."""
    kept: list[Any] = []
    for item in iterate(coll):
        if not kept or not equal(kept[-1], item):
            kept.append(item)
    return sequence(kept)


@builtin(529, "flatten", 1)
def flatten(coll: Any) -> Any:
    """The items of nested sequences and vectors, in one sequence."""
    flat: list[Any] = []
    if coll.__class__ not in _LISTS and coll.__class__ is not Vector:
        return EMPTY_LIST
    open_ = [iter(list(iterate(coll)))]
    while open_:
        item = next(open_[-1], _MISSING)
        if item is _MISSING:
            open_.pop()
        elif item.__class__ in _LISTS or item.__class__ is Vector:
            open_.append(iter(list(iterate(item))))
        else:
            flat.append(item)
    return sequence(flat)


@builtin(530, "sort", 1)
def sort(coll: Any) -> Any:
    """The items of a collection in their natural order; equal ones keep theirs."""
    return sequence(sorted(iterate(coll), key=cmp_to_key(compare)))


@builtin(531, "sort-by-keys", 2)
def sort_by_keys(keys: Any, coll: Any) -> Any:
    """The items of a collection in the natural order of their keys, which are given in the same order."""
    sorting, items = list(iterate(keys)), list(iterate(coll))
    if len(sorting) != len(items):
        fail("argument", "sort-by-keys needs a key for each item")
    paired = list(zip(sorting, items, strict=True))
    by_key = cmp_to_key(compare)
    paired.sort(key=lambda pair: by_key(pair[0]))
    return sequence([item for _, item in paired])


@builtin(532, "list*", 1, None)
def list_with_tail(*values: Any) -> Any:
    """A sequence of the arguments, the last of which is a collection of further items."""
    tail = seq(values[-1])
    for value in reversed(values[:-1]):
        tail = cons(value, tail)
    return tail


@builtin(533, "second", 1)
def second(coll: Any) -> Any:
    """The second item of a collection, or nil."""
    return first(rest(coll))


@builtin(534, "empty-list", 0)
def empty_list() -> Any:
    """The empty list."""
    return EMPTY_LIST


# What the compiler's own forms expand to: destructuring, syntax-quote.


@builtin(535, "nthnext", 2)
def nth_next(coll: Any, amount: Any) -> Any:
    """The items of a collection after the first ones, or nil."""
    skipped = max(0, integer("nthnext", amount))
    if coll.__class__ in (Vector, VectorSeq, List):
        return seq(drop(skipped, coll))
    rest_ = seq(coll)
    while skipped and rest_ is not None:
        if rest_.__class__ is Range:
            return rest_.skip(skipped)
        rest_ = next_(rest_)
        skipped -= 1
    return rest_


@builtin(536, "destructure-map", 1)
def destructure_map(value: Any) -> Any:
    """What a map pattern looks into: keys and values in turn as a map, a last map merged in; all else as it is."""
    if value.__class__ not in _LISTS:
        return value
    items = list(iterate(value))
    if len(items) == 1:
        return items[0]
    extra = items.pop() if len(items) % 2 else None
    made = Map.of(zip(items[::2], items[1::2], strict=True))
    if extra is None:
        return made
    if extra.__class__ not in (Map, SortedMap, Record):
        fail("type", f"there is no value for the key {shown(extra)}")
    return made.merge(extra.items())


@builtin(537, "concat-vector", 0, None)
def concat_vector(*colls: Any) -> Vector:
    """A vector of the items of collections, one after the other."""
    items: list[Any] = []
    for coll in colls:
        items.extend(iterate(coll))
    return Vector.of(items)


@builtin(538, "to-list", 1)
def to_list(coll: Any) -> List:
    """A list of the items of a collection."""
    return coll if coll.__class__ is List else List.of(list(iterate(coll)))


@builtin(539, "to-set", 1)
def to_set(coll: Any) -> Set:
    """A set of the items of a collection."""
    return Set.of(list(iterate(coll)))


@builtin(540, "to-map", 1)
def to_map(coll: Any) -> Map:
    """A map of the keys and values that a collection has in turn."""
    items = list(iterate(coll))
    if len(items) % 2:
        fail("argument", f"there is no value for the key {shown(items[-1])}")
    return Map.of(zip(items[::2], items[1::2], strict=True))


# What the sequence functions in the language walk with.


@builtin(541, "indexed", 1)
def indexed(coll: Any) -> Any:
    """A finite collection as one that `nth` is quick on: itself, or a vector of its items."""
    if coll.__class__ is VectorSeq and not coll.start:
        return coll.vector
    if coll.__class__ in (Vector, VectorSeq, str):
        return coll
    if coll.__class__ is Range and coll.integers() is not None:
        return coll
    return Vector.of(list(iterate(coll)))


@builtin(542, "firsts", 1)
def firsts(colls: Any) -> Vector | None:
    """A vector of the first items of collections; nil if one has none.

    As in Clojure, all of up to three are looked at, so that what is no collection is an error behind an empty one too.
    """
    given = list(iterate(colls))
    items: list[Any] | None = []
    for coll in given:
        held = seq(coll)
        if held is None:
            if len(given) > 3:
                return None
            items = None
        elif items is not None:
            items.append(first(held))
    return None if items is None else Vector.of(items)


@builtin(543, "rests", 1)
def rests(colls: Any) -> Vector:
    """A vector of what is after the first item of each collection."""
    return Vector.of([rest(coll) for coll in iterate(colls)])


@builtin(544, "all-lazy?", 1)
def all_lazy(colls: Any) -> bool:
    """Whether each of some collections is a lazy sequence."""
    return all(is_lazy(coll) for coll in iterate(colls))


@builtin(545, "any-lazy?", 1)
def any_lazy(colls: Any) -> bool:
    """Whether one of some collections is a lazy sequence."""
    return any(is_lazy(coll) for coll in iterate(colls))


@builtin(546, "concat-all", 1)
def concat_all(colls: Any) -> Any:
    """The items of the collections in a collection, one after the other."""
    return concat(*iterate(colls))
