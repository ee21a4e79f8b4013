"""`python -m tests.signatures --count N --seed S`: altered signed artifacts, each of which must be refused."""

from __future__ import annotations

import argparse
import sys
import time

from tests.signatures.alter import accepted, alteration, bench, campaign


def main() -> int:
    """The campaign; 1 where something was taken."""
    parser = argparse.ArgumentParser(prog="python -m tests.signatures")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="repeats one try")
    asked = parser.parse_args()
    if asked.only is not None:
        found = bench()
        made = alteration(asked.seed, asked.only, found)
        taken = made is not None and accepted(made[1], found.trust.check)
        print(f"{made[0] if made else 'nothing altered'}: {'taken' if taken else 'refused'}")
        return int(taken)
    began = time.process_time()
    tried, refused, lines = campaign(asked.count, asked.seed)
    for line in lines[:10]:
        print(line)
    seconds = time.process_time() - began
    print(
        f"{asked.count:,} tries, {tried:,} altered, {refused:,} refused, {len(lines)} taken; seed {asked.seed}, {seconds:.1f} s"
    )
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
