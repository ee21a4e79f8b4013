"""Schedules in the store: when runs start, what overlaps, what is made up for, and that each starts once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import Fire, Join, Operate, PutArtifact, Turn
from flowmetal.store.limits import MAX_FORCED_RUNS
from flowmetal.store.memory import MemoryStore
from flowmetal.store.opening import open_store
from flowmetal.timetable import zones
from flowmetal.timetable.wrong import Wrong
from flowmetal.values import Pid, decode_value, encode_value, from_python, keyword, to_python
from tests.store.support import HASH, SECOND

#: 2026-11-24T12:00:00Z, a Tuesday.
NOON = 1_795_521_600 * SECOND
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


class Rig:
    """A memory store with a program "mail", a clock, and an interpreter that ends processes when it is told to."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MemoryStore(lambda: self.now)
        self.submit(PutArtifact(HASH, b"program", "mail"))
        self.claim = self.submit(Join("one", 10**8))

    def submit(self, command: Any) -> Any:
        return self.store.submit([command]).result()[0]

    def ask(self, name: str, payload: Any) -> Any:
        return plain(decode_value(self.submit(Operate(f"schedule/{name}", encode_value(from_python(payload))))))

    def put(self, **options: Any) -> Any:
        given = {"name": "s", "program": "mail", **options}
        return self.ask("put", {name.replace("_", "-"): value for name, value in given.items()})

    def show(self) -> Any:
        return self.ask("show", "s")

    def to(self, now: int) -> None:
        """Moves the clock, and fires as an interpreter would that wakes whenever something is due."""
        while True:
            due = self.store.next_due()
            if due is None or due > now:
                break
            self.now = max(self.now, due)
            self.submit(Fire())
        self.now = now

    def jump(self, now: int) -> None:
        """Moves the clock with nobody there, and then fires until nothing is due."""
        self.now = now
        while True:
            due = self.store.next_due()
            if due is None or due > now:
                return
            self.submit(Fire())

    def started(self) -> list[str]:
        """The planned instants of all runs, as time of day."""
        return [record.attributes["planned"][11:16] for record in self.store.processes(limit=1000)]

    def end(self, pid: int, status: str = "done") -> None:
        record = self.store.process(pid)
        assert record is not None
        taken = tuple(event.key for event in self.store.inbox(pid))
        turn = Turn(pid, self.claim.epochs[pid % 64], record.sequence, status, (), record.sequence + 1, taken=taken)
        assert self.submit(turn)


def plain(value: Any) -> Any:
    if isinstance(value, Pid):
        return value.number
    if hasattr(value, "items"):
        return {key.text: plain(item) for key, item in value.items()}
    if value.__class__.__name__ == "Vector":
        return [plain(item) for item in value]
    return value.text if value.__class__ is keyword("x").__class__ else to_python(value)


@pytest.fixture
def rig() -> Rig:
    return Rig()


# ---- when --------------------------------------------------------------------------------------------------------


def test_each_planned_instant_starts_one_process(rig: Rig) -> None:
    shown = rig.put(cron="*/15 * * * *", zone="Europe/Berlin", args=["a"], overlap="allow", attributes={"team": "x"})
    assert shown["next"] == "2026-11-24T12:15:00.000Z"
    rig.to(NOON + HOUR)
    assert rig.started() == ["12:15", "12:30", "12:45", "13:00"]
    record = rig.store.process(1)
    assert record is not None and (record.function, record.id) == ("main", None)
    assert record.attributes == {"team": "x", "schedule": "s", "planned": "2026-11-24T12:15:00.000Z"}
    assert plain(decode_value(rig.store.inbox(1)[0].data)) == ["a"]
    shown = rig.show()
    assert (shown["runs"], shown["next"]) == (4, "2026-11-24T13:15:00.000Z")
    assert [run["pid"] for run in shown["recent"]] == [4, 3, 2, 1]


