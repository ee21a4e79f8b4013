"""Names, links, monitors, groups as programs use them: undisturbed, and with a crash after every step."""

from __future__ import annotations

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import describe
from flowmetal.engine.simulate import Simulation
from flowmetal.values import print_string

SOURCE = """
(ns town (:require kv))

(defn fails [] (sleep 1s) (throw (error :broken "it broke")))

(defn shape [down]
  (let [e (get down :error)]
    [(get down :type) (get down :ref) (get down :status) (if (nil? e) nil (error-kind e))]))

;; ---- monitors

(defn watched []
  (let [[a r1] (spawn-monitor (fn [] :fine))
        [b r2] (spawn-monitor fails)
        [c r3] (spawn-monitor (fn [] (sleep 1h)))]
    (cancel c "enough")
    (let [found (mapv (fn [_] (shape (receive))) (range 3))]
      (sort-by (fn [d] (nth d 1)) found))))

(defn last-words []
  (let [me (self)
        [child ref] (spawn-monitor (fn [] (doseq [i (range 3)] (send me i)) (throw (error :broken "x"))))]
    (conj (mapv (fn [_] (receive)) (range 3)) (get (receive) :status))))

;; ---- links

(defn cleaned [name]
  (try (sleep 1h)
       (finally (sleep 1s) (kv/put name :cleaned))))

(defn pair []
  (let [me (self)
        [parent ref] (spawn-monitor
                       (fn []
                         (spawn-link cleaned "a")
                         (spawn-link cleaned "b")
                         (spawn (fn [] (cleaned "unlinked")))
                         (fails)))
        down (receive)]
    (sleep 1m)
    [(shape down) (kv/list "")]))

(defn chain []
  (let [[top ref] (spawn-monitor (fn [] (spawn-link (fn [] (spawn-link fails) (sleep 1h))) (sleep 1h)))
        down (receive)
        e (get down :error)
        inner (get (error-data e) :error)]
    [(error-kind e) (error-kind inner) (error-kind (get (error-data inner) :error))]))

(defn well []
  (spawn-link (fn [] (sleep 1s) :fine))
  (sleep 1m)
  :still-here)

(defn late-link []
  (let [child (spawn fails)]
    (sleep 1m)
    (try (link child) (sleep 1h) (finally (kv/put "cleaned" 1)))))

(defn slow-to-die []
  (let [[child ref] (spawn-monitor (fn [] (spawn-link fails) (try (sleep 1h) (finally (sleep 2h)))))]
    (shape (receive))))

;; ---- leashes

(defn leashed []
  (let [[parent ref] (spawn-monitor
                       (fn []
                         (spawn* {:leash true} cleaned "child")
                         (sleep 1s)
                         :over))]
    (receive)
    (sleep 1m)
    (kv/list "")))

;; ---- names

(defn counter [n]
  (receive
    [:add ?k] (counter (+ n ?k))
    [:get ?who] (do (send ?who n) (counter n))))

(defn entity []
  (let [me (self)]
    (doseq [i (range 5)]
      (get-or-start :counter counter 0)
      (send :counter [:add i]))
    (send "counter" [:get me])
    [(receive) (= (whereis :counter) (get-or-start :counter counter 0))]))

(defn racing [n]
  (let [me (self)]
    (doseq [_ (range n)]
      (spawn (fn [] (get-or-start :counter counter 0) (send :counter [:add 1]) (send me :done))))
    (doseq [_ (range n)] (receive))
    (send :counter [:get me])
    (receive)))

(defn names []
  (let [child (spawn (fn [] (register :child) (receive)))]
    (sleep 1s)
    (let [first-pid (whereis :child)
          taken (try (register :child) (catch :name-taken e (get (error-data e) :name)))]
      (send :child :go)
      (sleep 1s)
      [(= first-pid child) taken (whereis :child)
       (try (send :child 1) (catch :no-process e :nobody))
       (register :child) (= (self) (whereis :child))])))

;; ---- groups

(defn group []
  (let [me (self)]
    (doseq [i (range 3)]
      (spawn (fn [] (join-group :workers) (send me :in) (send me [i (receive)]))))
    (doseq [_ (range 3)] (receive :in nil))
    (let [n (count (group-members :workers))
          sent (publish :workers :hello)
          answers (mapv (fn [_] (receive)) (range 3))]
      (sleep 1s)
      [n sent (sort answers) (group-members :workers)])))

(defn ids []
  (let [f (fn [] (sleep 1h)) start (fn [] (spawn* {:id "one" :attributes {:who "me"}} cleaned "x"))]
    (= (start) (start))))

(defn wrong []
  (mapv (fn [f] (try (f) (catch _ e (error-kind e))))
        [(fn [] (spawn* {:linked true} fails))
         (fn [] (spawn* :link fails))
         (fn [] (spawn* {:id 7} fails))
         (fn [] (spawn* {:name ""} fails))
         (fn [] (spawn* {:queue "none"} fails))
         (fn [] (spawn* {:priority 1} fails))
         (fn [] (spawn* {:attributes 1} fails))
         (fn [] (send 7 1))
         (fn [] (send :nobody 1))
         (fn [] (cancel (self) 7))
         (fn [] (link 7))
         (fn [] (monitor nil))
         (fn [] (demonitor :x))
         (fn [] (publish "" 1))]))
"""

