"""`python -m tests.hostile --artifacts N --images N --commands N --seed S`: mutants by the million, and a line of figures."""

from __future__ import annotations

import argparse
import sys
import time

from tests.hostile.campaign import Tally, campaign, examine, prepare, settle_down


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--artifacts", type=int, default=0, metavar="N")
    parser.add_argument("--images", type=int, default=0, metavar="N")
    parser.add_argument("--commands", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first mutant")
    parser.add_argument("--jobs", type=int, default=2, help="child processes at once")
    given = parser.parse_args()
    failed = False
    for kind, count in (("artifacts", given.artifacts), ("images", given.images), ("commands", given.commands)):
        if not count:
            continue
        started = time.monotonic()
        if count == 1:  # in this very process, for whoever looks for the reason
            prepare(kind)
            settle_down(kind)
            tally = Tally()
            examine(kind, given.seed, given.first, tally)
        else:
            tally = campaign(kind, given.seed, given.first, count, given.jobs)
        failed = failed or bool(tally.failures)
        for failure in tally.failures:
            print(failure)
        print(_line(kind, tally, given.seed, time.monotonic() - started))
    return int(failed)


_RAN = ("value", "error", "limit", "turns", "not started", "empty", "refused")


def _line(kind: str, tally: Tally, seed: int, seconds: float) -> str:
    total = sum(tally.ends.values()) + len(tally.failures)
    tail = (
        f"{len(tally.failures)} failures; peak {tally.peak_kb >> 10} MB, slowest {tally.slowest:.2f} s "
        f"(number {tally.slowest_number}), seed {seed}, {seconds:.0f} s"
    )
    if kind == "commands":
        return (
            f"{total:,} commands: {', '.join(f'{count:,} {end}' for end, count in sorted(tally.ends.items()))}; {tail}"
        )
    ran = {end: tally.ends[end] for end in _RAN if tally.ends[end]}
    refused = sum(tally.ends.values()) - sum(ran.values())
    codes = sum(1 for end in tally.ends if end not in _RAN)
    parts = ", ".join(f"{count:,} {end}" for end, count in ran.items())
    return (
        f"{total:,} {kind}: {refused:,} refused under {codes} codes, {sum(ran.values()):,} accepted ({parts}); {tail}"
    )


if __name__ == "__main__":
    sys.exit(main())
