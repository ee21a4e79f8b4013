"""Hosts: the operating system's processes of a simulation, each with a handle of the store and maybe an interpreter.

The handle is LmdbStore as it is, but for how it finds out who owns the store and what it talks over.  The interpreter is
the production one; its thread's loop is `step` here, and its pool of threads a list of jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from flowmetal.dataclass import replace
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Setting
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Command, Hint
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.store.watchers import EVERYTHING, Watchers
from flowmetal.vm import Process
from flowmetal.vm import run as run_machine
from tests.simulation.disk import SimulatedEngine
from tests.simulation.network import Connection, SimulatedCommitter, SimulatedLink, SimulatedServer

if TYPE_CHECKING:
    from tests.simulation.loop import Services
    from tests.simulation.world import World


#: How often a link that is connected looks whether its batches have waited too long, and one that is not tries again.
LOOK = 7_000_000_000
RETRY = 50_000_000


class Killed(BaseException):
    """A host is gone in the middle of what it did.  No Exception: nothing in between may take it for an error."""

    def __init__(self, host: Host | None) -> None:
        super().__init__("killed")
        self.host = host  # None: all of them, by a power cut


class Lock:
    """The owner's lock of the store, as one host sees it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def try_acquire(self) -> bool:
        """Takes it if nobody has it."""
        world = self._host.world
        if world.owner is None:
            world.owner = self._host
        return world.owner is self._host

    def release(self) -> None:
        """Gives it back."""
        if self._host.world.owner is self._host:
            self._host.world.owner = None

    def read_info(self) -> None:
        """Sockets are not needed here."""

    def write_info(self, info: object) -> None:
        """Sockets are not needed here."""

    def forget(self) -> None:
        """Nothing forks here."""


class Locks:
    """Which interpreters live: their hosts do, or, where the world has no such locks, nobody knows."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def hold(self, interpreter: str) -> None:
        """An interpreter of this host joins."""
        self._host.world.joined[interpreter] = self._host

    def joins(self, interpreter: str) -> int:
        """How often it joined; nobody leaves and joins again here."""
        return 0

    def drop(self, interpreter: str, joins: int) -> None:
        """It has left."""
        self._host.world.joined.pop(interpreter, None)

    def alive(self, interpreter: str) -> bool:
        """Whether its host lives; where nothing is known, the lease decides."""
        world = self._host.world
        host = world.joined.get(interpreter)
        return not world.habits.sees_deaths or (host is not None and not host.dead)

    def release(self) -> None:
        """Nothing is held."""

    forget = release


class HostStore(LmdbStore):
    """A host's handle of the store."""

    def __init__(self, host: Host) -> None:
        self.host = host
        world = host.world
        self.url = "lmdb://simulated"
        self.engine = SimulatedEngine(world.disk, world.before_put, world.before_commit, world.after_commit)  # type: ignore[assignment]
        self.path = self.engine.path
        self.id = world.disk.id
        self.origins = {}
        self._clock = world.clock
        self._latest = 0
        self._fault = None
        self._clock_lock = world.lock
        self._role_lock = world.lock  # type: ignore[assignment]
        self._owner_lock = Lock(host)  # type: ignore[assignment]
        self._interpreters = Locks(host)  # type: ignore[assignment]
        self._watchers = Watchers()
        self._committer = None
        self._server = None
        self._link = None
        self._closed = False
        self._forked = False

    def now(self) -> int:
        """The time of the store."""
        return self.host.world.clock.now

    def _take_role(self) -> None:
        self._check_open()
        if self._committer is not None or self._link is not None:
            return
        if self._owner_lock.try_acquire():
            self._own()
        else:
            world = self.host.world
            self._link = SimulatedLink(
                world.random.randbytes(16),
                world.time.monotonic,
                self._hear,
                lambda: self._watchers.tell(EVERYTHING),
                lambda: world.after(RETRY, self.host.tend_link),
            )
            self.host.tend_link()

    def _own(self) -> None:
        world = self.host.world
        committer = SimulatedCommitter(self.engine, self.now, self._interpreters.alive, self._tell)
        self._committer = committer
        self._server = SimulatedServer(self.id, committer)
        world.note("owner", self.host.name)
        self._server.housekeeping()

    def _tell(self, hints: frozenset[Hint]) -> None:
        """Tells of a commit; the world loses, delays and doubles hints."""
        for telling in self.host.world.hinted(lambda: LmdbStore._tell(self, hints)):
            telling()

    def _hear(self, hints: frozenset[Hint]) -> None:
        self._watchers.tell(hints)


class _Pool:
    """In place of the threads of in-process functions: jobs that the world does one at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Adds a job."""
        self._host.jobs.append((function, arguments))

    def shutdown(self, wait: bool, cancel_futures: bool) -> None:
        """There is nothing to end."""


