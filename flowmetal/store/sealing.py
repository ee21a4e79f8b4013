"""Seals: what is stored behind every value, so that a damaged record is noticed wherever it is read.

    stored = body, kind u8, CRC-32 of space, key, body and kind

Kind 0: the body is the value.  Any other is the generation of the data key that the body is encrypted with
(encryption.py).  The checksum is for what disks and memory do; against people only encryption helps.  This is the one
place that knows the stored form; lmdb_transaction.py calls it, and nothing else does.

Two records of `meta` are outside: `about`, which every version has to read first, and `seal` (SealRecord), which is
never encrypted since it holds the wrapped data keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

import msgpack

from flowmetal import packing
from flowmetal.dataclass import dataclass
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import META, SPACE_NAMES

#: The records of `meta` that are not sealed as the others are.
ABOUT, SEAL = b"about", b"seal"
UNSEALED = frozenset({ABOUT, SEAL})

#: Kind of a record that is not encrypted.
PLAIN = 0
TRAILER_BYTES = 5
#: Values for which one more copy counts.
LARGE_BYTES = 64 << 10

#: The CRC-32 of anything that is followed by its own CRC-32.
_RESIDUE = 0x2144DF1C
#: What the checksum of a space begins with.  By name, so that it stays when spaces are added.
_SEEDS = {space: crc32(space.encode()) for space in SPACE_NAMES}
_PLACES = {space: place for place, space in enumerate(SPACE_NAMES)}

Items = list[tuple[bytes, bytes]]


class Cipher(Protocol):
    """Encrypts the bodies of records."""

    @property
    def current(self) -> int:
        """The generation that new records get."""

    @property
    def generations(self) -> frozenset[int]:
        """Those that can be decrypted."""

    def encrypt(self, space: str, key: bytes, value: bytes) -> bytes: ...

    def decrypt(self, generation: int, space: str, key: bytes, body: bytes) -> bytes:
        """S310 where the body is not what was encrypted; KeyError where the generation is not known."""


def damaged(space: str, key: bytes, reason: str) -> StoreError:
    """The error for a damaged record."""
    return StoreError("S310", space=space, key=printable(key), reason=reason)


def printable(key: bytes) -> str:
    """A key as people can read it: as text where it is one, else in hexadecimal; not longer than a line."""
    try:
        text = key.decode()
        if text.isprintable():
            return f"`{text[:80]}`"
    except UnicodeDecodeError:
        pass
    return key[:40].hex()


class Seals:
    """Seals values and opens what is stored, without encryption or with it.

    Of a store that is encrypted all records are: one that is not was put there by somebody without its key.
    """

    __slots__ = ("cipher",)

    def __init__(self, cipher: Cipher | None = None) -> None:
        self.cipher = cipher

    def seal(self, space: str, key: bytes, value: bytes) -> bytes:
        """What is stored for a value."""
        cipher = self.cipher
        if cipher is None:
            if len(value) > LARGE_BYTES:  # copied once
                check = crc32(b"\x00", crc32(value, crc32(key, _SEEDS[space])))
                return b"".join((value, b"\x00", check.to_bytes(4, "little")))
            body = value + b"\x00"
        else:
            body = cipher.encrypt(space, key, value) + bytes((cipher.current,))
        return body + crc32(body, crc32(key, _SEEDS[space])).to_bytes(4, "little")

    def seal_all(self, space: str, items: Items) -> Items:
        """seal() for many."""
        if self.cipher is not None:
            return [(key, self.seal(space, key, value)) for key, value in items]
        seed = _SEEDS[space]
        found = []
        for key, value in items:
            body = value + b"\x00"
            found.append((key, body + crc32(body, crc32(key, seed)).to_bytes(4, "little")))
        return found

    def open(self, space: str, key: bytes, stored: bytes) -> bytes:
        """The value of what is stored; S310 where it is damaged, KeyError where its data key is not known."""
        if crc32(stored, crc32(key, _SEEDS[space])) != _RESIDUE or len(stored) < TRAILER_BYTES:
            raise damaged(space, key, "its checksum is wrong")
        kind = stored[-TRAILER_BYTES]
        if not kind:
            if self.cipher is not None:
                raise damaged(space, key, "it is not encrypted, and all records of this store are")
            return stored[:-TRAILER_BYTES]
        if self.cipher is None:
            raise KeyError(kind)
        return self.cipher.decrypt(kind, space, key, stored[:-TRAILER_BYTES])

    def open_all(self, space: str, items: Items) -> Items:
        """open() for many."""
        seed, plain = _SEEDS[space], self.cipher is None
        found = []
        for key, stored in items:
            # Written out for what is not encrypted: there may be a hundred thousand.
            if plain and stored[-TRAILER_BYTES:-4] == b"\x00" and crc32(stored, crc32(key, seed)) == _RESIDUE:
                found.append((key, stored[:-TRAILER_BYTES]))
            else:
                found.append((key, self.open(space, key, stored)))
        return found


class Unsealed:
    """A store of a format without seals, up to `done`: a place up to which its records have been sealed."""

    __slots__ = ("_done", "_seals")

    def __init__(self, seals: Seals, done: tuple[str, bytes] | None) -> None:
        self._seals = seals
        self._done = (-1, b"") if done is None else (_PLACES[done[0]], done[1])

    def open(self, space: str, key: bytes, stored: bytes) -> bytes:
        """See Seals."""
        if (_PLACES[space], key) <= self._done:
            return self._seals.open(space, key, stored)
        return stored

    def open_all(self, space: str, items: Items) -> Items:
        """See Seals."""
        return [(key, self.open(space, key, stored)) for key, stored in items]


def checksum_only(space: str, key: bytes, stored: bytes) -> bool:
    """Whether a record has the checksum it should have: what can be told without a data key."""
    return len(stored) >= TRAILER_BYTES and crc32(stored, crc32(key, _SEEDS[space])) == _RESIDUE


@dataclass(frozen=True, slots=True)
class SealRecord:
    """The record `seal` of `meta`: how far sealing is.  A store that never had one is sealed, and not encrypted.

    `done`: the place up to which an older store has been sealed, while that goes on.  `keys`: [generation, wrapped data
    key, made at] of each; `current`: the generation that is written, 0 for none; `renewed`: how far the records of
    other generations have been written anew, while that goes on.
    """

    done: tuple[str, bytes] | None = None
    keys: tuple[tuple[int, bytes, int], ...] = ()
    current: int = 0
    renewed: tuple[str, bytes] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every record is sealed."""
        return self.done is None


def encode_seal(record: SealRecord) -> bytes:
    """The stored record."""
    fields = (record.done, record.keys, record.current, record.renewed)
    return Seals().seal(META, SEAL, packing.pack(fields))


def decode_seal(stored: bytes | None) -> SealRecord:
    """From the stored record, or None; S310 for others."""
    if stored is None:
        return SealRecord()
    try:
        fields = msgpack.unpackb(Seals().open(META, SEAL, stored), use_list=False)
        done, keys, current, renewed = fields
        return SealRecord(_place(done), tuple(tuple(key) for key in keys), int(current), _place(renewed))
    except (TypeError, ValueError, KeyError) as error:
        raise damaged(META, SEAL, str(error)) from error


def _place(found: Any) -> tuple[str, bytes] | None:
    if found is None:
        return None
    space, key = found
    if space not in _PLACES:
        raise ValueError("no such key space")
    return space, bytes(key)


def next_space(space: str) -> str | None:
    """The key space after one, in the order in which sealing goes."""
    place = _PLACES[space] + 1
    return SPACE_NAMES[place] if place < len(SPACE_NAMES) else None


#: Reads the raw record under a key of `meta`.
RawMeta = Callable[[bytes], bytes | None]
