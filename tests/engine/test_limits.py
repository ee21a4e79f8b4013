"""Limits of processes: what the program can catch and what it cannot, by program, and the table in the docs."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowmetal.client.over_store import StoreClient
from flowmetal.client.where import Where
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import limits
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.events import decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.limits import Budgets
from flowmetal.engine.simulate import Simulation
from flowmetal.server.config import read_config
from flowmetal.store.interface import PutArtifact, Remove, Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Map, Vector, decode_value, encode_value, keyword

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

(defn quick [] 1)

(defn children []
  (loop [made 0]
    (let [found (caught (fn [] (monitor (spawn quick)) (perform :receive) (spawn sleeper) nil))]
      (if found [made found] (recur (inc made))))))

(defn starts []
  (loop [made 0]
    (let [found (caught (fn [] (monitor (spawn quick)) (perform :receive) nil))]
      (if found [made found] (recur (inc made))))))

(defn parting [] (spawn sleeper) :gone)

(defn slow [] (loop [n 0] (recur (count (sort (vec (range 5000)))))))

(defn logging [] (loop [n 0] (if (< n 30) (do (log (reduce + (range 100000))) (recur (inc n))) n)))

(defn fork [] (spawn fork) (spawn fork) (sleep 1h))

(defn value [] (caught (fn [] (perform :anything (apply str (repeat 3000 "x"))))))
(defn logged [] (caught (fn [] (log (apply str (repeat 3000 "x"))))))
(defn open-requests [] (dotimes [n 20] (request :nobody n)) (caught (fn [] (await (request :nobody :one-more)))))
(defn attributes [] (caught (fn [] (annotate! {:a 1 :b 2 :c 3}))))
(defn attribute-bytes [] (caught (fn [] (annotate! {:a (apply str (repeat 1500 "x")) :b (apply str (repeat 1000 "x"))}))))

(defn spin [] (try (loop [n 0] (recur (inc n))) (catch _ e :caught) (finally (log "cleaned"))))
(defn passing []
  (let [[child ref] (spawn-monitor spin)] (:error (perform :receive))))
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
                "mailbox": 40, "processes": 300, "value": 2900, "requests": 20, "attributes": 2, "attribute_bytes": 2000,
                "fibers": 60, "children": 8, "descendants": 25, "starts": 20,
            }
        },
    }
}  # fmt: skip


BURSTS = """
(ns bursts (:require kv))
(defn logging [] (try (loop [] (log "again") (recur)) (catch _ e :caught) (finally (log "cleaned") (kv/put "cleaned" 1))))
(defn writing [] (try (loop [n 0] (kv/put "n" n) (recur (inc n))) (catch _ e :caught)))
(defn large [] (try (loop [] (log (apply str (repeat 40000 "x"))) (recur)) (catch _ e :caught)))
(defn in-fibers [] (loop [] (try (await (async (kv/put "n" 1))) (catch _ e :caught)) (recur)))
(defn resting [] (loop [n 0] (if (< n 30) (do (dotimes [_ 20] (log n)) (sleep 1ms) (recur (inc n))) :done)))
(defn hearing [] (loop [n 0] (if (< n 200) (do (receive ?m ?m) (log n) (recur (inc n))) :done)))
(defn outside [] (loop [n 0] (if (< n 200) (do (perform :tick n) (log n) (recur (inc n))) :done)))
"""
BURSTING = build_artifact({"bursts.fm": BURSTS}).data


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
        ("bomb", 8, "children", 8),
        ("children", 8, "children", 8),
        ("starts", 20, "starts", 20),
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


@pytest.mark.parametrize("crash", [False, True])
def test_the_limit_of_all_processes(crash: bool) -> None:
    simulation = Simulation(config=Config(program_limits=read_config({"limits": {"processes": 30}}).limits), seed=4)
    pid = simulation.start(simulation.deploy(ARTIFACT), "full/bomb")
    simulation.run(pid, crash_each_step=crash)
    found = simulation.outcome(pid).value
    assert found.get(0) == 29 and list(found.get(1)) == reached("processes", 30)


@pytest.mark.parametrize("seed", range(3))
def test_a_fork_bomb_ends_by_the_limit_of_its_tree(seed: int) -> None:
    simulation = Simulation(config=Config(program_limits=read_config(SETTINGS).limits), seed=seed)
    hash = simulation.deploy(ARTIFACT)
    other = simulation.start(hash, "full/sleeper")
    root = simulation.start(hash, "full/fork")
    simulation.settle(crash_each_step=seed == 2)
    store = simulation.store
    living = store.living()
    assert 2 < living <= 2 + 25
    records = store.processes(limit=1000)
    for record in records:
        assert record.root == (None if record.pid in (other, root) else root)
    failed = [record for record in records if record.status == "failed"]
    assert failed and all("descendants" in record.error or "come from process" in record.error for record in failed)
    assert (store.process(other) or records[0]).status == "waiting"
    # What lives of the tree is what is counted: when it has ended, another one may begin.
    client = StoreClient(store, lambda *_: b"")
    report = client.steer("kill", Where(tree=root))
    assert report.done == living - 1 and store.living() == 1
    again = simulation.start(hash, "full/fork")
    simulation.settle()
    assert store.living() > 2 and (store.process(again) or records[0]).pid == again


def test_what_is_spawned_while_a_tree_is_killed_is_killed_too() -> None:
    simulation = Simulation(seed=1)
    root = simulation.start(simulation.deploy(ARTIFACT), "full/fork")
    while simulation.store.living() < 500:  # more than are killed at once
        simulation.interpreter.step()
    told: list[int] = []

    def goes_on(report: Any) -> None:
        told.append(report.done)
        if len(told) < 8:
            for _ in range(5):
                simulation.interpreter.step()

    client = StoreClient(simulation.store, lambda *_: b"")
    report = client.steer("kill", Where(tree=root), told=goes_on)
    assert report.found == report.done == told[-1] > told[0]
    simulation.settle()
    assert simulation.store.living() == 0


def test_a_process_below_the_root_has_a_tree_of_its_own() -> None:
    simulation = Simulation(config=Config(program_limits=read_config(SETTINGS).limits), seed=3)
    root = simulation.start(simulation.deploy(ARTIFACT), "full/fork")
    simulation.settle()
    client = StoreClient(simulation.store, lambda *_: b"")
    parents = {record.pid: record.parent for record in simulation.store.processes(limit=1000)}
    for top in parents:
        below = {top}
        for pid in sorted(parents):
            if parents[pid] in below:
                below.add(pid)
        assert {info.pid for info in client.list(where=Where(tree=top), limit=1000)} == below, top
    assert client.count(Where(tree=root)) == len(parents) and client.count(Where(tree=10**6)) == 0


def test_a_root_stays_while_its_tree_lives() -> None:
    simulation = Simulation(seed=1)
    hash = simulation.deploy(ARTIFACT)
    root = simulation.start(hash, "full/parting")
    simulation.run(root)
    store = simulation.store
    assert (store.process(root) or 0) and store.living() == 1
    assert store.submit([Remove(root)]).result() == [("kept", 0)]
    simulation.run()
    assert store.living() == 0 and store.submit([Remove(root)]).result()[0][0] == "gone"


def test_limits_of_one_process_and_of_what_it_spawns() -> None:
    simulation, hash = world()
    client = StoreClient(simulation.store, lambda *_: b"")
    simulation.store.submit([PutArtifact(hash, simulation.store.artifact(hash) or b"", "full")]).result()
    alone = client.start("full/bomb", limits={"children": 3})
    simulation.run(alone)
    assert simulation.outcome(alone).value.get(0) == 3
    more = client.start("full/bomb", limits={"children": 1000})  # they can only be lowered
    simulation.run(more)
    assert simulation.outcome(more).value.get(0) == 8
    passed = client.start("full/passing", limits={"fuel": 100_000})
    simulation.run(passed)
    child = simulation.outcome(passed).value
    assert [child.kind, child.data] == [keyword("flowmetal/limit"), reached("fuel", 100_000)[1]]
    assert (simulation.store.process(passed + 1) or 0).limits == {"fuel": 100_000}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "given", [{"fuul": 1}, {"fuel": 0}, {"fuel": "1"}, {"fuel": True}, {"fuel": 1 << 62}, {1: 1}, 5, [1]]
)
def test_limits_of_one_process_that_are_none(given: Any) -> None:
    client = StoreClient(Simulation(seed=1).store, lambda *_: b"")
    with pytest.raises(FlowmetalError) as caught:
        client.start("full/bomb", limits=given)
    assert caught.value.code == "H513"


def test_computing_without_end_is_measured() -> None:
    """What computes for longer than `compute` without an entry in its log fails; the clock of the thread is used."""
    config = Config(program_limits=read_config({"limits": {"compute": 1}}).limits, turn_seconds=0.01)
    store = MemoryStore()
    with closing(store):
        interpreter = Interpreter(store, config)
        hash = deploy(store, ARTIFACT)
        (spin, _), (steps, _) = store.submit(
            [Start(f"full/{name}", encode_value(Vector.of([])), artifact=hash) for name in ("spin", "logging")]
        ).result()
        interpreter.start()
        try:
            began = time.process_time()
            while time.process_time() - began < 30:
                if (store.process(spin) or 0).status == "failed" and (store.process(steps) or 0).status == "done":
                    break
                time.sleep(0.02)
        finally:
            interpreter.stop()
        record = store.process(spin)
        assert record is not None and record.status == "failed" and "seconds of computing" in record.error
        error = decode_value(store.result(spin) or b"")
        assert [error.kind, error.data] == [keyword("flowmetal/limit"), reached("compute", 1)[1]]
        kinds = [type(decode_event(entry.event)).__name__ for entry in store.log(spin) if entry.event]
        assert kinds[-2:] == ["LocalDone", "Failed"]  # its `finally` ran


def test_what_computes_slowly_is_met_soon() -> None:
    """A slice of fuel is many seconds of such work."""
    config = Config(program_limits=read_config({"limits": {"compute": 1}}).limits, turn_seconds=0.01)
    store = MemoryStore()
    with closing(store):
        interpreter = Interpreter(store, config)
        hash = deploy(store, ARTIFACT)
        ((pid, _),) = store.submit([Start("full/slow", encode_value(Vector.of([])), artifact=hash)]).result()
        began, turns = time.process_time(), 0
        while (store.process(pid) or 0).status != "failed":  # type: ignore[union-attr]
            interpreter.step()
            turns += 1
            assert time.process_time() - began < 10
        assert time.process_time() - began < 3
        interpreter.stop()


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


@pytest.mark.parametrize("function", ["logging", "writing", "large", "in-fibers"])
def test_a_process_that_writes_without_end_is_stopped(function: str) -> None:
    """What waits for nothing but the store fails after `burst` entries, and what cleans up may still perform."""
    config = Config(program_limits=read_config({"limits": {"burst": 400}}).limits)
    simulation = Simulation(config=config, seed=4)
    pid = simulation.start(simulation.deploy(BURSTING), f"bursts/{function}")
    simulation.run(pid)
    ran = simulation.outcome(pid)
    assert ran.status == "failed"
    assert "without waiting for anything outside" in ran.error.message
    assert len(ran.log) < 1200
    if function == "large":
        assert len(ran.log) < 600  # each counts as ten


@pytest.mark.parametrize("function", ["resting", "hearing", "outside"])
def test_what_waits_may_write_for_ever(function: str) -> None:
    config = Config(program_limits=read_config({"limits": {"burst": 60}}).limits)
    simulation = Simulation(config=config, functions={"tick": lambda call: None}, seed=4)
    pid = simulation.start(simulation.deploy(BURSTING), f"bursts/{function}")
    if function == "hearing":
        for number in range(200):
            simulation.settle()
            simulation.post(pid, "message", number)
    simulation.run(pid)
    assert simulation.outcome(pid).value == keyword("done")
