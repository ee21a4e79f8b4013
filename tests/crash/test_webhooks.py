"""A sender that got 2xx is never forgotten: signed deliveries from many clients while the interpreter is killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import Store
from flowmetal.values import decode_value
from tests.crash.site import Run, Site, push, until

PROGRAM = "(ns hook)\n(defn main [push] (:delivery push))\n"
CLIENTS = 6


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("webhooks"), PROGRAM, "hook")
    yield made
    made.close()


class Storm:
    """Clients that each deliver one new push after the other, each once, and what they were answered."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.answers: dict[str, tuple[int, int]] = {}  # delivery -> (status, process)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._deliver, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _deliver(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            delivery = f"{client}-{number}"
            status, document = push(self.run.site.url, delivery)
            self.answers[delivery] = (status, int(document.get("process", 0)))
            if not status:
                self._stop.wait(0.1)  # nobody listens just now

    def stop(self) -> None:
        """Ends the clients."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def accepted(self) -> dict[str, int]:
        """Deliveries that got 2xx, with their processes."""
        return {delivery: pid for delivery, (status, pid) in self.answers.items() if 200 <= status < 300}


def processes(store: Store) -> dict[str, int]:
    """All processes by delivery; fails where a delivery has two."""
    found: dict[str, int] = {}
    after = 0
    while page := store.processes(after=after, limit=1000):
        for record in page:
            assert record.id is not None and record.id.startswith("endpoint:github:")
            delivery = record.id.removeprefix("endpoint:github:")
            assert delivery not in found
            found[delivery] = record.pid
        after = page[-1].pid
    return found


def storm(site: Site, seconds: float, name: str) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with Run(site, name) as run:
        run.start("interpreter")
        clients = Storm(run)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                # At a random moment; or exactly between a commit and its answers, or before one.
                moment = time.monotonic() + chance.uniform(0.2, 1.2)
                until("it is dead or to be killed",
                      lambda m=moment: run.children["interpreter"].poll() is not None or time.monotonic() > m)  # type: ignore[misc]  # fmt: skip
                if run.children["interpreter"].code is None:
                    run.kill("interpreter")
                else:
                    run.kills["interpreter"] += 1
                point = chance.choice(("", "FLOWMETAL_KILL_AFTER_COMMIT", "FLOWMETAL_KILL_BEFORE_COMMIT"))
                run.start("interpreter", **({point: str(chance.randrange(3, 60))} if point else {}))
        finally:
            clients.stop()
        if run.children["interpreter"].poll() is None:
            run.kill("interpreter")
        run.start("interpreter")
        check(run, clients)
        print(f"webhooks: seed {seed}, {run.kills['interpreter']} kills, {len(clients.answers)} deliveries, "
              f"{len(clients.accepted)} accepted")  # fmt: skip
        assert run.kills["interpreter"] >= seconds / 2 and len(clients.accepted) > 10


def check(run: Run, clients: Storm) -> None:
    """Every 2xx has its process and no delivery has two; the rest is accepted when it is sent again."""
    with closing(open_store(run.store_path, create=False)) as store:
        found = processes(store)
        for delivery, pid in clients.accepted.items():
            assert found.get(delivery) == pid, f"{delivery} was accepted as {pid} and is {found.get(delivery)}"
        assert set(found) <= set(clients.answers)
        for delivery, (status, _) in clients.answers.items():
            assert status in (0, 200, 202, 503), f"{delivery} was answered {status}"
            if delivery not in clients.accepted:
                pid = until("a delivery is accepted", lambda d=delivery: again(run, d))  # type: ignore[misc]
                assert pid == found.get(delivery, pid), f"{delivery} has the processes {found[delivery]} and {pid}"
        found = processes(store)
        assert set(found) == set(clients.answers)
        until("all are done", lambda: store.stats()["processes"]["done"] == len(found))
        for delivery, pid in found.items():
            result = store.result(pid)
            assert result is not None and decode_value(result) == delivery


def again(run: Run, delivery: str) -> int:
    status, document = push(run.site.url, delivery)
    return int(document["process"]) if 200 <= status < 300 else 0


def test_what_got_2xx_is_never_forgotten(site: Site) -> None:
    storm(site, 5.0, "short")


@pytest.mark.crash
def test_what_got_2xx_is_never_forgotten_long(site: Site) -> None:
    storm(site, 60.0, "long")


def test_a_stop_forgets_nothing(site: Site, tmp_path: Path) -> None:
    """SIGTERM in the middle of the storm: everybody who was told 2xx has a process, and nobody is cut off by it."""
    with Run(site, "stop") as run:
        for _ in range(3):
            interpreter = run.start("interpreter")
            clients = Storm(run)
            try:
                until("some are accepted", lambda c=clients: len(c.accepted) > 20)  # type: ignore[misc]
                interpreter.send(15)
                began = time.monotonic()
                assert interpreter.wait() == 0
                assert time.monotonic() - began < 10
            finally:
                clients.stop()
            with closing(open_store(run.store_path, create=False)) as store:
                found = processes(store)
                assert all(found.get(delivery) == pid for delivery, pid in clients.accepted.items())
