"""The simulated local network: the store's links and its owner's server, as they are, over connections of the world.

A connection keeps order, as a local socket does; it delays, and it breaks, and then what was on its way is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flowmetal.store.committer import Committer
from flowmetal.store.interface import Hint
from flowmetal.store.link import Link
from flowmetal.store.server import OwnerServer, _Client
from flowmetal.store.wire_codec import HELLO, PROTOCOL, frame, parse


class End:
    """What one side of a connection sends on: bytes of one message each, which the world delivers to the other side."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.max_message = 0
        self.last_due = 0  # when the last message arrives: the next one does not before

    @property
    def closed(self) -> bool:
        """Whether the connection is broken."""
        return self.connection.broken

    def send(self, data: bytes) -> None:
        """Puts a message on its way."""
        if not self.connection.broken:
            self.connection.post(self, data)


class Connection:
    """A link's connection to an owner's server.

    `later` has a function called after a while, in the order of the end that sends, where the host named lives.
    """

    def __init__(
        self,
        link: SimulatedLink,
        server: SimulatedServer,
        hosts: tuple[Any, Any],
        later: Callable[[End, Any, Callable[[], None]], None],
    ) -> None:
        self.hosts = hosts  # the link's and the owner's
        self.link = link
        self.server = server
        self.broken = False
        self._later = later
        self.at_link = End(self, "link")
        self.at_server = End(self, "server")
        self.client = _Client(self.at_server)  # type: ignore[arg-type]

    def open(self) -> None:
        """Introduces the link."""
        self.server.connections.append(self)
        self.server._clients[self.at_server] = self.client  # type: ignore[index]
        self.link.connection = self
        self.at_link.send(frame(HELLO, PROTOCOL, self.server._store_id, self.link.client, 1))

    def post(self, end: End, data: bytes) -> None:
        """Has a message arrive at the other side."""

        def arrive() -> None:
            if self.broken:
                return
            message = parse(data[4:])
            if end is self.at_link:
                self.server._handle(self.client, message)
            else:
                self.link._heard_at = self.link.monotonic()
                self.link._handle(self.at_link, message)  # type: ignore[arg-type]

        self._later(end, self.hosts[1] if end is self.at_link else self.hosts[0], arrive)

    def cut(self) -> None:
        """Breaks the connection: what is on its way is lost."""
        if not self.broken:
            self.broken = True
            self.link.cut_off()
            self.server._clients.pop(self.at_server, None)  # type: ignore[call-overload]
            if self in self.server.connections:
                self.server.connections.remove(self)


class SimulatedLink(Link):
    """A link without a thread or a socket; the world connects it, and gives it the ownership."""

    def __init__(
        self, client: bytes, monotonic: Callable[[], float], on_hints: Callable[[frozenset[Hint]], None],
        on_connected: Callable[[], None], on_cut: Callable[[], None],
    ) -> None:  # fmt: skip
        self.on_cut = on_cut
        self.client = client
        self.pending = {}
        self.connection: Connection | None = None
        self.monotonic = monotonic
        self._folder = "simulated"  # type: ignore[assignment]
        self._store_id = ""
        self._on_hints = on_hints
        self._on_connected = on_connected
        self._lock = threading.RLock()
        self._number = 0
        self._watching = False
        self._channel = None
        self._refusal = None
        self._owner = None
        self._heard_at = monotonic()
        self._bytes = 0
        self._trouble = None
        self._troubles = 0
        self._closing = threading.Event()

    def cut_off(self) -> None:
        """The connection is gone, as `_talk_over` finds it."""
        if self._channel is not None:
            self._heard_at = self.monotonic()
        self._channel = None
        self.connection = None
        self.on_cut()

    def look(self) -> None:
        """Fails what has waited too long, as its thread does now and then."""
        self._expire(self._trouble or self._no_answer("it cannot be reached"))


class SimulatedServer(OwnerServer):
    """An owner's server without a thread or a socket."""

    def __init__(self, store_id: str, committer: Committer) -> None:
        self._store_id = store_id
        self._check_readers = lambda: None
        self._committer = committer
        self._clients = {}
        self._closing = False
        self._looks = []
        self.connections: list[Connection] = []

    def _look_soon(self) -> None:
        pass


class Threading:
    """What the committer has in place of `threading`: its thread is never started, as the world says when it commits."""

    Lock = threading.Lock
    current_thread = staticmethod(threading.current_thread)

    class Thread:
        """No thread."""

        def __init__(self, **options: Any) -> None: ...

        def start(self) -> None:
            """Starts nothing."""

        def join(self) -> None:
            """There is nothing to wait for."""


class SimulatedCommitter(Committer):
    """A committer without a thread of its own."""

    def commit_now(self) -> None:
        """What the thread would do."""
        with self._committing:
            self._commit_waiting()

    @property
    def waits(self) -> bool:
        """Whether something is to be committed."""
        return bool(self._queue)

    @property
    def broken(self) -> bool:
        """Whether a write has failed so that this process can write no more."""
        return self._broken is not None
