"""Vectors, maps and sets: making them, looking into them, changing copies of them.

Looking things up never calls the program: what takes a function (`update`, `group-by`) is written in the language.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmetal import values
from flowmetal.values import (
    EMPTY_VECTOR,
    Cell,
    Collection,
    ErrorValue,
    Keyword,
    List,
    Map,
    Record,
    Set,
    SortedMap,
    SortedSet,
    Symbol,
    TransientMap,
    Vector,
    entry,
    fail,
    is_entry,
    iterate,
    keyword,
    meta_of,
    seq,
    span_of,
    takes_meta,
    with_meta,
    with_span,
)
from flowmetal.values.errors import shortly
from flowmetal.vm.builtins.check import integer, shown, wrong_type
from flowmetal.vm.builtins.registry import add, builtin

_MISSING = object()
_META = keyword("meta")
_ERROR_PARTS = {keyword(name): name for name in ("kind", "message", "data", "cause", "trace")}


@builtin(400, "vector", 0, None)
def vector(*items: Any) -> Vector:
    """A vector of the arguments."""
    return Vector.of(items)


def _plain(value: Any) -> Any:
    """A collection without metadata; a form keeps its place."""
    return value if meta_of(value) is None else with_meta(value, None)


@builtin(401, "vec", 1)
def vec(value: Any) -> Vector:
    """A vector of the items of a collection, without metadata."""
    if value.__class__ is Vector:
        return Vector(tuple(value.tail)) if is_entry(value) else _plain(value)
    return Vector.of(list(iterate(value)))


def pairs(who: str, items: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and values in turn as pairs."""
    if len(items) % 2:
        fail("argument", f"{who} needs a value for the key {shown(items[-1])}")
    return zip(items[::2], items[1::2], strict=True)


@builtin(402, "hash-map", 0, None)
def hash_map(*items: Any) -> Map:
    """A map of keys and values given in turn."""
    return Map.of(pairs("hash-map", items))


@builtin(403, "hash-set", 0, None)
def hash_set(*items: Any) -> Set:
    """A set of the arguments."""
    return Set.of(items)


@builtin(404, "set", 1)
def to_set(value: Any) -> Any:
    """A set of the items of a collection, without metadata; a sorted set stays sorted."""
    return _plain(value) if value.__class__ in (Set, SortedSet) else Set.of(list(iterate(value)))


@builtin(405, "list", 0, None)
def make_list(*items: Any) -> List:
    """A list of the arguments."""
    return List.of(items)


@builtin(406, "sorted-map", 0, None)
def sorted_map(*items: Any) -> SortedMap:
    """A map of keys and values given in turn, kept in the order of its keys."""
    made = SortedMap.of(())
    for key, value in pairs("sorted-map", items):
        made = made.assoc(key, value)
    return made


@builtin(407, "sorted-set", 0, None)
def sorted_set(*items: Any) -> SortedSet:
    """A set of the arguments, kept in order."""
    made = SortedSet.of(())
    for item in items:
        made = made.conj(item)
    return made


def lookup(coll: Any, key: Any, default: Any) -> Any:
    """What `get` gives: the value at a key, an item at an index, an element of a set; else the default."""
    kind = coll.__class__
    if kind is ErrorValue:
        part = _ERROR_PARTS.get(key) if key.__class__ is Keyword else None
        return default if part is None else getattr(coll, part)
    return values.get(coll, key, default)


@builtin(408, "get", 2, 3)
def get(coll: Any, key: Any, default: Any = None) -> Any:
    """The value at a key of a map, the item at an index, the element of a set; else the default."""
    return lookup(coll, key, default)


@builtin(409, "get-in", 2, 3)
def get_in(coll: Any, path: Any, default: Any = None) -> Any:
    """The value at the end of a path of keys; else the default."""
    for key in list(iterate(path)):
        coll = lookup(coll, key, _MISSING)
        if coll is _MISSING:
            return default
    return coll


add(
    410, "contains?", 2, 2, values.contains,
    doc="Whether a map has a key, a vector or string an index, a set an element.",
)  # fmt: skip


