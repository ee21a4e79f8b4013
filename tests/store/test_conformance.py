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
from flowmetal.store.limits import MAX_ARGUMENT_BYTES
from tests.store.support import HASH, SECOND, Rig, code_of, eventually, request, timer, watched

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
    assert code_of(rig, Start("f", bytes(MAX_ARGUMENT_BYTES + 1), artifact=HASH)) == "S205"
    assert rig.kinds(pid) == ["start"]
    assert rig.turn(pid)


def test_a_list_is_one_transaction(rig: Rig) -> None:
    pid = rig.start(id="taken")
    rig.do(Post(pid, "message", b"0"))
    before = rig.store.stats()["entries"]
    futures = [
        rig.store.submit([Post(pid, "message", b"1")]),
        rig.store.submit([Post(pid, "message", b"lost"), Start("f", b"", artifact=HASH), Start("x", b"", id="taken")]),
        rig.store.submit([Post(pid, "message", b"2")]),
    ]
    assert [type(future.exception(60)) for future in futures] == [type(None), StoreError, type(None)]
    assert [event.data for event in rig.store.inbox(pid)] == [b"args", b"0", b"1", b"2"]
    entries = rig.store.stats()["entries"]
    assert {**entries, "clients": 0} == {**before, "inbox": before["inbox"] + 2, "clients": 0}
    assert rig.store.stats()["processes"]["ready"] == 1
    assert rig.one(Start("f", b"", artifact=HASH)) == (pid + 1, True)
    assert rig.do() == []


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


def test_what_is_submitted_here_is_done(rig: Rig) -> None:
    """In order with what was submitted before; on the caller's thread where its process owns the store."""
    pid = rig.start()
    futures = [rig.store.submit([Post(pid, "message", b"%d" % number)], number % 3 == 2) for number in range(30)]
    assert [future.result(60) for future in futures] == [[True]] * 30
    assert [event.data for event in rig.store.inbox(pid)[1:]] == [b"%d" % number for number in range(30)]
    error = rig.store.submit([Post(pid, "message"), Post(pid, "nonsense")], True).exception(60)
    assert isinstance(error, StoreError) and error.code == "S206"
    assert len(rig.store.inbox(pid)) == 31
    if rig.kind != "attached":  # the thread that commits may have been busy just then
        eventually(lambda: rig.store.submit([Fire()], True).done())
