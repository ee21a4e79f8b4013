"""Interpreters that are stopped for longer than their lease and woken, with clocks that are wrong and that step.

    python -m tests.crash.stopped --stops 1000 --seed 1

Two interpreters, operating system processes of their own, share a store under the mixed load, each with a time of day
of its own that is wrong by up to ten minutes.  Again and again one of them gets SIGSTOP, and after 2 to 10 of its
leases SIGCONT; in between the time of day of all of them is set forward or back.  Where the other one owns the store it
takes the partitions over, and what the one that slept then writes carries an old epoch: it is refused, and counted.
Where the owner itself is stopped everybody waits for it, as nobody can tell a stopped owner from one that writes; no
lease is judged meanwhile, and it goes on when it is woken.  Looked at is what mixed_check.py looks at.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import commands, open_store
from flowmetal.store.changes import Changes
from flowmetal.store.clock import SteadyClock
from flowmetal.store.codec import decode_partition
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Turn
from flowmetal.store.layout import PARTITIONS, u16
from tests.crash import mixed_load
from tests.crash.campaign import command, in_lines
from tests.crash.forks import Acknowledged, fork, killed_at_end
from tests.crash.mixed import Stage
from tests.crash.timers import TimeOfDay

LEASE_MS = 60
LEASES = (2.0, 10.0)
WRONG_NS = 600 * 1_000_000_000
COMMANDS_PER_SECOND = 150
STOPS_OF_STORE = 40
REFUSED, ACCEPTED = "refused", "accepted"


def watch_epochs(note: Acknowledged) -> None:
    """Has this process note, where it commits, each turn that carries another epoch than the partition's record has."""
    original = commands._APPLY[Turn]

    def watched(changes: Changes, turn: Turn) -> bool:
        found = changes.transaction.get(PARTITIONS, u16(turn.pid % PARTITION_COUNT))
        accepted: bool = original(changes, turn)
        if found is None or decode_partition(found)[1] != turn.epoch:
            note.note(ACCEPTED if accepted else REFUSED, turn.pid, turn.epoch)
        return accepted

    commands._APPLY[Turn] = watched


def live(path: Path, life: str, acknowledged: Acknowledged, seed: int) -> None:
    """Runs and disturbs a store by a clock of its own until it is killed."""
    chance = random.Random(seed)
    wrong = chance.randint(-WRONG_NS, WRONG_NS)
    shared = TimeOfDay(path.parent / "shift")
    store = open_store(path, create=False, clock=SteadyClock(lambda: shared() + wrong))
    watch_epochs(Acknowledged(path.parent / "epochs"))
    running = Interpreter(store, Config(lease_ms=LEASE_MS))
    running.register("probe/double", mixed_load.double, inline=True)
    running.start()
    mixed_load.Client(store, life, acknowledged, chance, 1.0 / COMMANDS_PER_SECOND).run(lambda: False)


class StoppedStage(Stage):
    """One store, and two that run it and are stopped at times."""

    def launch(self) -> None:
        """One more process."""
        self.lives += 1
        work = partial(live, self.path, f"life{self.lives}", self.acknowledged, self.chance.randrange(1 << 32))
        self.living.append(fork(work, self.log))

    def stop_one(self, time_of_day: TimeOfDay) -> None:
        """Stops one for some leases, with steps of the clock, and wakes it."""
        while len(self.living) < 2:
            self.launch()
            self.wait()
        for one in self.living:
            one.check_alive()
        owner = self.owner()
        owners = [one for one in self.living if one.pid == owner]
        others = [one for one in self.living if one.pid != owner]
        victim = owners[0] if owners and self.chance.random() < 0.3 else self.chance.choice(others or self.living)
        victim.send(signal.SIGSTOP)
        stopped = self.chance.uniform(*LEASES) * LEASE_MS / 1000
        step_at = self.chance.uniform(0, stopped)
        time.sleep(step_at)
        if self.chance.random() < 0.5:
            time_of_day.step(self.chance.randint(-WRONG_NS, WRONG_NS))
            self.counts["steps of the clock"] += 1
        time.sleep(stopped - step_at)
        victim.send(signal.SIGCONT)
        self.counts["stops"] += 1
        self.counts["stops of the owner"] += victim.pid == owner
        time.sleep(self.chance.uniform(0, 0.05))
        if self.chance.random() < 0.05:
            self.kill(self.chance.choice(self.living))


def look_at_epochs(folder: Path) -> int:
    """How many turns of an old epoch were refused; AssertionError where one was accepted."""
    path = folder / "epochs"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    accepted = [line for line in lines if line[0] == ACCEPTED]
    if accepted:
        raise AssertionError(f"{len(accepted)} turns of an old epoch were accepted: {accepted[:5]}")
    return len(lines)


def use(seed: int, folder: Path, artifact: bytes, number: int, most: int) -> Counter[str]:
    """The stops of one store, which has a seed of its own."""
    stage = StoppedStage(folder, artifact, random.Random(f"{seed}/{number}"), f"store{number}")
    time_of_day = TimeOfDay(stage.folder / "shift")
    with killed_at_end(stage.living):
        for _ in range(min(STOPS_OF_STORE, most)):
            stage.stop_one(time_of_day)
        total = Counter(stage.finish())
    total["refused"] = look_at_epochs(stage.folder)
    stage.close()
    total.update(stage.counts)
    return total


def campaign(stops: int, seed: int, folder: Path, jobs: int = 3) -> Counter[str]:
    """The figures of a run with `jobs` stores at a time; AssertionError where anything that must hold does not."""
    return in_lines(partial(use, seed, folder, mixed_load.build()), "stops", stops, folder, jobs)


def figures(total: Counter[str]) -> str:
    """One line."""
    return (
        f"{total['stops']:,} interpreters stopped for 2 to 10 leases and woken ({total['stops of the owner']:,} owned "
        f"the store), clocks wrong by up to 10 minutes and {total['steps of the clock']:,} steps of up to 10 minutes: "
        f"{total['refused']:,} turns of an old epoch refused, 0 accepted; {total['acknowledged']:,} acknowledged "
        f"events, {total['processes']:,} processes, {total['steps']:,} steps, {total['timers']:,} timers: 0 lost, "
        f"0 doubled, 0 early, the same results"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    def run_all(stops: int, seed: int, folder: Path, jobs: int) -> str:
        return figures(campaign(stops, seed, folder, jobs))

    text = "Interpreters stopped for longer than their lease."
    return command("tests.crash.stopped", text, "stops", 1_000, run_all, arguments, jobs=3)


if __name__ == "__main__":
    sys.exit(main())
