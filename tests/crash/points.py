"""Every named fail point, many times: a process kills itself there, and all that must hold does.

    python -m tests.crash.points --times 100 --seed 1

The points are the table of flowmetal/store/failpoint.py; grounds.py has where each is passed, and what is looked at.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from flowmetal.store.failpoint import POINTS
from tests.crash.campaign import command, together
from tests.crash.grounds import (
    Ground,
    MixedGround,
    OutsideGround,
    PlannedGround,
    RekeyGround,
    RetentionGround,
    ground_of,
)

#: What is done at the same time: the names of grounds, and what they are.
LINES: tuple[tuple[tuple[str, ...], Callable[[Path, random.Random], Ground]], ...] = (
    (("alone", "heir", "owner", "guest"), MixedGround),
    (("connector", "worker"), OutsideGround),
    (("retention",), RetentionGround),
    (("planned",), PlannedGround),
    (("rekeyed",), RekeyGround),
)


def drive(
    points: Sequence[str], times: int, seed: int, folder: Path, make: Callable[[Path, random.Random], Ground]
) -> dict[str, int]:
    """Passes points, so many times each, in any order; how often each was."""
    chance = random.Random(f"{seed}/{points[0]}")
    ground = make(folder, chance)
    order = [point for point in points for _ in range(times)]
    chance.shuffle(order)
    for point in order:
        ground.go(point)
    ground.close()
    return dict(ground.reached)


def campaign(times: int, seed: int, folder: Path, points: Iterable[str] = POINTS) -> Counter[str]:
    """How often each point was passed; AssertionError where one is not, or anything that must hold does not."""
    points = sorted(points)
    lines = [([point for point in points if ground_of(point) in names], make) for names, make in LINES]
    return together([partial(drive, chosen, times, seed, folder, make) for chosen, make in lines if chosen], folder)


def main(arguments: Sequence[str] | None = None) -> int:
    def run_all(times: int, seed: int, folder: Path, _: int) -> str:
        total = campaign(times, seed, folder)
        return (
            f"{len(total)} of {len(POINTS)} fail points, {min(total.values())} kills or more at each, {total.total():,} "
            f"in all: 0 acknowledged events lost, 0 steps doubled"
        )

    return command("tests.crash.points", "Every named fail point, many times.", "times", 100, run_all, arguments)


if __name__ == "__main__":
    sys.exit(main())
