"""The LMDB engine: one environment with its read and write transactions, map growth, and errors made StoreErrors.

Synced commits, no writable map.  Only the thread of the committer writes.  The map may only be resized while this
process has no transaction open, which LMDB does not check: `_gate` does.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import lmdb

from flowmetal.dataclass import dataclass
from flowmetal.store.codec import encode_about
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import FORMAT, META, SPACE_NAMES
from flowmetal.store.lmdb_files import (
    ENGINE,
    LIB_VERSION,
    check_about,
    check_data_file,
    disk_is_full,
    open_error,
    prepare_folder,
)

#: The map is address space, not disk or memory; this much is asked for at first.
MAP_SIZE = 64 << 30
#: Where so much address space is not allowed (a limit of the process), less will do at first.
SMALLEST_MAP_SIZE = 64 << 20
#: No limit but the disk.
DEFAULT_MAP_LIMIT = 1 << 46
#: Read transactions at the same time, of all processes.
MAX_READERS = 1022
#: Read transactions kept for use again.
SPARE_READERS = 16
#: Part of the limit that is full when no new processes start, in percent.
NEARLY_FULL_PERCENT = 90
#: Puts for which a cursor does not pay.
FEW_PUTS = 3
#: Items taken at once by a scan of very many.
SOME_ITEMS = 512
#: Keys of LMDB.
MAX_KEY_BYTES = 511

#: What commits may fail with, and what a put fails with whose key is not fit, for those who may not import lmdb.
LmdbError = lmdb.Error
BadKey = lmdb.BadValsizeError

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.BadDbiError,
    lmdb.CursorFullError,
)


#: What a power failure may cost, by the name that says it, the safest first: what LMDB is opened with.  A process that
#: is killed costs nothing in any of them, since the system has what was written.
#:
#: Without the sync of its head, the last commit may be undone; the store stays whole.  Without any, the system writes
#: the pages in an order of its own, so that after a power failure the newest head may speak of pages that were never
#: written: LMDB gives no way to lose the last seconds alone.
DURABILITIES: dict[str, dict[str, bool]] = {
    "every-commit": {},
    "lose-last-commit-on-power-loss": {"metasync": False},
    "lose-store-on-power-loss": {"sync": False},
}
DEFAULT_DURABILITY = "every-commit"
#: How often what is not synced at each commit is synced.
SYNC_SECONDS = 1.0


def is_weaker(durability: str, than: str) -> bool:
    """Whether a power failure may cost more with one setting than with another."""
    order = list(DURABILITIES)
    return order.index(durability) > order.index(than)


@dataclass(frozen=True, slots=True)
class LmdbOptions:
    """Settings of a store: `map_size` to begin with and `map_limit` in bytes; `allow_network` file systems; what a
    power failure may cost."""

    durability: str = DEFAULT_DURABILITY
    map_size: int = MAP_SIZE
    map_limit: int = DEFAULT_MAP_LIMIT
    allow_network: bool = False


class MapFull(Exception):
    """A transaction needs a larger map."""


class TransactionFull(Exception):
    """A transaction has changed more pages than LMDB can keep in one."""


def _below(items: Iterable[tuple[bytes, bytes]], stop: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """The first items below `stop`.  Taken by the hundred, which is three times as fast where there are very many."""
    found: list[tuple[bytes, bytes]] = []
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


class LmdbTransaction:
    """A read or write transaction over the key spaces."""

    __slots__ = ("_engine", "_handles", "_transaction", "writes")

    def __init__(self, engine: LmdbEngine, transaction: Any) -> None:
        self.writes = 0
        self._engine = engine
        self._handles = engine.handles
        self._transaction = transaction

    def get(self, space: str, key: bytes) -> bytes | None:
        """See ReadTransaction."""
        value: bytes | None = self._transaction.get(key, None, self._handles[space])
        return value

    def scan(
        self,
        space: str,
        prefix: bytes = b"",
        *,
        start: bytes = b"",
        stop: bytes = b"",
        limit: int = 1 << 62,
        reverse: bool = False,
        values: bool = True,
    ) -> list[tuple[bytes, bytes]]:
        """See ReadTransaction."""
        found: list[tuple[bytes, bytes]] = []
        if limit <= 0:
            return found
        cursor = self._transaction.cursor(self._handles[space])
        if not reverse:
            first = max(prefix, start)
            found_any = not first or cursor.set_range(first)
            items = cursor.iternext(True, values) if found_any else ()
            if values and not prefix and limit > SOME_ITEMS:  # other scans are short, and read nothing ahead
                return _below(items, stop, limit)
        else:
            last = start or (prefix + b"\xff" * 64 if prefix else b"")
            if not last or not cursor.set_range(last):
                found_any = cursor.last()
            else:
                found_any = cursor.key() == last or cursor.prev()
            items = cursor.iterprev(True, values) if found_any else ()
        if not values:
            items = ((key, b"") for key in items)
        for key, value in items:
            if not key.startswith(prefix):
                break
            if stop and key >= stop:
                if reverse:
                    continue
                break
            found.append((key, value))
            if len(found) >= limit:
                break
        return found

    def count(self, space: str) -> int:
        """See ReadTransaction."""
        return int(self._transaction.stat(self._handles[space])["entries"])

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """See WriteTransaction."""
        self._transaction.put(key, value, db=self._handles[space])
        self.writes += 1

    def put_all(self, space: str, items: list[tuple[bytes, bytes]]) -> None:
        """See WriteTransaction.  In order and with one cursor a put costs a fifth of one alone."""
        if len(items) < FEW_PUTS:
            for key, value in items:
                self._transaction.put(key, value, db=self._handles[space])
        else:
            consumed, _ = self._transaction.cursor(self._handles[space]).putmulti(items)
            if consumed != len(items):
                raise lmdb.Error(f"{consumed} of {len(items)} items were put")
        self.writes += len(items)

    def delete(self, space: str, key: bytes) -> bool:
        """See WriteTransaction."""
        if self._transaction.delete(key, b"", self._handles[space]):
            self.writes += 1
            return True
        return False

    def child(self) -> LmdbTransaction:
        """A transaction within this one, which can be taken back alone."""
        engine = self._engine
        return LmdbTransaction(engine, engine.environment.begin(parent=self._transaction, write=True))

    def commit(self) -> None:
        """Commits; for a transaction that is no child: durable when this returns."""
        self._transaction.commit()

    def abort(self) -> None:
        """Takes all writes back.  Does nothing after a commit that failed."""
        self._transaction.abort()


class Reading:
    """A read transaction as a `with` block.  Written out, since a generator would cost as much as what is read."""

    __slots__ = ("_engine", "_transaction")

    def __init__(self, engine: LmdbEngine) -> None:
        self._engine = engine

    def __enter__(self) -> LmdbTransaction:
        engine = self._engine
        engine._enter()
        try:
            self._transaction = engine._begin_read()
        except BaseException as error:
            engine._leave()
            if isinstance(error, lmdb.Error):
                raise engine.error(error) from error
            raise
        return LmdbTransaction(engine, self._transaction)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._transaction.abort()
        self._engine._leave()
        if isinstance(error, lmdb.Error):
            raise self._engine.error(error) from error


class LmdbEngine:
    """An open environment.  Opening one twice in a process is refused by LMDB; opening.py shares it."""

    def __init__(self, path: Path, options: LmdbOptions, *, create: bool) -> None:
        self.path = path
        self.options = options
        self._gate = threading.Condition(threading.Lock())
        self._transactions = 0
        self._resizing = False
        prepare_folder(path, create=create, allow_network=options.allow_network)
        try:
            check_data_file(path)
            self.environment = self._open(readonly=True)
        except OSError as error:
            raise open_error(path, error) from error
        except lmdb.Error as error:
            raise self.error(error) from error
        try:
            with self.environment.begin() as transaction:
                handle = self.environment.open_db(META.encode(), transaction, create=False)
                about = transaction.get(b"about", None, handle)
            # Before the other key spaces are looked for: a store of another format may lack them.
            format, self.id, self.made_at = check_about(path, about)
            if format < FORMAT or self._lacks_spaces():
                self._bring_up()
            self.handles = self._open_handles()
        except lmdb.NotFoundError as error:
            self.environment.close()
            raise StoreError("S108", path=str(path), reason="the record of its format is missing") from error
        except lmdb.Error as error:
            self.environment.close()
            raise self.error(error) from error
        except BaseException:
            self.environment.close()
            raise

    def _open(self, *, readonly: bool) -> Any:
        size = max(min(self.options.map_size, self.options.map_limit), 1 << 20)
        while True:
            try:
                return lmdb.open(
                    str(self.path),
                    map_size=size,
                    readonly=readonly,
                    max_dbs=len(SPACE_NAMES) + 8,
                    max_readers=MAX_READERS,
                    max_spare_txns=SPARE_READERS,
                    mode=0o600,
                    create=False,
                    lib_version=LIB_VERSION,
                    **({} if readonly else DURABILITIES[self.options.durability]),
                )
            except lmdb.MemoryError:
                if size <= SMALLEST_MAP_SIZE:
                    raise
                size //= 4

    def _open_handles(self) -> dict[str, Any]:
        """The handles of the key spaces.  Opened without a transaction, so that they stay; an environment that may
        write takes the write lock for it, which is why readers have one that may not."""
        try:
            return {name: self.environment.open_db(name.encode(), create=False) for name in SPACE_NAMES}
        except lmdb.NotFoundError as error:
            raise StoreError("S108", path=str(self.path), reason="a key space is missing") from error

    def _lacks_spaces(self) -> bool:
        with self.environment.begin() as transaction:
            return int(transaction.stat()["entries"]) < len(SPACE_NAMES)

    def _bring_up(self) -> None:
        """Adds the key spaces that an older store lacks, in one transaction.

        Whoever opens the store does, also beside an owner: nothing that is there changes, and an owner whose code knows
        nothing of the new spaces goes on without them.
        """
        self.environment.close()
        self.environment = self._open(readonly=False)
        with self.environment.begin(write=True) as transaction:
            handles = {name: self.environment.open_db(name.encode(), transaction) for name in SPACE_NAMES}
            about = encode_about(FORMAT, ENGINE, self.id, self.made_at)
            transaction.put(b"about", about, db=handles[META])
        self.environment.close()
        self.environment = self._open(readonly=True)

    def become_writer(self) -> None:
        """Opens the environment anew, for writing.  Only the owner of the store does."""
        with self._alone():
            self.environment.close()
            try:
                self.environment = self._open(readonly=False)
                self.handles = self._open_handles()
                self.environment.reader_check()
            except OSError as error:
                raise open_error(self.path, error) from error
            except lmdb.Error as error:
                raise self.error(error) from error

    # ---- transactions --------------------------------------------------------------------------------------------

    def reading(self) -> Reading:
        """A read transaction: short ones only, since LMDB keeps every page that a reader may see."""
        return Reading(self)

    def _begin_read(self) -> Any:
        while True:
            try:
                return self.environment.begin()
            except lmdb.MapResizedError:
                # Another process has made the map larger: take its size over.
                self._leave()
                try:
                    self._resize(0)
                finally:
                    self._enter()

    @contextmanager
    def writing(self) -> Iterator[LmdbTransaction]:
        """A write transaction, which the body commits; aborted where it does not.

        Raises MapFull or TransactionFull where the body needs more room, lmdb.Error for the rest.
        """
        self._enter()
        try:
            while True:
                try:
                    raw = self.environment.begin(write=True)
                    break
                except lmdb.MapResizedError:
                    self._leave()
                    try:
                        self._resize(0)
                    finally:
                        self._enter()
            transaction = LmdbTransaction(self, raw)
            try:
                yield transaction
            finally:
                raw.abort()
        except lmdb.MapFullError as error:
            raise MapFull from error
        except lmdb.TxnFullError as error:
            raise TransactionFull from error
        finally:
            self._leave()

    @property
    def is_synced(self) -> bool:
        """Whether a commit is durable when it returns."""
        return self.options.durability == DEFAULT_DURABILITY

    def sync(self) -> None:
        """Makes all commits so far durable; lmdb.Error where that fails."""
        self._enter()
        try:
            self.environment.sync(True)
        finally:
            self._leave()

    def grow(self) -> bool:
        """Doubles the map; False where it is at its limit."""
        size = int(self.environment.info()["map_size"])
        if size >= self.options.map_limit:
            return False
        try:
            self._resize(min(size * 2, self.options.map_limit))
        except lmdb.Error:
            return False
        return True

    def _enter(self) -> None:
        with self._gate:
            while self._resizing:
                self._gate.wait()
            self._transactions += 1

    def _leave(self) -> None:
        with self._gate:
            self._transactions -= 1
            if self._resizing:
                self._gate.notify_all()

    def _resize(self, size: int) -> None:
        with self._alone():
            self.environment.set_mapsize(size)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no transaction of this process is open."""
        with self._gate:
            while self._resizing:
                self._gate.wait()
            self._resizing = True
            try:
                while self._transactions:
                    self._gate.wait()
                yield
            finally:
                self._resizing = False
                self._gate.notify_all()

    # ---- facts ---------------------------------------------------------------------------------------------------

    def check_room(self) -> None:
        """S304 where new processes should not start: the live pages are nearly all that the limit allows."""
        limit = self.options.map_limit
        info = self.environment.info()
        page_size = self.environment.stat()["psize"]
        if (info["last_pgno"] + 1) * page_size * 100 < limit * NEARLY_FULL_PERCENT:
            return
        with self.environment.begin() as transaction:
            used = 0
            for handle in self.handles.values():
                stat = transaction.stat(handle)
                used += (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * page_size
        percent = used * 100 // limit
        if percent >= NEARLY_FULL_PERCENT:
            raise StoreError("S304", path=str(self.path), percent=percent, limit=limit)

    def stats(self) -> dict[str, Any]:
        """Sizes, in bytes, and readers."""
        info = self.environment.info()
        return {
            "engine": ENGINE,
            "id": self.id,
            "made_at": self.made_at,
            "durability": self.options.durability,
            "file_bytes": (info["last_pgno"] + 1) * self.environment.stat()["psize"],
            "map_bytes": info["map_size"],
            "map_limit": self.options.map_limit,
            "last_transaction": info["last_txnid"],
            "readers": info["num_readers"],
        }

    def commit_error(self, error: lmdb.Error) -> StoreError:
        """The StoreError for a commit that failed.  LMDB calls a write that was cut short an I/O error, and a disk
        that gets full cuts one short first: whether it is full has to be looked at."""
        if getattr(error, "code", 0) == errno.EIO and disk_is_full(self.path):
            return StoreError("S301", path=str(self.path), reason="a write was cut short")
        return self.error(error)

    def error(self, error: lmdb.Error) -> StoreError:
        """The StoreError for an error of LMDB."""
        path, reason = str(self.path), str(error)
        if isinstance(error, _DAMAGE):
            return StoreError("S108", path=path, reason=reason)
        if isinstance(error, (lmdb.MapFullError,)):
            return StoreError("S302", path=path, limit=self.options.map_limit)
        if isinstance(error, lmdb.ReadersFullError):
            return StoreError("S115", path=path, limit=MAX_READERS)
        if isinstance(error, lmdb.DiskError) or getattr(error, "code", 0) in _FULL_DISK:
            return StoreError("S301", path=path, reason=reason)
        if isinstance(error, lmdb.ReadonlyError) or getattr(error, "code", 0) in (errno.EACCES, errno.EPERM):
            return StoreError("S107", path=path, reason=reason)
        if isinstance(error, lmdb.BadValsizeError):
            return StoreError("S206", reason=f"a key is empty or longer than {MAX_KEY_BYTES} bytes")
        return StoreError("S303", path=path, reason=reason)

    def close(self) -> None:
        """Closes the environment once no transaction is open."""
        with self._alone():
            self.environment.close()
