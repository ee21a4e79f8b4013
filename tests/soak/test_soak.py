"""Some seconds of a soak, and that what it asks for can be missed."""

from __future__ import annotations

import random
from pathlib import Path

from flowmetal.store import open_store
from tests.crash import mixed_load
from tests.crash.forks import Acknowledged, run
from tests.soak import figures
from tests.soak.__main__ import soak
from tests.soak.line import look


def test_some_seconds(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    outcome = soak(5.0, seed, tmp_path, kill_every=0.8)
    print(outcome.text)
    assert not outcome.wrong


def grown(per_hour: float, noise: float) -> list[tuple[float, float]]:
    chance = random.Random(1)
    return [(at, 50 + per_hour * at / 3600 + chance.uniform(0, noise)) for at in range(0, 1800, 2)]


def test_a_slope_is_found_in_noise() -> None:
    assert figures.slope_per_hour(grown(0.0, 2.0)) < figures.SLOPE_MAX / 2
    assert 1.5 < figures.slope_per_hour(grown(2.0, 2.0)) < 2.5
    jump = [(at, value + (30 if at == 600 else 0)) for at, value in grown(0.0, 1.0)]
    assert figures.slope_per_hour(jump) < figures.SLOPE_MAX / 2


def test_what_gets_slower_is_found() -> None:
    chance = random.Random(1)
    slow = [(at / 10, chance.expovariate(200) * (1 + at / 18000)) for at in range(18000)]
    first, last = figures.p99_by_parts(slow, 1800)
    assert last > figures.P99_RATIO_MAX * first
    same = [(at / 10, chance.expovariate(200)) for at in range(18000)]
    first, last = figures.p99_by_parts(same, 1800)
    assert last < figures.P99_RATIO_MAX * first


def test_a_store_that_grows_is_found() -> None:
    assert figures.disk_growth([(at, 5 + at / 100) for at in range(1800)], 1800) > figures.DISK_RATIO_MAX
    assert figures.disk_growth([(at, min(5 + at, 80.0)) for at in range(1800)], 1800) == 1.0


def test_what_is_stuck_or_lost_is_found(tmp_path: Path) -> None:
    artifact = mixed_load.build()
    acknowledged = Acknowledged(tmp_path / "acknowledged")
    acknowledged.note("post", "life1", 3)
    for value in ("a", "b"):
        acknowledged.note("deliver", 7, value, "accepted")
        acknowledged.note("complete", 8, 2, 1)

    def leave() -> None:
        mixed_load.make(tmp_path / "store", artifact)  # with a process that takes messages, which nobody ends
        open_store(tmp_path / "store").close()

    run(leave, tmp_path / "log")
    wrong = run(lambda: look(tmp_path / "store", tmp_path), tmp_path / "log")["wrong"]
    acknowledged.close()
    for said in ("process 1 is stuck", "two deliveries", "two answers", "client life1: 3 messages were acknowledged"):
        assert any(said in line for line in wrong), wrong
