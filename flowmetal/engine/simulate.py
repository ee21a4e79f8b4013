"""Running programs in a closed world: a memory store, a clock that only moves when nothing else can happen, and answers
from a table.  Deterministic, with crashes where they are asked for; for tests and for trying a program out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from flowmetal.dataclass import dataclass, replace
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Setting
from flowmetal.engine.effects import CALLBACK
from flowmetal.engine.events import Event, decode_event
from flowmetal.engine.fairness import Waiting
from flowmetal.engine.functions import Function
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import Live, Loaded, entries_from
from flowmetal.store.interface import FINAL_STATUSES, Command, Complete, Deliver, Hint, Post, Request, Start, Take
from flowmetal.store.memory import MemoryStore
from flowmetal.values import ErrorValue, LanguageError, Vector, decode_value, encode_value, keyword

#: 2026-01-01T00:00:00Z, when a simulation begins unless told otherwise.
BEGIN = 1_767_225_600 * 10**9

#: Rounds of a simulation: a program that never comes to rest ends here.
ROUNDS_MAX = 1_000_000

#: How long a simulated worker may take, and requests it takes at once.
LEASE_MS = 60_000
TAKE_LIMIT = 100

#: Answers an effect: gets the payload, returns a value of the language or raises LanguageError.
Answer = Callable[[Any], Any]


class Clock:
    """A clock that stands still until it is moved.  Nanoseconds since 1970."""

    def __init__(self, now: int = BEGIN) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, nanoseconds: int) -> None:
        """Moves the clock forward."""
        self.now += nanoseconds

    def move_to(self, time: int) -> None:
        """Moves the clock forward to a time; it never goes back."""
        self.now = max(self.now, time)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a process: its status ("waiting" if nothing more can happen), value or error, and its log."""

    pid: int
    status: str
    value: Any
    error: ErrorValue | None
    log: tuple[Event, ...]


class Killed(BaseException):
    """The interpreter is gone.  No Exception: nothing in between may take it for an error."""


class SimulatedStore(MemoryStore):
    """A memory store that tells of every commit once it is done, with its number."""

    def __init__(self, clock: Clock, committed: Callable[[int, Sequence[Command]], None]) -> None:
        super().__init__(clock)
        self._committed = committed

    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """See MemoryStore."""
        before = self.commits
        future = super().submit(commands, here)
        if self.commits != before:
            self._committed(self.commits, commands)
        return future


class _InOrder(Waiting):
    """Who gets a turn when, by the store's order alone: what is in memory, which a crash changes, goes not first."""

    def found(self, pid: int) -> None:
        """See Waiting."""
        self[pid] = True

    def _line(self, pid: int) -> dict[int, bool]:
        return self._first.setdefault("", {})


