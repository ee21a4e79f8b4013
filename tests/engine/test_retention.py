"""Retention: a sweep removes what its policy says and nothing that a resume, a state at a step or a parent needs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowmetal.engine.artifacts import keep_library
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.library import standard_library
from flowmetal.engine.needed import Needed
from flowmetal.engine.retention import Policy, Report, Retention, Sweep
from flowmetal.engine.simulate import Simulation
from flowmetal.inspect import history, inspect_process
from flowmetal.store import open_store
from flowmetal.store.interface import PutArtifact, Start
from flowmetal.values import Pid, Vector, encode_value

HOUR = 3600 * 10**9

SOURCE = """
(ns shop)

(defn ask-outside [i] (perform :number i))

(defn quick [n] (log n) (* n n))

(defn slow [n] (dotimes [_ n] (sleep 1m)) n)

(defn bad [n] (throw (error :bad "no" {:n n})))

(defn parent [n]
  (let [child (spawn quick n)] (sleep 10h) child))

(defn long [n]
  (loop [i 0 sum 0 texts []]
    (if (< i n)
      (do (sleep 1m)
          (recur (inc i) (+ sum (ask-outside i)) (take 2 (cons (apply str (repeat 5000 (str i))) texts))))
      [sum (count texts)])))

"""


def world(**more: Any) -> tuple[Simulation, bytes]:
    simulation = Simulation({"number": lambda n: n}, seed=3, **more)
    return simulation, simulation.deploy(build_artifact({"shop.fm": SOURCE}).data)


def sweep(simulation: Simulation, policy: Policy, **more: Any) -> Report:
    return Sweep(simulation.store, Retention(policy), **more).run()


def pids(simulation: Simulation) -> list[int]:
    return [record.pid for record in simulation.store.processes(limit=1000)]


def test_by_age_and_by_count() -> None:
    simulation, hash = world()
    first = [simulation.start(hash, "shop/quick", [n]) for n in range(5)]
    failed = simulation.start(hash, "shop/bad", [1])
    simulation.run()
    simulation.clock.advance(2 * HOUR)
    later = [simulation.start(hash, "shop/quick", [n]) for n in range(5)]
    simulation.run()
    everything = [*first, failed, *later]
    assert sweep(simulation, Policy()).processes == 0 and pids(simulation) == everything
    found = sweep(simulation, Policy(older_than_ns=HOUR), dry_run=True)
    assert found.processes == 6 and found.by_program == {"shop": 6} and sorted(found.pids) == [*first, failed]
    assert pids(simulation) == everything  # it was only asked
    found = sweep(simulation, Policy(older_than_ns=HOUR, keep=8, keep_failed=True))
    assert found.pids == [2, 1]  # the oldest two of the ten that count
    found = sweep(simulation, Policy(older_than_ns=HOUR, keep_failed=True), program="other")
    assert found.processes == 0
    found = sweep(simulation, Policy(older_than_ns=HOUR, keep_failed=True))
    assert found.pids == [5, 4, 3] and pids(simulation) == [failed, *later]
    found = sweep(simulation, Policy(keep=2))
    assert pids(simulation) == later[-2:]
    assert simulation.store.stats()["processes"]["done"] == 2 and simulation.store.leftovers() == []


def test_the_newest_that_ended_stay_whenever_they_began() -> None:
    simulation, hash = world()
    store = simulation.store
    slow = [simulation.start(hash, "shop/slow", [n]) for n in (3, 1, 2)]
    quick = [simulation.start(hash, "shop/quick", [n]) for n in range(3)]
    simulation.run()
    ends = {record.pid: record.updated_at for record in store.processes(limit=100)}
    assert sorted(slow, key=lambda pid: ends[pid]) == [slow[1], slow[2], slow[0]]
    assert max(ends[pid] for pid in quick) < ends[slow[1]]
    sweep(simulation, Policy(keep=4))
    assert pids(simulation) == [*slow, quick[-1]]
    sweep(simulation, Policy(keep=2))
    assert pids(simulation) == [slow[0], slow[2]]
    sweep(simulation, Policy(keep=0))
    assert pids(simulation) == []


def test_a_child_stays_while_its_parent_lives() -> None:
    simulation, hash = world()
    parent = simulation.start(hash, "shop/parent", [3])
    simulation.run(until=simulation.clock() + HOUR)
    found = sweep(simulation, Policy(older_than_ns=0))
    assert found.processes == 0 and found.kept_children == 1
    simulation.run()
    assert simulation.outcome(parent).value == Pid(2)
    assert sweep(simulation, Policy(older_than_ns=0)).processes == 2 and pids(simulation) == []


def shortened(steps: int) -> tuple[Simulation, int, list[str]]:
    """A process after some steps, and what its states looked like before its log was shortened."""
    simulation, hash = world()
    pid = simulation.start(hash, "shop/long", [400])
    simulation.run(until=simulation.clock() + steps * HOUR // 60)
    record = simulation.store.process(pid)
    assert record is not None
    states = [str(inspect_process(simulation.store, pid, at)) for at in range(0, record.sequence, 23)]
    return simulation, pid, states


def test_states_after_a_shortened_log_are_what_they_were() -> None:
    simulation, pid, states = shortened(240)
    store = simulation.store
    oldest = store.checkpoints(pid)
    assert len(oldest) > 2
    texts = store.stats()["entries"]["texts"]
    found = sweep(simulation, Policy(log_keep=300))
    kept = store.kept_from(pid)
    record = store.process(pid)
    assert record is not None and kept in oldest and found.logs == 1 and found.log_entries == kept - 1
    assert record.sequence - kept >= 300 > record.sequence - oldest[oldest.index(kept) + 1]
    assert store.stats()["entries"]["texts"] < texts
    assert [line.sequence for line in history(store, pid)] == [0, *range(kept, record.sequence)]
    for index, state in enumerate(states):
        at = index * 23
        if at == 0 or at >= kept:
            assert str(inspect_process(store, pid, at)) == state
        else:
            seen = inspect_process(store, pid, at)
            assert seen is not None and "removed" in seen.problem and not seen.fibers
    # It goes on as if nothing had happened, from memory and from the store.
    simulation.crash()
    simulation.run(pid)
    assert simulation.outcome(pid).value.get(0) == sum(range(400))


def test_old_log_goes_by_age() -> None:
    simulation, hash = world()
    pid = simulation.start(hash, "shop/long", [400])
    simulation.run(until=simulation.clock() + 3 * HOUR)
    sweep(simulation, Policy(log_older_than_ns=HOUR))
    kept = simulation.store.kept_from(pid)
    (before,) = (line for line in history(simulation.store, pid, kept, 1))
    assert kept and before.time <= simulation.clock() - HOUR + 120 * 10**9
    after = [one for one in simulation.store.checkpoints(pid) if one > kept]
    (first,) = history(simulation.store, pid, after[0] - 1, 1)
    assert first.time > simulation.clock() - HOUR


class Killed(Exception):
    pass


def test_killed_anywhere_and_begun_again() -> None:
    """After each piece in turn the sweep ends without a word; the next one finishes, and the process never notices."""
    cut = 0
    while True:
        simulation, hash = world()
        done = [simulation.start(hash, "shop/quick", [n]) for n in range(3)]
        pid = simulation.start(hash, "shop/long", [150])
        simulation.run(until=simulation.clock() + 2 * HOUR)
        left = cut

        def rest(seconds: float) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        policy = Policy(older_than_ns=0, log_keep=50)
        try:
            sweep(simulation, policy, rest=rest)
            through = True
        except Killed:
            through = False
        simulation.crash()
        simulation.settle()
        state = inspect_process(simulation.store, pid)
        assert state is not None and not state.problem
        sweep(simulation, policy)
        assert pids(simulation) == [pid] and not simulation.store.leftovers()
        assert simulation.store.unreferenced_texts(pid)[1] == []
        assert simulation.store.stats()["entries"]["results"] == 0 == len(simulation.store.log(done[0]))
        simulation.run(pid)
        assert simulation.outcome(pid).value.get(0) == sum(range(150))
        if through:
            break
        cut += 1
    assert cut > 5


def test_two_sweeps_beside_a_running_interpreter(tmp_path: Any) -> None:
    store = open_store(tmp_path / "store")
    simulation_free = build_artifact({"shop.fm": SOURCE}).data
    from flowmetal.client import connect

    retention = Retention(Policy(older_than_ns=0), every_seconds=0.01)
    with connect(store) as client:
        client.deploy("shop", simulation_free)
        running = Interpreter(store, Config(retention=retention))
        running.start()
        errors: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(20):
                    Sweep(store, Retention(Policy(older_than_ns=0))).run()
            except BaseException as error:
                errors.append(error)

        sweepers = [threading.Thread(target=work) for _ in range(2)]
        for thread in sweepers:
            thread.start()
        numbers = [client.start("shop/quick", n) for n in range(60)]
        for thread in sweepers:
            thread.join()
        waiting = threading.Event()
        while store.processes(limit=1) or store.leftovers():
            waiting.wait(0.01)
        running.stop()
        assert not errors and store.last_pid() == numbers[-1]
    store.close()


def test_programs_have_policies_of_their_own() -> None:
    simulation, hash = world()
    shop = simulation.start(hash, "shop/quick", [1])
    other = simulation.store.submit([Start("shop/quick", encode_value(Vector.of([2])), hash, "other")]).result()[0][0]
    simulation.run()
    retention = Retention(Policy(), {"other": Policy(keep=0)})
    assert retention.does_something
    assert Sweep(simulation.store, retention).run().pids == [other] and pids(simulation) == [shop]


def test_what_artifacts_need_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation, hash = world()
    simulation.start(hash, "shop/quick", [1])
    simulation.run()
    store = simulation.store
    keep_library(store)
    stored, needed, read = store.artifacts(), Needed(store), [0]
    artifact = store.artifact

    def counted(hash: bytes) -> bytes | None:
        data = artifact(hash)
        read[0] += len(data or b"")
        return data

    monkeypatch.setattr(store, "artifact", counted)
    first = needed.libraries([hash], stored)
    assert first == set(stored) - {hash} and standard_library().hash in first
    assert read[0] > len(standard_library().data)
    read[0] = 0
    assert needed.libraries([hash], stored) == first
    assert 0 < read[0] < 100 * len(stored)  # pointers alone
    assert Sweep(store, Retention(Policy()), needed=needed).run().unneeded == 0
    store.submit([PutArtifact(b"x" * 32, b"y")]).result()
    assert Sweep(store, Retention(Policy()), needed=needed).run().unneeded == 1
