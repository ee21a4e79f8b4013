"""The memory engine: the same commands and reads over tables in memory, for tests, simulation and `memory:`.

`submit` does its work before it returns, so that a test or a simulation with one thread is deterministic; the clock is
whatever the caller hands in.  A `fault` hook may raise at named points, as a disk would.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from typing import Any

from flowmetal.store.cache import Cache
from flowmetal.store.changes import Changes
from flowmetal.store.clock import SteadyClock
from flowmetal.store.codec import encode_about
from flowmetal.store.commands import apply_all
from flowmetal.store.errors import StoreError
from flowmetal.store.futures import failed_future, make_future, settle
from flowmetal.store.interface import Command, Hint, Rekey
from flowmetal.store.layout import FORMAT, META, SPACE_NAMES
from flowmetal.store.sorted_table import SortedTable
from flowmetal.store.store_reads import StoreReads
from flowmetal.store.transaction import Damaged, Items, ReadTransaction, WriteTransaction
from flowmetal.store.watchers import Watchers

_log = logging.getLogger(__name__)

ENGINE = "memory"


class MemoryTransaction(WriteTransaction):
    """Reads and writes the tables in place and keeps what it takes to undo the writes."""

    def __init__(self, tables: dict[str, SortedTable]) -> None:
        self.writes = 0
        self._tables = tables
        self._undo: list[tuple[SortedTable, bytes, bytes | None]] = []

    def get(self, space: str, key: bytes) -> bytes | None:
        """See ReadTransaction."""
        return self._tables[space].get(key)

    def _up(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items:
        table = self._tables[space]
        found = []
        for key, value in islice(table.from_key(max(prefix, start)), min(limit, len(table))):
            if not key.startswith(prefix) or (stop and key >= stop):
                break
            found.append((key, value))
        return found

    def _down(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items:
        table = self._tables[space]
        found: Items = []
        for key, value in table.down_from(start or (prefix + b"\xff" * 64 if prefix else None)):
            if len(found) >= limit or (prefix and not key.startswith(prefix)):
                break
            if not stop or key < stop:
                found.append((key, value))
        return found

    def count(self, space: str) -> int:
        """See ReadTransaction."""
        return len(self._tables[space])

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """See WriteTransaction."""
        table = self._tables[space]
        self._undo.append((table, key, table.get(key)))
        table.put(key, value)
        self.writes += 1

    def put_all(self, space: str, items: Items) -> None:
        """See WriteTransaction."""
        for key, value in items:
            self.put(space, key, value)

    def delete(self, space: str, key: bytes) -> bool:
        """See WriteTransaction."""
        table = self._tables[space]
        old = table.delete(key)
        if old is None:
            return False
        self._undo.append((table, key, old))
        self.writes += 1
        return True

    def rekey(self, command: Rekey) -> tuple[int, int, bool]:
        """See WriteTransaction."""
        raise StoreError("S316", path="memory:", reason="what is in memory is not encrypted")

    def roll_back(self) -> None:
        """Takes all writes back."""
        for table, key, old in reversed(self._undo):
            if old is None:
                table.delete(key)
            else:
                table.put(key, old)
        self._undo.clear()


class MemoryStore(StoreReads):
    """A store that lives as long as this object.  Safe for threads.

    `clock` gives the time in ns; without it a SteadyClock does.  `fault` is called with "commit" before each commit
    that has something to write; what it raises is what the commit fails with, and nothing of it is kept.
    """

    def __init__(
        self,
        clock: Callable[[], int] | None = None,
        fault: Callable[[str], None] | None = None,
        url: str = "memory:",
    ) -> None:
        self.id = uuid.uuid4().hex
        self.origins = {}
        self.url = url
        self.fault = fault
        self.commits = 0  # that had something to write
        self._clock = clock or SteadyClock()
        self._latest = 0
        self._closed = False
        self._lock = threading.RLock()
        self._tables = {space: SortedTable() for space in SPACE_NAMES}
        self._cache = Cache(self.id)
        self._watchers = Watchers()
        self._tables[META].put(b"about", encode_about(FORMAT, ENGINE, self.id, self.now()))

    def now(self) -> int:
        """The time of the store in ns; never goes back, whatever the clock does."""
        with self._lock:
            self._latest = max(self._latest, self._clock())
            return self._latest

    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """The results; done, or failed, when it returns.  Watchers are called before it returns."""
        try:
            results, hints = self._apply(commands)
        except StoreError as error:
            return failed_future(error)
        except Exception as error:
            _log.exception("a command of the store failed")
            return failed_future(StoreError("S307", reason=f"{type(error).__name__}: {error}"))
        future = make_future()
        settle(future, results)
        self._watchers.tell(hints)
        return future

    def watch(self, callback: Callable[[frozenset[Hint]], None]) -> Callable[[], None]:
        """Calls back on the thread that submitted."""
        self._check_open()
        return self._watchers.add(callback)

    def close(self) -> None:
        """Ends the store; its content is gone."""
        self._closed = True

    def _apply(self, commands: Sequence[Command]) -> tuple[list[Any], frozenset[Hint]]:
        with self._lock:
            self._check_open()
            transaction = MemoryTransaction(self._tables)
            changes = Changes(transaction, self.now(), self._cache)
            try:
                results = apply_all(changes, commands)
                if transaction.writes:
                    changes.flush()
                    if self.fault is not None:
                        self.fault("commit")
                    self.commits += 1
            except BaseException:
                transaction.roll_back()
                self._cache.clear()
                raise
            self._cache.trim()
            return results, frozenset(changes.hints)

    @contextmanager
    def _reading(self) -> Iterator[ReadTransaction]:
        with self._lock:
            self._check_open()
            yield MemoryTransaction(self._tables)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("S114", path=self.url)

    def _engine_stats(self) -> dict[str, Any]:
        return {"engine": ENGINE, "id": self.id, "role": "owner"}
