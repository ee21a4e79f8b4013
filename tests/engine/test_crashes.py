"""Crashes: whatever is lost after a commit, a process goes on to the same result and no step is doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.engine import events, turns
from flowmetal.engine.config import Config
from flowmetal.engine.events import Event, encode_event
from flowmetal.engine.simulate import Ran
from flowmetal.values import ErrorValue, LanguageError

from .kit import CAUGHT, CHAIN, SECOND, World, k, m, seconds
from .test_processes import CALLBACK, FINALLY

#: Two fibers, each with a step of its own after the other's, over a sleep.
FIBERS = """
.code "t/main"
.registers 8
  global r0 g0
  async r1 r0
  async r2 r0
  constant r3 k0
  nil r4
  integer r5 7
  perform r6 r3 r5 r4
  await r1 r1
  await r2 r2
  vector r7 (r1 r2 r6)
  return r7

.code "t/work"
.registers 6
  constant r0 k1
  constant r1 k2
  nil r2
  perform r3 r0 r1 r2
  constant r0 k0
  integer r1 5
  perform r4 r0 r1 r2
  constant r0 k3
  perform r5 r0 r4 r2
  return r4
"""


def chain(**options: Any) -> World:
    return World(CHAIN, [k("double"), None], answers={"double": lambda number: number * 2}, **options)


def retried(**options: Any) -> World:
    count = Counter[str]()

    def answer(payload: Any) -> Any:
        count["calls"] += 1
        if count["calls"] % 3:
            raise LanguageError(ErrorValue(k("busy"), "busy", None))
        return count["calls"]

    policy = m(retry=m(max=4, backoff=seconds(1), jitter=0))
    return World(CAUGHT, [k("charge"), 1, policy], answers={"charge": answer}, **options)


def fibers(**options: Any) -> World:
    constants = [k("double"), k("sleep"), seconds(3), k("log")]
    return World(FIBERS, constants, answers={"double": lambda number: number * 2}, **options)


def callback(**options: Any) -> World:
    constants = [k("http/callback"), k("http/callback-url"), k("log")]
    return World(CALLBACK, constants, answers={"http/callback": lambda payload: "built"}, **options)


def limited(**options: Any) -> World:
    return World(CAUGHT, [k("charge"), 1, m(timeout=seconds(5))], **options)


def own_function(**options: Any) -> World:
    return World(CHAIN, [k("triple"), None], functions={"triple": lambda call: call.payload * 3}, **options)


#: Local effects whose events hold a random token in the callback program.
RANDOM = ("http/callback-url", "log")

PROGRAMS: dict[str, tuple[Callable[..., World], tuple[Any, ...]]] = {
    "chain": (chain, (5,)),
    "retried": (retried, ()),
    "fibers": (fibers, ()),
    "callback": (callback, ()),
    "limited": (limited, ()),
    "own function": (own_function, (5,)),
}


def run(name: str, crash_each_step: bool = False, **options: Any) -> tuple[World, Ran]:
    make, arguments = PROGRAMS[name]
    world = make(**options)
    pid = world.begin(*arguments)
    world.run(pid, crash_each_step=crash_each_step)
    return world, world.outcome(pid)


def steps(log: tuple[Event, ...]) -> list[bytes]:
    """The events without their times and random parts."""
    return [
        encode_event(event) for event in log if not (isinstance(event, events.LocalDone) and event.effect in RANDOM)
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_crash_after_every_commit_changes_nothing(name: str) -> None:
    _, whole = run(name)
    world, crashed = run(name, crash_each_step=True)
    assert world.crashes > 1
    assert crashed.status == whole.status == "done"
    if name != "callback":
        assert crashed.value == whole.value
    assert steps(crashed.log) == steps(whole.log)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_request_is_opened_once_and_settled_once(name: str) -> None:
    _, ran = run(name, crash_each_step=True)
    opened = Counter(event.number for event in ran.log if isinstance(event, events.Requested))
    settled = Counter(
        event.number
        for event in ran.log
        if isinstance(event, events.Answered | events.AnsweredError | events.TimerFired | events.TimedOut)
    )
    assert set(opened.values()) == {1}
    assert opened == settled


@given(st.sampled_from(sorted(PROGRAMS)), st.sets(st.integers(0, 40), max_size=12))
def test_crashes_at_any_commits(name: str, places: set[int]) -> None:
    make, arguments = PROGRAMS[name]
    _, whole = run(name)
    world = make()
    commits = 0

    def fault(place: str) -> None:
        nonlocal commits
        commits += 1

    world.store.fault = fault
    pid = world.begin(*arguments)
    interpreter_step = world.interpreter.step

    for _ in range(10_000):
        before = commits
        progress = world.interpreter.step()
        if commits != before and commits in places:
            world.crash()
            continue
        if progress:
            continue
        if world.status(pid) == "done":
            break
        if not world._answer_some():
            due = world.store.next_due()
            assert due is not None
            world.clock.move_to(due)
            world.interpreter.look_now()
    del interpreter_step
    ran = world.outcome(pid)
    assert ran.status == "done"
    assert steps(ran.log) == steps(whole.log)


def test_a_long_computation_is_saved_within_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CUT_SLICES", 20)
    text = """
