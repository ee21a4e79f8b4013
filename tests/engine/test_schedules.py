"""Schedules with programs that run: from the language, over deaths after every step, and between interpreters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.simulate import BEGIN, Simulation
from flowmetal.store import open_store
from flowmetal.store.interface import Operate
from flowmetal.values import decode_value, encode_value, from_python, parse_instant, print_string

SECOND = 1_000_000_000
MINUTE = 60 * SECOND

WORK = """
(ns work (:require [schedule]))
(defn main [run]
  (perform :step (:number run))
  (sleep 90s)
  (:planned run))
(defn plan [overlap]
  (schedule/put "work" {:every 1m :program "work" :overlap overlap :pass-run true})
  (schedule/next "work" 2))
(defn rest-a-while []
  (schedule/pause "work")
  (sleep 10m)
  (let [ran (schedule/run-now "work")]
    (schedule/resume "work")
    [(:outcome ran) (:paused (schedule/show "work"))]))
"""


def simulate(overlap: str, crash: bool) -> tuple[Any, list[Any], list[Any], int]:
    """(what the program saw, the processes, the schedule's runs, how often the step was done)."""
    steps: list[Any] = []
    simulation = Simulation({"step": steps.append})
    hash = simulation.deploy(build_artifact({"work.fm": WORK}).data, "work")
    pid = simulation.start(hash, "plan", [from_python(overlap)])
    simulation.run(pid, crash_each_step=crash)
    seen = simulation.outcome(pid).value
    simulation.run(until=BEGIN + 8 * MINUTE, crash_each_step=crash)
    pausing = simulation.start(hash, "rest-a-while")
    simulation.run(pausing, crash_each_step=crash)
    simulation.run(until=BEGIN + 22 * MINUTE, crash_each_step=crash)
    processes = [
        (record.function, record.status, record.attributes, print_string(simulation.outcome(record.pid).value))
        for record in simulation.store.processes(limit=1000)
    ]
    shown = decode_value(simulation.store.submit([Operate("schedule/show", encode_value("work"))]).result()[0])
    return print_string(seen), processes, [print_string(shown)], len(steps)


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel", "allow"])
def test_deaths_after_every_step_change_nothing(overlap: str) -> None:
    undisturbed = simulate(overlap, crash=False)
    assert simulate(overlap, crash=True) == undisturbed
    seen, processes, _, steps = undisturbed
    assert seen == '[#inst "2026-01-01T00:01:00.000Z" #inst "2026-01-01T00:02:00.000Z"]'
    runs = [attributes["planned"][11:16] for function, _, attributes, _ in processes if function.endswith("/main")]
    assert len(runs) == len(set(runs)) and steps == len(runs)
    statuses = {status for function, status, _, _ in processes if function.endswith("/main")}
    if overlap == "skip":
        assert runs[:4] == ["00:01", "00:03", "00:05", "00:07"]
    elif overlap == "cancel":
        assert "cancelled" in statuses and runs[:4] == ["00:01", "00:02", "00:03", "00:04"]
    elif overlap == "allow":
        assert runs[:8] == [f"00:0{n}" for n in range(1, 9)]
    else:
        assert runs[:3] == ["00:01", "00:02", "00:03"]


def test_a_program_hears_what_is_wrong() -> None:
    simulation = Simulation()
    source = '(ns bad (:require [schedule])) (defn main [] (schedule/put "x" {:cron "0 3 * * 9" :program "bad"}))'
    pid = simulation.start(simulation.deploy(build_artifact({"bad.fm": source}).data), "main")
    simulation.run(pid)
    error = simulation.outcome(pid).error
    assert error is not None and error.kind.text == "argument"
    assert "character 9" in error.message


def test_a_program_that_has_a_name_schedules_itself() -> None:
    simulation = Simulation()
    source = '(ns me (:require [schedule])) (defn main [] (:program (schedule/put "x" {:every 1h})))'
    hash = simulation.deploy(build_artifact({"me.fm": source}).data, "mine")
    pid = simulation.start(hash, "main")
    simulation.run(pid)
    error = simulation.outcome(pid).error
    assert error is not None and "program" in error.message  # started by its hash it has none


def test_interpreters_of_one_store_start_each_run_once(tmp_path: Path) -> None:
    """Three at once in threads, which come and go."""
    store = open_store(str(tmp_path / "store"))
    source = "(ns tick) (defn main [run] (:planned run))"
    deploy(store, build_artifact({"tick.fm": source}).data, "tick")
    for name in ("a", "b"):
        payload = {"name": name, "every": "1s", "program": "tick", "overlap": "allow", "pass-run": True}
        store.submit([Operate("schedule/put", encode_value(from_python(payload)))]).result()
    begun = time.monotonic()
    interpreters = [Interpreter(store, Config(name=f"i{n}")) for n in range(3)]
    for interpreter in interpreters:
        interpreter.start()
    time.sleep(1.6)
    interpreters.pop().stop()
    time.sleep(max(0.0, begun + 3.2 - time.monotonic()))
    for interpreter in interpreters:
        interpreter.stop()
    records = store.processes(limit=100)
    store.close()
    runs = [(record.attributes["schedule"], record.attributes["planned"]) for record in records]
    assert len(runs) == len(set(runs))
    for name in ("a", "b"):
        planned = sorted(instant for of, instant in runs if of == name)
        assert len(planned) >= 3
        assert [parse_instant(one).ns // SECOND for one in planned] == [
            parse_instant(planned[0]).ns // SECOND + n for n in range(len(planned))
        ]  # none is left out
    assert all(record.created_at >= parse_instant(record.attributes["planned"]).ns for record in records)  # none early
