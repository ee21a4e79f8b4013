"""Runs seeds: `python -m tests.simulation --seeds 2000 --seed 1`; one of them with --seeds 1."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from multiprocessing import Pool

from tests.simulation.plans import text
from tests.simulation.run import Ran, program, run, shrunk

#: Seeds that one task of a worker runs.
CHUNK = 50


def _chunk(seeds: range) -> list[Ran]:
    return [run(seed) for seed in seeds]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    asked = parser.parse_args(arguments)
    begun, cpu = time.monotonic(), time.process_time()
    program()
    last = asked.seed + asked.seeds
    chunks = [range(first, min(first + CHUNK, last)) for first in range(asked.seed, last, CHUNK)]
    done = commits = faults = effects = steps = 0
    failed: list[Ran] = []
    pool = Pool(asked.jobs) if asked.jobs > 1 else None
    for chunk in pool.imap(_chunk, chunks) if pool is not None else map(_chunk, chunks):
        for ran in chunk:
            done += 1
            commits, faults = commits + ran.commits, faults + ran.faults
            effects, steps = effects + ran.effects, steps + ran.steps
            if ran.problems:
                failed.append(ran)
                _tell(ran)
                if len(failed) >= asked.failures:
                    break
            elif asked.seeds == 1:
                print(f"{[text(plan) for plan in ran.plans]}\ntrace {ran.trace}, {ran.ticks} ticks")
        if len(failed) >= asked.failures:
            break
        if sys.stderr.isatty():
            print(f"{done} seeds, {len(failed)} failed", end="\r", file=sys.stderr)
    if pool is not None:
        pool.terminate()
    print(
        f"{done:,} seeds from {asked.seed}, {faults:,} faults, {commits:,} commits, {steps:,} steps, "
        f"{effects:,} effects outside, {len(failed)} violations; "
        f"{time.monotonic() - begun:.0f} s, {(time.process_time() - cpu) * 1000 / max(done, 1):.1f} ms of CPU a seed here"
    )
    return bool(failed)


def _tell(ran: Ran) -> None:
    print(f"python -m tests.simulation --seeds 1 --seed {ran.seed}")
    for problem in ran.problems[:5]:
        print(f"  {problem[:2000]}")
    small = shrunk(ran)
    print(f"  with {' and '.join(map(text, small.plans))}:\n  {small.problems[0][:600]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
