"""Copies of a store: a backup of one that runs, a store made of a backup, and an encrypted store made of a plain one.

Each is made in a temporary folder next to its place, looked through, synced, and only then renamed into place: what is
there under its name is whole.  Nothing is overwritten.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from flowmetal.dataclass import dataclass, replace
from flowmetal.store.claims import fresh_epoch
from flowmetal.store.codec import decode_number, decode_partition, encode_about, encode_number, encode_partition
from flowmetal.store.encryption import DataCipher, new_data_key, unwrap, wrap
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.keys import KeySource
from flowmetal.store.layout import (
    FORMAT,
    INTERPRETERS,
    MAX_NUMBER,
    META,
    PARTITIONS,
    PROCESSES,
    SPACE_NAMES,
    read_pid,
    u16,
)
from flowmetal.store.lives import LIVES, decode_lives, encode_lives
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_files import (
    BACKUP_FILE,
    DATA_FILE,
    ENCRYPTING,
    ENGINE,
    INTERPRETERS_FOLDER,
    LIB_VERSION,
    LOCK_FILE,
    open_error,
    other_user,
    remove_left_encrypting,
    sync,
)
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.owner_lock import OwnerLock
from flowmetal.store.rekeying import digest_of
from flowmetal.store.resealing import seal_older
from flowmetal.store.scrub import PAGE, PAGE_BYTES, PAGE_RECORDS, Report
from flowmetal.store.scrubbing import is_in_use, scrub_store
from flowmetal.store.sealing import ABOUT, SEAL, SealRecord, Seals, decode_seal, encode_seal

#: Pids that are left out after a restore: at least, for each second since the backup more than a store starts, at most
#: for its age, and less than so many more that are drawn, so that two restores of one backup give different ones.
PIDS_LEFT_OUT = 1_000_000
STARTS_PER_SECOND_MAX = 20_000
PIDS_FOR_AGE_MAX = 1 << 32
PIDS_DRAWN = 1 << 24
#: Numbers of the order of arrival that are left out, of 2^61; and what they go on from where nobody knows the last.
ARRIVALS_LEFT_OUT = 1 << 40
ARRIVALS_BEYOND = 1 << 52

#: A folder in the making that is younger than this is somebody's, who is about to lock it.
YOUNG_SECONDS = 60.0

#: What an encrypted store is refused with that is opened without the right key.
_NEEDS_KEY = frozenset({"S311", "S312", "S313", "S314"})


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of it: the store's id, what was looked through, and how long it took."""

    path: str
    store: str
    report: Report
    bytes: int
    seconds: float

    @property
    def is_damaged(self) -> bool:
        """Whether records in it are damaged, which was asked for."""
        return self.report.found > 0


# ---- backup ----------------------------------------------------------------------------------------------------------


def backup(path: Path, options: LmdbOptions, place: Path, *, even_damaged: bool = False) -> Copied:
    """Makes a backup of a store, which may run meanwhile: the state of one moment, without what is free in the file.

    S318 where something is at its place, S319 where the store has damage.  `even_damaged`: damaged records are in the
    copy as they are, so that whoever needs one is told; without them a process might begin anew.  Damaged pages are
    S319 all the same, since nobody can tell what stood in them.
    """
    began = time.monotonic()
    with _made(place, "backing-up") as folder:
        engine = LmdbEngine(path, options, create=False)
        try:
            engine.copy(folder)
            facts: dict[str, Any] = {"store": engine.id, "made_at": time.time_ns(), "format": FORMAT, "engine": ENGINE}
        finally:
            engine.close()
        report = _looked_through(folder, options, path, even_damaged)
        facts |= {"records": report.records, "damaged": report.found}
        (folder / BACKUP_FILE).write_text(json.dumps(facts) + "\n")
        size = (folder / DATA_FILE).stat().st_size
    return Copied(str(place), str(facts["store"]), report, size, time.monotonic() - began)


def restore(path: Path, options: LmdbOptions, place: Path, *, even_damaged: bool = False) -> Copied:
    """Makes a store of a backup.  It has the id of the one that was copied, so that the idempotency keys of processes
    in it stay the same; those of new processes begin with an id of this life.  Epochs are beyond all that were given:
    an interpreter that held a claim of the old store can write nothing.

    S101 where there is no backup, S318 where something is at its place, S319 where the backup has damage, S320 where it
    is no backup but a store in use: a file that is written while it is copied is not the state of one moment.
    """
    began = time.monotonic()
    if not (path / DATA_FILE).is_file():
        raise StoreError("S101", path=str(path))
    if not (path / BACKUP_FILE).exists() and (pid := is_in_use(path)):
        raise StoreError("S320", path=str(path), pid=pid)
    with _made(place, "restoring") as folder:
        try:
            shutil.copyfile(path / DATA_FILE, folder / DATA_FILE)
        except OSError as error:
            raise open_error(path, error) from error
        report = _looked_through(folder, options, path, even_damaged)
        engine = LmdbEngine(folder, options, create=False)
        try:
            engine.become_writer()
            seal_older(engine)
            with engine.writing() as transaction:
                _raise_epochs(transaction)
                _begin_life(transaction, _age_seconds(path))
                transaction.commit()
            store_id = engine.id
        except lmdb.Error as error:
            raise engine.error(error) from error
        finally:
            engine.close()
        size = (folder / DATA_FILE).stat().st_size
    return Copied(str(place), store_id, report, size, time.monotonic() - began)


