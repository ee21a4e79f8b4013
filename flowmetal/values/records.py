"""Records, which are maps with a type, and instances, which are values with methods (`reify`, `deftype`)."""

from __future__ import annotations

from collections.abc import Iterable

from flowmetal.values.base import Collection, Value
from flowmetal.values.hash_trie import Trie
from flowmetal.values.maps import Map
from flowmetal.values.scalars import Keyword, Symbol
from flowmetal.values.vector import Vector

#: Fields of one type: each is looked at whenever a record is read.
FIELDS_MAX = 1024


class Record(Map):
    """A map of a type, with at least the keys that are the type's fields.

    `type` is the type's name, `shop.Order`; `fields` a vector of keywords.  It is equal to records of its type only.
    """

    __slots__ = ("fields", "type")

    def __init__(
        self, type: Symbol, fields: Vector, table: dict[Value, Value] | None, root: Trie | None, meta: Value = None
    ) -> None:
        super().__init__(table, root, meta)
        self.type = type
        self.fields = fields

    @staticmethod
    def made(type: Symbol, fields: Vector, content: Map, meta: Value = None) -> Record:
        """A record of the entries of a map, which must have all the fields."""
        return Record(type, fields, content.table, content.root, meta)

    @staticmethod
    def fits(type: Value, fields: Value, content: Map) -> bool:
        """Whether there is such a record."""
        return (
            type.__class__ is Symbol
            and fields.__class__ is Vector
            and len(fields) <= min(FIELDS_MAX, len(content))
            and all(name.__class__ is Keyword and content.contains(name) for name in fields)
        )

    def plain(self) -> Map:
        """The map of the same entries and metadata."""
        return Map(self.table, self.root, self.meta)

    def _with(self, before: Map, after: Map) -> Record:
        return self if after is before else Record.made(self.type, self.fields, after, self.meta)

    def assoc(self, key: Value, value: Value) -> Record:
        """The record with an entry added or changed."""
        before = self.plain()
        return self._with(before, before.assoc(key, value))

    def dissoc(self, key: Value) -> Map:
        """The record without an entry; a plain map where it was a field."""
        before = self.plain()
        after = before.dissoc(key)
        if key.__class__ is Keyword and any(key is name for name in self.fields):
            return after
        return self._with(before, after)

    def merge(self, other: Iterable[tuple[Value, Value]]) -> Record:
        """The record with the (key, value) pairs of another map."""
        before = self.plain()
        return self._with(before, before.merge(other))


class Instance(Collection):
    """A value with methods: `type` names it, `methods` is a map from protocol to a map from method to function."""

    __slots__ = ("methods", "type")

    def __init__(self, type: Value, methods: Map, meta: Value = None) -> None:
        self.type = type  # a symbol, or the keyword :reify
        self.methods = methods
        self.meta = meta
        self.hash = None
        self.owner = None
