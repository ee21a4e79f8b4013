"""Commands of people on running processes, over every engine: kill, settle, and pieces of operations on many."""

from __future__ import annotations

import pytest

from flowmetal.store.interface import Bulk, Complete, Extend, Kill, Post, Settle, Start, Take
from flowmetal.store.limits import NEVER
from flowmetal.store.query import Query
from tests.store.support import HASH, Rig, code_of, request, timer, watched


def killed(pid: int) -> Kill:
    return Kill(pid, (b"by", b"end"), b"result", ":killed", b"start")


def test_kill_ends_at_once_and_withdraws_what_is_open(rig: Rig) -> None:
    pid = rig.start()
    held = request(pid, 2, "sleep", queued=False, state="held")
    assert rig.turn(pid, requests=(request(pid, 1), held), timers=(timer(rig.clock, 60, 2),), tokens=(("tok", 2),))
    rig.one(Post(pid, "message", b"m"))
    hints = watched(rig.store)
    assert rig.one(killed(pid)) is True
    record = rig.store.process(pid)
    assert record is not None
    assert (record.status, record.error, record.waits, record.sequence) == ("cancelled", ":killed", "", 3)
    assert [entry.event for entry in rig.store.log(pid)] == [b"event0", b"by", b"end"]
    assert rig.store.result(pid) == b"result"
    assert (rig.store.open_requests(pid), rig.store.inbox(pid), rig.store.next_due()) == ([], [], None)
    assert not rig.store.queued(["http/request"])
    assert rig.store.token("tok") == "over"
    assert rig.ready() == []
    assert rig.one(killed(pid)) is False
    assert rig.one(killed(99)) is False
    if rig.kind == "memory":
        assert ("process", pid) in hints


def test_a_turn_that_was_under_way_is_stale_after_a_kill(rig: Rig) -> None:
    pid = rig.start()
    assert rig.turn(pid)
    rig.one(killed(pid))
    assert not rig.turn(pid, base_sequence=1, take=False)
    record = rig.store.process(pid)
    assert record is not None
    assert (record.status, record.sequence) == ("cancelled", 3)


def test_what_is_killed_before_it_began_keeps_its_start(rig: Rig) -> None:
    pid = rig.start()
    assert rig.one(killed(pid)) is True
    assert [entry.event for entry in rig.store.log(pid)] == [b"start", b"by", b"end"]


def test_settle_takes_the_request_from_its_worker(rig: Rig) -> None:
    pid = rig.start()
    assert rig.turn(pid, requests=(request(pid, 1), request(pid, 2, "mail/send")))
    (taken,) = rig.one(Take(("http/request",), "w", 1, 60_000))
    assert rig.one(Settle(pid, b"answer", number=1)) == "done"
    assert rig.one(Settle(pid, b"again", number=1)) == "answered"
    assert rig.one(Extend(pid, 1, taken.attempt, 1000)) is False
    assert rig.one(Complete(pid, 1, taken.attempt, True, b"late")) is False
    assert rig.one(Settle(pid, b"by name", effect="mail/send")) == "done"
    assert not rig.store.queued(["mail/send"])
    assert [(event.kind, event.number, event.data) for event in rig.store.inbox(pid)] == [
        ("settled", 1, b"answer"),
        ("settled", 2, b"by name"),
    ]
    assert rig.one(Settle(pid, b"", number=3)) == "no-request"
    assert rig.one(Settle(pid, b"", effect="none/such")) == "no-request"
    assert rig.one(Settle(pid, b"")) == "no-request"  # none has used up its retries
    assert rig.one(Settle(77, b"")) == "unknown"
    assert code_of(rig, Settle(pid, b"", number=-1)) == "S206"
    assert rig.turn(pid, "done", result=b"r")
    assert rig.one(Settle(pid, b"", number=1)) == "ended"


