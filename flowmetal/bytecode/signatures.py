"""Signatures behind an artifact: who has signed it, as bytes.  Whether they are true is checked in engine/trust.py.

    artifact, which ends with its content hash | public key 32, signature 64, ... by key | count u16 | magic

A signature is Ed25519 over `message_of` the content hash.  It stands behind the artifact, so the hash, by which stores
and images know it, stays the same; and there is one way only to write the same signatures, so that nothing can be
changed in them without being noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import pairwise

from flowmetal.bytecode.layout import HASH_BYTES
from flowmetal.diagnostics import FlowmetalError

MAGIC = b"FMCSIGN1"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
_ENTRY_BYTES = KEY_BYTES + SIGNATURE_BYTES
_TAIL_BYTES = 2 + len(MAGIC)

#: Signatures of one artifact.
SIGNATURES_MAX = 16

#: What stands before the content hash in what is signed, so that no signature of something else is one.
_PURPOSE = b"flowmetal artifact signature 1\0"

#: A public key and its signature.
Signature = tuple[bytes, bytes]


def message_of(content_hash: bytes) -> bytes:
    """What is signed of an artifact with this content hash."""
    return _PURPOSE + content_hash


def content_end(data: bytes | bytearray | memoryview) -> int:
    """Where the artifact itself ends and its signatures begin.  B510 for signatures of a wrong form."""
    view = memoryview(data)
    end = len(view)
    if bytes(view[-len(MAGIC) :]) != MAGIC:
        return end
    count = int.from_bytes(view[end - _TAIL_BYTES : end - len(MAGIC)], "big")
    start = end - _TAIL_BYTES - count * _ENTRY_BYTES
    if not 0 < count <= SIGNATURES_MAX or start < HASH_BYTES:
        raise FlowmetalError("B510", problem=f"there would be {count} of them")
    return start


def signatures_of(data: bytes | bytearray | memoryview) -> list[Signature]:
    """The signatures of an artifact, in order of their keys; none where it has none.  B510."""
    start = content_end(data)
    block = bytes(memoryview(data)[start : len(data) - _TAIL_BYTES]) if start < len(data) else b""
    found = [
        (block[at : at + KEY_BYTES], block[at + KEY_BYTES : at + _ENTRY_BYTES])
        for at in range(0, len(block), _ENTRY_BYTES)
    ]
    if any(before[0] >= after[0] for before, after in pairwise(found)):
        raise FlowmetalError("B510", problem="they are not in order")
    return found


def content_hash_of(data: bytes | bytearray | memoryview) -> bytes:
    """The hash of an artifact's content, made anew.  B004 where it is not the one that stands in it."""
    end = content_end(data)
    view = memoryview(data)[:end]
    found = hashlib.sha256(view[:-HASH_BYTES]).digest()
    if found != bytes(view[-HASH_BYTES:]):
        raise FlowmetalError("B004")
    return found


def with_signatures(data: bytes, signatures: Iterable[Signature]) -> bytes:
    """An artifact with just these signatures, of which a later one of a key counts.  B510 for too many."""
    entries = sorted(dict(signatures).items())
    content = data[: content_end(data)]
    if not entries:
        return content
    if len(entries) > SIGNATURES_MAX:
        raise FlowmetalError("B510", problem=f"an artifact has at most {SIGNATURES_MAX}")
    return content + b"".join(key + signature for key, signature in entries) + len(entries).to_bytes(2, "big") + MAGIC


def merged(data: bytes, other: bytes | None) -> bytes:
    """An artifact with the signatures of another copy of it as well, which may have others or none."""
    if other is None or data[: content_end(data)] != other[: content_end(other)]:
        return data
    found = dict(signatures_of(other)) | dict(signatures_of(data))
    return with_signatures(data, found.items()) if len(found) <= SIGNATURES_MAX else data
