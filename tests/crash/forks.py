"""Operating system processes for crash harnesses: forks of one that has imported everything and opened nothing.

A fork has memory, sockets, locks and threads of its own and dies of SIGKILL like any other process; what it saves is
half a second of imports for each of thousands of starts.  The parent must never open a store or start a thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Forked:
    """A child that runs or ran."""

    pid: int
    log: Path
    code: int | None = field(default=None)

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs."""
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self) -> int:
        """Its exit code."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def send(self, number: int) -> None:
        """A signal, if it has not ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def check_alive(self) -> None:
        """AssertionError where it has ended by itself."""
        if self.poll() is not None:
            raise AssertionError(f"a child ended by itself with {self.code}\n{self.tail()}")

    def tail(self) -> str:
        """The end of what it has written."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


def fork(work: Callable[[], object], log: Path) -> Forked:
    """Forks a child that does `work` and leaves with 0, or with 1 and a traceback in its log.

    What `work` gives is written to `LOG.PID` as JSON where it is not None; see `outcome`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return Forked(pid, log)
    code = 1
    try:
        _die_with(parent)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)  # not those of a test runner
        result = work()
        if result is not None:
            outcome_file(log, os.getpid()).write_text(json.dumps(result))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """Has this process killed when its parent dies: one that is killed cannot kill its children."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def outcome_file(log: Path, pid: int) -> Path:
    """Where a child's result is."""
    return log.with_name(f"{log.name}.{pid}")


def run(work: Callable[[], object], log: Path, seconds: float = 120.0) -> Any:
    """Does `work` in a child and gives its result; AssertionError with its traceback where that failed or hung."""
    child = fork(work, log)
    give_up = time.monotonic() + seconds
    while child.poll() is None:
        if time.monotonic() > give_up:
            child.kill()
            raise AssertionError(f"a child was not done after {seconds:g} s\n{child.tail()}")
        time.sleep(0.002)
    if child.code != 0:
        raise AssertionError(f"a child ended with {child.code}\n{child.tail()}")
    found = outcome_file(log, child.pid)
    if not found.exists():
        return None
    result = json.loads(found.read_text())
    found.unlink()
    return result


class Acknowledged:
    """What clients were told is durable: lines of JSON that they append once they were told, and not before.

    A line is written by one call, so that a kill leaves it whole or not there.  It needs no sync: the system keeps it
    when a process dies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *facts: Any) -> None:
        """One more."""
        os.write(self._descriptor, json.dumps(facts).encode() + b"\n")

    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self._descriptor).st_size

    def all(self) -> list[list[Any]]:
        """All of them, in order."""
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._descriptor)


@contextlib.contextmanager
def killed_at_end(children: list[Forked]) -> Iterator[None]:
    """Kills what is left of some children, whatever happens."""
    try:
        yield
    finally:
        for child in children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGCONT)
                child.kill()
