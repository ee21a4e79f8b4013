"""The key-value table as programs use it: once, whatever dies, and in the order of the program."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import describe
from flowmetal.engine.simulate import Simulation
from flowmetal.store.interface import Operate
from flowmetal.values import Duration, Map, Vector, encode_value, keyword, print_string

SOURCE = """
(ns shop (:require kv))

(defn counted [n]
  (doseq [_ (range n)] (kv/update "count" (fnil inc 0)))
  (kv/get "count"))

(defn many [processes n]
  (let [me (self)]
    (doseq [_ (range processes)]
      (spawn (fn [] (doseq [_ (range n)] (kv/update "count" (fnil inc 0)) (sleep 1s)) (perform :send [me :done]))))
    (doseq [_ (range processes)] (perform :receive))
    (kv/get "count")))

(defn everything []
  (kv/put "a" {:x #{1 2}})
  (kv/put "b" :short {:expires 1m})
  (let [before (kv/list "")]
    (sleep 2m)
    [before (kv/list "") (kv/get "b" :gone) (kv/delete "a") (kv/delete "a")
     (try (kv/put "" 1) (catch :argument e (error-kind e)))
     (try (kv/put "f" (fn [x] x)) (catch _ e (error-kind e)))]))

(defn left []
  (async (kv/put "left" 1))
  (sleep 0s)
  :done)

(defn timed []
  (perform :kv/put ["t" 1] {:timeout 1s}))
"""


def ran(function: str, *arguments: Any, crash: bool = False) -> tuple[Simulation, Any]:
    world = Simulation(seed=1)
    pid = world.start(world.deploy(build_artifact({"shop.fm": SOURCE}).data), f"shop/{function}", arguments)
    world.run(crash_each_step=crash)
    return world, world.outcome(pid)


@pytest.mark.parametrize("crash", [False, True])
def test_each_update_counts_once(crash: bool) -> None:
    world, outcome = ran("counted", 5, crash=crash)
    assert outcome.value == 5
    assert world.crashes > 0 or not crash


@pytest.mark.parametrize("crash", [False, True])
def test_updates_of_many_processes_are_not_lost(crash: bool) -> None:
    assert ran("many", 5, 4, crash=crash)[1].value == 20


def test_what_there_is() -> None:
    outcome = ran("everything")[1]
    assert print_string(outcome.value) == (
        '[[["a" {:x #{1 2}}] ["b" :short]] [["a" {:x #{1 2}}]] :gone true false :argument :type]'
    )
    crashed = ran("everything", crash=True)[1]
    assert (crashed.value, [describe(event) for event in crashed.log]) == (
        outcome.value,
        [describe(event) for event in outcome.log],
    )


def test_the_log_says_what_was_asked() -> None:
    lines = [describe(event) for event in ran("timed")[1].log]
    assert lines[1:3] == ['request #1 kv/put ["t" 1] {:timeout #duration "PT1S"}', "answer #1 nil"]


def test_one_that_nobody_waits_for_any_more_is_done_all_the_same() -> None:
    world, outcome = ran("left")
    assert (outcome.status, outcome.value) == ("done", keyword("done"))
    assert world.store.stats()["entries"]["kv"] == 1


def test_what_has_expired_goes_where_nothing_else_is_due() -> None:
    world = Simulation(seed=1)
    short = Map.of([(keyword("expires"), Duration(10**9))])
    puts = [Operate("kv/put", encode_value(Vector.of([f"k{number}", number, short]))) for number in range(2500)]
    world.store.submit(puts).result()
    world.run()
    assert world.store.stats()["entries"]["kv"] == 2500
    world.clock.advance(10**10)
    world.interpreter.look_now()
    world.settle()
    assert world.store.stats()["entries"]["kv"] == 0
