"""Runs one seed: draws its programs, lets the world go, and says what was wrong."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowmetal.engine.artifacts import Programs, deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.live import Loaded
from flowmetal.store.errors import StoreError
from flowmetal.store.memory import MemoryStore
from tests.simulation.checks import Watched
from tests.simulation.loop import on_loops
from tests.simulation.plans import Generator, Plan, smaller
from tests.simulation.world import Violation, in_time

#: Operations of a seed's programs, about.
SIZES = (1, 3, 6, 10, 18)

#: Runs that making a failing program smaller may take.
SHRINK_RUNS_MAX = 400


@dataclass(frozen=True)
class Ran:
    """What came of a seed."""

    seed: int
    plans: list[Plan]
    problems: list[str]
    trace: str  # a hash over everything that was committed, in order, and over what went wrong
    commits: int
    faults: int
    ticks: int
    effects: int
    steps: int


@cache
def program() -> Loaded:
    """plans.fm, compiled and linked."""
    source = (Path(__file__).parent / "plans.fm").read_text()
    data = build_artifact({"plans.fm": source}).data
    store = MemoryStore()
    return Programs(store).get(deploy(store, data))


def plans_of(seed: int) -> list[Plan]:
    """The programs of a seed."""
    source = random.Random(f"plans {seed}")
    generator = Generator(source)
    return [generator.plan(source.choice(SIZES)) for _ in range(source.choice((1, 1, 2)))]


class _Faults(logging.Handler):
    """What the code logs as a fault of its own is a finding, whatever it does about it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps errors with a trace."""
        error = record.exc_info[1] if record.exc_info is not None else None
        if error is not None and not isinstance(error, StoreError):  # a store that fails is no fault of theirs
            lines = traceback.format_exception(error)
            self.found.append(f"{record.getMessage()}: {''.join(lines)}")


def run(seed: int, plans: list[Plan] | None = None, make: Callable[..., Watched] = Watched) -> Ran:
    """Runs one seed, with its own programs or with others."""
    drawn = plans_of(seed) if plans is None else plans
    logger = logging.getLogger("flowmetal")
    faults = _Faults()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(faults)
    world = make(seed, program(), drawn)
    problems: list[str]
    try:
        with world.watching(), in_time(world.time), on_loops(world):
            try:
                world.begin()
                world.run()
            finally:
                for host in world.hosts:
                    if host.services is not None:
                        host.services.end()
        problems = world.check()
    except Violation as violation:
        problems = [*world.all_problems(), str(violation)]
    except Exception:
        problems = [*world.all_problems(), traceback.format_exc()]
    finally:
        logger.removeHandler(faults)
        logger.propagate = propagate
    problems += faults.found
    world.note("end", f"{world.ticks} {problems}")
    return Ran(
        seed, drawn, problems, world.disk.trace.hexdigest(), world.disk.commits, world.faults, world.ticks,
        world.counts.get("effect", 0), world.steps,
    )  # fmt: skip


def shrunk(ran: Ran, make: Callable[..., Watched] = Watched) -> Ran:
    """A run of the same seed with smaller programs that fails as well."""
    best, runs = ran, 0
    going_on = True
    while going_on and runs < SHRINK_RUNS_MAX:
        going_on = False
        candidates = [best.plans[:i] + best.plans[i + 1 :] for i in range(len(best.plans)) if len(best.plans) > 1]
        for index, plan in enumerate(best.plans):
            candidates += [[*best.plans[:index], one, *best.plans[index + 1 :]] for one in smaller(plan)]
        for plans in candidates:
            runs += 1
            if runs >= SHRINK_RUNS_MAX:
                break
            again = run(ran.seed, plans, make)
            if again.problems:
                best, going_on = again, True
                break
    return best
