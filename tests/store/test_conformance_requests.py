"""Requests, timers and callbacks, over every engine."""

from __future__ import annotations

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import Complete, Deliver, Extend, Fire, Take
from tests.store.support import SECOND, Rig, request, timer

# ---- requests ----------------------------------------------------------------------------------------------------


def test_taking_and_completing(rig: Rig) -> None:
    pid = rig.start()
    assert not rig.store.queued(["http/request"])
    rig.turn(pid, requests=(request(pid, 1), request(pid, 2, "notify/send"), request(pid, 3)))
    assert rig.store.queued(["x", "http/request"]) and not rig.store.queued(["http/reques", "http"])
    taken = rig.one(Take(("notify/send", "http/request"), "worker", 2, 5000))
    assert [(found.number, found.attempt, found.state, found.worker) for found in taken] == [
        (1, 1, "taken", "worker"),
        (2, 1, "taken", "worker"),
    ]
    assert taken[0].lease_until == rig.clock() + 5 * SECOND == rig.store.next_due()
    assert (taken[0].payload, taken[0].options, taken[0].idempotency_key) == (b"payload", b"options", f"key-{pid}-1")
    assert rig.store.open_requests(pid)[0] == taken[0]
    assert rig.do(Complete(pid, 1, 1, True, b"yes"), Complete(pid, 1, 1, True, b"again")) == [True, False]
    assert rig.one(Complete(pid, 2, 2, True, b"of another attempt")) is False
    assert rig.one(Complete(pid, 2, 1, False, b"no")) is True
    assert rig.one(Complete(pid, 3, 0, True, b"never taken")) is False
    assert [(e.kind, e.number, e.attempt, e.data) for e in rig.store.inbox(pid)] == [
        ("answer", 1, 1, b"yes"),
        ("error", 2, 1, b"no"),
    ]
    assert rig.ready() == [pid] and rig.store.next_due() is None
    assert [found.state for found in rig.store.open_requests(pid)] == ["answered", "answered", "queued"]
    rig.turn(pid, closed=(1, 2))
    assert [found.number for found in rig.store.open_requests(pid)] == [3]
    assert rig.one(Complete(pid, 1, 1, True, b"")) is False
    rig.turn(pid, closed=(3,))
    assert not rig.store.queued(["http/request"])
    assert rig.one(Take(("http/request",), "w", 10, 1000)) == []


def test_leases(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1),))
    rig.one(Take(("http/request",), "w", 1, 2000))
    assert rig.one(Extend(pid, 1, 1, 4000)) is True
    assert rig.one(Extend(pid, 1, 2, 4000)) is False
    assert rig.one(Extend(pid, 9, 1, 4000)) is False
    rig.clock.forward(3.999)
    assert rig.one(Fire()) == 0
    rig.clock.forward(0.001)
    assert rig.one(Fire()) == 1
    assert [(e.kind, e.number, e.attempt) for e in rig.store.inbox(pid)] == [("lost", 1, 1)]
    assert rig.store.open_requests(pid)[0].state == "lost"
    assert rig.one(Complete(pid, 1, 1, True, b"late")) is False
    assert rig.one(Extend(pid, 1, 1, 1000)) is False
    assert not rig.store.queued(["http/request"])
    rig.turn(pid, requests=(request(pid, 1),))  # put back: attempts go on counting
    taken = rig.one(Take(("http/request",), "w2", 1, 1000))
    assert (taken[0].attempt, taken[0].worker) == (2, "w2")
    assert rig.one(Complete(pid, 1, 1, True, b"of the first attempt")) is False
    assert rig.one(Complete(pid, 1, 2, True, b"second")) is True
    assert rig.store.next_due() is None


def test_requests_that_wait_for_their_time(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1, not_before=rig.clock() + 5 * SECOND),))
    assert not rig.store.queued(["http/request"])
    assert rig.store.open_requests(pid)[0].state == "held"
    assert rig.store.next_due() == rig.clock() + 5 * SECOND
    rig.clock.forward(5)
    assert rig.one(Fire()) == 1
    assert rig.store.queued(["http/request"]) and rig.store.inbox(pid) == []
    assert rig.one(Take(("http/request",), "w", 1, 1000))[0].attempt == 1
    rig.turn(pid, requests=(request(pid, 1, state="held"),))  # put aside, for a person: its lease is gone
    assert rig.store.next_due() is None and not rig.store.queued(["http/request"])
    rig.turn(pid, timers=(timer(rig.clock, 1, 1, "retry"),))
    rig.clock.forward(1)
    assert rig.one(Fire()) == 1
    assert rig.one(Take(("http/request",), "w", 1, 1000))[0].attempt == 2


