"""Queues as programs use them: admission, waiting, pausing and cancelling of real processes, over every crash."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import Simulation
from flowmetal.values import EMPTY_MAP, Map, from_python, keyword, print_string
from tests.store.queue_kit import check_queues, operate

SOURCE = """
(ns jobs (:require [queue]))

(defn work [n]
  (sleep 1s)
  (if (= n 3) (throw (error :jobs/bad "three")) (* n n)))

(defn held [boss n]
  (try (perform :send [boss [:begun n]]) (sleep 1h)
    (finally (perform :send [boss [:ended n]]))))

(defn main [limits n]
  (queue/define "q" limits)
  (mapv (fn [k] (queue/start "q" {:key (mod k 3)} work k)) (range n)))

(defn boss [n]
  (queue/define "q" {:concurrency 1})
  (let [me (self)
        pids (mapv (fn [k] (queue/start "q" {} held me k)) (range n))]
    (loop [seen []]
      (let [message (perform :receive)]
        (if (= message :over) seen (recur (conj seen message)))))))

(defn unknown [] (try (queue/start "none" {} work 1) (catch :queue/unknown e (:data e))))

(defn full []
  (queue/define "small" {:concurrency 1 :max-waiting 1})
  (mapv (fn [k] (try (queue/start "small" {} work k) :ok (catch :queue/full e :full))) (range 4)))

(defn twice []
  (queue/define "once" {:window 10m})
  (let [a (queue/start "once" {:dedup "d"} work 1)
        b (queue/start "once" {:dedup :d} work 2)]
    (sleep 11m)
    [(= a b) (= a (queue/start "once" {:dedup "d"} work 1))]))

(defn idle [] (sleep 1h))

(defn tied [options fails]
  (queue/define "q" {:concurrency 1})
  (queue/start "q" {} idle)
  (queue/start "q" options idle)
  (sleep 1m)
  (if fails (throw (error :jobs/tied "no more")) :fine))

(defn wrong [options] (try (queue/start "q" options work 1) (catch :argument e (:message e))))
"""


class World(Simulation):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.program = self.deploy(build_artifact({"jobs.fm": SOURCE}).data, "jobs")

    def begin(self, function: str, *arguments: Any) -> int:
        return self.start(self.program, function, arguments)

    def value(self, function: str, *arguments: Any, crash_each_step: bool = False) -> Any:
        pid = self.begin(function, *arguments)
        self.run(pid, crash_each_step=crash_each_step)
        ran = self.outcome(pid)
        assert ran.error is None, ran.error
        return ran.value

    def status(self, pid: int) -> str:
        record = self.store.process(pid)
        assert record is not None
        return record.status


@pytest.mark.parametrize("crash_each_step", [False, True])
@pytest.mark.parametrize(
    ("limits", "at_once"),
    [({"concurrency": 2}, 2), ({"key-concurrency": 1}, 3), ({"rate": "2/3s", "concurrency": 3}, 2)],
    ids=str,
)
def test_all_run_once_within_the_limits(limits: dict[str, Any], at_once: int, crash_each_step: bool) -> None:
    world = World()
    pids = [pid.number for pid in world.value("jobs/main", from_python(limits), 7, crash_each_step=crash_each_step)]
    most = 0
    while True:
        world.settle(crash_each_step)
        check_queues(world.store)
        most = max(most, operate(world.store, "queue/stats", "q")["running"])
        due = world.store.next_due()
        if due is None:
            break
        world.clock.move_to(due)
        world.interpreter.look_now()
    results = [world.outcome(pid) for pid in pids]
    assert [one.value for one in results] == [0, 1, 4, None, 16, 25, 36]
    assert [one.status for one in results].count("failed") == 1
    assert all(len([event for event in one.log if type(event).__name__ == "Started"]) == 1 for one in results)
    assert most == at_once


@pytest.mark.parametrize("crash_each_step", [False, True])
def test_cancelled_while_they_wait_and_while_they_run(crash_each_step: bool) -> None:
    world = World()
    boss = world.begin("jobs/boss", 4)
    world.settle(crash_each_step)
    first, second, third, fourth = range(boss + 1, boss + 5)
    assert [world.store.process(pid).waits for pid in (second, third)] == [  # type: ignore[union-attr]
        "queue q, place ~1",
        "queue q, place ~2",
    ]
    world.post(second, "cancel", "no more")
    world.post(third, "pause")
    world.settle(crash_each_step)
    assert (world.status(second), world.status(third)) == ("cancelled", "paused")
    world.post(first, "cancel")
    world.settle(crash_each_step)
    assert (world.status(first), world.status(fourth)) == ("cancelled", "waiting")
    world.post(third, "resume")
    world.settle(crash_each_step)
    record = world.store.process(third)
    assert record is not None and record.status == "waiting" and record.waits.startswith("queue q, place")
    assert not world.interpreter.step(), "nobody runs for what only waits for its queue"
    check_queues(world.store)
    world.post(fourth, "cancel")
    world.settle(crash_each_step)
    world.post(third, "cancel")
    world.settle(crash_each_step)
    world.post(boss, "message", keyword("over"))
    world.run(boss, crash_each_step=crash_each_step)
    seen = [(one.get(0).text, one.get(1)) for one in world.outcome(boss).value]
    assert seen == [("begun", 0), ("ended", 0), ("begun", 3), ("ended", 3), ("begun", 2), ("ended", 2)]
    check_queues(world.store)


def test_refusals_are_errors_of_the_call() -> None:
    world = World()
    world.value("jobs/main", EMPTY_MAP, 1)
    assert print_string(world.value("jobs/unknown")) == '{:code "S220", :name "none"}'
    assert print_string(world.value("jobs/full")) == "[:ok :ok :full :full]"
    assert print_string(world.value("jobs/twice")) == "[true false]"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("key", [1], ":key is a string"),
        ("key", "", "1 to 200 bytes"),
        ("priority", 10, ":priority is an integer"),
        ("priority", "1", ":priority is an integer"),
        ("delay", 5, ":delay is a duration"),
        ("dedup", {}, ":dedup is a string"),
    ],
)
def test_bad_options(option: str, value: Any, words: str) -> None:
    world = World()
    assert words in world.value("jobs/wrong", from_python({option: value}))


@pytest.mark.parametrize("crash_each_step", [False, True])
@pytest.mark.parametrize(
    ("options", "fails", "status"),
    [("link", True, "failed"), ("link", False, "waiting"), ("leash", False, "cancelled"), ("monitor", True, "waiting")],
)
def test_ties_to_one_that_waits(options: str, fails: bool, status: str, crash_each_step: bool) -> None:
    world = World()
    pid = world.begin("jobs/tied", Map.of([(keyword(options), True)]), fails)
    world.run(pid, crash_each_step=crash_each_step)
    world.settle(crash_each_step)
    assert world.status(pid + 2) == status
    assert operate(world.store, "queue/stats", "q")["waiting"] == (status == "waiting")
    check_queues(world.store)
