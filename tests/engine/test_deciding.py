"""Retries that a function of the program decides on, more time for `finally`, and asking a person; killed at each step."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import AttemptFailed, RetryPlanned
from flowmetal.engine.simulate import Ran, Simulation
from flowmetal.values import Map, fail, keyword, print_string

SOURCE = """
(ns t (:require [time :as time]))

(defn busy? [e] (sleep 1m) (= :busy (error-kind e)))

(defn ask [options] (perform :flaky :x options))

(defn until-it-works [] (ask {:retry {:max 5 :jitter 0 :on busy?}}))
(defn as-a-promise [] (await (request :flaky :x {:retry {:max 5 :jitter 0 :on busy?}})))
(defn not-that-one [] (ask {:retry {:max 5 :on (fn [e] (= :other (error-kind e)))}}))
(defn used-up [] (ask {:retry {:max 1 :on busy? :exhausted :throw}}))
(defn pauses [] (ask {:retry {:max 1 :on busy?}}))
(defn builtin [] (ask {:retry {:max 5 :on error?}}))
(defn fails-itself [] (ask {:retry {:on (fn [e] (+ nil e))}}))
(defn too-late [] (try (ask {:timeout 30s :retry {:on busy?}}) (catch :timeout _ :late)))
(defn in-a-handler []
  (handle (ask {:retry {:max 5 :on busy?}})
    (:default [effect payload options resume] (resume (perform effect payload options)))))
(defn cancelled []
  (let [p (async (ask {:retry {:on (fn [_] (sleep 1h))}}))]
    (sleep 1m)
    (cancel! p)
    (try (await p) (catch :flowmetal/cancelled _ :cancelled))))
(defn withdrawn []
  (let [p (async (perform :never 1 {:retry {:on busy?}}))]
    (sleep 1m)
    (cancel! p)
    (sleep 1h)))
(defn at-once []
  (all (async (ask {:retry {:max 9 :on busy?}})) (async (ask {:retry {:max 9 :on (fn [_] true)}}))))

(defn cleans [time]
  (try (sleep 10d)
    (finally (with-cleanup-time time (sleep 1h) (log "clean")))))
(defn plainly []
  (try (sleep 10d) (finally (sleep 1h) (log "clean"))))

(defn person []
  (try
    [(ask-person (error :odd "what now?" {:n 1})) (perform :flaky :y)]
    (catch :busy e :failed)))
