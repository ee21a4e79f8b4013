"""Sagas and what else programs coordinate with, in processes that are killed after each step and cancelled by people."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone, kind_of
from flowmetal.engine.simulate import Ran, Simulation
from flowmetal.values import decode_value, print_string

PROGRAMS = Path(__file__).parent / "programs"
SECOND = 10**9
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND


@cache
def artifact(name: str) -> bytes:
    return build_artifact({name: (PROGRAMS / name).read_text(encoding="utf-8")}).data


def begin(name: str, function: str, *arguments: Any, **options: Any) -> tuple[Simulation, int]:
    world = Simulation(options.pop("answers", {}), seed=options.pop("seed", 1))
    return world, world.start(world.deploy(artifact(name)), f"{name.removesuffix('.fm')}/{function}", arguments)


def logged(ran: Ran) -> list[str]:
    """What a process has written to its log, printed."""
    return [
        print_string(decode_value(event.payload))
        for event in ran.log
        if isinstance(event, LocalDone) and event.effect == "log"
    ]


def same(one: Ran, other: Ran) -> None:
    """The same result, and the same events in the same order."""
    assert (one.status, print_string(one.value), print_string(one.error)) == (
        other.status,
        print_string(other.value),
        print_string(other.error),
    )
    assert [kind_of(event) for event in one.log] == [kind_of(event) for event in other.log]
    assert logged(one) == logged(other)


# ---- sagas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "after", "status", "log"),
    [
        ("trip", 90 * MINUTE, "cancelled", [":hotel", "[:undone :hotel]"]),
        ("trip", 30 * MINUTE, "cancelled", []),
        ("trip", None, "failed", [":hotel", ":flight", "[:undone :flight]", "[:undone :hotel]"]),
        ("short", 90 * MINUTE, "cancelled", [":hotel"]),
    ],
)
def test_a_saga_is_undone(function: str, after: int | None, status: str, log: list[str]) -> None:
    """Undoing takes ten minutes a step, which is longer than a cancelled process has without a saga."""
    runs = []
    for crash in (False, True):
        world, pid = begin("sagas.fm", function)
        if after is not None:
            world.run(until=world.clock.now + after, crash_each_step=crash)
            world.post(pid, "cancel")
        world.run(crash_each_step=crash)
        runs.append(world.outcome(pid))
    assert (runs[0].status, logged(runs[0])) == (status, log)
    same(*runs)


@pytest.mark.parametrize("crash", [False, True])
def test_a_person_is_asked_when_a_step_cannot_be_undone(crash: bool) -> None:
    world, pid = begin("sagas.fm", "stuck")
    for _ in range(2):
        world.run(crash_each_step=crash)
        record = world.store.process(pid)
        assert record is not None
        assert (record.status, "undoing (step-one) failed: stuck" in record.error) == ("paused", True)
        world.post(pid, "retry")
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.status, logged(ran)) == ("failed", ["1", "2", "3"])
    assert ran.error is not None
    assert print_string(ran.error.kind) == ":no"


# ---- breakers and limiters that processes share -----------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
def test_a_shared_limiter_gives_each_its_own_turn(crash: bool) -> None:
    world, pid = begin("shared.fm", "limited", 5)
    world.run(crash_each_step=crash)
    assert print_string(world.outcome(pid).value) == "(0 1 2 3 4)"


@pytest.mark.parametrize("crash", [False, True])
def test_a_shared_breaker_opens_for_all(crash: bool) -> None:
    world, pid = begin("shared.fm", "broken")
    world.run(crash_each_step=crash)
    assert print_string(world.outcome(pid).value) == "[{:down 3} {:breaker/open 4} {:fine 1} {:fine 5} :closed]"
