"""Persistent sets, over the same tables as maps: the items are the keys, every value is nil."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowmetal.values import hash_trie
from flowmetal.values.base import MISSING, Collection, Value
from flowmetal.values.hash_trie import SMALL_MAX, HashLeaf, Trie, hash_key
from flowmetal.values.keys import WRAPPERS, Boxed


class Set(Collection):
    """A persistent set.  Built by `Set.of`; the constructor takes a table of dict keys or a trie as they are."""

    __slots__ = ("root", "table")

    def __init__(self, table: dict[Any, None] | None, root: Trie | None = None, meta: Any = None) -> None:
        self.table = table
        self.root = root
        self.meta = meta
        self.hash = None
        self.owner = None

    @staticmethod
    def of(items: Iterable[Value]) -> Set:
        """The set of these items; of equal ones the first is kept."""
        table: dict[Any, None] = {}
        for item in items:
            wrapper = WRAPPERS.get(item.__class__)
            table[item if wrapper is None else wrapper(item)] = None
        return Set.from_table(table)

    @staticmethod
    def from_table(table: dict[Any, None], meta: Any = None) -> Set:
        """The set over a dict whose keys are dict keys; the dict is taken over."""
        if len(table) <= SMALL_MAX:
            return Set(table, None, meta) if table or meta is not None else EMPTY_SET
        return Set(None, hash_trie.build(table), meta)

    def __len__(self) -> int:
        table = self.table
        if table is not None:
            return len(table)
        return self.root.size  # type: ignore[union-attr]

    def find(self, key: Any) -> Value:
        """None if the dict key (as `key_of` gives it) is there, else MISSING."""
        table = self.table
        if table is not None:
            return table.get(key, MISSING)
        return hash_trie.find(self.root, key)  # type: ignore[arg-type]

    def contains(self, item: Value) -> bool:
        """Whether the item is in the set."""
        wrapper = WRAPPERS.get(item.__class__)
        if wrapper is not None:
            item = wrapper(item)
        table = self.table
        if table is not None:
            return item in table
        return hash_trie.find(self.root, item) is not MISSING  # type: ignore[arg-type]

    __contains__ = contains

    def get(self, item: Value, default: Value = None) -> Value:
        """The item of the set that equals `item`, or the default."""
        wrapper = WRAPPERS.get(item.__class__)
        key = item if wrapper is None else wrapper(item)
        table = self.table
        if table is None:
            table = hash_trie.leaf_of(self.root, hash_key(key))  # type: ignore[arg-type]
        if key not in table:
            return default
        for own in table:
            if own == key:
                return own.value if own.__class__ is Boxed else own
        return default

    def conj(self, item: Value) -> Set:
        """The set with an item added; the set itself if it has an equal one."""
        wrapper = WRAPPERS.get(item.__class__)
        if wrapper is not None:
            item = wrapper(item)
        table = self.table
        if table is not None:
            if item in table:
                return self
            table = table.copy()
            table[item] = None
            if len(table) <= SMALL_MAX:
                return Set(table, None, self.meta)
            return Set(None, HashLeaf(table), self.meta)
        root = hash_trie.assoc(self.root, 0, hash_key(item), item, None)
        return self if root is self.root else Set(None, root, self.meta)

    def disj(self, item: Value) -> Set:
        """The set without an item; the set itself if it is not there."""
        wrapper = WRAPPERS.get(item.__class__)
        if wrapper is not None:
            item = wrapper(item)
        table = self.table
        if table is not None:
            if item not in table:
                return self
            table = table.copy()
            del table[item]
            return Set(table, None, self.meta) if table or self.meta is not None else EMPTY_SET
        root = hash_trie.dissoc(self.root, 0, hash_key(item), item)
        if root is self.root:
            return self
        if root.__class__ is HashLeaf and root.size <= SMALL_MAX:
            return Set(root.table, None, self.meta)
        return Set(None, root, self.meta)

    def union(self, items: Iterable[Value]) -> Set:
        """The set with these items added."""
        added = list(items)
        if len(added) * 4 >= len(self):  # building anew costs less than that many changes
            table = dict.fromkeys(self.keys())
            for item in added:
                wrapper = WRAPPERS.get(item.__class__)
                table[item if wrapper is None else wrapper(item)] = None
            return Set.from_table(table, self.meta)
        result = self
        for item in added:
            result = result.conj(item)
        return result

    def keys(self) -> Iterator[Any]:
        """The items as dict keys, in order."""
        table = self.table
        if table is not None:
            return iter(table)
        return (key for key, _ in hash_trie.entries(self.root))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Value]:
        for key in self.keys():
            yield key.value if key.__class__ is Boxed else key


EMPTY_SET = Set({})
