"""What a process can do to itself and to others with messages, pauses, limits and a store that refuses."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from flowmetal.engine import interpreter as engine
from flowmetal.engine import trouble, watchdog
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.functions import Functions
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import StoreError
from flowmetal.store.interface import Complete, Fire, Join, Leave, Post, Take
from flowmetal.store.layout import STATES, pid_key
from flowmetal.values import Duration, Instant, Keyword, Map, encode_value

from .kit import CAUGHT, ONCE, SECOND, World, k, m, seconds

DAY = 86_400 * SECOND


def charged(world: World) -> Any:
    return world.store.submit([Take(("charge",), "w", 1, 60_000)]).result()[0][0]


def post_many(world: World, pid: int, count: int) -> None:
    message = encode_value("m")
    world.store.submit([Post(pid, "message", message)] * count).result()


def test_unread_messages_do_not_hide_answers_and_cancel() -> None:
    for kind in ("answer", "cancel"):
        world = World(ONCE, [k("charge"), 1, None])
        pid = world.begin()
        world.settle()
        post_many(world, pid, 2000)
        request = charged(world)
        if kind == "answer":
            world.store.submit([Complete(pid, request.number, request.attempt, True, encode_value(7))]).result()
        else:
            world.post(pid, "cancel")
        world.settle()
        assert world.status(pid) == ("done" if kind == "answer" else "cancelled")


def test_answers_do_not_hide_resume_from_a_paused_process() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    world.post(pid, "pause")
    world.settle()
    world.store.submit([Post(pid, "answer", encode_value(1), number=9)] * 1500).result()
    world.post(pid, "resume")
    world.settle()
    assert world.status(pid) == "waiting" and world.store.inbox(pid) == []


def test_pause_while_paused_does_not_pause_again() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    for kind in ("pause", "pause", "resume"):
        world.post(pid, kind)
        world.settle()
    assert world.status(pid) == "waiting"


def test_processes_with_unread_messages_are_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "READY_PAGE", 8)
    world = World(ONCE, [k("charge"), 1, None])
    pids = [world.begin() for _ in range(20)]
    world.settle()
    for pid in pids:
        world.post(pid, "message", 1)
    assert world.store.ready(range(64), 100) == []
    turns = world.interpreter.turns
    later = world.begin()
    world.settle()
    assert world.store.process(later).waits == "charge #1"  # type: ignore[union-attr]
    assert world.interpreter.turns == turns + 1


def test_a_receive_is_marked_for_what_waits() -> None:
    world = World(ONCE, [k("receive"), None, None])
    pid = world.begin()
    world.post(pid, "message", "early")  # before its first turn, so that nothing is read along with it
    world.run(pid)
    assert world.outcome(pid).value == "early"


def test_a_full_inbox_refuses_messages_and_nothing_else() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    post_many(world, pid, 10_000)
    with pytest.raises(StoreError) as caught:
        post_many(world, pid, 1)
    assert caught.value.code == "S208" and caught.value.whose == "command" and "10000" in str(caught.value)
    world.post(pid, "cancel")
    world.settle()
    assert world.status(pid) == "cancelled"


# ---- functions of the interpreter


def test_a_call_is_made_again_for_a_process_that_was_paused_meanwhile() -> None:
    world = World(ONCE, [k("own"), 1, None])
    hanging = threading.Event()
    first = Interpreter(world.store, Config(name="first"), {"own": lambda call: hanging.wait(60)}, world.scripts)
    pid = world.begin()
    rounds(first)
    world.post(pid, "pause")
    rounds(first)
    assert world.status(pid) == "paused"
    world.store.submit([Leave("first")]).result()
    second = Interpreter(world.store, Config(name="second"), programs=world.scripts)
    second.register("own", lambda call: "again", inline=True)
    rounds(second)
    world.post(pid, "resume")
    rounds(second)
    hanging.set()
    assert world.outcome(pid).value == "again"


def rounds(interpreter: Interpreter, count: int = 30) -> None:
    for _ in range(count):
        interpreter.look_now()
        interpreter.step()


def test_an_answer_that_comes_during_a_pause_is_kept_for_the_resume() -> None:
    calls: list[Call] = []
    go = threading.Event()

    def own(call: Call) -> str:
        calls.append(call)
        go.wait(60)
        return "late"

    world = World(ONCE, [k("own"), 1, None])
    interpreter = Interpreter(world.store, Config(name="a"), {"own": own}, world.scripts)
    pid = world.begin()
    rounds(interpreter)
    world.post(pid, "pause")
    rounds(interpreter)
    go.set()
    deadline = time.monotonic() + 30
    while interpreter.functions.busy and time.monotonic() < deadline:
        rounds(interpreter, 5)
        time.sleep(0.01)
    assert world.status(pid) == "paused"
    world.post(pid, "resume")
    rounds(interpreter)
    assert world.outcome(pid).value == "late" and len(calls) == 1


def test_a_call_of_a_process_that_is_ready_at_once_is_made_by_the_next_holder() -> None:
    world = World(ONCE, [k("own"), 1, None])
    hanging = threading.Event()
    first = Interpreter(world.store, Config(name="first"), {"own": lambda call: hanging.wait(60)}, world.scripts)
    pid = world.begin()
    rounds(first)
    world.store.submit([Leave("first"), Post(pid, "resume")]).result()  # not paused: nothing but a reason to load it
    second = Interpreter(world.store, Config(name="second"), programs=world.scripts)
    second.register("own", lambda call: "again", inline=True)
    rounds(second)
    hanging.set()
    assert world.outcome(pid).value == "again"


def test_an_answer_in_a_refused_turn_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "TROUBLE_SECONDS", 0.0)
    calls: list[Call] = []
    world = World(ONCE, [k("own"), 1, None])

    def own(call: Call) -> str:
        calls.append(call)
        if len(calls) == 1:
            world.store.fault = refuse
        return "answer"

    def refuse(point: str) -> None:
        world.store.fault = None
        raise StoreError("S301", path="x", reason="full")

    interpreter = Interpreter(world.store, Config(name="a"), programs=world.scripts)
    interpreter.register("own", own, inline=True)
    rounds(interpreter, 5)  # it has joined, so that the next refusal is that of a turn
    pid = world.begin()
    rounds(interpreter)
    assert world.outcome(pid).value == "answer" and len(calls) == 2


def test_delayed_calls_are_made_once_and_not_for_others() -> None:
    made: list[int] = []
    functions = Functions({"own": lambda call: made.append(call.pid)}, 1, lambda: None)
    functions.inline.add("own")
    for pid in (1, 1, 2):
        functions.call(Call(pid, 1, "own", None, None, "k", not_before=10), 0)
    assert functions.call_due(10, lambda pid: pid == 1) and made == [1]
    functions.take()
    assert not functions.call_due(10) and made == [1]


# ---- limits


@pytest.mark.parametrize(
    ("effect", "payload", "options", "kind"),
    [
        ("sleep", Duration(200_000 * DAY), None, "argument"),
        ("sleep", Instant(1 << 64), None, "argument"),
        ("charge", 1, m(timeout=Duration(200_000 * DAY)), "argument"),
        ("charge", 1, m(timeout=Duration(100_000 * DAY)), "argument"),
        ("charge", 1, m(deadline=Instant(1 << 70)), "argument"),
        ("charge", 1, m(retry=m(backoff=Duration(200_000 * DAY))), "argument"),
        ("charge", 1, m(retry=m(max_delay=Duration(200_000 * DAY))), "argument"),
        ("annotate!", m(n=1 << 80), None, "argument"),
        ("annotate!", m(s="x" * 70_000), None, "limit"),
        ("x" * 300, 1, None, "argument"),
        ("charge", b"x" * (33 << 20), None, "limit"),
        ("log", b"x" * (33 << 20), None, "limit"),
        ("sleep", seconds(1), m(retry=3), "argument"),
        ("http/callback", None, m(retry=m(on=503)), "argument"),
        ("receive", None, m(retry=True), "argument"),
    ],
)
def test_what_the_store_would_refuse_is_an_error_of_the_call(
    effect: str, payload: Any, options: Map | None, kind: str
) -> None:
    world = World(CAUGHT, [k(effect), payload, options])
    pid = world.begin()
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.status == "done", world.store.process(pid)
    error = getattr(ran.value, "kind", None)
    assert error.__class__ is Keyword and error.text == kind


def test_a_result_that_is_too_large_is_a_failure() -> None:
    big = '.code "t/main"\n.parameters 1\n.registers 2\n  vector r1 (r0 r0 r0)\n  return r1\n'
    world = World(big)
    pid = world.begin(b"x" * (16 << 20))
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.status == "failed" and ran.error is not None and ran.error.kind is k("limit")


# ---- a store that refuses


def test_a_full_disk_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    world = World(ONCE, [k("sleep"), seconds(1), None])
    pid = world.begin()
    world.settle()
    world.clock.advance(2 * SECOND)
    tried: list[str] = []

    def full(point: str) -> None:
        tried.append(point)
        raise StoreError("S301", path="x", reason="full")

    world.store.fault = full
    with caplog.at_level(logging.WARNING, "flowmetal.engine"):
        begin = time.monotonic()
        while time.monotonic() - begin < 1.2:
            world.interpreter.look_now()
            world.interpreter.step()
            time.sleep(0.005)
    assert 1 <= len(tried) <= 3
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    world.store.fault = None
    world.interpreter._trouble.until = 0.0
    world.run(pid)
    assert world.status(pid) == "done"


def test_a_full_queue_is_not_the_fault_of_a_process() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()

    def busy(point: str) -> None:
        raise StoreError("S207", limit=1)

    rounds(world.interpreter, 1)  # it has joined
    world.store.fault = busy
    rounds(world.interpreter, 5)
    world.store.fault = None
    world.interpreter._trouble.until = 0.0
    world.settle()
    assert world.status(pid) == "waiting"


def test_a_damaged_row_stops_one_process_only() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    bad = world.begin()
    world.store._tables[STATES].put(pid_key(bad), b"\xc1")
    world.store._cache.clear()
    good = [world.begin() for _ in range(3)]
    world.settle()
    assert [world.status(pid) for pid in good] == ["waiting"] * 3


# ---- a process that ends its interpreters


def test_a_process_that_ends_its_interpreters_is_paused_in_the_end() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    for number in range(3):
        world.store.submit([Join(f"dying{number}", 1000, pid)]).result()
        world.clock.advance(2 * SECOND)
        world.store.submit([Fire()]).result()
    assert world.store.process(pid).deaths == 3  # type: ignore[union-attr]
    other = world.begin()
    world.settle()
    record = world.store.process(pid)
    assert record is not None and record.status == "paused" and "interpreters" in record.error
    assert world.status(other) == "waiting"
    world.post(pid, "resume")  # it had not begun
    world.settle()
    world.crash()
    world.answers["charge"] = lambda payload: "ok"
    world.run(pid)
    assert world.outcome(pid).value == "ok"


def test_an_interpreter_notes_a_long_turn_and_takes_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LONG_TURN_SECONDS", 0.1)
    world = World(ONCE, [k("charge"), 1, None])
    go = threading.Event()
    joins: list[int] = []
    submit = world.store.submit

    def noting(commands: Any) -> Any:
        joins.extend(command.running for command in commands if isinstance(command, Join))
        return submit(commands)

    def slow(hash: bytes) -> Any:
        go.wait(60)
        return world.scripts(hash)

    world.store.submit = noting  # type: ignore[method-assign]
    interpreter = Interpreter(world.store, Config(name="a"), programs=slow)
    pid = world.begin()
    interpreter.start()
    deadline = time.monotonic() + 30
    while pid not in joins and time.monotonic() < deadline:
        time.sleep(0.01)
    go.set()
    while (joins[-1] or pid not in joins) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert interpreter.stop(30)
    assert pid in joins and joins[-1] == 0
    assert world.store.process(pid).deaths == 0  # type: ignore[union-attr]
