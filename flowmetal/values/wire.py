"""The written form of values: tags, extension codes, scalars, and reading msgpack from hostile bytes.

A value in a field is an *atom*: nil, bool, 64 bit integer, float, string and bytes as msgpack has them; other scalars
as extension types; `[id]` for an object of the same table; `[m, "g", n]` for object n of the constants of module m.
Objects are *records*, flat arrays `[tag, field...]`, children before parents but for mutable objects, whose records
hold the tag only. Tags and extension codes are permanent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol
from uuid import UUID

import msgpack
from msgpack import ExtType

from flowmetal.dataclass import dataclass
from flowmetal.lazily import pattern
from flowmetal.values.errors import CodecError
from flowmetal.values.functions import BuiltinFn
from flowmetal.values.maps import EMPTY_MAP
from flowmetal.values.numbers import INTEGER_BITS_MAX, RATIO_BITS_MAX
from flowmetal.values.scalars import (
    KEYWORD_EXT,
    Char,
    Duration,
    Instant,
    Keyword,
    Pid,
    Regex,
    Symbol,
    keyword,
    split_name,
    symbol,
)
from flowmetal.values.secrets import SECRET_EXT, Secret, read_secret, secret_data
from flowmetal.values.seqs import EMPTY_LIST
from flowmetal.values.sets import EMPTY_SET
from flowmetal.values.sorted import EMPTY_SORTED_MAP, EMPTY_SORTED_SET
from flowmetal.values.vector import EMPTY_VECTOR

FIELDS_MAX = 4200  # fields of a record: a closure's captures are at most 4096, everything else is far smaller


class Tag:
    """Numbers of the record kinds."""

    MODULES = 0  # [module hash...]: the module table of an event value, its last record
    TEXT = 1  # [string]: a long string, written once
    BLOB = 2  # [bytes]: the same of bytes
    VECTOR = 3  # [root node or nil, items of the tail...]
    VECTOR_NODE = 4  # [shift, nodes...]
    VECTOR_LEAF = 5  # [32 items]
    MAP = 6  # [key, value, ...]: a small map
    MAP_TRIE = 7  # [root node]
    HASH_NODE = 8  # [shift, bitmap of the 32 places, nodes of the places taken...]
    HASH_LEAF = 9  # [key, value, ...]: up to COLLISIONS_MAX entries
    SET = 11  # [items...]: a small set
    SET_TRIE = 12  # [root node]
    LIST = 13  # [first, rest or nil for the empty list]; no fields: an empty list with metadata
    CONS = 14  # [first, rest atom]
    VECTOR_SEQ = 15  # [vector atom, start]
    RANGE = 16  # [start, end, step]
    SORTED_MAP = 17  # [root node or nil]
    SORTED_SET = 18  # [root node or nil]
    SORTED_NODE = 19  # [key, value, left node or nil, right node or nil]
    CLOSURE = 20  # [module index, function index, captures...]
    ERROR = 21  # [kind, message, data, cause, trace]
    REDUCED = 22  # [value]
    SYMBOL = 23  # [namespace or nil, name]: a symbol with metadata
    META = 24  # [metadata, tag, fields...]: an object with metadata
    LAZY_SEQ = 25  # []
    CELL = 26  # []
    PROMISE = 27  # []
    RESUMPTION = 28  # []
    RECORD = 29  # [type, fields atom, key, value...]: a small record
    RECORD_TRIE = 30  # [type, fields atom, root node]
    INSTANCE = 31  # [type, methods atom]
    ENTRY = 32  # [key, value]: an entry of a map
    ORDERED_MAP = 33  # [function, root node or nil]: a map in the order of a function
    ORDERED_SET = 34  # [function, root node or nil]
    ORDERED_NODE = 35  # as SORTED_NODE


class Ext:
    """Extension codes of scalars."""

    KEYWORD = KEYWORD_EXT
    INTEGER = 2
    SYMBOL = 3
    CHAR = 4
    RATIO = 5
    DECIMAL = 6
    INSTANT = 7
    DURATION = 8
    UUID = 9
    REGEX = 10
    PID = 11
    BUILTIN = 12
    EMPTY = 13
    SECRET = SECRET_EXT


class ModuleOwner:
    """The owner of objects that belong to the constants of a module; their `oid` is their number there.  They are
    shared by all processes and written as references, never copied.
    """

    __slots__ = ("module",)

    def __init__(self, module: Any) -> None:
        self.module = module


class ModuleTable(Protocol):
    """How an image names functions and constants: by the index of their module in the image's own table."""

    def index_of(self, function: Any) -> tuple[int, int]:
        """(module index, function index) of a bytecode function."""

    def function(self, module_index: int, function_index: int) -> Any:
        """The function with these indexes; LookupError or CodecError if there is none."""

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        """(module index, number) of an object owned by a module, None if the module is not in the table."""

    def constant(self, module_index: int, number: int) -> Any:
        """The object with this number in a module's constants; LookupError or CodecError if there is none."""


