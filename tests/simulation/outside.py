"""The outside of a simulation: services that know idempotency keys, and clients, each over the store's own commands.

A client whose answer does not come does not know whether it was done.  It asks again where that is safe (a start with an
id, a completion, a delivery), and leaves the rest open; what it was told is held against the store at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.engine.draft import Call
from flowmetal.engine.live import Loaded
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import (
    FINAL_STATUSES,
    Command,
    Complete,
    Deliver,
    Operate,
    Post,
    PutArtifact,
    Request,
    Start,
    Take,
)
from flowmetal.store.memory import MemoryTransaction
from flowmetal.store.store_reads import StoreReads
from flowmetal.values import (
    ErrorValue,
    Map,
    Vector,
    decode_value,
    encode_value,
    from_python,
    keyword,
)
from tests.simulation.disk import BEGIN, Disk
from tests.simulation.hosts import Host
from tests.simulation.loop import Services
from tests.simulation.plans import Plan, encoded
from tests.simulation.world import MILLISECOND, SECOND, Clock, Habits, World

EFFECTS = ("svc/double", "svc/flaky", "svc/refuse", "svc/announce", "http/request")

#: The schedule that some runs have, and when it ends.
TICK, TICKS_UNTIL = "3s", 20 * SECOND

#: How many of the runs have the production worker, HTTP connector and callback app.
PRODUCTION = 0.25

#: A worker vanishes with one request at most so often.
LOSSES_MAX = 2
LEASE_MS = 20_000

K_X = keyword("x")
QUEUES = (("queue/1", {"concurrency": 1}), ("queue/2", {"concurrency": 2, "key-concurrency": 1, "rate": "2/5s"}))

#: Functions of processes that go on for ever: they serve others.
SERVANTS = ("sim/entity", "lock/")


@dataclass(slots=True)
class Key:
    """What the services know of an idempotency key."""

    pid: int
    number: int
    effect: str
    payload: bytes
    calls: int = 0
    losses: int = 0


@dataclass(slots=True)
class Promises:
    """What clients were told: to be found in the store at the end."""

    pids: dict[str, int] = field(default_factory=dict)  # by id
    answers: list[tuple[int, int, bool, bytes]] = field(default_factory=list)  # pid, number, ok, data
    notes: dict[int, list[int]] = field(default_factory=dict)  # by sender: those that were accepted
    maybe: set[tuple[int, int]] = field(default_factory=set)  # notes of which nobody knows
    cancelled: set[int] = field(default_factory=set)  # pids that were asked to end
    created: dict[str, int] = field(default_factory=dict)  # by id: how often a start said that it was the first


class Outside(World):
    """A world with services, clients, and the plans that they start."""

    def __init__(self, seed: int, program: Loaded, plans: list[Plan], habits: Habits | None = None):
        super().__init__(seed, program, habits)
        self.plans = plans
        self.keys: dict[str, Key] = {}
        self.numbers: dict[tuple[int, int], str] = {}  # the key of each request that was seen
        self.promises = Promises()
        self.open_work = 0  # what clients still have to do
        self.acknowledged: set[tuple[int, int]] = set()  # requests whose answer was taken
        self.looking = False
        self.sequences: dict[int, tuple[int, str]] = {}  # what queries have shown
        self.problems: list[str] = []  # of the store and the engine
        self.broken_promises: list[str] = []
        self.looks_left = 3  # of a person at processes that stand still
        self.void = False  # see complain
        self.looked_at = -1  # commits when it was last looked whether all has come to its end
        self.hash = program.program.hash
        self.reader = Reader(self.disk, self.clock)
        self.steering = self.random.random() < 0.3
        self.scheduled = self.random.random() < 0.1
        self.production = self.random.random() < PRODUCTION  # whether the outside is our own connectors and worker
        self.cancelling = self.random.random() < 0.15

    def complain(self, problem: str) -> None:
        """Something that was told or seen outside does not hold.

        Where a power cut may cost the last commit, and has, what it had told is void.
        """
        self.broken_promises.append(problem)

    # ---- functions of interpreters

    def functions(self) -> list[tuple[str, Callable[[Call], Any], bool]]:
        """See World."""
        return [("svc/inline", self._plus_ten, True), ("svc/pool", self._plus_ten, False)]

    def _plus_ten(self, call: Call) -> Any:
        self.perform(call.idempotency_key, call.pid, call.number, call.effect, encode_value(call.payload))
        return call.payload + 10

    # ---- services

    def perform(self, key: str, pid: int, number: int, effect: str, payload: bytes) -> Key:
        """An effect outside: its step must be in the store, and its key the one it always had."""
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = Key(pid, number, effect, payload)
        known.calls += 1
        self.note("effect", key)
        if (known.pid, known.number, known.effect, known.payload) != (pid, number, effect, payload):
            self.complain(f"key {key} is of request {known.number} of {known.pid}, and of {number} of {pid}")
        if self.numbers.setdefault((pid, number), key) != key:
            self.complain(f"request {number} of process {pid} has the keys {self.numbers[pid, number]} and {key}")
        record = self.reader.process(pid)
        if record is None or (record.status not in FINAL_STATUSES and not self._has_request(pid, number)):
            self.complain(f"effect {effect} of request {number} of process {pid}, which is not in the store")
        return known

    def _has_request(self, pid: int, number: int) -> bool:
        """Whether the request is open, or is over: what matters is that the log has its step."""
        store = self.reader
        if any(request.number == number for request in store.open_requests(pid)):
            return True
        return any(number == one for one in self.requested(pid))

    def requested(self, pid: int) -> list[int]:
        """The numbers of the requests in a process's log; see checks.py."""
        raise NotImplementedError

    def look_for_work(self) -> None:
        """A worker takes what is queued, if it is not looking already."""
        host = self.outside
        if host is None or self.looking or host.stopped_until > self.clock.now:
            return
        try:
            if not host.store.queued(EFFECTS):
                return
        except StoreError:
            return
        self.looking = True
        limit = self.random.choice((1, 2, 32))

        def taken(results: Any, error: Exception | None) -> None:
            self.looking = False
            if error is not None:
                self.after(SECOND, self.look_for_work)
                return
            for request in results[0]:
                self.serve(request)
            self.soon(self.look_for_work)

        host.ask([Take(EFFECTS, "worker", limit, LEASE_MS)], taken)

    def poll(self) -> None:
        """The slow look of a worker."""
        if self.production:
            return
        self.look_for_work()
        self.after(5 * SECOND, self.poll)

    def serve(self, request: Request) -> None:
        """One attempt of a request: the worker may vanish before, or after its effect."""
        habits = self.habits
        if (request.pid, request.number) in self.acknowledged:
            self.complain(f"request {request.number} of {request.pid} is there again, after its answer was taken")
        key = self.keys.get(request.idempotency_key)
        may_lose = key is None or key.losses < LOSSES_MAX
        fate = self.random.choice(("before", "after", "late")) if may_lose and self.happens(habits.losses) else ""
        if fate == "before":
            if key is not None:
                key.losses += 1
            return
        key = self.perform(request.idempotency_key, request.pid, request.number, request.effect, request.payload)
        ok, data = self._answer(request, key)
        if fate:
            key.losses += 1
        if fate == "after":
            return
        delay = self.random.randint(0, 3000) * MILLISECOND if self.happens(habits.slow) else 0
        if fate == "late":
            delay += (LEASE_MS + 1000) * MILLISECOND
        for _ in range(2 if self.happens(habits.twice) else 1):
            self.after(delay, lambda: self._complete(request, ok, data))

    def _answer(self, request: Request, key: Key) -> tuple[bool, bytes]:
        payload = decode_value(request.payload)
        match request.effect:
            case "svc/double":
                return True, encode_value(2 * payload)
            case "svc/flaky":
                if key.calls <= payload.get(1):
                    return False, encode_value(ErrorValue(keyword("svc/busy"), "busy", None))
                return True, encode_value(payload.get(0))
            case "svc/refuse":
                return False, encode_value(ErrorValue(keyword("svc/refused"), "no", Map.of([(K_X, payload)])))
            case "svc/announce":
                self.announced(payload.get(0).rpartition("/")[2], payload.get(1))
                return True, encode_value(None)
        body = payload.get(keyword("json"))
        answer = {"status": 200, "headers": {}, "body": {"x": 2 * body.get(K_X)}}
        return True, encode_value(_with_keywords(answer))

    def _complete(self, request: Request, ok: bool, data: bytes) -> None:
        def answered(results: Any, error: Exception | None) -> None:
            if error is not None:
                self.after(SECOND, lambda: self._complete(request, ok, data))
            elif results[0]:
                self.promises.answers.append((request.pid, request.number, ok, data))
                if ok:
                    self.acknowledged.add((request.pid, request.number))

        self.ask([Complete(request.pid, request.number, request.attempt, ok, data)], answered)

    def asked(self, key: str, body: bytes) -> int:
        """An HTTP request arrives at its site: the number in it."""
        pid, number = map(int, key.split("-")[1:])
        self.perform(key, pid, number, "http/request", b"")
        return int(json.loads(body)["x"])

    def announced(self, token: str, x: int) -> None:
        """Somebody outside hears of a callback's address and delivers to it until it is acknowledged."""
        data = encode_value(Map.of([(K_X, x)]))

        def deliver() -> None:
            host = self.outside if self.production else None
            if host is not None and host.services is not None:
                host.services.deliver(token, json.dumps({"x": x}).encode(), posted)
            else:
                self.ask([Deliver(token, data)], delivered)

        def posted(status: int) -> None:
            if status == 404:
                self.complain(f"token {token} is unknown")
            elif status not in (200, 202):
                self.after(SECOND, deliver)

        def delivered(results: Any, error: Exception | None) -> None:
            if error is not None:
                self.after(SECOND, deliver)
            elif results[0] == "unknown":
                self.complain(f"token {token} is unknown")

        for _ in range(2 if self.happens(self.habits.twice) else 1):
            self.after(self.delay() + (self.random.randint(0, 2000) if self.happens(0.3) else 0) * MILLISECOND, deliver)

    # ---- clients

    def ask(self, commands: list[Command], done: Callable[[Any, Exception | None], None]) -> None:
        """Asks the store, by the host of the clients if there is one."""
        host = self.outside
        if host is None:
            self.after(SECOND, lambda: self.ask(commands, done))
        else:
            host.ask(commands, done)

    def begin(self) -> None:
        """Deploys, defines the queues, and has the clients begin."""
        host = self.add_host("outside")
        interpreters = [self.add_host("interpreter") for _ in range(self.habits.interpreters)]
        del interpreters
        healed, self.healed = self.healed, True  # what a run needs is there before anything goes wrong
        _Now(self, host).submit([PutArtifact(self.hash, b"see World.programs", "sim")])
        used = {str(plan) for plan in self.plans}
        for name, limits in QUEUES:
            if any(name in text for text in used):
                payload = encode_value(from_python({"name": name, **limits}))
                _Now(self, host).submit([Operate("queue/define", payload)])
        if self.scheduled:
            put = {"name": "tick", "every": TICK, "end": "2026-01-01T00:00:20Z", "program": "sim"}
            more = {"function": "tick", "pass-run": True, "overlap": "allow", "catch-up": "all"}
            _Now(self, host).submit([Operate("schedule/put", encode_value(from_python({**put, **more})))])
        self.disk.sync()
        self.healed = healed or not self.habits.faults
        self.restarted(host)
        self.poll()
        for index in range(len(self.plans)):
            self._start(f"root-{index}", "sim/main", Vector.of([encoded(self.plans[index])]))
            if self.happens(0.1):
                self._start(f"root-{index}", "sim/main", Vector.of([encoded(self.plans[index])]))
        if self.random.random() < 0.3:
            self._start("collector", "sim/collect", Vector.of([]))

    def restarted(self, host: Host) -> None:
        """A worker's host begins to watch."""
        if host.interpreter is None and self.production:
            host.services = Services(self, host)
        elif host.interpreter is None:
            self.looking = False
            self._watch(host)

    def _watch(self, host: Any) -> None:
        def hinted(hints: Any) -> None:
            if any(kind in ("request", "everything") for kind, _ in hints):
                self.soon(self.look_for_work)

        try:
            host.store.watch(hinted)
        except StoreError:
            self.after(SECOND, lambda: self._watch(host))

    def _start(self, id: str, function: str, arguments: Vector) -> None:
        """Starts a process with an id until the store has said that it is there."""
        self.open_work += 1
        command = Start(function, encode_value(arguments), name="sim", id=id)

        def begin() -> None:
            self.ask([command], started)

        def started(results: Any, error: Exception | None) -> None:
            if error is not None:
                self.after(SECOND, begin)
                return
            pid, created = results[0]
            self.promises.created[id] = self.promises.created.get(id, 0) + bool(created)
            if self.promises.pids.setdefault(id, pid) != pid:
                self.complain(f"{id} is process {self.promises.pids[id]} and process {pid}")
            self.open_work -= 1
            self._started(id, pid)

        self.after(self.random.choice((0, 0, 5, 1000)) * MILLISECOND, begin)

    def _started(self, id: str, pid: int) -> None:
        if id == "collector":
            senders = self.random.randint(1, 2)
            self.open_work += senders
            for sender in range(senders):
                self._note(pid, sender, 0, self.random.randint(1, 5), senders)
            return
        if self.steering and self.random.random() < 0.5:
            self.after(self.random.randint(0, 2000) * MILLISECOND, lambda: self._steer(pid))
        if self.cancelling and self.random.random() < 0.5:
            self.promises.cancelled.add(pid)
            self.after(self.random.randint(0, 5000) * MILLISECOND, lambda: self._post(pid, "cancel"))
        if self.random.random() < 0.3:
            self._query(pid, 5)

    def _note(self, pid: int, sender: int, i: int, last: int, senders: int) -> None:
        """A sender's next message, when the last one was accepted; after one of which nobody knows there is none."""

        def sent(results: Any, error: Exception | None) -> None:
            if error is not None:
                self.promises.maybe.add((sender, i))
            elif not results[0]:
                self.complain(f"message {i} of {sender} was refused")
            else:
                self.promises.notes.setdefault(sender, []).append(i)
                if i < last:
                    self._note(pid, sender, i + 1, last, senders)
                    return
            self.open_work -= 1
            if self.promises.pids.get("collector") == pid:
                self._ended_notes(pid, senders)

        note = encode_value(Vector.of([keyword("note"), sender, i]))
        self.after(self.delay(), lambda: self.ask([Post(pid, "message", note)], sent))

    def _ended_notes(self, pid: int, senders: int) -> None:
        self.counts["note senders"] = self.counts.get("note senders", 0) + 1
        if self.counts["note senders"] == senders:
            # What is on its way for nobody knows how long must not come after the end.
            pause = 60 * SECOND if self.promises.maybe else 0
            self.after(pause, lambda: self._post(pid, "message", encode_value(keyword("end"))))

    def _post(self, pid: int, kind: str, data: bytes = b"", then: Callable[[], None] | None = None) -> None:
        """Posts until it is acknowledged; a second one of a kind changes nothing.  Then does what comes then."""

        def posted(results: Any, error: Exception | None) -> None:
            if error is not None:
                self.after(SECOND, lambda: self._post(pid, kind, data, then))
            elif then is not None:
                then()

        self.ask([Post(pid, kind, data or encode_value(None))], posted)

    def _steer(self, pid: int) -> None:
        """A person pauses a process, and has it go on later."""

        def paused() -> None:
            self.after(self.random.choice((1, 20, 4000)) * MILLISECOND, lambda: self._post(pid, "resume", then=resumed))

        def resumed() -> None:
            self.open_work -= 1

        self.open_work += 1
        self._post(pid, "pause", then=paused)

    def _query(self, pid: int, times: int) -> None:
        """A client looks: what it was shown once is never taken back."""
        host = self.random.choice(self.hosts) if self.hosts else None
        record = host.store.process(pid) if host is not None else None
        if record is not None:
            before = self.sequences.get(pid, (0, ""))
            gone_back = record.sequence < before[0] or (before[1] in FINAL_STATUSES and record.status != before[1])
            if gone_back:
                self.complain(f"{pid} was {before} and is {(record.sequence, record.status)}")
            self.sequences[pid] = (record.sequence, record.status)
        if times:
            self.after(self.random.randint(1, 3000) * MILLISECOND, lambda: self._query(pid, times - 1))

    def lost_commit(self) -> None:
        """See World: with a weaker durability the last commit may be gone, and what it acknowledged."""
        self.void = True
        self.reader.origins.clear()  # no process that reads lives through a power cut

    # ---- the end

    def finished(self) -> bool:
        """See World."""
        if self.open_work or not self.hosts or len(self.promises.pids) < len(self.plans):
            return False
        if self.scheduled and self.clock.now <= BEGIN + TICKS_UNTIL + SECOND:
            return False
        due = self.reader.next_due()
        if due is not None and due <= self.clock.now:
            return False
        if self.looked_at == self.disk.commits:
            return False
        self.looked_at = self.disk.commits
        living = self._living()
        stand = [record.pid for record in living if record.status == "paused" and not record.error]
        if stand and self.healed and self.looks_left:
            # A word of a person was lost with an unsynced commit, or another came late: who sees it says it again.
            self.looks_left -= 1
            for pid in stand:
                self._post(pid, "resume")
        collector = self.promises.pids.get("collector", 0)
        if self.void and self.healed and self.looks_left and any(record.pid == collector for record in living):
            self.looks_left -= 1  # likewise the senders' last word
            self._post(collector, "message", encode_value(keyword("end")))
        return not living

    def _living(self) -> list[Any]:
        store = self.reader
        living = store.processes(statuses=("ready", "waiting", "paused"), limit=1000)
        return [record for record in living if not record.function.startswith(SERVANTS)]

    def unfinished(self) -> str:
        """See World."""
        living = (
            [f"{one.pid} {one.function} {one.status} {one.waits} {one.error}" for one in self._living()]
            if self.hosts
            else []
        )
        return f"{self.open_work} things to do, {'; '.join(living[:5])}"


class Reader(StoreReads):
    """Reads what is committed, whoever lives."""

    def __init__(self, disk: Disk, clock: Clock) -> None:
        self.id = disk.id
        self._clock = clock
        self.origins = {}
        self._disk = disk

    def now(self) -> int:
        """The time of the store."""
        return self._clock.now

    def _reading(self) -> Any:
        return nullcontext(MemoryTransaction(self._disk.tables))

    def _engine_stats(self) -> dict[str, Any]:
        return {}


class _Now:
    """A store whose commands are done when it returns, for what comes before a run."""

    def __init__(self, world: World, host: Any) -> None:
        self._host = host

    def submit(self, commands: list[Command]) -> Any:
        """The future, settled."""
        future = self._host.store.submit(commands)
        committer = self._host.store._committer
        committer.commit_now()
        future.result()
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host.store, name)


def _with_keywords(value: Any) -> Any:
    """Plain data with its text keys as keywords."""
    if isinstance(value, dict):
        return Map.of([(keyword(key), _with_keywords(one)) for key, one in value.items()])
    return value
