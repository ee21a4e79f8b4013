"""The clock of a store where none is handed in: the time of day, going on where the system's clock is set back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class SteadyClock:
    """Nanoseconds since 1970 that never stand still and never go back.

    It is the time of day, but never less than what has passed on the monotonic clock since it last agreed with the
    time of day.  When the system's clock is set back it therefore goes on at the pace of the monotonic clock, ahead of
    the time of day, and timers are due after the time that they were set for; when the time of day has caught up, or
    is set forward (also by a sleep of the machine, which the monotonic clock does not count), it follows that again.
    Each process has its own: one that starts after the clock was set back is behind those that ran before.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._agreed = wall()
        self._agreed_at = elapsed()

    def __call__(self) -> int:
        with self._lock:
            elapsed, wall = self._elapsed(), self._wall()
            now = self._agreed + elapsed - self._agreed_at
            if wall >= now:
                self._agreed, self._agreed_at = wall, elapsed
                return wall
            return now
