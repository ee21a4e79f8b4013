"""Workers over a store and over HTTP: answers, errors, leases, stopping, dying."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, eventually, running

from flowmetal import Context, Worker, WorkerError, connect
from flowmetal.client import ClientError, Refused
from flowmetal.server import HttpServer, read_config
from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Fire
from flowmetal.values import BuiltinFn, Map, Vector, keyword


class World:
    def __init__(self, way: str, folder: Path | None = None) -> None:
        self.driver = Driver(None if folder is None else open_store(f"lmdb://{folder}"))
        self.server: HttpServer | None = None
        self.target: Any = self.driver.store if folder is None else self.driver.store.url
        if way == "http":
            self.server = HttpServer(self.driver.store, read_config({"serve": {"port": 0}}))
            self.server.start()
            self.target = self.server.url

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.driver.store.close()


@pytest.fixture(scope="module", params=["store", "http"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()


def test_functions_get_plain_values_and_give_them(world: World) -> None:
    worker = Worker(world.target, name="w")
    contexts: list[Context] = []

    @worker.function("notify/send")
    def send(payload: Any, context: Context) -> Any:
        contexts.append(context)
        return {"got": payload, "list": [1, 2.5, None]}

    payload = Map.of([(keyword("to"), "a"), (keyword("n"), Vector.of([1]))])
    with running(worker):
        pid = world.driver.request("notify/send", payload, key="the-key")
        assert world.driver.plain_answer(pid) == (True, {"got": {"to": "a", "n": [1]}, "list": [1, 2.5, None]})
    (context,) = contexts
    assert (context.pid, context.number, context.attempt, context.effect) == (pid, 1, 1, "notify/send")
    assert context.idempotency_key == "the-key"


def test_exceptions_are_error_values(world: World, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(world.target)

    @worker.function("t/raise")
    def fails(payload: Any, context: Context) -> Any:
        raise ValueError("bad \udcff thing")

    @worker.function("t/own")
    def declines(payload: Any, context: Context) -> Any:
        raise WorkerError("billing/declined", "no money", {"left": 3})

    @worker.function("t/own-bad")
    def declines_badly(payload: Any, context: Context) -> Any:
        raise WorkerError("not a kind", "no money", object())

    with running(worker):
        ok, error = world.driver.answer(world.driver.request("t/raise"))
        assert not ok
        assert (error.kind.text, error.message) == ("worker/error", "ValueError: bad \\udcff thing")
        assert error.data.get(keyword("attempt")) == 1
        assert "ValueError: bad \\udcff thing" in caplog.text
        caplog.text.encode("utf-8")  # a log is always writable
        ok, error = world.driver.answer(world.driver.request("t/own"))
        assert (ok, error.kind.text, error.message) == (False, "billing/declined", "no money")
        assert error.data.get(keyword("left")) == 3
        ok, error = world.driver.answer(world.driver.request("t/own-bad"))
        assert (ok, error.kind.text) == (False, "worker/error")


@pytest.mark.parametrize("result", [object(), {1, 2}, {1: 2}, float("nan"), "\ud800", [lambda: 0], b"x" * (33 * 2**20)])
def test_results_that_cannot_cross(world: World, result: Any) -> None:
    worker = Worker(world.target)
    worker.function("t/bad")(lambda payload, context: result)
    with running(worker):
        ok, error = world.driver.answer(world.driver.request("t/bad"))
    assert not ok
    assert error.kind.text == "worker/bad-result"
    assert error.data.get(keyword("type")) == type(result).__name__
    assert type(result).__name__ in error.message or "bytes" in error.message


def test_an_integer_that_json_does_not_carry(world: World) -> None:
    worker = Worker(world.target)
    worker.function("t/huge")(lambda payload, context: 10**5000)
    with running(worker):
        ok, answer = world.driver.answer(world.driver.request("t/huge"))
    if world.server is None:
        assert (ok, answer) == (True, 10**5000)
    else:
        assert (ok, answer.kind.text) == (False, "worker/bad-result")


def test_a_payload_that_cannot_cross(world: World) -> None:
    worker = Worker(world.target)
    worker.function("t/fn")(lambda payload, context: 1)
    with running(worker):
        ok, error = world.driver.answer(world.driver.request("t/fn", BuiltinFn(1, "first")))
    assert (ok, error.kind.text) == (False, "worker/bad-payload")


def test_concurrency_is_bounded_and_used(world: World) -> None:
    worker = Worker(world.target, concurrency=3)
    release = threading.Event()
    now: list[int] = []

    @worker.function("t/slow")
    def slow(payload: Any, context: Context) -> Any:
        now.append(context.pid)
        release.wait(60)
        return None

    with running(worker):
        pids = [world.driver.request("t/slow") for _ in range(8)]
        eventually(lambda: len(now) == 3)
        time.sleep(0.05)
        assert len(now) == 3
        release.set()
        assert all(world.driver.answer(pid)[0] for pid in pids)


def test_leases_are_extended_while_a_function_runs(world: World) -> None:
    worker = Worker(world.target, lease_seconds=1.0)
    release = threading.Event()
    extended: list[bool] = []

    @worker.function("t/long")
    def long(payload: Any, context: Context) -> Any:
        extended.append(context.extend())
        release.wait(60)
        return "done"

    with running(worker):
        pid = world.driver.request("t/long")
        eventually(lambda: extended)
        lease = world.driver.store.open_requests(pid)[0].lease_until
        eventually(lambda: time.time_ns() > lease)
        assert world.driver.store.open_requests(pid)[0].lease_until > lease + 150_000_000
        world.driver.submit(Fire())
        release.set()
        assert world.driver.plain_answer(pid) == (True, "done")
    assert extended == [True]
    assert not world.driver.events(pid, "lost")


def test_a_function_sees_that_its_answer_is_not_wanted(world: World) -> None:
    worker = Worker(world.target, lease_seconds=0.15)
    seen: list[bool] = []
    begun = threading.Event()

    @worker.function("t/unwanted")
    def unwanted(payload: Any, context: Context) -> Any:
        begun.set()
        for _ in range(12_000):
            if context.unwanted:
                break
            time.sleep(0.005)
        seen.append(context.unwanted)
        assert context.extend() is False
        return "late"

    with running(worker):
        pid = world.driver.request("t/unwanted")
        assert begun.wait(60)
        world.driver.close_request(pid)
        eventually(lambda: seen)
    assert seen == [True]
    assert not world.driver.events(pid, "answer", "error")


def test_stop_finishes_what_runs_and_takes_nothing_more(world: World) -> None:
    worker = Worker(world.target)
    begun, release = threading.Event(), threading.Event()

    @worker.function("t/stop")
    def slow(payload: Any, context: Context) -> Any:
        begun.set()
        release.wait(60)
        return "finished"

    worker.start()
    pid = world.driver.request("t/stop")
    assert begun.wait(60)
    threading.Timer(0.1, release.set).start()
    assert worker.stop()
    assert world.driver.plain_answer(pid) == (True, "finished")
    later = world.driver.request("t/stop")
    time.sleep(0.05)
    assert world.driver.store.open_requests(later)[0].state == "queued"


def test_stop_with_a_limit_does_not_wait_for_ever(world: World) -> None:
    worker = Worker(world.target)
    begun, release = threading.Event(), threading.Event()

    @worker.function("t/never")
    def never(payload: Any, context: Context) -> Any:
        begun.set()
        release.wait(60)

    worker.start()
    pid = world.driver.request("t/never")
    assert begun.wait(60)
    before = time.monotonic()
    eventually(lambda: worker.stop(0.1))
    assert time.monotonic() - before < 50
    release.set()
    assert not world.driver.events(pid, "answer", "error")


def test_a_store_that_fails_for_a_while_is_asked_again() -> None:
    driver = Driver()
    worker = Worker(driver.store)
    worker.function("t/again")(lambda payload, context: "ok")
    submit, failures = driver.store.submit, [3]

    def failing(commands: Any) -> Any:
        if type(commands[0]).__name__ in ("Take", "Complete") and failures[0]:
            failures[0] -= 1
            raise StoreError("S305", point="here")
        return submit(commands)

    driver.store.submit = failing  # type: ignore[method-assign]
    with running(worker):
        assert driver.plain_answer(driver.request("t/again")) == (True, "ok")
    assert failures == [0]


def test_wrong_use() -> None:
    driver = Driver()
    with pytest.raises(ClientError) as raised:
        Worker(driver.store).start()
    assert raised.value.code == "H514"
    with pytest.raises(Refused):
        Worker(driver.store, concurrency=0)
    worker = Worker(connect(driver.store))
    worker.function("t/x")(lambda payload, context: None)
    with running(worker), pytest.raises(Refused):
        worker.function("t/y")(lambda payload, context: None)


SCRIPT = """
import logging, sys, time
from flowmetal import Worker
logging.getLogger("flowmetal.worker").setLevel(logging.INFO)
logging.getLogger("flowmetal.worker").addHandler(logging.StreamHandler(sys.stdout))
worker = Worker(sys.argv[1], lease_seconds=0.3)
@worker.function("t/process")
def work(payload, context):
    print("begun", flush=True)
    time.sleep(payload)
    return "by process"
