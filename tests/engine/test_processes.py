"""Processes from start to end over the memory store: what is logged, what the program gets, what the store keeps."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flowmetal.engine import events
from flowmetal.engine.simulate import BEGIN
from flowmetal.store.interface import Complete, Deliver, Request, Take
from flowmetal.store.limits import NEVER
from flowmetal.values import ErrorValue, Instant, LanguageError, Pid, Vector, decode_value, encode_value

from .kit import CAUGHT, CHAIN, ONCE, SECOND, World, k, kinds, m, seconds


def failing(*outcomes: Any) -> Any:
    """An answer that goes through `outcomes`, errors being raised; the last one stays."""
    left = list(outcomes)

    def answer(payload: Any) -> Any:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, ErrorValue):
            raise LanguageError(outcome)
        return outcome

    return answer


BUSY = ErrorValue(k("http/status"), "503", m(status=503))


def test_a_chain_of_steps() -> None:
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number * 2})
    pid = world.begin(3)
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", 4)
    assert kinds(ran) == ["start", "request", "answer", "request", "answer", "request", "answer", "done"]
    assert [event.number for event in ran.log if isinstance(event, events.Requested)] == [1, 2, 3]


def test_nothing_is_left_of_an_ended_process() -> None:
    world = World(CHAIN, [k("double"), None], answers={"double": lambda number: number})
    pid = world.begin(2)
    world.run(pid)
    assert world.store.open_requests(pid) == []
    assert world.store.inbox(pid) == []
    assert world.store.next_due() is None


def test_the_record_says_what_is_waited_for() -> None:
    world = World(ONCE, [k("billing/charge"), 5, None])
    pid = world.begin()
    world.run(pid)
    record = world.store.process(pid)
    assert record is not None
    assert (record.status, record.waits) == ("waiting", "billing/charge #1")


@pytest.mark.parametrize(
    ("effect", "payload", "check"),
    [
        ("now", None, lambda value: value == Instant(BEGIN)),
        ("random", None, lambda value: 0 <= value < 1),
        ("random", 10, lambda value: value in range(10)),
        ("uuid", None, lambda value: value.__class__ is uuid.UUID and value.version == 4),
        ("log", "hello", lambda value: value is None),
        ("progress", 5, lambda value: value is None),
        ("self", None, lambda value: value == Pid(1)),
    ],
)
def test_local_effects_are_answered_in_the_turn(effect: str, payload: Any, check: Any) -> None:
    world = World(ONCE, [k(effect), payload, None])
    pid = world.begin()
    world.settle()
    ran = world.outcome(pid)
    assert ran.status == "done"
    assert check(ran.value), ran.value
    assert kinds(ran) == ["start", "local", "done"]


@pytest.mark.parametrize(
    ("effect", "payload"),
    [("random", -1), ("random", "x"), ("annotate!", 5), ("http/callback-url", 7), ("sleep", 5), ("send", 1)],
)
def test_a_wrong_payload_is_an_error_at_the_call(effect: str, payload: Any) -> None:
    world = World(CAUGHT, [k(effect), payload, None])
    pid = world.begin()
    world.settle()
    ran = world.outcome(pid)
    assert ran.status == "done"
    assert ran.value.kind is k("argument")
    assert kinds(ran) == ["start", "answer-error", "done"]


def test_wrong_options_are_an_error_at_the_call() -> None:
    world = World(CAUGHT, [k("charge"), 1, m(timeout=5)])
    pid = world.begin()
    world.settle()
    assert world.outcome(pid).value.kind is k("argument")
    assert world.store.open_requests(pid) == []


def test_annotations_are_attributes_of_the_record() -> None:
    world = World(ONCE, [k("annotate!"), m(customer="c1", total=5), None])
    pid = world.begin()
    world.settle()
    record = world.store.process(pid)
    assert record is not None
    assert record.attributes == {"customer": "c1", "total": 5}


def test_sleep() -> None:
    world = World(ONCE, [k("sleep"), seconds(30), None])
    pid = world.begin()
    world.run(pid, until=BEGIN + 29 * SECOND)
    assert world.status(pid) == "waiting"
    record = world.store.process(pid)
    assert record is not None
    assert record.waits == "sleep #1, until 2026-01-01T00:00:30.000Z"
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", None)
    assert kinds(ran) == ["start", "request", "timer", "done"]
    assert world.clock.now == BEGIN + 30 * SECOND


def test_a_time_limit() -> None:
    world = World(CAUGHT, [k("charge"), 1, m(timeout=seconds(5))])
    pid = world.begin()
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.value.kind is k("timeout")
    assert kinds(ran) == ["start", "request", "timeout", "done"]
    assert world.store.queued(["charge"]) is False


def test_an_answer_in_time_stops_the_clock() -> None:
    world = World(CAUGHT, [k("charge"), 1, m(timeout=seconds(5))], answers={"charge": lambda payload: "ok"})
    pid = world.begin()
    world.run(pid)
    assert world.outcome(pid).value == "ok"
    assert world.store.next_due() is None


def test_retries_with_backoff() -> None:
    retry = m(retry=m(max=3, backoff=seconds(1), factor=2, jitter=0))
    world = World(ONCE, [k("charge"), 1, retry], answers={"charge": failing(BUSY, BUSY, "ok")})
    pid = world.begin()
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", "ok")
    assert kinds(ran) == ["start", "request", "attempt", "retry", "attempt", "retry", "answer", "done"]
    assert [event.delay for event in ran.log if isinstance(event, events.RetryPlanned)] == [SECOND, 2 * SECOND]
    assert world.clock.now == BEGIN + 3 * SECOND


def test_the_time_limit_holds_over_all_attempts() -> None:
    options = m(timeout=seconds(10), retry=m(max=100, backoff=seconds(4), factor=1, jitter=0))
    for crashes in (False, True):
        world = World(CAUGHT, [k("charge"), 1, options], answers={"charge": failing(BUSY)})
        pid = world.begin()
        world.run(pid, crash_each_step=crashes)
        ran = world.outcome(pid)
        assert ran.value.kind is k("timeout")
        assert world.clock.now == BEGIN + 10 * SECOND


def test_a_deadline_goes_with_the_request() -> None:
    until = Instant(BEGIN + 5 * SECOND)
    for options in (m(timeout=seconds(5)), m(deadline=until), m(timeout=seconds(9), deadline=until)):
        world = World(CAUGHT, [k("charge"), 1, options])
        pid = world.begin()
        world.settle()
        (request,) = world.store.open_requests(pid)
        assert decode_value(request.options).get(k("deadline")) == until
        world.run(pid)
        assert world.outcome(pid).value.kind is k("timeout")
        assert world.clock.now == until.ns


def test_an_answer_with_a_status_that_is_to_be_retried() -> None:
    retry = m(retry=m(max=3, backoff=seconds(1), on=Vector.of([503])))
    answers = {"charge": failing(m(status=503), m(status=200))}
    world = World(ONCE, [k("charge"), 1, retry], answers=answers)
    pid = world.begin()
    world.run(pid)
    assert world.outcome(pid).value == m(status=200)


def test_an_error_that_is_not_listed_is_thrown_at_once() -> None:
    retry = m(retry=m(on=k("http/timeout")))
    world = World(CAUGHT, [k("charge"), 1, retry], answers={"charge": failing(BUSY)})
    pid = world.begin()
    world.run(pid)
    assert world.outcome(pid).value.message == "503"


def test_used_up_retries_pause_and_a_person_resumes() -> None:
    retry = m(retry=m(max=1, backoff=seconds(1), jitter=0))
    world = World(ONCE, [k("charge"), 1, retry], answers={"charge": failing(BUSY, BUSY, BUSY, "ok")})
    pid = world.begin()
    world.run(pid)
    record = world.store.process(pid)
    assert record is not None
    assert (record.status, record.waits, record.error) == ("paused", "a person (flowvm resume 1)", ":http/status 503")
    assert [request.not_before for request in world.store.open_requests(pid)] == [NEVER]
    world.post(pid, "resume")
    world.run(pid)
    assert world.status(pid) == "paused"
    world.crash()
    world.post(pid, "retry", number=1)
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", "ok")
    record = world.store.process(pid)
    assert record is not None
    assert record.error == ""
    assert kinds(ran).count("paused") == 2


def test_used_up_retries_may_be_thrown() -> None:
    options = m(retry=m(max=1, backoff=seconds(1)), exhausted=k("throw"))
    world = World(CAUGHT, [k("charge"), 1, options], answers={"charge": failing(BUSY)})
    pid = world.begin()
    world.run(pid)
    assert world.outcome(pid).value.message == "503"


@pytest.mark.parametrize(
    ("options", "status", "kind"),
    [(None, "waiting", ""), (m(when_unknown=k("fail")), "done", "lost"), (m(when_unknown=k("ask")), "paused", "")],
)
def test_a_worker_that_vanishes(options: Any, status: str, kind: str) -> None:
    world = World(CAUGHT, [k("charge"), 1, options])
    pid = world.begin()
    world.settle()
    taken: list[Request] = world.store.submit([Take(("charge",), "w", 1, 1000)]).result()[0]
    world.run(pid, until=BEGIN + 5 * SECOND)
    assert world.status(pid) == status
    if kind:
        assert world.outcome(pid).value.kind is k(kind)
        return
    world.answers["charge"] = lambda payload: "ok"
    if status == "paused":
        world.post(pid, "resume")
    keys = [request.idempotency_key for request in world.store.open_requests(pid)]
    assert keys == [taken[0].idempotency_key]
    world.run(pid)
    assert world.outcome(pid).value == "ok"


def test_idempotency_keys() -> None:
    world = World(CHAIN, [k("charge"), None])
    first, second = world.begin(1), world.begin(1)
    world.settle()
    keys = [world.store.open_requests(pid)[0].idempotency_key for pid in (first, second)]
    assert keys == [f"{world.store.id}-{first}-1", f"{world.store.id}-{second}-1"]
    own = World(ONCE, [k("charge"), 1, m(idempotency_key="order-7")])
    pid = own.begin()
    own.settle()
    assert own.store.open_requests(pid)[0].idempotency_key == "order-7"


def test_an_uncaught_error_fails_the_process() -> None:
    world = World(ONCE, [k("charge"), 1, None], answers={"charge": failing(BUSY)})
    pid = world.begin()
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.status == "failed"
    assert ran.error is not None
    assert ran.error.message == "503"
    record = world.store.process(pid)
    assert record is not None
    assert record.error == ":http/status 503"


@pytest.mark.parametrize(("function", "arguments"), [("t/none", ()), ("t/main", (1, 2, 3)), ("other/main", ())])
def test_what_cannot_start_fails(function: str, arguments: tuple[int, ...]) -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin(*arguments, function=function)
    world.run(pid)
    assert world.outcome(pid).status == "failed"


def test_pause_and_resume() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    world.post(pid, "pause")
    world.settle()
    assert world.status(pid) == "paused"
    world.answers["charge"] = lambda payload: "ok"
    world.run(pid)
    assert world.status(pid) == "paused"
    assert len(world.store.inbox(pid)) == 1
    world.crash()
    world.settle()
    world.post(pid, "resume")
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", "ok")
    assert kinds(ran) == ["start", "request", "paused", "resumed", "answer", "done"]


FINALLY = """
.code "t/main"
.registers 6
.try finally from to cleanup r4
  constant r0 k0
  nil r1
