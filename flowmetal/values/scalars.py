"""Scalar values that Python has no type for: keyword, symbol, char, instant, duration, regex, process id.

All are immutable and compare by value.  Keywords are interned, so that identity is equality, and are msgpack extension
types, so that the packer writes them without a callback; such a keyword is a tuple, so type tests use `__class__ is`.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from zlib import crc32

from flowmetal.values.base import Heap

if TYPE_CHECKING:

    class ExtType(NamedTuple):
        """What msgpack's class of this name is; msgpack has no types."""

        code: int
        data: bytes

else:
    from msgpack import ExtType

KEYWORD_EXT = 1
"""Extension code of a keyword in msgpack data."""

_SWEEP_MIN = 1 << 16  # keywords in the table before unused ones are looked for: keys of foreign JSON must not pile up


def mix(number: int) -> int:
    """Spreads the bits of a 32 bit number (the finalizer of MurmurHash3)."""
    number ^= number >> 16
    number = number * 0x85EBCA6B & 0xFFFFFFFF
    number ^= number >> 13
    number = number * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16


def split_name(text: str) -> tuple[str | None, str]:
    """Splits "ns/name" at the first slash; a lone slash and a text without one have no namespace."""
    position = text.find("/")
    if position <= 0 or len(text) == 1:
        return None, text
    return text[:position], text[position + 1 :]


class Keyword(ExtType):
    """A keyword; made by `keyword(text)`, which gives the one instance for a text."""

    text: str
    name: str
    namespace: str | None
    hash: int

    def __new__(cls, text: str) -> Keyword:
        return keyword(text)

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return ":" + self.text


_KEYWORDS: dict[str, Keyword] = {}
_sweep_at = _SWEEP_MIN


def keyword(text: str) -> Keyword:
    """The keyword with this text ("a" or "ns/name", without the colon)."""
    found = _KEYWORDS.get(text)
    return _intern(text) if found is None else found


def _intern(text: str) -> Keyword:
    if len(_KEYWORDS) >= _sweep_at:
        _sweep()
    data = text.encode()
    made = ExtType.__new__(Keyword, KEYWORD_EXT, data)
    made.text = text
    made.namespace, made.name = split_name(text)
    made.hash = mix(crc32(data) ^ 0x9E3779B9)
    return _KEYWORDS.setdefault(text, made)  # one step for all threads: the first one's keyword is everyone's


def _sweep() -> None:
    """Drops keywords that only the table holds.

    Another thread could take a keyword between the first count and its removal; the second count sees that and puts it
    back.  For a second keyword of the same text to be made meanwhile, Python would have to change threads twice within
    these few steps, and it lets a thread that got its turn run for milliseconds.
    """
    global _sweep_at
    for text in list(_KEYWORDS):
        found = _KEYWORDS.get(text)
        if found is None or sys.getrefcount(found) > _UNUSED + 1:
            continue
        _KEYWORDS.pop(text, None)
        if sys.getrefcount(found) > _UNUSED:
            _KEYWORDS.setdefault(text, found)
    _sweep_at = max(_SWEEP_MIN, 2 * len(_KEYWORDS))


_UNUSED = 2  # what getrefcount says of an object that one variable holds: the variable and its own argument


class Symbol(Heap):
    """A symbol.  Equality ignores `meta`, which is None, a map, a span or a Spanned."""

    __slots__ = ("hash", "meta", "name", "namespace")

    def __init__(self, namespace: str | None, name: str, meta: Any = None) -> None:
        self.namespace = namespace
        self.name = name
        self.meta = meta
        self.hash: int | None = None
        self.owner = None

    @property
    def text(self) -> str:
        """The symbol as written: "name" or "ns/name"."""
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"

    def __eq__(self, other: object) -> bool:
        return self is other or (
            other.__class__ is Symbol and self.name == other.name and self.namespace == other.namespace
        )

    def __hash__(self) -> int:
        found = self.hash
        if found is None:
            found = self.hash = mix(crc32(self.text.encode()) ^ 0x51ED270B)
        return found

    def __repr__(self) -> str:
        return self.text


def symbol(text: str, meta: Any = None) -> Symbol:
    """The symbol written as `text`."""
    namespace, name = split_name(text)
    return Symbol(namespace, name, meta)


class Char:
    """One Unicode scalar value; instances for ASCII are shared."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Char:
        found = _ASCII.get(text)
        if found is not None:
            return found
        if len(text) != 1 or "\ud800" <= text <= "\udfff":
            raise ValueError("a character is one Unicode scalar value")
        char = object.__new__(cls)
        char.text = text
        return char

    def __eq__(self, other: object) -> bool:
        return self is other or (other.__class__ is Char and self.text == other.text)

    def __hash__(self) -> int:
        return mix(ord(self.text) ^ 0x3C6EF372)

    def __repr__(self) -> str:
        return f"Char({self.text!r})"


_ASCII: dict[str, Char] = {}
for _code in range(128):
    _char = object.__new__(Char)
    _char.text = chr(_code)
    _ASCII[chr(_code)] = _char


class _Number:
    """A value that is one integer with a meaning of its own."""

    __slots__ = ()
    _salt: ClassVar[int]
    _number: ClassVar[attrgetter[int]]

    def __eq__(self, other: object) -> bool:
        return self is other or (other.__class__ is self.__class__ and self._number(self) == self._number(other))

    def __hash__(self) -> int:
        return mix((self._number(self) ^ self._salt) % 0xFFFFFFFB)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self._number(self)})"


class Instant(_Number):
    """A moment: nanoseconds since 1970-01-01T00:00:00Z."""

    __slots__ = ("ns",)
    _salt = 0x1F83D9AB
    _number = attrgetter("ns")

    def __init__(self, ns: int) -> None:
        self.ns = ns


class Duration(_Number):
    """A length of time in nanoseconds; may be negative."""

    __slots__ = ("ns",)
    _salt = 0x5BE0CD19
    _number = attrgetter("ns")

    def __init__(self, ns: int) -> None:
        self.ns = ns


class Pid(_Number):
    """The number of a process in its store."""

    __slots__ = ("number",)
    _salt = 0x6A09E667
    _number = attrgetter("number")

    def __init__(self, number: int) -> None:
        self.number = number


class Regex:
    """A regular expression as text; equal when the patterns are."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return self is other or (other.__class__ is Regex and self.pattern == other.pattern)

    def __hash__(self) -> int:
        return mix(crc32(self.pattern.encode()) ^ 0x428A2F98)

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"
