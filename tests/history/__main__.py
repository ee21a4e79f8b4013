"""Runs of the history checker: `python -m tests.history --runs 50 --operations 10000 --seed 1`.

Eight clients in four processes start, send, pause, cancel, call and ask a real store, whose interpreters and owners are
killed, and note when each operation began and ended and what it gave.  The history must fit a model.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.history.run import play


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--operations", type=int, default=10_000, help="of one run")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each further one has the next")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    operations = unknown = kills = failures = runs = 0
    for seed in range(asked.seed, asked.seed + asked.runs):
        seen = play(asked.operations, seed)
        runs += 1
        operations += len(seen.operations)
        unknown += sum(not one.known for one in seen.operations)
        kills += seen.kills
        if seen.problems:
            failures += len(seen.problems)
            print(f"python -m tests.history --runs 1 --operations {asked.operations} --seed {seed}")
            for problem in seen.problems[:5]:
                print(f"  {problem[:1500]}", flush=True)
            break
    print(
        f"{runs} histories of 8 clients, {operations:,} operations, {unknown:,} of them with an outcome that nobody knows, "
        f"{kills:,} kills, {failures} violations; seed {asked.seed}, {time.monotonic() - begun:.0f} s"
    )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