from:
  perform r2 r0 r1 r1
to:
  nil r4
cleanup:
  constant r3 k1
  perform r5 r3 r1 r1
  end_finally r4
  return r2
"""


def test_cancelling_runs_finally_and_withdraws_the_request() -> None:
    world = World(FINALLY, [k("charge"), k("log")])
    pid = world.begin()
    world.settle()
    world.post(pid, "cancel", "not needed")
    world.run(pid)
    ran = world.outcome(pid)
    assert ran.status == "cancelled"
    assert kinds(ran) == ["start", "request", "cancel", "cancel-request", "local", "cancelled"]
    assert ran.error is not None
    assert ran.error.kind is k("flowmetal/cancelled")
    assert world.store.queued(["charge"]) is False


def test_cancelling_a_paused_process_ends_it() -> None:
    world = World(FINALLY, [k("charge"), k("log")])
    pid = world.begin()
    world.settle()
    world.post(pid, "pause")
    world.settle()
    world.post(pid, "cancel")
    world.settle()
    assert world.status(pid) == "cancelled"


def test_cancelling_before_the_first_turn() -> None:
    world = World(ONCE, [k("charge"), 1, None])
    pid = world.begin()
    world.post(pid, "cancel", "never mind")
    world.settle()
    assert world.status(pid) == "cancelled"


CALLBACK = """
.code "t/main"
.registers 6
  constant r0 k0
  nil r1
  request r2 r0 r1 r1
  constant r3 k1
  integer r4 1
  perform r4 r3 r4 r1
  constant r3 k2
  perform r4 r3 r4 r1
  await r5 r2
  return r5
