"""The interpreter: threads, wake-ups, sharing by claims, fairness, functions of its own, faults, a clean stop."""

from __future__ import annotations

import threading
import time
from typing import Any

from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.simulate import BEGIN
from flowmetal.store.interface import FINAL_STATUSES, Complete, PutArtifact, Start, Take
from flowmetal.store.memory import MemoryStore
from flowmetal.values import ErrorValue, LanguageError, Vector, decode_value, encode_value

from .kit import CAUGHT, CHAIN, ONCE, SECOND, Scripts, World, k, m, seconds

#: What happens at once has this long on a busy machine.
DEADLINE_SECONDS = 60.0
#: How often the interpreters here look at the store unasked: too rarely to help a test.
FALLBACK_SECONDS = 300.0

ENDLESS = """
.code "t/main"
.registers 1
again:
  loop
  jump_back again
"""


class Running:
    """A store in real time with assembled programs."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.scripts = Scripts()
        self.interpreters: list[Interpreter] = []

    def interpreter(self, **functions: Any) -> Interpreter:
        config = Config(fallback_seconds=FALLBACK_SECONDS)
        interpreter = Interpreter(self.store, config, functions, programs=self.scripts)
        self.interpreters.append(interpreter)
        interpreter.start()
        return interpreter

    def begin(self, text: str, constants: list[Any], *arguments: Any) -> int:
        hash = self.scripts.add(text, constants)
        put = PutArtifact(hash, b"assembled")
        start = Start("t/main", encode_value(Vector.of(arguments)), artifact=hash)
        pid: int = self.store.submit([put, start]).result()[1][0]
        return pid

    def wait(self, pid: int, seconds: float = DEADLINE_SECONDS) -> str:
        """The status once it has ended, woken by the store."""
        done = threading.Event()
        unwatch = self.store.watch(lambda hints: done.set() if ("process", pid) in hints else None)
        try:
            deadline = time.monotonic() + seconds
            while True:
                done.clear()
                record = self.store.process(pid)
                assert record is not None
                if record.status in FINAL_STATUSES or time.monotonic() > deadline:
                    return record.status
                done.wait(0.5)
        finally:
            unwatch()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *problem: object) -> None:
        for interpreter in self.interpreters:
            assert interpreter.stop(DEADLINE_SECONDS)
        self.store.close()


def value_of(store: MemoryStore, pid: int) -> Any:
    data = store.result(pid)
    assert data is not None
    return decode_value(data)


def test_functions_of_its_own_in_a_pool() -> None:
    with Running() as running:
        running.interpreter(double=lambda call: call.payload * 2)
        pids = [running.begin(CHAIN, [k("double"), None], 20) for _ in range(20)]
        assert [running.wait(pid) for pid in pids] == ["done"] * 20
        assert {value_of(running.store, pid) for pid in pids} == {38}


def test_hints_wake_it_at_once() -> None:
    with Running() as running:
        running.interpreter()
        pid = running.begin(ONCE, [k("charge"), 1, None])
        begin = time.monotonic()
        while not running.store.queued(["charge"]):
            assert time.monotonic() - begin < DEADLINE_SECONDS
            time.sleep(0.001)
        request = running.store.submit([Take(("charge",), "w", 1, 60_000)]).result()[0][0]
        running.store.submit([Complete(pid, request.number, request.attempt, True, encode_value("ok"))]).result()
        assert running.wait(pid) == "done"
        assert time.monotonic() - begin < DEADLINE_SECONDS < FALLBACK_SECONDS


def test_timers_wake_it() -> None:
    with Running() as running:
        running.interpreter()
        begin = time.monotonic()
        pid = running.begin(ONCE, [k("sleep"), seconds(0.05), None])
        assert running.wait(pid) == "done"
        assert 0.05 <= time.monotonic() - begin < DEADLINE_SECONDS < FALLBACK_SECONDS


def test_an_endless_loop_does_not_keep_others_waiting() -> None:
    with Running() as running:
        running.interpreter(double=lambda call: call.payload * 2)
        loops = [running.begin(ENDLESS, []) for _ in range(3)]
        pid = running.begin(CHAIN, [k("double"), None], 10)
        assert running.wait(pid) == "done"
        for loop in loops:
            record = running.store.process(loop)
            assert record is not None
            assert record.status == "ready"


def test_an_endless_loop_can_be_cancelled() -> None:
    world = World(ENDLESS, config=Config(fuel=100))
    pid = world.begin()
    for _ in range(10):
        world.interpreter.step()
    world.post(pid, "cancel", "enough")
    for _ in range(10):
        world.interpreter.step()
    assert world.status(pid) == "cancelled"


def test_two_interpreters_share_the_processes() -> None:
    with Running() as running:
        first = running.interpreter(double=lambda call: call.payload * 2)
        second = running.interpreter(double=lambda call: call.payload * 2)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(first.partitions) != 32 or len(second.partitions) != 32:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert not first.partitions & second.partitions
        pids = [running.begin(CHAIN, [k("double"), None], 5) for _ in range(40)]
        assert [running.wait(pid) for pid in pids] == ["done"] * 40
        assert first.turns
        assert second.turns


def test_a_second_interpreter_takes_over_what_a_dead_one_held() -> None:
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number})
    pids = [world.begin(3) for _ in range(10)]
    world.settle()
    # The first is gone without a word: its lease must run out before another one may go on.
    successor = Interpreter(world.store, Config(name="second"), programs=world.scripts)
    world.interpreter = successor
    world.run(until=BEGIN + 5 * SECOND)
    world.clock.advance(60 * SECOND)
    for _ in range(20):
        successor.look_now()
        world.settle()
        world._answer_some()
    assert len(successor.partitions) == 64
    assert [world.status(pid) for pid in pids] == ["done"] * 10


def test_one_that_lost_its_claim_writes_nothing() -> None:
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number})
    pid = world.begin(3)
    world.settle()
    old = world.interpreter
    world.clock.advance(60 * SECOND)
    world.interpreter = Interpreter(world.store, Config(name="second"), programs=world.scripts)
    world.settle()
    assert len(world.interpreter.partitions) == 64
    before = world.store.process(pid)
    # The old one still believes in its claim and finds an answer to work on.
    old._claims.renew_at = world.clock.now + 3600 * SECOND
    old._signals.claims = False
    request = world.store.submit([Take(("double",), "w", 1, 60_000)]).result()[0][0]
    world.store.submit([Complete(pid, request.number, request.attempt, True, encode_value(0))]).result()
    old.look_now()
    old.step()
    after = world.store.process(pid)
    assert before is not None
    assert after is not None
    assert after.sequence == before.sequence
    world.run(pid)
    assert world.status(pid) == "done"


def test_open_calls_of_own_functions_are_made_again_after_a_crash() -> None:
    calls: list[int] = []

    def double(call: Any) -> Any:
        calls.append(call.number)
        return call.payload * 2

    world = World(CHAIN, [k("double"), None])
    world.interpreter.register("double", lambda call: time.sleep(60), inline=False)
    world.interpreter.functions._pool = _Nowhere()  # type: ignore[assignment]
    pid = world.begin(2)
    world.settle()
    assert [request.queued for request in world.store.open_requests(pid)] == [False]
    world.functions["double"] = double
    world.crash()
    world.run(pid)
    assert world.outcome(pid).value == 2
    assert calls == [1, 2]


class _Nowhere:
    """A pool that loses what it is given, as a crash does."""

    def submit(self, *call: object) -> None:
        pass


def test_own_functions_are_retried_by_policy() -> None:
    outcomes: list[Any] = [ErrorValue(k("busy"), "busy", None), "ok"]

    def charge(call: Any) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ErrorValue):
            raise LanguageError(outcome)
        return (outcome, call.attempt, call.idempotency_key)[0]

    options = m(retry=m(max=2, backoff=seconds(3), jitter=0))
    world = World(CAUGHT, [k("charge"), 1, options], functions={"charge": charge})
    pid = world.begin()
    world.settle()
    assert world.status(pid) == "waiting"
    world.clock.advance(3 * SECOND)
    world.settle()
    assert world.outcome(pid).value == "ok"


def test_a_function_that_breaks_is_an_error_of_the_program() -> None:
    world = World(CAUGHT, [k("charge"), 1, None], functions={"charge": lambda call: 1 / 0})
    pid = world.begin()
    world.run(pid)
    value = world.outcome(pid).value
    assert value.kind is k("flowmetal/function-failed")
    assert "ZeroDivisionError" in value.message


def test_a_process_that_cannot_be_loaded_is_paused_and_can_be_cancelled() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()

    def broken(hash: bytes) -> Any:
        from flowmetal.diagnostics import FlowmetalError

        raise FlowmetalError("V302", hash=hash.hex())

    world.programs = broken
    world.crash()
    world.answers["charge"] = lambda payload: "ok"
    world.run(pid)
    assert world.status(pid) == "paused"
    record = world.store.process(pid)
    assert record is not None
    assert "has no program" in record.error
    world.post(pid, "resume")
    world.settle()
    assert world.status(pid) == "paused"
    world.programs = world.scripts
    world.crash()
    world.post(pid, "resume")
    world.run(pid)
    assert world.outcome(pid).value == "ok"


def test_a_process_that_cannot_be_loaded_can_be_cancelled() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    world.scripts.programs.clear()
    world.crash()
    world.post(pid, "cancel")
    world.settle()
    assert world.status(pid) == "cancelled"


def test_few_processes_in_memory_are_enough() -> None:
    config = Config(hot_processes=2)
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number * 2}, config=config)
    pids = [world.begin(4) for _ in range(20)]
    world.run()
    assert [world.outcome(pid).value for pid in pids] == [6] * 20
    assert len(world.interpreter._hot) <= 2


def test_few_bytes_in_memory_are_enough() -> None:
    """What is in memory is bounded by what it weighs as well, and what was let go is weighed no more."""
    config = Config(hot_bytes=600)
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number * 2}, config=config)
    pids = [world.begin(4) for _ in range(30)]
    world.settle()
    hot = world.interpreter._hot
    assert 0 < len(hot) < 20
    assert world.interpreter._hot_bytes == sum(live.weight for live in hot.values()) <= 600
    world.run()
    assert [world.outcome(pid).value for pid in pids] == [6] * 30
    assert world.interpreter._hot_bytes == sum(live.weight for live in hot.values())


def test_many_steps_in_one_turn_are_committed_in_pieces() -> None:
    world = World(CHAIN, [k("log"), None])
    pid = world.begin(1000)
    world.settle()
    assert world.status(pid) == "done"
    assert world.interpreter.commits > 3


def test_stopping_gives_the_partitions_back() -> None:
    with Running() as running:
        first = running.interpreter()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not first.partitions:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        begin = time.monotonic()
        assert first.stop(DEADLINE_SECONDS)
        assert time.monotonic() - begin < DEADLINE_SECONDS < FALLBACK_SECONDS
        second = running.interpreter()
        while len(second.partitions) != 64:
            assert time.monotonic() < deadline
            time.sleep(0.005)
