"""How long `flowvm ps` takes with very many processes: the whole command, for filters that many, few and none fit.

    python -m benchmarks.listing [--processes 100000] [--rounds 5]

Prints, for each filter, the shortest and the median wall time and the CPU time of the command, and beside them those of
`python -c pass`, which is as fast as a command of Python can be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from flowmetal.store import open_store
from flowmetal.store.interface import Join, PutArtifact, Request, Start, Turn
from flowmetal.values import Vector, encode_value

COMMAND = "import sys; from flowmetal.cli.start import flowvm; sys.exit(flowvm())"

FILTERS: dict[str, Sequence[str]] = {
    "no filter": (),
    "program, many": ("--program", "orders"),
    "program, none": ("--program", "none"),
    "status and error, few": ("--status", "failed", "--error", "host 99"),
    "error, none": ("--error", "nothing"),
    "waits, many": ("--waits", "http/callback"),
    "waits, none": ("--waits", "nothing"),
    "attribute, few": ("--attribute", "customer=c17"),
    "attribute, none": ("--attribute", "customer=nobody"),
    "id prefix": ("--id-prefix", "order-999"),
    "parent, none": ("--parent", "77"),
    "older, none": ("--older", "1d"),
    "younger and waits, none": ("--younger", "1d", "--waits", "nothing"),
}


def fill(path: Path, number: int) -> None:
    """A store with so many processes, most of which wait."""
    store = open_store(path)
    hash, nil, arguments = b"h" * 32, encode_value(None), encode_value(Vector.of([1, 2, "abc"]))
    store.submit([PutArtifact(hash, b"x", name) for name in ("orders", "mail")]).result()
    (claim,) = store.submit([Join("filler", 600_000)]).result()
    for first in range(1, number + 1, 2000):
        pids = range(first, min(first + 2000, number + 1))
        store.submit(
            [
                Start(
                    "orders/main" if pid % 10 else "mail/send",
                    arguments,
                    name="orders" if pid % 10 else "mail",
                    id=f"order-{pid}" if pid % 2 else None,
                    attributes={"customer": f"c{pid % 5000}", "n": pid, "city": "Bern"},
                )
                for pid in pids
            ]
        ).result()
        turns = []
        for pid in pids:
            part = pid % 100
            status = "waiting" if part < 90 else "done" if part < 97 else "failed" if part < 99 else "paused"
            effect = "http/callback" if part < 50 else "sleep"
            opened = (Request(pid, 1, effect, nil, nil, f"key-{pid}", queued=False, state="held"),)
            turns.append(
                Turn(
                    pid, claim.epochs[pid % 64], 0, status, ((0, 0, b"e" * 30, b""),), 1,
                    taken=[event.key for event in store.inbox(pid, 1)],
                    requests=opened if part < 90 else (),
                    waits=f"{effect} #1, until 2026-12-01T00:00:00.000Z" if part < 90 else "",
                    result=nil if 90 <= part < 99 else None,
                    error=f":worker/error no route to host {pid}" if part >= 97 else "",
                )
            )  # fmt: skip
        store.submit(turns).result()
    store.close()


def timed(arguments: Sequence[str], rounds: int) -> tuple[float, float, float]:
    """Shortest and median wall seconds, and CPU seconds, of a Python process."""
    walls, cpus = [], []
    for _ in range(rounds):
        before, cpu = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - before)
        after = os.times()
        cpus.append(after.children_user + after.children_system - cpu.children_user - cpu.children_system)
    return min(walls), statistics.median(walls), statistics.median(cpus)


def main() -> None:
    """The table on standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        fill(path, asked.processes)
        rows = {"python -c pass": ["-c", "pass"]}
        rows |= {name: ["-c", COMMAND, "ps", "--store", str(path), *given] for name, given in FILTERS.items()}
        print(f"{'flowvm ps, ' + str(asked.processes) + ' processes':40} shortest   median      CPU")
        for name, arguments in rows.items():
            shortest, median, cpu = timed(arguments, asked.rounds)
            print(f"{name:40} {shortest:6.3f} s {median:6.3f} s {cpu:6.3f} s")


if __name__ == "__main__":
    main()
