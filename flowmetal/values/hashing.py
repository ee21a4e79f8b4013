"""The stable hash of a value: 32 bits, the same on every machine, Python version and hash seed.

Hash tries in images are laid out by it, so it is part of the image format and never changes.  Equal values have equal
hashes; numbers of different kinds are not equal and hash apart.  Composite values are hashed by deep_hash.py, which
enters its classes into HASHERS.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import isnan
from struct import Struct
from typing import Any
from uuid import UUID
from zlib import crc32

from flowmetal.values.base import Value
from flowmetal.values.scalars import Char, Duration, Instant, Keyword, Pid, Regex, Symbol, mix
from flowmetal.values.secrets import Secret

_WORD = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: Fibonacci hashing
_LONG, _END = 2048, 512
_MERSENNE = (1 << 61) - 1
_DOUBLE = Struct("<d").pack


def hash_int(value: int) -> int:
    """Hash of an integer."""
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return (value * _GOLDEN & _WORD) >> 32
    return mix((value % _MERSENNE * _GOLDEN & _WORD) >> 32)


def hash_text(value: str) -> int:
    """Hash of a string.  Of a long one only the ends and the length count: a value can hold one long string a million
    times, and hashing it must not take the time of all of them."""
    if len(value) <= _LONG:
        return crc32(value.encode())
    return crc32(f"{value[:_END]}{len(value)}{value[-_END:]}".encode())


def _hash_none(value: None) -> int:
    return 0x3D1F9A6B


def _hash_bool(value: bool) -> int:
    return 0x4C93A175 if value else 0x71B2E8D3


def _hash_float(value: float) -> int:
    if isnan(value):
        return 0x7FF80000
    return crc32(_DOUBLE(value + 0.0), 0x2545F491)  # adding zero makes -0.0 the 0.0 it equals


def _hash_decimal(value: Decimal) -> int:
    sign, digits, exponent = value.as_tuple()
    if not value:
        return 0x1B873593
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    place = int(exponent) + len(text) - len(short)
    return crc32(f"{sign}{short}E{place}".encode(), 0x27D4EB2F)


def _hash_ratio(value: Fraction) -> int:
    return mix((hash_int(value.numerator) * 31 + hash_int(value.denominator)) & 0xFFFFFFFF)


def _hash_bytes(value: bytes) -> int:
    if len(value) > _LONG:
        value = value[:_END] + str(len(value)).encode() + value[-_END:]
    return crc32(value, 0x165667B1)


def _hash_uuid(value: UUID) -> int:
    return crc32(value.bytes, 0x85EBCA77)


def _hash_keyword(value: Keyword) -> int:
    return value.hash


HASHERS: dict[type, Callable[[Any], int]] = {
    type(None): _hash_none,
    bool: _hash_bool,
    int: hash_int,
    float: _hash_float,
    Decimal: _hash_decimal,
    Fraction: _hash_ratio,
    str: hash_text,
    bytes: _hash_bytes,
    UUID: _hash_uuid,
    Keyword: _hash_keyword,
    Symbol: Symbol.__hash__,
    Char: Char.__hash__,
    Instant: Instant.__hash__,
    Duration: Duration.__hash__,
    Pid: Pid.__hash__,
    Regex: Regex.__hash__,
    Secret: Secret.__hash__,
}


def hash_of(value: Value) -> int:
    """The stable hash of a value (0 to 2**32 - 1).

    Raises NeedsRealize for a lazy sequence that is not wholly realized, TypeError for what is no value.
    """
    hasher = HASHERS.get(value.__class__)
    if hasher is None:
        raise TypeError(f"not a value of the language: {value.__class__.__name__}")
    return hasher(value)
