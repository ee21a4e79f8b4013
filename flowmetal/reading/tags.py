"""Tagged literals: `#inst`, `#uuid`, `#duration`, `#bytes`, and the tags that only printing makes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flowmetal.diagnostics import suggest
from flowmetal.lazily import pattern
from flowmetal.reading.bad import Bad
from flowmetal.values import parse_duration, parse_instant

#: Tags of values that belong to a running program; they are printed for people and cannot be read.
UNREADABLE = frozenset({"fn", "cell", "promise", "error", "pid", "resumption", "reduced", "integer", "instance"})

_UUID = pattern(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

EXAMPLES = {
    "inst": '#inst "2026-11-24T06:30:00.000Z"',
    "uuid": '#uuid "01234567-89ab-cdef-0123-456789abcdef"',
    "duration": '#duration "P1DT2H"',
    "bytes": '#bytes "aGVsbG8="',
}


def tagged_value(tag: str, form: Any) -> Any:
    """The value of `#tag form`; Bad R050 to R052 if there is none."""
    reader = _READERS.get(tag)
    if reader is None:
        if tag in UNREADABLE:
            raise Bad("R052", tag=tag)
        tags = ", ".join(f"`#{name}`" for name in _READERS)
        raise Bad("R050", tag=tag[:60], suggestion=suggest(tag, _READERS), tags=tags)
    if form.__class__ is not str:
        raise Bad("R051", tag=tag, reason="a string must follow", example=EXAMPLES[tag])
    try:
        return reader(form)
    except ValueError as error:
        raise Bad("R051", tag=tag, reason=str(error).partition(": ")[2] or str(error), example=EXAMPLES[tag]) from None


def _uuid(text: str) -> UUID:
    if not _UUID.fullmatch(text):
        raise ValueError("it is not 32 hexadecimal digits in groups of 8-4-4-4-12")
    return UUID(text)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("it is not base64") from None


_READERS: dict[str, Callable[[str], Any]] = {
    "inst": parse_instant,
    "uuid": _uuid,
    "duration": parse_duration,
    "bytes": _bytes,
}
