"""`python -m tests.scrub --count N --pages M --seed S`: N flips of records, plain and encrypted each, and M of the
file; exit code 1 where one was not found."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.scrub.flips import flip_file, flip_records, make_store


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="python -m tests.scrub", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--garbage", type=int, default=0, help="random bytes over parts of the file; only told")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    lines, bad = [], []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, key in (("plain", None), ("encrypted", folder / "key")):
            options = make_store(folder / name, key)
            counts, missed = flip_records(folder / name, options, asked.count, random.Random(f"{asked.seed} {name}"))
            lines.append(f"{counts.total():,} flips in {name} records, {len(missed)} missed")
            bad += missed
            chance = random.Random(f"{asked.seed} {name} file")
            scrubs, opens, missed = flip_file(folder / name, options, asked.pages, chance, folder)
            bad += missed
            lines.append(
                f"{scrubs.total():,} in the file of a store ({name}): scrub found {scrubs['found']}, "
                f"{scrubs['same']} touch nothing, {len(missed)} missed"
            )
            print(f"opening and reading without a scrub ({name}): {dict(opens.most_common())}", flush=True)
            if asked.garbage:
                scrubs, opens, missed = flip_file(folder / name, options, asked.garbage, chance, folder, garbage=True)
                print(f"garbage in the file ({name}): scrub {dict(scrubs)}, opening {dict(opens.most_common())}")
    print("; ".join(lines) + f"; seed {asked.seed}, {time.monotonic() - began:.0f} s")
    for one in bad[:20]:
        print("missed:", one)
    if bad:
        print(f"again: python -m tests.scrub --count {asked.count} --pages {asked.pages} --seed {asked.seed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
