"""Power cuts: what a disk could hold after each write and sync of a store is opened and checked.

    python -m tests.powercut --images 10000 --seed 1

Workloads on real stores run under a tracer of system calls: a store is made, several threads commit, the map grows, the
owner dies and another process takes over, an older format is brought up, an interpreter runs programs.  At random
moments of each the power goes: an image holds what was synced, and any part of what was not, with writes torn at 512
bytes, new files and renames there or not.  Each is opened in a process of its own: what was acknowledged until then must
be there, logs must have no gaps, and the processes go on.
"""

from __future__ import annotations

import argparse
import sys

from tests.powercut.run import run
from tests.powercut.workloads import UNSAFE, WORKLOADS
from tests.tracing.ptrace import why_not


def main() -> int:
    """Exit code 0: nothing lost; 1: something was; 3: nothing can be traced here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    names = [workload.name for workload in (*WORKLOADS, UNSAFE)]
    parser.add_argument("--only", choices=names, help="one workload")
    parser.add_argument(
        "--ignore-syncs", action="store_true", help="to see the checker fail: as if no sync did anything"
    )
    given = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 3
    workloads = [workload for workload in (*WORKLOADS, UNSAFE) if workload.name == given.only] or WORKLOADS
    report = run(workloads, given.images, given.seed, ignore_syncs=given.ignore_syncs)
    modes = ", ".join(f"{count} {mode}" for mode, count in sorted(report.modes.items()))
    for line in report.wrong:
        print("wrong:", line)
    lost = len(report.wrong)
    print(
        f"{report.images} images ({modes}; {report.absent} before there was a store) of {report.traces} traces with "
        f"{report.events} events and {report.acknowledged} acknowledgements, {report.required} times looked for; "
        f"{report.resumed} run to their ends; {lost} wrong; seed {given.seed}, {report.seconds:.0f} s"
    )
    if lost:
        print(f"again: python -m tests.powercut --images {given.images} --seed {given.seed}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
