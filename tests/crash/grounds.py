"""Where fail points are passed: stores under a load, whose processes kill themselves at a point, and what is looked at.

Those of the store and the interpreter are passed under the mixed load (mixed_load.py), by one process or with another
one beside it that takes over, and on an encrypted store while its keys change; those of connectors and workers under
the load of outside.py; those of retention under that of the soak; those of schedules and of operations on many processes
under that of planned.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import ssl
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flowmetal.engine.build import build_artifact
from flowmetal.store import failpoint, open_store
from flowmetal.store.interface import Rekey, Store
from flowmetal.store.keys import FILE_VARIABLE, KeySource
from flowmetal.store.lmdb_copies import encrypt
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.scrubbing import scrub_store
from tests.crash import mixed, mixed_load, outside, planned
from tests.crash.campaign import counted
from tests.crash.forks import Acknowledged, Forked, fork, run
from tests.soak.line import live as live_with_retention
from tests.soak.line import look

#: Beginning of a point's name -> where it is passed, and after how many passes at most it kills.
GROUNDS = {
    "commit/": ("alone", 12), "owner/": ("alone", 1), "turn/": ("alone", 12), "timers/": ("alone", 4),
    "callback/": ("alone", 2), "takeover/": ("heir", 1), "socket/": ("owner", 20), "link/": ("guest", 20),
    "request/": ("connector", 3), "http/": ("connector", 3), "command/": ("connector", 2), "worker/": ("worker", 3),
    "retention/": ("retention", 3), "schedule/": ("planned", 3), "bulk/": ("planned", 12), "rekey/": ("rekeyed", 2),
}  # fmt: skip
#: How long a process may take to its point before it counts as stuck; a busy machine takes long.
PATIENCE_SECONDS = 60.0
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
    """Passes points on one store after the other: `go` passes one, `close` brings a store to its end, and looks."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.reached: Counter[str] = Counter()
        self.stores = 0
        self.passes = 0

    def go(self, point: str) -> None:
        """Passes a point once."""
        raise NotImplementedError

    def close(self) -> None:
        """Brings a store to its end, and looks."""
        raise NotImplementedError

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
            self.stage = self.make()
            self.stores += 1
            self.passes = 0
        stage, ground = self.stage, ground_of(point)
        if ground in ("alone", "rekeyed"):
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

    def make(self) -> mixed.Stage:
        """A new store."""
        return mixed.Stage(self.folder, self.artifact, self.chance, f"{self.name}{self.stores}")

    def launch(self, point: str) -> Forked:
        """One that will kill itself."""
        assert self.stage is not None
        self.stage.lives += 1
        life, seed = f"life{self.stage.lives}", self.chance.randrange(1 << 32)
        work = partial(self.live, self.stage.path, life, self.stage.acknowledged, seed)
        return fork(partial(armed, point, self.number(point), work), self.stage.log)

    #: Of its stores' folders, and what one of those processes does.
    name = "mixed"
    live = staticmethod(mixed_load.live)

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
        counted(run(partial(look, self.path, self.path.parent), self.log))
        self.path = None


class RekeyGround(MixedGround):
    """Points of a change of keys: the mixed load on an encrypted store, whose keys change all the time."""

    name = "rekeyed"

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        key = folder / "key"
        key.touch(0o600)
        key.write_bytes(chance.randbytes(32))
        os.environ[FILE_VARIABLE] = str(key)  # this process has no other ground
        self.key = KeySource("file", str(key))

    def make(self) -> mixed.Stage:
        """A new store, encrypted."""
        stage = super().make()
        run(partial(_encrypt, stage.path, self.key), stage.log)
        return stage

    @staticmethod
    def live(path: Path, life: str, acknowledged: Acknowledged, seed: int) -> None:
        """The mixed load, and changes of keys one after the other."""
        mixed_load.live(path, life, acknowledged, seed, change_keys)

    def close(self) -> None:
        """Goes on with the change that was cut off, looks through all records, and does what the mixed load wants."""
        if self.stage is not None:
            self.end_living()
            run(partial(look_through, self.stage.path, self.key), self.stage.log)
        super().close()


def _encrypt(path: Path, key: KeySource) -> None:
    encrypt(path, LmdbOptions(), key)


def change_keys(store: Store, times: int = 1 << 30) -> None:
    """Changes the data key of a store so often, each time from where a change was left."""
    for _ in range(times):
        store.submit([Rekey("begin")]).result(60)
        while not store.submit([Rekey("go-on")]).result(60)[0][2]:
            pass


def look_through(path: Path, key: KeySource) -> None:
    """After a change of keys has come to its end all records can be read, with the one key that is left."""
    with contextlib.closing(open_store(path, create=False)) as store:
        change_keys(store, 1)
    report = scrub_store(path, LmdbOptions(key=key))
    assert not report.found and not report.plain, report


class PlannedGround(Ground):
    """Points of schedules and of operations on many processes."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.artifact = planned.build()
        self.place: planned.Place | None = None

    def go(self, point: str) -> None:
        """Passes a point once."""
        if self.place is None:
            self.place = planned.Place(self.folder / f"planned{self.stores}")
            self.place.folder.mkdir()
            self.stores += 1
            self.passes = 0
            run(partial(planned.make, self.place, self.artifact), self.place.log)
        work = partial(armed, point, self.number(point), partial(planned.live, self.place))
        self.wait(point, fork(work, self.place.log))
        if self.passes >= PASSES_OF_STORE:
            self.close()

    def close(self) -> None:
        """Brings a store to its end, and looks."""
        if self.place is not None:
            run(partial(planned.finish, self.place), self.place.log)
            counted(run(partial(planned.look, self.place), self.place.log))
            shutil.rmtree(self.place.folder)
            self.place = None
