"""What people do to running processes by hand, end to end: it takes effect once, and the log says who it was."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flowmetal.client.errors import Refused
from flowmetal.client.over_store import StoreClient
from flowmetal.client.where import Where
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import live
from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import AttemptFailed, describe
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.simulate import Simulation
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Post, Take
from flowmetal.values import ErrorValue, LanguageError

from .kit import CAUGHT, CHAIN, ONCE, World, k, m, seconds
from .test_interpreter import DEADLINE_SECONDS, ENDLESS, Running

RETRY = m(retry=m(max=1, backoff=seconds(1), jitter=0))


def busy(payload: Any) -> Any:
    raise LanguageError(ErrorValue(k("http/status"), "503", None))


def client_of(world: World) -> StoreClient:
    return StoreClient(world.store, lambda store, name, data: b"")


def stuck(body: str = CAUGHT, **options: Any) -> tuple[World, int, StoreClient]:
    """A process whose request has used up its retries."""
    world = World(body, [k("charge"), 1, RETRY], answers={"charge": busy}, **options)
    pid = world.begin()
    world.run(pid)
    assert world.status(pid) == "paused"
    return world, pid, client_of(world)


def lines(world: World, pid: int) -> list[str]:
    return [describe(event) for event in world.outcome(pid).log]


@pytest.mark.parametrize("crash", [False, True])
def test_a_person_answers_what_used_up_its_retries(crash: bool) -> None:
    world, pid, client = stuck()
    if crash:
        world.crash()
    assert client.answer(pid, {"paid": 5}, by="anna")
    with pytest.raises(Exception, match="answer already"):
        client.answer(pid, 6, 1, by="berta")
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", m(paid=5))
    assert lines(world, pid)[-4:] == ["answer #1 by anna", "resumed", "answer #1 {:paid 5}", "done {:paid 5}"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_person_answers_with_an_error(crash: bool) -> None:
    world, pid, client = stuck()
    if crash:
        world.crash()
    assert client.fail(pid, "billing/declined", "no money", {"sum": 5}, by="anna")
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.status == "done"
    assert (ran.value.kind, ran.value.message, ran.value.data) == (k("billing/declined"), "no money", m(sum=5))
    assert "fail #1 by anna" in lines(world, pid)


def test_a_person_has_it_tried_again() -> None:
    world, pid, client = stuck()
    world.answers["charge"] = lambda payload: "ok"
    assert client.retry(pid, by="anna")
    world.run(pid)
    assert world.outcome(pid).value == "ok"
    found = lines(world, pid)
    assert found[found.index("retry by anna") + 1] == "resumed, #1 tried again"


def test_another_request_is_not_tried_again() -> None:
    """What waits for a person stays paused, so that it is seen to wait."""
    world, pid, client = stuck()
    for number in (99, 2, 10**9):
        with pytest.raises(Refused) as refused:
            client.retry(pid, number, by="anna")
        assert refused.value.code == "H516"
    with pytest.raises(StoreError) as raised:
        world.store.submit([Post(pid, "retry", b"", 99)]).result()
    assert raised.value.code == "S229"
    world.run(pid)
    assert world.status(pid) == "paused" and "tried again" not in str(lines(world, pid))
    world.answers["charge"] = lambda payload: "ok"
    assert client.retry(pid, 1, by="anna")
    world.run(pid)
    assert world.outcome(pid).value == "ok"


@pytest.mark.parametrize("crash", [False, True])
def test_cancelled_while_its_finally_waits_for_a_person(crash: bool) -> None:
    """The request that holds up the undoing is tried again, and pauses the process again where it fails."""
    undo = "(try (perform :charge 1) (finally (perform :refund 1 {:retry {:max 1 :backoff 1s :jitter 0}})))"
    world = Simulation(answers={"charge": lambda payload: "ok", "refund": busy})
    hash = world.deploy(build_artifact({"u.fm": f"(ns u) (defn main [] {undo})"}).data, "u")
    pid = world.start(hash, "u/main")

    def status() -> str:
        world.run(pid)
        record = world.store.process(pid)
        assert record is not None
        return record.status

    assert status() == "paused"
    client = StoreClient(world.store, lambda *_: b"")
    assert client.cancel(pid, "enough", by="anna")
    if crash:
        world.crash()
    assert status() == "paused"
    assert sum(isinstance(event, AttemptFailed) for event in world.outcome(pid).log) == 3
    world.answers["refund"] = lambda payload: "ok"
    assert client.resume(pid, by="anna")
    assert status() == "cancelled"


@pytest.mark.parametrize("request_of", [1, "charge"])
def test_an_open_request_is_answered_before_its_worker(request_of: Any) -> None:
    world = World(CAUGHT, [k("charge"), 1, None])
    pid = world.begin()
    world.run(pid)
    (taken,) = world.store.submit([Take(("charge",), "w", 1, 60_000)]).result()[0]
    client = client_of(world)
    assert client.answer(pid, "by hand", request_of, by="anna")
    world.run(pid, crash_each_step=True)
    assert world.outcome(pid).value == "by hand"
    assert taken.number == 1
    assert not client.answer(pid, "again", request_of)  # it has ended


def test_what_is_answered_while_a_person_paused_it_waits() -> None:
    world = World(CAUGHT, [k("charge"), 1, None])
    pid = world.begin()
    world.run(pid)
    client = client_of(world)
    client.pause(pid, by="anna")
    world.run(pid)
    assert world.status(pid) == "paused"
    assert client.answer(pid, 5, 1, by="anna")
    world.run(pid)
    assert world.status(pid) == "paused"
    world.crash()
    client.resume(pid, by="berta")
    world.run(pid)
    assert world.outcome(pid).value == 5
    assert [line for line in lines(world, pid) if " by " in line] == [
        "pause by anna",
        "resume by berta",
        "answer #1 by anna",
    ]


def test_an_answer_of_a_person_is_not_looked_at_by_the_policy() -> None:
    options = m(retry=m(max=3, on=503))
    world = World(CAUGHT, [k("charge"), 1, options])
    pid = world.begin()
    world.run(pid)
    assert client_of(world).answer(pid, {"status": 503}, "charge")
    world.run(pid)
    assert world.outcome(pid).value == m(status=503)


def test_who_cancelled_it_and_why_is_in_the_log() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.run(pid)
    assert client_of(world).cancel(pid, "not needed", by="anna")
    world.run(pid)
    assert world.status(pid) == "cancelled"
    assert lines(world, pid)[2:4] == ["cancel by anna", 'cancel asked: "not needed"']


def test_a_restart_runs_the_same_again() -> None:
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number * 2})
    pid = world.begin(3)
    client = client_of(world)
    with pytest.raises(Exception, match="has not ended"):
        client.restart(pid)
    world.run(pid)
    new = client.restart(pid, id="again")
    world.run(new)
    assert (world.outcome(new).value, client.get(new).attributes) == (4, {"restarted-from": pid})
    assert client.get(new).id == "again"
    assert client.kill(client.restart(pid), "no", by="anna")
    after_kill = client.restart(new + 1)  # one that had not begun has its start all the same
    world.run(after_kill)
    assert world.outcome(after_kill).value == 4


def test_an_operation_that_is_cut_off_anywhere_goes_on_and_does_nothing_twice() -> None:
    for cut in range(6):
        world = World(ONCE, [k("charge"), 1, None])
        pids = [world.begin() for _ in range(7)]
        world.run()
        client = client_of(world)
        pieces = 0

        class CutOff(Exception):
            pass

        def told(report: Any, cut: int = cut) -> None:
            nonlocal pieces
            pieces += 1
            if pieces == cut:
                raise CutOff

        small = {"size": 2}
        patched = pytest.MonkeyPatch()
        patched.setattr("flowmetal.client.steering.PIECE_MAX", small["size"])
        where = Where(statuses=("waiting", "ready", "paused"))
        try:
            client.steer("send", where, value="hello", name="once", told=told)
        except CutOff:
            pass
        report = client.steer("send", where, value="hello", name="once")
        patched.undo()
        assert [len(world.store.inbox(pid)) for pid in pids] == [1] * 7, cut
        assert not report.refused
        with pytest.raises(Exception, match="another operation"):
            client.steer("send", where, value="else", name="once")


def test_a_computing_process_is_killed_and_let_go() -> None:
    running = Running()
    interpreter: Interpreter = running.interpreter()
    pid = running.begin(ENDLESS, [])
    client = StoreClient(running.store, lambda store, name, data: b"")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not interpreter._hot and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.kill(pid, by="anna")
    assert running.wait(pid) == "cancelled"
    while (interpreter._hot or interpreter._queue) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not interpreter._hot
    interpreter.stop()


def test_a_restart_waits_in_the_same_queue() -> None:
    simulation = Simulation(seed=1)
    store = simulation.store
    hash = simulation.deploy(build_artifact({"q.fm": "(ns q) (defn work [n] (sleep 1h) n)"}).data, "q")
    client = StoreClient(store, lambda *_: b"")
    client.operate("queue/define", {"name": "mail", "concurrency": 1})
    pid = client.start("q/work", 1, queue="mail", key="ann", priority=3, limits={"fuel": 10**9})
    other = client.start("q/work", 2, queue="mail")
    simulation.settle()
    assert client.kill(pid)
    simulation.settle()
    again = client.restart(pid)
    record = store.process(again)
    assert record is not None and record.artifact == hash
    assert (record.queue, record.limits) == (("mail", "ann", 3), {"fuel": 10**9})
    stats = client.operate("queue/stats", "mail")
    assert (stats["running"], stats["waiting"]) == (1, 1)
    simulation.run()
    assert simulation.outcome(again).value == 1 and simulation.outcome(other).value == 2
    client.operate("queue/remove", "mail")
    with pytest.raises(Refused, match="queue"):
        client.restart(pid)


def test_what_was_decided_waits_for_a_program_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    world, pid, client = stuck()
    world.crash()
    broken = [True]

    def broken_load(*given: Any) -> Any:
        if broken[0]:
            raise FlowmetalError("B101", reason="not now")
        return live.load(*given)

    monkeypatch.setattr("flowmetal.engine.residents.load", broken_load)
    assert client.answer(pid, {"paid": 5}, by="anna")
    world.run(pid)
    entries = len(world.store.log(pid))
    assert world.status(pid) in ("paused", "ready")
    world.run(pid)
    assert len(world.store.log(pid)) == entries  # it is not paused again and again
    assert [event.kind for event in world.store.inbox(pid)] == ["decided"]
    broken[0] = False
    world.crash()  # another interpreter, which has the program
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", m(paid=5))
