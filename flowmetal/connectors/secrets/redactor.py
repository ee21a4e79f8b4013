"""Takes the values of secrets out of texts, bytes and values: the one redactor, at every sink.

What is found: a value as it is, with any of its characters escaped (percent-encoding, JSON, HTML, shell quotes,
`\\x41`, `\\101`), with other line ends, in base64 at any of its three places in the text around it, in hexadecimal, in
UTF-16.  White space and the like within base64 and hexadecimal do not hide it, nor does the base64 or hexadecimal of a
query, of JSON or of a password's base64.  What is not found: a value that was packed, encrypted, cut in pieces, or
encoded in other ways.

Whoever reads in pieces joins them first: a value may lie across two.  What was cut off at its end goes through `cut`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Any

from flowmetal.connectors.secrets import spellings
from flowmetal.dataclass import dataclass
from flowmetal.values import (
    EMPTY_LIST,
    CodecError,
    ErrorValue,
    Keyword,
    List,
    Map,
    Set,
    Vector,
    decode_value,
    encode_value,
    keyword,
)

#: Shorter values are refused: they would be found everywhere.  Longer ones would make patterns without end.
VALUE_CHARACTERS_MIN = 8
VALUE_BYTES_MAX = 4096

#: The kind of an error whose kind had a value in it.
K_SECRET = keyword("secret")

#: Secrets that settings may name.  Each costs time for every answer, and memory.
SECRETS_MAX = 256

#: Former values of secrets that are known at most; the oldest are forgotten first.  Each rotation of a secret adds one.
FORMER_MAX = 256

#: Bytes that go from the end of what was cut, for each byte of the longest value: so long are its spellings.
SPELLED_BYTES = 16

#: Characters of UTF-16 or UTF-32 with zero bytes each, in either order.
_WIDE = re.compile(rb"\x00{0,3}(?:[\x01-\xff]\x00{1,3}){7,}[\x01-\xff]?")


@dataclass(slots=True)
class _Known:
    """One value: what is put in its place, and what finds it."""

    shown: str
    ways: list[spellings.Way]
    size: int
    digits: bool  # nothing but digits: JSON may make a number of it
    pattern: Any


class Redactor:
    """Knows values and takes them out.  In any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | bytes], _Known] = {}
        self._current: dict[str, str | bytes] = {}
        self._former: dict[tuple[str, str | bytes], None] = {}
        self._lock = threading.Lock()

    @property
    def knows(self) -> bool:
        """Whether there is anything to take out."""
        return bool(self._known)

    def add(self, name: str, value: str) -> None:
        """Takes this value out from now on, and what was the name's value before.  It has at least
        VALUE_CHARACTERS_MIN characters, and at most VALUE_BYTES_MAX bytes.

        ValueError for one that no pattern can be made of.
        """
        self._add(name, value)

    def add_own(self, name: str, value: bytes) -> bool:
        """The same for what is a secret of the server itself, of any length -> False where it is too short or too long
        to be looked for."""
        try:
            text: str | bytes = value.decode()
        except UnicodeDecodeError:
            text = value
        if not len(text) >= VALUE_CHARACTERS_MIN or len(value) > VALUE_BYTES_MAX:
            return False
        self._add(name, text)
        return True

    def _add(self, name: str, value: str | bytes) -> None:
        key = name, value
        if self._current.get(name) == value:
            return
        made = self._known.get(key) or _made(name, value)
        with self._lock:
            known = dict(self._known)
            known[key] = made
            if name in self._current and self._current[name] != value:
                self._former[name, self._current[name]] = None
            self._current[name] = value
            self._former.pop(key, None)
            # What is current is never forgotten.
            while len(self._former) > FORMER_MAX:
                oldest = next(iter(self._former))
                del self._former[oldest]
                del known[oldest]
            self._known = known  # readers keep the one they began with

    def octets(self, data: bytes) -> bytes:
        """The bytes without any value."""
        cleaned = self._clean(data, self._known.values())
        wide = self._in_wide(cleaned)
        return _WIDE.sub(lambda run: self._narrow(run, wide), cleaned) if wide else cleaned

    def _in_wide(self, data: bytes) -> list[_Known]:
        """The values that runs of UTF-16 may hold: what is in one of them is in all of them, without their zeros."""
        if not self._known or b"\0" not in data:
            return []
        narrow = b"\0".join(run.replace(b"\0", b"") for run in _WIDE.findall(data))
        return [known for known in self._known.values() if known.pattern.search(narrow)]

    def _narrow(self, found: re.Match[bytes], wide: list[_Known]) -> bytes:
        """A run of UTF-16 without these values, in any of their spellings."""
        run = found[0]
        narrow = run.replace(b"\0", b"")
        cleaned = self._clean(narrow, wide)
        return run if cleaned is narrow else _widened(cleaned, run)

    def _clean(self, data: bytes, values: Iterable[_Known]) -> bytes:
        spans: list[tuple[int, int, str]] = []
        for known in values:
            spans += [(*found.span(), known.shown) for found in known.pattern.finditer(data)]
        return data if not spans else _without(data, spans)

    def cut(self, data: bytes) -> bytes:
        """The bytes without any value, and without their end, which may hold a part of one as they were cut off there.

        How much goes depends on nothing that is in them: who writes them could find out a value by what is left.
        """
        data = self.octets(data)
        known = self._known.values()
        tail = SPELLED_BYTES * (1 + max(one.size for one in known)) if known else 0
        return data[: max(len(data) - tail, 0)] if tail else data

    def text(self, text: str) -> str:
        """The text without any value."""
        data = text.encode("utf-8", "surrogatepass")
        cleaned = self.octets(data)
        return text if cleaned is data else cleaned.decode("utf-8", "replace")

    def value(self, value: Any) -> Any:
        """The value of the language with texts, bytes and keys that hold none.  Of what connectors make only."""
        kind = value.__class__
        if kind is str:
            return self.text(value)
        if kind is bytes:
            return self.octets(value)
        if kind is Keyword:
            cleaned = self.text(value.text)
            return value if cleaned == value.text else cleaned
        if kind is Map:
            # No comprehensions: each would be a frame of Python's stack, and data may be 512 levels deep.
            return Map.of(zip(list(map(self.value, value.keys())), list(map(self.value, value.values())), strict=True))
        if kind is Vector:
            return Vector.of(list(map(self.value, value)))
        if kind is List:
            return List.of(list(map(self.value, value))) if value.count else EMPTY_LIST
        if kind is Set:
            return Set.of(list(map(self.value, value)))
        if kind is ErrorValue:
            fields = (self.text(value.message), self.value(value.data), self.value(value.cause))
            shown = self.text(value.kind.text) == value.kind.text
            return ErrorValue(value.kind if shown else K_SECRET, *fields, value.trace)
        return self._number(value) if kind in (int, float) else value

    def _number(self, value: Any) -> Any:
        """A number, or a text where its digits are those of a value."""
        if not any(known.digits for known in self._known.values()) or value != value // 1:
            return value
        digits = str(int(value))
        cleaned = self.text(digits)
        return value if cleaned == digits else cleaned

    def encoded(self, value: Any) -> bytes:
        """The encoded value, without any value of a secret."""
        data = encode_value(value)
        return encode_value(self.value(value)) if self._may_hold(data) else data

    def encoded_again(self, data: bytes) -> bytes:
        """The same for a value that is encoded already."""
        if not self._may_hold(data):
            return data
        try:
            value = decode_value(data)
        except CodecError:
            return data  # with functions in it: out of the store, and not from outside, where nobody has them
        return encode_value(self.value(value))

    def plain(self, data: Any) -> Any:
        """Plain data, as attributes are, without any value."""
        kind = data.__class__
        if kind is str:
            return self.text(data)
        if kind is dict:
            return dict(zip(list(map(self.plain, data)), list(map(self.plain, data.values())), strict=True))
        if kind in (list, tuple):
            return list(map(self.plain, data))
        return self._number(data) if kind in (int, float) else data

    def _may_hold(self, data: bytes) -> bool:
        """Whether anything may be found in an encoded value: texts stand in its bytes as they are."""
        known = self._known.values()
        if not known or not data:
            return False
        if any(one.digits or one.pattern.search(data) for one in known):
            return True
        return bool(self._in_wide(data))


