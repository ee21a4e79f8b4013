"""Persistent maps: up to 16 entries one dict in the order written, copied on change; beyond that a hash trie.

Exactly one of `table` and `root` is set.  Both hold dict keys (keys.py); the methods take and give values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowmetal.values import hash_trie
from flowmetal.values.base import MISSING, Collection, Value
from flowmetal.values.hash_trie import SMALL_MAX, HashLeaf, Trie, hash_key
from flowmetal.values.keys import WRAPPERS, Boxed, identical
from flowmetal.values.vector import Pair, Vector


class Map(Collection):
    """A persistent map.  Built by `Map.of`; the constructor takes a table of dict keys or a trie as they are."""

    __slots__ = ("root", "table")

    def __init__(self, table: dict[Any, Value] | None, root: Trie | None = None, meta: Any = None) -> None:
        self.table = table
        self.root = root
        self.meta = meta
        self.hash = None
        self.owner = None

    @staticmethod
    def of(pairs: Iterable[Iterable[Value]]) -> Map:
        """The map of these (key, value) pairs; of equal keys the last value and the first key hold."""
        table: dict[Any, Value] = {}
        for key, value in pairs:
            wrapper = WRAPPERS.get(key.__class__)
            table[key if wrapper is None else wrapper(key)] = value
        return Map.from_table(table)

    @staticmethod
    def from_table(table: dict[Any, Value], meta: Any = None) -> Map:
        """The map over a dict whose keys are dict keys; the dict is taken over."""
        if len(table) <= SMALL_MAX:
            return Map(table, None, meta) if table or meta is not None else EMPTY_MAP
        return Map(None, hash_trie.build(table), meta)

    def __len__(self) -> int:
        table = self.table
        if table is not None:
            return len(table)
        return self.root.size  # type: ignore[union-attr]

    def get(self, key: Value, default: Value = None) -> Value:
        """The value of a key, or the default."""
        wrapper = WRAPPERS.get(key.__class__)
        if wrapper is not None:
            key = wrapper(key)
        table = self.table
        if table is not None:
            return table.get(key, default)
        found = hash_trie.find(self.root, key)  # type: ignore[arg-type]
        return default if found is MISSING else found

    def find(self, key: Any) -> Value:
        """The value of a dict key (as `key_of` gives it), or MISSING."""
        table = self.table
        if table is not None:
            return table.get(key, MISSING)
        return hash_trie.find(self.root, key)  # type: ignore[arg-type]

    def own_key(self, key: Value) -> Value:
        """The key of the map that equals one it has: they can differ in metadata, or as a vector and a list do."""
        table = self.table
        if table is None:
            table = hash_trie.leaf_of(self.root, hash_key(key))  # type: ignore[arg-type]
        return next((own for own in table if own == key), key)

    def contains(self, key: Value) -> bool:
        """Whether the map has the key."""
        return self.get(key, MISSING) is not MISSING

    __contains__ = contains

    def assoc(self, key: Value, value: Value) -> Map:
        """The map with an entry added or changed; the map itself if it has that very entry."""
        wrapper = WRAPPERS.get(key.__class__)
        if wrapper is not None:
            key = wrapper(key)
        table = self.table
        if table is not None:
            old = table.get(key, MISSING)
            if old is not MISSING and identical(old, value):
                return self
            table = table.copy()
            table[key] = value
            if len(table) <= SMALL_MAX:
                return Map(table, None, self.meta)
            return Map(None, HashLeaf(table), self.meta)
        root = hash_trie.assoc(self.root, 0, hash_key(key), key, value)
        return self if root is self.root else Map(None, root, self.meta)

    def dissoc(self, key: Value) -> Map:
        """The map without a key; the map itself if the key is not there."""
        wrapper = WRAPPERS.get(key.__class__)
        if wrapper is not None:
            key = wrapper(key)
        table = self.table
        if table is not None:
            if key not in table:
                return self
            table = table.copy()
            del table[key]
            return Map(table, None, self.meta) if table or self.meta is not None else EMPTY_MAP
        root = hash_trie.dissoc(self.root, 0, hash_key(key), key)
        if root is self.root:
            return self
        if root.__class__ is HashLeaf and root.size <= SMALL_MAX:
            return Map(root.table, None, self.meta)
        return Map(None, root, self.meta)

    def merge(self, other: Iterable[tuple[Value, Value]]) -> Map:
        """The map with the (key, value) pairs of another added."""
        result = self
        pairs = list(other)
        if len(pairs) * 4 >= len(self):  # building anew costs less than that many changes
            table = dict(self.entries())
            for key, value in pairs:
                wrapper = WRAPPERS.get(key.__class__)
                table[key if wrapper is None else wrapper(key)] = value
            return Map.from_table(table, self.meta)
        for key, value in pairs:
            result = result.assoc(key, value)
        return result

    def entries(self) -> Iterable[tuple[Any, Value]]:
        """The entries with their dict keys, in order."""
        table = self.table
        return hash_trie.entries(self.root) if table is None else table.items()  # type: ignore[arg-type]

    def items(self) -> Iterator[tuple[Value, Value]]:
        """The entries as (key, value), in order."""
        for key, value in self.entries():
            yield (key.value if key.__class__ is Boxed else key), value

    def keys(self) -> Iterator[Value]:
        """The keys, in order."""
        for key, _ in self.entries():
            yield key.value if key.__class__ is Boxed else key

    def values(self) -> Iterator[Value]:
        """The values, in order."""
        for _, value in self.entries():
            yield value

    def __iter__(self) -> Iterator[Vector]:
        """The entries, as the language sees them."""
        pairs: Iterable[tuple[Any, Value]] = self.entries()
        table = self.table
        if table is None or Boxed in map(type, table):
            pairs = map(_unboxed, pairs)
        return map(Vector, map(Pair, pairs))


def _unboxed(pair: tuple[Any, Value]) -> tuple[Any, Value]:
    key = pair[0]
    return (key.value, pair[1]) if key.__class__ is Boxed else pair


EMPTY_MAP = Map({})