ARTIFACT = build_artifact({"town.fm": SOURCE}).data


def ran(function: str, *arguments: object, crash: bool = False) -> tuple[Simulation, int, str]:
    """The world, the process, and what came of it: the value, or the kind of the error."""
    world = Simulation(seed=1)
    pid = world.start(world.deploy(ARTIFACT), f"town/{function}", arguments)
    world.run(crash_each_step=crash)
    outcome = world.outcome(pid)
    if outcome.error is not None:
        return world, pid, f"{outcome.status} :{outcome.error.kind.text}"
    return world, pid, print_string(outcome.value) if outcome.status == "done" else outcome.status


#: Function, arguments, what comes of it.
PROGRAMS = [
    ("watched", (), "([:down 1 :done nil] [:down 2 :failed :broken] [:down 3 :cancelled :flowmetal/cancelled])"),
    ("last-words", (), "[0 1 2 :failed]"),
    ("pair", (), '[[:down 1 :failed :broken] [["a" :cleaned] ["b" :cleaned]]]'),
    ("chain", (), "[:flowmetal/linked :flowmetal/linked :broken]"),
    ("well", (), ":still-here"),
    ("late-link", (), "failed :flowmetal/linked"),
    ("slow-to-die", (), "[:down 1 :failed :flowmetal/linked]"),
    ("leashed", (), '[["child" :cleaned]]'),
    ("entity", (), "[10 true]"),
    ("racing", (6,), "6"),
    ("names", (), '[true "child" nil :nobody true true]'),
    ("group", (), "[3 3 ([0 :hello] [1 :hello] [2 :hello]) []]"),
    ("ids", (), "true"),
    (
        "wrong",
        (),
        "[:argument :argument :argument :argument :queue/unknown :argument :argument :argument :no-process :argument "
        ":argument :argument :argument :argument]",
    ),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_programs(function: str, arguments: tuple[object, ...], expected: str) -> None:
    world, pid, found = ran(function, *arguments)
    assert found == expected
    crashed, _, found = ran(function, *arguments, crash=True)
    assert crashed.crashes > 0
    assert found == expected
    # Processes take turns in another order where an interpreter begins anew, but each does the same.
    assert [describe(event) for event in crashed.outcome(pid).log] == [
        describe(event) for event in world.outcome(pid).log
    ] or function in ("racing", "group", "watched")


def test_nothing_is_left_of_what_has_ended() -> None:
    world = ran("pair")[0]
    assert [world.store.stats()["entries"][space] for space in ("bonds", "names", "groups")] == [0, 0, 0]


def test_a_linked_process_that_has_not_begun_and_one_that_is_paused() -> None:
    world = Simulation(seed=1)
    hash = world.deploy(ARTIFACT)
    paused = world.start(hash, "town/well")
    world.run()
    assert world.outcome(paused).status == "done"
    parent = world.start(hash, "town/late-link")
    world.post(parent, "pause")
    world.run()
    assert world.outcome(parent).status == "paused"
    world.post(parent, "resume")
    world.run()
    assert world.outcome(parent).status == "failed"


def test_what_a_linked_process_shows() -> None:
    world, pid, _ = ran("late-link")
    record = world.store.process(pid)
    assert record is not None and record.error.startswith(
        ":flowmetal/linked process 2, which it is linked to, failed: :broken"
    )
    lines = [describe(event) for event in world.outcome(pid).log]
    assert any(line.startswith("linked") and ":broken" in line for line in lines)
    assert world.store.stats()["entries"]["kv"] == 1  # its `finally` has run
