"""One encoding of values for artifacts, images and events: the states of mutable objects, and values that stand alone.

The written form is in wire.py, writing in encoder.py, reading in decoder.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.packing import pack, pack_small
from flowmetal.values.base import Value
from flowmetal.values.children import children_of
from flowmetal.values.decoder import Decoder
from flowmetal.values.encoder import Encoder, EventEncoder
from flowmetal.values.errors import CodecError, ErrorValue
from flowmetal.values.functions import BuiltinFn, Closure
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise
from flowmetal.values.scalars import keyword
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.vector import VectorSeq
from flowmetal.values.wire import (
    DEFAULT_LIMITS,
    ONE_ATOM,
    PLAIN_CLASSES,
    HashedModules,
    Limits,
    ModuleOwner,
    ModuleTable,
    Reader,
    Tag,
    lone_atom,
    unpack,
)

__all__ = [
    "DEFAULT_LIMITS",
    "Decoder",
    "Encoder",
    "HashedModules",
    "Limits",
    "ModuleOwner",
    "ModuleTable",
    "Reader",
    "children_of",
    "decode_value",
    "encode_value",
    "encoder_after",
    "pack",
    "set_state",
    "state_of",
    "unpack",
]

SMALL_TEXT = 1024  # longer strings and bytes are packed with a buffer of their own
_MODULES_MAX = 4096  # modules named by one event value
_KEEPER = keyword("keeper")
_SEQS = (List, Cons, Range, VectorSeq)


def encoder_after(decoder: Decoder) -> Encoder:
    """The encoder that goes on where the records of a decoder end."""
    encoder = Encoder(decoder.owner, max(decoder.next_id, 1), decoder.modules)
    encoder.texts = dict(decoder.texts)
    encoder.blobs = dict(decoder.blobs)
    return encoder


def state_of(mutable: Any) -> list[Value]:
    """The state of a cell, lazy sequence or promise as a list of values."""
    kind = mutable.__class__
    if kind is Cell:
        return [mutable.value] if mutable.care is None else [mutable.value, mutable.care]
    if kind is Promise:
        return [mutable.state, mutable.value, mutable.request, mutable.fiber]
    if kind is LazySeq:
        if mutable.state == "done":
            return ["done", mutable.value]
        return [mutable.state, mutable.thunk, mutable.owner_fiber]
    raise TypeError(f"no state of a {kind.__name__} here")


def set_state(mutable: Any, values: Sequence[Value]) -> None:
    """Gives a cell, lazy sequence or promise the state that `state_of` gave; CodecError if there is no such state."""
    kind = mutable.__class__
    if kind is Cell and (len(values) == 1 or (len(values) == 2 and _is_care(values[1]))):
        mutable.value = values[0]
        mutable.care = values[1] if len(values) == 2 else None
        return
    if kind is Promise and len(values) == 4:
        state, value, request, fiber = values
        fits = state in ("pending", "done") or (state in ("failed", "seen") and value.__class__ is ErrorValue)
        if fits and _natural(request) and _natural(fiber):
            mutable.state, mutable.value, mutable.request, mutable.fiber = state, value, request, fiber
            return
    if kind is LazySeq and len(values) == 2 and values[0] == "done":
        if values[1] is None or values[1].__class__ in _SEQS:
            mutable.state, mutable.value, mutable.thunk, mutable.owner_fiber = "done", values[1], None, 0
            return
    if kind is LazySeq and len(values) == 3 and values[0] in ("new", "running") and _natural(values[2]):
        if values[1].__class__ is Closure or values[1].__class__ is BuiltinFn or values[1] is None:
            mutable.state, mutable.thunk, mutable.owner_fiber = values
            mutable.value = None
            return
    raise CodecError(f"a {kind.__name__} can have no such state")


def _is_care(value: Value) -> bool:
    return value.__class__ is Map and value.get(_KEEPER).__class__ in (Closure, type(None))


def _natural(value: Value) -> bool:
    return value.__class__ is int and value >= 0


def encode_value(value: Value, modules: HashedModules | None = None) -> bytes:
    """The bytes of a value that stands alone: msgpack `[root atom, record...]`, ids from 1; where it holds functions,
    a last record names their modules by hash.

    Raises a LanguageError of kind :type for cells, promises and resumptions, and for functions without `modules`;
    NeedsRealize for an unrealized lazy sequence; a realized one is written as a list.  Owner slots are neither read
    nor written.
    """
    kind = value.__class__
    if kind in PLAIN_CLASSES or (kind is int and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF):
        large = (kind is str or kind is bytes) and len(value) > SMALL_TEXT
        return pack((value,)) if large else pack_small((value,))
    encoder = EventEncoder(modules)
    root = encoder.atom(value)
    data = [root, *encoder.records]
    if encoder.hashes:
        data.append([Tag.MODULES, *encoder.hashes])
    return pack(data)


class _ByHash:
    """The module table of an event value: indexes into its own list of hashes."""

    def __init__(self, modules: HashedModules, hashes: list[Any]) -> None:
        self._modules = modules
        self._indexes: list[int] = []
        for hash in hashes:
            index = modules.module_index(hash) if hash.__class__ is bytes else None
            if index is None:
                raise CodecError("a function is of a module that is not at hand", "V202")
            self._indexes.append(index)

    def index_of(self, function: Any) -> tuple[int, int]:
        """Not asked of a decoder."""
        raise LookupError

    def function(self, module_index: int, function_index: int) -> Any:
        """The function with these indexes."""
        return self._modules.function(self._indexes[module_index], function_index)

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        """Not asked of a decoder."""
        raise LookupError

    def constant(self, module_index: int, number: int) -> Any:
        """An event value refers to no constants."""
        raise LookupError


def decode_value(data: bytes, modules: HashedModules | None = None, limits: Limits = DEFAULT_LIMITS) -> Value:
    """The value of these bytes.  Raises CodecError for anything that `encode_value` does not write."""
    if len(data) > limits.bytes_max:
        raise CodecError(f"an encoded value of more than {limits.bytes_max} bytes")
    if data[:1] == ONE_ATOM:
        return lone_atom(data)
    reader = Reader(data)
    count = reader.header()
    if count < 1:
        raise CodecError("an encoded value is empty")
    root = reader.item()
    records = [reader.item() for _ in range(count - 1)]
    reader.end()
    table: ModuleTable | None = None
    last = records[-1] if records else None
    if last.__class__ is list and last and last[0] == Tag.MODULES:
        records.pop()
        if modules is None or len(last) > _MODULES_MAX:
            raise CodecError("a value with functions cannot be read here", "V202")
        table = _ByHash(modules, last[1:])
    decoder = Decoder(None, table, limits)
    decoder.add(1, records)
    if any(found.__class__ in (Cell, Promise, LazySeq) for found in decoder.objects.values()):
        raise CodecError("a cell cannot stand in a value that left its process")
    return decoder.value(root)
