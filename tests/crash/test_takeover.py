"""Two `flowvm serve` on one store: one dies or is stopped, and the other goes on with what it held.

These are the real commands, not forks of the launcher.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowmetal import connect
from flowmetal.client.base import Client
from flowmetal.engine.events import Finished, LocalDone, Requested, Started, decode_event
from flowmetal.store import open_store
from flowmetal.store.interface import Store
from flowmetal.values import decode_value
from tests.crash.site import ROOT, environment, flowvm, free_port, until

PROGRAM = """
(ns steps)

(defn main
  "Sleeps, asks for a random number and gets a page, over and over; gives the numbers of the rounds."
  [rounds url]
  (loop [n 0 seen []]
    (if (= n rounds)
      seen
      (do
        (sleep 20ms)
        (random 1000)
        (when (= 0 (mod n 4))
          (http/get url {} :timeout 1m :retry {:max 50 :backoff 50ms :max-delay 200ms}))
        (recur (inc n) (conj seen n))))))

(defn spin
  "Never ends and never waits."
  []
  (loop [n 0] (recur (inc n))))

(defn hang
  "Waits for a page that never comes."
  [url]
  (http/get url {} :timeout 1h))
"""
ROUNDS = 40
PROCESSES = 16
#: The claim of an interpreter here, which nobody waits for; the lease of a request, which is waited for where one is on
#: its way, and the longest delay before it is tried again.
LEASE_SECONDS = 3600
REQUEST_SECONDS = 0.6 + 0.2
#: How long the others may stand still when one dies: in times that each of the processes takes for a step, as the machine
#: is now.
TAKEOVER_STEPS = 10
STOP_SECONDS = 10.0


class Serve:
    """A `flowvm serve` with a port of its own."""

    def __init__(self, store: Path, folder: Path, allow: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = folder / f"{self.port}.toml"
        config.write_text(
            f"[interpreter]\nlease_seconds = {LEASE_SECONDS}\n[serve]\nport = {self.port}\n"
            f'[http]\nlease_seconds = 0.6\nallow = ["{allow}"]\n'
        )
        self.log = folder / f"{self.port}.log"
        command = ("-m", "flowmetal.cli.flowvm", "serve", "--store", str(store), "--config", str(config))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment(), stderr=log)
        until(f"{self.url} answers", self.healthy, 60, self.log.read_text)
        self.client = connect(self.url)

    def healthy(self) -> bool:
        """Whether it answers."""
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """SIGKILL."""
        self.client.close()
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> float:
        """SIGTERM; how long it took.  It must end with 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS + 5)
        took = time.monotonic() - began
        assert code == 0, self.log.read_text()
        assert took < STOP_SECONDS, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        return took