@pytest.mark.parametrize("many", [0, 6])
def test_settle_finds_what_used_up_its_retries_and_wakes_the_paused_process(rig: Rig, many: int) -> None:
    pid = rig.start()
    others = tuple(request(pid, number, "other") for number in range(1, many + 1))
    held = request(pid, 9, not_before=NEVER, state="held")
    assert rig.turn(pid, "paused", requests=(*others, held))
    assert rig.ready() == []
    assert rig.one(Settle(pid, b"answer")) == "done"
    assert [(event.kind, event.number) for event in rig.store.inbox(pid)] == [("decided", 9)]
    assert rig.ready() == [pid]


def test_what_is_settled_beside_the_pause_waits_for_its_end(rig: Rig) -> None:
    pid = rig.start()
    assert rig.turn(pid, "paused", requests=(request(pid, 1),))
    assert rig.one(Settle(pid, b"answer", number=1)) == "done"
    assert rig.ready() == []
    rig.one(Post(pid, "resume"))
    assert rig.ready() == [pid]
    assert rig.kinds(pid) == ["resume", "settled"]


# ---- pieces of operations ----------------------------------------------------------------------------------------


def test_a_piece_tells_what_came_of_each_command(rig: Rig) -> None:
    first, second = rig.start(), rig.start(id="two")
    assert rig.turn(second, "done", result=b"r")
    commands = (
        Post(first, "message", b"m"),
        Post(second, "message", b"m"),
        killed(first),
        Settle(first, b""),
        Start("deploy/main", b"args", artifact=HASH, name="deploy"),
        Start("deploy/main", b"args", name="none"),
        Start("deploy/main", b"else", name="deploy", id="two"),
    )
    upto, end, results = rig.one(Bulk(commands, upto=5, end=9))
    assert (upto, end) == (5, 9)
    assert results[:6] == (True, False, True, "ended", (3, True), ("S202", {"name": "none"}))
    assert results[6][0] == "S201"
    assert rig.store.process(4) is None


def test_a_named_operation_goes_on_where_it_was(rig: Rig) -> None:
    pids = [rig.start() for _ in range(4)]

    def piece(after: int, upto: int, digest: bytes = b"d", end: int = 4) -> tuple[int, int, object]:
        found: tuple[int, int, object] = rig.one(
            Bulk(tuple(Post(pid, "message", b"m") for pid in pids[after:upto]), "op", digest, after, upto, end)
        )
        return found

    assert piece(0, 2) == (2, 4, (True, True))
    assert piece(0, 2, end=99) == (2, 4, None)  # it was there before; the end is the one of the beginning
    assert piece(2, 4) == (4, 4, (True, True))
    assert piece(0, 4, b"else") == (-1, 0, None)
    assert [len(rig.store.inbox(pid)) for pid in pids] == [2, 2, 2, 2]
    rig.clock.forward(8 * 24 * 3600)
    rig.one(Bulk((), "other", b"d", 0, 1, 1))  # what is new forgets what is old
    assert piece(0, 1) == (1, 4, (True,))


def test_pieces_are_bounded_and_checked(rig: Rig) -> None:
    pid = rig.start()
    assert code_of(rig, Bulk(tuple(Post(pid, "pause") for _ in range(1001)))) == "S206"
    assert code_of(rig, Bulk((Take(("a",), "w", 1, 1000),))) == "S206"  # type: ignore[arg-type]
    assert code_of(rig, Bulk((), "a\nb")) == "S204"
    assert rig.kinds(pid) == ["start"]


def test_a_full_inbox_refuses_one_and_not_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    if rig.kind == "attached":
        pytest.skip("the limit is the owner's")
    monkeypatch.setattr("flowmetal.store.changes.MAX_MESSAGES", 1)
    first, second = rig.start(), rig.start()
    rig.one(Post(first, "message", b"m"))
    _, _, results = rig.one(Bulk((Post(first, "message", b"m"), Post(second, "message", b"m"))))
    assert (results[0][0], results[1]) == ("S208", True)
    assert rig.store.processes(where=Query(pids=(first, second)))[1].pid == second
