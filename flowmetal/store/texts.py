"""Texts: long strings of a process, each kept once, however many records of the process hold it.

An answer of 50 KB stands in the event that brought it, in the segment after it, and in every checkpoint for as long as
the program holds it.  Whoever commits a turn names such strings (`Turn.texts`); a log record or a checkpoint that holds
one refers to it by its hash.  Reading puts the records together again, so nobody else sees any of this.

    record = MARK, msgpack [bytes, hash, bytes, hash, ... bytes]    what stands between the texts, and the texts
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from flowmetal import packing
from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.layout import TEXTS, pid_key
from flowmetal.store.transaction import ReadTransaction, WriteTransaction

#: Shorter ones are written where they stand: a reference and a record of its own have their price as well.
TEXT_BYTES_MIN = 1024

#: What a record begins with that refers to texts.  No msgpack array does, nor does anything else in msgpack.
MARK = b"\xc1"


class Texts:
    """The texts of a turn, while its records are written."""

    __slots__ = ("_hashes", "_pid", "_texts", "_transaction")

    def __init__(self, transaction: WriteTransaction, pid: int, texts: Iterable[bytes]) -> None:
        self._transaction = transaction
        self._pid = pid
        self._texts = [text for text in dict.fromkeys(map(bytes, texts)) if len(text) >= TEXT_BYTES_MIN]
        self._hashes: dict[bytes, bytes] = {}

    def shortened(self, record: bytes) -> bytes:
        """The record with references in the place of the texts that it holds, which are kept now."""
        found: list[tuple[int, bytes]] = []
        end = 0
        for text in self._texts:
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
                pieces += (record[end:at], self._kept(text))
                end = at + len(text)
        pieces.append(record[end:])
        data: bytes = MARK + packing.pack(pieces)
        return data

    def _kept(self, text: bytes) -> bytes:
        hash = self._hashes.get(text)
        if hash is None:
            hash = self._hashes[text] = hashlib.sha256(text).digest()
            key = pid_key(self._pid) + hash
            if self._transaction.get(TEXTS, key) is None:
                self._transaction.put(TEXTS, key, text)
        return hash


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


def references(space: str, record: bytes) -> list[bytes]:
    """The hashes of the texts that a record refers to.  S306 for one that is damaged."""
    if record[:1] != MARK:
        return []
    pieces = unpack(space, record[1:])
    if pieces.__class__ is not list:
        raise unreadable(space, ValueError("references to texts are malformed"))
    return [piece for piece in pieces[1::2] if piece.__class__ is bytes]