def test_the_run_may_be_told_as_an_argument(rig: Rig) -> None:
    rig.put(every="1h", args=[1], pass_run=True)
    rig.to(NOON + HOUR)
    run = {"schedule": "s", "planned": "2026-11-24T13:00:00.000Z", "number": 1}
    assert plain(decode_value(rig.store.inbox(1)[0].data)) == [1, run]


def test_one_instant_runs_once(rig: Rig) -> None:
    rig.put(at="2026-11-24T12:30:00Z")
    rig.to(NOON + DAY)
    assert rig.started() == ["12:30"]
    assert rig.show()["next"] is None
    assert rig.put(at="2026-11-24T12:30:00Z")["next"] is None  # the same once more does not run again
    rig.to(NOON + 2 * DAY)
    assert rig.started() == ["12:30"]


def test_an_instant_that_is_past_has_no_run(rig: Rig) -> None:
    assert rig.put(at="2026-11-24T11:30:00Z")["next"] is None
    rig.to(NOON + DAY)
    assert rig.started() == []


def test_nothing_runs_early_and_jitter_makes_it_later(rig: Rig) -> None:
    rig.put(every="1h", jitter="10m", overlap="allow")
    rig.jump(NOON + HOUR - 1)
    assert rig.started() == []
    rig.to(NOON + DAY + 10 * MINUTE)
    records = rig.store.processes(limit=100)
    assert len(records) == 24
    late = [record.created_at - NOON - (n + 1) * HOUR for n, record in enumerate(records)]
    assert all(0 <= one < 10 * MINUTE for one in late) and len(set(late)) > 20


def test_putting_again_changes_and_keeps(rig: Rig) -> None:
    rig.put(every="1h")
    rig.to(NOON + HOUR + MINUTE)
    shown = rig.put(every="1h", overlap="allow")
    assert (shown["runs"], shown["overlap"], shown["next"]) == (1, "allow", "2026-11-24T14:00:00.000Z")
    assert rig.put(every="30m")["next"] == "2026-11-24T13:30:00.000Z"
    rig.ask("pause", "s")
    assert rig.put(every="20m")["paused"] is True
    assert rig.put(every="20m", paused=False)["next"] == "2026-11-24T13:20:00.000Z"
    assert len(rig.ask("list", None)) == 1


# ---- overlap -----------------------------------------------------------------------------------------------------


def test_skip(rig: Rig) -> None:
    rig.put(every="10m")
    rig.to(NOON + 35 * MINUTE)
    assert rig.started() == ["12:10"]
    assert rig.show()["skipped"] == 2
    rig.end(1)
    rig.to(NOON + 50 * MINUTE)
    assert rig.started() == ["12:10", "12:40"]


def test_queue_keeps_one_that_waits(rig: Rig) -> None:
    rig.put(every="10m", overlap="queue")
    rig.to(NOON + 45 * MINUTE)
    assert rig.started() == ["12:10"]
    assert (rig.show()["waiting"], rig.show()["skipped"]) == ("2026-11-24T12:20:00.000Z", 2)
    rig.end(1, "failed")
    rig.to(NOON + 46 * MINUTE)
    assert rig.started() == ["12:10", "12:20"]
    assert (rig.show()["waiting"], rig.show()["running"]) == (None, [2])


def test_cancel_asks_the_running_one_to_end_and_waits_for_it(rig: Rig) -> None:
    rig.put(every="10m", overlap="cancel")
    rig.to(NOON + 35 * MINUTE)
    assert [event.kind for event in rig.store.inbox(1)] == ["start", "cancel"]
    assert rig.started() == ["12:10"]
    rig.end(1, "cancelled")
    rig.to(NOON + 36 * MINUTE)
    assert rig.started() == ["12:10", "12:30"]  # the newest one that waited