(defn no-error [] (ask-person "text"))
"""


def flaky(times: int) -> Any:
    """Answers with an error so many times, and then with how often it was asked."""
    calls = [0]

    def answer(payload: Any) -> Any:
        calls[0] += 1
        if calls[0] <= times:
            fail("busy", "not now")
        return calls[0]

    answer.calls = calls  # type: ignore[attr-defined]
    return answer


ARTIFACT = build_artifact({"t.fm": SOURCE}).data


def begin(function: str, times: int, *arguments: Any) -> tuple[Simulation, int, Any]:
    answer = flaky(times)
    world = Simulation({"flaky": answer}, seed=1)
    return world, world.start(world.deploy(ARTIFACT), f"t/{function}", arguments), answer


def attempts(ran: Ran) -> list[tuple[str, int]]:
    """What became of attempts: the failed ones, and the retries that were planned after them."""
    names = {AttemptFailed: "failed", RetryPlanned: "again"}
    return [(names[type(event)], event.attempt) for event in ran.log if isinstance(event, AttemptFailed | RetryPlanned)]


#: function, failures before it works, what comes of it, how often the world is asked, the attempts in the log.
DECIDED = [
    ("until-it-works", 2, "3", 3, "failed 1, again 1, failed 2, again 2"),
    ("as-a-promise", 2, "3", 3, "failed 1, again 1, failed 2, again 2"),
    ("until-it-works", 0, "1", 1, ""),
    ("not-that-one", 9, ":busy", 1, "failed 1"),
    ("used-up", 9, ":busy", 2, "failed 1, again 1, failed 2"),
    ("builtin", 1, "2", 2, "failed 1, again 1"),
    ("fails-itself", 9, ":type", 1, "failed 1"),
    ("too-late", 9, ":late", 1, "failed 1"),
    ("in-a-handler", 1, "2", 2, "failed 1, again 1"),
    ("cancelled", 9, ":cancelled", 1, "failed 1"),
    ("at-once", 4, "[5 6]", 6, None),
]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("function", "times", "result", "asked", "log"), DECIDED, ids=[row[0] for row in DECIDED])
def test_a_function_decides(function: str, times: int, result: str, asked: int, log: str | None, crash: bool) -> None:
    world, pid, answer = begin(function, times)
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    got = print_string(ran.error.kind) if ran.error is not None else print_string(ran.value)
    if function == "at-once":
        assert sorted(ran.value) in ([5, 6], [1, 6])
    else:
        assert (got, answer.calls[0]) == (result, asked)
    if log is not None:
        assert ", ".join(f"{name} {attempt}" for name, attempt in attempts(ran)) == log
    assert list(world.store.open_requests(pid)) == []


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancelled_one_is_withdrawn(crash: bool) -> None:
    world, pid, _ = begin("withdrawn", 0)
    world.run(until=world.clock.now + 90 * 10**9, crash_each_step=crash)
    assert [request.effect for request in world.store.open_requests(pid)] == ["sleep"]


@pytest.mark.parametrize("crash", [False, True])
def test_used_up_retries_pause_and_a_person_tries_again(crash: bool) -> None:
    world, pid, answer = begin("pauses", 2)
    world.run(crash_each_step=crash)
    assert world.outcome(pid).status == "paused"
    assert answer.calls[0] == 2
    world.post(pid, "retry")
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", 3)
    assert [attempt for name, attempt in attempts(ran) if name == "failed"] == [1, 2]


def test_the_key_stays_the_same_and_only_the_function_is_left_out() -> None:
    world, pid, _ = begin("until-it-works", 1)
    world.settle()
    [request] = [one for one in world.store.open_requests(pid) if one.effect == "flaky"]
    key = request.idempotency_key
    world.run(until=world.clock.now + 30 * 10**9)
    [again] = [one for one in world.store.open_requests(pid) if one.effect == "flaky"]
    assert (again.number, again.idempotency_key, again.attempt) == (request.number, key, 1)


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancelled_process_may_ask_for_more_time(crash: bool) -> None:
    from flowmetal.values import Duration

    for function, arguments, cleaned in (
        ("cleans", (Duration(7200 * 10**9),), True),
        ("cleans", (Duration(60 * 10**9),), False),
        ("plainly", (), False),
    ):
        world, pid, _ = begin(function, 0, *arguments)
        world.run(until=world.clock.now + 10**9)
        world.post(pid, "cancel")
        world.run(crash_each_step=crash)
        ran = world.outcome(pid)
        assert ran.status == "cancelled"
        assert any(getattr(event, "effect", "") == "log" for event in ran.log) is cleaned


@pytest.mark.parametrize("crash", [False, True])
def test_a_person_is_asked(crash: bool) -> None:
    world, pid, answer = begin("person", 0)
    world.run(crash_each_step=crash)
    record = world.store.process(pid)
    assert record is not None
    assert record.status == "paused"
    assert "what now?" in record.error
    assert answer.calls[0] == 0
    world.post(pid, "resume")
    world.run(crash_each_step=crash)
    assert print_string(world.outcome(pid).value) == "[:retry 1]"


def test_a_person_is_asked_about_an_error_only() -> None:
    world, pid, _ = begin("no-error", 0)
    world.run()
    error = world.outcome(pid).error
    assert error is not None
    assert error.kind is keyword("argument")


@pytest.mark.parametrize("payload", [1, Map.of([]), keyword("x")])
def test_what_is_no_decision_is_refused(payload: Any) -> None:
    source = "(ns u) (defn main [x] (perform :flowmetal/attempts x))"
    world = Simulation({}, seed=1)
    pid = world.start(world.deploy(build_artifact({"u.fm": source}).data), "u/main", [payload])
    world.run()
    error = world.outcome(pid).error
    assert error is not None
    assert error.kind is keyword("argument")