class Place:
    """A store with the program in it, and what serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store"
        source = folder / "steps.fm"
        source.write_text(PROGRAM)
        flowvm("deploy", str(source), "--store", str(self.path), folder=folder)
        self.site = socket.create_server(("127.0.0.1", 0))  # accepts, by its backlog, and never answers
        self.hanging = f"http://127.0.0.1:{self.site.getsockname()[1]}/"
        self.page_server = subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port := free_port())],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.page = f"http://127.0.0.1:{port}/steps.fm"
        self.serves: list[Serve] = []

    def serve(self) -> Serve:
        """One more."""
        self.serves.append(Serve(self.path, self.folder, "127.0.0.1"))
        return self.serves[-1]

    def owner(self) -> int:
        """The pid of who commits; 0 for nobody."""
        with contextlib.suppress(ValueError, KeyError):
            return int(json.loads((self.path / "owner.lock").read_text())["pid"])
        return 0

    def store(self) -> contextlib.closing[Store]:
        """The store, for reading."""
        return contextlib.closing(open_store(self.path, create=False))

    def close(self) -> None:
        for serve in self.serves:
            serve.kill()
        self.page_server.kill()
        self.page_server.wait()
        self.site.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def steps(store: Store) -> int:
    """Log entries of all processes."""
    return sum(record.sequence for record in store.processes(limit=1000))


def start_many(client: Client, page: str, rounds: int = ROUNDS) -> list[int]:
    return [client.start("steps/main", rounds, page) for _ in range(PROCESSES)]


def check_all(store: Store, pids: list[int], rounds: int = ROUNDS) -> None:
    """All are done with the right result, and each step stands in the log once."""
    for pid in pids:
        record = store.process(pid)
        assert record is not None and record.status == "done", record
        result = store.result(pid)
        assert result is not None and list(decode_value(result)) == list(range(rounds))
        entries = [entry for entry in store.log(pid, 0, 100_000) if entry.part == 0]
        assert [entry.sequence for entry in entries] == list(range(record.sequence))
        events = [decode_event(entry.event) for entry in entries]
        numbers = [event.number for event in events if isinstance(event, (Requested, LocalDone))]
        assert numbers == list(range(1, 2 * rounds + rounds // 4 + 1))
        assert isinstance(events[0], Started) and isinstance(events[-1], Finished)


def until_done(store: Store, pids: list[int]) -> None:
    def all_done() -> bool:
        counts = store.stats()["processes"]
        assert not counts["failed"] and not counts["paused"], store.processes(limit=1000)
        return bool(counts["done"] == len(pids))

    until("all are done", all_done, 60, lambda: "\n".join(str(record) for record in store.processes(limit=1000)))


def seconds_of_step(store: Store, details: Callable[[], str]) -> float:
    """How long it takes until each process has gone on; those that are done are left out."""
    began = time.monotonic()
    before = {record.pid: record.sequence for record in store.processes(limit=1000)}
    until("all go on", lambda: all(
        record.sequence > before[record.pid] or record.status == "done" for record in store.processes(limit=1000)
    ), details=details)  # fmt: skip
    return time.monotonic() - began


def test_the_second_goes_on_with_what_the_first_held(place: Place) -> None:
    """As soon as the first is dead, not when its claim runs out; how soon that is, is compared with what steps take."""
    first, second = place.serve(), place.serve()
    pids = start_many(first.client, place.page)
    assert place.owner() == first.process.pid
    with place.store() as store:
        until("they run", lambda: all(record.sequence > 5 for record in store.processes(limit=1000)))
        step = max(seconds_of_step(store, second.log.read_text) for _ in range(3))
        first.kill()
        # Every single one goes on, not only those that the second had.
        took = seconds_of_step(store, second.log.read_text)
        step = max(step, *(seconds_of_step(store, second.log.read_text) for _ in range(3)))
        print(f"takeover: all {PROCESSES} went on after {took:.2f} s, and in {step:.2f} s after that")
        assert took < REQUEST_SECONDS + TAKEOVER_STEPS * step
        until("the second owns the store", lambda: place.owner() == second.process.pid)
        until_done(store, pids)
        check_all(store, pids)
    assert second.client.get(pids[0]).status == "done"
    second.stop()


def test_a_stop_with_work_under_way_loses_nothing(place: Place) -> None:
    """Twice: with a process that computes without end, a request that hangs and a client that waits."""
    serve = place.serve()
    client = serve.client
    pids = start_many(client, place.page)
    spinning, hanging = client.start("steps/spin"), client.start("steps/hang", place.hanging)
    with place.store() as store:
        for _ in range(2):
            before = steps(store)
            until("they run", lambda b=before: steps(store) > b + PROCESSES)  # type: ignore[misc]
            url = f"{serve.url}/v1/processes/{hanging}/result?wait=60"
            waiting = subprocess.Popen([sys.executable, "-c", f"import urllib.request as u; u.urlopen('{url}')"],
                                       stderr=subprocess.DEVNULL)  # fmt: skip
            time.sleep(0.3)
            serve.stop()
            waiting.wait(60)
            assert place.owner() == 0
            still = steps(store)
            time.sleep(0.1)
            assert steps(store) == still
            serve = place.serve()
        client = serve.client
        client.cancel(spinning)
        client.cancel(hanging)
        until("the endless two are cancelled", lambda: store.stats()["processes"]["cancelled"] == 2)
        until_done(store, pids)
        check_all(store, pids)
        assert [event.number for event in (decode_event(e.event) for e in store.log(hanging))
                if isinstance(event, Requested)] == [1]  # fmt: skip
    serve.stop()


def test_the_owner_is_stopped_and_the_other_goes_on(place: Place) -> None:
    first, second = place.serve(), place.serve()
    pids = start_many(first.client, place.page)
    with place.store() as store:
        until("they run", lambda: all(record.sequence > 5 for record in store.processes(limit=1000)))
        first.stop()
        until("the second owns the store", lambda: place.owner() == second.process.pid)
        until_done(store, pids)
        check_all(store, pids)
    second.stop()


@pytest.mark.crash
def test_owners_are_killed_over_and_over(place: Place) -> None:
    """Three interpreters; whoever owns the store is killed and replaced, until everything is done."""
    serves = [place.serve() for _ in range(3)]
    rounds = 400
    pids = start_many(serves[0].client, place.page, rounds)
    kills = 0
    with place.store() as store:
        while store.stats()["processes"]["done"] < len(pids) and kills < 20:
            owner = next((one for one in serves if one.process.pid == place.owner()), None)
            if owner is not None:
                owner.kill()
                kills += 1
                serves[serves.index(owner)] = place.serve()
            time.sleep(0.2)
        until_done(store, pids)
        check_all(store, pids, rounds)
    print(f"takeover: {kills} owners killed")
    assert kills > 5
