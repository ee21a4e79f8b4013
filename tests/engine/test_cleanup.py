"""A cancelled fiber's `finally` blocks run shielded, and have their time: 30 s, or what the program asks for."""

from __future__ import annotations

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import BEGIN, Simulation
from flowmetal.values import print_string

SECOND = 10**9

#: (what main does, what comes of it, seconds that went by)
PROGRAMS = [
    # Cut after 30 s, with what is around it.
    ("(let [p (async (try (sleep 1h) (finally (note :a) (sleep 1h) (note :never))))]\n"
     " (sleep 1s) (cancel! p) (try (await p) (catch :flowmetal/cancelled e (note (ex-message e)))) @notes)",
     '[:a "cancelled; its `finally` blocks did not end in time"]', 31),
    # In time.
    ("(let [p (async (try (sleep 1h) (finally (note :a) (sleep 29s) (note :b))))]\n"
     " (sleep 1s) (cancel! p) (try (await p) (catch :flowmetal/cancelled _ nil)) @notes)", "[:a :b]", 30),
    # All `finally` blocks of a fiber together.
    ("(let [p (async (try (try (sleep 1h) (finally (sleep 20s) (note :inner)))\n"
     "                  (finally (note :outer) (sleep 20s) (note :never))))]\n"
     " (sleep 1s) (cancel! p) (try (await p) (catch :flowmetal/cancelled _ nil)) @notes)", "[:inner :outer]", 31),
    # More was asked for.
    ("(let [p (async (try (sleep 1h) (finally (with-cleanup-time 1h (sleep 10m) (note :done)))))]\n"
     " (sleep 1s) (cancel! p) (try (await p) (catch :flowmetal/cancelled _ nil)) @notes)", "[:done]", 601),
    # By a timeout, a race, a scope that fails.
    ("(try (with-timeout 1s (try (sleep 1h) (finally (sleep 1h)))) (catch :timeout _ :late))", ":late", 31),
    ("(race (async (sleep 1s) :first) (async (try (sleep 1h) (finally (sleep 1h)))))", ":first", 31),
    ("(try (scope (async (try (sleep 1h) (finally (sleep 1h)))) (sleep 2s) (throw (error :bad \"x\"))) (catch :bad _ :bad))",
     ":bad", 32),
    # One that was in its `finally` already when it was cancelled.
    ("(let [p (async (try (note :body) (finally (sleep 1h) (note :never))))]\n"
     " (sleep 5s) (cancel! p) (sleep 1m) [@notes (promise-state p)])", "[[:body] :failed]", 65),
    # A shield is no `finally`: it is waited for.
    ("(let [p (async (shield (sleep 10m) (note :shielded)))] (sleep 1s) (cancel! p) (sleep 1s))\n"
     "(sleep 20m) @notes", "[:shielded]", 1202),
    # Several, each with its own time; one that ends in time withdraws its deadline.
    ("(let [f (fn [n] (async (try (sleep 1h) (finally (sleep n) (note n)))))\n"
     "      ps [(f 10s) (f 20s) (f 40s)]]\n"
     " (sleep 1s) (mapv cancel! ps) (sleep 1m) [@notes (mapv promise-state ps)])",
     "[[10s 20s] [:failed :failed :failed]]", 61),
    # What it started in its `finally` ends with it.
    ("(let [p (async (try (sleep 1h) (finally (scope (async (try (sleep 1h) (finally (note :inner)))) (sleep 1h)))))]\n"
     " (sleep 1s) (cancel! p) (sleep 1m) @notes)", "[:inner]", 61),
]  # fmt: skip

SOURCE = """
(ns t)
(def notes (atom []))
(defn note [x] (swap! notes conj x))
(defn main [] {body})
"""


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("body", "value", "seconds"), PROGRAMS)
def test_programs(body: str, value: str, seconds: int, crash: bool) -> None:
    world = Simulation(seed=1)
    pid = world.start(world.deploy(build_artifact({"t.fm": SOURCE.replace("{body}", body)}).data), "t/main")
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value).replace('#duration "PT', "").replace('S"', "s")) == (None, value)
    assert world.clock() == BEGIN + seconds * SECOND
    assert world.store.next_due() is None


def test_the_process_as_a_whole_has_one_deadline() -> None:
    """Cancelled from outside: the engine's, and no fiber asks for one of its own."""
    source = "(ns t)\n(defn main [] (async (try (sleep 1h) (finally (sleep 1h)))) (sleep 1h))"
    world = Simulation(seed=1)
    pid = world.start(world.deploy(build_artifact({"t.fm": source}).data), "t/main")
    world.settle()
    world.post(pid, "cancel", None)
    world.run()
    assert world.outcome(pid).status == "cancelled"
    assert world.clock() == BEGIN + 30 * SECOND
    assert not any(getattr(event, "effect", "") == "flowmetal/finally" for event in world.outcome(pid).log)
