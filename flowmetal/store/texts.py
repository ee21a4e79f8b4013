"""Texts: long strings of a process, each kept once, however many records of the process hold it.

An answer of 50 KB stands in the event that brought it, in the segment after it, and in every checkpoint for as long as
the program holds it.  Whoever commits a turn names such strings (`Turn.texts`); a log record or a checkpoint that holds
one refers to it by its hash.  Reading puts the records together again, so nobody else sees any of this.

    record = MARK, msgpack [bytes, hash, bytes, hash, ... bytes]    what stands between the texts, and the texts
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgpack

from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.layout import TEXTS, pid_key
from flowmetal.store.transaction import ReadTransaction, WriteTransaction

#: Shorter ones are written where they stand: a reference and a record of its own have their price as well.
TEXT_BYTES_MIN = 1024

#: What a record begins with that refers to texts.  No msgpack array does, nor does anything else in msgpack.
MARK = b"\xc1"

HASH_BYTES = 32


def put_texts(transaction: WriteTransaction, pid: int, texts: Iterable[bytes]) -> dict[bytes, bytes]:
    """Keeps texts of a process; each with its hash.  Those that are too short are left out."""
    hashes: dict[bytes, bytes] = {}
    prefix = pid_key(pid)
    for text in texts:
        if len(text) >= TEXT_BYTES_MIN and text not in hashes:
            hash = hashes[text] = hashlib.sha256(text).digest()
            if transaction.get(TEXTS, prefix + hash) is None:
                transaction.put(TEXTS, prefix + hash, text)
    return hashes


def shortened(record: bytes, hashes: dict[bytes, bytes]) -> bytes:
    """The record with references in the place of texts that it holds."""
    found: list[tuple[int, bytes]] = []
    end = 0
    for text in hashes:
        at = record.find(text, end)  # they are named in the order in which they stand, mostly
        if at < 0:
            at = record.find(text)
        while at >= 0:
            found.append((at, text))
            end = at + len(text)
            at = record.find(text, end)
    if not found:
        return record
    found.sort(key=lambda one: (one[0], -len(one[1])))
    pieces: list[bytes] = []
    end = 0
    for at, text in found:
        if at >= end:  # of two that overlap the first one goes
            pieces += (record[end:at], hashes[text])
            end = at + len(text)
    pieces.append(record[end:])
    data: bytes = MARK + msgpack.packb(pieces)
    return data


def whole(transaction: ReadTransaction, space: str, pid: int, record: bytes) -> bytes:
    """A record with its texts in their places.  S306 for one that is damaged."""
    if record[:1] != MARK:
        return record
    pieces = unpack(space, record[1:])
    if pieces.__class__ is not list or not len(pieces) % 2 or any(piece.__class__ is not bytes for piece in pieces):
        raise unreadable(space, ValueError("references to texts are malformed"))
    prefix = pid_key(pid)
    for index in range(1, len(pieces), 2):
        text = transaction.get(TEXTS, prefix + pieces[index])
        if text is None:
            raise unreadable(space, ValueError("a text is missing"))
        pieces[index] = text
    return b"".join(pieces)