def _made(name: str, value: str | bytes) -> _Known:
    if isinstance(value, bytes):
        ways, size, digits = spellings.ways_of_octets(value), len(value), False
    else:
        ways, size = spellings.ways_of(value), len(value.encode())
        digits = value.isascii() and value.isdigit()
    return _Known(f"#secret[{name}]", ways, size, digits, spellings.whole(ways))


def _widened(text: bytes, run: bytes) -> bytes:
    """ASCII text as wide as a run of UTF-16 or UTF-32."""
    zeros = b"\0\0\0" if b"\0\0" in run else b"\0"
    before = zeros * run.startswith(b"\0")
    after = zeros * run.endswith(b"\0")
    return before + zeros.join(text[at : at + 1] for at in range(len(text))) + after


def _without(data: bytes, spans: list[tuple[int, int, str]]) -> bytes:
    """The data with each span replaced; where spans overlap, all of them by the first one's text."""
    spans.sort()
    pieces = []
    position = 0
    end = -1
    for start, stop, shown in spans:
        if start >= end:
            pieces.append(data[position:start] if end < 0 else data[end:start])
            found = data[start:stop]
            pieces.append(_widened(shown.encode(), found) if b"\0" in found else shown.encode())
            end = stop
        else:
            end = max(end, stop)
    pieces.append(data[end:])
    return b"".join(pieces)
