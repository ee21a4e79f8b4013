"""Every named fail point, many times: a process kills itself there, and all that must hold does.

    python -m tests.crash.points --times 100 --seed 1

The points are the table of flowmetal/store/failpoint.py.  Those of the store and the interpreter are passed under the
mixed load (mixed_load.py), by one process or with another one beside it that takes over; those of connectors and
workers under that of outside.py; those of retention under that of the soak.  Checked is what those check.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from flowmetal.engine.build import build_artifact
from flowmetal.store import failpoint
from flowmetal.store.failpoint import POINTS
from tests.crash import mixed, mixed_load, outside
from tests.crash.forks import Forked, fork, killed_at_end, outcome_file, run
from tests.soak.line import live as live_with_retention
from tests.soak.line import look

#: Beginning of a point's name -> where it is passed, and after how many passes at most it kills.
GROUNDS = {
    "commit/": ("alone", 12), "owner/": ("alone", 1), "turn/": ("alone", 12), "timers/": ("alone", 4),
    "callback/": ("alone", 2), "takeover/": ("heir", 1), "socket/": ("owner", 20), "link/": ("guest", 20),
    "request/": ("connector", 3), "http/": ("connector", 3), "command/": ("connector", 2), "worker/": ("worker", 3), "retention/": ("retention", 3),
}  # fmt: skip
MIXED = ("alone", "heir", "owner", "guest")
OUTSIDE = ("connector", "worker")
#: How long a process has to come to its point; retention waits for a second until something may go.
PATIENCE_SECONDS = 10.0
#: Points passed on one store before it is brought to its end.
PASSES_OF_STORE = 60
RETENTION_OF_SECONDS = 5.0


def ground_of(point: str) -> str:
    """Where a point is passed."""
    return next(ground for prefix, (ground, _) in GROUNDS.items() if point.startswith(prefix))


def armed(point: str, number: int, work: Callable[[], object]) -> None:
    """Does something until it comes to a point."""
    failpoint.arm_at(point, number)
    work()


class Ground:
    """Passes points on one store after the other."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.reached: Counter[str] = Counter()
        self.stores = 0
        self.passes = 0

    def number(self, point: str) -> int:
        """At which pass to kill."""
        return self.chance.randint(1, next(most for prefix, (_, most) in GROUNDS.items() if point.startswith(prefix)))

    def wait(self, point: str, child: Forked) -> None:
        """Until it has killed itself."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while child.poll() is None:
            if time.monotonic() > give_up:
                child.kill()
                raise AssertionError(f"nothing came to {point} within {PATIENCE_SECONDS:g} s\n{child.tail()}")
            time.sleep(0.001)
        if child.code != -9:
            raise AssertionError(f"at {point} a child ended with {child.code}\n{child.tail()}")
        self.reached[point] += 1
        self.passes += 1


class MixedGround(Ground):
    """Points of the store and the interpreter."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.artifact = mixed_load.build()
        self.stage: mixed.Stage | None = None

    def go(self, point: str) -> None:
        """Passes a point once."""
        if self.stage is None:
            self.stage = mixed.Stage(self.folder, self.artifact, self.chance, f"mixed{self.stores}")
            self.stores += 1
            self.passes = 0
        stage, ground = self.stage, ground_of(point)
        if ground == "alone":
            self.end_living()
            self.wait(point, self.launch(point))
        elif ground == "owner":
            self.end_living()
            child = self.launch(point)
            stage.wait()  # by now it owns the store
            stage.launch()
            self.wait(point, child)
        else:
            while not stage.living:
                stage.launch()
                stage.wait()
            if ground == "heir":
                stage.wait()  # where an owner has just died, one that lives has taken the store by now
            child = self.launch(point)
            if ground == "heir":
                self.wait_for(f"life{stage.lives}", child)
                time.sleep(self.chance.uniform(0, 0.05))
                self.end_living()
            self.wait(point, child)
        if self.passes >= PASSES_OF_STORE:
            self.close()

    def launch(self, point: str) -> Forked:
        """One that will kill itself."""
        assert self.stage is not None
        self.stage.lives += 1
        life, seed = f"life{self.stage.lives}", self.chance.randrange(1 << 32)
        work = partial(mixed_load.live, self.stage.path, life, self.stage.acknowledged, seed)
        return fork(partial(armed, point, self.number(point), work), self.stage.log)

    def wait_for(self, life: str, child: Forked) -> None:
        """Until a process has been told something, and so is attached."""
        assert self.stage is not None
        give_up = time.monotonic() + PATIENCE_SECONDS
        while f'"{life}'.encode() not in self.stage.acknowledged.path.read_bytes():
            child.check_alive()
            assert time.monotonic() < give_up, f"{life} was told nothing\n{child.tail()}"
            time.sleep(0.002)

    def end_living(self) -> None:
        """Kills those that are not armed."""
        assert self.stage is not None
        for one in list(self.stage.living):
            self.stage.kill(one)

    def close(self) -> None:
        """Brings a store to its end, and looks."""
        if self.stage is not None:
            self.stage.finish()
            self.stage.close()
            self.stage = None