def test_allow(rig: Rig) -> None:
    rig.put(every="10m", overlap="allow")
    rig.to(NOON + 35 * MINUTE)
    assert rig.started() == ["12:10", "12:20", "12:30"]
    assert rig.show()["running"] == []


# ---- catching up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected", "missed"),
    [
        ({"catch_up": "none"}, [], 1),
        ({"catch_up": "one"}, ["17:00"], 1),
        ({}, ["17:00"], 1),
        ({"catch_up": "all"}, ["13:00", "14:00", "15:00", "16:00", "17:00"], 0),
        ({"catch_up": "all", "catch_up_max": 2}, ["16:00", "17:00"], 1),
        ({"catch_up": "none", "grace": "31m"}, ["17:00"], 1),  # half an hour late is not missed
    ],
)
@pytest.mark.parametrize("when", [{"cron": "0 * * * *"}, {"every": "1h"}])
def test_what_is_made_up_for(rig: Rig, when: Any, options: Any, expected: list[str], missed: int) -> None:
    rig.put(overlap="allow", **when, **options)
    rig.jump(NOON + 5 * HOUR + 30 * MINUTE)
    assert rig.started() == expected
    shown = rig.show()
    assert (shown["missed"], shown["next"]) == (missed, "2026-11-24T18:00:00.000Z")
    rig.to(NOON + 6 * HOUR)
    assert rig.started() == [*expected, "18:00"]


def test_many_missed_ones_are_started_in_short_transactions(rig: Rig) -> None:
    rig.put(every="1s", catch_up="all", catch_up_max=1000, overlap="allow")
    rig.now = NOON + 400 * DAY  # 34,560,000 planned instants
    fires = 0
    while (rig.store.next_due() or rig.now + 1) <= rig.now:
        rig.submit(Fire())
        fires += 1
    assert rig.show()["runs"] == 1000 + 60 and fires >= 10  # those within the minute of grace besides


def test_a_clock_that_goes_back_runs_nothing_twice(rig: Rig) -> None:
    rig.put(every="10m", overlap="allow")
    rig.to(NOON + 35 * MINUTE)
    rig.jump(NOON - 25 * MINUTE)
    assert rig.started() == ["12:10", "12:20", "12:30"]
    rig.to(NOON + 45 * MINUTE)
    assert rig.started() == ["12:10", "12:20", "12:30", "12:40"]


# ---- by hand -----------------------------------------------------------------------------------------------------


def test_paused_schedules_run_nothing_and_make_up_for_nothing(rig: Rig) -> None:
    rig.put(every="10m", overlap="allow", catch_up="all")
    assert rig.ask("pause", "s")["next"] is None
    assert rig.store.next_due() is None
    rig.jump(NOON + 35 * MINUTE)
    assert rig.ask("resume", "s")["next"] == "2026-11-24T12:40:00.000Z"
    rig.to(NOON + 45 * MINUTE)
    assert rig.started() == ["12:40"]


def test_run_now(rig: Rig) -> None:
    rig.put(every="1h")
    assert rig.ask("run", "s") == {"name": "s", "outcome": "started", "pid": 1}
    assert rig.ask("run", "s") == {"name": "s", "outcome": "skipped", "pid": None}
    assert rig.ask("run", {"name": "s", "force": True})["pid"] == 2
    rig.to(NOON + HOUR)
    assert rig.started() == ["12:00", "12:00"]  # both still run
    rig.end(1)
    rig.end(2)
    rig.to(NOON + 2 * HOUR)
    assert rig.started()[2:] == ["14:00"]


def test_forced_runs_have_a_limit(rig: Rig) -> None:
    rig.put(every="1h")
    for _ in range(MAX_FORCED_RUNS):
        rig.ask("run", {"name": "s", "force": True})
    with pytest.raises(StoreError) as caught:
        rig.ask("run", {"name": "s", "force": True})
    assert caught.value.code == "S211" and caught.value.facts["kind"] == "limit"
    rig.end(7)
    assert rig.ask("run", {"name": "s", "force": True})["outcome"] == "started"


