"""Limits of processes: what the program can catch and what it cannot, by program, and the table in the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import limits
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.limits import Budgets
from flowmetal.engine.simulate import Simulation
from flowmetal.server.config import read_config
from flowmetal.values import Map, keyword

SOURCE = """
(ns full)

(defn sleeper [] (sleep 1h) :woken)

(defn counting [n] (sleep 1h) (loop [got 0] (if (< got n) (do (perform :receive) (recur (inc got))) got)))

(defn caught [f] (try (f) (catch :limit e [(error-kind e) (error-data e)])))

(defn flood []
  (let [to (spawn sleeper)]
    (loop [sent 0]
      (let [found (caught (fn [] (perform :send [to sent]) nil))]
        (if found [sent found] (recur (inc sent)))))))

(defn flood-self []
  (let [me (self)]
    (loop [sent 0]
      (let [found (caught (fn [] (perform :send [me sent]) nil))]
        (if found [sent found (perform :receive)] (recur (inc sent)))))))

(defn many-floods [n]
  (let [to (spawn counting 50)
        floods (doall (for [_ (range n)] (async (loop [sent 0]
                 (if (caught (fn [] (perform :send [to sent]) nil)) sent (recur (inc sent)))))))]
    (reduce + (map await floods))))

(defn bomb []
  (loop [made 0]
    (let [found (caught (fn [] (spawn sleeper) nil))] (if found [made found] (recur (inc made))))))

(defn value [] (caught (fn [] (perform :anything (apply str (repeat 3000 "x"))))))
(defn logged [] (caught (fn [] (log (apply str (repeat 3000 "x"))))))
(defn open-requests [] (dotimes [n 20] (request :nobody n)) (caught (fn [] (await (request :nobody :one-more)))))
(defn attributes [] (caught (fn [] (annotate! {:a 1 :b 2 :c 3}))))
(defn attribute-bytes [] (caught (fn [] (annotate! {:a (apply str (repeat 1500 "x")) :b (apply str (repeat 1000 "x"))}))))

