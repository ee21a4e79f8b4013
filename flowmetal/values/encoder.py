"""Writes values as atoms and object records: for images, where an object is written once in the life of its owner,
and for events, where every value stands alone.

Neither form recurses.  Source spans are not written: they are places in a text, of use to the compiler alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from flowmetal.values.base import Value
from flowmetal.values.errors import ErrorValue, NeedsRealize, fail
from flowmetal.values.functions import Closure, Reduced
from flowmetal.values.hash_trie import HashLeaf, HashNode
from flowmetal.values.keys import Boxed
from flowmetal.values.maps import Map
from flowmetal.values.meta import meta_of
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import Keyword, Symbol
from flowmetal.values.seqs import EMPTY_LIST, Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import OrderedNode, SortedMap, SortedNode, SortedSet
from flowmetal.values.vector import Pair, Vector, VectorNode, VectorSeq
from flowmetal.values.wire import (
    EMPTY_ATOMS,
    SCALAR_ATOMS,
    HashedModules,
    ModuleOwner,
    ModuleTable,
    Tag,
    integer_atom,
    symbol_atom,
)

TEXT_MIN = 64  # strings and bytes of at least this length are objects, so that an image has each of them once

_NATIVE = frozenset({type(None), bool, float, Keyword})
_EMPTY_CODES: dict[type, Any] = {value.__class__: atom for value, atom in EMPTY_ATOMS.values()}
_BARE: dict[type, int] = {
    LazySeq: Tag.LAZY_SEQ,
    Cell: Tag.CELL,
    Promise: Tag.PROMISE,
    Resumption: Tag.RESUMPTION,
}

_Missing = list[Any]
_Record = list[Any]


class Encoder:
    """Writes values into one table of objects.

    `owner` is the identity token of the table: it is put into `obj.owner` of what was written, with the id in
    `obj.oid`, so a value met again costs a reference.  Ids are consecutive from `next_id`; `records` holds the
    records since the last `drain`, the first of them with id `first_id`, and `mutables` the mutable objects among
    them, whose states the caller writes (`state_of`), which may bring new records.  An object must not be encoded by
    two threads at once.
    """

    def __init__(self, owner: object, next_id: int, modules: ModuleTable | None = None) -> None:
        self.owner = owner
        self.next_id = next_id
        self.first_id = next_id
        self.modules = modules
        self.records: list[_Record] = []
        self.mutables: list[Any] = []
        self.texts: dict[str, int] = {}
        self.blobs: dict[bytes, int] = {}
        self._copies: dict[int, tuple[int, Any]] = {}

    def drain(self) -> tuple[int, list[_Record], list[Any]]:
        """(first id, records, mutables) since the last call; the encoder goes on after them."""
        drained = self.first_id, self.records, self.mutables
        self.first_id = self.next_id
        self.records = []
        self.mutables = []
        return drained

    def atom(self, value: Value) -> Any:
        """The atom of a value; objects that were not written yet are appended to `records`."""
        kind = value.__class__
        if kind in _NATIVE:
            return value
        if kind is int:
            if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                return value
            return integer_atom(value)
        if kind is str and len(value) < TEXT_MIN:
            return value
        if kind in _HEAP and value.owner is self.owner:
            return [value.oid]
        missing: _Missing = []
        atom = self.part(value, missing)
        if missing:
            self._write(missing[0])
            atom = self.part(value, missing)
        return atom

    def part(self, value: Any, missing: _Missing) -> Any:
        """The atom of a part of an object; a part that is not written yet is added to `missing`."""
        kind = value.__class__
        if kind in _NATIVE:
            return value
        if kind is str or kind is bytes:
            return self._text(value) if len(value) >= TEXT_MIN else value
        scalar = SCALAR_ATOMS.get(kind)
        if scalar is not None:
            return scalar(value)
        if kind is Symbol and meta_of(value) is None:
            return symbol_atom(value)
        if kind not in _HEAP:
            fail("type", f"a value of Python class {kind.__name__} cannot be saved or sent")
        found = self._known(value)
        if found is not None:
            return found
        if kind in _EMPTY_CODES and not _plain_size(value):
            return _EMPTY_CODES[kind]
        if kind in _BARE:
            return self._mutable(value)
        missing.append(value)
        return None

    def parts(self, values: Iterable[Any], missing: _Missing) -> list[Any]:
        """The atoms of several parts."""
        atoms = []
        owner = self.owner
        for value in values:
            kind = value.__class__
            if kind in _NATIVE or (kind is int and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF):
                atoms.append(value)
            elif kind in _HEAP and value.owner is owner:
                atoms.append([value.oid])
            else:
                atoms.append(self.part(value, missing))
        return atoms

    def nodes(self, values: Iterable[Any], missing: _Missing) -> list[Any]:
        """The references to several inner objects."""
        owner = self.owner
        return [value.oid if value.owner is owner else self.node(value, missing) for value in values]

    def node(self, value: Any, missing: _Missing) -> Any:
        """As `part`, of an inner object whose class the field tells: the bare id, or nil for None."""
        if value is None:
            return None
        found = self._known(value)
        if found is None:
            missing.append(value)
            return None
        return found[0] if len(found) == 1 else found

    def function(self, value: Closure) -> tuple[int, int]:
        """The indexes of a closure's module and function."""
        if self.modules is None:
            fail("type", "a function cannot be written here")
        return self.modules.index_of(value.function)

    def _known(self, value: Any) -> list[Any] | None:
        owner = value.owner
        if owner is self.owner:
            return [value.oid]
        if owner is not None and owner.__class__ is ModuleOwner:
            if self.modules is not None:
                found = self.modules.constant_ref(value)
                if found is not None:
                    return [found[0], "g", found[1]]
            copy = self._copies.get(id(value))
            if copy is not None:
                return [copy[0]]
        return None

    def _number(self, value: Any, record: _Record) -> int:
        """Takes the next id for an object with this record."""
        number = self.next_id
        self.next_id = number + 1
        self.records.append(record)
        if value is not None:
            self._own(value, number)
        return number

    def _own(self, value: Any, number: int) -> None:
        if value.owner.__class__ is ModuleOwner:  # of a module that is not in the table: it stays the module's
            self._copies[id(value)] = (number, value)
        else:
            value.owner = self.owner
            value.oid = number

    def _text(self, value: str | bytes) -> Any:
        # By content, not by identity: which equal strings Python shares must not show in an image.
        table: dict[Any, int] = self.texts if value.__class__ is str else self.blobs
        number = table.get(value)
        if number is None:
            number = self._number(None, [Tag.TEXT if value.__class__ is str else Tag.BLOB, value])
            table[value] = number
        return [number]

    def _mutable(self, value: Any) -> Any:
        number = self._number(value, [_BARE[value.__class__]])
        self.mutables.append(value)
        return [number]

    def _write(self, value: Any) -> None:
        """Writes an object and what it reaches, children first."""
        stack = [value]
        while stack:
            top = stack[-1]
            if self._known(top) is not None:
                stack.pop()
                continue
            missing: _Missing = []
            record = _WRITERS[top.__class__](self, top, missing)
            meta = meta_of(top) if top.__class__ in _WITH_META else None
            if meta is not None:
                record = [Tag.META, self.part(meta, missing), *record]
            if missing:
                missing.reverse()
                stack.extend(missing)
            else:
                stack.pop()
                self._number(top, record)