class SimulatedInterpreter(Interpreter):
    """The production interpreter; the world cuts its turns, and kills it within them."""

    def __init__(self, host: Host, config: Config) -> None:
        self._host = host
        super().__init__(host.store, config, programs=host.world.programs)
        self.functions._pool = _Pool(host)  # type: ignore[assignment]

    def _make_setting(self) -> Setting:
        world = self._host.world
        setting = replace(super()._make_setting(), run=self._run_machine)
        if world.habits.entries:
            setting = replace(setting, entries_max=world.habits.entries)
        return replace(setting, cut_slices=world.habits.cut_slices) if world.habits.cut_slices else setting

    def _run_machine(self, process: Process, fuel: int) -> Any:
        world = self._host.world
        world.within_turn(self._host)
        return run_machine(process, world.fuel(fuel))


class Host:
    """One process of the operating system."""

    def __init__(self, world: World, name: str, config: Config | None) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.stopped_until = 0
        self.services: Services | None = None
        self.idle = False
        self.wake_at = 0  # when an idle interpreter looks again, by the world's clock
        self.jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.asks: dict[int, Callable[[Any, Exception | None], None]] = {}
        self._ask = 0
        self.tend_at = 0  # when the link is looked at again
        self.store = HostStore(self)
        self.interpreter: SimulatedInterpreter | None = None
        if config is not None:
            self.interpreter = SimulatedInterpreter(self, config)
            for effect, function, inline in world.functions():
                self.interpreter.register(effect, function, inline)

    # ---- what the world has it do

    @property
    def wants(self) -> bool:
        """Whether its interpreter has something to do now."""
        interpreter = self.interpreter
        return interpreter is not None and (not self.idle or interpreter._signals._news)

    def step(self) -> None:
        """What the interpreter's thread does in one round, and whether it waits then."""
        interpreter = self.interpreter
        assert interpreter is not None
        self.idle = False
        try:
            if interpreter.step():
                return
        except StoreError as error:
            interpreter._in_trouble(error)
            return
        if interpreter._signals._news:
            interpreter._signals._news = False
            return
        self.idle = True
        self.wake_at = self.world.clock.now + 1 + int(max(0.0, interpreter._patience()) * 1e9)

    def work(self) -> None:
        """Does one job of the pool."""
        index = self.world.random.randrange(len(self.jobs))
        function, arguments = self.jobs.pop(index)
        function(*arguments)

    def ask(self, commands: Sequence[Command], done: Callable[[Any, Exception | None], None]) -> None:
        """Submits for a client or worker.  `done` gets results, or the error, and an error where the host dies."""
        self._ask += 1
        number = self._ask
        self.asks[number] = done

        def settled(future: Future[list[Any]]) -> None:
            told = self.asks.pop(number, None)
            if told is not None:
                error = future.exception()
                results = None if error is not None else future.result()
                self.world.soon(lambda: told(results, error))  # type: ignore[arg-type]

        self.store.submit(commands).add_done_callback(settled)

    def tend_link(self) -> None:
        """What the link's thread does: takes the ownership if it is free, else connects."""
        store, world = self.store, self.world
        link = store._link
        if self.dead or not isinstance(link, SimulatedLink):
            return
        if self.stopped_until > world.clock.now:
            world.after(self.stopped_until - world.clock.now, self.tend_link)
            return
        if self.tend_at > world.clock.now and link.connection is not None:
            return  # there is another look to come
        if link.connection is None:
            if store._owner_lock.try_acquire():
                store._take_over(link)
                return
            assert world.owner is not None
            server = world.owner.store._server
            if isinstance(server, SimulatedServer):
                Connection(link, server, (self, world.owner), world.send).open()
        link.look()
        pause = LOOK if link.connection is not None else RETRY
        self.tend_at = world.clock.now + pause
        world.after(pause, self.tend_link)

    def die(self) -> None:
        """kill -9."""
        self.dead = True
        self.world.note("dies", self.name)
        if self.services is not None:
            self.services.end()
        store = self.store
        if store._server is not None:
            for connection in list(store._server.connections):  # type: ignore[attr-defined]
                connection.cut()
        if isinstance(store._link, SimulatedLink) and store._link.connection is not None:
            store._link.connection.cut()
        if self.world.owner is self:
            self.world.owner = None
        store._watchers = Watchers()
        asks, self.asks = self.asks, {}
        for done in asks.values():
            self.world.soon(lambda done=done: done(None, Gone()))  # type: ignore[misc]


class Gone(Exception):
    """The host of an ask died: whether it was applied is not known."""