class OutsideGround(Ground):
    """Points of connectors and workers."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.artifact = build_artifact({"outside.fm": outside.PROGRAM}).data
        self.tls = ssl.create_default_context()
        self.stage: outside.Stage | None = None

    def go(self, point: str) -> None:
        """Passes a point once."""
        if self.stage is None:
            self.stage = outside.Stage(self.folder, self.artifact, self.tls, self.chance, f"outside{self.stores}")
            self.stores += 1
            self.passes = 0
        stage = self.stage
        stage.fill()
        name = "worker" if ground_of(point) == "worker" else "interpreter"
        if point.startswith("request/"):
            name = self.chance.choice(("worker", "interpreter"))
        stage.kill(name)
        work = partial(stage._live, name, self.chance.randrange(1 << 32))
        child = fork(partial(armed, point, self.number(point), work), stage.log)
        self.wait(point, child)
        if self.passes >= PASSES_OF_STORE:
            self.close()

    def close(self) -> None:
        """Brings a store to its end, and looks."""
        if self.stage is not None:
            self.stage.finish()
            self.stage = None


class RetentionGround(Ground):
    """Points of retention."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.artifact = mixed_load.build()
        self.path: Path | None = None
        self.log = folder / "retention.log"

    def launch(self, point: str | None) -> Forked:
        """One that removes what ended a second ago."""
        assert self.path is not None
        life, seed = f"life{self.stores}-{self.passes}", self.chance.randrange(1 << 32)
        work: Callable[[], object] = partial(
            live_with_retention, self.path, life, self.path.parent, seed, RETENTION_OF_SECONDS
        )
        return fork(work if point is None else partial(armed, point, self.number(point), work), self.log)

    def go(self, point: str) -> None:
        """Passes a point once."""
        if self.path is None:
            self.path = self.folder / f"retention{self.stores}" / "store"
            self.path.parent.mkdir()
            self.stores += 1
            self.passes = 0
            run(partial(mixed_load.make, self.path, self.artifact), self.log)
        self.wait(point, self.launch(point))
        if self.passes >= PASSES_OF_STORE:
            self.close()

    def close(self) -> None:
        """Brings a store to its end, and looks."""
        if self.path is None:
            return
        (self.path.parent / "stop").touch()
        self.passes += 1
        last = self.launch(None)
        if last.wait() != 0:
            raise AssertionError(last.tail())
        wrong = run(partial(look, self.path, self.path.parent), self.log)["wrong"]
        if wrong:
            raise AssertionError("\n".join(wrong))
        self.path = None


def drive(points: Sequence[str], times: int, seed: int, folder: Path, make: Callable[..., Ground]) -> dict[str, int]:
    """Passes points, so many times each, in any order; how often each was."""
    chance = random.Random(f"{seed}/{points[0]}")
    ground = make(folder, chance)
    order = [point for point in points for _ in range(times)]
    chance.shuffle(order)
    for point in order:
        ground.go(point)  # type: ignore[attr-defined]
    ground.close()  # type: ignore[attr-defined]
    return dict(ground.reached)


def campaign(times: int, seed: int, folder: Path, points: Iterable[str] = POINTS) -> Counter[str]:
    """How often each point was passed; AssertionError where one is not, or anything that must hold does not."""
    points = sorted(points)
    lines: list[tuple[list[str], Callable[..., Ground]]] = [
        ([point for point in points if ground_of(point) in MIXED], MixedGround),
        ([point for point in points if ground_of(point) in OUTSIDE], OutsideGround),
        ([point for point in points if ground_of(point) == "retention"], RetentionGround),
    ]
    drivers = [
        fork(partial(drive, chosen, times, seed, folder, make), folder / f"driver{number}")
        for number, (chosen, make) in enumerate(lines)
        if chosen
    ]
    total: Counter[str] = Counter()
    with killed_at_end(drivers):
        for driver in drivers:
            if driver.wait() != 0:
                raise AssertionError(driver.tail())
            total.update(json.loads(outcome_file(driver.log, driver.pid).read_text()))
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Every named fail point, many times.")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-points-"))
    try:
        total = campaign(given.times, given.seed, folder)
    except AssertionError as failed:
        print(f"{failed}\nkept: {folder}")
        print(f"FAILED: python -m tests.crash.points --times {given.times} --seed {given.seed}")
        return 1
    shutil.rmtree(folder)
    print(
        f"{len(total)} of {len(POINTS)} fail points, {min(total.values())} kills or more at each, {total.total():,} in "
        f"all: 0 acknowledged events lost, 0 steps doubled; seed {given.seed}, {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
