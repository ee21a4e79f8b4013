"""The clock of a store where none is handed in: the time of day, going on where the system's clock is set back."""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: The file in a store's folder by which the processes that use it agree on the time: what tells that their monotonic
#: clocks are the same one (16 bytes), and the time of the store when that clock was at 0 (8 bytes).
CLOCK_FILE = "clock"
_MARK_BYTES = 16
_BYTES = _MARK_BYTES + 8

#: The others are told of a clock that was set forward by more than this; less is how long it takes to look at it.
_TELL_NS = 1_000_000


class SteadyClock:
    """Nanoseconds since 1970 that never stand still and never go back.

    It is the time of day, but never less than what has passed on the monotonic clock since it last agreed with the
    time of day.  When the system's clock is set back it therefore goes on at the pace of the monotonic clock, ahead of
    the time of day, and timers are due after the time that they were set for; when the time of day has caught up, or
    is set forward (also by a sleep of the machine, which the monotonic clock does not count), it follows that again.
    The processes of a machine that share it, by a file, have one clock, also those that start after it was set back;
    it lasts until the machine starts again.  Without one each process has its own.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._mark = b""
        self._file = -1
        self._shared: mmap.mmap | None = None
        self._seen = b""  # what was shared when that was last looked at, and had nothing to tell or to be told
        self._base = self._look()[0]  # the time when the monotonic clock was at 0

    def share(self, path: Path) -> None:
        """Shares the clock by a file, which is made where there is none.  Where that cannot be, it stays alone."""
        mark = _mark()
        if self._shared is not None or not mark:
            return
        with suppress(OSError, ValueError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                found = os.pread(file, _BYTES, 0)
                if len(found) < _BYTES or found[:_MARK_BYTES] != mark:  # new, or of before the machine started
                    os.pwrite(file, mark + self._base.to_bytes(8, "little", signed=True), 0)
                shared = mmap.mmap(file, _BYTES, prot=mmap.PROT_READ)
            except BaseException:
                os.close(file)
                raise
            self._mark, self._file, self._shared = mark, file, shared

    def close(self) -> None:
        """Stops sharing."""
        with self._lock:
            shared, self._shared = self._shared, None
            if shared is not None:
                shared.close()
                os.close(self._file)

    def __call__(self) -> int:
        wall = self._wall()
        elapsed = self._elapsed()
        if wall - elapsed <= self._base:
            # Nearly always, and without a lock: whoever has set `_base` meanwhile is later only by what lies between.
            shared = self._shared
            if shared is None or shared[:_BYTES] == self._seen:
                return self._base + elapsed
        with self._lock:
            base, elapsed = self._look()
            base = max(base, self._base)
            shared = self._shared
            if shared is not None:
                seen = shared[:_BYTES]
                if seen[:_MARK_BYTES] == self._mark:
                    told = int.from_bytes(seen[_MARK_BYTES:], "little", signed=True)
                    if told > base:
                        base = told
                    elif base - told > _TELL_NS:
                        seen = b""
                        # By a write: one to a map ends the process where the disk is full.
                        with suppress(OSError):
                            os.pwrite(self._file, base.to_bytes(8, "little", signed=True), _MARK_BYTES)
                self._seen = seen
            self._base = base
            return base + elapsed

    def _look(self) -> tuple[int, int]:
        """(the time when the monotonic clock was at 0, that clock).  Read in this order the first is never too late,
        however long this thread stands still in between."""
        wall = self._wall()
        elapsed = self._elapsed()
        return wall - elapsed, elapsed


def _mark() -> bytes:
    """What is the same for processes whose monotonic clocks are the same one; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        namespace = os.readlink("/proc/self/ns/time")
    except OSError:
        return b""
    return hashlib.sha256(boot + namespace.encode()).digest()[:_MARK_BYTES]
