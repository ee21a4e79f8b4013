"""The world of one test: a simulation whose outside is in the test itself, with quotas, and with chaos if asked for.

What a test asks of the world and its `answering` forms answer, leaves its process as a request like any other.  The
world takes it as a worker would, hands it to the server fiber of the form (the effects `test/next` and `test/reply`),
and completes the request with what that says.  Under chaos this takes time, happens twice, or is lost on the way;
a request that is tried again after a loss is not asked of the test twice, as a service that knows its idempotency
keys would have it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from flowmetal.dataclass import dataclass, replace
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call, Setting
from flowmetal.engine.functions import Functions
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import Loaded, policy_of
from flowmetal.engine.simulate import ROUNDS_MAX, Simulation
from flowmetal.engine.testing.chaos import LOST_AFTER_MS, Chaos
from flowmetal.store.interface import Complete, Deliver, Post, PutArtifact, Request, Take
from flowmetal.store.requests import MAX_LEASE_MS
from flowmetal.values import Map, Pid, Vector, decode_value, encode_value, keyword, print_string
from flowmetal.vm import OutOfFuel, Process, run

NEXT, REPLY, DELIVER = "test/next", "test/reply", "test/deliver"

#: Calls and loop turns of one test: some seconds.
FUEL = 10_000_000

#: A step costs about as much as so many calls.
FUEL_OF_A_STEP = 250

#: Processes of one test whose requests are looked at.
PROCESSES_MAX = 10_000

_NIL = encode_value(None)


class Crash(BaseException):
    """The interpreter is gone in the middle of a turn.  No Exception: nothing in between may take it for an error."""


class Stopped(BaseException):
    """The test cannot go on; `problem` says why, `request` and `process` where."""

    def __init__(self, problem: FlowmetalError, process: Process | None = None, request: Request | None = None) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.process = process
        self.request = request


@dataclass(slots=True)
class Asked:
    """A request on its way to the test that answers it, and back."""

    request: Request
    attempt: int
    lost: bool  # the worker of this attempt vanishes
    losses: int = 0
    reply: tuple[bool, bytes] | None = None


class TestWorld(Simulation):
    """The closed world of one test."""

    def __init__(self, program: Loaded, chaos: Chaos | None = None, fuel: int = FUEL) -> None:
        self.chaos = chaos
        self.fuel = fuel
        self.used = 0
        self.steps = 0
        self._servers: dict[tuple[int, int], tuple[int, frozenset[str]]] = {}  # open `test/next` -> depth, effects
        self._asked_of_test: dict[tuple[int, int], Asked] = {}
        self._handing: list[tuple[int, float, int, int]] = []  # due, rank, pid, number: to be given to a server
        self._coming: list[tuple[int, float, int, Callable[[], None]]] = []  # due, rank, number: what will arrive
        self._number = 0
        self._seen: set[tuple[int, int]] = set()  # replies and deliveries that were taken
        # No clock but the world's may decide anything: a batch is one turn, and the store is always looked at.
        config = Config(batch_seconds=0.0, fallback_seconds=0.0, function_threads=1)
        seed = chaos.seed if chaos is not None else 0
        super().__init__(programs=lambda hash: program, config=config, seed=seed)
        self.store.submit([PutArtifact(program.program.hash, b"test", "test")]).result()

    # ---- the interpreter

    def _new_interpreter(self) -> Interpreter:
        return _TestInterpreter(self)

    def run_machine(self, process: Process, fuel: int) -> Any:
        """What turns run: the machine, with the test's quota and the cuts and crashes of chaos."""
        chaos = self.chaos
        given = min(fuel, self.fuel + 1 - self.used)
        if chaos is not None:
            if chaos.crashes_within():
                raise Crash
            given = chaos.fuel(given)
        outcome = run(process, given)
        cut = isinstance(outcome, OutOfFuel)
        self.used += given if cut else min(given, max(0, given - process.fuel))
        self.steps += 0 if cut else 1
        if cut and chaos is not None and given < fuel:
            chaos.was_cut()
        if self.used > self.fuel:
            raise Stopped(FlowmetalError("V332", fuel=self.fuel), process)
        if self.steps * FUEL_OF_A_STEP > self.fuel:
            raise Stopped(FlowmetalError("V333", steps=self.steps), process)
        return outcome

    def settle(self, crash_each_step: bool = False) -> None:
        """Runs what can run now; under chaos interpreters die on the way, and what is due may arrive."""
        chaos = self.chaos
        for _ in range(ROUNDS_MAX):
            before = self.interpreter.commits
            try:
                if not self.interpreter.step():
                    return
            except Crash:
                self.crash()
                continue
            if chaos is not None and self.interpreter.commits != before:
                if chaos.crashes_after():
                    self.crash()
                if self._coming and chaos.arrives_early():
                    self._arrive()

    # ---- the outside

    def call(self, call: Call) -> None:
        """What a test asks of its runner.  A call that was cut off by a crash is made again."""
        key = (call.pid, call.number)
        if call.effect == NEXT:
            depth, effects = call.payload
            self._servers[key] = (depth, frozenset(effects))
            return
        # The answer is in the store before anything comes of it, and one that is lost is asked for again.
        accepted = self.store.submit([Complete(call.pid, call.number, call.attempt - 1, True, _NIL)]).result()[0]
        if key in self._seen or not accepted:
            return
        self._seen.add(key)
        if call.effect == REPLY:
            self._replied(*call.payload)
        else:
            self._delivered(*call.payload)

    def _replied(self, id: Any, ok: Any, value: Any) -> None:
        asked = self._asked_of_test.get((id.get(0), id.get(1)))
        if asked is not None:
            asked.reply = (ok is True, encode_value(value))
            self._send(asked)

    def _delivered(self, target: Any, value: Any) -> None:
        data = encode_value(value)
        if target.__class__ is Pid:
            self._later(lambda: self._submit(Post(target.number, "message", data)))
            return
        token = target.rpartition("/")[2] if target.__class__ is str else ""

        def arrive() -> None:
            if self._submit(Deliver(token, data)) == "unknown":
                raise Stopped(FlowmetalError("V335", url=print_string(target, limit=200)))

        self._later(arrive)
        if self.chaos is not None and self.chaos.doubles():
            self._later(arrive)

    def _send(self, asked: Asked) -> None:
        """Sends the answer of a request on its way."""
        request, attempt = asked.request, asked.attempt
        assert asked.reply is not None
        command = Complete(request.pid, request.number, attempt, *asked.reply)

        def arrive() -> None:
            if self._submit(command):
                self._asked_of_test.pop((request.pid, request.number), None)

        lost_for = LOST_AFTER_MS * 1_000_000 * 2 if asked.lost else 0
        self._later(arrive, lost_for)  # the answer of a lost worker comes when nobody waits for it any more
        if self.chaos is not None and self.chaos.doubles():
            self._later(arrive, lost_for)

    def _submit(self, command: Any) -> Any:
        return self.store.submit([command]).result()[0]

    def _later(self, arrive: Callable[[], None], at_least: int = 0) -> None:
        chaos = self.chaos
        due = self.clock() + at_least + (chaos.delay() if chaos is not None else 0)
        self._number += 1
        heapq.heappush(self._coming, (due, self._rank(), self._number, arrive))

    def _rank(self) -> float:
        return self.chaos.rank() if self.chaos is not None else self._number

    def _arrive(self) -> bool:
        """Lets the first of what is due arrive; without chaos all of it."""
        arrived = False
        while self._coming and self._coming[0][0] <= self.clock():
            heapq.heappop(self._coming)[3]()
            arrived = True
            if self.chaos is not None:
                break
        return arrived

    # ---- rounds at rest

    def _next_due(self) -> int | None:
        dues = [self.store.next_due(), *(rows[0][0] for rows in (self._coming, self._handing) if rows)]
        return min((due for due in dues if due is not None), default=None)

    def _answer_some(self) -> bool:
        return self._arrive() or self._take_some() or self._hand_over()

    def _take_some(self) -> bool:
        """Takes what is queued, as a worker; an effect that no server covers ends the test."""
        taken = False
        living = self.store.processes(limit=PROCESSES_MAX, statuses=("ready", "waiting"))
        open = {record.pid: self.store.open_requests(record.pid) for record in living}
        known = {(request.pid, request.number) for requests in open.values() for request in requests}
        self._servers = {key: server for key, server in self._servers.items() if key in known}
        for pid, requests in open.items():
            for request in requests:
                if request.state != "queued" or not request.queued or request.not_before > self.clock():
                    continue
                if self._server(pid, request.effect) is None:
                    payload = print_string(decode_value(request.payload), limit=300)
                    problem = FlowmetalError("V330", effect=f":{request.effect}", payload=payload)
                    raise Stopped(problem, request=request)
                self._take(request)
                taken = True
        return taken

    def _take(self, request: Request) -> None:
        """Takes the oldest request of an effect."""
        chaos = self.chaos
        policy = policy_of(request)
        # A loss counts as an attempt; a program that says how many it wants, or what a loss means to it, is left alone.
        may_lose = policy.retry is None and policy.when_unknown == "retry"
        key = (request.pid, request.number)
        known = self._asked_of_test.get(key)
        losses = known.losses if known is not None else 0
        lost = chaos is not None and may_lose and chaos.loses(losses)
        lease = LOST_AFTER_MS if lost else MAX_LEASE_MS
        for taken in self._submit(Take((request.effect,), "test", 1, lease)):
            key = (taken.pid, taken.number)
            known = self._asked_of_test.get(key)
            if known is None:
                self._asked_of_test[key] = Asked(taken, taken.attempt, lost, int(lost))
                self._number += 1
                due = self.clock() + (chaos.delay() if chaos is not None else 0)
                heapq.heappush(self._handing, (due, self._rank(), *key))
                continue
            known.attempt, known.lost, known.losses = taken.attempt, lost, known.losses + int(lost)
            if known.reply is not None:
                self._send(known)

    def _server(self, pid: int, effect: str) -> tuple[int, int] | None:
        """The server that answers an effect of a process and waits for more: its own innermost one, or another's."""
        found = [(key[0] != pid, -depth, key) for key, (depth, effects) in self._servers.items() if effect in effects]
        return min(found)[2] if found else None

    def _hand_over(self) -> bool:
        """Gives one request to the fiber that answers it."""
        while self._handing and self._handing[0][0] <= self.clock():
            row = heapq.heappop(self._handing)
            _, _, *ids = row
            key = (ids[0], ids[1])
            asked = self._asked_of_test.get(key)
            if asked is None:
                continue
            request = asked.request
            server = self._server(request.pid, request.effect)
            if server is None:
                self._asked_of_test.pop(key)  # its server has ended meanwhile, and with it whoever asked
                continue
            del self._servers[server]
            told = Map.of(
                [
                    (keyword("id"), Vector.of(key)),
                    (keyword("effect"), keyword(request.effect)),
                    (keyword("payload"), decode_value(request.payload)),
                ]
            )
            if self._submit(Complete(server[0], server[1], 0, True, encode_value(told))):
                return True
            heapq.heappush(self._handing, row)  # this one had its request before a crash, and was made known again
        return False


class _TestInterpreter(Interpreter):
    """An interpreter whose turns run as the world says, and that hands the runner's effects to it."""

    def __init__(self, world: TestWorld) -> None:
        self._world = world
        super().__init__(world.store, world.config, programs=world.programs)
        self.functions = _TestFunctions(world, self._signals.wake)
        self._setting = self._make_setting()

    def _make_setting(self) -> Setting:
        chaos = self._world.chaos
        setting = replace(super()._make_setting(), run=self._world.run_machine)
        return setting if chaos is None else replace(setting, entries_max=chaos.habits.entries, cut_slices=1)


class _TestFunctions(Functions):
    """The effects of the runner; the world answers them through the store."""

    def __init__(self, world: TestWorld, arrived: Callable[[], None]) -> None:
        super().__init__(dict.fromkeys((NEXT, REPLY, DELIVER), _never), 1, arrived)
        self._world = world

    def call(self, call: Call, now: int) -> None:
        """Hands a call to the world, which answers it later."""
        self._world.call(call)


def _never(call: Call) -> Any:
    raise AssertionError(f"{call.effect} is answered by the world of the test")
