"""Locks that the operating system lets go of when a process dies: of the store's owner, and of interpreters.

`owner.lock` is held by the one process that commits; it says who that is and where its socket is.
`interpreters/HASH.lock` is held by the process that joined as that interpreter, so that one that was killed is seen to
be gone before its lease ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path

from flowmetal.dataclass import dataclass
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.lmdb_files import INTERPRETERS_FOLDER, open_error

OWNER_FILE = "owner.lock"
#: How long to try for an interpreter's lock, which others hold for moments while they look.
INTERPRETER_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OwnerInfo:
    """Who owns a store."""

    pid: int
    started: int  # clock ticks since the system started
    socket: str
    durability: str


class OwnerLock:
    """The lock of the owner.  The file stays; only the lock on it counts."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / OWNER_FILE
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Takes the lock if nobody has it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise open_error(self._path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def write_info(self, info: OwnerInfo | None) -> None:
        """Says who the owner is; only while the lock is held."""
        assert self._descriptor is not None
        data = b"" if info is None else json.dumps(asdict(info)).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def read_info(self) -> OwnerInfo | None:
        """Who the owner is, or was; None where that is not written (yet)."""
        try:
            data = json.loads(self._path.read_bytes())
            return OwnerInfo(int(data["pid"]), int(data["started"]), str(data["socket"]), str(data["durability"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def release(self) -> None:
        """Gives the lock back."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    forget = release  # after a fork: closing the copy of the descriptor does not give the parent's lock back


class InterpreterLocks:
    """The locks of the interpreters of this process, and a look at those of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / INTERPRETERS_FOLDER
        self._held: dict[str, int] = {}
        self._joins: dict[str, int] = {}
        self._lock = threading.Lock()

    def _path(self, interpreter: str) -> Path:
        name = check_name("the id of an interpreter", interpreter)
        return self._folder / (hashlib.sha256(name).hexdigest()[:32] + ".lock")

    def hold(self, interpreter: str) -> None:
        """Takes the lock of an interpreter of this process; S112 where another process has it."""
        path = self._path(interpreter)
        with self._lock:
            self._joins[interpreter] = self._joins.get(interpreter, 0) + 1
            if self._is_held(interpreter, path):
                return
            give_up = time.monotonic() + INTERPRETER_PATIENCE_SECONDS
            while True:
                descriptor = self._try(path)
                if descriptor is not None:
                    self._held[interpreter] = descriptor
                    return
                if time.monotonic() > give_up:
                    raise StoreError("S112", interpreter=interpreter)
                time.sleep(0.01)

    def _is_held(self, interpreter: str, path: Path) -> bool:
        descriptor = self._held.get(interpreter)
        if descriptor is None:
            return False
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
        except OSError:
            pass
        os.close(self._held.pop(interpreter))  # its file was taken away
        return False

    def _try(self, path: Path) -> int | None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise open_error(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except OSError:
            pass
        os.close(descriptor)
        return None

    def joins(self, interpreter: str) -> int:
        """How often `hold` was asked for it."""
        return self._joins.get(interpreter, 0)

    def drop(self, interpreter: str, joins: int) -> None:
        """Gives the lock of an interpreter back, and takes its file away; not if it has joined again since `joins`."""
        with self._lock:
            if self._joins.get(interpreter) != joins:
                return
            del self._joins[interpreter]
            descriptor = self._held.pop(interpreter, None)
            if descriptor is not None:
                self._path(interpreter).unlink(missing_ok=True)
                os.close(descriptor)

    def alive(self, interpreter: str) -> bool:
        """Whether the process that joined as this interpreter runs.  Where nothing is known, the lease decides."""
        path = self._path(interpreter)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            # Exclusive, so that of two that look only one takes the file away.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                return True  # it left and joined again at this moment: the file that is there now is a live one's
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return False  # it left at this moment
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Gives all locks back."""
        with self._lock:
            for descriptor in self._held.values():
                os.close(descriptor)
            self._held.clear()

    forget = release


def process_start_time(pid: int) -> int:
    """When a process started, in clock ticks since the system did; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
