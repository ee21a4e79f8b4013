"""Processes in memory for which something has arrived: they need not be looked for among all that are ready.

Ready marks are read in the order in which they were made, and while many are queued none are read.  Behind a swarm of
processes that begin, one whose timer has fired would wait for all of them.  So the store names those it has marked, and
those of them that are in memory go straight into their line.  A hint that is lost costs a delay and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container

from flowmetal.store.interface import Hint

#: Pids that are remembered: what is woken beyond is found by its mark.
KEPT = 100_000


class Woken:
    """What the store says has been marked ready, of the processes `hot` that an interpreter has in memory."""

    def __init__(self, hot: Container[int], wake: Callable[[], None]) -> None:
        self._hot = hot
        self._wake = wake
        self._pids: deque[int] = deque(maxlen=KEPT)

    def hinted(self, hints: frozenset[Hint]) -> None:
        """Takes in hints, on whatever thread."""
        pids = sorted(what for kind, what in hints if kind == "woken" and what in self._hot)
        if pids:
            self._pids.extend(pids)
            self._wake()

    def take(self) -> list[int]:
        """Those that came since, each once."""
        found: dict[int, None] = {}
        while self._pids:
            found[self._pids.popleft()] = None
        return list(found)