class _SimulatedInterpreter(Interpreter):
    """An interpreter that keeps no process in memory, or ends its turns at every step, as its simulation says."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        super().__init__(simulation.store, simulation.config, programs=simulation.programs)
        self._queue = _InOrder(self._hot)

    def _keep_hot(self, live: Live) -> None:
        if not self._simulation.forgetful:
            super()._keep_hot(live)

    def _make_setting(self) -> Setting:
        setting = super()._make_setting()
        if self._simulation.forgetful:
            setting = replace(setting, cut_slices=1)  # what is not saved would be done again for ever
        return replace(setting, entries_max=1, cut_slices=1) if self._simulation.short_turns else setting


class Simulation:
    """A store, a clock, one interpreter, and a table of answers by effect name.

    An effect that is not in the table is left unanswered.  The answer of "http/callback" is delivered to its token.
    `seed` decides all entropy.  `functions` are answered inside the interpreter.  `kill` says of a commit, its number
    and commands, whether the interpreter dies right after it, with all it has in memory, so that a new one takes over.
    `forgetful`: no process is kept in memory, each turn loads what the last one saved; `short_turns`: a turn ends at
    every step and saves what it has.  `interpreters`: how many share the store and take rounds in turn; `interpreter`
    is the one whose turn it is.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        functions: Mapping[str, Function] | None = None,
        programs: Callable[[bytes], Loaded] | None = None,
        config: Config | None = None,
        seed: int = 0,
        begin: int = BEGIN,
        kill: Callable[[int, Sequence[Command]], bool] | None = None,
        forgetful: bool = False,
        short_turns: bool = False,
        interpreters: int = 1,
    ) -> None:
        self.clock = Clock(begin)
        self.kill = kill
        self.forgetful = forgetful
        self.short_turns = short_turns
        self._stepping = False
        self._dead = False  # a commit of the outside was the interpreter's last
        self.store: MemoryStore = SimulatedStore(self.clock, self._committed)
        self.store.id = f"simulation{seed}"
        self.answers: dict[str, Answer] = dict(answers or {})
        self.functions: dict[str, Function] = dict(functions or {})
        self.programs = programs
        self.random = random.Random(seed)
        self.config = replace(config or Config(), name="simulated", entropy=self.random.randbytes, turn_seconds=0.0)
        self.crashes = 0
        self._asked: set[str] = set()  # effects that were queued at some time
        self.store.watch(self._hinted)
        self.others: list[Interpreter] = []
        for number in range(1, interpreters):
            self.config = replace(self.config, name=f"simulated-{number}")
            self.others.append(self._new_interpreter())
        self.config = replace(self.config, name="simulated")
        self.interpreter = self._new_interpreter()

    def deploy(self, artifact: bytes, name: str | None = None, grants: Sequence[str] | None = None) -> bytes:
        """Puts an artifact into the store; its hash.  `grants`: None for all."""
        return deploy(self.store, artifact, name, grants)

    def start(
        self,
        artifact: bytes,
        function: str,
        arguments: Sequence[Any] = (),
        id: str | None = None,
        grants: Sequence[str] | None = None,
    ) -> int:
        """Starts a process of the program with this hash; its pid.  `grants`: None for all."""
        data = encode_value(Vector.of(arguments))
        command = Start(function=function, arguments=data, artifact=artifact, id=id, grants=grants)
        pid: int = self.store.submit([command]).result()[0][0]
        return pid

    def post(self, pid: int, kind: str, value: Any = None, number: int = 0) -> bool:
        """Puts an event into a process's inbox ("cancel", "pause", "resume", "retry", "message")."""
        accepted: bool = self.store.submit([Post(pid, kind, encode_value(value), number)]).result()[0]
        return accepted

    def crash(self) -> None:
        """Drops the interpreter with all it has in memory and goes on with a new one."""
        self.crashes += 1
        self._dead = False
        if self.interpreter._unwatch is not None:
            self.interpreter._unwatch()  # one that was killed hears nothing more
        self.config = replace(self.config, name=self.interpreter.config.name)
        self.interpreter = self._new_interpreter()

    def settle(self, crash_each_step: bool = False) -> None:
        """Runs what can run now, with no answers and no time going by."""
        idle = 0  # interpreters, one after the other, that found nothing to do
        for _ in range(ROUNDS_MAX):
            if self._dead:
                self.crash()
            before = self.interpreter.commits
            self._stepping = True
            try:
                idle = 0 if self.interpreter.step() else idle + 1
            except Killed:
                self.crash()
                idle = 0
                continue
            finally:
                self._stepping = False
            if idle > len(self.others):
                return
            if crash_each_step and self.interpreter.commits != before:
                self.crash()
            if self.others:
                self.others.append(self.interpreter)
                self.interpreter = self.others.pop(0)

    def run(self, pid: int | None = None, *, until: int | None = None, crash_each_step: bool = False) -> None:
        """Runs until process `pid` has ended (None: all), nothing more can happen, or the clock is at `until`."""
        for _ in range(ROUNDS_MAX):
            self.settle(crash_each_step)
            if pid is not None:
                record = self.store.process(pid)
                if record is None or record.status in FINAL_STATUSES:
                    return
            if self._answer_some():
                self._look_now()
                continue
            due = self._next_due()
            if due is None or (until is not None and due > until):
                if until is not None:
                    self.clock.move_to(until)
                return
            self.clock.move_to(due)
            self._look_now()

    def _look_now(self) -> None:
        for interpreter in (self.interpreter, *self.others):
            interpreter.look_now()

    def outcome(self, pid: int) -> Ran:
        """What has come of a process so far."""
        record = self.store.process(pid)
        if record is None:
            raise KeyError(pid)
        data = self.store.result(pid)
        # The result may hold functions of the program.
        value = decode_value(data, self.interpreter.programs(record.artifact).table) if data is not None else None
        log = tuple(decode_event(entry.event) for entry in entries_from(self.store, pid, 0) if not entry.part)
        if record.status == "done" or data is None:
            return Ran(pid, record.status, value, None, log)
        return Ran(pid, record.status, None, value, log)

    def _committed(self, number: int, commands: Sequence[Command]) -> None:
        if self.kill is not None and self.kill(number, commands):
            if self._stepping:
                raise Killed
            self._dead = True

    def _new_interpreter(self) -> Interpreter:
        interpreter = _SimulatedInterpreter(self)
        for effect, function in self.functions.items():
            interpreter.register(effect, function, inline=True)
        return interpreter

    def _next_due(self) -> int | None:
        """When something can happen next without anybody's doing."""
        dues = [one.functions.next_due for one in (self.interpreter, *self.others)]
        dues.append(self.store.next_due())
        return min((due for due in dues if due is not None), default=None)

    def _hinted(self, hints: frozenset[Hint]) -> None:
        self._asked.update(what for kind, what in hints if kind == "request")

    def _answer_some(self) -> bool:
        effects = tuple(sorted(effect for effect in self._asked if effect in self.answers))
        requests: list[Request] = []
        if effects and self.store.queued(effects):
            requests = self.store.submit([Take(effects, "simulation", TAKE_LIMIT, LEASE_MS)]).result()[0]
        for request in requests:
            ok, data = _answer(self.answers[request.effect], request)
            self.store.submit([Complete(request.pid, request.number, request.attempt, ok, data)]).result()
        return bool(requests) or self._deliver_some()

    def _deliver_some(self) -> bool:
        answer = self.answers.get(CALLBACK)
        if answer is None:
            return False
        delivered = False
        for record in self.store.processes(limit=10_000, statuses=("waiting",)):
            for request in self.store.open_requests(record.pid):
                if request.effect == CALLBACK:
                    ok, data = _answer(answer, request)
                    if ok:
                        accepted = self.store.submit([Deliver(request.idempotency_key, data)]).result()[0]
                        delivered = delivered or accepted == "accepted"
        return delivered


def run_program(
    artifact: bytes,
    function: str,
    arguments: Sequence[Any] = (),
    answers: Mapping[str, Answer] | None = None,
    *,
    seed: int = 0,
    crash_each_step: bool = False,
) -> Ran:
    """Runs one function of an artifact to its end, or to where nothing more can happen."""
    simulation = Simulation(answers, seed=seed)
    pid = simulation.start(simulation.deploy(artifact), function, arguments)
    simulation.run(pid, crash_each_step=crash_each_step)
    return simulation.outcome(pid)


def _answer(answer: Answer, request: Request) -> tuple[bool, bytes]:
    try:
        return True, encode_value(answer(decode_value(request.payload)))
    except LanguageError as error:
        return False, encode_value(error.error)
    except Exception as error:  # a table of answers may hold anything; its mistakes are errors of the program's call
        message = f"{type(error).__name__}: {error}"
        return False, encode_value(ErrorValue(keyword("simulation/answer-failed"), message, None))
