"""Bencode, the format of nREPL messages: integers, byte strings, lists and dictionaries, with bounds on all of them.

Text is UTF-8; bytes that are none come as U+FFFD.  Reading what is no message raises BencodeError, and the connection
is of no more use then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Bytes of one message, lists and dictionaries inside each other, digits of an integer or a length.
MESSAGE_BYTES_MAX = 8 << 20
NESTING_MAX = 32
DIGITS_MAX = 20

#: Reads exactly so many bytes, fewer only at the end of the stream.
Read = Callable[[int], bytes]


class BencodeError(Exception):
    """The bytes are no message."""


def read_message(read: Read) -> Any:
    """The next message; EOFError at the end of the stream, BencodeError for what is none."""
    first = read(1)
    if not first:
        raise EOFError
    return _Reader(read).value(first, 0)


class _Reader:
    """Reads one message, counting its bytes."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = MESSAGE_BYTES_MAX

    def value(self, first: bytes, depth: int) -> Any:
        """The value that begins with a byte."""
        if depth > NESTING_MAX:
            raise BencodeError(f"nested more than {NESTING_MAX} deep")
        if first == b"i":
            return self._integer(b"", b"e", signed=True)
        if first.isdigit():
            return self._take(self._integer(first, b":", signed=False)).decode("utf-8", "replace")
        if first == b"l":
            items: list[Any] = []
            while (head := self._take(1)) != b"e":
                items.append(self.value(head, depth + 1))
            return items
        if first == b"d":
            table: dict[str, Any] = {}
            while (head := self._take(1)) != b"e":
                if not head.isdigit():
                    raise BencodeError("a key that is no text")
                key = self.value(head, depth + 1)
                table[key] = self.value(self._take(1), depth + 1)
            return table
        raise BencodeError(f"a value cannot begin with {first!r}")

    def _integer(self, text: bytes, end: bytes, *, signed: bool) -> int:
        while (digit := self._take(1)) != end:
            text += digit
            if len(text) > DIGITS_MAX:
                raise BencodeError("a number that is too long")
        digits = text[1:] if signed and text.startswith(b"-") else text
        if not digits.isdigit():
            raise BencodeError("a number without digits")
        return int(text)

    def _take(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise BencodeError(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
        data = self._read(count)
        if len(data) != count:
            raise BencodeError("the end comes in the middle of a message")
        return data


def write_message(value: Any) -> bytes:
    """The bytes of a message made of dict, list, str and int; keys are sorted as the format asks."""
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def _write(value: Any, out: list[bytes]) -> None:
    if isinstance(value, dict):
        out.append(b"d")
        for key in sorted(value, key=lambda name: str(name).encode()):
            _write(key, out)
            _write(value[key], out)
        out.append(b"e")
    elif isinstance(value, list | tuple):
        out.append(b"l")
        for item in value:
            _write(item, out)
        out.append(b"e")
    elif isinstance(value, int):
        out.append(b"i%de" % value)
    else:
        data = str(value).encode("utf-8", "replace")
        out.append(b"%d:" % len(data) + data)
