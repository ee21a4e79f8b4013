"""Faults: the n-th write, sync, open, allocation or call of a socket fails, for every n, and the disk gets full.

    python -m tests.faults --seed 1

A scenario runs under a tracer that has calls of the system fail: messages to a process, an interpreter with processes,
one operating system process attached to another.  After each run everything must have been done, by itself or by the
next operating system process where a sync failed; what was acknowledged must be there, also after a power cut at any
moment of the run.
"""

from __future__ import annotations

import argparse
import sys

from flowmetal.engine import interpreter
from flowmetal.store import committer
from flowmetal.store.errors import GIVEN_UP
from tests.faults import scenarios
from tests.faults.run import FAULTS, run
from tests.tracing.ptrace import why_not


def main() -> int:
    """Exit code 0: nothing lost; 1: something was; 3: nothing can be traced here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="about each so many-th n only")
    parser.add_argument("--memory-every", type=int, default=1, help="the same for allocations")
    parser.add_argument("--kinds", nargs="*", default=(), choices=sorted({fault.kind for fault in FAULTS}))
    parser.add_argument(
        "--believe-failed-syncs", action="store_true", help="to see the checker fail: the store takes no notice of them"
    )
    given = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 3
    if given.believe_failed_syncs:
        committer.PASSING = frozenset({*committer.PASSING, GIVEN_UP})
        committer.Committer._break = lambda self, failure: None  # type: ignore[method-assign]
        scenarios.GIVEN_UP = ""
        interpreter.GIVEN_UP = ""
    report = run(given.seed, kinds=given.kinds, every=given.every, memory_every=given.memory_every)
    for line in report.wrong:
        print("wrong:", line)
    reached = ", ".join(f"{kind} up to {number}" for kind, number in sorted(report.reached.items()))
    refused = ", ".join(f"{count} {code}" for code, count in sorted(report.refused.items()))
    print(
        f"{report.runs} runs with a fault ({reached}), {report.images} of them cut off from power as well, "
        f"{report.acknowledged} lines said, refused: {refused or 'none'}; {report.ended} processes ended by their disk, "
        f"{report.crashed} by a library without memory; "
        f"{len(report.wrong)} wrong; seed {given.seed}, {report.seconds:.0f} s"
    )
    if report.wrong:
        kinds = f" --kinds {' '.join(given.kinds)}" if given.kinds else ""
        print(f"again: python -m tests.faults --seed {given.seed} --every {given.every}{kinds}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
