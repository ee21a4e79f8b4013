"""Queues against a small model: whatever is enqueued, ended, cancelled, paused and waited for, in whatever order, the
same processes begin in the same order, no limit is ever exceeded, and in the end all have run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowmetal.store import open_store
from flowmetal.store.codec import DELAY, WAKE
from flowmetal.store.interface import Fire, Join, Post, Start
from flowmetal.store.layout import DUE, read_due_key, u64
from tests.store.queue_kit import check_queues, operate
from tests.store.support import SECOND, Rig

KEYS = (None, "a", "b", "c")
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": st.integers(1, 4),
        "rate": st.sampled_from(["1/5s", "3/10s", "4/2s"]),
        "key_concurrency": st.integers(1, 2),
        "key_rate": st.sampled_from(["1/4s", "2/7s"]),
    },
)


class Clock:
    now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now


def rate_of(text: str | None) -> tuple[int, int]:
    count, _, period = (text or "0/0s").partition("/")
    return int(count), int(period[:-1]) * SECOND


@dataclass
class Model:
    """The same queue with plain lists, looked through from end to end."""

    limits: dict[str, Any] = field(default_factory=dict)
    paused: bool = False
    running: dict[int, str | None] = field(default_factory=dict)
    lanes: dict[tuple[str, int], list[tuple[int, int]]] = field(default_factory=dict)  # (ticket, pid), sorted
    turns: dict[tuple[str, int], int] = field(default_factory=dict)
    turn: int = 0
    ticket: int = 0
    admitted: int = 0
    starts: list[tuple[int, str | None]] = field(default_factory=list)  # while the rate was set
    began: list[int] = field(default_factory=list)

    def enter(self, pid: int, key: str | None, priority: int, now: int, ticket: int | None = None) -> int:
        if ticket is None:
            if self.may_begin_at_once(key, now):
                self.begin(pid, key, now)
                return 0
            self.ticket += 1
            ticket = self.ticket
        self.lanes.setdefault((key or "", priority), []).append((ticket, pid))
        self.lanes[key or "", priority].sort()
        self.refresh(key or "", now)
        return ticket

    def may_begin_at_once(self, key: str | None, now: int) -> bool:
        return not self.turns and self.may_begin(now) and not self.blocked(key or "", now)

    def may_begin(self, now: int) -> bool:
        limit = self.limits.get("concurrency")
        return not self.paused and (not limit or len(self.running) < limit) and self.rate_allows(None, now)

    def rate_allows(self, key: str | None, now: int) -> bool:
        count, period = rate_of(self.limits.get("rate" if key is None else "key_rate"))
        recent = [at for at, its in self.starts if at > now - period and (key is None or its == key)]
        return not count or len(recent) < count

    def blocked(self, key: str, now: int) -> bool:
        if not key:
            return False
        limit = self.limits.get("key_concurrency")
        return bool(limit and sum(its == key for its in self.running.values()) >= limit) or not self.rate_allows(
            key, now
        )

    def refresh(self, key: str, now: int) -> None:
        for lane in [lane for lane in self.lanes if lane[0] == key]:
            if self.blocked(key, now):
                self.turns.pop(lane, None)
            elif lane not in self.turns:
                self.turn += 1
                self.turns[lane] = self.turn

    def begin(self, pid: int, key: str | None, now: int) -> None:
        self.running[pid] = key
        self.starts.append((now, key))
        self.admitted += 1
        self.began.append(pid)

    def drop(self, pid: int) -> None:
        for lane, items in list(self.lanes.items()):
            items[:] = [item for item in items if item[1] != pid]
            if not items:
                del self.lanes[lane]
                self.turns.pop(lane, None)

    def end(self, pid: int, now: int) -> None:
        if pid in self.running:
            key = self.running.pop(pid)
            self.refresh(key or "", now)
        else:
            self.drop(pid)

    def settle(self, now: int) -> None:
        while self.turns and self.may_begin(now):
            by_turn = self.admitted % 8 == 7
            lane = min(self.turns, key=lambda one: (0 if by_turn else -one[1], self.turns[one]))
            if self.blocked(lane[0], now):
                self.refresh(lane[0], now)
                continue
            pid = self.lanes[lane][0][1]
            self.drop(pid)
            self.begin(pid, lane[0] or None, now)
            self.turns.pop(lane, None)
            self.refresh(lane[0], now)


class Queues(RuleBasedStateMachine):
    """One queue and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.rig = Rig(open_store("memory:", clock=self.clock), self.clock)
        self.model = Model()
        self.waiting: dict[int, tuple[str | None, int, int]] = {}  # pid -> (key, priority, ticket)
        self.delayed: dict[int, tuple[int, str | None, int]] = {}
        self.parked: dict[int, tuple[str | None, int, int]] = {}
        self.all: list[int] = []
        self.ended: set[int] = set()
        self.dropped: set[int] = set()
        self.began: list[int] = []
        self.at_change = 0  # how many ran when the limits were last changed
        self.dedups: dict[str, tuple[int, int]] = {}

    @initialize(limits=LIMITS)
    def begin(self, limits: dict[str, Any]) -> None:
        self.rig.claim = self.rig.one(Join("interpreter", 7 * 24 * 3600 * 1000))
        self.rig.start()  # makes a program; this process is in no queue
        self.rig.turn(1, "done", result=b"")
        self.define(limits)

    def define(self, limits: dict[str, Any]) -> None:
        operate(self.rig.store, "queue/define", {"name": "q", "window": "9s", **limits})
        self.model.limits = dict(limits)

    def settled(self) -> None:
        self.model.settle(self.clock.now)
        for pid in self.rig.store.ready(range(64), 10_000):
            self.began.append(pid)
            self.rig.turn(pid, "waiting")
        for pid in self.began:
            self.waiting.pop(pid, None)
        assert self.began == self.model.began

    @rule(
        key=st.sampled_from(KEYS),
        priority=st.sampled_from([0, 0, 0, 1, -1]),
        delay=st.sampled_from([0, 0, 0, 3]),
        dedup=st.sampled_from([None, None, None, "x", "y"]),
        copies=st.integers(1, 3),
    )
    def start(self, key: str | None, priority: int, delay: int, dedup: str | None, copies: int) -> None:
        now = self.clock.now
        command = Start("deploy/main", b"", name="deploy", queue=("q", key, priority, delay * SECOND, dedup))
        for pid, created in self.rig.do(*[command] * copies):
            known, until = self.dedups.get(dedup or "", (0, 0))
            if dedup is not None and until > now:
                assert (pid, created) == (known, False)
                continue
            assert created
            self.all.append(pid)
            if dedup is not None:
                self.dedups[dedup] = (pid, now + 9 * SECOND)
            if delay:
                self.delayed[pid] = (now + delay * SECOND, key, priority)
            else:
                self.waiting[pid] = (key, priority, self.model.enter(pid, key, priority, now))
        self.settled()

    @precondition(lambda self: self.model.running)
    @rule(which=st.integers(0, 100), status=st.sampled_from(["done", "failed", "cancelled"]), count=st.integers(1, 3))
    def end(self, which: int, status: str, count: int) -> None:
        for _ in range(min(count, len(self.model.running))):
            pids = list(self.model.running)
            pid = pids[which % len(pids)]
            self.model.end(pid, self.clock.now)
            self.rig.turn(pid, status, result=b"")
            self.ended.add(pid)
            self.settled()

    @precondition(lambda self: self.waiting or self.delayed or self.parked)
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        pids = sorted([*self.waiting, *self.delayed, *self.parked])
        pid = pids[which % len(pids)]
        self.rig.one(Post(pid, "cancel"))
        self.rig.turn(pid, "cancelled", result=b"")
        for table in (self.waiting, self.delayed, self.parked):
            table.pop(pid, None)
        self.model.end(pid, self.clock.now)
        self.ended.add(pid)
        self.dropped.add(pid)
        self.settled()

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100))
    def park(self, which: int) -> None:
        pids = sorted(self.waiting)
        pid = pids[which % len(pids)]
        self.rig.one(Post(pid, "pause"))
        self.rig.turn(pid, "paused", receives=False)
        self.parked[pid] = self.waiting.pop(pid)
        self.model.drop(pid)
        self.settled()

    @precondition(lambda self: self.parked)
    @rule(which=st.integers(0, 100))
    def unpark(self, which: int) -> None:
        pids = sorted(self.parked)
        pid = pids[which % len(pids)]
        key, priority, ticket = self.parked.pop(pid)
        self.rig.one(Post(pid, "resume"))
        self.waiting[pid] = (key, priority, ticket)
        self.model.enter(pid, key, priority, self.clock.now, ticket)
        self.model.settle(self.clock.now)
        self.rig.turn(pid, "waiting", receives=False)
        self.settled()

    @rule(seconds=st.integers(0, 6))
    def tick(self, seconds: int) -> None:
        """Time goes by in small steps, as timers fire."""
        until = self.clock.now + seconds * SECOND
        while True:
            due = self.rig.store.next_due()
            self.clock.now = max(self.clock.now, min(until, due)) if due is not None else until
            with self.rig.store._reading() as transaction:  # type: ignore[attr-defined]
                entries = transaction.scan(DUE, stop=u64(self.clock.now + 1))
            self.rig.one(Fire())
            # Of what is due at one time, the store says what comes first.
            for stored, value in entries:
                _, pid, order, kind = read_due_key(stored)
                if kind == DELAY:
                    _, key, priority = self.delayed.pop(pid)
                    self.model.ticket += 1
                    self.waiting[pid] = (key, priority, self.model.ticket)
                    self.model.enter(pid, key, priority, self.clock.now, self.model.ticket)
                elif kind == WAKE and order:
                    self.model.refresh(value.decode(), self.clock.now)
            self.settled()
            if self.clock.now >= until:
                return

    @rule(limits=LIMITS)
    def change(self, limits: dict[str, Any]) -> None:
        if any(name in {**limits, **self.model.limits} for name in ("rate", "key_rate")):
            return  # what began while there was no rate is not known to it
        self.define(limits)
        self.at_change = len(self.model.running)
        for key in KEYS:
            self.model.refresh(key or "", self.clock.now)
        self.settled()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        operate(self.rig.store, "queue/pause" if paused else "queue/resume", "q")
        self.model.paused = paused
        self.settled()

    @invariant()
    def holds(self) -> None:
        check_queues(self.rig.store, lowered=self.at_change > 0)
        limit = self.model.limits.get("concurrency")
        shown = operate(self.rig.store, "queue/list", None)
        if shown:
            assert shown[0]["running"] == len(self.model.running)
        for kind, name in ((None, "rate"), *((key, "key_rate") for key in KEYS if key)):
            count, period = rate_of(self.model.limits.get(name))
            times = [at for at, key in self.model.starts if kind in (None, key)]
            if count:
                assert all(b - a >= period for a, b in zip(times, times[count:], strict=False))
        assert limit is None or len(self.model.running) <= max(limit, self.at_change)

    def teardown(self) -> None:
        """All are let go on: in the end everybody has run who was not cancelled."""
        if not self.rig.store.processes():
            return
        self.pause(False)
        while self.parked:
            self.unpark(0)
        for _ in range(2000):
            if not (self.model.running or self.waiting or self.delayed):
                break
            if self.model.running:
                self.end(0, "done", 1)
            else:
                self.tick(6)
        assert self.ended == set(self.all)
        assert set(self.began) == set(self.all) - self.dropped | (set(self.began) & self.dropped)
        entries = self.rig.store.stats()["entries"]
        assert [entries[f"queue_{name}"] for name in ("items", "heads", "arguments")] == [0, 0, 0]
        check_queues(self.rig.store)


TestQueues = Queues.TestCase
TestQueues.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
