"""Soak: two stores under a steady mixed load; of one the processes are killed, of the other they never are.

    python -m tests.soak --minutes 30 --seed 1

On the first, two interpreters share the store, and every few seconds one is killed and another one started: nothing may
be lost or stuck, and the store stays small.  On the other one interpreter runs all the time: its memory may not grow by
more than 1 MB an hour, and what it is asked for is done as quickly in the last third as in the first.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash import mixed_load
from tests.crash.forks import killed_at_end
from tests.soak import figures
from tests.soak.line import Line, live

KILL_EVERY_SECONDS = 3.0
MEASURE_EVERY_SECONDS = 0.5
#: What is asked of memory and time means nothing in a soak shorter than this; what is lost or stuck always does.
SERIOUS_SECONDS = 600.0


@dataclass(frozen=True)
class Outcome:
    """What a soak showed."""

    text: str
    wrong: tuple[str, ...]


def soak(
    seconds: float, seed: int, folder: Path, kill_every: float = KILL_EVERY_SECONDS, tell: bool = False
) -> Outcome:
    """Runs both lines for so long."""
    artifact = mixed_load.build()
    chance = random.Random(seed)
    killed = Line(folder / "killed", artifact, chance.randrange(1 << 32), seconds, together=2)
    steady = Line(folder / "steady", artifact, chance.randrange(1 << 32), seconds, together=1, fresh=True)
    began = told = time.monotonic()
    next_kill, next_measure = began + kill_every, began
    with killed_at_end(killed.living), killed_at_end(steady.living):
        while (now := time.monotonic()) - began < seconds:
            if now >= next_kill:
                next_kill = now + kill_every * chance.uniform(0.5, 1.5)
                killed.kill()
            if now >= next_measure:
                next_measure = now + MEASURE_EVERY_SECONDS
                for line in (killed, steady):
                    line.check()
                    line.measure()
            if tell and now - told >= 60:
                told = now
                print(f"{now - began:5.0f} s: {killed.kills} kills; {state(steady)}; {state(killed)}", flush=True)
            time.sleep(0.05)
        found = {"killed": killed.end(), "steady": steady.end()}
    wrong = [f"{name}: {text}" for name, facts in found.items() for text in facts["wrong"]]
    slope = figures.slope_per_hour(figures.warm(steady.memory, seconds))
    first, last = figures.p99_by_parts(steady.probes(), seconds)
    disks = {line.folder.name: figures.disk_growth(line.disk, seconds) for line in (killed, steady)}
    under_kills = figures.p99_by_parts(killed.probes(), seconds)
    if seconds >= SERIOUS_SECONDS:
        if slope > figures.SLOPE_MAX:
            wrong.append(f"memory grows by {slope:.2f} MB an hour")
        if last > figures.P99_RATIO_MAX * first:
            wrong.append(f"99 of 100 take {last * 1e3:.1f} ms at the end, {first * 1e3:.1f} ms at the beginning")
        wrong += [
            f"{name}: the store is {growth:.2f} times as large in the second half"
            for name, growth in disks.items()
            if growth > figures.DISK_RATIO_MAX
        ]
    text = (
        f"{seconds / 60:.1f} minutes, {killed.kills:,} kills ({killed.owners_killed:,} of the owner), "
        f"{found['killed']['acknowledged'] + found['steady']['acknowledged']:,} acknowledged events, "
        f"{len(killed.probes()) + len(steady.probes()):,} probes: {len(wrong) or 'nothing'} wrong, stuck or lost; "
        f"memory {slope:+.2f} MB/h at {steady.memory[-1][1]:.0f} MB; p99 {first * 1e3:.1f} ms in the first third, "
        f"{last * 1e3:.1f} ms in the last ({last / max(first, 1e-9):.2f}); under kills {under_kills[0] * 1e3:.0f} ms, "
        f"{under_kills[1] * 1e3:.0f} ms; disk {killed.disk[-1][1]:.1f} and {steady.disk[-1][1]:.1f} MB, "
        f"second half over first {disks['killed']:.2f} and {disks['steady']:.2f}"
    )
    return Outcome(text, tuple(wrong))


def state(line: Line) -> str:
    """How a line is, in some words."""
    return f"{line.folder.name} {line.memory[-1][1]:.1f} MB in memory, {line.disk[-1][1]:.1f} MB on disk"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A steady mixed load with kills, for a long time.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.live:
        path, life, where, number, seconds = given.live
        live(Path(path), life, Path(where), int(number), float(seconds))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-soak-"))
    again = f"python -m tests.soak --minutes {given.minutes:g} --seed {given.seed}"
    try:
        outcome = soak(given.minutes * 60, given.seed, folder, tell=True)
    except AssertionError as failed:
        print(f"{failed}\nkept: {folder}\nFAILED: {again}")
        return 1
    print(f"{outcome.text}; seed {given.seed}")
    if outcome.wrong:
        print("\n".join(outcome.wrong))
        print(f"kept: {folder}\nFAILED: {again}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
