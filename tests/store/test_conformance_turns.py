"""What a turn does, over every engine."""

from __future__ import annotations

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import Ask, Complete, Deliver, Post, Start, Take, Turn
from flowmetal.values import Pid, encode_value
from tests.store.support import SECOND, Rig, request, timer

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
        requests=(request(pid, 1, "spawn", queued=False),),
        asks=(Ask(1, "spawn", encode_value(None), Start("deploy/child", b"c", name="deploy", id="kid")),),
    )
    assert rig.kinds(other) == ["message"]
    assert [event.data for event in rig.store.inbox(pid)] == [encode_value(Pid(3)), b"self"]
    child = rig.store.process_by_id("kid")
    assert child is not None and (child.parent, child.status) == (pid, "ready")
    assert rig.ready() == [other, child.pid, pid]


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
    with pytest.raises(StoreError) as refused:
        rig.one(Post(pid, "retry", number=4))
    assert refused.value.code == "S229" and rig.ready() == []  # no such request waits for a person
    rig.one(Post(pid, "retry"))
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


# ---- the log -----------------------------------------------------------------------------------------------------


def test_entries_of_all_sizes_are_read_as_they_were_written(rig: Rig) -> None:
    """A turn's entries share a record as far as they are small; reads know nothing of records."""
    pid = rig.start()
    written: list[tuple[int, int, bytes, bytes]] = []
    sizes = [0, 1, 30, 400, 700, 3000, 10, 0, 900, 90, 5, 5, 5]
    at = 0
    for count in (1, 3, 13, 5, 1):
        entries = []
        for _ in range(count):
            size = sizes[at % len(sizes)]
            entries.append((at, 0, b"e" * size, b"s" * (size // 2)))
            at += 1
        assert rig.turn(pid, entries=tuple(entries), base_sequence=at - count, next_sequence=at)
        written += entries
        written.append((at - 1, 1, b"", b"cut"))  # further parts of the last entry, in a turn of their own
        assert rig.turn(pid, entries=(written[-1],), base_sequence=at, next_sequence=at, take=False)
    for start in range(at + 2):
        expected = [entry for entry in written if entry[0] >= start]
        found = [(one.sequence, one.part, one.event, one.segment) for one in rig.store.log(pid, start)]
        assert found == expected, start
    for limit in (1, 2, 7):
        found = rig.store.log(pid, 2, limit)
        assert [one.sequence for one in found] == sorted(
            entry[0] for entry in written if 2 <= entry[0] < 2 + len({one.sequence for one in found})
        )
    assert rig.store.log(pid + 1) == []


def test_an_entry_may_have_parts_within_a_turn(rig: Rig) -> None:
    pid = rig.start()
    entries = ((0, 0, b"a", b""), (0, 1, b"", b"x"), (0, 2, b"", b"y"), (1, 0, b"b", b""), (2, 0, b"c", b"z"))
    assert rig.turn(pid, entries=entries, base_sequence=0, next_sequence=3)
    found = [(one.sequence, one.part, one.event, one.segment) for one in rig.store.log(pid)]
    assert found == list(entries)
    assert [(one.sequence, one.part) for one in rig.store.log(pid, 0, 1)] == [(0, 0), (0, 1), (0, 2)]
    assert [one.event for one in rig.store.log(pid, 2)] == [b"c"]