def test_next_and_delete(rig: Rig) -> None:
    rig.put(cron="0 9 * * mon-fri", zone="America/New_York")
    found = rig.ask("next", {"name": "s", "count": 3})
    assert found == ["2026-11-24T14:00:00.000Z", "2026-11-25T14:00:00.000Z", "2026-11-26T14:00:00.000Z"]
    rig.ask("delete", "s")
    assert rig.store.next_due() is None and rig.ask("list", None) == []
    with pytest.raises(StoreError) as caught:
        rig.show()
    assert caught.value.code == "S228"


def test_a_program_that_is_not_deployed_is_said_and_stops_nothing(rig: Rig) -> None:
    rig.put(every="10m", program="other")
    rig.to(NOON + 15 * MINUTE)
    last = rig.show()["last"]
    assert (last["outcome"], last["pid"]) == ("refused", None) and "S202" in last["reason"]
    rig.submit(PutArtifact(HASH, b"program", "other"))
    rig.to(NOON + 25 * MINUTE)
    assert rig.started() == ["12:20"]


def test_a_zone_that_went_away_pauses_its_schedule_and_stops_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.put(cron="*/10 * * * *", zone="Europe/Berlin", overlap="allow")
    rig.ask("put", {"name": "other", "every": "10m", "program": "mail", "overlap": "allow"})
    rig.to(NOON + 10 * MINUTE)

    def gone(name: str) -> Any:
        raise Wrong("S226", zone=name, suggestion=None)

    monkeypatch.setattr(zones, "read_zone", gone)
    monkeypatch.setattr("flowmetal.timetable.plan._zones.read_zone", gone)
    rig.to(NOON + 40 * MINUTE)
    shown = rig.show()
    assert shown["paused"] and shown["last"]["outcome"] == "refused" and "Europe/Berlin" in shown["last"]["reason"]
    assert rig.ask("show", "other")["runs"] == 4
    for name in ("next", "resume"):
        with pytest.raises(StoreError) as caught:
            rig.ask(name, "s")
        assert caught.value.code == "S226"


