"""`ask` and `reply`: one answer, the end of who is asked, times, and nothing left in the mailbox."""

from __future__ import annotations

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import Simulation
from flowmetal.values import print_string

SOURCE = """
(ns t)

(defn adder [sum]
  (receive
    {:ask [:add ?n] :reply-to ?to} (do (reply ?to (+ sum ?n)) (adder (+ sum ?n)))
    {:ask :fail :reply-to ?to}     (do (reply ?to (error :refused "no")) (adder sum))
    {:ask :stop}                   :stopped
    {:ask :break}                  (throw (error :broken "it broke"))
    {:ask [:slow ?time] :reply-to ?to} (do (sleep ?time) (reply ?to :late) (adder sum))
    (after 1h                      [:idle sum])))

(defn kind [thunk] (try (thunk) (catch _ e [(error-kind e) (:status (ex-data e))])))
(defn left [] (receive ?m [:left ?m] (after 2h :nothing-left)))
(defn entity [name] (get-or-start name adder 0))
(defn client [name n] (dotimes [_ n] (ask (entity name) [:add 1])) (ask (entity name) [:add 0]))

(defn main [] {body})
"""

PROGRAMS = [
    ("(let [a (spawn adder 1)] [(ask a [:add 2]) (ask a [:add 3]) (left)])", "[3 6 :nothing-left]"),
    ("(let [a (spawn adder 1)] [(kind (fn [] (ask a :fail))) (ask a [:add 0]) (left)])", "[[:refused nil] 1 :nothing-left]"),
    ("(let [a (spawn adder 1)] [(kind (fn [] (ask a :stop))) (kind (fn [] (ask a [:add 1]))) (left)])",
     "[[:process-ended :done] [:process-ended :done] :nothing-left]"),
    ("(let [a (spawn adder 1)] [(kind (fn [] (ask a :break))) (left)])", "[[:process-ended :failed] :nothing-left]"),
    ("[(kind (fn [] (ask :nobody 1))) (kind (fn [] (ask \"nobody\" 1))) (left)]",
     "[[:no-process nil] [:no-process nil] :nothing-left]"),
    # The late answer is dropped, and the next question has its own.
    ("(let [a (spawn adder 1)] [(ask a [:slow 5s] {:timeout 1s :else :none}) (ask a [:add 1]) (left)])",
     "[:none 2 :nothing-left]"),
    # It ends after nobody waits any more.
    ("(let [a (spawn (fn [] (sleep 5s)))] [(kind (fn [] (ask a 1 {:timeout 1s}))) (left)])",
     "[[:timeout nil] :nothing-left]"),
    ("(let [a (spawn adder 0)] [(try (with-timeout 1s (ask a [:slow 5s])) (catch :timeout _ :cut)) (left)])",
     "[:cut :nothing-left]"),
    # Several questions of one process at a time, and other messages beside them.
    ("(do (send (self) :other)\n"
     " [(vec (pmap (fn [n] (ask (spawn adder n) [:add 100])) (range 5))) (receive) (left)])",
     "[[100 101 102 103 104] :other :nothing-left]"),
    ("(let [a (spawn adder 0)]\n"
     " [(race (async (ask a [:slow 1m])) (async (sleep 1s) :first)) (ask a [:add 1]) (left)])", "[:first 1 :nothing-left]"),
    # One's own monitor of the same process hears of its end, the question's does not get in its way.
    ("(let [a (spawn adder 0) ref (monitor a)] [(kind (fn [] (ask a :stop))) (= ref (:ref (receive))) (left)])",
     "[[:process-ended :done] true :nothing-left]"),
    # A durable entity: by name, from several sides.
    ("(do (pmap (fn [_] (client :counter 5)) (range 4)) [(ask :counter [:add 0]) (left)])", "[20 :nothing-left]"),
    ("(do (client :counter 1) (sleep 2h) (client :counter 3))", "3"),
    ("(kind (fn [] (reply {:no 1} 2)))", "[:argument nil]"),
    ("(kind (fn [] (ask (self) 1 {:timout 1s})))", "[:argument nil]"),
]  # fmt: skip


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("body", "value"), PROGRAMS)
def test_programs(body: str, value: str, crash: bool) -> None:
    world = Simulation(seed=1)
    pid = world.start(world.deploy(build_artifact({"t.fm": SOURCE.replace("{body}", body)}).data), "t/main")
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value)) == (None, value)