@builtin(411, "find", 2)
def find(coll: Any, key: Any) -> Vector | None:
    """The entry of a map (or index and item of a vector) at a key, or nil."""
    found = _find(coll, key)
    return None if found is None else entry(*found)


def _find(coll: Any, key: Any) -> tuple[Any, Any] | None:
    """The key and the value that a collection has at a key, or None; the key is the collection's own."""
    kind = coll.__class__
    if kind is SortedMap:
        node = coll.find(key)
        return None if node is None else (node.key, node.value)
    found = lookup(coll, key, _MISSING)
    if found is _MISSING:
        return None
    if (kind is Map or kind is Record) and (key.__class__ is Symbol or isinstance(key, Collection)):
        key = coll.own_key(key)
    return key, found


@builtin(412, "assoc", 3, None)
def assoc(coll: Any, key: Any, value: Any, *more: Any) -> Any:
    """A map or vector with values at keys, which are given in turn."""
    coll = values.assoc(coll, key, value)
    for another, its in pairs("assoc", more):
        coll = values.assoc(coll, another, its)
    return coll


@builtin(413, "assoc-in", 3)
def assoc_in(coll: Any, path: Any, value: Any) -> Any:
    """A map with a value at the end of a path of keys; maps are made where the path leads to nothing."""
    keys = list(iterate(path)) or [None]
    levels = [coll]
    for key in keys[:-1]:
        levels.append(lookup(levels[-1], key, None))
    for level, key in zip(reversed(levels), reversed(keys), strict=True):
        value = values.assoc(level, key, value)
    return value


@builtin(414, "dissoc", 1, None)
def dissoc(coll: Any, *keys: Any) -> Any:
    """A map without some keys."""
    for key in keys:
        coll = values.dissoc(coll, key)
    return coll


@builtin(415, "conj", 0, None)
def conj(*items: Any) -> Any:
    """A collection with items added where that is cheapest: at the end of a vector, at the start of a list."""
    if not items:
        return EMPTY_VECTOR
    coll = items[0]
    for item in items[1:]:
        coll = values.conj(coll, item)
    return coll


@builtin(416, "disj", 1, None)
def disj(coll: Any, *items: Any) -> Any:
    """A set without some elements."""
    if not items:
        return coll
    if coll is None or coll is False:
        return None
    if coll.__class__ not in (Set, SortedSet):
        wrong_type("disj", "a set", coll)
    for item in items:
        coll = coll.disj(item)
    return coll


add(417, "into", 2, 2, values.into, doc="A collection with the items of another added.")


@builtin(418, "keys", 1)
def keys(coll: Any) -> Any:
    """The keys of a map in its order, or nil."""
    return seq(Vector.of([key for key, _ in entries("keys", coll)]))


@builtin(419, "vals", 1)
def vals(coll: Any) -> Any:
    """The values of a map in its order, or nil."""
    return seq(Vector.of([value for _, value in entries("vals", coll)]))