worker.run()
print("stopped", flush=True)
"""


def start_process(world: World) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(world.target)], stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", params=["http", "lmdb"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What another OS process can reach: a server, or a store's folder."""
    folder = tmp_path_factory.mktemp("store") / "s" if request.param == "lmdb" else None
    world = World(request.param, folder)
    yield world
    world.close()


def test_sigterm_finishes_what_runs(served: World) -> None:
    with start_process(served) as process:
        assert process.stdout is not None
        pid = served.driver.request("t/process", 0.4)
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline().endswith(" stops\n")
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(60) == 0
    assert served.driver.plain_answer(pid) == (True, "by process")


def test_a_second_signal_does_not_wait(served: World) -> None:
    with start_process(served) as process:
        assert process.stdout is not None
        served.driver.request("t/process", 60.0)
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline().endswith(" stops\n")
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(60) == 0


def test_what_a_dead_worker_held_goes_to_another(served: World) -> None:
    with start_process(served) as process:
        assert process.stdout is not None
        pid = served.driver.request("t/process", 60.0)
        assert process.stdout.readline() == "begun\n"
        process.kill()

    def lost() -> bool:
        served.driver.submit(Fire())
        return bool(served.driver.events(pid, "lost"))

    eventually(lost)
    record = served.driver.store.open_requests(pid)[0]
    assert record.attempt == 1
    worker = Worker(served.target)
    attempts: list[int] = []

    @worker.function("t/process")
    def work(payload: Any, context: Context) -> Any:
        attempts.append(context.attempt)
        return "by another"

    with running(worker):
        # What the interpreter does with a lost request under the default policy: it is put back.
        assert served.driver.turn(pid, requests=(replace(record, state="queued", worker="", lease_until=0),))
        assert served.driver.plain_answer(pid) == (True, "by another")
    assert attempts == [2]
