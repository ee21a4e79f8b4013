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

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.store import open_store
from flowmetal.store.owner_lock import OWNER_FILE
from tests.crash import mixed_load
from tests.crash.campaign import command, counted, in_lines, until_grown
from tests.crash.forks import Acknowledged, Forked, fork, killed_at_end, run
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
        until_grown(self.acknowledged, self.living, PATIENCE_SECONDS)

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

    def look(self, ended: bool) -> dict[str, int]:
        """What a fresh process finds, while nobody else runs; AssertionError where something is wrong."""
        for one in list(self.living):
            self.kill(one)

        def find() -> dict[str, Any]:
            store = open_store(self.path, create=False)
            facts = check(store, self.acknowledged.all(), ended).facts()
            store.close()
            return facts

        return counted(run(find, self.log))

    def finish(self) -> dict[str, int]:
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
    one = partial(use, seed, folder, mixed_load.build())
    return in_lines(one, "kills", kills, folder, jobs, tell=Teller() if tell else None)


def use(seed: int, folder: Path, artifact: bytes, number: int, most: int) -> Counter[str]:
    """The kills of one store, which has a seed of its own."""
    chance = random.Random(f"{seed}/{number}")
    together = chance.choice((2, 2, 3)) if chance.random() < SHARED else 1
    stage = Stage(folder, artifact, chance, f"store{number}")
    total: Counter[str] = Counter()
    with killed_at_end(stage.living):
        look_at = KILLS_OF_LOOK
        while stage.counts["kills"] < min(KILLS_OF_STORE, most):
            stage.disturb(together)
            if stage.counts["kills"] >= look_at:
                look_at = stage.counts["kills"] + KILLS_OF_LOOK
                stage.look(ended=False)
                total["looks"] += 1
        total.update(stage.finish())
    stage.close()
    total["looks"] += 1
    total.update(stage.counts)
    return total


class Teller:
    """Says now and then how far a line is."""

    def __init__(self) -> None:
        self.began = self.told = time.monotonic()

    def __call__(self, total: Counter[str]) -> None:
        if time.monotonic() - self.told >= 30:
            self.told = time.monotonic()
            os.write(TERMINAL, f"{self.told - self.began:5.0f} s, of one of the lines: {figures(total)}\n".encode())


def figures(total: Counter[str]) -> str:
    """One line."""
    return (
        f"{total['kills']:,} kills ({total['taken over']:,} of an owner that others took over from), "
        f"{total['looks']:,} looks at {total['stores']:,} stores, {total['acknowledged']:,} acknowledged events: 0 lost; "
        f"{total['processes']:,} processes, {total['steps']:,} steps, {total['messages']:,} messages, "
        f"{total['timers']:,} timers: 0 doubled, 0 missing; {total['entries']:,} log entries without a gap"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    def run_all(kills: int, seed: int, folder: Path, jobs: int) -> str:
        return figures(campaign(kills, seed, folder, jobs, tell=True))

    return command("tests.crash.mixed", "kill -9 under a mixed load.", "kills", 10_000, run_all, arguments, jobs=2)


if __name__ == "__main__":
    sys.exit(main())