class EventEncoder(Encoder):
    """Writes one value that stands alone: owner slots are left as they are, lazy sequences become lists, cells and
    the like are refused, modules are named by their hash (`hashes`, in order of first use).
    """

    def __init__(self, modules: HashedModules | None = None) -> None:
        super().__init__(self, 1, None)
        self.hashes: list[bytes] = []
        self._table = modules
        self._indexes: dict[int, int] = {}

    def part(self, value: Any, missing: _Missing) -> Any:
        """See Encoder.part."""
        while value.__class__ is LazySeq:
            if value.state != "done":
                raise NeedsRealize(value, True)
            value = EMPTY_LIST if value.value is None else value.value
        if value.__class__ in _BARE:
            _refuse(value)
        return super().part(value, missing)

    def function(self, value: Closure) -> tuple[int, int]:
        """See Encoder.function."""
        if self._table is None:
            fail("type", "a function cannot leave its process here")
        module, function = self._table.index_of(value.function)
        index = self._indexes.get(module)
        if index is None:
            index = self._indexes[module] = len(self.hashes)
            self.hashes.append(self._table.module_hash(module))
        return index, function

    def _known(self, value: Any) -> list[Any] | None:
        found = self._copies.get(id(value))
        return None if found is None else [found[0]]

    def _own(self, value: Any, number: int) -> None:
        self._copies[id(value)] = (number, value)

    def _text(self, value: str | bytes) -> Any:
        return value


def _plain_size(value: Any) -> int:
    """The number of a collection's items; more than none if it is more than its items."""
    if meta_of(value) is not None or getattr(value, "order", None) is not None:
        return 1
    return value.count if value.__class__ is List else len(value)


def _refuse(value: Any) -> NoReturn:
    name = {Cell: "a cell", Promise: "a promise", Resumption: "a resumption"}[value.__class__]
    fail("type", f"{name} cannot leave its process")


def _write_vector(encoder: Encoder, value: Vector, missing: _Missing) -> _Record:
    if value.tail.__class__ is Pair:
        return [Tag.ENTRY, *encoder.parts(value.tail, missing)]
    return [Tag.VECTOR, encoder.node(value.root, missing), *encoder.parts(value.tail, missing)]


def _write_vector_node(encoder: Encoder, value: VectorNode, missing: _Missing) -> _Record:
    if value.shift == 0:
        return [Tag.VECTOR_LEAF, *encoder.parts(value.children, missing)]
    return [Tag.VECTOR_NODE, value.shift, *encoder.nodes(value.children, missing)]


