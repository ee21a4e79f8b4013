"""The LMDB engine: one environment with its read and write transactions, map growth, and errors made StoreErrors.

Synced commits, no writable map.  Only the thread of the committer writes.  The map may only be resized while this
process has no transaction open, which LMDB does not check: `_gate` does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from flowmetal.store import crashes
from flowmetal.store.codec import decode_about, encode_about
from flowmetal.store.encryption import DataCipher, unwrap
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.keys import find_source
from flowmetal.store.layout import FORMAT, META, ORIGINS, SEALED_FORMAT, SPACE_NAMES
from flowmetal.store.lmdb_errors import MAX_READERS, commit_error, read_error, store_error
from flowmetal.store.lmdb_files import (
    BACKUP_FILE,
    ENGINE,
    LIB_VERSION,
    check_about,
    check_data_file,
    open_error,
    other_user,
    prepare_folder,
    sync_folder,
)
from flowmetal.store.lmdb_options import DEFAULT_DURABILITY, DURABILITIES, SMALLEST_MAP_SIZE, LmdbOptions
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.sealing import ABOUT, SEAL, SealRecord, Seals, Unsealed, decode_seal

#: Read transactions kept for use again.
SPARE_READERS = 16
#: How long who brings a store up waits for others that have it open.
OTHERS_SECONDS = 10.0
#: Part of the limit that is full when no new processes start, in percent.
NEARLY_FULL_PERCENT = 90

#: Which data keys a record has, whatever they are wrapped with, and which of them is written.
_Identity = tuple[int, tuple[tuple[int, int], ...]]


def _identity(record: SealRecord) -> _Identity:
    return record.current, tuple((generation, made_at) for generation, _, made_at in record.keys)


class MapFull(Exception):
    """A transaction needs a larger map."""


class TransactionFull(Exception):
    """A transaction has changed more pages than LMDB can keep in one."""


class Reading:
    """A read transaction as a `with` block.  Written out, since a generator would cost as much as what is read."""

    __slots__ = ("_engine", "_transaction")

    def __init__(self, engine: LmdbEngine) -> None:
        self._engine = engine

    def __enter__(self) -> LmdbTransaction:
        engine = self._engine
        if engine._is_lost:
            engine._find_if_lost()
        engine._enter()
        raw = None
        try:
            raw = self._transaction = engine._begin_read()
            return LmdbTransaction(engine, raw)
        except BaseException as error:
            if raw is not None:
                raw.abort()
            engine._leave()
            if isinstance(error, lmdb.Error):
                raise read_error(engine.path, error, engine.options) from error
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        engine = self._engine
        self._transaction.abort()
        engine._leave()
        if isinstance(error, lmdb.Error):
            raise read_error(engine.path, error, engine.options) from error


class LmdbEngine:
    """An open environment.  Opening one twice in a process is refused by LMDB; opening.py shares it."""

    def __init__(self, path: Path, options: LmdbOptions, *, create: bool) -> None:
        self.path = path
        self.options = options
        self._lock = threading.Lock()  # taken itself where nobody waits, which costs less
        self._gate = threading.Condition(self._lock)
        self._transactions = 0
        self._resizing = False
        self._writes = self._is_lost = False
        prepare_folder(path, create=create, allow_network=options.allow_network)
        try:
            check_data_file(path)
            crashes.check(path)
            self.environment = self._open(readonly=True)
        except OSError as error:
            raise open_error(path, error) from error
        except lmdb.Error as error:
            raise self.error(error) from error
        self._key: bytes | None = None  # that wraps the data keys, once it was needed
        try:
            with self.environment.begin() as transaction:
                handle = self.environment.open_db(META.encode(), transaction, create=False)
                about, seal = (transaction.get(key, None, handle) for key in (ABOUT, SEAL))
            # Before the other key spaces are looked for: a store of another format may lack them.
            format, self.id, self.made_at = check_about(path, about)
            record = decode_seal(seal)
            self.is_sealed = format >= SEALED_FORMAT and record.is_whole
            self.seals = self._seals_of(record)
            self._seals_at = 0  # the transaction in which the store said so
            self._written = _identity(record), self.seals
            if format < SEALED_FORMAT - 1 or self._lacks_spaces():
                if (path / BACKUP_FILE).exists():
                    raise StoreError("S346", path=str(path))
                self._refuse_first_layout(format)
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

    def _refuse_first_layout(self, format: int) -> None:
        """S103 for a store of the first days of format 2, whose records of processes were others: it is told by a key
        space that it does not have."""
        with self.environment.begin() as transaction:
            try:
                self.environment.open_db(ORIGINS.encode(), transaction, create=False)
            except lmdb.NotFoundError as error:
                found = f"{format}, as it was laid out at first"
                raise StoreError("S103", path=str(self.path), found=found, expected=FORMAT) from error

    def _bring_up(self) -> None:
        """Adds the key spaces that an older store lacks, in one transaction.

        Whoever opens the store does, also beside an owner: nothing that is there changes, and an owner whose code knows
        nothing of the new spaces goes on without them.  Its records are sealed by the next owner (resealing.py).
        """
        self.environment.close()
        self.environment = self._open(readonly=False)
        with self.environment.begin(write=True) as transaction:
            handles = {name: self.environment.open_db(name.encode(), transaction) for name in SPACE_NAMES}
            format = decode_about(transaction.get(ABOUT, None, handles[META]))[0]
            about = encode_about(max(format, SEALED_FORMAT - 1), ENGINE, self.id, self.made_at)
            transaction.put(ABOUT, about, db=handles[META])
        self.environment.close()
        self.environment = self._open(readonly=True)

    # ---- seals -------------------------------------------------------------------------------------------------------

    def _seals_of(self, record: SealRecord) -> Seals:
        """What the records of the store are sealed with.  S311 to S315 where its key is missing, or not needed."""
        if not record.keys:
            source = None if self.options.takes_plain else find_source(self.options.key)
            if source is not None and source.asked:
                raise StoreError("S315", path=str(self.path))
            return Seals()
        known, key = self._key, self._key or self._fetch_key()
        try:
            keys = self._unwrapped(key, record)
        except StoreError as error:
            if known is None or error.code != "S313":
                raise
            key = self._fetch_key()  # the data keys were wrapped by another one while this process had the store open
            keys = self._unwrapped(key, record)
        self._key = key
        return Seals(DataCipher(self.id, keys, record.current))

    def _fetch_key(self) -> bytes:
        source = find_source(self.options.key)
        if source is None:
            raise StoreError("S312", path=str(self.path))
        return source.fetch()

    def _unwrapped(self, key: bytes, record: SealRecord) -> dict[int, bytes]:
        path = str(self.path)
        return {generation: unwrap(key, wrapped, self.id, generation, path) for generation, wrapped, _ in record.keys}

    def opener(self, transaction: Any) -> Seals | Unsealed:
        """What opens the records as a transaction sees them, where not all of them are sealed yet."""
        about, seal = (transaction.get(key, None, self.handles[META]) for key in (ABOUT, SEAL))
        format, _, _ = check_about(self.path, about)
        record = decode_seal(seal)
        if format < SEALED_FORMAT:
            return Unsealed(self.seals, None)
        if not record.is_whole:
            return Unsealed(self.seals, record.done)
        self.is_sealed = True
        return self.seals

    def learn_keys(self, transaction: Any) -> Seals:
        """The seals as the store says in a read transaction: it has got a data key.  Later ones are read with them
        too, unless one that saw a newer state has learned them already."""
        seals = self._seals_of(decode_seal(transaction.get(SEAL, None, self.handles[META])))
        at = int(transaction.id())
        if at >= self._seals_at:
            self.seals, self._seals_at = seals, at
        return seals

    def check_key(self, record: SealRecord) -> None:
        """S313 where this process has a key that is not the store's any more."""
        self._seals_of(record)

    def _seals_to_write(self, transaction: Any) -> Seals:
        """The seals of a write transaction: as the store says where it begins, since a data key that was added in one
        that was taken back must seal nothing.  Readers have others, which may be of an older state."""
        if self.seals.cipher is None:
            return self.seals
        record = decode_seal(transaction.get(SEAL, None, self.handles[META]))
        identity = _identity(record)
        if identity != self._written[0]:
            self._written = identity, self._seals_of(record)
        return self._written[1]

    @property
    def wrapping_key(self) -> bytes | None:
        """The key that wraps the data keys, where the store is encrypted."""
        return self._key

    def become_writer(self) -> None:
        """Opens the environment anew, for writing.  Only the owner of the store does."""
        with self._alone():
            try:
                if not self.is_sealed:
                    self._wait_for_others()
                self._reopen(readonly=False)
                self.environment.reader_check()
                with self.environment.begin() as transaction:
                    record = decode_seal(transaction.get(SEAL, None, self.handles[META]))
                    self.seals, self._seals_at = self._seals_of(record), int(transaction.id())
                self._written = _identity(record), self.seals
                self._settle()
                self._writes = True
            except OSError as error:
                raise open_error(self.path, error) from error
            except lmdb.Error as error:
                raise self.error(error) from error

    def _wait_for_others(self) -> None:
        """Closes the environment of a store that is to be brought up; S345 where another process keeps it open: it may
        be of a version that takes what is sealed for what is not.  Where sealing has begun, such ones are gone."""
        with self.environment.begin() as transaction:
            if check_about(self.path, transaction.get(ABOUT, None, self.handles[META]))[0] >= SEALED_FORMAT:
                return
        self._is_lost = True
        self.environment.close()
        give_up = time.monotonic() + OTHERS_SECONDS
        while (pid := other_user(self.path)) is not None:
            if time.monotonic() > give_up:
                raise StoreError("S345", path=str(self.path), format=FORMAT, pid=pid or "not known")
            time.sleep(0.05)

    def become_reader(self) -> None:
        """Opens the environment anew, for reading: after its disk has failed, LMDB may refuse even that otherwise."""
        with self._alone():
            self._writes = False
            self._reopen(readonly=True)

    def _reopen(self, *, readonly: bool) -> None:
        """Opens the environment anew.  Where that fails, for want of memory, say, whoever needs it next tries again."""
        self._is_lost = True
        self.environment.close()
        self.environment = self._open(readonly=readonly)
        self.handles = self._open_handles()
        self._is_lost = False

    def check_readers(self) -> None:
        """Frees what processes that were killed were reading.  Within a transaction of this process, which keeps the
        environment: to enter a second time would wait for whoever waits for that transaction."""
        self.environment.reader_check()

    def _settle(self) -> None:
        """Syncs what the last owner may not have, if it was killed or its disk failed: a head that it took back, the
        place of the store in its folder, that of the file in the store.  No page may be used again, and nobody be
        answered, before that is on the disk."""
        try:
            self.environment.sync(True)
            for folder in (self.path, self.path.parent):
                sync_folder(folder)
        except (OSError, lmdb.Error) as error:
            raise StoreError(GIVEN_UP, path=str(self.path), reason=str(error)) from error

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
        self._find_if_lost()
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
            try:
                yield LmdbTransaction(self, raw, self._seals_to_write(raw))
            finally:
                raw.abort()
        except lmdb.MapFullError as error:
            raise MapFull from error
        except lmdb.TxnFullError as error:
            raise TransactionFull from error
        finally:
            self._leave()

    def copy(self, folder: Path) -> None:
        """Copies what is committed now into a folder, without free pages.  Others go on writing; what they free is kept
        until the copy is made."""
        self._find_if_lost()
        self._enter()
        try:
            self.environment.copy(str(folder), compact=True)
        except lmdb.Error as error:
            raise self.error(error) from error
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
        """Doubles the map; False where it is at its limit.  StoreError where it cannot be had; the store goes on."""
        size = int(self.environment.info()["map_size"])
        if size >= self.options.map_limit:
            return False
        try:
            self._resize(min(size * 2, self.options.map_limit))
        except lmdb.Error as error:
            raise self.error(error) from error
        return True

    def _enter(self) -> None:
        with self._lock:
            while self._resizing:
                self._gate.wait()
            self._transactions += 1

    def _leave(self) -> None:
        with self._lock:
            self._transactions -= 1
            if self._resizing:
                self._gate.notify_all()

    def _resize(self, size: int) -> None:
        with self._alone():
            try:
                self.environment.set_mapsize(size)
            except lmdb.Error:
                # The map it had is gone by then, and with it the environment.
                self._is_lost = True
                with suppress(lmdb.Error):
                    self._reopen(readonly=not self._writes)
                raise

    def _find_if_lost(self) -> None:
        """Where the environment was lost, opens it anew.  StoreError where there is still no memory for it."""
        if self._is_lost:
            with self._alone():
                try:
                    if self._is_lost:
                        self._reopen(readonly=not self._writes)
                except lmdb.Error as error:
                    raise self.error(error) from error

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
        self._find_if_lost()
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

    def write_error(self, error: lmdb.Error) -> StoreError:
        """The StoreError for a commit that failed."""
        try:
            self.environment.begin().abort()
        except lmdb.PanicError:  # it was the head, which LMDB's own commits begin with: it takes no more either
            return StoreError(GIVEN_UP, path=str(self.path), reason=str(error))
        except lmdb.Error:
            pass  # readers get it
        return commit_error(self.path, error, self.options)

    def error(self, error: lmdb.Error) -> StoreError:
        """The StoreError for an error of LMDB."""
        return store_error(self.path, error, self.options)

    def close(self) -> None:
        """Closes the environment once no transaction is open."""
        with self._alone():
            self.environment.close()
