"""Signals: what other threads tell the interpreter's, and its waiting for them.

A signal only says where to look; that there is something is always to be found in the store, so that a lost one costs a
delay and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container

from flowmetal.store.interface import Hint


class Signals:
    """The flags are set by any thread and taken back by the interpreter's, which alone waits."""

    def __init__(self) -> None:
        self.ready = True  # the ready marks are to be looked at
        self.timers = True  # the first timer may be another one
        self.claims = False  # the store is to be joined again
        self.stopping = False
        self._condition = threading.Condition()
        self._news = False

    def wake(self) -> None:
        """Ends a wait."""
        with self._condition:
            self._news = True
            self._condition.notify_all()

    def join_again(self) -> None:
        """Has the store joined again."""
        self.claims = True
        self.wake()

    def stop(self) -> None:
        """Has the interpreter's thread end."""
        self.stopping = True
        self.wake()

    def hinted(self, hints: frozenset[Hint], partitions: Container[int]) -> None:
        """Takes in what the store says after a commit; ready marks of other partitions are somebody else's."""
        news = False
        for kind, what in hints:
            if kind == "ready" and what in partitions:
                self.ready = news = True
            elif kind == "timer":
                self.timers = news = True
            elif kind == "claims":
                self.claims = news = True
        if news:
            self.wake()

    def wait(self, seconds: Callable[[], float]) -> None:
        """Waits for so long, or until there is news; not at all if there was some since the last wait."""
        with self._condition:
            if not self._news and not self.stopping:
                self._condition.wait(seconds())
            self._news = False