def _entries(encoder: Encoder, record: _Record, entries: Any, missing: _Missing) -> _Record:
    flat: list[Any] = []
    for key, value in entries:
        flat.append(key.value if key.__class__ is Boxed else key)
        flat.append(value)
    record.extend(encoder.parts(flat, missing))
    return record


def _write_map(encoder: Encoder, value: Map, missing: _Missing) -> _Record:
    if value.table is None:
        return [Tag.MAP_TRIE, encoder.node(value.root, missing)]
    return _entries(encoder, [Tag.MAP], value.table.items(), missing)


def _write_record(encoder: Encoder, value: Record, missing: _Missing) -> _Record:
    head = [symbol_atom(value.type), encoder.part(value.fields, missing)]
    if value.table is None:
        return [Tag.RECORD_TRIE, *head, encoder.node(value.root, missing)]
    return _entries(encoder, [Tag.RECORD, *head], value.table.items(), missing)


def _write_instance(encoder: Encoder, value: Instance, missing: _Missing) -> _Record:
    kind = value.type
    return [
        Tag.INSTANCE,
        kind if kind.__class__ is Keyword else symbol_atom(kind),
        encoder.part(value.methods, missing),
    ]


def _write_set(encoder: Encoder, value: Set, missing: _Missing) -> _Record:
    if value.table is None:
        return [Tag.SET_TRIE, encoder.node(value.root, missing)]
    return [Tag.SET, *encoder.parts(value, missing)]


def _write_leaf(encoder: Encoder, value: HashLeaf, missing: _Missing) -> _Record:
    return _entries(encoder, [Tag.HASH_LEAF], value.table.items(), missing)


def _write_hash_node(encoder: Encoder, value: HashNode, missing: _Missing) -> _Record:
    bitmap = 0
    children: list[Any] = []
    for index, child in enumerate(value.children):
        if child is not None:
            bitmap |= 1 << index
            children.append(child)
    return [Tag.HASH_NODE, value.shift, bitmap, *encoder.nodes(children, missing)]


def _write_list(encoder: Encoder, value: List, missing: _Missing) -> _Record:
    if not value.count:
        return [Tag.LIST]
    after = value.rest
    tail = None if not after.count and meta_of(after) is None else encoder.node(after, missing)
    return [Tag.LIST, encoder.part(value.first, missing), tail]


def _write_cons(encoder: Encoder, value: Cons, missing: _Missing) -> _Record:
    return [Tag.CONS, encoder.part(value.first, missing), encoder.part(value.rest, missing)]


def _write_closure(encoder: Encoder, value: Closure, missing: _Missing) -> _Record:
    return [Tag.CLOSURE, *encoder.function(value), *encoder.parts(value.captures, missing)]


def _write_error(encoder: Encoder, value: ErrorValue, missing: _Missing) -> _Record:
    fields = (value.kind, value.message, value.data, value.cause, value.trace)
    return [Tag.ERROR, *encoder.parts(fields, missing)]


def _write_sorted_node(encoder: Encoder, value: SortedNode, missing: _Missing) -> _Record:
    return [
        Tag.SORTED_NODE if value.__class__ is SortedNode else Tag.ORDERED_NODE,
        encoder.part(value.key, missing),
        encoder.part(value.value, missing),
        encoder.node(value.left, missing),
        encoder.node(value.right, missing),
    ]


def _write_sorted(encoder: Encoder, value: Any, missing: _Missing, natural: int, ordered: int) -> _Record:
    if value.order is None:
        return [natural, encoder.node(value.root, missing)]
    return [ordered, encoder.part(value.order, missing), encoder.node(value.root, missing)]


_WRITERS: dict[type, Callable[[Encoder, Any, _Missing], _Record]] = {
    Vector: _write_vector,
    VectorNode: _write_vector_node,
    Map: _write_map,
    Record: _write_record,
    Instance: _write_instance,
    Set: _write_set,
    HashLeaf: _write_leaf,
    HashNode: _write_hash_node,
    List: _write_list,
    Cons: _write_cons,
    VectorSeq: lambda e, value, missing: [Tag.VECTOR_SEQ, e.part(value.vector, missing), value.start],
    Range: lambda e, value, missing: [
        Tag.RANGE,
        *[e.part(number, missing) for number in (value.start, value.end, value.step)],
    ],
    SortedMap: lambda e, value, missing: _write_sorted(e, value, missing, Tag.SORTED_MAP, Tag.ORDERED_MAP),
    SortedSet: lambda e, value, missing: _write_sorted(e, value, missing, Tag.SORTED_SET, Tag.ORDERED_SET),
    SortedNode: _write_sorted_node,
    OrderedNode: _write_sorted_node,
    Closure: _write_closure,
    ErrorValue: _write_error,
    Reduced: lambda e, value, missing: [Tag.REDUCED, e.part(value.value, missing)],
    Symbol: lambda e, value, missing: [Tag.SYMBOL, value.namespace, value.name],
}
_WITH_META = frozenset(_WRITERS) - {VectorNode, HashLeaf, HashNode, SortedNode, OrderedNode, Reduced}
_HEAP = frozenset(_WRITERS) | frozenset(_BARE)