def test_a_damaged_record_stops_nothing_else(rig: Rig) -> None:
    rig.put(every="10m")
    rig.ask("put", {"name": "other", "every": "10m", "program": "mail", "overlap": "allow"})
    rig.store._tables["schedules"].put(b"s", b"\xc1")
    rig.submit(Operate("kv/put", encode_value(from_python(["k", 1, {"expires": "PT5M"}]))))
    rig.store._tables["kv"].put(b"k", b"\xc1")
    rig.to(NOON + 30 * MINUTE)
    assert rig.ask("show", "other")["runs"] == 3
    with pytest.raises(StoreError) as caught:
        rig.show()
    assert caught.value.code == "S306"


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"cron": "0 25 * * *"}, "S225", "character 3"),
    ({"cron": 5}, "S227", "a string"),
    ({"cron": "0 3 * * *", "zone": "Europe/Berln"}, "S226", "Europe/Berln"),
    ({"every": "0s"}, "S227", "from 1s"),
    ({"every": "fortnight"}, "S227", "a duration"),
    ({"every": "1h", "cron": "* * * * *"}, "S227", "cron and every"),
    ({}, "S227", "none of them"),
    ({"every": "1h", "zone": "UTC"}, "S227", "with cron"),
    ({"every": "1h", "overlap": "both"}, "S227", "one of skip"),
    ({"every": "1h", "overlaps": "skip"}, "S227", "overlap"),
    ({"every": "1h", "args": "x"}, "S227", "a vector"),
    ({"every": "1h", "catch_up_max": 10**9}, "S227", "1000"),
    ({"every": "1h", "catch_up_max": True}, "S227", "1000"),
    ({"at": "tomorrow"}, "S227", "an instant"),
    ({"every": "1h", "start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "S227", "not before"),
    ({"every": "1h", "name": ""}, "S227", "a string or a keyword"),
    ({"every": "1h", "name": "x" * 300}, "S204", "200"),
    ({"every": "1h", "name": "a\nb"}, "S204", ""),
    ({"every": "1h", "program": None}, "S227", "a name"),
    ({"every": "1h", "attributes": [1]}, "S227", "a map"),
    ({"every": "1h", "jitter": "-1s"}, "S227", "a duration"),
    ({"cron": "0 0 * * *", "end": "1969-01-01T00:00:00Z"}, "S227", "from 1970"),
    ({"every": "1h", "args": ["x" * 2_000_000]}, "S205", ""),
]


@pytest.mark.parametrize(("options", "code", "part"), BAD, ids=[str(row[0])[:50] for row in BAD])
def test_what_is_wrong_with_a_definition(rig: Rig, options: dict[str, Any], code: str, part: str) -> None:
    with pytest.raises(StoreError) as caught:
        rig.put(**options)
    assert caught.value.code == code, caught.value
    assert part in str(caught.value)
    assert rig.ask("list", None) == []


@pytest.mark.parametrize("payload", [None, 5, [], "", {"name": []}, {"nam": "x"}, {"name": "x", "name2": 1}])
@pytest.mark.parametrize("name", ["put", "show", "pause", "resume", "run", "delete", "next"])
def test_payloads_of_another_kind_are_refused(rig: Rig, name: str, payload: Any) -> None:
    with pytest.raises(StoreError) as caught:
        rig.ask(name, payload)
    assert caught.value.whose == "command"


# ---- several who fire, and an end at any time ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "lmdb"])
def test_many_fire_at_once_and_each_run_starts_once(kind: str, tmp_path: Path) -> None:
    now = [NOON]
    make: Callable[[], Any] = {
        "memory": lambda: MemoryStore(lambda: now[0]),
        "lmdb": lambda: open_store(str(tmp_path / "store"), clock=lambda: now[0]),
    }[kind]
    store = make()
    store.submit([PutArtifact(HASH, b"program", "mail")]).result()
    for name, every in (("a", "1m"), ("b", "7m"), ("c", "1h")):
        payload = {
            "name": name,
            "every": every,
            "program": "mail",
            "overlap": "allow",
            "catch-up": "all",
            "catch-up-max": 1000,
        }
        store.submit([Operate("schedule/put", encode_value(from_python(payload)))]).result()

    def fire() -> None:
        for _ in range(60):
            store.submit([Fire()]).result()

    threads = [threading.Thread(target=fire) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        now[0] += 4 * MINUTE
    for thread in threads:
        thread.join()
    while store.next_due() <= now[0]:
        store.submit([Fire()]).result()
    runs = [(record.attributes["schedule"], record.attributes["planned"]) for record in store.processes(limit=1000)]
    assert len(runs) == len(set(runs)) == 120 + 17 + 2
    store.close()


def test_a_schedule_stays_when_the_store_is_opened_again(tmp_path: Path) -> None:
    now = [NOON]
    store = open_store(str(tmp_path / "store"), clock=lambda: now[0])
    store.submit([PutArtifact(HASH, b"program", "mail")]).result()
    payload = {"name": "s", "cron": "0 * * * *", "program": "mail", "args": [{"a": 1}]}
    store.submit([Operate("schedule/put", encode_value(from_python(payload)))]).result()
    now[0] += HOUR
    store.submit([Fire()]).result()
    store.close()
    store = open_store(str(tmp_path / "store"), clock=lambda: now[0])
    assert store.next_due() == NOON + 2 * HOUR
    shown = plain(decode_value(store.submit([Operate("schedule/show", encode_value("s"))]).result()[0]))
    assert (shown["runs"], shown["running"], shown["args"]) == (1, [1], [{"a": 1}])
    assert store.submit([Fire()]).result() == [0]
    store.close()
