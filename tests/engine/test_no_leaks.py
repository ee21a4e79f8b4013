"""Whatever a program does with fibers, scopes, timeouts and cancellation: when its scope is left, nothing of it is left.

Random programs; after each the process stands at a gate, and has one fiber, one request and no timer.  The same program
comes to the same value with the same log where the interpreter is killed after every commit.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import BEGIN, Simulation
from flowmetal.values import print_string

SECOND = 10**9
PROGRAMS = 8  # in one module, so that the library is linked once

PRELUDE = """
(ns t)
(defn quiet [thunk]
  (try (thunk)
    (catch :flowmetal/cancelled _ :cancelled)
    (catch _ e (error-kind e))))
(defn gate [value] (perform :gate nil) value)
"""


class Maker:
    """Makes expressions; every one ends, if only by what is around it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def time(self) -> str:
        return self.random.choice(("0s", "1s", "2s", "3s", "5s", "20s", "40s"))

    def some(self, depth: int, least: int = 1, most: int = 3) -> list[str]:
        return [self.make(depth - 1) for _ in range(self.random.randint(least, most))]

    def fibers(self, depth: int) -> str:
        return " ".join(f"(async {one})" for one in self.some(depth))

    def leaf(self) -> str:
        return self.random.choice((
            "1", ":x", f"(do (sleep {self.time()}) :slept)", "(perform :ask 1)", '(throw (error :boom "x"))',
            f"(perform :nobody nil {{:timeout {self.time()}}})", "(do (send (self) :a) :sent)",
            f"(receive :a :got (after {self.time()} :nothing))", f"(receive ?m ?m (after {self.time()} :nothing))",
            f"(let [p (promise)] (await p {{:timeout {self.time()} :else :none}}))", "(all [])", "(pmap inc [])",
            "(do (log 1) :logged)",
        ))  # fmt: skip

    def make(self, depth: int) -> str:
        if depth <= 0:
            return self.leaf()
        one = self.make(depth - 1)
        time = self.time()
        return self.random.choice((
            self.leaf,
            lambda: f"(do {' '.join(self.some(depth))})",
            lambda: f"(quiet (fn [] {one}))",
            lambda: f"(quiet (fn [] (scope {self.fibers(depth)} {one})))",
            lambda: f"(quiet (fn [] (all {self.fibers(depth)})))",
            lambda: f"(quiet (fn [] (any {self.fibers(depth)})))",
            lambda: f"(quiet (fn [] (race {self.fibers(depth)})))",
            lambda: f"(quiet (fn [] (race (request :nobody) (async {one}))))",
            lambda: f"(quiet (fn [] (pmap (fn [n] {one}) [1 2 3] {{:limit {self.random.randint(1, 3)}}})))",
            lambda: f"(quiet (fn [] (with-timeout {time} {one})))",
            lambda: f"(quiet (fn [] (with-timeout {time} (perform :nobody) {one})))",
            lambda: f"(quiet (fn [] (with-deadline (time-plus (now) {time}) {one})))",
            lambda: f"(let [p (async {one})] (sleep {time}) (cancel! p) (quiet (fn [] (await p))))",
            lambda: f"(let [p (async {one})] (cancel! p) (quiet (fn [] (await p))))",
            lambda: f"(let [p (async {one})] (quiet (fn [] (all p p (async {self.leaf()})))))",
            lambda: f"(quiet (fn [] (try {one} (finally {self.make(depth - 1)}))))",
            lambda: f"(shield {one})",
            lambda: (
                f"(quiet (fn [] (scope (select (await [v (async {one})] v) (receive :a :message) (after {time} :late)))))"
            ),
            lambda: (
                f"(quiet (fn [] (handle {one} (:nobody [_ resume] (do (sleep {time}) (resume :handled))) "
                f"(:ask [n resume] {self.random.choice(('(resume n)', ':given-up'))}))))"
            ),
        ))()  # fmt: skip


def module_of(seed: int) -> str:
    maker = Maker(seed)
    functions = [
        f"(defn main-{n} [] (gate (quiet (fn [] (scope {maker.make(maker.random.randint(2, 4))})))))"
        for n in range(PROGRAMS)
    ]
    return PRELUDE.replace("(ns t)", "(ns t (:require [time :refer [plus] :rename {plus time-plus}]))") + "\n".join(
        functions
    )


def world_of(artifact: bytes) -> tuple[Simulation, bytes]:
    world = Simulation({"ask": lambda n: n}, seed=1)
    return world, world.deploy(artifact)


def at_the_gate(world: Simulation, pid: int, source: str) -> None:
    """One fiber, which waits for the gate; nothing else is open, in the machine or in the store."""
    [request] = world.store.open_requests(pid)
    assert request.effect == "gate", source
    assert world.store.next_due() is None, source
    live = world.interpreter._hot.get(pid)
    if live is not None and live.process is not None:
        process = live.process
        assert list(process.fibers) == [1] and len(process.scopes) == 1, source
        assert list(process.request_waits) == [request.number] and not process.request_promises, source
        assert not process.waiters and not process.deadlines and not process.cleaning, source


def played(artifact: bytes, number: int, source: str, crash: bool) -> tuple[str, list[Any]]:
    world, hash = world_of(artifact)
    pid = world.start(hash, f"t/main-{number}")
    world.run(crash_each_step=crash)
    assert world.outcome(pid).status == "waiting", (source, world.outcome(pid))
    at_the_gate(world, pid, source)
    world.answers["gate"] = lambda _: None
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert ran.status == "done", (source, ran)
    return print_string(ran.value), list(ran.log)


def check(seed: int) -> None:
    source = module_of(seed)
    artifact = build_artifact({"t.fm": source}).data
    for number in range(PROGRAMS):
        line = source.splitlines()[-PROGRAMS + number]
        plain = played(artifact, number, line, False)
        assert played(artifact, number, line, True) == plain, line
        cancelled(artifact, number, line, seed)


def cancelled(artifact: bytes, number: int, source: str, seed: int) -> None:
    """Cancelled from outside at some time: it ends, 30 s later at most, and nothing is left."""
    world, hash = world_of(artifact)
    pid = world.start(hash, f"t/main-{number}")
    world.run(until=BEGIN + random.Random(seed * PROGRAMS + number).randrange(30) * SECOND)
    world.post(pid, "cancel", None)
    before = world.clock()
    world.run()
    assert world.outcome(pid).status in ("cancelled", "done"), (source, world.outcome(pid))
    assert world.clock() - before <= 31 * SECOND
    assert not world.store.open_requests(pid) and world.store.next_due() is None


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_left(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_nothing_is_left_of_many(seed: int) -> None:
    check(seed)
