"""Takes the values of secrets out of texts, bytes and values: the one redactor, at every sink.

What is found: a value as it is, with any of its characters escaped (percent-encoding, JSON, HTML, shell quotes), in
base64 at any of its three places in the text around it, in hexadecimal, in UTF-16.  White space and the like within
base64 and hexadecimal do not hide it, nor does the base64 or hexadecimal of a query, of JSON or of a password's base64.
What is not found: a value that was packed, encrypted, cut in pieces, or encoded in other ways.

Whoever reads in pieces joins them first: a value may lie across two.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import re2

from flowmetal.dataclass import dataclass
from flowmetal.values import (
    EMPTY_LIST,
    ErrorValue,
    Keyword,
    List,
    Map,
    Set,
    Vector,
    encode_value,
)

#: Shorter values are refused: they would be found everywhere.  Longer ones would make patterns without end.
VALUE_CHARACTERS_MIN = 8
VALUE_BYTES_MAX = 4096

#: Values that are known at most; the oldest are forgotten first.  Each rotation of a secret adds one.
VALUES_MAX = 256

#: Bytes of a value up to which it is also found where it was encoded twice.
TWICE_BYTES_MAX = 512

#: What a value keeps as it is in the path of an address; of the rest it could make another address.
PATH_SAFE = "/:@!$&'()*+,;=~-._"

#: Memory for the automaton of one value.
PATTERN_MEMORY = 256 << 20

_HTML = {"&": ("amp", "#38"), "<": ("lt", "#60"), ">": ("gt", "#62"), '"': ("quot", "#34"), "'": ("apos", "#39")}
_SHORT = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}

#: What may stand between two characters of base64: line ends, as they are or escaped.
_GAP64 = r"(?:\s|\\+[rnt]|%0[AaDd]|%20)*"
#: What may stand between two bytes in hexadecimal: blanks, colons, commas, "0x" or "\x".
_GAP16 = r"(?:[\s:,_-]|\\+[rnt])*(?:0[xX]|\\+x|%)?"
_BASE64 = "[A-Za-z0-9+/_-]"
#: Backslashes of an escape, which another escape may have doubled.
_BACKSLASH = r"(?:\\|%(?:25)*5[Cc]|u005[Cc])+"

#: Characters of UTF-16 with a zero byte each, in either order.
_WIDE = re.compile(rb"\x00?(?:[\x01-\xff]\x00){7,}[\x01-\xff]?")


@dataclass(frozen=True, slots=True)
class _Known:
    """One value: what is put in its place, and what finds it."""

    name: str
    shown: str
    pattern: Any
    digits: bool  # nothing but digits: JSON may make a number of it


class Redactor:
    """Knows values and takes them out.  In any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()

    def add(self, name: str, value: str) -> None:
        """Takes this value out from now on.  It has at least VALUE_CHARACTERS_MIN characters, and at most
        VALUE_BYTES_MAX bytes.

        ValueError for one that no pattern can be made of.
        """
        if (name, value) in self._known:
            return
        made = _Known(name, f"#secret[{name}]", _pattern(value), value.isascii() and value.isdigit())
        with self._lock:
            known = dict(self._known)
            known[name, value] = made
            while len(known) > VALUES_MAX:
                del known[next(iter(known))]
            self._known = known  # readers keep the one they began with

    def octets(self, data: bytes) -> bytes:
        """The bytes without any value."""
        cleaned = self._clean(data)
        return _WIDE.sub(self._narrow, cleaned) if b"\0" in cleaned else cleaned

    def _narrow(self, found: re.Match[bytes]) -> bytes:
        """A run of UTF-16 without any value, in any of its spellings."""
        run = found[0]
        narrow = run.replace(b"\0", b"")
        cleaned = self._clean(narrow)
        if cleaned is narrow:
            return run
        wide = b"\0".join(cleaned[at : at + 1] for at in range(len(cleaned)))
        return b"\0" * run.startswith(b"\0") + wide + b"\0" * run.endswith(b"\0")

    def _clean(self, data: bytes) -> bytes:
        spans: list[tuple[int, int, str]] = []
        for known in self._known.values():
            spans += [(*found.span(), known.shown) for found in known.pattern.finditer(data)]
        return data if not spans else _without(data, spans)

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
            return ErrorValue(value.kind, *fields, value.trace)
        if kind is int and any(known.digits for known in self._known.values()):
            digits = str(value)
            cleaned = self.text(digits)
            return value if cleaned == digits else cleaned
        return value

    def encoded(self, value: Any) -> bytes:
        """The encoded value, without any value of a secret."""
        data = encode_value(value)
        known = self._known
        # Texts stand in the bytes as they are: where nothing is found there, nothing is in the value.
        if not (known and b"\0" in data) and not any(one.digits or one.pattern.search(data) for one in known.values()):
            return data
        return encode_value(self.value(value))


