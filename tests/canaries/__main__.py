"""`python -m tests.canaries --count N --seed S`: so many rounds, and one line of figures."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.canaries.campaign import campaign


def main() -> int:
    """Runs the rounds; 1 where something was found, with the line that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.canaries")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    surfaces = scanned = canaries = processes = 0
    for seed in range(given.seed, given.seed + given.count):
        with tempfile.TemporaryDirectory(prefix="canaries-") as folder:
            figures = campaign(Path(folder), seed)
        for hit in figures.hits[:40]:
            print(f"{hit.surface}: {hit.canary} ({hit.spelling}): {hit.around!r}")
        if figures.hits or not figures.planted or figures.sent != figures.canaries or figures.own != 2:
            print(f"{replace(figures, hits=figures.hits[:3])}\npython -m tests.canaries --count 1 --seed {seed}")
            return 1
        surfaces += figures.surfaces
        scanned += figures.bytes
        canaries += figures.canaries + 1
        processes += figures.processes
    print(
        f"{canaries} canaries in {processes} processes, {surfaces} surfaces of {scanned >> 20} MiB searched, 0 hits, "
        f"planted texts found in every round; seed {given.seed}, {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
