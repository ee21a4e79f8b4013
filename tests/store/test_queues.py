"""Queues of starts over every engine: who is admitted, when, and what becomes of slots."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store.interface import Ask, Fire, InboxEvent, Kill, Operate, Post, Remove, Start
from flowmetal.values import ErrorValue, decode_value, encode_value
from tests.store.queue_kit import check_queues, define, operate, put, running
from tests.store.support import HASH, Rig, code_of, request


@pytest.fixture(autouse=True)
def checked(rig: Rig) -> Any:
    yield
    check_queues(rig.store)


def finish(rig: Rig, pid: int, status: str = "done") -> None:
    assert rig.turn(pid, status, result=b"result")


def waits(rig: Rig, pid: int) -> str:
    record = rig.store.process(pid)
    assert record is not None
    return record.waits


def counts(rig: Rig, name: str = "mail") -> tuple[int, int]:
    shown = operate(rig.store, "queue/stats", name)
    return shown["running"], shown["waiting"]


# ---- concurrency ---------------------------------------------------------------------------------------------------


def test_as_many_run_as_the_queue_allows_and_the_end_of_one_admits_the_next(rig: Rig) -> None:
    define(rig, concurrency=2)
    pids = [put(rig, arguments=b"args %d" % number) for number in range(5)]
    assert running(rig) == pids[:2]
    assert [waits(rig, pid) for pid in pids[2:]] == [f"queue mail, place ~{place}" for place in (1, 2, 3)]
    record = rig.store.process(pids[2])
    assert record is not None and (record.status, record.sequence) == ("waiting", 0)
    assert rig.kinds(pids[2]) == [], "its start is kept back"
    finish(rig, pids[0], "failed")
    assert running(rig) == [pids[1], pids[2]]
    assert [(event.kind, event.data) for event in rig.store.inbox(pids[2])] == [("start", b"args 2")]
    assert waits(rig, pids[3]) == "queue mail, place ~1"
    finish(rig, pids[2], "cancelled")
    finish(rig, pids[1])
    assert running(rig) == pids[3:]
    for pid in pids[3:]:
        finish(rig, pid)
    assert counts(rig) == (0, 0)


def test_a_turn_that_waits_keeps_the_slot(rig: Rig) -> None:
    define(rig, concurrency=1)
    first, second = put(rig), put(rig)
    rig.turn(first, "waiting")
    assert running(rig) == []
    rig.one(Post(first, "message", b"m"))
    rig.turn(first, "done", result=b"")
    assert running(rig) == [second]


def test_one_list_of_commands_is_settled_at_its_end(rig: Rig) -> None:
    define(rig, concurrency=3)
    rig.deploy()
    started = rig.do(*(Start("deploy/main", b"", name="deploy", queue=("mail", None, 0, 0, None)) for _ in range(50)))
    assert running(rig) == [pid for pid, _ in started[:3]]
    assert counts(rig) == (3, 47)


def test_the_end_of_many_in_one_list_admits_as_many(rig: Rig) -> None:
    define(rig, concurrency=3)
    pids = [put(rig) for _ in range(9)]
    for _ in range(2):
        for pid in running(rig):
            finish(rig, pid)
    assert running(rig) == pids[6:]


def test_processes_outside_of_queues_are_not_touched(rig: Rig) -> None:
    define(rig, concurrency=1)
    put(rig)
    free = rig.start()
    assert free in rig.ready()
    finish(rig, free)
    assert counts(rig) == (1, 0)


# ---- definitions ---------------------------------------------------------------------------------------------------


def test_definitions(rig: Rig) -> None:
    shown = define(rig, concurrency=2, rate="100/1m", key_concurrency=1, window="1h", max_waiting=7)
    assert (shown["concurrency"], shown["rate"], shown["key-concurrency"]) == (2, [100, "PT1M"], 1)
    assert (shown["max-waiting"], shown["window"], shown["key-rate"], shown["paused"]) == (7, "PT1H", None, False)
    define(rig, "other")
    assert [one["name"] for one in operate(rig.store, "queue/list", None)] == ["mail", "other"]
    assert [one["name"] for one in operate(rig.store, "queue/list", {"after": "mail"})] == ["other"]
    assert define(rig)["concurrency"] is None, "what is not given is not limited"
    operate(rig.store, "queue/remove", "other")
    assert [one["name"] for one in operate(rig.store, "queue/list", None)] == ["mail"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"concurrency": 0}, "S222"),
        ({"concurrency": "3"}, "S222"),
        ({"concurrency": True}, "S222"),
        ({"concurrency": 10**30}, "S222"),
        ({"rate": "many"}, "S222"),
        ({"rate": "0/1s"}, "S222"),
        ({"rate": "5/0s"}, "S222"),
        ({"rate": "5/999999999999d"}, "S222"),
        ({"rate": [5]}, "S222"),
        ({"key_rate": 5}, "S222"),
        ({"window": "-1s"}, "S222"),
        ({"window": "P1M"}, "S222"),
        ({"paused_keeps_slot": "yes"}, "S222"),
        ({"concurency": 3}, "S222"),
    ],
)
def test_bad_definitions(rig: Rig, limits: dict[str, Any], code: str) -> None:
    with pytest.raises(Exception) as caught:
        define(rig, **limits)
    assert getattr(caught.value, "code", None) == code
    assert operate(rig.store, "queue/list", None) == []


def test_bad_names_and_payloads(rig: Rig) -> None:
    def asked(name: str, payload: Any) -> str:
        return code_of(rig, Operate(name, encode_value(payload)))

    assert asked("queue/stats", "none") == "S220"
    assert asked("queue/stats", "") == "S204"
    assert asked("queue/stats", "x" * 300) == "S204"
    assert asked("queue/stats", "a\nb") == "S204"
    assert asked("queue/stats", None) == "S222"
    assert asked("queue/define", 5) == "S222"


def test_a_start_in_a_queue_that_is_not_there(rig: Rig) -> None:
    define(rig)
    rig.deploy()
    with pytest.raises(Exception) as caught:
        put(rig, "mial")
    assert getattr(caught.value, "code", "") == "S220"
    assert "mail" in str(getattr(caught.value, "facts", {}))
    assert rig.store.processes() == []
    bad = [
        ("mail", "", 0, 0, None),
        ("mail", "a\x00b", 0, 0, None),
        ("mail", None, 10, 0, None),
        ("mail", None, True, 0, None),
        ("mail", None, 0, -1, None),
        ("mail", None, 0, 1 << 62, None),
        ("mail", None, 0, 0, ""),
        ("mail", None, 0, 0, "x" * 201),
    ]
    for queue in bad:
        assert code_of(rig, Start("deploy/main", b"", name="deploy", queue=queue)) in ("S204", "S222")
    for broken in ((), ("mail",), "mail", (1, 2, 3, 4, 5), ("mail", 5, 0, 0, None), ("mail", None, 0, 0, 5)):
        assert code_of(rig, Start("deploy/main", b"", name="deploy", queue=broken)) in ("S204", "S206", "S222")  # type: ignore[arg-type]
    assert rig.store.processes() == []


def test_the_number_that_may_wait(rig: Rig) -> None:
    define(rig, concurrency=1, max_waiting=2)
    pids = [put(rig) for _ in range(3)]
    with pytest.raises(Exception) as caught:
        put(rig)
    assert getattr(caught.value, "code", "") == "S221"
    finish(rig, pids[0])
    put(rig)


def test_within_one_list_those_that_can_begin_do_not_count_as_waiting(rig: Rig) -> None:
    define(rig, max_waiting=1)
    rig.deploy()
    command = Start("deploy/main", b"", name="deploy", queue=("mail", None, 0, 0, None))
    assert len(rig.do(*[command] * 20)) == 20


def test_a_queue_with_processes_is_not_removed(rig: Rig) -> None:
    define(rig)
    pid = put(rig, key="a", dedup="d")
    assert code_of(rig, Operate("queue/remove", encode_value("mail"))) == "S223"
    finish(rig, pid)
    operate(rig.store, "queue/remove", "mail")
    assert code_of(rig, Operate("queue/stats", encode_value("mail"))) == "S220"
    define(rig)
    assert put(rig, dedup="d") != pid, "a new queue of the name knows nothing of the old one"


# ---- order ---------------------------------------------------------------------------------------------------------


def drain(rig: Rig) -> list[int]:
    """Ends what runs, one after the other, and says in which order processes began."""
    began = []
    while True:
        ready = running(rig)
        if not ready:
            return began
        began.append(ready[0])
        finish(rig, ready[0])


def test_priority(rig: Rig) -> None:
    define(rig, concurrency=1)
    low = [put(rig, priority=-1) for _ in range(2)]
    high = [put(rig, priority=3) for _ in range(3)]
    usual = put(rig)
    assert drain(rig) == [low[0], *high, usual, low[1]]


def test_a_low_priority_is_not_starved(rig: Rig) -> None:
    define(rig, concurrency=1)
    put(rig)
    low = put(rig, priority=-9)
    for _ in range(20):
        put(rig, priority=9)
    began = []
    for _ in range(10):
        put(rig, priority=9)
        began.append(running(rig)[0])
        finish(rig, began[-1])
    assert low in began


def test_keys_take_turns_however_many_wait_of_one(rig: Rig) -> None:
    define(rig, concurrency=1)
    rig.deploy()
    command = Start("deploy/main", b"", name="deploy", queue=("mail", "big", 0, 0, None))
    rig.start()
    big = [pid for pid, _ in rig.do(*[command] * 300)]
    small = put(rig, key="small")
    order = drain(rig)
    assert order.index(small) <= 3
    assert [pid for pid in order if pid in big] == big


def test_the_limit_of_each_key(rig: Rig) -> None:
    define(rig, concurrency=4, key_concurrency=1)
    first = [put(rig, key="a") for _ in range(3)]
    other = put(rig, key="b")
    free = [put(rig) for _ in range(3)]
    assert running(rig) == [first[0], other, *free[:2]], "a start without a key is bound by the queue alone"
    finish(rig, other)
    assert running(rig) == [first[0], *free]
    finish(rig, first[0])
    assert running(rig) == [*free, first[1]]
    finish(rig, first[1])
    assert running(rig) == [*free, first[2]]


def test_limits_that_are_changed_count_at_once(rig: Rig) -> None:
    define(rig, concurrency=1, key_concurrency=1)
    pids = [put(rig, key="a") for _ in range(4)]
    others = [put(rig, key="b") for _ in range(2)]
    assert running(rig) == [pids[0]]
    define(rig, concurrency=2, key_concurrency=1)
    assert running(rig) == [pids[0], others[0]]
    define(rig, key_concurrency=3)
    assert set(running(rig)) == {*pids[:3], *others}
    define(rig, concurrency=1)
    finish(rig, pids[0])
    assert set(running(rig)) == {*pids[1:3], *others}, "those that run go on"
    define(rig)
    assert set(running(rig)) == {*pids[1:], *others}


def test_raising_the_limit_of_very_many_keys_goes_by_pages(rig: Rig) -> None:
    define(rig, key_concurrency=1)
    rig.deploy()
    commands = [
        Start("deploy/main", b"", name="deploy", queue=("mail", f"key {number}", 0, 0, None)) for number in range(1200)
    ]
    rig.do(*commands, *commands)
    assert counts(rig) == (1200, 1200)
    define(rig)
    assert 0 < counts(rig)[1] < 1200
    for _ in range(5):
        rig.one(Fire())
    assert counts(rig) == (2400, 0)


def test_admissions_of_one_transaction_are_bounded(rig: Rig) -> None:
    define(rig, concurrency=1)
    rig.deploy()
    rig.do(*[Start("deploy/main", b"", name="deploy", queue=("mail", None, 0, 0, None))] * 2500)
    define(rig)
    assert counts(rig) == (1001, 1499)
    rig.one(Fire())
    rig.one(Fire())
    assert counts(rig) == (2500, 0)


# ---- rates and delays ------------------------------------------------------------------------------------------------


def test_rate(rig: Rig) -> None:
    define(rig, rate="2/10s")
    pids = [put(rig) for _ in range(5)]
    assert running(rig) == pids[:2]
    for pid in pids[:2]:
        finish(rig, pid)
    assert running(rig) == []
    due = rig.store.next_due()
    assert due == rig.clock() + 10_000_000_000
    rig.clock.forward(9.9)
    rig.one(Fire())
    assert running(rig) == []
    rig.clock.forward(0.1)
    rig.one(Fire())
    assert running(rig) == pids[2:4]
    rig.clock.forward(4)
    rig.one(Fire())
    assert running(rig) == pids[2:4]
    rig.clock.forward(6)
    rig.one(Fire())
    assert running(rig) == pids[2:]
    assert rig.store.next_due() is None


def test_rate_of_a_key(rig: Rig) -> None:
    define(rig, key_rate="1/10s")
    a = [put(rig, key="a") for _ in range(2)]
    b = put(rig, key="b")
    assert running(rig) == [a[0], b]
    for pid in (a[0], b):
        finish(rig, pid)
    again = put(rig, key="b")
    rig.clock.forward(10)
    rig.one(Fire())
    assert running(rig) == [a[1], again]
    for pid in (a[1], again):
        finish(rig, pid)
    assert rig.store.stats()["entries"]["queue_keys"] == 2, "their rates are still to be known"
    rig.clock.forward(11)
    rig.one(Fire())
    entries = rig.store.stats()["entries"]
    assert (entries["queue_keys"], entries["queue_starts"], entries["forget"]) == (0, 0, 0)


def test_delay(rig: Rig) -> None:
    define(rig, concurrency=1)
    late = put(rig, delay=5)
    now = put(rig)
    assert running(rig) == [now]
    assert "not before 1970-01-01T00:16:45" in waits(rig, late)
    rig.clock.forward(5)
    rig.one(Fire())
    assert waits(rig, late) == "queue mail, place ~1"
    finish(rig, now)
    assert running(rig) == [late]


# ---- de-duplication --------------------------------------------------------------------------------------------------


def test_a_dedup_key_stands_for_its_first_process_within_the_window(rig: Rig) -> None:
    define(rig, window="60s")
    rig.deploy()
    command = Start("deploy/main", b"1", name="deploy", queue=("mail", None, 0, 0, "d"))
    other = Start("deploy/other", b"2", name="deploy", queue=("mail", "k", 1, 0, "d"))
    assert rig.do(command, other) == [(1, True), (1, False)]
    define(rig, "two")
    assert rig.one(Start("deploy/main", b"1", name="deploy", queue=("two", None, 0, 0, "d"))) == (2, True)
    rig.start()
    finish(rig, 1)
    assert rig.one(command) == (1, False), "also when it has ended"
    rig.clock.forward(60)
    assert rig.one(command)[1]
    rig.clock.forward(301)
    rig.one(Fire())
    assert rig.store.stats()["entries"]["queue_dedup"] == 0


def test_a_dedup_key_outlives_the_removal_of_its_process(rig: Rig) -> None:
    define(rig, window="60s")
    pid = put(rig, dedup="d")
    finish(rig, pid)
    assert rig.one(Remove(pid))[0] == "gone" and rig.store.process(pid) is None
    command = Start("deploy/main", b"1", name="deploy", queue=("mail", None, 0, 0, "d"))
    assert rig.one(command) == (pid, False), "its work was done within the window"
    rig.clock.forward(60)
    assert rig.one(command)[1]


# ---- pausing, cancelling ---------------------------------------------------------------------------------------------


def test_a_paused_queue_admits_nobody(rig: Rig) -> None:
    define(rig)
    first = put(rig)
    assert operate(rig.store, "queue/pause", "mail")["paused"]
    second = put(rig)
    finish(rig, first)
    assert running(rig) == []
    operate(rig.store, "queue/resume", {"name": "mail"})
    assert running(rig) == [second]


def test_a_process_that_waits_can_be_cancelled(rig: Rig) -> None:
    define(rig, concurrency=1)
    first, second, third, late = put(rig), put(rig, key="a"), put(rig), put(rig, delay=60)
    for pid in (second, late):
        rig.one(Post(pid, "cancel", b""))
        assert pid in rig.ready()
        assert rig.kinds(pid) == ["cancel"]
        finish(rig, pid, "cancelled")
    assert rig.store.next_due() is None
    finish(rig, first)
    assert running(rig) == [third]
    entries = rig.store.stats()["entries"]
    assert (entries["queue_items"], entries["queue_heads"], entries["queue_arguments"]) == (0, 0, 0)


def test_killing_one_that_waits_and_one_that_runs(rig: Rig) -> None:
    define(rig, concurrency=1)
    first, second, third, late = put(rig), put(rig), put(rig), put(rig, delay=60)
    for pid in (second, late):
        assert rig.one(Kill(pid, (b"killed",), b"result", "killed"))
    assert running(rig) == [first]
    check_queues(rig.store)
    assert rig.one(Kill(first, (b"killed",), b"result", "killed"))
    assert running(rig) == [third]
    assert rig.store.next_due() is None


def test_a_message_does_not_begin_a_process_that_waits(rig: Rig) -> None:
    define(rig, concurrency=1)
    first, second = put(rig), put(rig)
    rig.one(Post(second, "message", b"hello"))
    assert running(rig) == [first]
    finish(rig, first)
    assert rig.kinds(second) == ["start", "message"]


def test_one_that_is_paused_while_it_waits_is_passed_over_and_keeps_its_ticket(rig: Rig) -> None:
    define(rig, concurrency=1)
    pids = [put(rig) for _ in range(4)]
    rig.one(Post(pids[1], "pause"))
    rig.turn(pids[1], "paused", receives=False)
    finish(rig, pids[0])
    assert running(rig) == [pids[2]]
    rig.one(Post(pids[1], "resume"))
    rig.turn(pids[1], "waiting", receives=False)
    finish(rig, pids[2])
    assert running(rig) == [pids[1]]


def test_one_that_is_paused_keeps_its_slot(rig: Rig) -> None:
    define(rig, concurrency=1)
    first, second = put(rig), put(rig)
    rig.turn(first, "paused", receives=False)
    assert running(rig) == []
    rig.one(Post(first, "cancel", b""))
    finish(rig, first, "cancelled")
    assert running(rig) == [second]


def test_one_that_is_paused_gives_its_slot_back_where_the_queue_says_so(rig: Rig) -> None:
    define(rig, concurrency=1, paused_keeps_slot=False)
    first, second, third = put(rig), put(rig), put(rig)
    rig.turn(first, "paused", receives=False)
    assert running(rig) == [second]
    rig.one(Post(first, "resume"))
    assert running(rig) == [second], "it waits for a slot"
    assert counts(rig) == (1, 2)
    finish(rig, second)
    assert running(rig) == [third]
    finish(rig, third)
    assert running(rig) == [first]
    assert rig.kinds(first) == ["resume"]
    rig.turn(first, "waiting")
    assert counts(rig) == (1, 0)
    finish(rig, first)


def test_one_without_a_slot_is_cancelled_at_once(rig: Rig) -> None:
    define(rig, concurrency=1, paused_keeps_slot=False)
    first, second = put(rig), put(rig)
    rig.turn(first, "paused", receives=False)
    rig.one(Post(first, "resume"))
    rig.one(Post(first, "cancel", b""))
    assert set(running(rig)) == {first, second}
    rig.turn(first, "waiting")
    assert counts(rig) == (2, 0), "its `finally` runs"
    finish(rig, first, "cancelled")
    assert counts(rig) == (1, 0)


# ---- children --------------------------------------------------------------------------------------------------------


def spawn(rig: Rig, parent: int, *children: Start) -> list[InboxEvent]:
    numbers = range(1, len(children) + 1)
    rig.turn(
        parent,
        "waiting",
        requests=[request(parent, number, "spawn", state="held", queued=False) for number in numbers],
        asks=[Ask(number, "spawn", encode_value(None), child) for number, child in zip(numbers, children, strict=True)],
    )
    return rig.store.inbox(parent)


def test_children_are_started_in_queues(rig: Rig) -> None:
    define(rig, concurrency=1)
    parent = rig.start()
    child = Start("deploy/child", b"", HASH, queue=("mail", None, 0, 0, None))
    assert [event.kind for event in spawn(rig, parent, child, child)] == ["answer", "answer"]
    record = rig.store.process(3)
    assert record is not None and (record.parent, record.waits) == (parent, "queue mail, place ~1")


def test_a_child_in_an_unknown_queue_is_an_error_of_the_call(rig: Rig) -> None:
    parent = rig.start()
    (event,) = spawn(rig, parent, Start("deploy/child", b"", HASH, queue=("none", None, 0, 0, None)))
    error = decode_value(event.data)
    assert (event.kind, event.number) == ("error", 1)
    assert isinstance(error, ErrorValue) and error.kind.text == "queue/unknown"
    assert len(rig.store.processes()) == 1
