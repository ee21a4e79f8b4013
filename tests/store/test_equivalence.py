"""Random histories: memory and LMDB give the same results and the same bytes; and a small model of inbox, requests and
timers, written in another way than the store, agrees with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowmetal.reading import read_data
from flowmetal.store import StoreError, bonds, codec, layout, open_store, rows
from flowmetal.store.committer import Unit
from flowmetal.store.interface import (
    Ask,
    Command,
    Complete,
    Deliver,
    Extend,
    Fire,
    Join,
    Leave,
    Operate,
    Post,
    PutArtifact,
    Request,
    Start,
    Take,
    Timer,
    Turn,
)
from flowmetal.store.layout import CLIENTS, META, PARTITIONS, SPACE_NAMES
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.store.memory import MemoryStore
from flowmetal.store.opening import StoreHandle
from flowmetal.store.wire_codec import decode_commands, decode_results, encode_commands, encode_results
from flowmetal.values import Pid, Vector, encode_value

SECOND = 1_000_000_000
HASH = b"h" * 32

small = st.integers(0, 4)
numbers = st.integers(0, 9)  # of requests: more than stand in the record of a process
pids = st.integers(1, 4)
LONG = b"text " * 300
data = st.one_of(st.binary(max_size=8), st.binary(max_size=8), st.just(b"a" + LONG))
effects = st.sampled_from(["a", "b/c", "d"])
kinds = st.sampled_from(["message", "cancel", "pause", "resume", "retry", "answer"])
requests = st.builds(
    Request,
    st.just(0),
    numbers,
    effects,
    data | st.just(b"large" * 100),
    data,
    st.just("key"),
    not_before=st.sampled_from([0, 1010 * SECOND, 1020 * SECOND]),
    state=st.sampled_from(["queued", "held"]),
    queued=st.booleans(),
    called=st.booleans(),
)
timers = st.builds(
    Timer,
    st.integers(1000, 1040).map(lambda seconds: seconds * SECOND),
    numbers,
    st.sampled_from(["sleep", "timeout", "deadline", "retry"]),
)
starts = st.builds(
    Start,
    st.sampled_from(["f", "g"]),
    data,
    name=st.sampled_from(["deploy", "deploy", "none"]),
    id=st.sampled_from([None, None, "x", "y"]),
    attributes=st.sampled_from([{}, {"k": 1, "l": [1, "two", None]}]),
    register=st.sampled_from([None, None, "name"]),
    queue=st.sampled_from([None, None, None, ("q", None, 0, 0, None), ("q", "key", 2, 4 * SECOND, "once")]),
)
posts = st.builds(Post, pids, kinds, data, small)

PIDS = ":some-process"
#: Operations with what they are given, some of which is refused.
asked = st.sampled_from(
    [
        ("kv/put", '["a" 1]'),
        ("kv/put", '["ab" "two" {:expires #duration "PT5S"}]'),
        ("kv/get", '["a"]'),
        ("kv/delete", '["a"]'),
        ("kv/compare-and-set", '["a" 1 2]'),
        ("kv/list", '["a"]'),
        ("queue/define", '{:name "q" :concurrency 1}'),
        ("queue/define", '{:name "q" :rate "1/3s"}'),
        ("queue/stats", '"q"'),
        ("queue/remove", '"q"'),
        ("nothing/there", "[1]"),
        ("process/register", '["name"]'),
        ("process/register", '["name" 2]'),
        ("process/unregister", '["name"]'),
        ("process/cancel", '["name"]'),
        ("send", '["name" 1]'),
        ("group/join", '["group"]'),
        ("group/leave", '["group"]'),
        ("group/publish", '["group" 1]'),
        ("process/demonitor", "[1]"),
        *((f"process/{name}", f"[{target}]") for name in ("link", "unlink", "monitor") for target in (PIDS, '"name"')),
    ]
).flatmap(lambda one: st.tuples(st.just(one[0]), pids.map(lambda pid: payload_of(one[1], pid))))
ties = st.sampled_from(["nil", "nil", "{:link true}", "{:monitor true :leash true}", "{:leash true :link true}"])
asks = st.builds(lambda number, one: Ask(number, *one), numbers, asked) | st.builds(
    lambda number, tie, start: Ask(number, "spawn", encode_value(read_data(tie)), start), numbers, ties, starts
)


def payload_of(text: str, pid: int) -> bytes:
    """What an operation is given; PIDS stands for a process."""
    payload = read_data(text)
    if text == f"[{PIDS}]":
        payload = Vector.of([Pid(pid)])
    return encode_value(payload)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    pid = draw(pids)
    base = draw(st.integers(0, 3))
    count = draw(st.integers(0, 2))
    opened = tuple(
        Request(**{name: getattr(found, name) for name in found.__slots__ if name != "pid"}, pid=pid)
        for found in draw(st.lists(requests, max_size=4))
    )
    return Turn(
        pid=pid,
        epoch=draw(st.sampled_from([1, 1, 1, 2])),
        base_sequence=base,
        status=draw(st.sampled_from(["waiting"] * 4 + ["ready", "paused", "done", "failed"])),
        entries=tuple((base + n, 0, draw(data), draw(data)) for n in range(count)),
        next_sequence=base + count,
        taken=tuple(draw(st.lists(st.integers(1, 30), max_size=5))),
        requests=opened,
        closed=tuple(draw(st.lists(numbers, max_size=2))),
        timers=tuple(draw(st.lists(timers, max_size=7))),
        tokens=tuple((f"t{draw(small)}", found.number) for found in opened[:1]),
        posts=tuple(draw(st.lists(posts, max_size=2))),
        asks=tuple(draw(st.lists(asks, max_size=2))),
        checkpoint=draw(st.sampled_from([None, None, b"image"])),
        result=draw(st.sampled_from([None, b"result"])),
        waits=draw(st.sampled_from(["", "é for something"])),
        attributes=draw(st.sampled_from([None, {}, {"a": True}])),
        texts=draw(st.sampled_from([(), (), (LONG,)])),
    )


commands: st.SearchStrategy[Command] = st.one_of(
    turns(),
    turns(),
    turns(),
    starts,
    posts,
    asked.map(lambda one: Operate(*one)),
    st.builds(Take, st.lists(effects, min_size=1, max_size=3).map(tuple), st.just("w"), small, st.just(5000)),
    st.builds(Complete, pids, numbers, st.integers(0, 2), st.booleans(), data),
    st.builds(Extend, pids, numbers, st.integers(0, 2), st.just(9000)),
    st.builds(Deliver, st.sampled_from(["t0", "t1", "t2", "none", ""]), data),
    st.builds(Fire, st.integers(0, 5)),
    st.builds(Join, st.sampled_from(["i", "j"]), st.just(20_000)),
    st.builds(Leave, st.just("j")),
    st.builds(PutArtifact, st.just(HASH), data, st.sampled_from([None, "deploy"])),
)
steps = st.lists(st.tuples(st.integers(0, 6), st.lists(commands, min_size=1, max_size=4)), min_size=1, max_size=25)


class Ticking:
    def __init__(self) -> None:
        self.time = 1000 * SECOND

    def __call__(self) -> int:
        return self.time


def outcome(store: Any, commands: list[Command]) -> Any:
    try:
        return store.submit(commands).result(60)
    except StoreError as error:
        return error.code


def content(store: Any) -> dict[str, list[tuple[bytes, bytes]]]:
    """Everything in a store but what names it."""
    with store._reading() as transaction:
        return {
            space: [item for item in transaction.scan(space) if item[0] != b"about"]
            for space in SPACE_NAMES
            if space != CLIENTS
        }


@pytest.fixture(scope="module")
def lmdb_store() -> Iterator[LmdbStore]:
    with tempfile.TemporaryDirectory() as folder:
        handle = open_store(Path(folder) / "store")
        assert isinstance(handle, StoreHandle)
        handle.submit([Fire(0)]).result(60)
        yield handle.store
        handle.close()


def opening() -> list[Command]:
    return [PutArtifact(HASH, b"code", "deploy"), Join("i", 3_600_000)] + [
        Start("f", b"", name="deploy") for _ in range(3)
    ]


def emptied(store: LmdbStore) -> None:
    """A new store takes 20 ms to make; an emptied one will do."""

    def run(changes: Any) -> None:
        for space in SPACE_NAMES:
            for key, _ in changes.transaction.scan(space):
                if key != b"about":
                    changes.transaction.delete(space, key)
        changes.forget()

    future: Future[StoreError | None] = Future()
    assert store._committer is not None
    store._committer.submit(Unit(run, lambda _, error: future.set_result(error)))
    assert future.result(60) is None


@settings(suppress_health_check=list(HealthCheck))
@given(steps)
def test_memory_and_lmdb_are_the_same(lmdb_store: LmdbStore, history: list[tuple[int, list[Command]]]) -> None:
    clock = Ticking()
    memory = MemoryStore(clock)
    lmdb_store._clock, lmdb_store._latest = clock, 0
    emptied(lmdb_store)
    assert outcome(memory, opening()) == outcome(lmdb_store, opening())
    for seconds, batch in history:
        clock.time += seconds * SECOND
        assert outcome(memory, batch) == outcome(lmdb_store, batch)
    assert content(memory) == content(lmdb_store)
    check_indexes(content(memory))


def check_indexes(spaces: dict[str, list[tuple[bytes, bytes]]]) -> None:
    """What must hold between the key spaces of any store."""
    processes = {
        layout.read_pid(key): rows.decode_state(layout.read_pid(key), value, "") for key, value in spaces[layout.STATES]
    }
    assert set(processes) <= {layout.read_pid(key) for key, _ in spaces[layout.PROCESSES]}
    for key, value in spaces[layout.PROCESSES]:
        processes.setdefault(layout.read_pid(key), rows.first_row(rows.decode_born(value)))
    born = [rows.decode_born(value) for _, value in spaces[layout.PROCESSES]]
    origins = {layout.read_pid(key): value for key, value in spaces[layout.ORIGINS] if len(key) == layout.PID_BYTES}
    assert {one.origin for one in born} == set(origins) and len(set(origins.values())) == len(origins)
    far = {
        layout.read_pair(key): rows.decode_request(*layout.read_pair(key), value, "")
        for key, value in spaces[layout.REQUESTS]
    }
    near = {(pid, number): request for pid, row in processes.items() for number, request in row.requests.items()}
    assert not far.keys() & near.keys()
    requests_open = far | near
    marks = {layout.read_pid(value): layout.read_ready_key(key) for key, value in spaces[layout.READY]}
    assert marks == {pid: (pid % 64, row.mark) for pid, row in processes.items() if row.mark}
    assert {key for key, _ in spaces[layout.STATUSES]} == {
        layout.status_key(row.status, pid) for pid, row in processes.items()
    }
    queue = {layout.read_pair(value): key for key, value in spaces[layout.QUEUE]}
    assert queue == {
        target: layout.queue_key(row.effect.encode(), row.place) for target, row in requests_open.items() if row.place
    }
    assert all((row.state == codec.QUEUED) == bool(row.place) for row in requests_open.values())
    due = {key for key, _ in spaces[layout.DUE]}
    leases = {
        layout.due_key(row.lease_until, *target, codec.LEASE)
        for target, row in requests_open.items()
        if row.lease_until
    }
    timed = {
        layout.due_key(layout.read_u64(value), *layout.read_timer_key(key)) for key, value in spaces[layout.TIMERS]
    }
    near_timed = {
        layout.due_key(due, pid, *timer) for pid, row in processes.items() for timer, due in row.timers.items()
    }
    assert not timed & near_timed
    assert {key for key in due if key[-1] not in (codec.DELAY, codec.WAKE)} == leases | timed | near_timed
    assert all((row.state == codec.TAKEN) == bool(row.lease_until) for row in requests_open.values())
    inboxes = [(layout.read_pid(key), layout.read_u64(key, 5) >= codec.MESSAGES) for key, _ in spaces[layout.INBOX]]
    for pid, row in processes.items():
        assert row.messages == inboxes.count((pid, True))
        assert row.events == inboxes.count((pid, False))
        assert row.far_requests == sum(target[0] == pid for target in far)
        assert row.far_timers == sum(layout.read_pid(key) == pid for key, _ in spaces[layout.TIMERS])
        assert row.calls == sum(one.called for target, one in requests_open.items() if target[0] == pid)
        if row.status > codec.PAUSED:
            assert not any(target[0] == pid for target in requests_open)
            assert not row.timers and not row.far_timers and not row.messages and not row.events
        if row.status == codec.LIVE and (row.events or (row.messages and row.receives)):
            assert row.mark, "a live process with something in its inbox is ready"
    assert {layout.read_pid(key) for key, _ in spaces[layout.CALLS]} == {
        pid for pid, row in processes.items() if row.calls
    }
    check_bonds(spaces, processes)
    counters = {key.decode(): codec.decode_number(value) for key, value in spaces[META] if key.startswith(b"counter:")}
    assert counters.get("counter:ready", 0) == sum(
        1 for row in processes.values() if row.mark and row.status == codec.LIVE
    )
    for code in range(5):
        assert counters.get(f"counter:status:{code}", 0) == sum(1 for row in processes.values() if row.status == code)
    assert len(spaces[PARTITIONS]) in (0, 64)


def check_bonds(spaces: dict[str, list[tuple[bytes, bytes]]], processes: dict[int, rows.ProcessRow]) -> None:
    """Each tie is there from both ends, and only living processes have some."""
    tied = {(layout.read_pid(key), key[5], key[6:]): value for key, value in spaces[layout.BONDS]}
    for pid, row in processes.items():
        counts = {kind: count for kind, count in (row.bonds or {}).items() if kind}
        assert counts == {kind: n for kind in range(1, 8) if (n := sum(one[:2] == (pid, kind) for one in tied))}
        assert not counts or row.status <= codec.PAUSED
    assert {pid for pid, _, _ in tied} <= set(processes)
    names = {(layout.read_pid(value), bonds.NAME, key) for key, value in spaces[layout.NAMES]}
    members = {(layout.read_pid(key[-5:]), bonds.GROUP, key[:-6]) for key, _ in spaces[layout.GROUPS] if b"\0" in key}
    others: set[tuple[int, int, bytes]] = set()
    for (pid, kind, rest), value in tied.items():
        own = layout.pid_key(pid)
        if kind == bonds.WATCHES:
            others.add((layout.read_pid(value), bonds.WATCHED, own + rest))
        elif kind == bonds.WATCHED:
            others.add((layout.read_pid(rest), bonds.WATCHES, rest[5:]))
        elif kind > bonds.GROUP:
            back = {bonds.LINK: bonds.LINK, bonds.LEASHES: bonds.LEASHED, bonds.LEASHED: bonds.LEASHES}[kind]
            others.add((layout.read_pid(rest), back, own))
    assert set(tied) == names | members | others
    for key, value in spaces[layout.GROUPS]:
        if b"\0" not in key:
            assert layout.read_pid(value) == sum(one[2] == key for one in members) > 0


@given(st.lists(commands, max_size=5))
def test_commands_cross_the_socket(batch: list[Command]) -> None:
    assert decode_commands(encode_commands(batch)) == batch


def test_results_cross_the_socket() -> None:
    memory = MemoryStore(Ticking())
    batch: list[Command] = [
        *opening(),
        Turn(1, 1, 0, "waiting", (), 1, requests=(Request(1, 1, "a", b"p", b"o", "k"),)),
        Take(("a",), "w", 1, 1000),
        Deliver("t", b""),
        Leave("i"),
        Post(1, "message"),
    ]
    results = memory.submit(batch).result()
    assert decode_results(batch, encode_results(results)) == results


@given(st.binary(max_size=60))
def test_any_bytes_are_commands_or_refused(junk: bytes) -> None:
    try:
        decode_commands(junk)
    except StoreError as error:
        assert error.code == "S206"


# ---- a model -----------------------------------------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """One process with its inbox, requests and timers, as plain lists, next to a memory store."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000 * SECOND
        self.store = MemoryStore(lambda: self.time)
        self.run(*opening())
        self.inbox: list[tuple[str, int, int]] = [("start", 0, 0)]
        self.requests: dict[int, list[Any]] = {}  # number -> [state, attempt, lease_until]
        self.timers: dict[int, int] = {}  # number -> due
        self.sequence = 0
        self.next_number = 1
        self.order: list[int] = []  # of the queue

    def run(self, *batch: Command) -> list[Any]:
        results: list[Any] = self.store.submit(list(batch)).result()
        return results

    def settle(self, number: int, kind: str, state: str = "answered") -> None:
        request = self.requests[number]
        self.arrive(kind, number, request[1])
        request[0] = state
        if number in self.order:
            self.order.remove(number)

    @rule(kind=st.sampled_from(["message", "cancel"]))
    def post(self, kind: str) -> None:
        assert self.run(Post(1, kind)) == [True]
        self.arrive(kind, 0, 0)

    def arrive(self, *event: Any) -> None:
        self.inbox.append(event)
        self.inbox.sort(key=lambda found: 2 if found[0] == "message" else found[0] not in ("start", "cancel"))

    @rule(take=st.integers(0, 3), timeout=st.sampled_from([0, 3, 8]), close=st.booleans())
    def turn(self, take: int, timeout: int, close: bool) -> None:
        number = self.next_number
        self.next_number += 1
        closed = [n for n, found in self.requests.items() if found[0] in ("answered", "lost")] if close else []
        due = self.time + timeout * SECOND
        done = self.run(
            Turn(
                1,
                1,
                self.sequence,
                "waiting",
                ((self.sequence, 0, b"", b""),),
                self.sequence + 1,
                taken=tuple(event.key for event in self.store.inbox(1, take)),
                requests=(Request(1, number, "a", b"", b"", ""),),
                timers=(Timer(due, number, "timeout"),) if timeout else (),
                closed=tuple(closed),
            )
        )
        assert done == [True]
        self.sequence += 1
        del self.inbox[:take]
        for gone in closed:
            del self.requests[gone]
            self.timers.pop(gone, None)
        self.requests[number] = ["queued", 0, 0]
        self.order.append(number)
        if timeout:
            self.timers[number] = due

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        taken = self.run(Take(("a",), "w", limit, 5000))[0]
        assert [found.number for found in taken] == self.order[:limit]
        for number in self.order[:limit]:
            self.requests[number] = ["taken", self.requests[number][1] + 1, self.time + 5 * SECOND]
        del self.order[:limit]

    @precondition(lambda self: self.requests)
    @rule(index=st.integers(0, 99), attempt=st.integers(0, 2))
    def complete(self, index: int, attempt: int) -> None:
        number = sorted(self.requests)[index % len(self.requests)]
        state, known_attempt, _ = self.requests[number]
        expected = state == "taken" and attempt == known_attempt
        assert self.run(Complete(1, number, attempt, True, b"")) == [expected]
        if expected:
            self.settle(number, "answer")

    @rule(seconds=st.integers(1, 6))
    def pass_time(self, seconds: int) -> None:
        self.time += seconds * SECOND
        coming = [(due, number, "timer") for number, due in self.timers.items() if due <= self.time]
        coming += [
            (lease, number, "lost")
            for number, (state, _, lease) in self.requests.items()
            if state == "taken" and lease <= self.time
        ]
        fired = self.run(Fire())[0]
        count = 0
        for _, number, kind in sorted(coming, key=lambda item: (item[0], item[1], item[2] != "timer")):
            if kind == "timer":
                del self.timers[number]
                count += 1
            elif self.requests[number][0] != "taken":
                continue  # its timer was due first and took the lease away; whether Fire saw it before is its affair
            if self.requests[number][0] in ("queued", "taken"):
                self.settle(number, kind, "lost" if kind == "lost" else "answered")
                count += kind == "lost"
        assert fired >= count

    @rule(number=st.integers(1, 5))
    def put_back(self, number: int) -> None:
        if self.requests.get(number, [""])[0] != "lost":
            return
        again = Request(1, number, "a", b"", b"", "")
        assert self.run(Turn(1, 1, self.sequence, "waiting", (), self.sequence, requests=(again,))) == [True]
        self.requests[number][0] = "queued"
        self.timers.pop(number, None)
        self.order.append(number)

    @invariant()
    def agrees(self) -> None:
        assert [(event.kind, event.number, event.attempt) for event in self.store.inbox(1)] == self.inbox
        assert {found.number: found.state for found in self.store.open_requests(1)} == {
            number: found[0] for number, found in self.requests.items()
        }
        assert (1 in self.store.ready(range(64), 10)) == bool(self.inbox)
        leases = [lease for state, _, lease in self.requests.values() if state == "taken"]
        assert self.store.next_due() == min([*self.timers.values(), *leases], default=None)
        check_indexes(content(self.store))


TestModel = Model.TestCase
