"""A run that begins with the machine alone comes to what it comes to in a store, wherever it moves into one."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine import run as run_module
from flowmetal.engine.build import build_artifact
from flowmetal.engine.run import Ended, run_once
from flowmetal.values import print_string

SOURCE = """
(ns r)
(def shared (atom 0))
(defn plain [x] (log "begins") (let [a (now)] (log {:x x}) [x (instance? :instant a)]))
(defn cells []
  (let [own (atom 1) lazily (map inc [1 2 3])]
    (log "one") (swap! own inc) (swap! shared inc) (first lazily)
    (log "two") (sleep 1ms) (swap! own inc) (swap! shared inc)
    (log "three")
    [@own @shared lazily]))
(defn fibers []
  (let [told (atom [])
        work (fn [n] (log (str "fiber " n)) (swap! told conj n) (sleep 2ms) (swap! told conj (- n)) n)
        all (scope (let [a (async (work 1)) b (async (work 2))] (log "waits") [(await a) (await b)]))]
    [all (sort @told)]))
(defn handled []
  (handle (+ 1 (perform :ask "x")) (:ask [payload resume] (log payload) (resume 41))))
(defn caught [] (try (log "a") (perform :nobody 1 {:timeout 1ms}) (catch _ e (log "b") (error-kind e))))
(defn messages [] (log "sends") (perform :send [(self) :hello]) (log "sent") [(perform :receive) (nil? (self))])
(defn chance [] (log "draws") [(int? (random 6)) (uuid? (uuid))])
(defn long [] (log "counts") (loop [i 0] (if (< i 300000) (recur (inc i)) (do (log "done") i))))
(defn many [] (loop [i 0] (if (< i 50) (do (log i) (recur (inc i))) i)))
(defn fails [] (log "x") (throw (error :my/kind "it broke" {:a 1})))
(defn strange [] (log (fn [] 1)) (log inc) (fn [] 2))
(defn cell [] (atom 1))
(defn one [x] x)
(defn options [] (perform :log "with options" {:timeout 1s}))
(defn wrong [] (try (inst? (perform :now 1)) (catch _ e :caught)))
(defn none [] (map inc (range 3)))
"""

NAMES = [
    "plain", "cells", "fibers", "handled", "caught", "messages", "chance", "long", "many", "fails", "strange", "cell",
    "one", "options", "wrong", "none", "nowhere",
]  # fmt: skip
ARTIFACT = build_artifact({"r.fm": SOURCE}).data


def told(name: str) -> tuple[list[str], Any]:
    lines: list[str] = []
    arguments = [7] if name == "plain" else []
    ended: Ended = run_once(ARTIFACT, f"r/{name}", arguments, lines.append)
    error = ended.error
    shown = (
        None
        if error is None
        else (print_string(error.kind), error.message, print_string(error.data), ended.trace_text())
    )
    return lines, (ended.status, print_string(ended.value), shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_the_same_wherever_it_moves_into_a_store(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    as_usual = told(name)
    assert as_usual[0] or name in ("cell", "one", "options", "wrong", "none", "nowhere")
    for answers, piece, pieces in ((0, 200_000, 20), (1, 200_000, 20), (2, 50, 3), (3, 7, 40), (2_000, 1, 5)):
        monkeypatch.setattr(run_module, "ANSWERS_MAX", answers)
        monkeypatch.setattr(run_module, "PIECE", piece)
        monkeypatch.setattr(run_module, "PIECES_MAX", pieces)
        assert told(name) == as_usual, (answers, piece, pieces)


def test_what_the_runs_come_to() -> None:
    assert told("plain") == (["begins", "{:x 7}"], ("done", "[7 true]", None))
    assert told("cells") == (["one", "two", "three"], ("done", "[3 2 (2 3 4)]", None))
    assert told("fibers")[1] == ("done", "[[1 2] (-2 -1 1 2)]", None)
    assert told("handled") == (["x"], ("done", "42", None))
    assert told("messages") == (["sends", "sent"], ("done", "[:hello false]", None))
    assert told("nowhere")[1][0] == "failed" and told("one")[1][0] == "failed"
    assert told("fails")[1][2][:3] == (":my/kind", "it broke", "{:a 1}")
