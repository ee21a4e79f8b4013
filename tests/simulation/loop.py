"""An asyncio loop whose time is the world's, and production code on it: a Worker, the HTTP connector, the callback app.

What these do in threads is done in place here.  A host that dies takes its loop along: its tasks are cancelled with a
store that answers nothing any more, so that nothing of their cleaning up is seen.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import contextlib
import heapq
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from flowmetal.client import serving, worker
from flowmetal.client.over_store import StoreClient
from flowmetal.client.worker import Context, Worker, WorkerError
from flowmetal.connectors.http_callback.app import Callbacks
from flowmetal.connectors.http_request import connector as http_connector
from flowmetal.connectors.http_request.connector import HttpRequestConnector
from flowmetal.store.errors import StoreError
from flowmetal.store.futures import failed_future
from tests.simulation.disk import BEGIN

if TYPE_CHECKING:
    from tests.simulation.hosts import Host
    from tests.simulation.outside import Outside

#: Rounds that the tasks of a host which died may take to end.
LAST_ROUNDS = 200

#: Attempts at one request that the network loses, or the site refuses, at most.
LOST_MAX = 3

#: In place of the slow look of whoever waits for hints, which would fill the runs.
POLL_SECONDS = 10.0

#: What the worker serves; the rest of EFFECTS has a connector of its own.
WORKER_EFFECTS = ("svc/double", "svc/flaky", "svc/refuse", "svc/announce")


class _Selector:
    def select(self, timeout: float | None) -> list[Any]:
        """Nothing ever comes from outside."""
        return []

    def close(self) -> None:
        """There is nothing to close."""


class Loop(asyncio.BaseEventLoop):
    """Runs when the world says so, one round at a time."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self._selector = _Selector()
        self._now = now
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Seconds since the simulations begin."""
        return (self._now() - BEGIN) / 1e9

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    @property
    def due(self) -> int | None:
        """When it has something to do: a time that is over for now, None for never."""
        if self._ready:  # type: ignore[attr-defined]
            return 0
        while self._scheduled and self._scheduled[0]._cancelled:  # type: ignore[attr-defined]
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)  # type: ignore[attr-defined]
        return BEGIN + int(self._scheduled[0]._when * 1e9) + 1 if self._scheduled else None  # type: ignore[attr-defined]

    def once(self) -> None:
        """One round."""
        asyncio.events._set_running_loop(self)
        try:
            self._run_once()  # type: ignore[attr-defined]
        finally:
            asyncio.events._set_running_loop(None)


class _Pulse:
    """In place of the thread that extends leases: a task."""

    def __init__(
        self, name: str, beat: Callable[[], Awaitable[None]], seconds: float, end: Callable[[], Awaitable[None]]
    ) -> None:
        self._beat, self._seconds = beat, seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to beat."""
        self._task = asyncio.ensure_future(self._beating())

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._beat()

    def stop(self, timeout: float | None = None) -> bool:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
        return True


