"""Backups under the load of T1: `python -m tests.scrub.backups --backups 50 --seed 1`.

Interpreters and clients run and disturb a store and are killed with SIGKILL (tests/crash/mixed.py); meanwhile backups are
made of it.  Each is restored, and must hold all that was acknowledged before it was begun, as T1 checks it; then the
processes of the restored store are brought to their end, and all of it is checked again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flowmetal.store import open_store
from flowmetal.store.lmdb_copies import backup, restore
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.scrubbing import scrub_store
from tests.crash import mixed_load
from tests.crash.forks import Acknowledged, fork, killed_at_end, run
from tests.crash.mixed import KILLS_OF_STORE, Stage
from tests.crash.mixed_check import check

#: Backups made of one store.
BACKUPS_OF_STORE = 5
PATIENCE_SECONDS = 120.0

Facts = dict[str, int]


def made(path: Path, place: Path) -> Facts:
    """Makes a backup; how much it has."""
    copied = backup(path, LmdbOptions(), place)
    return {"records": copied.report.records, "bytes": copied.bytes}


def brought_back(place: Path, again: Path, acknowledged: list[list[object]]) -> Facts:
    """Restores a backup, and checks what it holds against what was acknowledged before; then brings it to its end."""
    restore(place, LmdbOptions(), again)
    store = open_store(again, create=False)
    found = check(store, acknowledged, False)
    store.close()
    assert not found.wrong, "\n".join(found.wrong)
    more = Acknowledged(again.parent / f"{again.name}.acknowledged")
    mixed_load.finish(again, more)
    store = open_store(again, create=False)
    ended = check(store, [*acknowledged, *more.all()], True)
    store.close()
    assert not ended.wrong, "\n".join(ended.wrong)
    report = scrub_store(again, LmdbOptions())
    assert not report.found, report
    return {"acknowledged": found.acknowledged, "processes": ended.processes, "steps": ended.steps}


def campaign(
    backups: int,
    seed: int,
    folder: Path,
    spoil: Callable[[list[list[object]]], list[list[object]]] | None = None,
) -> Counter[str]:
    """The figures; AssertionError where a backup does not hold what it must.  `spoil` changes what was acknowledged, for
    a test that has to see this fail."""
    artifact = mixed_load.build()
    total: Counter[str] = Counter()
    while total["backups"] < backups:
        chance = random.Random(f"{seed}/{total['stores']}")
        stage = Stage(folder, artifact, chance, f"store{total['stores']}")
        together = chance.choice((1, 2, 3))
        with killed_at_end(stage.living):
            for number in range(min(BACKUPS_OF_STORE, backups - total["backups"])):
                if stage.counts["kills"] > KILLS_OF_STORE // 2:
                    break  # the load is made for so many: its mailboxes fill up
                for _ in range(chance.randrange(3, 10)):
                    stage.disturb(together)
                before = stage.acknowledged.all()
                place = stage.folder / f"backup{number}"
                child = fork(partial(made, stage.path, place), stage.folder / "backup-log")
                with killed_at_end([child]):
                    give_up = time.monotonic() + PATIENCE_SECONDS
                    while child.poll() is None:
                        assert time.monotonic() < give_up, "a backup hangs"
                        stage.disturb(together)
                        total["kills while one was made"] += 1
                assert child.code == 0, child.tail()
                facts: Facts = json.loads((stage.folder / f"backup-log.{child.pid}").read_text())
                for one in list(stage.living):  # else they fill mailboxes meanwhile
                    stage.kill(one)
                known = before if spoil is None else spoil(before)
                again = stage.folder / f"again{number}"
                found: Facts = run(partial(brought_back, place, again, known), stage.folder / "restore-log")
                total.update(facts)
                total.update(found)
                total["backups"] += 1
                shutil.rmtree(again)
                shutil.rmtree(place)
            stage.finish()
        total["kills"] += stage.counts["kills"]
        total["stores"] += 1
        stage.close()
    return total


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="python -m tests.scrub.backups", description=__doc__)
    parser.add_argument("--backups", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-backups-"))
    try:
        total = campaign(asked.backups, asked.seed, folder)
    except AssertionError as failed:
        print(f"{failed}\nkept: {folder}")
        print(f"FAILED: python -m tests.scrub.backups --backups {asked.backups} --seed {asked.seed}")
        return 1
    shutil.rmtree(folder)
    print(
        f"{total['backups']:,} backups of {total['stores']:,} stores under {total['kills']:,} kills "
        f"({total['kills while one was made']:,} while one was made), {total['records']:,} records looked through, each "
        f"restored and brought to its end: {total['acknowledged']:,} acknowledged events, 0 lost; "
        f"{total['processes']:,} processes, {total['steps']:,} steps, 0 doubled; seed {asked.seed}, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
