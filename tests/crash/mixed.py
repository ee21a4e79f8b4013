"""kill -9 under a mixed load: nothing that was acknowledged is lost, nothing is done twice, no log has a gap.

    python -m tests.crash.mixed --kills 10000 --seed 1

Operating system processes, each with an interpreter and a client, run and disturb an LMDB store (mixed_load.py).  They
are killed with SIGKILL: at a random moment within 30 ms of their start, or of the first thing that they were told is
durable.  In a part of the run two or three of them share the store: the one that commits is killed while the others
have batches on their way, and one of them takes over; or another one is killed, or all.  Every so many kills a fresh
process looks whether all that must hold does (mixed_check.py).  A store is used for some hundred kills, then everything
is brought to its end and looked at once more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.store import open_store
from flowmetal.store.owner_lock import OWNER_FILE
from tests.crash import mixed_load
from tests.crash.forks import Acknowledged, Forked, fork, killed_at_end, outcome_file, run
from tests.crash.mixed_check import check

#: Standard error as it was when this began; children have a log instead.
TERMINAL = os.dup(2)
#: Kills that one store sees, and those between two looks.
KILLS_OF_STORE = 100
KILLS_OF_LOOK = 50
#: Kills come within so many seconds of a start or of an acknowledgement.
WINDOW_SECONDS = 0.03
#: How long to wait for an acknowledgement.
PATIENCE_SECONDS = 10.0
#: Of the stores, those that several processes share.
SHARED = 0.35


class Stage:
    """One store, those that run it, and what they were told."""

    def __init__(self, folder: Path, artifact: bytes, chance: random.Random, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.path = self.folder / "store"
        self.log = self.folder / "log"
        self.acknowledged = Acknowledged(self.folder / "acknowledged")
        self.chance = chance
        self.lives = 0
        self.living: list[Forked] = []
        self.counts: Counter[str] = Counter()
        run(partial(mixed_load.make, self.path, artifact), self.log)

    def launch(self) -> None:
        """One more process."""
        self.lives += 1
        life, seed = f"life{self.lives}", self.chance.randrange(1 << 32)
        self.living.append(fork(partial(mixed_load.live, self.path, life, self.acknowledged, seed), self.log))

    def kill(self, victim: Forked) -> None:
        """SIGKILL; counts whom."""
        victim.check_alive()
        owner = self.owner()
        victim.kill()
        self.living.remove(victim)
        self.counts["kills"] += 1
        if victim.pid == owner and self.living:
            self.counts["taken over"] += 1

    def owner(self) -> int:
        """The process that commits, or 0."""
        try:
            return int(json.loads((self.path / OWNER_FILE).read_bytes())["pid"])
        except (OSError, ValueError, KeyError):
            return 0

    def wait(self) -> None:
        """Until something more is acknowledged."""
        size, give_up = self.acknowledged.size(), time.monotonic() + PATIENCE_SECONDS
        while self.acknowledged.size() == size:
            for one in self.living:
                one.check_alive()
            if time.monotonic() > give_up:
                raise AssertionError(f"nothing was acknowledged for {PATIENCE_SECONDS:g} s\n{self.living[0].tail()}")
            time.sleep(0.0005)

    def disturb(self, together: int) -> None:
        """One kill, or one of all that run."""
        while len(self.living) < together:
            self.launch()
        if self.chance.random() < 0.6:
            self.wait()
        time.sleep(self.chance.uniform(0, WINDOW_SECONDS))
        owner = next((one for one in self.living if one.pid == self.owner()), None)
        drawn = self.chance.random()
        if together > 1 and drawn < 0.1:
            for one in list(self.living):
                self.kill(one)
        elif together > 1 and owner is not None and drawn < 0.7:
            self.kill(owner)
        else:
            self.kill(self.chance.choice(self.living))

    def look(self, ended: bool) -> dict[str, Any]:
        """What a fresh process finds, while nobody else runs; AssertionError where something is wrong."""
        for one in list(self.living):
            self.kill(one)

        def find() -> dict[str, Any]:
            store = open_store(self.path, create=False)
            facts = check(store, self.acknowledged.all(), ended).facts()
            store.close()
            return facts

        found: dict[str, Any] = run(find, self.log)
        if found["wrong"]:
            raise AssertionError("\n".join(found["wrong"]))
        return found

    def finish(self) -> dict[str, Any]:
        """Brings everything to its end, and looks."""
        for one in list(self.living):
            self.kill(one)
        run(partial(mixed_load.finish, self.path, self.acknowledged), self.log)
        return self.look(ended=True)

    def close(self) -> None:
        """Removes the store."""
        self.acknowledged.close()
        shutil.rmtree(self.folder)


def campaign(kills: int, seed: int, folder: Path, jobs: int = 2, tell: bool = False) -> Counter[str]:
    """The figures of a run with `jobs` stores at a time; AssertionError where anything that must hold does not."""
    artifact = mixed_load.build()
    shares = [kills * (job + 1) // jobs - kills * job // jobs for job in range(jobs)]
    drivers = []
    for job, share in enumerate(shares):
        work = partial(drive, share, seed, folder, artifact, job, jobs, tell and job == 0)
        drivers.append(fork(work, folder / f"driver{job}"))
    total: Counter[str] = Counter()
    with killed_at_end(drivers):
        for driver in drivers:
            if driver.wait() != 0:
                raise AssertionError(driver.tail())
            total.update(json.loads(outcome_file(driver.log, driver.pid).read_text()))
    return total


def drive(kills: int, seed: int, folder: Path, artifact: bytes, first: int, step: int, tell: bool) -> dict[str, int]:
    """One store after the other; each has a seed of its own."""
    total: Counter[str] = Counter()
    began = told = time.monotonic()
    while total["kills"] < kills:
        number = first + step * total["stores"]
        chance = random.Random(f"{seed}/{number}")
        together = chance.choice((2, 2, 3)) if chance.random() < SHARED else 1
        stage = Stage(folder, artifact, chance, f"store{number}")
        with killed_at_end(stage.living):
            wanted = min(KILLS_OF_STORE, kills - total["kills"])
            look_at = KILLS_OF_LOOK
            while stage.counts["kills"] < wanted:
                stage.disturb(together)
                if stage.counts["kills"] >= look_at:
                    look_at = stage.counts["kills"] + KILLS_OF_LOOK
                    stage.look(ended=False)
                    total["looks"] += 1
            facts = stage.finish()
        stage.close()
        total["looks"] += 1
        total["stores"] += 1
        total.update(stage.counts)
        total.update({name: count for name, count in facts.items() if name != "wrong"})
        if tell and time.monotonic() - told >= 30:
            told = time.monotonic()
            os.write(TERMINAL, f"{told - began:5.0f} s, of one of the lines: {figures(total)}\n".encode())
    return dict(total)


def figures(total: Counter[str]) -> str:
    """One line."""
    return (
        f"{total['kills']:,} kills ({total['taken over']:,} of an owner that others took over from), "
        f"{total['looks']:,} looks at {total['stores']:,} stores, {total['acknowledged']:,} acknowledged events: 0 lost; "
        f"{total['processes']:,} processes, {total['steps']:,} steps, {total['messages']:,} messages, "
        f"{total['timers']:,} timers: 0 doubled, 0 missing; {total['entries']:,} log entries without a gap"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="kill -9 under a mixed load.")
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="stores at a time")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-crash-"))
    try:
        total = campaign(given.kills, given.seed, folder, given.jobs, tell=True)
    except AssertionError as failed:
        print(f"{failed}\nkept: {folder}")
        print(f"FAILED: python -m tests.crash.mixed --kills {given.kills} --seed {given.seed}")
        return 1
    shutil.rmtree(folder)
    print(f"{figures(total)}; seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