(defn spin [] (try (loop [n 0] (recur (inc n))) (catch _ e :caught) (finally (log "cleaned"))))
(defn deep [n] (try (inc (deep n)) (catch _ e :caught)))
(defn large [] (try (loop [v []] (recur (conj v (vec (range 100))))) (catch _ e :caught)))
(defn fibers [] (try (loop [] (async (sleep 1h)) (recur)) (catch _ e :caught)))
"""

ARTIFACT = build_artifact({"full.fm": SOURCE}).data

SETTINGS = {
    "limits": {
        "fuel": 3_000_000,
        "stack": 5000,
        "heap": 60_000,
        "fibers": 50,
        "programs": {
            "full": {
                "mailbox": 40, "processes": 30, "value": 2900, "requests": 20, "attributes": 2, "attribute_bytes": 2000,
                "fibers": 60,
            }
        },
    }
}  # fmt: skip


def world(**more: Any) -> tuple[Simulation, bytes]:
    simulation = Simulation(config=Config(program_limits=read_config(SETTINGS).limits), seed=4, **more)
    return simulation, simulation.deploy(ARTIFACT)


def value_of(function: str, crash: bool = False) -> Any:
    simulation, hash = world()
    pid = simulation.start(hash, f"full/{function}")
    simulation.run(pid, crash_each_step=crash)
    ran = simulation.outcome(pid)
    assert ran.status == "done", ran.error
    return ran.value


def reached(name: str, most: int) -> Any:
    return [keyword("limit"), Map.of([(keyword("limit"), keyword(name)), (keyword("max"), most)])]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(
    ("function", "count", "name", "most"),
    [
        ("flood", 40, "mailbox", 40),
        ("bomb", 29, "processes", 30),
        ("open-requests", None, "requests", 20),
        ("value", None, "value", 2900),
        ("logged", None, "value", 2900),
        ("attributes", None, "attributes", 2),
        ("attribute-bytes", None, "attribute-bytes", 2000),
    ],
)
def test_limits_that_are_caught(function: str, count: int | None, name: str, most: int, crash: bool) -> None:
    found = value_of(function, crash)
    error = found if count is None else found.get(1)
    assert list(error) == reached(name, most)
    assert count is None or found.get(0) == count


def test_a_process_that_fills_its_own_mailbox_can_empty_it() -> None:
    found = value_of("flood-self")
    assert found.get(0) == 40 and found.get(2) == 0


@pytest.mark.parametrize("crash", [False, True])
def test_nothing_that_was_sent_is_lost(crash: bool) -> None:
    simulation, hash = world()
    pid = simulation.start(hash, "full/flood")
    simulation.run(pid, crash_each_step=crash)
    assert simulation.store.messages(pid + 1) == 40


@pytest.mark.parametrize(
    ("function", "arguments", "name", "most"),
    [
        ("spin", [], "fuel", 3_000_000),
        ("deep", [1], "stack", 5000),
        ("large", [], "heap", 60_000),
        ("fibers", [], "fibers", 60),
    ],
)
def test_limits_that_only_finally_sees(function: str, arguments: list[Any], name: str, most: int) -> None:
    simulation, hash = world()
    pid = simulation.start(hash, f"full/{function}", arguments)
    simulation.run(pid)
    ran = simulation.outcome(pid)
    assert ran.status == "failed" and ran.error is not None
    assert [ran.error.kind, ran.error.data] == [keyword("flowmetal/limit"), reached(name, most)[1]]
    if function == "spin":
        assert "LocalDone" in [type(event).__name__ for event in ran.log]  # what its finally logged


def test_fuel_is_met_at_the_same_place_wherever_turns_end() -> None:
    def log(**setting: Any) -> Any:
        simulation, hash = world()
        if setting:
            from flowmetal.dataclass import replace

            simulation.interpreter._setting = replace(simulation.interpreter._setting, **setting)
        pid = simulation.start(hash, "full/spin")
        simulation.run(pid)
        ran = simulation.outcome(pid)
        assert ran.error is not None
        return ran.log, ran.error.trace

    assert log() == log(fuel=777) == log(fuel=50_000, cut_slices=3)


def test_a_mailbox_that_fills_up_meanwhile_is_found_full_when_the_turn_is_run_again() -> None:
    """The engine gives out room that others have taken since; the store refuses, and the call gets the error."""
    simulation, hash = world()
    budgets = simulation.interpreter._rooms.mailboxes
    pid = simulation.start(hash, "full/flood")
    simulation.settle()
    from flowmetal.store import limits as store_limits

    taken: list[int] = []
    real = budgets._read
    budgets._read = lambda what: taken.append(what) or (0 if len(taken) < 30 else real(what))  # type: ignore[func-returns-value]
    simulation.run(pid)
    assert simulation.outcome(pid).status == "done"
    assert simulation.store.messages(pid + 1) <= store_limits.MAX_MESSAGES


def test_budgets_look_again_when_they_are_used_up() -> None:
    there, looks = 0, 0

    def read(what: int) -> int:
        nonlocal looks
        looks += 1
        return there

    budgets = Budgets(read)
    for number in range(100):
        there = number
        budgets.committed()
        assert budgets.take(1, 100)
    there = 100
    assert not budgets.take(1, 100) and looks < 12
    there = 90
    assert budgets.take(1, 100)


@pytest.mark.parametrize(
    ("table", "code"),
    [({"haep": 1}, "H201"), ({"heap": 0}, "H202"), ({"heap": "1"}, "H202"), ({"mailbox": 10**6}, "H202"),
     ({"programs": 3}, "H202"), ({"programs": {"x": {"hep": 1}}}, "H201")],
)  # fmt: skip
def test_settings_that_are_wrong(table: dict[str, Any], code: str) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read_config({"limits": table})
    assert caught.value.code == code


def test_the_table_of_the_page_is_the_one_in_the_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    assert limits.page() in page
