"""Collections that a loop changes over and over: what it adds is gathered, and put in when the collection is looked at.

The collection that comes out is, to its last node, the one that the single changes would have made: the same entries in
the same order, new nodes where a change was made and the old ones elsewhere.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import MISSING, Keyword, Map, Vector, conj, fail, identical
from flowmetal.values import assoc as plain_assoc
from flowmetal.values.errors import shortly
from flowmetal.values.hash_trie import SMALL_MAX, assoc_all, build
from flowmetal.values.keys import key_of
from flowmetal.vm.builtins.collections import lookup
from flowmetal.vm.builtins.sequences import nth_item
from flowmetal.vm.lifting.runtime import Bail, Exhausted, Fuel

_OTHER, _MAP, _VECTOR = 0, 1, 2
_KEYS = frozenset({int, str, Keyword})  # classes of keys that are most frequent, and their own dict keys


def grown(base: Any, items: list[Any]) -> Any:
    """A vector with the items that were gathered, which are forgotten."""
    if items:
        base = base.extend(items)
        items.clear()
    return base


class Building:
    """A map or vector with changes that are not in it yet; any other value, which is changed at once."""

    __slots__ = ("added", "base", "blocks", "changes", "flat", "kind", "size")

    def __init__(self, base: Any) -> None:
        # Lifted code has this dict, the list of `flat` and the bytes of `blocks` at hand, so they change in place.
        self.changes: dict[Any, Any] = {}
        self.added: list[Any] = []  # behind the end of a vector
        self.size = 0  # of a vector, with what was added
        self.blocks = bytearray()  # beside `flat`, for each 32 items whether one was changed
        self._begin(base)

    def _begin(self, base: Any) -> None:
        self.base = base
        self.flat: list[Any] | None = None  # all items of a vector of which many were changed, if none were added
        if base.__class__ is Map:
            self.kind = _MAP
        elif base.__class__ is Vector:
            self.kind = _VECTOR
            self.size = len(base)
        else:
            self.kind = _OTHER

    def value(self) -> Any:
        """The collection with all changes in it."""
        changes, base = self.changes, self.base
        if self.flat is not None:
            changed = {number for number, one in enumerate(self.blocks) if one}
            if changed:
                base = base.with_blocks(changed, self.flat)
                self.blocks[:] = bytes(len(self.blocks))
            self.base = base
            return base
        if not changes and not self.added:
            return base
        if self.kind == _MAP:
            base = _changed_map(base, changes)
        else:
            if changes:
                base = base.assoc_all(changes)
            if self.added:
                base = base.extend(self.added)
                self.added = []
        changes.clear()
        self.base = base
        return base

    def get(self, key: Any, default: Any = None) -> Any:
        """`get`."""
        if self.kind == _MAP:
            if key.__class__ in _KEYS:
                found = self.changes.get(key, MISSING)
            else:
                found = self.changes.get(key_of(key), MISSING)
            return self.base.get(key, default) if found is MISSING else found
        return lookup(self.value(), key, default)

    def nth(self, place: Any, *default: Any) -> Any:
        """`nth`."""
        if self.kind == _VECTOR and place.__class__ is int and 0 <= place < self.size:
            if self.flat is not None:
                return self.flat[place]
            found = self.changes.get(place, MISSING)
            if found is not MISSING:
                return found
            before = self.size - len(self.added)
            return self.base.get(place) if place < before else self.added[place - before]
        return nth_item(self.value(), place, *default)

    def call_nth(self, F: Fuel, place: Any) -> Any:
        """A call of the library's `nth`."""
        if self.kind != _VECTOR:
            raise Bail
        for _ in F:
            break
        else:
            raise Exhausted
        if self.flat is not None and place.__class__ is int and 0 <= place < self.size:
            return self.flat[place]
        try:
            return self.nth(place)
        except BaseException:
            F.extra += 1
            raise

    def assoc(self, key: Any, value: Any) -> None:
        """`assoc` of one key."""
        if self.kind == _MAP:
            if key.__class__ not in _KEYS:
                key = key_of(key)
            old = self.changes.get(key, MISSING)
            if old is MISSING:
                old = self.base.find(key)
            if old.__class__ is int and value.__class__ is int:
                if old != value:
                    self.changes[key] = value
            elif old is MISSING or not identical(old, value):
                self.changes[key] = value
        elif self.kind == _VECTOR:
            if key.__class__ is not int:
                fail("type", "the key of a vector is an integer", key)
            if key == self.size:
                self.conj(value)
            elif 0 <= key < self.size:
                flat = self.flat
                if flat is not None:
                    old = flat[key]
                    same = old == value if old.__class__ is int and value.__class__ is int else identical(old, value)
                    if not same:
                        flat[key] = value
                        self.blocks[key >> 5] = 1
                    return
                if not identical(self.nth(key), value):
                    before = self.size - len(self.added)
                    if key < before:
                        self.changes[key] = value
                        if len(self.changes) << 6 > self.size and not self.added:
                            self._flatten()
                    else:
                        self.added[key - before] = value
            else:
                fail("index", f"index {shortly(key)} is outside a vector of {self.size}", key)
        else:
            self._begin(plain_assoc(self.base, key, value))

    def _flatten(self) -> None:
        """Goes on with all items of a vector in one list."""
        flat = list(self.base)
        blocks = bytearray((self.size >> 5) + 1)
        for place, item in self.changes.items():
            flat[place] = item
            blocks[place >> 5] = 1
        self.changes.clear()
        self.flat = flat
        self.blocks = blocks

    def conj(self, item: Any) -> None:
        """`conj` of one item."""
        if self.kind == _VECTOR:
            if self.flat is not None:
                self.value()
                self.flat = None
            self.added.append(item)
            self.size += 1
        else:
            self._begin(conj(self.value(), item))


def _changed_map(base: Map, changes: dict[Any, Any]) -> Map:
    if base.table is not None:
        table = {**base.table, **changes}
        if len(table) <= SMALL_MAX:
            return Map(table, None, base.meta)
        return Map(None, build(table), base.meta)
    return Map(None, assoc_all(base.root, 0, changes), base.meta)
