"""The world of a simulation: one seed draws what happens when, and the production code does the rest.

Everything is a queue of what may happen now (a round of an interpreter, a commit, a message that arrives, a job of a
pool) and of what is due later; each time one of the first is drawn.  Only when there is none the clock goes on, to the
next of the others.  For a while faults are drawn as well; then the world heals, and all must come to its end.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine import fairness, interpreter, trouble
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.live import Loaded
from flowmetal.store import committer, link, server
from tests.simulation.disk import BEGIN, Disk, DiskFailed, DiskFull, MapFullError
from tests.simulation.hosts import Host, Killed
from tests.simulation.network import Connection, End, SimulatedServer, Threading

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

#: What may happen in one run: one that never comes to rest ends here.
TICKS_MAX = 8_000

#: And so does one in which nothing has come to its end long after the last fault.
PATIENCE_SECONDS = 8 * 3600


class Violation(Exception):
    """A promise is broken."""


@dataclass(slots=True)
class Habits:
    """How likely what is, in one run; each run has other ones, so that some are merciless and some quiet."""

    interpreters: int
    synced: bool
    sees_deaths: bool  # whether the store can tell that an interpreter's host is gone
    faults: int  # how many there are at most
    fault: float  # how likely one is in a tick
    kill_in_turn: float
    kill_at_commit: float
    cut_at_commit: float  # connections break before the answers are sent
    hint_lost: float
    hint_late: float
    hint_doubled: float
    delay_ms: int  # the longest on the way between hosts
    cut: float  # a turn is cut
    fuel: int  # after at most so many calls
    entries: int  # steps of one turn; 0: as usual
    cut_slices: int
    slow_clock: float  # how likely the monotonic clock goes on between two looks
    hot: int
    lease_ms: int
    fallback: float
    batch_turns: int
    turn_seconds: float
    losses: float  # a worker vanishes with a request
    twice: float  # an answer or a delivery comes twice
    slow: float  # an answer takes its time


def draw_habits(source: random.Random) -> Habits:
    """The habits of one run."""
    pick: Callable[..., Any] = source.choice
    quiet = source.random() < 0.1
    return Habits(
        interpreters=pick((1, 1, 2, 2, 3)),
        synced=source.random() > 0.1,
        sees_deaths=pick((True, False)),
        faults=0 if quiet else pick((1, 3, 8)),
        fault=pick((0.002, 0.01, 0.05)),
        kill_in_turn=0 if quiet else pick((0.0, 0.0, 0.02)),
        kill_at_commit=0 if quiet else pick((0.0, 0.0, 0.02, 0.1)),
        cut_at_commit=0 if quiet else pick((0.0, 0.0, 0.1)),
        hint_lost=0 if quiet else pick((0.0, 0.1, 0.5, 0.9)),
        hint_late=pick((0.0, 0.2)),
        hint_doubled=pick((0.0, 0.2)),
        delay_ms=pick((0, 0, 1, 20)),
        cut=pick((0.0, 0.0, 0.2, 0.9)),
        fuel=pick((2, 10, 100)),
        entries=pick((0, 0, 1, 3)),
        cut_slices=pick((0, 1)),
        slow_clock=pick((0.0, 0.05, 0.5)),
        hot=pick((1, 3, 10_000, 10_000)),
        lease_ms=pick((15_000, 60_000)),
        fallback=pick((10.0, 30.0)),
        batch_turns=pick((1, 4, 512)),
        turn_seconds=pick((0.0, 0.001)),
        losses=0 if quiet else pick((0.0, 0.1, 0.3)),
        twice=pick((0.0, 0.2)),
        slow=pick((0.0, 0.3)),
    )


class Clock:
    """The clock of the store; nanoseconds since 1970."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now


