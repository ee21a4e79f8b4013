"""The physical limits as a side: what a synced write costs on this disk with nothing around it.

`raw_side.py FOLDER`.  A step is one synced LMDB commit with two puts of 200 bytes, `fsync` an append of 200 bytes.
"""

from __future__ import annotations

import os
import sys
import time

import lmdb

from benchmarks.peers.answering import Answer, serve, tenths


class Raw:
    """An LMDB environment and a file."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.environment = lmdb.open(os.path.join(folder, "lmdb"), map_size=1 << 34, max_dbs=2, lib_version=0)
        self.database = self.environment.open_db(b"log")
        self.number = int(time.time_ns())

    def commit(self, puts: int) -> None:
        with self.environment.begin(write=True, db=self.database) as transaction:
            for _ in range(puts):
                self.number += 1
                transaction.put(self.number.to_bytes(8, "big"), b"x" * 200)

    def chain(self, steps: int) -> Answer:
        """A commit of two puts for each step."""
        marks = []
        began = time.perf_counter()
        for _ in range(steps):
            marks.append(time.perf_counter())
            self.commit(2)
        return {"wall": time.perf_counter() - began, **tenths(marks)}

    def many(self, steps: int, puts: int) -> Answer:
        """Commits of many puts: what group commit can come to."""
        began = time.perf_counter()
        for _ in range(steps):
            self.commit(puts)
        return {"wall": time.perf_counter() - began}

    def latency(self, count: int, pause: float = 0.005) -> Answer:
        """Single commits, with a pause before each as there is before an event."""
        found = []
        for _ in range(count):
            time.sleep(pause)
            began = time.perf_counter()
            self.commit(2)
            found.append((time.perf_counter() - began) * 1e3)
        return {"ms": found}

    def fsync(self, count: int) -> Answer:
        """Appends, each followed by fsync."""
        file = os.open(os.path.join(self.folder, "file"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        began = time.perf_counter()
        for _ in range(count):
            os.write(file, b"x" * 200)
            os.fsync(file)
        wall = time.perf_counter() - began
        os.close(file)
        return {"wall": wall}


def main() -> None:
    raw = Raw(sys.argv[1])
    serve({name: getattr(raw, name) for name in ("chain", "many", "latency", "fsync")}, pids=[os.getpid()])


if __name__ == "__main__":
    main()
