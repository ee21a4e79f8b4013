"""Handles of secrets: a program says which secret is meant, and where it stands in a text, and never has its value.

A `Secret` is a text with the names of secrets in it: `(secret "api")` is one name, `(secret-text "Bearer " (secret
"api"))` a text around one.  Only connectors put values in place of names (connectors/secrets.py).  It prints without
one, no text reads as one, and JSON never becomes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import msgpack

from flowmetal.lazily import pattern
from flowmetal.values.errors import CodecError
from flowmetal.values.scalars import mix

#: Extension code of a secret in msgpack data.
SECRET_EXT = 14

#: What the data of every secret begins with: a value without these bytes holds no secret.
MARK = b"\0secret\0"

#: Longest name; names in one handle; characters of the text around them.
NAME_CHARACTERS_MAX = 100
NAMES_MAX = 16
TEXT_CHARACTERS_MAX = 1 << 16

_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)


def is_secret_name(text: str) -> bool:
    """Whether a secret may have this name: letters, digits, `_`, `.` and `-`, at most NAME_CHARACTERS_MAX of them."""
    return len(text) <= NAME_CHARACTERS_MAX and _NAME.fullmatch(text) is not None


class Secret:
    """Text, name, text, name, ..., text; the texts may be empty.  Equal when all of these are."""

    __slots__ = ("parts",)

    parts: tuple[str, ...]

    def __init__(self, parts: Iterable[str]) -> None:
        self.parts = tuple(parts)

    @classmethod
    def named(cls, name: str) -> Secret:
        """The handle of one secret."""
        return cls(("", name, ""))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, in the order of the text; one may come twice."""
        return self.parts[1::2]

    @property
    def text(self) -> str:
        """How it is shown: the text, with `#secret[name]` where a value belongs."""
        return "".join(f"#secret[{part}]" if index % 2 else part for index, part in enumerate(self.parts))

    def __eq__(self, other: object) -> bool:
        return self is other or (other.__class__ is Secret and self.parts == other.parts)

    def __hash__(self) -> int:
        return mix(crc32(secret_data(self)) ^ 0x748F82EE)

    def __repr__(self) -> str:
        return f"Secret({self.text!r})"


def secret_text(parts: Iterable[str | Secret]) -> Secret:
    """Texts and handles in a row as one handle.  ValueError where it would be too large; its text is for programs."""
    flat = [""]
    for part in parts:
        if part.__class__ is str:
            flat[-1] += part
        else:
            flat[-1] += part.parts[0]  # type: ignore[union-attr]
            flat.extend(part.parts[1:])  # type: ignore[union-attr]
    if len(flat) > 2 * NAMES_MAX + 1:
        raise ValueError(f"a secret text names {NAMES_MAX} secrets at most")
    if sum(map(len, flat[::2])) > TEXT_CHARACTERS_MAX:
        raise ValueError(f"a secret text has {TEXT_CHARACTERS_MAX} characters at most")
    return Secret(flat)


def secret_data(value: Secret) -> bytes:
    """The bytes of its extension type: MARK, then each part behind its length in four bytes."""
    written = [part.encode() for part in value.parts]
    return MARK + b"".join(len(part).to_bytes(4, "big") + part for part in written)


def read_secret(data: bytes) -> Secret:
    """The secret of these bytes.  CodecError, or ValueError for bytes that are no text, where there is none."""
    parts: list[str] = []
    position = len(MARK)
    while position < len(data) and len(parts) <= 2 * NAMES_MAX:
        start = position + 4
        position = start + int.from_bytes(data[position:start], "big")
        parts.append(data[start:position].decode())
    fits = (
        data.startswith(MARK)
        and position == len(data)
        and 3 <= len(parts) <= 2 * NAMES_MAX + 1
        and len(parts) % 2 == 1
        and all(map(is_secret_name, parts[1::2]))
        and sum(map(len, parts[::2])) <= TEXT_CHARACTERS_MAX
    )
    if not fits:
        raise CodecError("a secret is malformed")
    return Secret(parts)


def secret_names(encoded: bytes) -> tuple[str, ...]:
    """The names of all secrets in an encoded value, in order, each once; `encoded` was written by encode_value.

    Nothing is decoded where there is none, so it costs a search of the bytes.
    """
    if MARK not in encoded:
        return ()
    found: set[str] = set()

    def note(code: int, data: bytes) -> Any:
        if code == SECRET_EXT:
            found.update(read_secret(data).names)
        return None

    msgpack.unpackb(encoded, ext_hook=note, raw=True, strict_map_key=False)
    return tuple(sorted(found))
