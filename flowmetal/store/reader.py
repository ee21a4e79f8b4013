"""StoreReader: the reads of a store in a folder and nothing else, for commands that look and end at once.

It loads no part that writes, which is most of a store, and so begins in a third of the time.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from flowmetal.store.addresses import parse_address
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.store_reads import StoreReads
from flowmetal.store.transaction import ReadTransaction


class StoreReader(StoreReads):
    """Reads a store that is there: S101 where none is.  One for a folder in a process, and no open_store beside it."""

    def __init__(self, url_or_path: str) -> None:
        path, options = parse_address(url_or_path)
        self._engine = LmdbEngine(path, options, create=False)
        self.id = self._engine.id
        self.url = f"lmdb://{path}"
        self.origins = {}

    def now(self) -> int:
        """The time in ns."""
        return time.time_ns()

    def close(self) -> None:
        """Lets go of the store."""
        self._engine.close()

    def _reading(self) -> AbstractContextManager[ReadTransaction]:
        return self._engine.reading()

    def _engine_stats(self) -> dict[str, Any]:
        return self._engine.stats()
