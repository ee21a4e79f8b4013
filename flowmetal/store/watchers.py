"""Watchers: the callbacks that are told what a commit changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from flowmetal.store.interface import PARTITIONS, Hint

_log = logging.getLogger(__name__)

#: What a watcher is told where hints may have been missed: when it begins to watch, and when another process begins to
#: commit.  "everything" stands for the effects and processes, which cannot be listed: whoever waits for any hint looks.
EVERYTHING: frozenset[Hint] = frozenset(
    {("everything", 0), ("claims", 0), ("timer", 0), *(("ready", partition) for partition in range(PARTITIONS))}
)


class Watchers:
    """Callbacks with hints.  A callback that raises is logged and keeps its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[frozenset[Hint]], None]] = {}

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self, callback: Callable[[frozenset[Hint]], None]) -> Callable[[], None]:
        """Adds a callback; returns what removes it, which may be called more than once."""
        token = object()
        with self._lock:
            self._callbacks[token] = callback

        def remove() -> None:
            with self._lock:
                self._callbacks.pop(token, None)

        return remove

    def tell(self, hints: frozenset[Hint]) -> None:
        """Calls all of them, on this thread; nothing where there are no hints."""
        if not hints or not self._callbacks:
            return
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            try:
                callback(hints)
            except Exception:
                _log.exception("a watcher of the store failed")
