"""kill -9 while processes are enqueued, admitted, paused and ended: slots are what runs, whatever was cut off."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import Fire, Join, Post, PutArtifact
from tests.store.queue_kit import check_queues, operate
from tests.store.queue_process import turns
from tests.store.support import reap, run_child


def killed(path: Path, kills: int) -> int:
    """Kills so many processes that write the store, looks at it each time, then ends everything; how many there were."""
    drawn = random.Random(seed := random.randrange(1 << 32))
    print(f"seed {seed}")
    store = open_store(path)
    store.submit([PutArtifact(b"h", b"code", "p")]).result(60)
    operate(store, "queue/define", {"name": "q", "concurrency": 5, "key-concurrency": 2, "window": "1s"})
    store.close()
    for number in range(kills):
        child = run_child("queue_process", path, drawn.randrange(1 << 32))
        assert child.stdout is not None and child.stdout.readline() == "open\n"
        time.sleep(drawn.random() * 0.3)
        reap(child)
        store = open_store(path)
        check_queues(store)
        shown = operate(store, "queue/stats", "q")
        assert shown["running"] <= 5
        if number == kills // 2:
            operate(store, "queue/define", {"name": "q", "concurrency": 4, "paused-keeps-slot": False, "window": "1s"})
        store.close()
    store = open_store(path)
    store.submit([Join("last", 3_600_000)]).result(60)
    for _ in range(10_000):
        living = store.processes(limit=10_000, statuses=("ready", "waiting", "paused"))
        if not living:
            break
        posts = [Post(one.pid, "cancel" if drawn.random() < 0.5 else "resume") for one in living[:200]]
        store.submit([*posts, Fire()]).result(60)
        turns(store, "last", drawn, ending=1.0)
    check_queues(store)
    shown = operate(store, "queue/stats", "q")
    assert [shown[name] for name in ("running", "waiting", "delayed", "held")] == [0, 0, 0, 0]
    count = sum(store.stats()["processes"].values())
    store.close()
    return count


def test_killed_while_a_queue_is_at_work(tmp_path: Path) -> None:
    assert killed(tmp_path / "store", 5) > 0


@pytest.mark.crash
@pytest.mark.slow
def test_killed_many_times(tmp_path: Path) -> None:
    assert killed(tmp_path / "store", 100) > 100
