"""Finds a value in bytes, however it is spelled, and pieces of it.  It shares no code with what takes values out."""

from __future__ import annotations

import base64
import binascii
import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

#: A piece of so many characters of a value, or of a spelling of it, is a hit: "split" secrets are found by it.
PLAIN_PIECE = 12
CODED_PIECE = 24

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}[ :,]?){8,}")


@dataclass(frozen=True)
class Hit:
    """A value found: of which canary, in which spelling, on which surface, and a little of what is around it."""

    canary: str
    spelling: str
    surface: str
    around: bytes


def spellings(value: str) -> Iterator[tuple[str, bytes]]:
    """Every spelling that is searched for, by name; base64 at its three places."""
    raw = value.encode()
    yield "plain", raw
    yield "url", urllib.parse.quote(value, safe="").encode()
    yield "URL, small letters", re.sub(r"%..", lambda m: m[0].lower(), urllib.parse.quote(value, safe="")).encode()
    yield "url, all", "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "json", json.dumps(value)[1:-1].encode()
    yield "json, all", "".join(f"\\u{ord(letter):04x}" for letter in value).encode()
    yield "hexes", "".join(f"\\x{byte:02x}" for byte in raw).encode()
    yield "octal", "".join(f"\\{byte:03o}" for byte in raw).encode()
    yield "braces", "".join(f"\\u{{{ord(letter):x}}}" for letter in value).encode()
    yield "line ends", value.replace("\n", "\r\n").encode()
    if value.lower() != value:
        yield "small", value.lower().encode()
    for order in ("le", "be"):  # what a wrong charset makes of it
        for start in range(2):
            even = raw[start : start + (len(raw) - start) // 2 * 2]
            yield f"as utf-16-{order} {start}", even.decode(f"utf-16-{order}", "replace").encode()
    yield "hex", binascii.hexlify(raw)
    yield "HEX", binascii.hexlify(raw).upper()
    yield "utf-16-le", value.encode("utf-16-le")
    yield "utf-16-be", value.encode("utf-16-be")
    for shift in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            whole = encode(b"\0" * shift + raw)
            yield f"{name} {shift}", whole[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


def pieces(name: str, spelled: bytes) -> Iterator[bytes]:
    """The pieces of a spelling, each of which is a hit."""
    size = PLAIN_PIECE if name in ("plain", "json") else CODED_PIECE
    for start in range(max(1, len(spelled) - size + 1)):
        yield spelled[start : start + size]


class Scanner:
    """Searches surfaces for values by name."""

    def __init__(self, canaries: dict[str, str]) -> None:
        #: Size -> piece -> canary and spelling.
        self._pieces: dict[int, dict[bytes, tuple[str, str]]] = {}
        for canary, value in canaries.items():
            for name, spelled in spellings(value):
                for piece in pieces(name, spelled):
                    self._pieces.setdefault(len(piece), {})[piece] = canary, name

    def scan(self, surface: str, data: bytes) -> list[Hit]:
        """The hits in these bytes, and in what long runs of base64 and hexadecimal in them mean."""
        hits = self._find(surface, data)
        joined = re.sub(rb"(?:\\n|[\r\n])+", b"", data)  # what was broken into lines
        if joined != data:
            hits += self._find(f"{surface}, lines joined", joined)
        for decoded in _decoded(joined):
            hits += self._find(f"{surface}, decoded", decoded)
        return hits

    def _find(self, surface: str, data: bytes) -> list[Hit]:
        found: dict[tuple[str, str], Hit] = {}
        for size, known in self._pieces.items():
            # One look at each place, however many pieces there are.
            for at in range(len(data) - size + 1):
                if data[at : at + size] in known:
                    key = known[data[at : at + size]]
                    found.setdefault(key, Hit(*key, surface, data[max(0, at - 30) : at + 60]))
        return list(found.values())


def _decoded(data: bytes) -> Iterator[bytes]:
    pieces = []
    for match in _BASE64.finditer(data):
        text = match[0].replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):  # a run may begin anywhere within a group
            part = text[start:]
            pieces.append(base64.b64decode(part[: len(part) // 4 * 4]))
    for match in _HEX.finditer(data):
        digits = re.sub(rb"[ :,]", b"", match[0])
        pieces.append(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))
    yield b"\n\0\n".join(pieces)
