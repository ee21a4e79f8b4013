"""Encryption of records: AES-256-GCM-SIV with the data keys of a store, which are stored wrapped by a key from outside.

A body is a nonce of 12 random bytes, the ciphertext and its tag of 16.  Bound to it are the store's id, the generation
of the data key, the key space and the record's key, so that no record can stand in for another.  GCM-SIV, since a
restored backup makes the choice of nonces forget what was used: one that comes twice tells only whether two values of
one record are equal.

A key wraps: it never encrypts a record itself, so that a change of it (`rewrap`) writes one record.  The library
`cryptography` is loaded when a store is encrypted, and not before.
"""

from __future__ import annotations

import os
from typing import Any

from flowmetal import lazily
from flowmetal.store.errors import StoreError
from flowmetal.store.sealing import damaged

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
#: Generations are one byte in a record; one that no record has any more is used again.
MAX_GENERATION = 255

_WRAPS = b"flowmetal data key\x00"
_SEALS = b"flowmetal record\x00"


_aead: Any = lazily.module("cryptography.hazmat.primitives.ciphers.aead")
_exceptions: Any = lazily.module("cryptography.exceptions")


def _cipher(key: bytes) -> Any:
    """The cipher with a key; S314 without the library."""
    try:
        unsupported = _exceptions.UnsupportedAlgorithm
        make = _aead.AESGCMSIV
    except ImportError as error:
        raise StoreError("S314", reason="the package `cryptography` is not installed") from error
    try:
        return make(key)
    except unsupported as error:
        raise StoreError("S314", reason="this build of `cryptography` has no AES-GCM-SIV") from error


def _invalid_tag() -> type[Exception]:
    found: type[Exception] = _exceptions.InvalidTag
    return found


def new_data_key() -> bytes:
    """A fresh data key."""
    return os.urandom(KEY_BYTES)


def wrap(key: bytes, data_key: bytes, store_id: str, generation: int) -> bytes:
    """A data key as it is stored."""
    nonce = os.urandom(NONCE_BYTES)
    bound = _WRAPS + store_id.encode() + bytes((0, generation))
    wrapped: bytes = nonce + _cipher(key).encrypt(nonce, data_key, bound)
    return wrapped


def unwrap(key: bytes, wrapped: bytes, store_id: str, generation: int, path: str) -> bytes:
    """The data key; S313 where it was wrapped by another key."""
    cipher = _cipher(key)
    bound = _WRAPS + store_id.encode() + bytes((0, generation))
    try:
        data_key: bytes = cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
    except (_invalid_tag(), ValueError) as error:
        raise StoreError("S313", path=path) from error
    return data_key


class DataCipher:
    """Encrypts with the data key of the current generation, decrypts with those of all.  See sealing.Cipher."""

    __slots__ = ("_bound", "_ciphers", "_current", "_invalid")

    def __init__(self, store_id: str, data_keys: dict[int, bytes], current: int) -> None:
        self._current = current
        self._bound = _SEALS + store_id.encode() + b"\x00"
        self._ciphers = {generation: _cipher(key) for generation, key in data_keys.items()}
        self._invalid = _invalid_tag()

    @property
    def current(self) -> int:
        """The generation of new records."""
        return self._current

    @property
    def generations(self) -> frozenset[int]:
        """Those that can be read."""
        return frozenset(self._ciphers)

    def encrypt(self, space: str, key: bytes, value: bytes) -> bytes:
        """The body of a record.  One byte more is encrypted, since the library refuses to encrypt none."""
        nonce = os.urandom(NONCE_BYTES)
        bound = self._bound_to(self._current, space, key)
        body: bytes = nonce + self._ciphers[self._current].encrypt(nonce, value + b"\x00", bound)
        return body

    def decrypt(self, generation: int, space: str, key: bytes, body: bytes) -> bytes:
        """The value; S310 where the body is not what was encrypted, KeyError for a generation that is not known."""
        cipher = self._ciphers[generation]
        try:
            value: bytes = cipher.decrypt(
                body[:NONCE_BYTES], body[NONCE_BYTES:], self._bound_to(generation, space, key)
            )
        except (self._invalid, ValueError) as error:
            raise damaged(space, key, "it is not what was encrypted") from error
        return value[:-1]

    def _bound_to(self, generation: int, space: str, key: bytes) -> bytes:
        return self._bound + bytes((generation,)) + space.encode() + b"\x00" + key
