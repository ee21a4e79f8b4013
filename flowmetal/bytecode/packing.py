"""Small records as bytes, strictly read.

A record is a short flat list of scalars and byte strings; whatever is long stands in tables (table.py) or in packed
integers (flat.py), so that no length in a hostile file makes a reader take memory before the bytes are there.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.table import Table, pack_table
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import CodecError, pack, unpack

FIELDS_MAX = 16  # of a record; a length beyond it is refused before memory is taken


def pack_record(*fields: Any) -> bytes:
    """The bytes of a record of None, booleans, integers, strings and bytes."""
    return pack(fields)


def unpack_record(data: memoryview, place: str, *kinds: type | tuple[type, ...]) -> list[Any]:
    """The fields of a record, each of its kind exactly.  Errors: B005."""
    try:
        found = unpack(bytes(data), FIELDS_MAX)
    except CodecError as error:
        raise FlowmetalError("B005", place=place, problem=f"is not a record: {error.problem}") from error
    if found.__class__ is not list or len(found) != len(kinds):
        raise FlowmetalError("B005", place=place, problem="is not a record of the right length")
    for position, (field, kind) in enumerate(zip(found, kinds, strict=True)):
        if field.__class__ is not kind and not (kind.__class__ is tuple and field.__class__ in kind):
            raise FlowmetalError("B005", place=place, problem=f"has a field of the wrong kind at {position}")
    return list(found)


def pack_texts(texts: list[str] | tuple[str, ...]) -> bytes:
    """The bytes of a list of strings."""
    return pack_table(text.encode() for text in texts)


def unpack_texts(data: memoryview | bytes, place: str) -> list[str]:
    """A list of strings.  Errors: B005."""
    table = Table(memoryview(data), place)
    try:
        return [str(table[index], "utf-8") for index in range(len(table))]
    except UnicodeDecodeError as error:
        raise FlowmetalError("B005", place=place, problem="has a text that is not UTF-8") from error