def _raise_epochs(transaction: LmdbTransaction) -> None:
    """Takes the claims of all interpreters, which belong to another life of the store."""
    newest = fresh_epoch(time.time_ns())
    for partition in range(PARTITION_COUNT):
        stored = _if_whole(transaction, PARTITIONS, u16(partition))
        epoch = 0 if stored is None else decode_partition(stored)[1]
        transaction.put(PARTITIONS, u16(partition), encode_partition("", max(newest, epoch + 1)))
    for key, _ in transaction.scan(INTERPRETERS, values=False):
        transaction.delete(INTERPRETERS, key)


def _if_whole(transaction: LmdbTransaction, space: str, key: bytes) -> bytes | None:
    """A record; None also where it is damaged."""
    try:
        return transaction.get(space, key)
    except StoreError as error:
        if not error.is_damage:
            raise
        return None


def _begin_life(transaction: LmdbTransaction, age_seconds: int) -> None:
    """Numbers that the old life may have given since the backup are not given again; new processes have an id of this
    life in their idempotency keys, whatever numbers they get."""
    last = transaction.scan(PROCESSES, limit=1, reverse=True, values=False)
    stored = _if_whole(transaction, META, b"counter:pid")
    pid = max(decode_number(stored) if stored is not None else 0, read_pid(last[0][0]) if last else 0)
    pid += PIDS_LEFT_OUT + min(age_seconds * STARTS_PER_SECOND_MAX, PIDS_FOR_AGE_MAX) + secrets.randbelow(PIDS_DRAWN)
    pid = min(pid, MAX_NUMBER - PIDS_LEFT_OUT)
    transaction.put(META, b"counter:pid", encode_number(pid))
    stored = _if_whole(transaction, META, b"counter:arrivals")
    arrivals = ARRIVALS_BEYOND if stored is None else decode_number(stored) + ARRIVALS_LEFT_OUT
    transaction.put(META, b"counter:arrivals", encode_number(arrivals))
    lives = decode_lives(_if_whole(transaction, META, LIVES))
    transaction.put(META, LIVES, encode_lives((*lives, (pid + 1, uuid.uuid4().hex))))


def _age_seconds(path: Path) -> int:
    """How long ago the backup was made, by the system's clock."""
    made = (path / DATA_FILE).stat().st_mtime
    try:
        made = min(made, json.loads((path / BACKUP_FILE).read_text())["made_at"] / 1e9)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a copy made by other means
    return max(0, int(time.time() - made))


def _looked_through(folder: Path, options: LmdbOptions, source: Path, even_damaged: bool = False) -> Report:
    """The report of a copy without damage; S319 for one with some.  `even_damaged`: only for damaged pages."""
    try:
        report = scrub_store(folder, replace(options, allow_network=True), pages=True)
    except StoreError as error:  # a wrong key, say: nobody knows the folder in the making
        if error.facts.get("path") != str(folder):
            raise
        raise StoreError(error.code, **{**error.facts, "path": str(source)}) from error
    wrong = [one for one in report.findings if one.kind == PAGE] if even_damaged else report.findings
    if wrong:
        first = wrong[0]
        reason = " ".join(part for part in (first.space, first.key, first.reason) if part)
        raise StoreError("S319", what=str(source), path=str(source), reason=reason)
    return report


