"""What runs away is cut where nothing can see it, and the others get their turns."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.fairness import REST, Waiting, adapt
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import Live
from flowmetal.engine.simulate import Simulation
from flowmetal.store.interface import Post, Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Vector, encode_value, work

SOURCE = """
(ns heavy)

(defn text [n] 
  (loop [i 0 s ""]
    (if (< i n) (recur (inc i) (subs (str s (apply str (repeat 40000 "ab"))) 0 70000)) (count s))))

(defn sorting [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum (first (sort (vec (range 3000 i -1)))))) sum)))

(defn caught [n]
  (loop [i 0 kinds #{}]
    (if (< i n)
      (recur (inc i)
             (conj kinds (try (loop [s "x"] (recur (str s s))) (catch :limit e (:kind (error-data e)))) i))
      (count kinds))))

(defn mapped [n] (reduce + (map (fn [i] (count (str i (apply str (repeat 5000 "x"))))) (range n))))

(defn steps [n]
  (loop [i 0 all []]
    (if (< i n) (do (log i) (recur (inc i) (vec (reverse (into all (range 2000)))))) (count all))))
"""

ARTIFACT = build_artifact({"heavy.fm": SOURCE.replace("(:kind (error-data e))", "1")}).data


def run(function: str, n: int, crash: bool = False, **setting: Any) -> tuple[Any, int]:
    """What came of it, and how many turns it took."""
    world = Simulation(seed=2, config=Config(limits=Config().limits))
    hash = world.deploy(ARTIFACT)
    if setting:
        from flowmetal.dataclass import replace

        make = world.interpreter._make_setting

        def made() -> Any:
            return replace(make(), **setting)

        world.interpreter._setting = made()
        world.interpreter._make_setting = made  # type: ignore[method-assign]
    pid = world.start(hash, f"heavy/{function}", [n])
    world.run(pid, crash_each_step=crash)
    ran = world.outcome(pid)
    assert ran.status == "done", ran.error
    return (ran.value, [type(event).__name__ for event in ran.log]), world.interpreter.turns


@pytest.mark.parametrize(
    ("function", "n"), [("text", 30), ("sorting", 20), ("caught", 3), ("mapped", 60), ("steps", 12)]
)
def test_large_operations_are_spread_over_turns(function: str, n: int) -> None:
    """A share so small that a turn does one large operation changes nothing but the number of turns."""
    whole, few = run(function, n)
    cut, many = run(function, n, work=1.0)
    assert cut == whole
    assert many > few + n // 2
    assert run(function, n, work=1.0, cut_slices=1)[0] == whole


def test_where_nobody_set_a_share_nothing_is_put_off() -> None:
    work.weigh(10**9)
    work.weigh(10**9)
    work.allow(5.0)
    try:
        work.weigh(10**9)  # one, however large
        with pytest.raises(work.TurnOver):
            work.weigh(0.0)
    finally:
        work.allow(None)
    work.weigh(10**9)


def live(pid: int, status: str = "ready") -> Live:
    return Live(pid, None, "t/main", None, 0, status=status)  # type: ignore[arg-type]


def test_turns_get_shorter_until_they_are_short() -> None:
    one = live(1)
    for _ in range(50):
        adapt(one, 0.02 * one.share, 0.0015)
    assert one.share < 0.1
    for _ in range(50):
        adapt(one, 0.0001, 0.0015)
    assert one.share == 1.0
    other = live(2)
    adapt(other, 5.0, 0.0)  # a simulation does not look at the time
    assert other.share == 1.0 and not other.rests_until


def test_who_held_everybody_up_rests_unless_it_is_alone() -> None:
    hot = {1: live(1), 2: live(2, "waiting")}
    waiting = Waiting(hot)
    adapt(hot[1], 1.0, 0.0015)
    adapt(hot[2], 1.0, 0.0015)  # it waits; it does not go on by itself
    assert hot[1].rests_until and not hot[2].rests_until
    waiting.cut(1)
    waiting[2] = False
    late = 1e18

    def always() -> bool:
        return True

    assert list(waiting.take(late, False, always)) == [(2, False)]
    assert list(waiting.take(late, True, always)) == [] and 0 < waiting.seconds() <= REST
    hot[1].rests_until = 1.0
    assert list(waiting.take(late, True, always)) == [(1, True)]
    hot[1].rests_until = late
    waiting[2] = False
    waiting[1] = False  # an answer waits with it until it has rested
    assert list(waiting.take(late, False, always)) == [(2, False)]
    assert list(waiting.take(late, True, always)) == [] and waiting.was_cut == {1: False}
    waiting._last = 1
    assert list(waiting.take(late, True, always)) == [(1, False)]  # the last was itself: nobody else is there


def test_those_in_memory_go_before_those_that_have_to_be_loaded() -> None:
    waiting = Waiting({1: live(1), 2: live(2)})
    for pid in (7, 1, 8, 2):
        waiting.found(pid)
    assert [pid for pid, _ in waiting.take(1e18, False, lambda: True)][:3] == [1, 2, 7]
    assert len(waiting) <= 1 and waiting.all() <= {8}


def test_programs_take_turns() -> None:
    hot = {number: live(number) for number in range(1, 8)}
    for number in (5, 7):
        hot[number].name = "few"
    waiting = Waiting(hot)
    for number in range(1, 8):
        waiting[number] = False
    waiting.drop(3)
    assert [pid for pid, _ in waiting.take(1e18, False, lambda: True)] == [1, 5, 2, 7, 4, 6]
    assert not waiting


def test_what_is_in_memory_does_not_wait_behind_a_swarm() -> None:
    """However many processes are to begin, one in memory for which something has come has the next turn."""
    source = "(ns both) (defn calm [] (receive ?m ?m)) (defn swarm [] 1)"
    store = MemoryStore()
    hash = deploy(store, build_artifact({"both.fm": source}).data, "both")
    interpreter = Interpreter(store)
    (calm,) = store.submit([Start("both/calm", encode_value(Vector.of([])), artifact=hash, name="calm")]).result()
    for _ in range(10):
        interpreter.step()
    assert store.process(calm[0]).status == "waiting"  # type: ignore[union-attr]
    store.submit([Start("both/swarm", encode_value(Vector.of([])), artifact=hash, name="swarm")] * 3000).result()
    interpreter.step()
    store.submit([Post(calm[0], "message", encode_value(7))]).result()
    interpreter.step()
    interpreter.step()
    begun = 3000 - store.stats()["processes"]["ready"]
    assert begun < 2000, "the swarm was too quick to show anything"
    assert store.process(calm[0]).status == "done"  # type: ignore[union-attr]
    assert interpreter.stop()