def test_requests_outside_of_queues(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1, "sleep", queued=False),))
    assert rig.one(Take(("sleep",), "w", 1, 1000)) == []
    assert rig.one(Complete(pid, 1, 0, True, b"in process")) is True
    assert rig.one(Complete(pid, 1, 0, True, b"again")) is False
    assert rig.kinds(pid) == ["answer"]


# ---- timers ------------------------------------------------------------------------------------------------------


def test_timers_fire_in_order_and_never_early(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, timers=(timer(rig.clock, 2, 2), timer(rig.clock, 1, 1, "sleep"), timer(rig.clock, 3, 3, "deadline")))
    assert rig.store.next_due() == rig.clock() + SECOND
    rig.clock.forward(0.999999999)
    assert rig.one(Fire()) == 0
    rig.clock.forward(5)
    assert [rig.one(Fire(2)), rig.one(Fire(2)), rig.one(Fire(2))] == [2, 1, 0]
    assert [(e.kind, e.number, e.data) for e in rig.store.inbox(pid)] == [
        ("timer", 1, b"sleep"),
        ("timer", 2, b"timeout"),
        ("timer", 3, b"deadline"),
    ]
    assert rig.store.next_due() is None and rig.ready() == [pid]


def test_timers_are_replaced_and_closed(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, timers=(timer(rig.clock, 1, 1), timer(rig.clock, 1, 2)))
    rig.turn(pid, timers=(timer(rig.clock, 5, 1),), closed=(2,))
    rig.clock.forward(2)
    assert rig.one(Fire()) == 0
    rig.clock.forward(3)
    assert rig.one(Fire()) == 1
    assert [e.number for e in rig.store.inbox(pid)] == [1]


def test_of_an_answer_and_a_timeout_the_first_wins(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1), request(pid, 2)), timers=(timer(rig.clock, 1, 1), timer(rig.clock, 1, 2)))
    rig.one(Take(("http/request",), "w", 2, 60_000))
    assert rig.one(Complete(pid, 1, 1, True, b"in time"))
    rig.clock.forward(1)
    assert rig.one(Fire()) == 2
    assert not rig.one(Complete(pid, 2, 1, True, b"late"))
    assert [(e.kind, e.number) for e in rig.store.inbox(pid)] == [("answer", 1), ("timer", 2)]
    assert rig.store.next_due() is None  # the lease of the one that timed out is gone too


# ---- callbacks ---------------------------------------------------------------------------------------------------


def test_callback_tokens(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1, "callback", queued=False),), tokens=(("t1", 1), ("t2", 1)))
    assert rig.one(Deliver("nope", b"")) == "unknown"
    assert [rig.store.token(name) for name in ("t1", "nope", "", "x" * 999)] == ["open", None, None, None]
    assert rig.do(Deliver("t1", b"first"), Deliver("t1", b"again"), Deliver("t2", b"other")) == [
        "accepted",
        "duplicate",
        "duplicate",
    ]
    assert [(e.kind, e.number, e.data) for e in rig.store.inbox(pid)] == [("answer", 1, b"first")]
    rig.turn(pid, closed=(1,))
    rig.clock.forward(71 * 3600)
    rig.one(Fire())
    assert rig.one(Deliver("t1", b"")) == "duplicate"
    assert rig.store.token("t1") == "over"
    assert rig.store.next_due() is None  # nothing that an interpreter should wake for
    rig.clock.forward(3600)
    rig.one(Fire())
    assert rig.one(Deliver("t1", b"")) == "unknown"
    assert rig.store.stats()["entries"]["tokens"] == rig.store.stats()["entries"]["forget"] == 0