@contextmanager
def _made(place: Path, what: str) -> Iterator[Path]:
    """A temporary folder that becomes `place` at the end, and is removed where something goes wrong."""
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise StoreError("S318", path=str(place))
        place.parent.mkdir(parents=True, exist_ok=True)
        left = f".{place.name}.{what}-"
        _remove_left(place.parent, left)
        folder = place.parent / f"{left}{uuid.uuid4().hex[:12]}"
        folder.mkdir(mode=0o700)
        held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends: somebody is at it
    except OSError as error:
        raise open_error(place, error) from error
    try:
        (folder / INTERPRETERS_FOLDER).mkdir(mode=0o700)
        yield folder
        (folder / LOCK_FILE).unlink(missing_ok=True)
        for made in folder.iterdir():
            if made.is_file():
                made.chmod(0o600)  # as a store's own; until now the folder has kept others out
                sync(made)
        sync(folder)
        os.rename(folder, place)
        sync(place.parent)
    except OSError as error:
        if place.exists() and folder.exists():
            raise StoreError("S318", path=str(place)) from error
        raise open_error(place, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _remove_left(parent: Path, name: str) -> None:
    """Removes what copies of this name have left that were killed.  One that is being made is locked."""
    for left in parent.glob(glob.escape(name) + "*"):
        try:
            if time.time() - left.stat().st_mtime < YOUNG_SECONDS:
                continue
            descriptor = os.open(left, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass  # somebody is making it
        finally:
            os.close(descriptor)


# ---- encryption ------------------------------------------------------------------------------------------------------


def encrypt(path: Path, options: LmdbOptions, source: KeySource) -> Copied:
    """Encrypts a store that nobody uses: all records are written into a new file, which then takes the place of the
    old one, so that nothing of them is left in a page that is free.  S320 where somebody uses it."""
    began = time.monotonic()
    key = source.fetch()
    lock = OwnerLock(path)
    if not (path / DATA_FILE).is_file():
        raise StoreError("S101", path=str(path))
    if (path / BACKUP_FILE).exists():
        raise StoreError("S317", path=str(path))
    if not lock.try_acquire():
        raise StoreError("S320", path=str(path), pid=max(0, is_in_use(path)))
    folder = path / f"{ENCRYPTING}{uuid.uuid4().hex[:12]}"
    try:
        remove_left_encrypting(path)
        _refuse_readers(path)
        engine = _plain_engine(path, options)
        try:
            engine.become_writer()
            seal_older(engine)
            folder.mkdir(mode=0o700)
            _write_encrypted(engine, folder, key)
            store_id = engine.id
        finally:
            engine.close()
        report = _looked_through(folder, replace(options, key=source), path)
        _refuse_readers(path)
        os.rename(folder / DATA_FILE, path / DATA_FILE)
        sync(path)
    except lmdb.Error as error:
        raise StoreError("S111", path=str(path), reason=str(error)) from error
    except OSError as error:
        raise open_error(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
    return Copied(str(path), store_id, report, (path / DATA_FILE).stat().st_size, time.monotonic() - began)


def _plain_engine(path: Path, options: LmdbOptions) -> LmdbEngine:
    """An engine for a store that is not encrypted; S316 for one that is, whatever key is at hand."""
    encrypted = "it is encrypted already"
    try:
        engine = LmdbEngine(path, replace(options, key=None, takes_plain=True), create=False)
    except StoreError as error:
        if error.code in _NEEDS_KEY:
            raise StoreError("S316", path=str(path), reason=encrypted) from error
        raise
    if engine.seals.cipher is not None:
        engine.close()
        raise StoreError("S316", path=str(path), reason=encrypted)
    return engine


def _refuse_readers(path: Path) -> None:
    """S320 where a process has the store open: it would go on reading the old file."""
    pid = other_user(path)
    if pid is not None:
        raise StoreError("S320", path=str(path), pid=pid or "that reads it")


def _write_encrypted(engine: LmdbEngine, folder: Path, key: bytes) -> None:
    data_key, generation = new_data_key(), 1
    seals = Seals(DataCipher(engine.id, {generation: data_key}, generation))
    keys = ((generation, wrap(key, data_key, engine.id, generation), time.time_ns()),)
    size = 2 * (engine.path / DATA_FILE).stat().st_size + (64 << 20)
    target = lmdb.open(
        str(folder), map_size=size, max_dbs=len(SPACE_NAMES) + 8, mode=0o600, lib_version=LIB_VERSION, sync=False
    )
    try:
        handles = {name: target.open_db(name.encode()) for name in SPACE_NAMES}
        for space in SPACE_NAMES:
            start = b""
            while True:
                with engine.reading() as transaction:
                    items = transaction.stored(space, start, PAGE_RECORDS, PAGE_BYTES)
                    sealed = [(at, seals.seal(space, at, transaction.open_stored(space, at, it))) for at, it in items]
                if not items:
                    break
                with target.begin(write=True) as into:
                    into.cursor(handles[space]).putmulti(sealed, append=space != META)
                start = items[-1][0] + b"\x00"
        with target.begin(write=True) as into:
            into.put(ABOUT, encode_about(FORMAT, ENGINE, engine.id, engine.made_at), db=handles[META])
            into.put(SEAL, encode_seal(SealRecord(keys=keys, current=generation)), db=handles[META])
        target.sync(True)
    finally:
        target.close()
    sync(folder / DATA_FILE)


def wrapped_anew(store: Any, key: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The data keys of an open store wrapped by another key, and the digest of what they were.  S316 for a store that
    is not encrypted."""
    engine: LmdbEngine = store.store.engine
    with engine.reading() as transaction:
        stored = transaction.get_meta(SEAL)
    record = decode_seal(stored)
    if not record.keys or engine.wrapping_key is None:
        raise StoreError("S316", path=str(engine.path), reason="it is not encrypted")
    found = []
    for generation, wrapped, _ in record.keys:
        data_key = unwrap(engine.wrapping_key, wrapped, engine.id, generation, str(engine.path))
        found.append((generation, wrap(key, data_key, engine.id, generation)))
    return found, digest_of(stored)
