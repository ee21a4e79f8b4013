"""Waiting without polling: passes a store's hints on to whoever waits for them.

A hint may be lost, so whoever waits also looks at a slow interval (SLOW_POLL_SECONDS).  Where the store knows that
hints were missed, since another process began to commit, its hint is "everything": all who wait look.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable

from flowmetal.store.interface import Hint, Store

#: How often a waiter looks for itself, in case a hint was lost.
SLOW_POLL_SECONDS = 2.0


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> Callable[[], None]:
    """A listener that calls `function` in the loop's thread, and does nothing once the loop has ended."""

    def listener() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(function)

    return listener


class Hints:
    """Listeners by hint, over one watch of the store, which starts with the first listener.

    Listeners are called from a thread of the store and must only set something.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listeners: dict[Hint, dict[Callable[[], None], None]] = {}  # called in the order they came
        self._end: Callable[[], None] | None = None

    def listen(self, hints: Iterable[Hint], listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` on each of `hints`; returns what ends that."""
        hints = tuple(hints)
        with self._lock:
            for hint in hints:
                self._listeners.setdefault(hint, {})[listener] = None
            if self._end is None:
                self._end = self._store.watch(self._heard)

        def stop() -> None:
            with self._lock:
                for hint in hints:
                    listeners = self._listeners.get(hint, {})
                    listeners.pop(listener, None)
                    if not listeners:
                        self._listeners.pop(hint, None)

        return stop

    def close(self) -> None:
        """Ends the watch and wakes everyone once more."""
        with self._lock:
            end, self._end = self._end, None
            listeners = dict.fromkeys(listener for group in self._listeners.values() for listener in group)
            self._listeners.clear()
        if end is not None:
            end()
        for listener in listeners:
            listener()

    def _heard(self, hints: frozenset[Hint]) -> None:
        with self._lock:
            # Most commits concern nobody here, and there are few listeners: look from the smaller side.
            found = [hint for hint in hints if hint in self._listeners]
            if len(found) > 1:
                found = [hint for hint in self._listeners if hint in hints]
            called = dict.fromkeys(listener for hint in found for listener in self._listeners[hint])
            if ("everything", 0) in hints:
                called = dict.fromkeys(listener for group in self._listeners.values() for listener in group)
        for listener in called:
            listener()
