"""Removing what has ended: nothing of a process is left in any space, whatever spaces there are."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store.codec import encode_number
from flowmetal.store.interface import (
    Ask,
    Deliver,
    Fire,
    ForgetArtifacts,
    Join,
    Post,
    PruneLog,
    PutArtifact,
    Remove,
    Start,
)
from flowmetal.store.layout import META, SPACES, pid_key
from flowmetal.values import Vector, encode_value
from tests.store.support import HASH, Rig, request, timer

#: A pid whose bytes stand nowhere else.
PID = 0x7A6B5C4D3E

LONG = b"a long text " * 1000


def begin(rig: Rig, **more: Any) -> int:
    """A process with an entry in every space that a process can have entries in."""
    pid = rig.start("the id", attributes={"order": 7}, **more)
    rig.do(Post(pid, "message", b"not received"))
    many = [request(pid, number, "http/request", queued=True) for number in range(1, 9)]
    asked = [request(pid, number, "process/register", state="held", queued=False) for number in (22, 23)]
    asks = (
        Ask(22, "process/register", encode_value(Vector.of(["the name"]))),
        Ask(23, "group/join", encode_value(Vector.of(["the group"]))),
    )
    held = [request(pid, 20, "http/callback", state="held", queued=False)]
    called = [request(pid, 21, "inline", state="held", queued=False, called=True)]
    assert rig.turn(
        pid,
        take=False,
        entries=((0, 0, b"event" + LONG, b""), (0, 1, b"", b"cut")),
        requests=tuple(many + held + called + asked),
        asks=asks,
        tokens=(("token", 20),),
        timers=tuple(timer(rig.clock, 50, number) for number in range(1, 15)),
        texts=(LONG,),
        checkpoint=b"image" + LONG,
        next_sequence=1,
    )
    return pid


def tables(rig: Rig) -> dict[str, list[tuple[bytes, bytes]]]:
    with rig.store._reading() as transaction:  # type: ignore[attr-defined]
        return {space.name: transaction.scan(space.name) for space in SPACES}


def spaces_with(rig: Rig, pid: int) -> set[str]:
    """The spaces in which a key or a value has the bytes of a pid in it."""
    needles = (pid_key(pid), b"\xcf" + pid.to_bytes(8, "big"))  # in keys; in msgpack
    return {
        name
        for name, items in tables(rig).items()
        for key, value in items
        if any(needle in key or needle in value for needle in needles)
    }


@pytest.fixture
def large_pids(memory: Rig) -> Rig:
    memory.deploy()
    store: Any = memory.store
    store._tables[META].put(b"counter:pid", encode_number(PID - 1))
    return memory


def test_nothing_of_a_removed_process_is_left(large_pids: Rig) -> None:
    rig = large_pids
    pid = begin(rig)
    assert pid == PID
    of_process = {space.name for space in SPACES if space.of != "store"}
    seen = spaces_with(rig, pid)
    assert rig.one(Deliver("token", b"answer")) == "accepted"
    assert rig.one(Remove(pid)) == ("kept", 0)  # it lives
    assert rig.turn(pid, "done", result=b"result")
    seen |= spaces_with(rig, pid)
    assert not {space.name for space in SPACES if space.of == "end"} & spaces_with(rig, pid)
    state = "more"
    while state == "more":
        state, removed = rig.one(Remove(pid, limit=3))
        assert removed <= 3
        if state == "more":
            assert rig.store.process(pid) is None and rig.store.leftovers() == [pid]
            seen |= spaces_with(rig, pid)
    assert state == "gone" and rig.one(Remove(pid)) == ("gone", 0)
    # What a test of this kind does not reach would be no test: every space that can hold something of it did.
    assert of_process - seen <= UNREACHED
    assert spaces_with(rig, pid) - {META} <= {space.name for space in SPACES if space.of == "time"}
    assert rig.one(Deliver("token", b"again")) == "duplicate"
    rig.clock.forward(73 * 3600)
    rig.one(Fire())
    assert spaces_with(rig, pid) - {META} == set()
    assert rig.store.process_by_id("the id") is None
    assert rig.store.stats()["processes"]["done"] == 0
    assert rig.start("the id") == pid + 1  # the id is free


#: Spaces of processes in which `begin` leaves nothing with a pid in it, each tested where it is at home.
UNREACHED = {
    "forget",  # names tokens only
    "queue_items",  # test_queues.py: processes that wait
    "queue_arguments",  # the same
    "queue_dedup",  # until its window is over
}


def test_children_are_spared_while_their_parent_lives(rig: Rig) -> None:
    parent = rig.start()
    child = rig.start(parent=parent)
    assert rig.turn(child, "done", result=b"")
    assert rig.one(Remove(child)) == ("kept", 0)
    assert rig.one(Remove(child, spare_children=False))[0] == "gone"
    other = rig.start(parent=parent)
    assert rig.turn(other, "failed", result=b"") and rig.turn(parent, "done", result=b"")
    assert rig.one(Remove(other))[0] == "gone"


def test_what_ended_in_the_same_transaction_is_kept_for_now(rig: Rig) -> None:
    pid = rig.start()
    record = rig.store.process(pid)
    assert record is not None
    from flowmetal.store.interface import Turn

    turn = Turn(pid, rig.epoch(pid), 0, "done", ((0, 0, b"event", b""),), 1, result=b"")
    assert rig.do(turn, Remove(pid)) == [True, ("kept", 0)]
    assert rig.one(Remove(pid))[0] == "gone"
    assert rig.store.log(pid) == [] and rig.store.result(pid) is None


def long_log(rig: Rig) -> int:
    """A process with checkpoints before the entries 4, 8 and 12, and 14 entries."""
    pid = rig.start()
    for number in range(14):
        texts = (LONG + b"%d" % number,)
        checkpoint = b"image%d" % (number + 1) if number in (3, 7, 11) else None
        assert rig.turn(
            pid,
            entries=((number, 0, b"event%d" % number + texts[0], b"segment"),),
            checkpoint=checkpoint,
            texts=texts,
        )
    return pid


def test_a_log_is_shortened_by_whole_spans(rig: Rig) -> None:
    pid = long_log(rig)
    assert rig.store.checkpoints(pid) == [4, 8, 12] and rig.store.kept_from(pid) == 0
    for before in (1, 5, 13, 14):
        assert rig.one(PruneLog(pid, before, 0)) == ("kept", 0)
    states = []
    while not states or states[-1] == "more":
        states.append(rig.one(PruneLog(pid, 8, 0, limit=2))[0])
        # Cut off in the middle of a span it says the same as at its end: states can be had from a checkpoint on.
        assert rig.store.kept_from(pid) in (4, 8)
    assert states[-1] == "done" and len(states) > 3
    assert [entry.sequence for entry in rig.store.log(pid)] == [0, *range(8, 14)]
    assert rig.store.kept_from(pid) == 8 and rig.store.checkpoints(pid) == [8, 12]
    assert rig.store.log(pid)[0].event.startswith(b"event0")
    assert rig.one(PruneLog(pid, 8, 0))[0] == "done"  # once more changes nothing
    assert rig.store.checkpoint(pid) == (12, b"image12")


def test_texts_go_when_nothing_refers_to_them(rig: Rig) -> None:
    pid = long_log(rig)
    assert rig.store.unreferenced_texts(pid) == (14, [])
    while rig.one(PruneLog(pid, 12, 0))[0] == "more":
        pass
    seen, texts = rig.store.unreferenced_texts(pid)
    assert seen == 14 and len(texts) == 11
    # One of them is taken up again before they are removed.
    again = LONG + b"5"
    assert rig.turn(pid, entries=((14, 0, b"event" + again, b""),), texts=(again,))
    assert rig.one(PruneLog(pid, 0, 0, seen, tuple(texts))) == ("done", 10)
    assert rig.store.log(pid, 14)[0].event == b"event" + again
    assert rig.store.stats()["entries"]["texts"] == 4


def test_artifacts_go_an_hour_after_nothing_needs_them(rig: Rig) -> None:
    hour = 3600 * 10**9
    rig.claim = rig.one(Join("interpreter", 24 * 3600 * 1000))
    pid = rig.start()
    other = b"\x02" * 32
    rig.do(PutArtifact(other, b"other"))

    def forget(*unneeded: bytes) -> int:
        origins = [number for number in rig.store.origins_known() if number not in rig.store.origins_in_use()[1]]
        found: int = rig.one(ForgetArtifacts(unneeded, origins, rig.store.last_pid(), hour))
        return found

    assert forget(HASH, other) == 0  # the one is deployed
    assert forget(other) == 0
    rig.clock.forward(3500)
    assert forget(other) == 0
    rig.do(PutArtifact(other, b"other"))  # somebody is about to use it
    rig.clock.forward(200)
    assert forget(other) == 0
    last = rig.store.last_pid()
    rig.clock.forward(4000)
    started = rig.one(Start("x/main", b"", artifact=other))[0]
    assert rig.one(ForgetArtifacts([other], [], last, hour)) == 0
    assert rig.turn(started, "done", result=b"") and rig.one(Remove(started))[0] == "gone"
    assert forget(other) == 0
    rig.clock.forward(4000)
    assert forget(other) == 1 and rig.store.artifact(other) is None and rig.store.artifact(HASH) == b"code"
    assert set(rig.store.origins_known().values()) == {HASH}
    assert rig.store.process(pid) is not None
    # A start of the same function finds a number again.
    assert rig.store.process(rig.start()).artifact == HASH  # type: ignore[union-attr]
