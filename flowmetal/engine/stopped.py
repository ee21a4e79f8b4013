"""Processes in memory that others have ended: a person kills one, say, that computes and commits nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping

from flowmetal.engine.live import Live
from flowmetal.store.interface import FINAL_STATUSES, Hint, Store


class Stopped:
    """What the store says has ended or paused, of the processes `hot` that an interpreter has in memory.

    `flying` are those in a commit; `wake` has the interpreter take a look.
    """

    def __init__(self, store: Store, hot: Mapping[int, Live], flying: Container[int], wake: Callable[[], None]) -> None:
        self._store = store
        self._hot = hot
        self._flying = flying
        self._wake = wake
        self._pids: deque[int] = deque()

    def hinted(self, hints: frozenset[Hint]) -> None:
        """Takes in hints, on whatever thread."""
        pids = [what for kind, what in hints if kind == "process" and what in self._hot]
        if pids:
            self._pids.extend(pids)
            self._wake()

    def take(self) -> list[int]:
        """Those that have ended without this interpreter; one in a commit is let go with its answer."""
        found = []
        while self._pids:
            pid = self._pids.popleft()
            live = self._hot.get(pid)
            if live is None or pid in self._flying or live.status in FINAL_STATUSES:
                continue
            record = self._store.process(pid)
            if record is None or record.status in FINAL_STATUSES:
                found.append(pid)
        return found