class HashedModules(ModuleTable, Protocol):
    """A module table that also knows content hashes, by which event values name modules."""

    def module_hash(self, module_index: int) -> bytes:
        """The content hash of a module."""

    def module_index(self, hash: bytes) -> int | None:
        """The index of the module with this content hash, None if it is not at hand."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a decoder accepts."""

    bytes_max: int = 256 << 20  # of one encoded value: more would not be one event but a file
    objects_max: int = 1 << 24  # objects of one table: about 2 GB of memory
    collisions_max: int = 1 << 22  # sum of the squares of leaves of colliding keys: comparisons, a few seconds of them


DEFAULT_LIMITS = Limits()
IMAGE_LIMITS = Limits(collisions_max=1 << 60)  # what a process made over a long life must be readable again


def _signed(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)


def integer_atom(value: int) -> Any:
    """The atom of an integer of any size."""
    if -0x8000000000000000 <= value <= 0xFFFFFFFFFFFFFFFF:
        return value
    return ExtType(Ext.INTEGER, _signed(value))


def symbol_atom(value: Symbol) -> ExtType:
    """The atom of a symbol, without its metadata."""
    text = value.text
    if split_name(text) != (value.namespace, value.name):
        text = f"\0{value.namespace or ''}\0{value.name}"
    return ExtType(Ext.SYMBOL, text.encode())


def _ratio_atom(value: Fraction) -> ExtType:
    numerator, denominator = _signed(value.numerator), _signed(value.denominator)
    return ExtType(Ext.RATIO, len(numerator).to_bytes(4, "big") + numerator + denominator)


SCALAR_ATOMS: dict[type, Callable[[Any], Any]] = {
    int: integer_atom,
    Char: lambda value: ExtType(Ext.CHAR, value.text.encode()),
    Fraction: _ratio_atom,
    Decimal: lambda value: ExtType(Ext.DECIMAL, str(value).encode()),
    Instant: lambda value: ExtType(Ext.INSTANT, _signed(value.ns)),
    Duration: lambda value: ExtType(Ext.DURATION, _signed(value.ns)),
    UUID: lambda value: ExtType(Ext.UUID, value.bytes),
    Regex: lambda value: ExtType(Ext.REGEX, value.pattern.encode()),
    Pid: lambda value: ExtType(Ext.PID, _signed(value.number)),
    Secret: lambda value: ExtType(Ext.SECRET, secret_data(value)),
    BuiltinFn: lambda value: ExtType(Ext.BUILTIN, value.number.to_bytes(4, "big") + value.name.encode()),
}
"""Class -> the atom of a scalar that msgpack does not have."""

