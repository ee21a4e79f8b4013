"""LmdbTransaction: the one place where values meet LMDB.  What is put is sealed here, what is read is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import lmdb

from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Rekey
from flowmetal.store.layout import KEY_BYTES, META
from flowmetal.store.rekeying import Rekeyed, rekey
from flowmetal.store.sealing import TRAILER_BYTES, UNSEALED, Items, Seals
from flowmetal.store.sealing import damaged as damaged_record
from flowmetal.store.transaction import Damaged, WriteTransaction

if TYPE_CHECKING:
    from flowmetal.store.lmdb_engine import LmdbEngine

#: Puts for which a cursor does not pay.
FEW_PUTS = 3
#: Items taken at once by a scan of very many.
SOME_ITEMS = 512


def _below(items: Iterable[tuple[bytes, bytes]], stop: bytes, limit: int) -> Items:
    """The first items below `stop`.  Taken by the hundred, which is three times as fast where there are very many."""
    found: Items = []
    items = iter(items)
    while len(found) < limit:
        some = list(islice(items, min(SOME_ITEMS, limit - len(found))))
        if not some:
            break
        if stop and some[-1][0] >= stop:
            found += takewhile(lambda item: item[0] < stop, some)
            break
        found += some
    return found


def _whole(space: str, keys: Iterable[bytes], step: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys without their values, whose checksums would tell: S310 where one is not in order, or not of the length that
    all of its space have.  `step`: 1 up, -1 down."""
    length = KEY_BYTES.get(space)
    last = b""
    for key in keys:
        if last and (key <= last if step > 0 else key >= last):
            raise damaged_record(space, key, "it is not in the order of the keys")
        if length and len(key) != length:
            raise damaged_record(space, key, f"it has {len(key)} bytes where {length} are needed")
        last = key
        yield key, b""


