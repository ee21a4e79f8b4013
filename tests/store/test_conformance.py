"""What every engine does: each test runs over memory, over LMDB, and over LMDB that another process owns."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import (
    Complete,
    Deliver,
    Extend,
    Fire,
    Join,
    Leave,
    Post,
    PutArtifact,
    Start,
    Take,
    Timer,
    Turn,
)
from tests.store.support import HASH, SECOND, Rig, eventually, request, timer, watched


def code_of(rig: Rig, *commands: Any) -> str:
    with pytest.raises(StoreError) as caught:
        rig.do(*commands)
    assert str(caught.value)
    return caught.value.code


# ---- artifacts and start -----------------------------------------------------------------------------------------


def test_artifacts_and_deploying(rig: Rig) -> None:
    assert rig.do(PutArtifact(HASH, b"code"), PutArtifact(b"2" * 32, b"more", "deploy")) == [None, None]
    assert rig.store.artifact(HASH) == b"code"
    assert rig.store.artifact(b"none") is None
    rig.do(PutArtifact(HASH, b"other bytes of the same hash are not taken", "other"))
    assert rig.store.artifact(HASH) == b"code"
    assert rig.store.deployed() == {"deploy": b"2" * 32, "other": HASH}
    assert rig.store.deployed("other") == {"other": HASH}
    assert rig.store.deployed("none") == {}


def test_start(rig: Rig) -> None:
    rig.deploy()
    assert rig.one(Start("deploy/main", b"args", name="deploy", attributes={"a": 1, "b": ["x"]})) == (1, True)
    record = rig.store.process(1)
    assert record is not None
    assert (record.artifact, record.function, record.status, record.sequence) == (HASH, "deploy/main", "ready", 0)
    assert (record.created_at, record.attributes, record.parent) == (rig.clock(), {"a": 1, "b": ["x"]}, None)
    assert [(event.kind, event.data) for event in rig.store.inbox(1)] == [("start", b"args")]
    assert rig.ready() == [1]
    assert rig.one(Start("other/main", b"", artifact=HASH)) == (2, True)
    assert rig.store.process(3) is None


def test_start_with_an_id_is_safe_to_repeat(rig: Rig) -> None:
    rig.deploy()
    first = Start("deploy/main", b"args", name="deploy", id="job 1")
    assert rig.do(first, first) == [(1, True), (1, False)]
    rig.deploy(hash=b"2" * 32)  # a new version of the program: still the same start
    assert rig.one(first) == (1, False)
    found = rig.store.process_by_id("job 1")
    assert found is not None and found.pid == 1
    assert rig.store.process_by_id("job 2") is None
    for other in (
        Start("deploy/other", b"args", name="deploy", id="job 1"),
        Start("deploy/main", b"others", name="deploy", id="job 1"),
        Start("deploy/main", b"args", artifact=HASH, name="else", id="job 1"),
        Start("deploy/main", b"args", artifact=b"2" * 32, id="job 1"),
    ):
        assert code_of(rig, other) == "S201"
    assert rig.store.processes() == [rig.store.process(1)]


def test_start_of_what_is_not_there(rig: Rig) -> None:
    assert code_of(rig, Start("f", b"", name="none")) == "S202"
    assert code_of(rig, Start("f", b"", artifact=HASH)) == "S203"
    assert code_of(rig, Start("f", b"")) == "S206"


@pytest.mark.parametrize("name", ["", "\x00", "a\nb", "x" * 201, "é" * 101, "\ud800", 7, b"bytes"])
def test_odd_names_are_refused(rig: Rig, name: Any) -> None:
    rig.deploy()
    assert code_of(rig, Start("f", b"", name="deploy", id=name)) in ("S204", "S206")
    assert code_of(rig, Join(name, 1000)) in ("S204", "S206")
    assert code_of(rig, PutArtifact(HASH, b"", name)) in ("S204", "S206")
    assert code_of(rig, Take((name,), "w", 1, 1000)) in ("S204", "S206")
    if isinstance(name, str) and name != "\ud800":
        assert rig.one(Deliver(name, b"")) == "unknown"
        assert rig.store.process_by_id(name) is None
        assert not rig.store.queued([name])
    assert rig.store.processes() == []


def test_bad_commands_are_refused(rig: Rig) -> None:
    pid = rig.start()
    base = {"pid": pid, "epoch": 1, "base_sequence": 0, "status": "waiting", "entries": (), "next_sequence": 1}
    for bad in (
        Post(pid, "nonsense"),
        Post(pid, "message", number=-1),
        Take(("a",), "w", 1, 0),
        Join("x", 10**12),
        Turn(**{**base, "status": "sleeping"}),
        Turn(**{**base, "next_sequence": -1}),
        Turn(**{**base, "entries": ((1, 0, b"", b""),)}),
        Turn(**{**base, "entries": ((-1, 0, b"", b""),)}),
        Turn(**{**base, "next_sequence": 3, "entries": ((1, 0, b"", b""), (0, 0, b"", b""))}),
        Turn(**base, timers=(Timer(1, 1, "nonsense"),)),
        Turn(**base, requests=(request(pid + 1, 1),)),
        Turn(**base, requests=(request(pid, 1, state="taken"),)),
        Turn(**base, tokens=(("token", 9),)),
        Start("f", b"", artifact=HASH, attributes={"a": object()}),
        "no command",
    ):
        assert code_of(rig, bad) == "S206", bad
    assert code_of(rig, Start("f", b"", artifact=HASH, attributes={"a": "x" * 70_000})) == "S205"
    assert rig.kinds(pid) == ["start"]
    assert rig.turn(pid)


def test_a_list_is_one_transaction(rig: Rig) -> None:
    pid = rig.start(id="taken")
    before = rig.store.stats()["entries"]
    futures = [
        rig.store.submit([Post(pid, "message", b"1")]),
        rig.store.submit([Post(pid, "message", b"lost"), Start("f", b"", artifact=HASH), Start("x", b"", id="taken")]),
        rig.store.submit([Post(pid, "message", b"2")]),
    ]
    assert [type(future.exception(60)) for future in futures] == [type(None), StoreError, type(None)]
    assert [event.data for event in rig.store.inbox(pid)] == [b"args", b"1", b"2"]
    entries = rig.store.stats()["entries"]
    assert {**entries, "clients": 0} == {**before, "inbox": before["inbox"] + 2, "clients": 0}
    assert rig.store.stats()["processes"]["ready"] == 1
    assert rig.one(Start("f", b"", artifact=HASH)) == (pid + 1, True)
    assert rig.do() == []


# ---- turns -------------------------------------------------------------------------------------------------------


def test_a_turn(rig: Rig) -> None:
    pid = rig.start()
    rig.one(Post(pid, "message", b"hello"))
    events = rig.store.inbox(pid)
    assert events[0].key < events[1].key
    rig.clock.forward(1)
    assert rig.turn(
        pid,
        entries=((0, 0, b"e0", b"s0"), (0, 1, b"", b"cut"), (1, 0, b"e1", b"")),
        next_sequence=2,
        taken=(events[0].key,),
        waits="a message",
        attributes={"step": "one"},
    )
    record = rig.store.process(pid)
    assert record is not None
    assert (record.sequence, record.waits, record.status) == (2, "a message", "ready")
    assert record.attributes == {"step": "one"}
    assert record.updated_at - record.created_at == SECOND
    assert rig.store.inbox(pid) == events[1:]
    log = [(entry.sequence, entry.part, entry.event, entry.segment) for entry in rig.store.log(pid)]
    assert log == [(0, 0, b"e0", b"s0"), (0, 1, b"", b"cut"), (1, 0, b"e1", b"")]
    assert [entry.sequence for entry in rig.store.log(pid, 1)] == [1]
    assert [entry.part for entry in rig.store.log(pid, 0, 1)] == [0, 1]  # never cut within a sequence
    assert rig.ready() == [pid]  # a message is left
    assert rig.turn(pid, attributes={})
    record = rig.store.process(pid)
    assert record is not None and (record.status, record.attributes) == ("waiting", {})
    assert rig.ready() == []


def test_a_turn_adds_parts_to_the_entry_before(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, "ready")
    for part in (1, 2):
        assert rig.turn(pid, "ready", entries=((0, part, b"", b"cut%d" % part),), next_sequence=1)
    assert rig.turn(pid, entries=((0, 3, b"", b"cut3"), (1, 0, b"e1", b"")))
    log = [(entry.sequence, entry.part, entry.segment) for entry in rig.store.log(pid)]
    assert log == [(0, 0, b"segment0"), (0, 1, b"cut1"), (0, 2, b"cut2"), (0, 3, b"cut3"), (1, 0, b"")]
    record = rig.store.process(pid)
    assert record is not None and record.sequence == 2
    with pytest.raises(StoreError):
        rig.turn(pid, entries=((0, 4, b"", b""),))


def test_a_turn_that_is_not_done(rig: Rig) -> None:
    pid = rig.start()
    assert rig.turn(pid, "ready")
    assert rig.ready() == [pid] and rig.store.inbox(pid) == []
    assert rig.turn(pid, "waiting")
    assert rig.ready() == []


def test_stale_turns_write_nothing(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid)
    rig.one(Post(pid, "message", b"x"))
    before = (rig.store.process(pid), rig.store.inbox(pid), rig.store.log(pid), rig.store.stats()["entries"])
    assert not rig.turn(pid, epoch=rig.epoch(pid) + 1, requests=(request(pid, 1),), result=b"r")
    assert not rig.turn(pid, epoch=rig.epoch(pid) - 1)
    assert not rig.turn(pid, base_sequence=0, next_sequence=1, posts=(Post(pid, "message", b"y"),))
    assert not rig.turn(pid, base_sequence=2, next_sequence=3)
    assert not rig.one(Turn(999, 1, 0, "waiting", (), 1))
    assert (rig.store.process(pid), rig.store.inbox(pid), rig.store.log(pid)) == before[:3]
    entries = rig.store.stats()["entries"]
    assert {**entries, "clients": 0} == {**before[3], "clients": 0}


def test_posts_and_children(rig: Rig) -> None:
    pid, other = rig.start(), rig.start()
    rig.turn(other)
    assert rig.turn(
        pid,
        posts=(Post(other, "message", b"hi"), Post(pid, "message", b"self"), Post(999, "message", b"")),
        starts=(Start("deploy/child", b"c", name="deploy", id="kid"),),
    )
    assert rig.kinds(other) == ["message"]
    assert [event.data for event in rig.store.inbox(pid)] == [b"self"]
    child = rig.store.process_by_id("kid")
    assert child is not None and (child.parent, child.status) == (pid, "ready")
    assert rig.ready() == [child.pid, other, pid]


def test_checkpoints(rig: Rig) -> None:
    pid = rig.start()
    assert rig.store.checkpoint(pid) is None
    for base in range(4):
        rig.turn(pid, "ready", checkpoint=b"image%d" % (base + 1) if base % 2 else None)
    assert rig.store.checkpoint(pid) == (4, b"image4")
    assert rig.store.checkpoint(pid, 4) == (4, b"image4")
    assert rig.store.checkpoint(pid, 3) == (2, b"image2")
    assert rig.store.checkpoint(pid, 1) is None
    record = rig.store.process(pid)
    assert record is not None and record.checkpoint == 4
    assert rig.store.checkpoint(pid + 1) is None


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_the_end_of_a_process(rig: Rig, status: str) -> None:
    pid = rig.start(id="x")
    neighbour = rig.start()
    rig.turn(neighbour, requests=(request(neighbour, 1),), timers=(timer(rig.clock, 9, 1),))
    rig.turn(
        pid,
        requests=(request(pid, 1), request(pid, 2), request(pid, 3, "callback", queued=False)),
        timers=(timer(rig.clock, 5, 3), timer(rig.clock, 5, 77, "deadline")),
        tokens=(("token", 3),),
    )
    assert len(rig.one(Take(("http/request",), "w", 2, 1000))) == 2
    rig.one(Post(pid, "message", b"unread"))
    assert rig.turn(pid, status, taken=(), result=b"result", error="why")
    record = rig.store.process(pid)
    assert record is not None and (record.status, record.error) == (status, "why")
    assert rig.store.result(pid) == b"result"
    assert rig.store.inbox(pid) == [] and rig.store.open_requests(pid) == []
    assert rig.ready() == []
    assert not rig.one(Post(pid, "message", b""))
    assert not rig.one(Complete(pid, 1, 1, True, b""))
    assert rig.one(Deliver("token", b"")) == "duplicate"
    assert not rig.turn(pid, "waiting")
    assert rig.store.next_due() == rig.clock() + SECOND  # the neighbour's lease
    assert [event.sequence for event in rig.store.log(pid)] == [0, 1]
    assert rig.one(Start("deploy/main", b"args", name="deploy", id="x")) == (pid, False)


def test_paused_processes_wake_for_some_things_only(rig: Rig) -> None:
    pid = rig.start()
    rig.turn(pid, "paused", error="a person is needed")
    rig.do(Post(pid, "message", b"1"), Post(pid, "pause"))
    assert rig.ready() == [] and rig.kinds(pid) == ["pause", "message"]
    record = rig.store.process(pid)
    assert record is not None and record.status == "paused"
    rig.one(Post(pid, "retry", number=4))
    assert rig.ready() == [pid]
    retry = next(event for event in rig.store.inbox(pid) if event.kind == "retry")
    assert rig.turn(pid, "paused", taken=(retry.key,))
    assert rig.ready() == []
    rig.one(Post(pid, "resume"))
    assert rig.turn(pid, "paused", take=False)
    assert rig.ready() == [pid]  # it has not been taken
    assert rig.turn(pid, "waiting", taken=(rig.store.inbox(pid)[-1].key,))
    assert rig.ready() == [pid]  # what was left while it was paused
    assert rig.store.stats()["processes"]["paused"] == 0


def test_ready_is_fair_and_keeps_to_partitions(rig: Rig) -> None:
    pids = [rig.start() for _ in range(70)]
    assert rig.store.ready(range(64), 3) == pids[:3]
    assert rig.store.ready([5], 10) == [5, 69]
    assert rig.store.ready([], 10) == [] and rig.store.ready(range(64), 0) == []
    assert rig.store.ready([6, 5, 400, -1], 10) == [5, 6, 69, 70]
    rig.turn(pids[0], "ready")
    assert rig.store.ready(range(64), 100) == [*pids[1:], pids[0]]


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


# ---- claims ------------------------------------------------------------------------------------------------------


def test_partitions_move_between_interpreters(rig: Rig) -> None:
    first = rig.one(Join("a", 10_000))
    assert len(first.epochs) == 64 and first.lease_until == rig.clock() + 10 * SECOND
    second = rig.one(Join("b", 10_000))
    assert sorted(second.epochs) == list(range(1, 64, 2))
    first_again = rig.one(Join("a", 10_000))
    assert sorted(first_again.epochs) == list(range(0, 64, 2))
    assert all(first_again.epochs[p] == first.epochs[p] for p in first_again.epochs)
    assert all(second.epochs[p] == first.epochs[p] + 1 for p in second.epochs)
    assert rig.one(Leave("a")) is None
    alone = rig.one(Join("b", 10_000))
    assert len(alone.epochs) == 64
    assert all(alone.epochs[p] == first.epochs[p] + 1 for p in alone.epochs)
    assert rig.do(Leave("a"), Leave("nobody")) == [None, None]


def test_an_interpreter_that_lost_its_lease_writes_nothing(rig: Rig) -> None:
    pid = rig.start()  # claimed by "interpreter"
    other = rig.one(Join("other", 3_600_000))
    assert pid % 64 in other.epochs
    assert not rig.turn(pid)
    record = rig.store.process(pid)
    assert record is not None and record.sequence == 0
    rig.claim = other
    assert rig.turn(pid)
    rig.clock.forward(61)  # "interpreter" has not renewed
    rig.one(Fire())
    assert len(rig.one(Join("other", 3_600_000)).epochs) == 64


# ---- reads -------------------------------------------------------------------------------------------------------


def test_listing_processes(rig: Rig) -> None:
    pids = [rig.start() for _ in range(6)]
    rig.turn(pids[0])
    rig.turn(pids[1], "done", result=b"")
    rig.turn(pids[2], "paused")
    rig.turn(pids[3], "failed", result=b"")

    def listed(**query: Any) -> list[int]:
        return [record.pid for record in rig.store.processes(**query)]

    assert listed() == pids
    assert listed(newest_first=True) == pids[::-1]
    assert listed(after=2, limit=2) == [3, 4]
    assert listed(after=3, limit=2, newest_first=True) == [2, 1]
    assert listed(statuses=["ready"]) == [5, 6]
    assert listed(statuses=["ready"], newest_first=True, limit=1) == [6]
    assert listed(statuses=["ready"], after=5) == [6]
    assert listed(statuses=["waiting"]) == [1]
    assert listed(statuses=("done", "failed", "paused")) == [2, 3, 4]
    assert listed(statuses=("done", "failed", "paused"), newest_first=True, after=4) == [3, 2]
    assert listed(statuses=["cancelled"]) == [] and listed(limit=0) == []
    with pytest.raises(StoreError):
        listed(statuses=["nonsense"])
    counts = {"ready": 2, "waiting": 1, "paused": 1, "done": 1, "failed": 1, "cancelled": 0}
    assert rig.store.stats()["processes"] == counts


def test_listing_many_processes_by_pages(rig: Rig) -> None:
    rig.start()
    rig.do(*(Start("f", b"", name="deploy") for _ in range(999)))
    for pid in (10, 400, 700):
        rig.turn(pid, "done", result=b"")
    for newest_first in (False, True):
        seen: list[int] = []
        while page := rig.store.processes(
            after=seen[-1] if seen else 0, limit=170, statuses=["done", "ready"], newest_first=newest_first
        ):
            seen += [record.pid for record in page]
        assert seen == (list(range(1000, 0, -1)) if newest_first else list(range(1, 1001)))
    done = rig.store.processes(statuses=["done", "waiting"], limit=5)
    assert [record.pid for record in done] == [10, 400, 700]


@pytest.mark.parametrize("pid", [0, -1, 1 << 63, 1 << 70])
def test_pids_that_cannot_be(rig: Rig, pid: int) -> None:
    store = rig.store
    assert store.process(pid) is None and store.result(pid) is None and store.checkpoint(pid) is None
    assert store.log(pid) == [] and store.inbox(pid) == [] and store.open_requests(pid) == []
    if pid < 1 << 64 and pid >= 0:
        assert rig.do(Post(pid, "message"), Complete(pid, 1, 1, True, b""), Extend(pid, 1, 1, 1000)) == [False] * 3


# ---- hints and the end -------------------------------------------------------------------------------------------


def test_hints(rig: Rig) -> None:
    hints = watched(rig.store)
    pid = rig.start()
    eventually(lambda: {("ready", pid % 64), ("claims", 0)} <= set(hints))
    hints.clear()
    rig.turn(pid, requests=(request(pid, 1),), timers=(timer(rig.clock, 5, 1),))
    eventually(lambda: {("request", "http/request"), ("timer", 0)} <= set(hints))
    hints.clear()
    rig.turn(pid, timers=(timer(rig.clock, 9, 2),))  # not the first that is due: nobody need wake
    rig.turn(pid, "done", result=b"")
    eventually(lambda: ("process", pid) in hints)
    assert ("timer", 0) not in hints
    end = rig.store.watch(hints.extend)
    end()
    end()


def test_a_closed_store(rig: Rig) -> None:
    rig.start()
    if rig.kind == "attached":
        return  # the fixture's other process has it
    rig.store.close()
    with pytest.raises(StoreError) as caught:
        rig.store.process(1)
    assert caught.value.code == "S114"
    assert rig.store.submit([Fire()]).exception(5).code == "S114"  # type: ignore[union-attr]
    rig.store.close()


def test_messages_wake_only_what_receives_and_are_read_last(rig: Rig) -> None:
    pid = rig.start()
    assert rig.turn(pid, "waiting", receives=False)
    rig.do(Post(pid, "message", b"1"))
    assert rig.ready() == [] and rig.store.inbox(pid, messages=False) == []
    rig.do(Post(pid, "cancel"), Post(pid, "answer", number=9), Post(pid, "message", b"2"))
    assert rig.kinds(pid) == ["cancel", "answer", "message", "message"]
    assert rig.ready() == [pid] and rig.store.ready(range(64), 10, {pid}) == []
    keys = tuple(event.key for event in rig.store.inbox(pid, messages=False))
    assert rig.turn(pid, "waiting", taken=keys, receives=False)
    assert rig.ready() == []
    assert rig.turn(pid, "waiting", take=False, receives=True)
    assert rig.ready() == [pid]
