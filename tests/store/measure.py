"""Measures commits: `python -m tests.store.measure [FOLDER]`.  Not a test; prints what docs and reports quote."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lmdb

from flowmetal.store import Store, open_store
from flowmetal.store.interface import Complete, Fire, Join, PutArtifact, Request, Start, Take, Turn
from flowmetal.store.memory import MemoryStore
from tests.store.support import OwnerProcess

HASH = b"h" * 32
EVENT, SEGMENT = b"e" * 100, b"s" * 200


def rate(what: str, count: int, work: Callable[[], object], rounds: int = 5) -> None:
    """Prints the median of some rounds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    median = statistics.median(times)
    print(f"{what:58} {count / median:10,.0f}/s {median / count * 1e6:10.1f} us each")


def raw(folder: Path) -> None:
    environment = lmdb.open(str(folder / "raw"), map_size=1 << 32, max_dbs=4, lib_version=0)
    database = environment.open_db(b"log")
    number = 0

    def commits(count: int, puts: int) -> None:
        nonlocal number
        for _ in range(count):
            with environment.begin(write=True, db=database) as transaction:
                for _ in range(puts):
                    number += 1
                    transaction.put(number.to_bytes(8, "big"), b"x" * 300)

    rate("raw LMDB, synced commit of 1 put of 300 B", 300, lambda: commits(300, 1))
    rate("raw LMDB, synced commit of 2,560 puts: puts", 2560 * 10, lambda: commits(10, 2560))
    environment.close()


class Turns:
    """Processes that do one turn after the other: a log entry, the old request closed, a new one opened."""

    def __init__(self, store: Store, processes: int) -> None:
        self.store = store
        store.submit([PutArtifact(HASH, b"code", "p")]).result()
        self.claim = store.submit([Join(f"measure{os.getpid()}", 3_600_000)]).result()[0]
        self.pids = [store.submit([Start("f", b"", name="p")]).result()[0][0] for _ in range(processes)]
        self.sequence = 0

    def turn(self, pid: int) -> Turn:
        n = self.sequence
        return Turn(
            pid,
            self.claim.epochs[pid % 64],
            n,
            "waiting",
            ((n, 0, EVENT, SEGMENT),),
            n + 1,
            taken=tuple(event.key for event in self.store.inbox(pid)) if n == 0 else (),
            requests=(Request(pid, n, "sleep", b"p" * 50, b"o", f"{pid}-{n}", queued=False),),
            closed=(n - 1,) if n else (),
            waits="sleep",
        )

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            assert self.store.submit([self.turn(self.pids[0])]).result() == [True]
            self.sequence += 1

    def waves(self, count: int, as_one_list: bool) -> None:
        for _ in range(count):
            turns = [self.turn(pid) for pid in self.pids]
            if as_one_list:
                assert all(self.store.submit(turns).result())
            else:
                for future in [self.store.submit([turn]) for turn in turns]:
                    assert future.result() == [True]
            self.sequence += 1


def turns(what: str, opened: Callable[[], Store]) -> None:
    store = opened()
    one = Turns(store, 1)
    rate(f"{what}: one process, turn after turn", 300, lambda: one.one_by_one(300))
    many = Turns(store, 256)
    rate(f"{what}: 256 units (one list each), then the next", 256 * 4, lambda: many.waves(4, False))
    many = Turns(store, 256)
    rate(f"{what}: 256 turns in one list", 256 * 4, lambda: many.waves(4, True))
    pid = many.pids[0]
    n = many.sequence
    requests = tuple(Request(pid, 100_000 + k, "w", b"p", b"o", "k") for k in range(1500))
    store.submit([Turn(pid, many.claim.epochs[pid % 64], n, "waiting", (), n, requests=requests)]).result()

    def work(count: int) -> None:
        for _ in range(count):
            found = store.submit([Take(("w",), "w", 1, 1000)]).result()[0][0]
            store.submit([Complete(pid, found.number, found.attempt, True, b"v")]).result()

    rate(f"{what}: take and complete (two commits)", 200, lambda: work(200))
    rate(f"{what}: read of a process", 2000, lambda: [store.process(pid) for _ in range(2000)])
    rate(f"{what}: ready() of 64 partitions, nothing ready", 2000, lambda: [store.ready([5], 9) for _ in range(2000)])
    rate(f"{what}: Fire with nothing due", 500, lambda: [store.submit([Fire()]).result() for _ in range(500)])
    store.close()


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        raw(folder)
        turns("LMDB, owner", lambda: open_store(folder / "owned"))
        owner = OwnerProcess()
        clock = folder / "clock"
        clock.write_bytes(time.time_ns().to_bytes(8, "little"))
        owner.own(folder / "attached", clock)
        turns("LMDB, attached", lambda: open_store(folder / "attached"))
        owner.close()
        turns("memory", MemoryStore)


if __name__ == "__main__":
    main()
