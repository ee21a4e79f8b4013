"""open_store: from an address to a store.  A folder that is open in this process already is shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.store.addresses import parse_address
from flowmetal.store.clock import SteadyClock
from flowmetal.store.errors import StoreError
from flowmetal.store.failpoint import arm, fail_point
from flowmetal.store.futures import failed_future
from flowmetal.store.interface import Command, Hint, Store
from flowmetal.store.keys import KeySource
from flowmetal.store.lmdb_files import BACKUP_FILE
from flowmetal.store.lmdb_options import LmdbOptions, is_weaker
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.store.memory import MemoryStore
from flowmetal.store.store_reads import StoreReads
from flowmetal.store.transaction import ReadTransaction


def open_store(
    url_or_path: str | Path,
    *,
    create: bool = True,
    clock: Callable[[], int] | None = None,
    key: KeySource | None = None,
    options: LmdbOptions | None = None,
    to_write: bool = False,
) -> Store:
    """Opens `lmdb:///path`, a plain path (the same), or `memory:` (a new store that lives as long as the object).

    `create` makes the store where there is none.  `clock` gives the time in ns, for tests; without it a SteadyClock
    does.  Settings follow the path of an `lmdb:` address: `?map_limit=BYTES&network=allow`, `durability=` with what a
    power failure may cost (DURABILITIES), `key_file=` or `key_env=` with where the key of an encrypted store comes
    from, unless `key` says that; `options` stand for all of them.  Those of the first opening in a process count, and
    its clock, but S117 where a later one asks for a safer durability.
    `to_write` refuses a backup at once (S317), and not at the first write only.
    StoreError with an S1xx or S3xx code where it cannot be opened.
    """
    if isinstance(url_or_path, str) and url_or_path == "memory:":
        return MemoryStore(clock)
    path, said = parse_address(url_or_path)
    if to_write and os.path.exists(path / BACKUP_FILE):
        raise StoreError("S317", path=str(path))
    options = options or said
    if key is not None and options.key is None:
        options = replace(options, key=key)
    with _shared_lock:
        store = _find_open(path)
        if store is None:
            fault = fail_point(os.environ)
            arm(os.environ)
            store = LmdbStore(path, options, clock or SteadyClock(), create=create, fault=fault)
        elif is_weaker(store.engine.options.durability, options.durability):
            found = store.engine.options.durability
            raise StoreError("S117", path=str(path), found=found, wanted=options.durability)
        return _share(store)


class StoreHandle(StoreReads):
    """One opening of a store that this process may have open more than once."""

    def __init__(self, store: LmdbStore) -> None:
        self.store = store
        self.id = store.id
        self.origins = store.origins
        self.url = store.url
        self._closed = False
        self._watches: list[Callable[[], None]] = []

    def now(self) -> int:
        """The time of the store in ns."""
        return self.store.now()

    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """See Store."""
        if self._closed:
            return failed_future(StoreError("S114", path=str(self.store.path)))
        return self.store.submit(commands, here)

    def watch(self, callback: Callable[[frozenset[Hint]], None]) -> Callable[[], None]:
        """See Store."""
        self._check_open()
        remove = self.store.watch(callback)
        self._watches.append(remove)
        return remove

    def close(self) -> None:
        """Ends this opening and its watches; the last one closes the store."""
        with _shared_lock:
            if self._closed:
                return
            self._closed = True
            for remove in self._watches:
                remove()
            _unshare(self.store)

    def _reading(self) -> AbstractContextManager[ReadTransaction]:
        self._check_open()
        return self.store._reading()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("S114", path=str(self.store.path))

    def _engine_stats(self) -> dict[str, Any]:
        return self.store._engine_stats()


# ---- sharing within the process ----------------------------------------------------------------------------------

_shared_lock = threading.RLock()
_shared: dict[tuple[int, int], tuple[LmdbStore, int]] = {}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _find_open(path: Path) -> LmdbStore | None:
    identity = _identity(path)
    found = _shared.get(identity) if identity is not None else None
    return found[0] if found is not None else None


def _share(store: LmdbStore) -> StoreHandle:
    for identity, (known, count) in _shared.items():
        if known is store:
            _shared[identity] = (store, count + 1)
            return StoreHandle(store)
    identity_now = _identity(store.path)
    if identity_now is not None:
        _shared[identity_now] = (store, 1)
    return StoreHandle(store)


def _unshare(store: LmdbStore) -> None:
    for identity, (known, count) in _shared.items():
        if known is store:
            if count > 1:
                _shared[identity] = (store, count - 1)
                return
            del _shared[identity]
            break
    store.close()


def _after_fork() -> None:
    """In a child process the parent's stores are not ours: opening their folders opens them anew."""
    global _shared_lock
    _shared_lock = threading.RLock()
    _shared.clear()


os.register_at_fork(after_in_child=_after_fork)
