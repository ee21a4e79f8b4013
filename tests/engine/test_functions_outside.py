"""Functions at the border of a process: as a result they print, in a payload they are an error of the call."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.client import NotPlain
from flowmetal.client.plain import outcome_of
from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone, describe
from flowmetal.engine.run import run_once
from flowmetal.engine.simulate import Simulation
from flowmetal.values import decode_value, keyword, print_string

PROGRAM = """
(ns f)
(defn result [] [(fn [x] x) inc])
(defn payload [] (perform :billing/charge {:card (fn [x] x)}))
(defn option [] (perform :billing/charge 1 {:billing/when (fn [x] x)}))
(defn message [] (perform :send [(self) (fn [x] x)]))
(defn logged [] (log {:f (fn [x] x)}) :done)
(defn thrown [] (throw (error :own "no" {:f (fn [x] x)})))
"""
DATA = build_artifact({"f.fm": PROGRAM}).data


def run(function: str) -> Any:
    simulation = Simulation({"billing/charge": lambda payload: payload})
    pid = simulation.start(simulation.deploy(DATA), f"f/{function}")
    simulation.run(pid)
    return simulation, simulation.outcome(pid)


def test_a_result_with_functions_prints_and_has_no_plain_form() -> None:
    simulation, ended = run("result")
    assert ended.status == "done"
    assert print_string(ended.value) == "[#fn f/result/fn@3 #fn %inc]"
    assert "holds functions" in describe(ended.log[-1])
    record = simulation.store.process(ended.pid)
    with pytest.raises(NotPlain) as raised:
        outcome_of(record, simulation.store.result(ended.pid))
    assert "it holds functions" in raised.value.diagnostic.text


@pytest.mark.parametrize("function", ["payload", "option", "message"])
def test_a_function_does_not_leave_its_process(function: str) -> None:
    _, ended = run(function)
    assert ended.status == "failed"
    assert ended.error.kind is keyword("type")
    assert "a function cannot leave its process" in ended.error.message


def test_a_log_keeps_functions_as_they_print() -> None:
    _, ended = run("logged")
    assert ended.value is keyword("done")
    (logged,) = [event for event in ended.log if isinstance(event, LocalDone)]
    assert decode_value(logged.payload) == "{:f #fn f/logged/fn@7}"


def test_running_once() -> None:
    lines: list[str] = []
    assert print_string(run_once(DATA, "f/result", []).value) == "[#fn f/result/fn@3 #fn %inc]"
    assert run_once(DATA, "f/logged", [], log=lines.append).status == "done"
    assert lines == ["{:f #fn f/logged/fn@7}"]
    ended = run_once(DATA, "f/thrown", [])
    assert ended.error is not None
    assert (ended.status, ended.error.data) == ("failed", "{:f #fn f/thrown/fn@8}")
