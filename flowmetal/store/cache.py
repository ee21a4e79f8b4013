"""Cache: what the one that commits keeps in memory from one group of commands to the next."""

from __future__ import annotations

from flowmetal.store.queue_rows import (
    QueueRow,
)
from flowmetal.store.rows import (
    Origin,
    ProcessRow,
)

#: Rows that stay in memory between groups: the processes that had something to do last, about 1 KB each.
MAX_CACHED_ROWS = 10_000
MAX_CACHED_ORIGINS = 1000


class Cache:
    """What stays in memory from one group of commands to the next: rows, epochs and counters as they were committed.

    Belongs to the one that commits; used by one thread at a time.
    """

    __slots__ = ("counters", "epochs", "origins", "queues", "rows", "store_id")

    def __init__(self, store_id: str) -> None:
        self.store_id = store_id
        self.rows: dict[int, ProcessRow] = {}
        self.epochs: dict[int, int] = {}
        self.counters: dict[str, int] = {}
        self.origins: dict[Origin, int] = {}
        self.queues: dict[int, QueueRow] = {}

    def clear(self) -> None:
        """Forgets everything: what was applied is not going to be committed, or somebody else wrote."""
        self.rows.clear()
        self.epochs.clear()
        self.counters.clear()
        self.origins.clear()
        self.queues.clear()

    def trim(self) -> None:
        """Keeps the newest rows only.  Between groups."""
        excess = len(self.rows) - MAX_CACHED_ROWS
        if excess > 0:
            for pid in list(self.rows)[: excess + MAX_CACHED_ROWS // 4]:
                del self.rows[pid]
        if len(self.origins) > MAX_CACHED_ORIGINS:
            self.origins.clear()
