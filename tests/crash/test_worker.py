"""A worker that dies in the middle of a call: its lease ends, and another takes the call, with the same key."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowmetal import connect
from flowmetal.engine.events import Answered, AttemptFailed, CameLate, RetryPlanned, decode_event
from flowmetal.store.interface import Store
from flowmetal.values import decode_value, keyword
from tests.crash.site import Child, Run, Site, until

PROGRAM = """
(ns slow)

(defeffect slow/job "A job of some other process." [n])

(defn main [n]
  (slow/job n :retry {:max 5 :backoff 50ms}))

(defn never [n]
  (try (slow/job n :when-unknown :fail)
    (catch _ e {:kind (str (:kind e))})))
"""
SCRIPT = str(Path(__file__).with_name("dying_worker.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("worker"), PROGRAM, "slow")
    yield made
    made.close()


class Place:
    """A run with an interpreter that answers, and workers by name."""

    def __init__(self, run: Run) -> None:
        self.run = run
        run.start("interpreter")
        self.client = connect(run.site.url)
        run.at_end.callback(self.client.close)
        until("the interpreter answers", self._answers, 60, run.tail)

    def _answers(self) -> bool:
        try:
            return self.client.programs() != {}
        except Exception:
            return False

    def worker(self, name: str, hang: str, at: str) -> Child:
        """Starts a worker that attaches to the "store" or the "server"."""
        address = str(self.run.store_path) if at == "store" else self.run.site.url
        self.run.children[name] = self.run.background(SCRIPT, address, str(self.run.journal), name, hang, log=name)
        return self.run.children[name]

    def until_called(self, name: str) -> None:
        """Waits until a worker has been called."""
        until(f"{name} is called", lambda: any(fact["worker"] == name for fact in self.run.facts()), 60, self.run.tail)

    def events(self, store: Store, pid: int) -> list[Any]:
        """The log."""
        return [decode_event(entry.event) for entry in store.log(pid) if entry.part == 0]


@pytest.mark.parametrize("at", ["store", "server"])
def test_another_worker_takes_what_a_killed_one_had(site: Site, at: str) -> None:
    with Run(site, f"killed-{at}") as run, run.open() as store:
        place = Place(run)
        first = place.worker("first", "yes", at)
        pid = place.client.start("slow/main", 7)
        place.until_called("first")
        place.worker("second", "no", at)
        first.kill()
        began = time.monotonic()
        assert place.client.result(pid, wait=60) == {"by": "second", "payload": 7}
        assert time.monotonic() - began < 10
        facts = run.facts()
        assert [(fact["worker"], fact["attempt"]) for fact in facts] == [("first", 1), ("second", 2)]
        assert facts[0]["key"] == facts[1]["key"] == f"{store.id}-{pid}-1"
        events = place.events(store, pid)
        (failed,) = [event for event in events if isinstance(event, AttemptFailed)]
        (planned,) = [event for event in events if isinstance(event, RetryPlanned)]
        assert (failed.number, failed.attempt, planned.number) == (1, 1, 1)
        assert len([event for event in events if isinstance(event, Answered)]) == 1


def test_a_worker_that_was_stopped_answers_too_late(site: Site) -> None:
    """It stood still longer than its lease; when it goes on, its answer is dropped."""
    with Run(site, "late") as run, run.open() as store:
        place = Place(run)
        first = place.worker("first", "once", "store")
        pid = place.client.start("slow/main", "x")
        place.until_called("first")
        first.send(signal.SIGSTOP)
        place.worker("second", "no", "store")
        assert place.client.result(pid, wait=60) == {"by": "second", "payload": "x"}
        length = len(place.events(store, pid))
        run.journal.with_suffix(".go").touch()
        first.send(signal.SIGCONT)
        again = place.client.start("slow/main", "y")
        assert place.client.result(again, wait=60)["payload"] == "y"  # both work on
        time.sleep(0.3)
        events = place.events(store, pid)
        assert len(events) == length and len([event for event in events if isinstance(event, Answered)]) == 1
        assert not [event for event in events if isinstance(event, CameLate)]


def test_the_program_may_refuse_a_second_attempt(site: Site) -> None:
    """With `:when-unknown :fail` nobody does it again: the program is told that the outcome is unknown."""
    with Run(site, "unknown") as run, run.open() as store:
        place = Place(run)
        first = place.worker("first", "yes", "store")
        pid = place.client.start("slow/never", 1)
        place.until_called("first")
        place.worker("second", "no", "store")
        first.kill()
        result = place.client.result(pid, wait=60)
        assert len(run.facts()) == 1
        said = store.result(pid)
        assert said is not None and decode_value(said).get(keyword("kind")) == result["kind"]
        assert "lost" in result["kind"] or "unknown" in result["kind"], result


def test_the_worker_that_owns_the_store_is_killed(site: Site) -> None:
    """The worker commits for all; killed in the middle of a call, the interpreter takes over and loses nothing."""
    with Run(site, "owner") as run, run.open() as store:
        first = run.children["first"] = run.background(
            SCRIPT, str(run.store_path), str(run.journal), "first", "yes", log="first"
        )
        until("the worker owns the store", lambda: run.owner() == "first", 60)
        place = Place(run)
        pids = [place.client.start("slow/main", n) for n in range(5)]
        place.until_called("first")
        first.kill()
        pids += [place.client.start("slow/main", n) for n in range(5, 8)]
        place.worker("second", "no", "store")
        assert [place.client.result(pid, wait=60)["payload"] for pid in pids] == list(range(8))
        assert run.owner() == "interpreter"
        keys = {}
        for fact in run.facts():
            keys.setdefault(fact["payload"], set()).add(fact["key"])
        assert all(len(each) == 1 for each in keys.values()) and len(keys) == len(pids)
        assert all(len([e for e in place.events(store, pid) if isinstance(e, Answered)]) == 1 for pid in pids)
