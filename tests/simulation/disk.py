"""The simulated disk: an engine for the store's committer whose tables are in memory.

A transaction writes in place and keeps what it takes to undo it, as the memory store does.  What a power cut leaves is
what was synced.  Whether a commit fails, and with what left behind, the world says each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from flowmetal.store.codec import encode_about
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.layout import FORMAT, META, SPACE_NAMES
from flowmetal.store.lmdb_engine import MapFull
from flowmetal.store.lmdb_errors import LmdbError
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.memory import MemoryTransaction
from flowmetal.store.sorted_table import SortedTable

Undo = list[tuple[SortedTable, bytes, bytes | None]]

#: When the first simulation begins by the clock of all of them: 2026-01-01.
BEGIN = 1_767_225_600 * 10**9


class DiskFailed(LmdbError):
    """A write or sync that failed."""


class DiskFull(LmdbError):
    """No room for this commit."""


class MapFullError(LmdbError):
    """A put that needs a larger map."""


class Disk:
    """The tables, what of them is not synced, and a hash over everything that was ever committed."""

    def __init__(self, id: str, synced: bool) -> None:
        self.id = id
        self.synced = synced  # whether each commit is
        self.tables = {space: SortedTable() for space in SPACE_NAMES}
        self.unsynced: list[Undo] = []  # of commits, the oldest first
        self.trace = hashlib.sha256()
        self.commits = 0
        self.began: Callable[[], None] = lambda: None  # a write transaction begins
        self.ended: Callable[[], None] = lambda: None  # its writes are there
        self.tables[META].put(b"about", encode_about(FORMAT, "simulated", id, BEGIN))

    def take_in(self, undo: Undo) -> None:
        """Has a commit durable, or at least visible."""
        self.commits += 1
        for table, key, _ in sorted(undo, key=itemgetter(1)):
            self.trace.update(key)
            value = table.get(key)
            self.trace.update(b"-" if value is None else value)
        if not self.synced:
            self.unsynced.append(undo)
        self.ended()

    def sync(self) -> None:
        """Makes everything durable."""
        self.unsynced.clear()

    def cut_power(self, kept: int) -> int:
        """Drops what was not synced but for the first `kept` commits of it; how many were dropped."""
        dropped = self.unsynced[kept:]
        for undo in reversed(dropped):
            _take_back(undo)
        self.unsynced.clear()
        self.commits -= len(dropped)
        return len(dropped)


def _take_back(undo: Undo) -> None:
    for table, key, old in reversed(undo):
        if old is None:
            table.delete(key)
        else:
            table.put(key, old)


class DiskTransaction(MemoryTransaction):
    """A write transaction, or a child of one."""

    def __init__(self, engine: SimulatedEngine, parent: DiskTransaction | None = None) -> None:
        super().__init__(engine.disk.tables)
        self._engine = engine
        self._parent = parent
        self._over = False

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """See WriteTransaction; the map may be full."""
        self._engine.before_put()
        super().put(space, key, value)

    def child(self) -> DiskTransaction:
        """A transaction within this one."""
        return DiskTransaction(self._engine, self)

    def commit(self) -> None:
        """Makes it part of its parent, or durable; what it fails with the world says."""
        if self._parent is not None:
            self._parent._undo += self._undo
        else:
            self._engine.before_commit()
            self._engine.disk.take_in(self._undo)
        self._undo = []
        self._over = True
        if self._parent is None:
            self._engine.after_commit()

    def abort(self) -> None:
        """Takes its writes back, unless it is committed."""
        if not self._over:
            self.roll_back()


class _Reading:
    """A read transaction as a `with` block; nothing is written while one is open."""

    def __init__(self, tables: dict[str, SortedTable]) -> None:
        self._transaction = MemoryTransaction(tables)

    def __enter__(self) -> MemoryTransaction:
        return self._transaction

    def __exit__(self, *error: object) -> None:
        pass


class SimulatedEngine:
    """What the committer takes for LMDB.  The hooks are called before a put, before and after a commit."""

    def __init__(
        self, disk: Disk, before_put: Callable[[], None], before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self.disk = disk
        self.id = disk.id
        self.path = Path("simulated")
        self.options = LmdbOptions()
        self.before_put = before_put
        self.before_commit = before
        self.after_commit = after
        self.grown = 0
        self._reading = _Reading(disk.tables)

    @property
    def is_synced(self) -> bool:
        """Whether commits are synced by themselves."""
        return self.disk.synced

    @contextmanager
    def writing(self) -> Iterator[DiskTransaction]:
        """A write transaction, taken back where it is not committed."""
        transaction = DiskTransaction(self)
        self.disk.began()
        try:
            yield transaction
        except MapFullError as error:
            raise MapFull from error
        finally:
            transaction.abort()

    def reading(self) -> _Reading:
        """What was committed, synced or not."""
        return self._reading

    def check_room(self) -> None:
        """There is always room for a new process."""

    def grow(self) -> bool:
        """Makes the map larger."""
        self.grown += 1
        return True

    def write_error(self, error: Any) -> StoreError:
        """The error of a failed commit, as LMDB's engine has it."""
        if isinstance(error, DiskFull):
            return StoreError("S301", path="simulated", reason="no space left")
        return StoreError(GIVEN_UP, path="simulated", reason=str(error))

    def error(self, error: Any) -> StoreError:
        """Any other error."""
        return StoreError("S303", path="simulated", reason=str(error))