async def _in_place(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class _Dead:
    """The store of a host that died."""

    def __getattr__(self, name: str) -> Any:
        if name == "submit":
            return lambda commands, here=False: failed_future(StoreError("S114", path="simulated"))
        if name == "watch":
            return lambda callback: lambda: None
        raise StoreError("S114", path="simulated")


class _Handle:
    """The store as a host's services see it, until it dies."""

    def __init__(self, store: Any) -> None:
        self.inner = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Services:
    """The production services of one host."""

    def __init__(self, world: Outside, host: Host) -> None:
        self.world = world
        self.host = host
        self.loop = Loop(world.clock)
        self.store = _Handle(host.store)
        self.pending: dict[int, Callable[[int], None]] = {}  # deliveries without an answer
        self._number = 0
        self._run(self._work())
        self._run(self._connect())
        self.app = Callbacks(self.store, clock=lambda: world.clock.now / 1e9, environment={}).app()  # type: ignore[arg-type]

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.loop.create_task(coroutine)

    async def _work(self) -> None:
        made = Worker(StoreClient(self.store, _no_deploy), self.host.name, concurrency=3)  # type: ignore[arg-type]
        for effect in WORKER_EFFECTS:
            made.function(effect)(self._function)
        await made._main()

    async def _connect(self) -> None:
        await HttpRequestConnector(
            self.store,  # type: ignore[arg-type]
            name=f"http-{self.host.name}",
            clock=lambda: self.world.clock.now / 1e9,
        )._main()

    def _function(self, payload: Any, context: Context) -> Any:
        request = context._running.request
        world = self.world
        key = world.perform(request.idempotency_key, request.pid, request.number, request.effect, request.payload)
        match request.effect:
            case "svc/double":
                return 2 * payload
            case "svc/flaky":
                if key.calls <= payload[1]:
                    raise WorkerError("svc/busy", "busy")
                return payload[0]
            case "svc/refuse":
                raise WorkerError("svc/refused", "no", {"x": payload})
        world.announced(payload[0].rpartition("/")[2], payload[1])
        return None

    def deliver(self, token: str, body: bytes, done: Callable[[int], None]) -> None:
        """POSTs to a callback; `done` gets the status."""

        self._number += 1
        number = self._number
        self.pending[number] = done

        async def post() -> None:
            status = 0
            sent = False

            async def receive() -> dict[str, Any]:
                nonlocal sent
                if sent:
                    return {"type": "http.disconnect"}
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]

            path = f"/callbacks/{token}"
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
                "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
                "client": ("10.0.0.9", 1), "server": ("10.0.0.2", 80),
            }  # fmt: skip
            await self.app(scope, receive, send)  # type: ignore[arg-type]
            told = self.pending.pop(number, None)
            if told is not None:
                told(status)

        self._run(post())

    def end(self) -> None:
        """The host is gone."""
        self.store.inner = _Dead()
        logging.disable(logging.CRITICAL)  # what its tasks say of their end nobody hears
        try:
            self._end_tasks()
        finally:
            logging.disable(logging.NOTSET)
        self.loop.close()
        pending, self.pending = self.pending, {}
        for done in pending.values():
            self.world.soon(lambda done=done: done(0))  # type: ignore[misc]

    def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        for _ in range(LAST_ROUNDS):
            if all(task.done() for task in tasks):
                break
            self.loop.once()
            for task in tasks:
                if not task.done():
                    task.cancel()


def _no_deploy(*arguments: Any) -> bytes:
    raise AssertionError("a worker deploys nothing")


class _Site(httpx2.AsyncBaseTransport):
    """What the HTTP connector reaches: a service that knows idempotency keys, over a network that loses."""

    def __init__(self, world: Outside, lost: dict[str, int]) -> None:
        self._world = world
        self._lost = lost  # attempts that came to nothing, by key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        world = self._world
        body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        key = request.headers.get("idempotency-key", "")
        lost = self._lost.get(key, 0)
        fate = world.random.choice(("before", "after", "busy")) if world.happens(world.habits.losses) else ""
        if lost >= LOST_MAX:
            fate = ""  # the pauses between attempts grow
        self._lost[key] = lost + bool(fate)
        if world.happens(world.habits.slow):
            await asyncio.sleep(world.random.choice((0.01, 1.0, 10.0)))
        if fate == "before":
            raise httpcore2.ConnectError("refused")
        if fate == "busy":
            return _response(503, {"error": "busy"})
        x = world.asked(key, body)
        if fate == "after":
            raise httpcore2.ReadError("the connection broke")
        return _response(200, {"x": 2 * x})


class _Body(httpx2.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


def _response(status: int, document: dict[str, Any]) -> httpx2.Response:
    headers = {"content-type": "application/json"}
    return httpx2.Response(status, headers=headers, stream=_Body(json.dumps(document).encode()))


@contextlib.contextmanager
def on_loops(world: Outside) -> Iterator[None]:
    """Has production code find no threads and no network."""

    lost: dict[str, int] = {}

    def make_client(*arguments: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=_Site(world, lost), trust_env=False)

    async def in_thread(function: Callable[[], Any]) -> Any:
        late = world.random.choice((0.0, 0.5, 4.0)) if world.happens(world.habits.slow) else 0.0
        if world.happens(0.5):
            await asyncio.sleep(late)
            return function()
        result = function()
        await asyncio.sleep(late)
        return result

    changed: list[tuple[Any, str, Any]] = [
        (asyncio, "to_thread", _in_place),
        (serving, "Pulse", _Pulse),
        (serving, "SLOW_POLL_SECONDS", POLL_SECONDS),
        (serving, "in_thread", _in_place),
        (worker, "in_thread", in_thread),
        (http_connector, "make_client", make_client),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changed]
    for owner, name, value in changed:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