.code "t/main"
.parameters 1
.registers 3
  integer r1 0
again:
  loop
  less r2 r1 r0
  jump_if_false r2 out
  add_integer r1 r1 1
  jump_back again
out:
  return r1
"""
    world = World(text, config=Config(fuel=10))
    pid = world.begin(5000)
    for _ in range(400):
        world.interpreter.step()
    parts = [entry.part for entry in world.store.log(pid)]
    assert parts[0] == 0
    assert parts == list(range(len(parts)))
    assert len(parts) > 15
    world.crash()
    left = 0
    while world.status(pid) != "done":
        world.interpreter.step()
        left += 1
    # What was done before the crash was not done again, but for what came after the last cut.
    assert left < 5000 / 10 - 350
    assert world.outcome(pid).value == 5000


def test_checkpoints_bound_what_a_restart_reads() -> None:
    text = """
.code "t/main"
.parameters 1
.registers 7
  constant r1 k0
  nil r2
  vector r3 ()
  integer r4 0
again:
  loop
  less r5 r4 r0
  jump_if_false r5 out
  perform r6 r1 r4 r2
  vector r3 (r6 r3)
  add_integer r4 r4 1
  jump_back again
out:
  return r4
"""
    world = World(text, [k("fetch"), None], answers={"fetch": lambda number: f"{number}" * 1000})
    pid = world.begin(200)
    while world.store.process(pid).sequence < 300:  # type: ignore[union-attr]
        world.settle()
        world._answer_some()
    record = world.store.process(pid)
    assert record is not None
    assert record.checkpoint > 0
    world.crash()
    world.run(pid, crash_each_step=True)
    assert world.outcome(pid).value == 200


def test_a_store_that_fails_for_a_while() -> None:
    from flowmetal.store import StoreError

    world = chain()
    failures = 5

    def fault(place: str) -> None:
        nonlocal failures
        if failures and world.interpreter.commits:
            failures -= 1
            raise StoreError("S301", path="memory:", reason="full")

    pid = world.begin(3)
    world.store.fault = fault
    for _ in range(100):
        world.interpreter._trouble.until = 0.0
        try:
            if not world.interpreter.step():
                world._answer_some()
        except StoreError:
            continue
        world.interpreter.look_now()
        if world.status(pid) == "done":
            break
    assert world.outcome(pid).value == 4


def test_cancelled_with_a_crash_at_every_commit() -> None:
    text = FINALLY.replace("perform r5 r3 r1 r1", "constant r5 k2\n  perform r5 r3 r5 r1")
    world = World(text, [k("charge"), k("sleep"), seconds(2)])
    pid = world.begin()
    world.settle(crash_each_step=True)
    world.post(pid, "cancel")
    world.run(pid, crash_each_step=True)
    ran = world.outcome(pid)
    assert ran.status == "cancelled"
    assert world.clock.now >= ran.log[0].time + 2 * SECOND
