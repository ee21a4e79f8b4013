"""Chaos: what one seed does to a test.

Chaos is where the outside is: when an interpreter dies, where a turn is cut, how long an answer takes, how often it
comes and in which order.  What a process does with what has arrived, in the order in which it did, stays as it is.
Every decision is drawn from the seed in the order in which it comes up, so one seed is one run.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from flowmetal.dataclass import dataclass

MILLISECOND = 1_000_000

#: The longest that an answer takes: short, so that a test may still say what happens "within 5s".
DELAY_MAX_MS = 1_000

#: A worker that vanishes is noticed after so long.
LOST_AFTER_MS = 500

#: A request is lost at most so often, well below the retries that every request has.
LOSSES_MAX = 2

#: Cuts and crashes of one run: a long test is cut often enough with these, and still ends.
CUTS_MAX = 200
CRASHES_MAX = 200


@dataclass(slots=True)
class Habits:
    """How likely what is, in one schedule; each schedule has other ones, so that some are merciless and some quiet."""

    crash_after: float  # an interpreter dies after a commit
    crash_within: float  # it dies in a turn, and the turn is lost
    fuel: tuple[int, int]  # a turn is cut after so many calls and loop turns
    cut: float  # a turn is cut at all
    entries: int  # steps of one turn
    slow: float  # an answer takes its time
    slowest_ms: int
    double: float  # an answer comes twice
    lose: float  # a worker vanishes with a request
    early: float  # what is due arrives between two turns, and not only at rest


class Chaos:
    """The decisions of one seed for one test."""

    def __init__(self, seed: int, test: str) -> None:
        self.seed = seed
        self.random = random.Random(f"{seed}:{test}")
        self.habits = self._habits()
        self.cuts = 0
        self.crashes = 0

    def _habits(self) -> Habits:
        choice: Callable[..., float] = self.random.choice
        every = self.random.random() < 0.25
        most = self.random.choice((1, 5, 50, 1000))
        return Habits(
            crash_after=1.0 if every else choice((0.0, 0.1, 0.5, 1.0)),
            crash_within=choice((0.0, 0.0, 0.05, 0.2)),
            fuel=(1, 1 if every else most),
            cut=1.0 if every else choice((0.0, 0.3, 1.0)),
            entries=1 if every else self.random.choice((1, 2, 8, 256)),
            slow=choice((0.0, 0.3, 0.8)),
            slowest_ms=self.random.choice((1, 20, DELAY_MAX_MS)),
            double=choice((0.0, 0.2, 0.6)),
            lose=choice((0.0, 0.0, 0.2)),
            early=choice((0.0, 0.5)),
        )

    def fuel(self, most: int) -> int:
        """The fuel of a turn, or of the rest of one."""
        if self.cuts >= CUTS_MAX or not self._happens(self.habits.cut):
            return most
        return min(most, self.random.randint(*self.habits.fuel))

    def was_cut(self) -> None:
        """A turn ended for want of fuel."""
        self.cuts += 1

    def crashes_after(self) -> bool:
        """Whether the interpreter dies now that a commit is done."""
        return self._crash(self.habits.crash_after)

    def crashes_within(self) -> bool:
        """Whether it dies before the turn is committed."""
        return self._crash(self.habits.crash_within)

    def delay(self) -> int:
        """How long something takes on its way, ns."""
        if not self._happens(self.habits.slow):
            return 0
        return self.random.randint(0, self.habits.slowest_ms) * MILLISECOND

    def doubles(self) -> bool:
        """Whether it arrives twice."""
        return self._happens(self.habits.double)

    def loses(self, losses: int) -> bool:
        """Whether the worker of a request that was lost so often vanishes."""
        return losses < LOSSES_MAX and self._happens(self.habits.lose)

    def arrives_early(self) -> bool:
        """Whether what is due arrives before the process has come to rest."""
        return self._happens(self.habits.early)

    def rank(self) -> float:
        """The place among what arrives at one time."""
        return self.random.random()

    def _crash(self, likely: float) -> bool:
        if self.crashes >= CRASHES_MAX or not self._happens(likely):
            return False
        self.crashes += 1
        return True

    def _happens(self, likely: float) -> bool:
        return likely > 0 and self.random.random() < likely
