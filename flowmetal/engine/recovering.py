"""Calls that the last holder of a partition had under way: whoever has it now makes them again."""

from __future__ import annotations

from collections import deque

from flowmetal.store.errors import StoreError
from flowmetal.store.interface import PARTITIONS, Store

#: Processes looked at in one round when requests of in-process functions are found again after a start.
RECOVER_PAGE = 500


class Recovery:
    """Finds the processes of newly claimed partitions that have such calls open; a page a round.

    Whoever loads a process makes its open calls.  The store lists those that have some, so that a start does not look
    at what is parked; those that are paused are loaded when they are resumed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rest: deque[tuple[int, frozenset[int]]] = deque()  # (after pid, partitions) still to be looked through

    def __bool__(self) -> bool:
        return bool(self._rest)

    def begin(self, partitions: frozenset[int]) -> None:
        """Has partitions looked through."""
        self._rest.append((0, partitions))

    def page(self) -> tuple[list[int], bool]:
        """Pids that are to be loaded, and whether any were looked at."""
        after, partitions = self._rest[0]
        pids = self._store.calls(after, RECOVER_PAGE)
        self._rest.popleft()
        found = [pid for pid in pids if pid % PARTITIONS in partitions and not self._is_paused(pid)]
        if len(pids) == RECOVER_PAGE:
            self._rest.append((pids[-1], partitions))
        return found, bool(pids)

    def _is_paused(self, pid: int) -> bool:
        try:
            record = self._store.process(pid)
        except StoreError as error:
            if not error.is_damage:
                raise
            return False  # a turn finds out what is the matter
        return record is None or record.status == "paused"
