"""Fibers that receive, time out and are cancelled at random, while messages come: each message is taken once, in order."""

from __future__ import annotations

import random

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.events import LocalDone
from flowmetal.engine.simulate import Simulation
from flowmetal.values import Duration, Vector, decode_value, print_string

SECOND = 10**9
KINDS = 3

SOURCE = """
(ns t (:require time))

(def taken (atom []))
(defn took [who m] (swap! taken conj [who m]))

(defn one
  "Receives once, in the manner of `how`; whatever it takes it notes at once."
  [who how kind time]
  (case how
    0 (receive [(= kind) ?n] (took who [kind ?n]) (after time nil))
    1 (receive ?m (took who ?m) (after time nil))
    2 (receive [(= kind) ?n] :when (odd? ?n) (took who [kind ?n]) [?k ?n] :when (> ?k kind) (took who [?k ?n]))
    3 (select (await [_ (request :never)] nil) (receive [(= kind) ?n] (took who [kind ?n])) (after time nil))
    4 (receive [(= kind) ?n] (took who [kind ?n]) (after 0s nil))
    5 (with-timeout time (receive [(= kind) ?n] (took who [kind ?n])))
    6 (race (async (receive [(= kind) ?n] (took who [kind ?n]))) (async (sleep time)))
    7 (try (sleep time) (finally (receive [(= kind) ?n] (took who [kind ?n]) (after 1s nil))))))

(defn many [who steps]
  (doseq [[how kind time pause] steps]
    (try (one who how kind time) (catch :timeout _ nil))
    (sleep pause)))

(defn drain [] (loop [found []] (receive ?m (recur (conj found ?m)) (after 0s found))))

(defn main [fibers cancels]
  (let [ps (vec (map-indexed (fn [who steps] (async (many who steps))) fibers))]
    (doseq [[pause i] cancels]
      (sleep pause)
      (cancel! (nth ps i)))
    (sleep 200s)
    (doseq [p ps] (cancel! p))
    (doseq [p ps] (try (await p) (catch :flowmetal/cancelled _ nil)))
    (sleep 1s)
    [@taken (drain)]))
"""


@pytest.fixture(scope="module")
def artifact() -> bytes:
    return build_artifact({"t.fm": SOURCE}).data


def played(artifact: bytes, seed: int, crash: bool) -> str:
    chosen = random.Random(seed)

    def seconds(n: int) -> Duration:
        return Duration(chosen.randrange(n) * SECOND)

    fibers = Vector.of([
        Vector.of([
            Vector.of([chosen.randrange(8), chosen.randrange(KINDS), seconds(6), seconds(3)])
            for _ in range(chosen.randint(1, 6))
        ])
        for _ in range(chosen.randint(1, 5))
    ])  # fmt: skip
    cancels = Vector.of([Vector.of([seconds(6), chosen.randrange(len(fibers))]) for _ in range(chosen.randrange(4))])
    world = Simulation(seed=1)
    pid = world.start(world.deploy(artifact), "t/main", [fibers, cancels])
    sent: list[tuple[int, int]] = []
    world.settle(crash)
    while len(sent) < 40:
        for _ in range(chosen.randrange(4)):
            kind = chosen.randrange(KINDS)
            sent.append((kind, len(sent)))
            world.post(pid, "message", Vector.of(sent[-1]))
        if chosen.random() < 0.5:
            world.settle(crash)
        world.run(until=world.clock() + chosen.randrange(3) * SECOND, crash_each_step=crash)
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert ran.status == "done", ran
    taken, left = ran.value
    got = [tuple(message) for _, message in taken]
    assert sorted(got + [tuple(message) for message in left], key=lambda one: one[1]) == sent
    # What was left was left in order.
    assert [number for _, number in left] == sorted(number for _, number in left)
    assert not world.store.inbox(pid) and world.store.next_due() is None
    return print_string(ran.value)


@pytest.mark.parametrize("seed", range(4))
def test_each_is_taken_once(artifact: bytes, seed: int) -> None:
    plain = played(artifact, seed, crash=False)
    assert played(artifact, seed, crash=True) == plain


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_each_of_many_is_taken_once(artifact: bytes, seed: int) -> None:
    plain = played(artifact, seed, crash=False)
    assert played(artifact, seed, crash=True) == plain


CUT = """
(ns c)

(def taken (atom 0))
(defn drain [] (loop [found []] (receive ?m (recur (conj found ?m)) (after 0s found))))
;; Noted by builtins alone, since a turn ends at a call: a bit for each message.
(defmacro note [n] `(reset! taken (+ (bit-shift-left 1 ~n) (first (reset-vals! taken 0)))))
(defn often [kind]
  (loop [n 0]
    (if (= 0 (mod n 3))
      (receive [(= kind) ?n] (note ?n) (after 0s nil))
      (receive [(= kind) ?n] (note ?n)))
    (recur (inc n))))

(defn main []
  (try
    (scope (async (often 0)) (async (often 1)) (sleep 1h))
    (finally (log [@taken (mapv second (drain))]))))
"""


def cut_off(artifact: bytes, seed: int) -> None:
    """Cancelled from outside wherever its fuel ran out: what no fiber took is there for the `finally`."""
    chosen = random.Random(seed)
    world = Simulation(seed=1, config=Config(fuel=chosen.randint(1, 12)))
    pid = world.start(world.deploy(artifact), "c/main")
    for _ in range(chosen.randint(0, 60)):
        world.interpreter.step()
    sent = 0
    for _ in range(chosen.randint(1, 4)):
        for _ in range(chosen.randint(1, 4)):
            world.post(pid, "message", Vector.of([chosen.randrange(3), sent]))
            sent += 1
        for _ in range(chosen.randint(0, 60)):
            world.interpreter.step()
    world.post(pid, "cancel")
    world.run(crash_each_step=seed % 2 == 0)
    ran = world.outcome(pid)
    assert ran.status == "cancelled", ran
    said = [decode_value(event.payload) for event in ran.log if isinstance(event, LocalDone) and event.effect == "log"]
    if said:  # else it had not come as far
        taken, left = said[0]
        bits = [number for number in range(sent) if taken >> number & 1]
        assert sorted([*bits, *left]) == list(range(sent)), seed


def test_a_turn_that_is_cut_anywhere_loses_nothing() -> None:
    artifact = build_artifact({"c.fm": CUT}).data
    for seed in range(150):
        cut_off(artifact, seed)