def _without(data: bytes, spans: list[tuple[int, int, str]]) -> bytes:
    """The data with each span replaced; where spans overlap, all of them by the first one's text."""
    spans.sort()
    pieces = []
    position = 0
    end = -1
    for start, stop, shown in spans:
        if start >= end:
            pieces.append(data[position:start] if end < 0 else data[end:start])
            pieces.append(shown.encode())
            end = stop
        else:
            end = max(end, stop)
    pieces.append(data[end:])
    return b"".join(pieces)


# ---- what finds a value --------------------------------------------------------------------------------------------


def _pattern(value: str) -> Any:
    ways = ["".join(map(_character, value)), _literal(value.encode("utf-16-le")), _literal(value.encode("utf-16-be"))]
    for form in _forms(value):
        ways += [_base64(form, shift) for shift in range(3)]
        ways.append(_GAP16.join(f"(?:{_hex(byte)})" for byte in form))
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile("|".join(f"(?:{way})" for way in ways).encode("ascii"), options)
    except re2.error:
        raise ValueError("the value is too large for a pattern") from None


def _forms(value: str) -> list[bytes]:
    """What may have been put into base64 or hexadecimal as a whole: the value, or a text it was written into before.

    A request that is sent back so has it in its query, in JSON, or in the base64 of a password.
    """
    raw = value.encode()
    forms = [raw]
    if len(raw) <= TWICE_BYTES_MAX:
        texts = [quote(value, safe=""), quote_plus(value), quote(value, safe=PATH_SAFE), value.replace(" ", "+")]
        texts += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
        forms += [text.encode() for text in texts]
        forms += [_core(raw, shift) for shift in range(3)]
    return list(dict.fromkeys(forms))


def _core(raw: bytes, shift: int) -> bytes:
    """The characters of base64 that these bytes decide, where `shift` bytes of a group of three come before them."""
    return b64encode(b"\0" * shift + raw)[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]


def _literal(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _hex(byte: int) -> str:
    return "".join(digit if digit.isdigit() else f"[{digit}{digit.upper()}]" for digit in f"{byte:02x}")


def _character(character: str) -> str:
    """One character in any of its spellings."""
    # A blank is also what a form makes of it.
    return f"(?:{'|'.join(_spellings(character) if character != ' ' else _spellings(' ') + _spellings('+'))})"


def _spellings(character: str) -> list[str]:
    raw = character.encode()
    percent = "".join(f"%(?:25)*{_hex(byte)}" for byte in raw)
    ways = [_literal(raw), percent]
    units = character.encode("utf-16-be")
    pairs = [units[index : index + 2] for index in range(0, len(units), 2)]
    ways.append("".join(f"{_BACKSLASH}u{_hex(high)}{_hex(low)}" for high, low in pairs))
    number = ord(character)
    ways.append(f"&#(?:0*{number}|[xX]0*{''.join(_either(digit) for digit in f'{number:x}')});")
    if character in _SHORT:
        ways.append(f"{_BACKSLASH}{_SHORT[character]}")
    elif character in "\"'\\/$`!":
        ways.append(f"{_BACKSLASH}(?:{_literal(raw)}|{percent}|u00{_hex(raw[0])})")
    if character == "'":
        ways.append(r"'\\''")
    ways += [f"&{name};" for name in _HTML.get(character, ())]
    return ways


def _either(digit: str) -> str:
    return digit if digit.isdigit() else f"[{digit}{digit.upper()}]"


def _base64(raw: bytes, shift: int) -> str:
    """The core, with a character next to it that the value decides in part."""
    before = f"{_BASE64}?" if shift else ""
    after = "" if 8 * (shift + len(raw)) % 6 == 0 else f"(?:{_GAP64}{_BASE64})?"
    return before + _GAP64.join(map(_letter, _core(raw, shift).decode("ascii"))) + after


def _letter(letter: str) -> str:
    if letter == "+":
        return "(?:[+-]|%2[Bb])"
    if letter == "/":
        return r"(?:\\?/|_|%2[Ff])"
    return letter