"""


def test_a_callback_has_a_url_and_is_delivered_once() -> None:
    world = World(CALLBACK, [k("http/callback"), k("http/callback-url"), k("log")])
    pid = world.begin()
    world.settle()
    ran = world.outcome(pid)
    url = decode_value(next(event for event in ran.log if isinstance(event, events.LocalDone)).value)
    token = url.rpartition("/")[2]
    assert url.startswith("http://127.0.0.1:8080/callbacks/")
    assert len(token) == 32
    world.crash()
    deliveries = [world.store.submit([Deliver(token, encode_value("built"))]).result()[0] for _ in range(2)]
    assert deliveries == ["accepted", "duplicate"]
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", "built")


def test_messages_wait_for_a_receiver() -> None:
    text = """
.code "t/main"
.registers 6
  constant r0 k0
  nil r1
  perform r2 r0 r1 r1
  constant r3 k1
  perform r4 r3 r1 r1
  perform r5 r3 r1 r1
  vector r5 (r4 r5)
  return r5
"""
    world = World(text, [k("charge"), k("receive")])
    pid = world.begin()
    world.settle()
    world.post(pid, "message", "one")
    world.post(pid, "message", "two")
    world.settle()
    assert len(world.store.inbox(pid)) == 2
    world.answers["charge"] = lambda payload: "ok"
    world.run(pid)
    ran = world.outcome(pid)
    assert (ran.status, ran.value) == ("done", Vector.of(["one", "two"]))
    assert world.store.inbox(pid) == []


def test_late_answers_are_recorded_and_dropped() -> None:
    world = World(CAUGHT, [k("charge"), 1, m(timeout=seconds(5))])
    pid = world.begin()
    world.settle()
    request = world.store.submit([Take(("charge",), "w", 1, 60_000)]).result()[0][0]
    late = Complete(request.pid, request.number, request.attempt, True, encode_value("too late"))
    world.clock.advance(6 * SECOND)
    world.interpreter.look_now()
    world.settle()
    assert world.store.submit([late]).result() == [False]
    assert world.outcome(pid).value.kind is k("timeout")


def test_unreadable_answers_are_errors_of_the_program() -> None:
    world = World(CAUGHT, [k("charge"), 1, None])
    pid = world.begin()
    world.settle()
    request = world.store.submit([Take(("charge",), "w", 1, 60_000)]).result()[0][0]
    world.store.submit([Complete(pid, request.number, request.attempt, True, b"\xc1garbage")]).result()
    world.settle()
    ran = world.outcome(pid)
    assert ran.status == "done"
    assert ran.value.kind is k("flowmetal/unreadable")


def test_finally_blocks_of_a_cancelled_process_have_a_deadline() -> None:
    text = FINALLY.replace("perform r5 r3 r1 r1", "perform r5 r0 r1 r1")
    world = World(text, [k("charge"), k("log")])
    pid = world.begin()
    world.settle()
    world.post(pid, "cancel")
    world.settle()
    assert world.status(pid) == "waiting"
    world.run(pid)
    assert world.status(pid) == "cancelled"
    assert world.clock.now == BEGIN + 30 * SECOND
    assert world.store.next_due() is None
