"""The short way through a turn leaves what the general way leaves, to the byte."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine import turns
from flowmetal.engine.build import build_artifact
from flowmetal.engine.draft import Call
from flowmetal.engine.simulate import Simulation
from flowmetal.store.layout import META, SPACE_NAMES
from flowmetal.values import ErrorValue, LanguageError, keyword

#: name: what `main` does; :echo answers with what it is given, :long with a long string, :fail with an error.
PROGRAMS = {
    "a chain over checkpoints": "(loop [i 0 sum 0] (if (< i 150) (recur (inc i) (+ sum (perform :echo i))) sum))",
    "values of all kinds": '(mapv (fn [x] (perform :echo x)) [nil true 1 2.5 "s" :k [1 [2]] {:a 1} #{1} \'(1 2) 3N 1/2])',
    "options": "[(perform :echo 1 {:timeout 5s}) (perform :echo 2 {:retry {:max 2}}) (perform :echo 3)]",
    "errors": "[(try (perform :fail 1) (catch _ e 2)) (perform :echo 3) (try (perform :fail 1) (catch _ e (perform :echo 4)))]",
    "an error at the end": "(do (perform :echo 1) (perform :fail 2))",
    "long texts": "(loop [i 0 v []] (if (< i 20) (recur (inc i) (conj v (perform :long i))) (count v)))",
    "long payloads": "(loop [i 0 v (perform :long 1)] (if (< i 5) (recur (inc i) (perform :echo v)) (count v)))",
    "local effects between": "(loop [i 0] (if (< i 5) (do (perform :echo i) (perform :log i) (now) (recur (inc i))) i))",
    "fibers": "(all (mapv (fn [n] (async (+ (perform :echo n) (perform :echo n)))) (range 10)))",
    "promises": "(let [a (request :echo 1) b (request :echo 2)] (+ (perform :echo 3) (await a) (await b)))",
    "sleeps and other workers": "(do (perform :echo 1) (sleep 1s) (perform :echo 2) (perform :outside 3) (perform :echo 4))",
    "a handler": "(handle (loop [i 0] (if (< i 5) (do (perform :ask i) (recur (inc i))) i)) (:ask [x resume] (resume (perform :echo x))))",
    "a cell": "(let [c (atom 0)] (loop [i 0] (if (< i 9) (do (swap! c + (perform :echo i)) (recur (inc i))) @c)))",
    "a payload that cannot leave": "(do (perform :echo 1) (try (perform :echo (atom 1)) (catch _ e (perform :echo 2))))",
    "a state that cannot be saved": "(let [t (transient [1])] (perform :echo 1) (perform :echo 2) (count (persistent! t)))",
    "deep": "(letfn [(up [n] (if (= n 0) (+ (perform :echo 1) (perform :echo 2)) (+ 1 (up (dec n)))))] (up 50))",
}


def fails(call: Call) -> Any:
    raise LanguageError(ErrorValue(keyword("broken"), "it is broken", call.payload))


def run(name: str) -> tuple[dict[str, list[tuple[bytes, bytes]]], int]:
    functions = {"echo": lambda call: call.payload, "long": lambda call: f"{call.payload:04}" * 500, "fail": fails}
    world = Simulation({"outside": lambda payload: payload}, functions=functions, seed=5)
    world.interpreter.functions.inline |= set(functions)
    artifact = build_artifact({"quick.fm": f"(ns quick)\n(defn main [] {PROGRAMS[name]})"}).data
    pid = world.start(world.deploy(artifact), "quick/main", [])
    world.run(pid)
    assert world.outcome(pid).status in ("done", "failed")
    tables: Any = world.store
    return {
        space: list(tables._tables[space].from_key(b"")) for space in SPACE_NAMES if space != META
    }, world.interpreter.turns


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_ways_leave_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = run(name)
    monkeypatch.setattr(turns, "answered", lambda *_: None)
    assert run(name) == quick


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def noting(*arguments: Any) -> Any:
        found = answered(*arguments)
        taken.append("none" if found is None else found[0].__class__.__name__)
        return found

    answered = turns.answered
    monkeypatch.setattr(turns, "answered", noting)
    run("a chain over checkpoints")
    assert taken == ["Turn"] * 149 + ["Draft"]
