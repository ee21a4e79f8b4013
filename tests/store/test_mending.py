"""Mend: indexes are made whole from the rows of processes, whatever of them was damaged or is missing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import Fire, Mend, Post, Request, Take, Timer
from flowmetal.store.layout import CALLS, DUE, IDS, QUEUE, READY, STATES, STATUSES, pid_key
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.memory import MemoryStore
from flowmetal.store.mending import STEPS
from flowmetal.store.scrubbing import scrub_store
from tests.scrub.flips import dump, flip, make_store
from tests.store.support import Rig, SharedClock
from tests.store.test_sealing import Raw, code_of

OPTIONS = LmdbOptions()


def mend(path: Path, limit: int = 7) -> int:
    store = open_store(path)
    mended = 0
    for space in STEPS:
        start: bytes | None = None
        while start != b"":
            start, some = store.submit([Mend(space, start or b"", limit)]).result(60)[0]
            mended += some
    store.close()
    return mended


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store"
    make_store(path, count=10)
    return path


@pytest.mark.parametrize("seed", range(4))
def test_indexes_are_made_whole(whole: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "data.mdb").write_bytes((whole / "data.mdb").read_bytes())
    before = dump(path, OPTIONS)
    assert mend(path) == 0 and dump(path, OPTIONS) == before
    chance = random.Random(seed)
    count = 0
    with Raw(path) as raw:
        for space in (READY, STATUSES, CALLS, QUEUE, DUE, IDS):
            items = raw.items(space)
            for key, stored in chance.sample(items, min(len(items), 4)):
                kind = chance.choice(("value", "gone", "key"))
                count += 1
                if kind == "value" or space == IDS:
                    raw.put(space, key, flip(stored, chance.randrange(8 * len(stored))))
                else:
                    raw.transaction.delete(key, db=raw.handles[space])
                    other = flip(key, chance.randrange(8 * len(key)))
                    if kind == "key" and raw.transaction.get(other, db=raw.handles[space]) is None:
                        raw.put(space, other, stored)
    assert count > 12 and scrub_store(path, OPTIONS).found > 8
    assert mend(path) >= count
    report = scrub_store(path, OPTIONS)
    assert not report.found, report
    assert dump(path, OPTIONS) == before


def test_a_damaged_row_stays_damaged(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "data.mdb").write_bytes((whole / "data.mdb").read_bytes())
    with Raw(path) as raw:
        raw.flip(STATES, pid_key(2))
    assert mend(path) == 0
    report = scrub_store(path, OPTIONS)
    assert {finding.kind for finding in report.findings} <= {"damaged", "inconsistent"} and report.found
    store = open_store(path)
    assert store.submit([Post(3, "message", b"")]).result(60) == [True]
    assert code_of(lambda: store.submit([Mend("log")]).result(60)) == "S206"
    store.close()
    assert MemoryStore().submit([Mend("ready")]).result() == [(b"", 0)]


def test_timers_and_requests_that_stand_apart_are_kept(tmp_path: Path) -> None:
    """A process has more of them than its row takes: their entries come back from the records of their own."""
    path = tmp_path / "store"
    clock = SharedClock(tmp_path / "clock")
    store = open_store(path, clock=clock)
    rig = Rig(store, clock)
    pid = rig.start()
    timers = [Timer(clock() + 10**10, number, "sleep") for number in range(1, 41)]
    requests = [Request(pid, number, "pay", b"p", b"", f"key-{number}") for number in range(41, 61)]
    assert rig.turn(pid, timers=timers, requests=requests)
    store.close()
    with Raw(path) as raw:
        for space in (DUE, QUEUE):
            for key, _ in raw.items(space):
                raw.flip(space, key)
    assert scrub_store(path, OPTIONS).found >= 60
    mend(path)
    assert not scrub_store(path, OPTIONS).found
    store = open_store(path, clock=clock)
    clock.forward(20)
    store.submit([Fire()]).result(60)
    assert len(store.inbox(pid, 1000)) == 40
    assert len(store.submit([Take(("pay",), "worker", 1000, 100)]).result(60)[0]) == 20
    store.close()
