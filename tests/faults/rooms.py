"""A disk, a map and an address space that get full at random points, and then have room again.

Run in a process of its own: `SEED COUNT FOLDER`.  A store is filled under a limit that is real to the system: a limit
on the size of files, a file system in memory (where this process may mount one), the store's own limit, a limit on
address space.  What was acknowledged must be there, errors are those of the catalogue, and once there is room everything
goes on in the same process.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from flowmetal.diagnostics.codes.store import CODES
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Post, PutArtifact, Start
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.lmdb_store import LmdbStore

KINDS = ("file size", "disk", "map", "address space")
POSTS_MAX = 400
#: With room again: how many are posted, and how long the store may take to notice.
MORE = 10
PATIENCE_SECONDS = 20.0
_libc = ctypes.CDLL(None, use_errno=True)


def mount(path: Path, size: int) -> bool:
    """Mounts a file system in memory of a size, or gives the one there another; whether this process may."""
    options = f"size={size}".encode()
    flags = 32 if os.path.ismount(path) else 0  # MS_REMOUNT
    return _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options) == 0


class Room:
    """One kind of limit around a store in `folder`."""

    def __init__(self, kind: str, folder: Path, chance: random.Random) -> None:
        self.kind = kind
        self.size = chance.randrange(500_000, 1_200_000)
        self.folder = folder
        self.extra = chance.randrange(1, 60) << 16
        if kind == "disk" and not mount(folder, 64 << 20):
            self.kind = "file size"
        limit = self.size + 600_000 if self.kind == "map" else 1 << 30
        self.options = LmdbOptions(map_size=32 << 20 if kind != "map" else 1 << 20, map_limit=limit)

    def narrow(self) -> None:
        """From now on there is little room."""
        if self.kind == "file size":
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))
        elif self.kind == "disk":
            assert mount(self.folder, self.size)
        elif self.kind == "address space":
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + self.extra, resource.RLIM_INFINITY))

    def widen(self) -> None:
        """There is room again."""
        for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS):
            resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if self.kind == "disk":
            assert mount(self.folder, 64 << 20)


def post(store: LmdbStore, number: int, size: int) -> str:
    """Posts a message; the code of what refused it, or ""."""
    try:
        future = store.submit([Post(1, "message", b"%d " % number + b"x" * size)])
        future.result(PATIENCE_SECONDS)
    except StoreError as error:
        assert CODES[error.code].hint and str(error), error
        return error.code
    except MemoryError:
        return "memory"
    return ""


def one(kind: str, folder: Path, chance: random.Random) -> str:
    """Fills a store, makes room, and looks: what refused."""
    room = Room(kind, folder, chance)
    path = folder / "store"
    store = LmdbStore(path, room.options, time.time_ns, create=True)
    store.submit([PutArtifact(b"h", b"code", "p"), Start("f", b"", name="p")]).result(60)
    sizes = (100, 3000, 20_000) if kind != "address space" else (3000, 300_000, 1_000_000)
    number, code = 1, ""
    room.narrow()
    while number < POSTS_MAX and not code:
        code = post(store, number, chance.choice(sizes))
        number += not code
    again = post(store, number, 100)
    number += not again
    room.widen()
    if kind == "map":
        store.close()
        room.options = LmdbOptions(map_limit=1 << 30)
        store = LmdbStore(path, room.options, time.time_ns, create=False)
    for _ in range(MORE):
        give_up = time.monotonic() + PATIENCE_SECONDS
        while refused := post(store, number, 1000):
            assert time.monotonic() < give_up, f"with room again it is refused: {refused}"
            time.sleep(0.002)
        number += 1
    store.close()
    store = LmdbStore(path, room.options, time.time_ns, create=False)
    found = [int(event.data.split()[0]) for event in store.inbox(1, 10_000) if event.kind == "message"]
    assert found == list(range(1, number)), f"{number - 1} were acknowledged, there are {found}"
    store.close()
    return f"{room.kind}: {code or 'not full'}"


def in_child(work: Callable[[], str]) -> str:
    """What `work` gives in a forked child; its error with "wrong" before it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.alarm(120)
        try:
            said = work()
        except BaseException:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            said = "wrong " + traceback.format_exc()[-1500:]
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return said if status == 0 else f"wrong: it ended with {os.waitstatus_to_exitcode(status)}"


def main() -> int:
    """Prints a line for each kind of refusal, and what is wrong."""
    seed, count, base = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    counts: dict[str, int] = {}
    wrong = 0
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        kind = KINDS[number % len(KINDS)]
        folder = base / str(number)
        folder.mkdir()
        said = in_child(lambda kind=kind, folder=folder, chance=chance: one(kind, folder, chance))  # type: ignore[misc]
        if os.path.ismount(folder):
            _libc.umount2(os.fsencode(folder), 2)
        shutil.rmtree(folder, ignore_errors=True)
        if said.startswith("wrong"):
            wrong += 1
            print(f"{kind}, number {number}: {said}")
        counts[said.splitlines()[0]] = counts.get(said.splitlines()[0], 0) + 1
    rooms = ", ".join(f"{count} {said}" for said, count in sorted(counts.items()))
    print(f"{count} fillings ({rooms}), {wrong} wrong; seed {seed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
