"""Processes that commands leave behind, however they have hidden: in a session of their own, without any variable.

On Linux a process can ask to adopt what its descendants leave: a process whose parent ends becomes its child then, and
not one of init.  `flowvm serve` asks for it.  So every process that a command has started is found in the end: those
that are not children of another one of the command are children of the server.

From which command an orphan comes is not known, as it may have changed everything that tells.  What is known is when it
began: it is killed when no command runs any more that began before it.  Its own command has ended then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from flowmetal.dataclass import dataclass

#: Of prctl(2).
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class _Run:
    """The first process of a command: when it began, in the system's ticks, and whether it has ended."""

    began: int
    over: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A child of this process, as the system tells of it."""

    pid: int
    is_zombie: bool
    session: int
    began: int


_lock = threading.Lock()
_runs: dict[int, _Run] = {}
_starting = 0
_adopts = False
_since = 0  # when it began to adopt


def adopt() -> bool:
    """Makes this process the parent of what commands leave behind -> whether it is.

    For a process that starts children in other sessions for commands alone: whatever else is such a child is killed, if
    it has begun since.
    """
    global _adopts, _since
    # The first process of a container has orphans of everybody there as children, whatever it asks for.
    if not sys.platform.startswith("linux") or os.getpid() == 1:
        return False
    _since = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    try:
        _adopts = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (OSError, AttributeError, ValueError):  # another C library, or none
        _adopts = False
    return _adopts


def adopts() -> bool:
    """Whether orphans of commands are children of this process."""
    return _adopts


@contextlib.contextmanager
def starting() -> Iterator[Callable[[int], None]]:
    """Around the start of a command; what it gives is told the first process."""
    global _starting
    with _lock:
        _starting += 1

    def started(pid: int) -> None:
        with _lock:
            _runs[pid] = _Run(_began(pid))

    try:
        yield started
    finally:
        with _lock:
            _starting -= 1


def over(pid: int) -> None:
    """A command is over: what it has left may be killed.  Its first process may still have to be waited for."""
    with _lock:
        if pid in _runs:
            _runs[pid].over = True


def forget(pid: int) -> None:
    """The first process of a command was waited for."""
    with _lock:
        _runs.pop(pid, None)


def to_kill(children: Sequence[Child]) -> list[int]:
    """Which of the children of this process no command needs any more; those that have ended are waited for.

    Nothing while a command is being started: its process is not known yet.  Its end looks again.
    """
    if not children or not _adopts:
        return []
    session = os.getsid(0)
    found = []
    with _lock:
        if _starting:
            return []
        running = [run.began for run in _runs.values() if not run.over]
        for child in children:
            # Every command has a session of its own, which nothing of it can leave for this one.
            if child.pid in _runs or child.session == session or child.began < _since:
                continue
            if child.is_zombie:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
            elif not any(began <= child.began for began in running):
                found.append(child.pid)
    return found


def _began(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return began_of(file.read().rpartition(b")")[2].split())
    except (OSError, IndexError, ValueError):
        return 0  # it is over already, or not told: all that runs may be of it


def began_of(fields: Sequence[bytes]) -> int:
    """When a process began, from the fields behind its name in /proc/PID/stat."""
    return int(fields[19])