class Time:
    """What the production modules have in place of `time`: it goes on a little, now and then, when it is looked at."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._more = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        world = self._world
        if world.habits.slow_clock and world.random.random() < world.habits.slow_clock:
            self._more += world.random.choice((0.0001, 0.002, 0.05))
        return 1000.0 + (world.clock.now - BEGIN) / 1e9 + self._more

    thread_time = monotonic

    def sleep(self, seconds: float) -> None:
        """Nobody sleeps here."""
        raise AssertionError("a sleep in a simulation")


_CLOCKED = (interpreter, fairness, trouble, committer, link, server)


@contextmanager
def in_time(time: Time) -> Iterator[None]:
    """Gives the production modules a clock of the world; none of them looks at another."""
    before = [(module, module.time, getattr(module, "CLOCK_SECONDS", None)) for module in _CLOCKED]
    for module in _CLOCKED:
        module.time = time  # type: ignore[assignment]
    interpreter.CLOCK_SECONDS = 1e9  # nobody sets this clock
    committer.threading = Threading  # type: ignore[attr-defined]
    try:
        yield
    finally:
        committer.threading = threading  # type: ignore[attr-defined]
        for module, old, seconds in before:
            module.time = old  # type: ignore[attr-defined]
            if seconds is not None:
                module.CLOCK_SECONDS = seconds  # type: ignore[attr-defined]


class World:
    """One run.  The outside (outside.py) adds services, clients and people; `programs` gives the one program there is."""

    def __init__(self, seed: int, program: Loaded, habits: Habits | None = None) -> None:
        self.random = random.Random(f"world {seed}")
        self.habits = habits or draw_habits(self.random)
        self.programs = lambda hash: program
        self.clock = Clock()
        self.time = Time(self)
        self.lock = threading.RLock()
        self.disk = Disk(f"simulation{seed}", self.habits.synced)
        self.owner: Host | None = None
        self.joined: dict[str, Host] = {}
        self.later: list[tuple[int, int, Callable[[], None]]] = []
        self.now_due: list[Callable[[], None]] = []
        self.number = 0
        self.ticks = 0
        self.healed = False
        self.faults = 0
        self.last_fault = 0
        self.full_until = 0
        self.fail_commit = 0  # 1: it fails and nothing is kept; 2: it fails and is there
        self.kill_commit = 0  # 1: the owner dies before the next one, 2: all do
        self.counts: dict[str, int] = {}
        self.incarnation = 0
        self.void = False  # a commit that was acknowledged is gone, as it may be without a sync
        self.steps = 0  # log entries that were committed
        self.hosts: list[Host] = []

    # ---- saying and scheduling

    def note(self, what: str, who: str = "") -> None:
        """Counts something, and makes it part of the trace."""
        self.counts[what] = self.counts.get(what, 0) + 1
        self.disk.trace.update(f"{what} {who} {self.clock.now}".encode())

    def happens(self, likely: float) -> bool:
        """Draws."""
        return likely > 0 and self.random.random() < likely

    def soon(self, function: Callable[[], None]) -> None:
        """Has something happen now, in any order with all else."""
        self.now_due.append(function)

    def after(self, delay: int, function: Callable[[], None]) -> None:
        """Has something happen later."""
        self.number += 1
        heapq.heappush(self.later, (self.clock.now + delay, self.number, function))

    def delay(self) -> int:
        """How long something takes between two hosts."""
        return self.random.randint(0, self.habits.delay_ms) * MILLISECOND if self.habits.delay_ms else 0

    def send(self, end: End, host: Host, arrive: Callable[[], None]) -> None:
        """Has a message arrive at a host, after those that were sent before it."""
        due = max(end.last_due, self.clock.now + self.delay())
        end.last_due = due

        def arriving() -> None:
            if host.stopped_until > self.clock.now:
                end.last_due = max(end.last_due, host.stopped_until)
                self._at(host.stopped_until, arriving)
            elif not host.dead:
                arrive()

        self._at(due, arriving)

    def _at(self, due: int, function: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.later, (due, self.number, function))

    def hinted(self, tell: Callable[[], None]) -> list[Callable[[], None]]:
        """What becomes of a hint: those that are told now."""
        habits = self.habits
        if not self.healed and self.happens(habits.hint_lost):
            return []
        if self.happens(habits.hint_late):
            self.after(self.random.randint(0, 200) * MILLISECOND, tell)
            return [tell] if self.happens(habits.hint_doubled) else []
        return [tell, tell] if self.happens(habits.hint_doubled) else [tell]

    # ---- hosts

    def config(self, name: str) -> Config:
        """The settings of an interpreter."""
        habits = self.habits
        return Config(
            name=name,
            hot_processes=habits.hot,
            batch_turns=habits.batch_turns,
            lease_ms=habits.lease_ms,
            fallback_seconds=habits.fallback,
            turn_seconds=habits.turn_seconds,
            entropy=self.random.randbytes,
        )

    def functions(self) -> list[tuple[str, Callable[[Call], Any], bool]]:
        """What interpreters answer themselves: effect, function, whether inline."""
        return []

    def add_host(self, role: str) -> Host:
        """Starts a process of the operating system: "interpreter" or "outside"."""
        self.incarnation += 1
        name = f"{role}-{self.incarnation}"
        host = Host(self, name, self.config(name) if role == "interpreter" else None)
        self.hosts.append(host)
        return host

    def kill(self, host: Host) -> None:
        """kill -9, and another one comes in its place."""
        if host.dead:
            return
        host.die()
        self.hosts.remove(host)
        role = host.name.partition("-")[0]
        pause = 0 if self.healed else self.random.choice((0, 10, 1000, 20_000)) * MILLISECOND
        self.after(pause, lambda: self.restarted(self.add_host(role)))

    def restarted(self, host: Host) -> None:
        """A host has come in the place of one that died."""

    def cut_power(self) -> None:
        """All hosts die, and what was not synced may be gone."""
        self.note("power")
        for host in list(self.hosts):
            self.kill(host)
        unsynced = len(self.disk.unsynced)
        kept = unsynced - self.random.randint(0, min(1, unsynced))  # the head of the last commit
        if self.disk.cut_power(kept):
            self.note("lost")
            self.lost_commit()

    def lost_commit(self) -> None:
        """A commit that was not synced is gone."""

    def connections(self) -> list[Connection]:
        """All there are."""
        server = self.owner.store._server if self.owner is not None else None
        return list(server.connections) if isinstance(server, SimulatedServer) else []

    @property
    def outside(self) -> Host | None:
        """A host for clients and workers."""
        return next((host for host in self.hosts if host.interpreter is None), None)

    # ---- what production asks in the middle

    def within_turn(self, host: Host) -> None:
        """An interpreter begins to run a process."""
        if not self.healed and self.happens(self.habits.kill_in_turn):
            self._fault_done("killed in a turn")
            raise Killed(host)

    def fuel(self, fuel: int) -> int:
        """Where a turn is cut."""
        if self.happens(self.habits.cut):
            return min(fuel, self.random.randint(1, self.habits.fuel))
        return fuel

    def before_put(self) -> None:
        """A write of a transaction."""
        if not self.healed and self.random.random() < 0.0005:
            raise MapFullError

    def before_commit(self) -> None:
        """A transaction is about to be durable."""
        if self.clock.now < self.full_until:
            raise DiskFull("no space left")
        if self.fail_commit == 1:
            self.fail_commit = 0
            raise DiskFailed("the sync failed")
        kill, self.kill_commit = self.kill_commit, 0
        if kill:
            raise Killed(self.owner if kill == 1 else None)

    def after_commit(self) -> None:
        """It is."""
        if self.fail_commit == 2:
            self.fail_commit = 0
            raise DiskFailed("the sync failed")
        if not self.healed and self.happens(self.habits.kill_at_commit):
            self._fault_done("killed at a commit")
            raise Killed(self.owner if self.random.random() < 0.7 else None)
        if not self.healed and self.happens(self.habits.cut_at_commit):
            for connection in self.connections():
                connection.cut()
            self._fault_done("cut at a commit")

    # ---- faults

    def _fault_done(self, what: str) -> None:
        self.faults += 1
        self.last_fault = self.clock.now
        self.note(what)
        if self.faults >= self.habits.faults:
            self.heal()

    def heal(self) -> None:
        """From now on nothing goes wrong but what did."""
        self.healed = True
        self.full_until = min(self.full_until, self.clock.now + 30 * SECOND)

    def fault(self) -> None:
        """Something goes wrong."""
        if not self.hosts:
            return
        source = self.random
        host = source.choice(self.hosts)
        kind = source.choice(("kill", "kill", "power", "stop", "stop", "cut", "cut", "fail", "full", "before", "jump"))
        if kind == "kill":
            self.kill(host)
        elif kind == "power":
            self.cut_power()
        elif kind == "stop":
            seconds = self.habits.lease_ms / 1000 * source.choice((0.1, 1.1, 2, 5))
            host.stopped_until = self.clock.now + int(seconds * SECOND)
        elif kind == "cut":
            connections = self.connections()
            if connections:
                source.choice(connections).cut()
        elif kind == "fail":
            self.fail_commit = source.choice((1, 2))
        elif kind == "full":
            self.full_until = self.clock.now + source.choice((1, 10, 100)) * SECOND
        elif kind == "before":
            self.kill_commit = source.choice((1, 2))
        else:
            self.clock.now += source.choice((10, 1000, 20_000)) * MILLISECOND
        self._fault_done(kind)

    # ---- running

    def finished(self) -> bool:
        """Whether all has come to its end."""
        raise NotImplementedError

    def run(self) -> None:
        """Runs until all has come to its end.  Violation where it does not."""
        for self.ticks in range(TICKS_MAX):
            if not self.healed and self.happens(self.habits.fault):
                self.fault()
            choices = self._choices()
            if choices:
                choice = choices[0] if len(choices) == 1 else self.random.choice(choices)
                try:
                    choice()
                except Killed as killed:
                    if killed.host is None:
                        self.cut_power()
                    else:
                        self.kill(killed.host)
            elif not self._go_on():
                return
        raise Violation(f"it does not come to rest in {TICKS_MAX} ticks: {self.unfinished()}")

    def unfinished(self) -> str:
        """What has not come to its end, for a message."""
        return ""

    def _choices(self) -> list[Callable[[], None]]:
        choices: list[Callable[[], None]] = []
        now = self.clock.now
        for host in self.hosts:
            if host.stopped_until > now:
                continue
            if host.wants or (host.interpreter is not None and host.wake_at <= now):
                choices.append(host.step)
            if host.jobs:
                choices.append(host.work)
            if host.services is not None and (due := host.services.loop.due) is not None and due <= now:
                choices.append(host.services.loop.once)
            store = host.store
            writer: Any = store._committer
            if writer is not None:
                if writer.broken:
                    choices.append(lambda host=host: self.kill(host))  # type: ignore[misc]
                elif writer.waits:
                    choices.append(writer.commit_now)
                elif self.disk.unsynced and self.random.random() < 0.1:
                    choices.append(self.disk.sync)
        if self.now_due:
            choices.append(self._do_now)
        if self.later and self.later[0][0] <= now:
            choices.append(self._do_due)
        return choices

    def _do_now(self) -> None:
        index = self.random.randrange(len(self.now_due)) if len(self.now_due) > 1 else 0
        self.now_due.pop(index)()

    def _do_due(self) -> None:
        heapq.heappop(self.later)[2]()

    def _go_on(self) -> bool:
        """Moves the clock to what is due next; False where all has come to its end."""
        if self.finished():
            return False
        dues = [self.later[0][0]] if self.later else []
        for host in self.hosts:
            if host.interpreter is not None:
                dues.append(max(host.wake_at, host.stopped_until))
            elif host.stopped_until > self.clock.now:
                dues.append(host.stopped_until)
            if host.services is not None and (due := host.services.loop.due) is not None:
                dues.append(max(due, host.stopped_until))
        if not dues:
            raise Violation(f"nothing can happen any more: {self.unfinished()}")
        self.clock.now = max(self.clock.now + 1, min(dues))
        if self.clock.now - max(self.last_fault, BEGIN) > PATIENCE_SECONDS * SECOND:
            if self.void:
                return False  # what somebody waits for may be in what is gone
            raise Violation(f"stuck: {self.unfinished()}")
        if not self.healed and self.clock.now - BEGIN > 600 * SECOND:
            self.heal()
        return True
