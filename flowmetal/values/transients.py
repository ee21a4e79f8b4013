"""Transients: builders that are changed in place and then made into a persistent collection.

They belong to the frame that made them and are never saved.  A map or set builder keeps what changed in a dict over its
base; a vector builder a list of what was appended.  Using one after `persistent` is an error of kind :argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.values.base import MISSING, Value
from flowmetal.values.errors import fail, shortly
from flowmetal.values.keys import key_of, unkey
from flowmetal.values.maps import Map
from flowmetal.values.sets import Set
from flowmetal.values.vector import EMPTY_VECTOR, Vector


class _Transient:
    __slots__ = ("open",)

    open: bool

    def _check(self) -> None:
        if not self.open:
            fail("argument", "a transient is used after `persistent!`")


class TransientVector(_Transient):
    """A vector under construction."""

    __slots__ = ("added", "base", "changes")

    def __init__(self, base: Vector = EMPTY_VECTOR) -> None:
        self.base = base
        self.changes: dict[int, Value] = {}
        self.added: list[Value] = []
        self.open = True

    def __len__(self) -> int:
        return len(self.base) + len(self.added)

    def get(self, index: int) -> Value:
        """The item at an index; an error of kind :index outside."""
        self._check()
        start = len(self.base)
        if index >= start:
            if index - start < len(self.added):
                return self.added[index - start]
            fail("index", f"index {shortly(index)} is outside a vector of {len(self)}", index)
        found = self.changes.get(index, MISSING)
        return self.base.get(index) if found is MISSING else found

    def conj(self, value: Value) -> TransientVector:
        """Appends an item."""
        self._check()
        self.added.append(value)
        return self

    def extend(self, values: Iterable[Value]) -> TransientVector:
        """Appends items."""
        self._check()
        self.added.extend(values)
        return self

    def assoc(self, index: int, value: Value) -> TransientVector:
        """Changes an item; at the length it appends."""
        self._check()
        start = len(self.base)
        if not 0 <= index <= start + len(self.added):
            fail("index", f"index {shortly(index)} is outside a vector of {len(self)}", index)
        if index < start:
            self.changes[index] = value
        elif index - start == len(self.added):
            self.added.append(value)
        else:
            self.added[index - start] = value
        return self

    def pop(self) -> TransientVector:
        """Takes the last item away."""
        self._check()
        if self.added:
            self.added.pop()
        else:
            self.base = self.base.pop()
            self.changes.pop(len(self.base), None)
        return self

    def persistent(self) -> Vector:
        """The vector; the builder is closed."""
        self._check()
        self.open = False
        result = self.base
        if len(self.changes) * 4 >= len(result) > 0:  # building anew costs less than that many changes
            items = list(result)
            for index, value in self.changes.items():
                items[index] = value
            return Vector.of([*items, *self.added]) if result.meta is None else _keep(result, items + self.added)
        for index, value in self.changes.items():
            result = result.assoc(index, value)
        return result.extend(self.added)


def _keep(base: Vector, items: list[Value]) -> Vector:
    built = Vector.of(items)
    return Vector(built.tail, built.root, base.meta)


class TransientMap(_Transient):
    """A map under construction."""

    __slots__ = ("base", "changes", "count")

    def __init__(self, base: Map | None = None) -> None:
        self.base = Map({}) if base is None else base
        self.changes: dict[Any, Value] = {}  # dict key -> value, MISSING for what was taken away
        self.count = len(self.base)
        self.open = True

    def __len__(self) -> int:
        return self.count

    def _find(self, key: Any) -> Value:
        if key in self.changes:
            return self.changes[key]
        return self.base.find(key)

    def get(self, key: Value, default: Value = None) -> Value:
        """The value of a key, or the default."""
        self._check()
        found = self._find(key_of(key))
        return default if found is MISSING else found

    def contains(self, key: Value) -> bool:
        """Whether the key is there."""
        self._check()
        return self._find(key_of(key)) is not MISSING

    def assoc(self, key: Value, value: Value) -> TransientMap:
        """Adds or changes an entry."""
        self._check()
        key = key_of(key)
        if self._find(key) is MISSING:
            self.count += 1
        self.changes[key] = value
        return self

    def dissoc(self, key: Value) -> TransientMap:
        """Takes a key away."""
        self._check()
        key = key_of(key)
        if self._find(key) is not MISSING:
            self.count -= 1
            if self.base.find(key) is MISSING:
                del self.changes[key]
            else:
                self.changes[key] = MISSING
        return self

    def persistent(self) -> Map:
        """The map; the builder is closed."""
        self._check()
        self.open = False
        base = self.base
        if len(self.changes) * 4 >= len(base):  # building anew costs less than that many changes
            table = dict(base.entries())
            for key, value in self.changes.items():
                if value is MISSING:
                    table.pop(key, None)
                else:
                    table[key] = value
            return Map.from_table(table, base.meta)
        for key, value in self.changes.items():
            base = base.dissoc(unkey(key)) if value is MISSING else base.assoc(unkey(key), value)
        return base


class TransientSet(_Transient):
    """A set under construction."""

    __slots__ = ("base", "entries")

    def __init__(self, base: Set | None = None) -> None:
        self.base = Set({}) if base is None else base
        self.entries = TransientMap(Map(self.base.table, self.base.root))
        self.open = True

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, item: Value, default: Value = None) -> Value:
        """The item if it is there, or the default."""
        return item if self.contains(item) else default

    def contains(self, item: Value) -> bool:
        """Whether the item is there."""
        self._check()
        return self.entries.contains(item)

    def conj(self, item: Value) -> TransientSet:
        """Adds an item."""
        self._check()
        if not self.entries.contains(item):
            self.entries.assoc(item, None)
        return self

    def disj(self, item: Value) -> TransientSet:
        """Takes an item away."""
        self._check()
        self.entries.dissoc(item)
        return self

    def persistent(self) -> Set:
        """The set; the builder is closed."""
        self._check()
        self.open = False
        table = self.entries.persistent()
        if not len(table) and self.base.meta is None:
            return Set.of(())
        return Set(table.table, table.root, self.base.meta)