def entries(who: str, coll: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of a map; of a collection of entries; of nil, none."""
    if coll is None:
        return iter(())
    if coll.__class__ in (Map, SortedMap, Record):
        return coll.items()
    return iter([_pair(who, item) for item in iterate(coll)])


def _pair(who: str, item: Any) -> tuple[Any, Any]:
    if is_entry(item):
        return item.tail  # type: ignore[no-any-return]
    wrong_type(who, "a map, or an entry of one", item)


@builtin(420, "key", 1)
def key_of_entry(value: Any) -> Any:
    """The key of a map's entry."""
    return _pair("key", value)[0]


@builtin(421, "val", 1)
def value_of_entry(value: Any) -> Any:
    """The value of a map's entry."""
    return _pair("val", value)[1]


add(422, "peek", 1, 1, values.peek, doc="The last item of a vector, the first of a list; nil of an empty one.")
add(423, "pop", 1, 1, values.pop, doc="A vector without its last item, a list without its first.")


@builtin(424, "subvec", 2, 3)
def subvec(coll: Any, start: Any, end: Any = None) -> Vector:
    """The part of a vector from start up to end."""
    if coll.__class__ is not Vector:
        wrong_type("subvec", "a vector", coll)
    stop = len(coll) if end is None else integer("subvec", end)
    if not 0 <= integer("subvec", start) <= stop <= len(coll):
        fail("index", f"subvec from {shortly(start)} to {shortly(stop)} is outside a vector of {len(coll)} items")
    return coll.slice(start, stop)


add(425, "empty", 1, 1, values.empty, doc="An empty collection of the same kind; nil of what is no collection.")


@builtin(426, "zipmap", 2)
def zipmap(names: Any, items: Any) -> Map:
    """A map of keys from one collection to values from another."""
    return Map.of(list(zip(iterate(names), iterate(items), strict=False)))


@builtin(427, "select-keys", 2)
def select_keys(coll: Any, names: Any) -> Map:
    """The part of a map that has some keys."""
    found = [_find(coll, name) for name in iterate(names)]
    chosen = Map.of([pair for pair in found if pair is not None])
    meta = meta_of(coll)
    return chosen if meta is None else with_meta(chosen, meta)


@builtin(428, "merge", 0, None)
def merge(*maps: Any) -> Any:
    """A map of the entries of all the maps; a later one wins."""
    if all(one is None or one is False for one in maps):
        return None
    result = maps[0]
    for one in maps[1:]:
        result = values.conj(Map.of(()) if result is None or result is False else result, one)
    return result


@builtin(429, "frequencies", 1)
def frequencies(coll: Any) -> Map:
    """A map from each different item of a collection to how often it is there."""
    counts = TransientMap(Map.of(()))
    for item in iterate(coll):
        counts.assoc(item, counts.get(item, 0) + 1)
    return counts.persistent()


@builtin(430, "rename-keys", 2)
def rename_keys(coll: Any, names: Any) -> Any:
    """A map with some keys renamed, as a map from old to new says."""
    renamed = dissoc(coll, *[old for old, _ in entries("rename-keys", names)])
    for old, new in entries("rename-keys", names):
        value = lookup(coll, old, _MISSING)
        if value is not _MISSING:
            renamed = values.assoc(renamed, new, value)
    return renamed


@builtin(431, "map-invert", 1)
def invert(coll: Any) -> Map:
    """A map from the values of a map to their keys."""
    return Map.of([(value, key) for key, value in entries("map-invert", coll)])


@builtin(432, "meta", 1)
def meta(value: Any) -> Any:
    """The metadata of a value, a map, or nil."""
    if value.__class__ is Cell:
        return None if value.care is None else value.care.get(_META)
    return meta_of(value)


@builtin(433, "with-meta", 2)
def set_meta(value: Any, data: Any) -> Any:
    """The value with other metadata."""
    if data.__class__ is SortedMap:
        data = Map.of(list(data.items()))
    if data is not None and data.__class__ is not Map:
        wrong_type("with-meta", "a map or nil", data)
    if not takes_meta(value):
        wrong_type("with-meta", "a collection, a function or a symbol", value)
    return with_meta(value, data)


@builtin(434, "map-entry?", 1)
def is_map_entry(value: Any) -> bool:
    """Whether the value is an entry of a map, not just a vector of two."""
    return is_entry(value)


@builtin(435, "map-entry", 2)
def map_entry(key: Any, value: Any) -> Vector:
    """An entry of a map."""
    return entry(key, value)


@builtin(440, "with-place", 2)
def with_place(value: Any, form: Any) -> Any:
    """A form made by a macro, at the place in the source where another form stands."""
    span = span_of(form)
    return value if span is None or not takes_meta(value) else with_span(value, span)


@builtin(449, "form-place", 1)
def form_place(form: Any) -> Any:
    """Where a form stands in the source, [file line column]; nil if no author wrote it."""
    span = span_of(form)
    return None if span is None else Vector.of([span.file, span.line, span.column])