class LmdbTransaction(WriteTransaction):
    """A read or write transaction over the key spaces."""

    __slots__ = ("_engine", "_handles", "_learns", "_open", "_opens", "_seals", "_transaction")

    def __init__(self, engine: LmdbEngine, transaction: Any, seals: Seals | None = None) -> None:
        """`seals`: those of a write transaction, as the store had them when it began; it learns no others."""
        self.writes = 0
        self._engine = engine
        self._handles = engine.handles
        self._transaction = transaction
        self._learns = seals is None
        self._seals = seals = engine.seals if seals is None else seals
        opener = seals if engine.is_sealed else engine.opener(transaction)
        self._open, self._opens = opener.open, opener.open_all

    def get(self, space: str, key: bytes) -> bytes | None:
        """See ReadTransaction."""
        stored: bytes | None = self._transaction.get(key, None, self._handles[space])
        if stored is None:
            return None
        try:
            return self._open(space, key, stored)
        except KeyError:
            self._learn_keys(space, key, stored)
            return self.get(space, key)

    def _up(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items:
        cursor = self._transaction.cursor(self._handles[space])
        first = max(prefix, start)
        found_any = not first or cursor.set_range(first)
        items = cursor.iternext(True, values) if found_any else ()
        if values and not prefix and limit > SOME_ITEMS:  # other scans are short, and read nothing ahead
            return self._opened(space, _below(items, stop, limit), damaged)
        found: Items = []
        for key, value in items if values else _whole(space, items, 1):
            if not key.startswith(prefix) or (stop and key >= stop):
                break
            found.append((key, value))
            if len(found) >= limit:
                break
        return self._opened(space, found, damaged) if values and found else found

    def _down(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items:
        cursor = self._transaction.cursor(self._handles[space])
        last = start or (prefix + b"\xff" * 64 if prefix else b"")
        if not last or not cursor.set_range(last):
            found_any = cursor.last()
        else:
            found_any = cursor.key() == last or cursor.prev()
        items = cursor.iterprev(True, values) if found_any else ()
        found: Items = []
        for key, value in items if values else _whole(space, items, -1):
            if not key.startswith(prefix):
                break
            if stop and key >= stop:
                continue
            found.append((key, value))
            if len(found) >= limit:
                break
        return self._opened(space, found, damaged) if values and found else found

    def _opened(self, space: str, items: Items, damaged: Damaged) -> Items:
        if space == META:
            items = [item for item in items if item[0] not in UNSEALED]
        try:
            return self._opens(space, items)
        except KeyError:
            pass
        except StoreError as error:
            if damaged is None or not error.is_damage:
                raise
        found: Items = []
        for key, stored in items:
            try:
                try:
                    value = self._open(space, key, stored)
                except KeyError:
                    self._learn_keys(space, key, stored)
                    value = self._open(space, key, stored)
                found.append((key, value))
            except StoreError as error:
                if damaged is None or not error.is_damage:
                    raise
                damaged.append(key)
        return found

    def _learn_keys(self, space: str, key: bytes, stored: bytes) -> None:
        """Another process has given the store a data key that is not known here: it stands in the store."""
        seals = self._engine.learn_keys(self._transaction) if self._learns else self._seals
        cipher = seals.cipher
        if cipher is None or stored[-TRAILER_BYTES] not in cipher.generations:
            raise damaged_record(space, key, "it is encrypted with a data key that the store does not have")
        self._seals = seals
        self._open, self._opens = seals.open, seals.open_all

    def count(self, space: str) -> int:
        """See ReadTransaction."""
        return int(self._transaction.stat(self._handles[space])["entries"])

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """See WriteTransaction."""
        self._transaction.put(key, self._seals.seal(space, key, value), db=self._handles[space])
        self.writes += 1

    def put_all(self, space: str, items: Items) -> None:
        """See WriteTransaction.  In order and with one cursor a put costs a fifth of one alone."""
        if len(items) < FEW_PUTS:
            for key, value in items:
                self.put(space, key, value)
            return
        consumed, _ = self._transaction.cursor(self._handles[space]).putmulti(self._seals.seal_all(space, items))
        if consumed != len(items):
            raise lmdb.Error(f"{consumed} of {len(items)} items were put")
        self.writes += len(items)

    def delete(self, space: str, key: bytes) -> bool:
        """See WriteTransaction."""
        if self._transaction.delete(key, b"", self._handles[space]):
            self.writes += 1
            return True
        return False

    def rekey(self, command: Rekey) -> Rekeyed:
        """See WriteTransaction."""
        return rekey(self._engine, self, command)

    @property
    def generation(self) -> int:
        """The data key that this transaction writes with; 0: none."""
        return 0 if self._seals.cipher is None else self._seals.cipher.current

    # ---- what is stored, for those who seal and scrub ----------------------------------------------------------------

    def stored(self, space: str, start: bytes, limit: int, most_bytes: int) -> Items:
        """What is stored from a key on, as it is, but for the records that are not sealed as others are; stops after
        `limit` records or so many bytes."""
        found: Items = []
        size = 0
        cursor = self._transaction.cursor(self._handles[space])
        if not (cursor.set_range(start) if start else cursor.first()):
            return found
        for key, value in cursor.iternext(True, True):
            if space == META and key in UNSEALED:
                continue
            found.append((key, value))
            size += len(value)
            if len(found) >= limit or size >= most_bytes:
                break
        return found

    def open_stored(self, space: str, key: bytes, stored: bytes) -> bytes:
        """The value of what `stored` gave; S310 where it is damaged."""
        try:
            return self._open(space, key, stored)
        except KeyError:
            self._learn_keys(space, key, stored)
            return self._open(space, key, stored)

    def get_meta(self, key: bytes) -> bytes | None:
        """One of the UNSEALED records."""
        found: bytes | None = self._transaction.get(key, None, self._handles[META])
        return found

    def put_meta(self, key: bytes, stored: bytes) -> None:
        """Writes one of the UNSEALED records."""
        self._transaction.put(key, stored, db=self._handles[META])
        self.writes += 1

    # ---- the end -----------------------------------------------------------------------------------------------------

    def child(self) -> LmdbTransaction:
        """A transaction within this one, which can be taken back alone."""
        engine = self._engine
        raw = engine.environment.begin(parent=self._transaction, write=True)
        return LmdbTransaction(engine, raw, self._seals)

    def commit(self) -> None:
        """Commits; for a transaction that is no child: durable when this returns."""
        self._transaction.commit()

    def abort(self) -> None:
        """Takes all writes back.  Does nothing after a commit that failed."""
        self._transaction.abort()