EMPTY_LIST_ATOM = ExtType(Ext.EMPTY, b"l")
EMPTY_ATOMS: dict[bytes, tuple[Any, ExtType]] = {
    code: (value, ExtType(Ext.EMPTY, code))
    for code, value in (
        (b"l", EMPTY_LIST),
        (b"v", EMPTY_VECTOR),
        (b"m", EMPTY_MAP),
        (b"s", EMPTY_SET),
        (b"M", EMPTY_SORTED_MAP),
        (b"S", EMPTY_SORTED_SET),
    )
}
"""Code -> (the empty collection, its atom)."""

_DECIMAL_TEXT = pattern(r"-?\d+(?:\.\d+)?(?:E[+-]\d{1,19})?", re.ASCII)
_DECIMAL_TEXT_MAX = 16384
_TIME_BYTES_MAX = 64


def _integer_of(data: bytes, bits_max: int) -> int:
    if not data or len(data) > bits_max // 8 + 1:
        raise CodecError("an integer has no digits or too many")
    value = int.from_bytes(data, "big", signed=True)
    if len(data) != (value.bit_length() + 8) // 8:
        raise CodecError("an integer is not in its shortest form")
    return value


def _big_integer(data: bytes) -> int:
    value = _integer_of(data, INTEGER_BITS_MAX)
    if -0x8000000000000000 <= value <= 0xFFFFFFFFFFFFFFFF or value.bit_length() > INTEGER_BITS_MAX:
        raise CodecError("an integer is written as a large one and is not, or is too large")
    return value


def _ratio(data: bytes) -> Fraction:
    cut = 4 + int.from_bytes(data[:4], "big")
    value = Fraction(
        _integer_of(data[4:cut], RATIO_BITS_MAX),
        _integer_of(data[cut:], RATIO_BITS_MAX) or 1,
    )
    if value.denominator == 1 or _ratio_atom(value).data != data:
        raise CodecError("a ratio is not in lowest terms")
    return value


def _decimal(data: bytes) -> Decimal:
    text = data.decode("ascii")
    if len(text) > _DECIMAL_TEXT_MAX or not _DECIMAL_TEXT.fullmatch(text):
        raise CodecError("a decimal is malformed")
    value = Decimal(text)
    if not value.is_finite() or str(value) != text:
        raise CodecError("a decimal is malformed")
    return value


def _symbol(data: bytes) -> Symbol:
    text = data.decode()
    if not text.startswith("\0"):
        return symbol(text)
    namespace, mark, name = text[1:].partition("\0")
    if not mark:
        raise CodecError("a symbol is malformed")
    return Symbol(namespace or None, name)


def _char(data: bytes) -> Char:
    text = data.decode()
    if len(text) != 1:
        raise CodecError("a character is not one code point")
    return Char(text)


def _uuid(data: bytes) -> UUID:
    if len(data) != 16:
        raise CodecError("a UUID is not 16 bytes")
    return UUID(bytes=data)


def _builtin(data: bytes) -> BuiltinFn:
    if len(data) < 5 or len(data) > 260:
        raise CodecError("a builtin is malformed")
    return BuiltinFn(int.from_bytes(data[:4], "big"), data[4:].decode())


def _empty(data: bytes) -> Any:
    found = EMPTY_ATOMS.get(data)
    if found is None:
        raise CodecError("an unknown empty collection")
    return found[0]


_KEYWORDS: dict[bytes, Keyword] = {}  # what was decoded lately; emptied when full, the keywords have their own table
_KEYWORDS_MAX = 4096


def _keyword(data: bytes) -> Keyword:
    found = _KEYWORDS.get(data)
    if found is None:
        found = keyword(data.decode())
        if len(_KEYWORDS) >= _KEYWORDS_MAX:
            _KEYWORDS.clear()
        _KEYWORDS[data] = found
    return found


