"""Reads atoms and object records back into values.  The input may be hostile: whatever is wrong raises CodecError, and
nothing else, and memory is taken in proportion to the input only.

Tables are checked to be what the writer makes (positions of keys, sizes, order, balance), so that no operation on a
decoded value can fail in a way it does not on one made by a program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgpack import ExtType

from flowmetal.values.base import Heap, Value
from flowmetal.values.compare import check_ordered, compare
from flowmetal.values.errors import CodecError, ErrorValue, LanguageError, NeedsRealize
from flowmetal.values.functions import Closure, Reduced
from flowmetal.values.hash_trie import (
    COLLISIONS_MAX,
    LEAF_MAX,
    SHIFT_END,
    SMALL_MAX,
    HashLeaf,
    HashNode,
    entries,
    hash_key,
)
from flowmetal.values.keys import key_of
from flowmetal.values.maps import Map
from flowmetal.values.meta import takes_meta
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.numbers import is_number
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import Keyword, Symbol
from flowmetal.values.seqs import EMPTY_LIST, Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import OrderedNode, SortedMap, SortedNode, SortedSet, balanced
from flowmetal.values.vector import WIDTH, Vector, VectorNode, VectorSeq, entry
from flowmetal.values.wire import ATOM_CLASSES, FIELDS_MAX, IMAGE_LIMITS, Limits, ModuleTable, Tag, read_ext

_INNER = frozenset({VectorNode, HashLeaf, HashNode, SortedNode, OrderedNode})
_RESTS = frozenset({List, Cons, LazySeq, Range, VectorSeq, Vector})
_NODE_SHIFTS = range(5, 31, 5)  # of vector nodes; the highest holds 2**35 items

_Fields = list[Any]


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise CodecError(problem)


#: A tag that is larger is not printed: a number may have millions of digits.
TAGS_SHOWN = 1 << 32


class Decoder:
    """Reads the records of one table of objects, in the order of their ids.

    `owner` is put into the owner slot of every object with its id in `oid`, so that an encoder with the same token
    goes on where the table ends.  `objects` has everything read so far; `texts` and `blobs` the ids of long strings
    and bytes. Mutable objects come out bare; `set_state` gives them their state once all records are read.
    """

    #: The `ext_hook` with which msgpack data has to be unpacked for a decoder.
    ext_hook = staticmethod(read_ext)

    def __init__(self, owner: object, modules: ModuleTable | None = None, limits: Limits = IMAGE_LIMITS) -> None:
        self.owner = owner
        self.modules = modules
        self.limits = limits
        self.objects: dict[int, Any] = {}
        self.texts: dict[str, int] = {}
        self.blobs: dict[bytes, int] = {}
        self.next_id = 0
        self._number = 0
        self._collisions = 0
        self._ranges: list[tuple[Range, Any, Any]] = []
        self._places: dict[int, tuple[int, int, Any]] = {}

    def add(self, first_id: int, records: list[Any]) -> None:
        """Reads records with consecutive ids from `first_id`, which must be greater than all ids before."""
        _check(first_id.__class__ is int and first_id >= self.next_id, "object ids do not ascend")
        _check(records.__class__ is list, "records are expected")
        _check(len(self.objects) + len(records) <= self.limits.objects_max, "there are too many objects")
        number = first_id
        for record in records:
            self._number = number
            try:
                found = self._build(record)
            except (LanguageError, NeedsRealize) as problem:
                raise CodecError("a key cannot be hashed or compared") from problem
            if isinstance(found, Heap):
                found.owner = self.owner
                found.oid = number
            self.objects[number] = found
            number += 1
            self.next_id = number
        for found, start, end in self._ranges:
            found.start, found.end = start, end
        self._ranges.clear()

    def value(self, atom: Any) -> Value:
        """The value of an atom."""
        if atom.__class__ in ATOM_CLASSES:
            return atom
        if atom.__class__ is ExtType:  # unpacked without `ext_hook`, or not packed at all
            return read_ext(atom.code, atom.data)
        found = self._reference(atom)
        _check(found.__class__ not in _INNER, "a reference leads to the inside of a collection")
        return found

    def _reference(self, atom: Any) -> Any:
        if atom.__class__ is not list:
            raise CodecError("a field is neither a scalar nor a reference")
        if len(atom) == 1:
            if atom[0].__class__ is int:
                found = self.objects.get(atom[0], self)
                if found is not self:
                    return found
        elif len(atom) == 3 and atom[1] == "g" and atom[0].__class__ is int and atom[2].__class__ is int:
            return self._module(lambda modules: modules.constant(atom[0], atom[2]))
        raise CodecError("a reference leads nowhere")

    def _module(self, ask: Callable[[ModuleTable], Any]) -> Any:
        if self.modules is None:
            raise CodecError("there are no modules to refer to")
        try:
            return ask(self.modules)
        except (LookupError, TypeError, ValueError) as problem:
            raise CodecError("a reference to a module leads nowhere") from problem

    def _node(self, field: Any) -> Any:
        """The inner object of a field: a bare id, or a reference to a constant."""
        return self._reference([field] if field.__class__ is int else field)

    def _build(self, record: Any) -> Any:
        _check(record.__class__ is list and len(record) > 0 and record[0].__class__ is int, "a record has no tag")
        tag, fields = record[0], record[1:]
        if tag == Tag.META:
            return self._with_meta(fields)
        builder = _BUILDERS.get(tag)
        if builder is None:
            raise CodecError(f"record tag {tag if 0 <= tag < TAGS_SHOWN else 'out of range'} is unknown")
        least, most, build = builder
        _check(least <= len(fields) <= most, f"a record of tag {tag} has the wrong number of fields")
        return build(self, fields)

    def _with_meta(self, fields: _Fields) -> Any:
        _check(len(fields) >= 2 and fields[1] != Tag.META, "a record with metadata is malformed")
        meta = self.value(fields[0])
        _check(meta.__class__ is Map or meta.__class__ is SortedMap, "metadata is not a map")
        found = self._build(fields[1:])
        kind = found.__class__
        _check(takes_meta(found) and kind not in (LazySeq, Reduced), "an object that has no metadata has some")
        found.meta = meta
        return found

    def _table(self, fields: _Fields) -> dict[Any, Any]:
        """The dict of keys and values in turn, no key standing twice."""
        _check(len(fields) % 2 == 0, "a key has no value")
        table = {
            key_of(self.value(key)): self.value(value) for key, value in zip(fields[::2], fields[1::2], strict=True)
        }
        _check(len(table) == len(fields) // 2, "a key stands twice in a table")
        return table

    def _place(self, node: Any) -> tuple[int, int]:
        """The bits that are 1 in all, and in any, of the hashes below a node of a hash trie."""
        found = self._places.get(id(node))
        if found is None:
            all_bits, any_bits = 0xFFFFFFFF, 0
            for key, _ in entries(node):
                place = hash_key(key)
                all_bits &= place
                any_bits |= place
            found = self._places[id(node)] = (all_bits, any_bits, node)
        return found[0], found[1]

    def text(self, fields: _Fields) -> str:
        """TEXT"""
        found = fields[0]
        if found.__class__ is not str:
            raise CodecError("a text is not a string")
        self.texts[found] = self._number
        return str(found)

    def blob(self, fields: _Fields) -> bytes:
        """BLOB"""
        found = fields[0]
        if found.__class__ is not bytes:
            raise CodecError("a blob is not bytes")
        self.blobs[found] = self._number
        return bytes(found)

    def vector(self, fields: _Fields) -> Vector:
        """VECTOR"""
        tail = tuple([self.value(field) for field in fields[1:]])
        if fields[0] is None:
            return Vector(tail)
        root = self._node(fields[0])
        _check(root.__class__ is VectorNode and root.shift > 0 and len(tail) > 0, "the root of a vector is malformed")
        return Vector(tail, root)

    def vector_node(self, fields: _Fields) -> VectorNode:
        """VECTOR_NODE"""
        shift = fields[0]
        _check(shift.__class__ is int and shift in _NODE_SHIFTS, "a vector node has no such depth")
        children = tuple([self._node(field) for field in fields[1:]])
        for child in children:
            _check(child.__class__ is VectorNode and child.shift == shift - 5, "a vector node has a wrong child")
        for child in children[:-1]:
            _check(child.size == 1 << shift, "a vector node is not full")
        return VectorNode(children, shift, sum(child.size for child in children))

    def vector_leaf(self, fields: _Fields) -> VectorNode:
        """VECTOR_LEAF"""
        return VectorNode(tuple([self.value(field) for field in fields]), 0, WIDTH)

    def map(self, fields: _Fields) -> Map:
        """MAP"""
        return Map(self._table(fields))

    def _record(self, fields: _Fields, content: Map) -> Record:
        type, names = self.value(fields[0]), self.value(fields[1])
        _check(Record.fits(type, names, content), "a record does not have the fields of its type")
        return Record.made(type, names, content)

    def record(self, fields: _Fields) -> Record:
        """RECORD"""
        return self._record(fields, Map(self._table(fields[2:])))

    def record_trie(self, fields: _Fields) -> Record:
        """RECORD_TRIE"""
        return self._record(fields, Map(None, self._root(fields[2])))

    def instance(self, fields: _Fields) -> Instance:
        """INSTANCE"""
        type, methods = self.value(fields[0]), self.value(fields[1])
        _check(type.__class__ in (Keyword, Symbol) and methods.__class__ is Map, "an instance is malformed")
        return Instance(type, methods)

    def set(self, fields: _Fields) -> Set:
        """SET"""
        table = dict.fromkeys([key_of(self.value(field)) for field in fields])
        _check(len(table) == len(fields), "an item stands twice in a set")
        return Set(table)

    def _root(self, field: Any) -> Any:
        root = self._node(field)
        kind = root.__class__
        _check(
            kind is HashLeaf or (kind is HashNode and root.shift == 0),
            "the root of a hash trie is malformed",
        )
        return root

    def map_trie(self, fields: _Fields) -> Map:
        """MAP_TRIE"""
        return Map(None, self._root(fields[0]))

    def set_trie(self, fields: _Fields) -> Set:
        """SET_TRIE"""
        return Set(None, self._root(fields[0]))

    def hash_node(self, fields: _Fields) -> HashNode:
        """HASH_NODE"""
        shift, bitmap = fields[0], fields[1]
        _check(shift.__class__ is int and 0 <= shift < SHIFT_END and shift % 5 == 0, "a hash node has no such depth")
        _check(
            bitmap.__class__ is int and 0 < bitmap <= 0xFFFFFFFF and bitmap.bit_count() == len(fields) - 2,
            "the places of a hash node do not fit its children",
        )
        children: list[Any] = [None] * 32
        all_bits, any_bits, size, at = 0xFFFFFFFF, 0, 0, 2
        for index in range(32):
            if not bitmap >> index & 1:
                continue
            child = self._node(fields[at])
            at += 1
            kind = child.__class__
            _check(kind is HashLeaf or (kind is HashNode and child.shift == shift + 5), "a hash node has a wrong child")
            below_all, below_any = self._place(child)
            _check(
                (below_all >> shift) & 31 == index == (below_any >> shift) & 31,
                "a key is in the wrong place of a hash trie",
            )
            all_bits &= below_all
            any_bits |= below_any
            size += child.size
            children[index] = child
        node = HashNode(tuple(children), size, shift)
        self._places[id(node)] = (all_bits, any_bits, node)
        return node

    def hash_leaf(self, fields: _Fields) -> HashLeaf:
        """HASH_LEAF"""
        table = self._table(fields)
        if len(table) > LEAF_MAX:
            self._collisions += len(table) * len(table)
            _check(self._collisions <= self.limits.collisions_max, "too many keys have equal hashes")
        return HashLeaf(table)

    def list(self, fields: _Fields) -> List:
        """LIST"""
        if not fields:
            return List.empty(meta=False)
        _check(len(fields) == 2, "a list cell is malformed")
        after = EMPTY_LIST if fields[1] is None else self._node(fields[1])
        _check(after.__class__ is List, "a list goes on with something else")
        return List(self.value(fields[0]), after)

    def cons(self, fields: _Fields) -> Cons:
        """CONS"""
        after = self.value(fields[1])
        _check(after.__class__ in _RESTS, "a cons cell goes on with something else")
        return Cons(self.value(fields[0]), after)

    def vector_seq(self, fields: _Fields) -> VectorSeq:
        """VECTOR_SEQ"""
        vector, start = self.value(fields[0]), fields[1]
        _check(vector.__class__ is Vector and start.__class__ is int, "the sequence of a vector is malformed")
        _check(0 <= start < len(vector), "the sequence of a vector starts outside it")
        return VectorSeq(vector, start)

    def range(self, fields: _Fields) -> Range:
        """RANGE"""
        start, end, step = (self.value(field) for field in fields)
        _check(is_number(start) and is_number(end) and is_number(step), "a range is not of numbers")
        found = Range(start, end, step)
        # Keys hold no ranges, and to hash one could take years: until all records are read it is one that cannot be.
        found.start = found.end = None
        self._ranges.append((found, start, end))
        return found

    def _sorted(self, field: Any) -> SortedNode | None:
        if field is None:
            return None
        node = self._node(field)
        if node.__class__ is not SortedNode:
            raise CodecError("a sorted tree has a wrong node")
        return node

    def sorted_node(self, fields: _Fields) -> SortedNode:
        """SORTED_NODE"""
        key, left, right = self.value(fields[0]), self._sorted(fields[2]), self._sorted(fields[3])
        _check(balanced(left, right), "a sorted tree is not balanced")
        check_ordered(key)
        if key.__class__ is Vector:
            key_of(key)  # it must have a hash, as keys that programs put in have
        side = left
        while side is not None and side.right is not None:
            side = side.right
        _check(side is None or compare(side.key, key) < 0, "a sorted tree is not in order")
        side = right
        while side is not None and side.left is not None:
            side = side.left
        _check(side is None or compare(key, side.key) < 0, "a sorted tree is not in order")
        return SortedNode(key, self.value(fields[1]), left, right)

    def _ordered(self, field: Any) -> OrderedNode | None:
        node = None if field is None else self._node(field)
        _check(node is None or node.__class__ is OrderedNode, "an ordered tree has a wrong node")
        return node

    def ordered_node(self, fields: _Fields) -> OrderedNode:
        """ORDERED_NODE"""
        left, right = self._ordered(fields[2]), self._ordered(fields[3])
        _check(balanced(left, right), "an ordered tree is not balanced")
        return OrderedNode(self.value(fields[0]), self.value(fields[1]), left, right)

    def ordered(self, fields: _Fields, kind: type[Any]) -> Any:
        """ORDERED_MAP and ORDERED_SET"""
        order = self.value(fields[0])
        _check(order.__class__ is Closure, "the order of a collection is no function")
        return kind(self._ordered(fields[1]), None, order)

    def closure(self, fields: _Fields) -> Closure:
        """CLOSURE"""
        module, number = fields[0], fields[1]
        _check(module.__class__ is int and number.__class__ is int and module >= 0 <= number, "a function is malformed")
        function = self._module(lambda modules: modules.function(module, number))
        captures = tuple([self.value(field) for field in fields[2:]])
        # A wrong number would shift the registers of every call; -1 is a function of a module that still grows.
        _check(getattr(function, "captures", -1) in (-1, len(captures)), "a function captures another number of values")
        return Closure(function, captures)

    def error(self, fields: _Fields) -> ErrorValue:
        """ERROR"""
        kind, message, data, cause, trace = (self.value(field) for field in fields)
        _check(kind.__class__ is Keyword and message.__class__ is str, "an error is malformed")
        _check(cause is None or cause.__class__ is ErrorValue, "the cause of an error is none")
        _check(trace is None or trace.__class__ is Vector, "the trace of an error is malformed")
        return ErrorValue(kind, message, data, cause, trace)

    def symbol(self, fields: _Fields) -> Symbol:
        """SYMBOL"""
        namespace, name = fields
        _check((namespace is None or namespace.__class__ is str) and name.__class__ is str, "a symbol is malformed")
        return Symbol(namespace, name)


# tag -> (least and most fields, how to build)
_BUILDERS: dict[int, tuple[int, int, Callable[[Decoder, _Fields], Any]]] = {
    Tag.TEXT: (1, 1, Decoder.text),
    Tag.BLOB: (1, 1, Decoder.blob),
    Tag.VECTOR: (1, WIDTH + 1, Decoder.vector),
    Tag.VECTOR_NODE: (2, WIDTH + 1, Decoder.vector_node),
    Tag.VECTOR_LEAF: (WIDTH, WIDTH, Decoder.vector_leaf),
    Tag.MAP: (0, 2 * SMALL_MAX, Decoder.map),
    Tag.MAP_TRIE: (1, 1, Decoder.map_trie),
    Tag.HASH_NODE: (3, 34, Decoder.hash_node),
    Tag.HASH_LEAF: (2, 2 * COLLISIONS_MAX, Decoder.hash_leaf),
    Tag.SET: (0, SMALL_MAX, Decoder.set),
    Tag.SET_TRIE: (1, 1, Decoder.set_trie),
    Tag.LIST: (0, 2, Decoder.list),
    Tag.CONS: (2, 2, Decoder.cons),
    Tag.VECTOR_SEQ: (2, 2, Decoder.vector_seq),
    Tag.RANGE: (3, 3, Decoder.range),
    Tag.SORTED_MAP: (1, 1, lambda decoder, fields: SortedMap(decoder._sorted(fields[0]))),
    Tag.SORTED_SET: (1, 1, lambda decoder, fields: SortedSet(decoder._sorted(fields[0]))),
    Tag.SORTED_NODE: (4, 4, Decoder.sorted_node),
    Tag.CLOSURE: (2, FIELDS_MAX, Decoder.closure),
    Tag.ERROR: (5, 5, Decoder.error),
    Tag.REDUCED: (1, 1, lambda decoder, fields: Reduced(decoder.value(fields[0]))),
    Tag.SYMBOL: (2, 2, Decoder.symbol),
    Tag.LAZY_SEQ: (0, 0, lambda decoder, fields: LazySeq(None)),
    Tag.CELL: (0, 0, lambda decoder, fields: Cell()),
    Tag.PROMISE: (0, 0, lambda decoder, fields: Promise()),
    Tag.RECORD: (2, 2 * SMALL_MAX + 2, Decoder.record),
    Tag.RECORD_TRIE: (3, 3, Decoder.record_trie),
    Tag.INSTANCE: (2, 2, Decoder.instance),
    Tag.ORDERED_MAP: (2, 2, lambda decoder, fields: decoder.ordered(fields, SortedMap)),
    Tag.ORDERED_SET: (2, 2, lambda decoder, fields: decoder.ordered(fields, SortedSet)),
    Tag.ORDERED_NODE: (4, 4, Decoder.ordered_node),
    Tag.ENTRY: (2, 2, lambda decoder, fields: entry(decoder.value(fields[0]), decoder.value(fields[1]))),
    Tag.RESUMPTION: (0, 0, lambda decoder, fields: Resumption()),
}
