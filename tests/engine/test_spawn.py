"""Processes that start processes: exactly once, with what they are given, and with traces that go on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import Simulation
from flowmetal.engine.traces import trace_lines
from flowmetal.values import Pid, Vector, decode_value, print_string

SOURCE = """
(ns farm)

(defn risky [n]
  (+ 1 (/ 10 n)))

(defn worker [n]
  (sleep 1s)
  (+ 0 (risky n)))

(defn reply [to n]
  (perform :send [to [n (* n n)]]))

(defn begin [n]
  (let [child (spawn worker n)] child))

(defn main [n]
  (let [child (begin n)] (sleep 1m) child))

(defn squares [n]
  (let [me (self)]
    (doseq [i (range n)] (spawn reply me i))
    (into (sorted-map) (for [_ (range n)] (perform :receive)))))

(defn capturing [n]
  (let [me (self) twice (fn [x] (perform :send [me {:n n :x x}]))]
    (spawn (fn [x] (twice x)) :given)
    (perform :receive)))

(defn grandchild [n]
  (let [child (spawn begin n)] (sleep 1m) child))

(defn left-alone [n]
  (try (with-timeout 1s (let [p (async (spawn worker n))] (cancel! p) (sleep 1h)))
       (catch :timeout _ :gone)))

(defn wrong [payload]
  (perform :spawn payload))
"""


def ran(function: str, *arguments: Any, crash: bool = False) -> tuple[Simulation, Any]:
    """The world and what came of a process that ran `function`."""
    world = Simulation(seed=1)
    pid = world.start(world.deploy(build_artifact({"farm.fm": SOURCE}).data), f"farm/{function}", arguments)
    world.run(crash_each_step=crash)
    return world, world.outcome(pid)


def lines_of(world: Simulation, pid: int) -> list[str]:
    """The trace of the error a process failed with."""
    result = world.store.result(pid)
    assert result is not None
    return [re.sub(r"(core/\w+\.fm):\d+", r"\1", line) for line in trace_lines(decode_value(result).trace)]


@pytest.mark.parametrize("crash", [False, True])
def test_a_child_runs_and_its_trace_goes_on_with_its_spawner(crash: bool) -> None:
    world, parent = ran("main", 0, crash=crash)
    assert parent.value == Pid(2)
    child = world.store.process(2)
    assert child is not None
    assert (child.function, child.status, child.parent) == ("farm/worker", "failed", 1)
    assert lines_of(world, 2) == [
        "farm/risky farm.fm:5",
        "farm/worker farm.fm:9",
        "flowmetal.core.concurrency/spawn core/concurrency.fm (spawned this process)",
        "farm/begin farm.fm:15",
        "farm/main farm.fm:18",
    ]


@pytest.mark.parametrize("crash", [False, True])
def test_every_child_is_started_once(crash: bool) -> None:
    world, parent = ran("squares", 20, crash=crash)
    assert print_string(parent.value) == "{" + ", ".join(f"{n} {n * n}" for n in range(20)) + "}"
    assert [process.function for process in world.store.processes()].count("farm/reply") == 20
    assert len(list(world.store.processes())) == 21


@pytest.mark.parametrize("crash", [False, True])
def test_functions_take_along_what_they_capture(crash: bool) -> None:
    _, parent = ran("capturing", 3, crash=crash)
    assert print_string(parent.value) == "{:n 3, :x :given}"


def test_a_trace_goes_back_over_two_spawns() -> None:
    world, _ = ran("grandchild", 0)
    lines = lines_of(world, 3)
    assert sum("(spawned this process)" in line for line in lines) == 2
    assert lines[-1] == "farm/grandchild farm.fm:31"


def test_a_cancelled_wait_leaves_the_child_to_itself() -> None:
    world, parent = ran("left-alone", 1)
    assert print_string(parent.value) == ":gone"
    assert parent.status == "done"
    assert len(list(world.store.processes())) <= 2


@pytest.mark.parametrize("payload", [None, 7, Vector.of([]), Vector.of([1, Vector.of([])])])
def test_what_is_no_function_with_arguments_is_refused(payload: Any) -> None:
    _, process = ran("wrong", payload)
    assert process.status == "failed"
    assert process.error.kind.text == "argument"


def test_a_process_that_could_only_fail_is_not_started() -> None:
    simulation = Simulation(seed=1)
    source = """
    (ns counts (:require [queue]))
    (defn one [a] a)
    (defn more [a & rest] a)
    (defn said [f] (try (f) (catch #{:arity :argument} e [(error-kind e) (error-message e)])))
    (defn main []
      (queue/define "q" {})
      [(said (fn [] (spawn one 1 2)))
       (first (said (fn [] (spawn one))))
       (said (fn [] (spawn more)))
       (first (said (fn [] (spawn* {:monitor true} (fn [] 1) 2))))
       (first (said (fn [] (queue/start "q" {} one))))
       (said (fn [] (sleep -5s)))])
    """
    hash = simulation.deploy(build_artifact({"counts.fm": source}).data)
    pid = simulation.start(hash, "counts/main")
    simulation.run(pid)
    assert print_string(simulation.outcome(pid).value) == (
        '[[:arity "counts/one takes 1 argument, got 2"] :arity [:arity "counts/more takes 1 or more arguments, got 0"] '
        ':arity :arity [:argument "a sleep cannot be shorter than nothing; #duration \\"-PT5S\\" is"]]'
    )
    assert simulation.store.last_pid() == pid
