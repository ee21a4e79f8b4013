"""Sagas and what else programs coordinate with, in processes that are killed after each step and cancelled by people."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone, kind_of
from flowmetal.engine.simulate import Ran, Simulation
from flowmetal.values import Map, Vector, decode_value, fail, keyword, print_string

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


# ---- locks ------------------------------------------------------------------------------------------------------------

#: Function, arguments, what comes of it, and what that shows.
LOCKS = [
    ("counts", (5,), "[[0 1 2 3 4] true 5]", "one at a time, in the order of asking, with growing tokens"),
    ("rooms", (), "[[:in 0] [:in 1] [:out 0] [:in 2] [:out 1] [:in 3] [:out 2] [:out 3]]", "two at a time"),
    ("released-by-an-end", (), "true", "a holder that ends gives back"),
    ("lease-over", (), "[1 2 [[false false]] true]", "a lease ends, and who held it is told"),
    ("renewed", (), "[[:done] 32]", "renewing holds it"),
    ("lost", (), "[:lost 1 2]", "a body that goes on beyond the lease is cancelled"),
    ("impatient", (), '["stock" 2]', "who stops waiting is forgotten"),
    ("fibers", (), "[[:in 0] [:out 0] [:in 1] [:out 1] [:in 2] [:out 2]]", "fibers of a process wait for each other"),
    ("door", (), "[[:in 0] [:out 0] [:in 1] [:out 1] [:in 2] [:out 2] [:in 4] [:out 4]]", "cancelled ones leave"),
    ("restarted", (), "[false 60 2]", "a new process of the lock waits for the last lease"),
    ("waiting-through-a-restart", (), "2", "who waits asks the new process"),
    ("babble", (), "[true true 2]", "messages that are none of its own are dropped"),
]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("function", "arguments", "result"), [row[:3] for row in LOCKS], ids=[row[0] for row in LOCKS])
def test_locks(function: str, arguments: tuple[Any, ...], result: str, crash: bool) -> None:
    world, pid = begin("locks.fm", function, *arguments)
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value)) == (None, result)


def test_mistakes_with_locks_are_errors_at_the_call() -> None:
    world, pid = begin("locks.fm", "mistakes")
    world.run(pid)
    assert print_string(world.outcome(pid).value) == (
        '["the name of a lock must be a string, not :stock" "a lock has no option :leas; there are :lease, :wait,'
        ' :permits" ":permits must be a positive integer, not 0" ":wait must be a duration such as 10s, not 1"'
        ' "a lease must be a duration such as 1m, not #duration \\"PT0S\\""]'
    )


# ---- supervisors ------------------------------------------------------------------------------------------------------

_STOPPED = ":stopping [:stop :c] [:stop :b] [:stop :a]]"

SUPERVISORS = [
    ("run", ("one-for-one",), f"[[:stop :b] [:start :b] {_STOPPED}"),
    ("run", ("rest-for-one",), f"[[:stop :b] [:stop :c] [:start :b] [:start :c] {_STOPPED}"),
    (
        "run",
        ("one-for-all",),
        f"[[:stop :b] [:stop :c] [:stop :a] [:start :a] [:start :b] [:start :c] {_STOPPED}",
    ),
    ("kinds", (), "[[:p true] [:t false] [:u true]]"),
    ("too-often", (), "[:failed :supervisor/too-many-restarts :crashed [:stop :a]]"),
    ("slowly-enough", (), "5"),
    ("killed", (), "true"),
    ("changes", (), "[true true true true false [:a] :there]"),
    ("nested", (), "[[:x :y] [[:stop :y] [:stop :x] [:stop :a]]]"),
    ("parent-ends", (), "[[:start :a] [:stop :a]]"),
    ("babble", (), "[:a]"),
]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(
    ("function", "arguments", "result"), SUPERVISORS, ids=["-".join((row[0], *row[1])) for row in SUPERVISORS]
)
def test_supervisors(function: str, arguments: tuple[str, ...], result: str, crash: bool) -> None:
    world, pid = begin("trees.fm", function, *map(keyword, arguments))
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value)) == (None, result)


# ---- the example of all of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
def test_the_agency_books_trips(crash: bool) -> None:
    asked: list[str] = []

    def room(trip: Any) -> Any:
        asked.append(f"room {trip.get(keyword('id'))}")
        return Map.of([(keyword("id"), f"room-{trip.get(keyword('id'))}")])

    def flight(trip: Any) -> Any:
        asked.append(f"flight {trip.get(keyword('id'))}")
        if trip.get(keyword("id")) == 2:
            fail("airline/full", "no seat")
        return Map.of([(keyword("id"), f"flight-{trip.get(keyword('id'))}")])

    answers = {"hotel/book": room, "airline/book": flight, "hotel/cancel": asked.append, "airline/cancel": asked.append}
    world = Simulation(answers, seed=1)
    source = (Path(__file__).parents[2] / "examples" / "trips" / "trips.fm").read_text(encoding="utf-8")
    trips = Vector.of([Map.of([(keyword("id"), n)]) for n in (1, 2, 3)])
    pid = world.start(world.deploy(build_artifact({"trips.fm": source}).data), "trips/main", [trips])
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert ran.error is None
    assert print_string(ran.value) == (
        '{1 {:trip 1, :room "room-1", :flight "flight-1"}, 2 {:failed :airline/full},'
        ' 3 {:trip 3, :room "room-3", :flight "flight-3"}}'
    )
    assert sorted(asked) == ["flight 1", "flight 2", "flight 3", "room 1", "room 2", "room 3", "room-2"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancelled_supervisor_has_time_to_stop_its_children_in_order(crash: bool) -> None:
    """Each takes 20 seconds to end, all together longer than a cancelled process has without asking for more."""
    world, pid = begin("trees.fm", "alone")
    world.run(until=world.clock.now + 5 * SECOND, crash_each_step=crash)
    asked = world.clock.now
    world.post(pid, "cancel")
    world.run(crash_each_step=crash)
    ended = {one.pid: (one.status, (one.updated_at - asked) // SECOND) for one in world.store.processes()}
    assert ended == {pid: ("cancelled", 60), 2: ("cancelled", 60), 3: ("cancelled", 40), 4: ("cancelled", 20)}


# ---- killing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("running", '[true [:killed :flowmetal/killed "enough"] false]'),
        ("not-begun", "[true :cancelled false]"),
        ("stubborn", "[true :killed]"),
        ("by-name", "[true nil :nobody]"),
        ("mistakes", "[:refused :refused :refused :refused]"),
    ],
)
def test_a_process_kills_another(function: str, result: str, crash: bool) -> None:
    world, pid = begin("kills.fm", function)
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value)) == (None, result)
    if function == "running":
        killed = world.outcome(2)
        assert (killed.status, kind_of(killed.log[-1]), logged(killed)) == ("cancelled", "cancelled", [])
        assert list(world.store.open_requests(2)) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_a_lock_is_held_by_one_whoever_is_killed(seed: int) -> None:
    """The interpreter dies after each step, and holders and those that wait are killed at random times."""
    world, pid = begin("locks.fm", "crowd", seed=seed)
    world.run(pid, crash_each_step=True)
    ran = world.outcome(pid)
    assert ran.error is None
    entries = [(entry.get(0).text, entry.get(1), entry.get(2)) for entry in ran.value]
    killed = {n for what, n, _ in entries if what == "killed"}
    inside, last = None, 0
    entered = dict.fromkeys(range(8), 0)
    for what, n, token in entries:
        if what == "in":
            assert inside is None or inside in killed
            assert token > last
            inside, last = n, token
            entered[n] += 1
        elif what == "out":
            assert (inside, last) == (n, token)
            inside = None
    assert killed
    assert {n for n, times in entered.items() if times < 3} <= killed