_EXT_READERS: dict[int, Callable[[bytes], Any]] = {
    Ext.KEYWORD: _keyword,
    Ext.INTEGER: _big_integer,
    Ext.SYMBOL: _symbol,
    Ext.CHAR: _char,
    Ext.RATIO: _ratio,
    Ext.DECIMAL: _decimal,
    Ext.INSTANT: lambda data: Instant(_integer_of(data, _TIME_BYTES_MAX * 8)),
    Ext.DURATION: lambda data: Duration(_integer_of(data, _TIME_BYTES_MAX * 8)),
    Ext.UUID: _uuid,
    Ext.REGEX: lambda data: Regex(data.decode()),
    Ext.PID: lambda data: Pid(_integer_of(data, 64)),
    Ext.BUILTIN: _builtin,
    Ext.EMPTY: _empty,
    Ext.SECRET: read_secret,
}


def read_ext(code: int, data: bytes) -> Any:
    """The scalar of an extension type; CodecError if it is malformed or unknown."""
    reader = _EXT_READERS.get(code)
    if reader is None:
        raise CodecError(f"extension type {code} is unknown")
    try:
        return reader(data)
    except (ValueError, ArithmeticError) as problem:
        raise CodecError(f"a scalar of extension type {code} is malformed") from problem


ATOM_CLASSES = frozenset(
    {type(None), bool, int, float, str, bytes, Keyword, Symbol, *SCALAR_ATOMS}
    | {value.__class__ for value, _ in EMPTY_ATOMS.values()}
)
"""Classes of what an unpacked atom is, references apart.  Of collections only the empty ones can come out of bytes."""

_MALFORMED = (msgpack.UnpackException, ValueError, OverflowError, MemoryError, RecursionError)


class Reader:
    """Reads msgpack piece by piece from bytes that may be hostile; every refusal is a CodecError.

    Outer arrays are entered with `header`, whose count is checked against the bytes that are left; what `item` reads
    at once has arrays of at most FIELDS_MAX, so that no false length takes memory.  Maps are not part of the format.
    """

    def __init__(self, data: bytes, fields_max: int = FIELDS_MAX) -> None:
        self._size = len(data)
        self._unpacker = msgpack.Unpacker(
            ext_hook=read_ext,
            raw=False,
            use_list=True,
            max_buffer_size=max(self._size, 1),
            max_array_len=fields_max,
            max_map_len=0,
        )
        self._unpacker.feed(data)

    def header(self) -> int:
        """Enters an array: the number of its items, which are read next."""
        try:
            count: int = self._unpacker.read_array_header()
        except _MALFORMED as problem:
            raise CodecError("an array is expected") from problem
        if count > self._size - self._unpacker.tell():
            raise CodecError("an array claims more items than there are bytes")
        return count

    def item(self) -> Any:
        """The next item, with everything in it."""
        try:
            return self._unpacker.unpack()
        except _MALFORMED as problem:
            raise CodecError("the data is malformed or ends early") from problem

    def end(self) -> None:
        """Checks that nothing is left."""
        if self._unpacker.tell() != self._size:
            raise CodecError("there are bytes after the end")


#: What the bytes of a value that is one atom begin with: an array of one item.
ONE_ATOM = b"\x91"

PLAIN_CLASSES = frozenset({type(None), bool, float, str, bytes, Keyword})
"""Classes of values that msgpack writes as they are; of integers only those of 64 bits are."""


def lone_atom(data: bytes) -> Any:
    """The atom of an encoded value that has no objects.  CodecError for anything else.

    Most answers are such values, and piece by piece they take five times as long.
    """
    try:
        items = msgpack.unpackb(data, ext_hook=read_ext, raw=False, use_list=True, max_array_len=1, max_map_len=0)
    except _MALFORMED as problem:
        raise CodecError("the data is malformed or ends early") from problem
    if items.__class__ is not list or len(items) != 1 or items[0].__class__ not in ATOM_CLASSES:
        raise CodecError("a field is neither a scalar nor a reference")
    return items[0]


def unpack(data: bytes, fields_max: int = FIELDS_MAX) -> Any:
    """The one item that these bytes are; arrays in it have at most `fields_max` items."""
    reader = Reader(data, fields_max)
    found = reader.item()
    reader.end()
    return found