def test_a_delivery_after_the_timeout_is_late(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(
        pid,
        requests=(request(pid, 1, "callback", queued=False),),
        timers=(timer(rig.clock, 1, 1),),
        tokens=(("token", 1),),
    )
    rig.clock.forward(1)
    rig.one(Fire())
    assert rig.one(Deliver("token", b"late")) == "duplicate"
    assert rig.kinds(pid) == ["timer"]


def test_a_token_that_is_there_already_is_refused(rig: Rig) -> None:
    pid, other = rig.start(), rig.start()
    rig.turn(pid, requests=(request(pid, 1, "callback", queued=False),), tokens=(("token", 1),))
    with pytest.raises(StoreError):
        rig.turn(other, requests=(request(other, 1, "callback", queued=False),), tokens=(("token", 1),))
    assert rig.store.open_requests(other) == [] and rig.kinds(other) == ["start"]
    assert rig.turn(pid, requests=(request(pid, 1, "callback", queued=False),), tokens=(("token", 1),))


# ---- many and large ones -----------------------------------------------------------------------------------------


def test_many_and_large_requests_are_like_few_and_small_ones(rig: Rig) -> None:
    pid = rig.start()
    opened = [request(pid, number, "w") for number in range(1, 9)]
    opened[1].payload = b"large" * 500
    assert rig.turn(pid, requests=tuple(opened), timers=tuple(timer(rig.clock, 50, n) for n in range(1, 13)))
    assert rig.store.open_requests(pid) == opened
    taken = rig.one(Take(("w",), "worker", 8, 1000))
    assert [one.number for one in taken] == list(range(1, 9))
    assert rig.do(*(Complete(pid, number, 1, True, b"v") for number in (2, 8))) == [True, True]
    assert [one.state for one in rig.store.open_requests(pid)] == ["taken", "answered"] + ["taken"] * 5 + ["answered"]
    assert rig.turn(pid, closed=(1, 2, 7))
    assert [one.number for one in rig.store.open_requests(pid)] == [3, 4, 5, 6, 8]
    assert rig.turn(pid, requests=(request(pid, 3, "w"), request(pid, 9, "w"), request(pid, 10, "w")))
    assert [one.number for one in rig.store.open_requests(pid)] == [3, 4, 5, 6, 8, 9, 10]
    assert rig.store.open_requests(pid)[0].attempt == 1  # it was put back, and goes on counting
    rig.clock.forward(50)
    # The leases of 4, 5 and 6, and the timers of all but 1, 2 and 7, which are over, and 3, which was put back.
    assert rig.one(Fire()) == 3 + 8
    assert rig.turn(pid, "done", result=b"")
    assert rig.store.open_requests(pid) == [] and rig.store.next_due() is None


def test_calls_are_listed_while_there_are_some(rig: Rig) -> None:
    pids = [rig.start() for _ in range(5)]
    for pid in pids:
        held = request(pid, 1, "f", state="held", queued=False, called=pid != pids[1])
        assert rig.turn(pid, requests=(held,))
    assert rig.store.open_requests(pids[0])[0].called and not rig.store.open_requests(pids[1])[0].called
    assert rig.store.calls() == [pids[0], *pids[2:]]
    assert rig.store.calls(pids[2]) == pids[3:] and rig.store.calls(pids[0], 1) == [pids[2]]
    large = request(pids[0], 2, "f", state="held", queued=False, called=True)
    large.payload = b"x" * 5000
    assert rig.turn(pids[0], requests=(large,), closed=(1,))  # one gone, one come
    assert rig.turn(pids[2], closed=(1,))
    assert rig.turn(pids[3], "done", result=b"")
    assert rig.store.calls() == [pids[0], pids[4]]
    assert rig.turn(pids[0], closed=(2,))
    assert rig.store.calls() == [pids[4]]
    assert rig.store.calls(1 << 70) == []


def test_usual_and_unusual_keys(rig: Rig) -> None:
    """The usual idempotency key and that of a callback are not stored; that is not seen."""
    pid = rig.start()
    opened = [
        request(pid, 1, "a", state="held", queued=False),
        request(pid, 2, "a", state="held", queued=False),
        request(pid, 3, "a", state="held", queued=False),
    ]
    opened[0].idempotency_key = f"{rig.store.id}-{pid}-1"
    opened[1].idempotency_key = "token2"
    opened[2].idempotency_key = f"{rig.store.id}-{pid}-1"
    assert rig.turn(pid, requests=tuple(opened), tokens=(("token2", 2), ("token3", 3)))
    assert rig.store.open_requests(pid) == opened
