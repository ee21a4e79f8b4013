"""Serves effects: takes requests from a store or server, runs a handler for each, answers, and keeps leases alive.

Connectors and Python workers are this with a handler of their own.  It never raises for what a handler or the other
side does: a handler that fails is answered as an error, a store that fails is asked again after a pause.  Only a server
that refuses the token ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from flowmetal.client.background import Pulse, in_thread
from flowmetal.client.errors import NotAuthorized
from flowmetal.client.hints import SLOW_POLL_SECONDS, Hints, in_loop
from flowmetal.dataclass import dataclass, field
from flowmetal.store import failpoint
from flowmetal.store.interface import Complete, Extend, Request, Store, Take

log = logging.getLogger("flowmetal.serving")

#: A lease is extended this many times before it would run out, so that two lost extensions cost nothing.
EXTENSIONS_PER_LEASE = 3

#: How long the end waits for an extension under way.
KEEPER_STOP_SECONDS = 1.0

#: Requests taken at once at most, so that workers of one effect share a backlog.
TAKE_LIMIT = 32

#: Pauses after a store or server that failed: the first, and the longest.
PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

#: How often a finished handler's answer is sent when the store or server fails to take it.
ANSWER_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives: an encoded value, or (ok False) an encoded error value."""

    ok: bool
    data: bytes


class Source(Protocol):
    """Where requests come from.  Every method may raise; the caller tries again."""

    async def take(self, limit: int, stopping: asyncio.Event) -> list[Request]:
        """Requests, as soon as there are some; empty after a while without, or once `stopping` is set."""

    async def extend(self, requests: Sequence[Request]) -> list[bool]:
        """For each whether its lease was extended; False: it is no longer wanted.

        Called in a loop of its own, another than that of the other methods.
        """

    async def end_extending(self) -> None:
        """The last call in the loop of `extend`."""

    async def complete(self, request: Request, answer: Answer) -> bool:
        """False: the answer came late and was dropped."""

    async def close(self) -> None: ...


class StoreSource:
    """Requests of a store, woken by its hints."""

    def __init__(self, store: Store, effects: Sequence[str], worker: str, lease_ms: int) -> None:
        self._store = store
        self._effects = tuple(effects)
        self._worker = worker
        self._lease_ms = lease_ms
        self._hints = Hints(store)

    async def take(self, limit: int, stopping: asyncio.Event) -> list[Request]:
        """See Source."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        end = self._hints.listen([("request", effect) for effect in self._effects], in_loop(loop, woken.set))
        try:
            # The listener stands before the look, so that what is queued between the two still wakes.
            while not stopping.is_set():
                woken.clear()
                if await asyncio.to_thread(self._store.queued, self._effects):
                    command = Take(self._effects, self._worker, limit, self._lease_ms)
                    (taken,) = await asyncio.wrap_future(self._store.submit([command]))
                    if taken:
                        if failpoint.hook is not None:
                            failpoint.hook("request/taken")
                        return list(taken)
                await wait_first(woken, stopping, seconds=SLOW_POLL_SECONDS)
            return []
        finally:
            end()

    async def extend(self, requests: Sequence[Request]) -> list[bool]:
        """See Source."""
        commands = [Extend(r.pid, r.number, r.attempt, self._lease_ms) for r in requests]
        held = await asyncio.wrap_future(self._store.submit(commands))
        return [bool(each) for each in held]

    async def end_extending(self) -> None:
        """See Source."""

    async def complete(self, request: Request, answer: Answer) -> bool:
        """See Source."""
        command = Complete(request.pid, request.number, request.attempt, answer.ok, answer.data)
        (accepted,) = await asyncio.wrap_future(self._store.submit([command]))
        return bool(accepted)

    def ended(self, pid: int, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` in this loop when process `pid` ends; returns what stops that."""
        return self._hints.listen([("process", pid)], in_loop(asyncio.get_running_loop(), listener))

    async def close(self) -> None:
        """Ends the watch; the store stays open."""
        self._hints.close()


async def wait_first(*events: asyncio.Event, seconds: float) -> None:
    """Waits until one of `events` is set, at most `seconds`."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@dataclass(slots=True, eq=False)
class Running:
    """A request that a handler works on.  `unwanted` is set, and the task cancelled, when nobody waits any more."""

    request: Request
    task: asyncio.Task[None] | None = None
    unwanted: asyncio.Event = field(default_factory=asyncio.Event)


Handler = Callable[[Running], Awaitable[Answer]]


class Serving:
    """The loop: run() serves until stop(), and then until what runs has ended or its time is over.

    `handler` gives the Answer of a request; it is cancelled when the request is no longer wanted, and must turn its
    own errors into answers.  What is cut off at the end is not answered: its lease runs out and the program's policy
    for lost requests decides.  Leases are extended by a thread of its own: a busy loop loses none.
    """

    def __init__(self, source: Source, handler: Handler, *, concurrency: int, lease_ms: int) -> None:
        self._source = source
        self._handler = handler
        self._concurrency = concurrency
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper = Pulse(
            "leases", self._extend_leases, lease_ms / 1000 / EXTENSIONS_PER_LEASE, source.end_extending
        )
        self._running: dict[
            Running, None
        ] = {}  # in order; changed in the loop's thread; the keeper's copies it, in one step
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()
        self._slot = asyncio.Event()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Takes nothing more; what runs has `grace_seconds` (None: as long as it takes).  In the loop's thread only.

        May be called again with less time.
        """
        if grace_seconds is not None:
            asyncio.get_running_loop().call_later(grace_seconds, self._over.set)
        self._stopping.set()
        self._slot.set()

    async def run(self) -> None:
        """Serves; returns after stop()."""
        self._loop = asyncio.get_running_loop()
        self._keeper.start()
        try:
            await self._take_until_stopped()
            await self._drain()
        finally:
            await self._cut()
            await in_thread(lambda: self._keeper.stop(KEEPER_STOP_SECONDS))
            await self._source.close()

    def extend(self, request: Request) -> bool:
        """Extends a lease now -> False if nobody waits for the answer any more.  In any thread but the loop's."""
        extended = self._keeper.submit(self._source.extend([request]))
        return extended is not None and bool(extended.result()[0])

    async def _take_until_stopped(self) -> None:
        pause = PAUSE_SECONDS
        while not self._stopping.is_set():
            free = self._concurrency - len(self._running)
            if free <= 0:
                self._slot.clear()
                await self._slot.wait()
                continue
            try:
                requests = await self._source.take(min(free, TAKE_LIMIT), self._stopping)
            except NotAuthorized:
                raise  # the token does not become another by waiting
            except Exception as error:
                log.warning("taking requests failed, trying again in %.1f s: %s", pause, error)
                await wait_first(self._stopping, seconds=pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = PAUSE_SECONDS
            for request in requests:
                running = Running(request)
                self._running[running] = None
                running.task = asyncio.ensure_future(self._serve(running))

    async def _serve(self, running: Running) -> None:
        request = running.request
        ended: Callable[[], None] | None = None
        if isinstance(self._source, StoreSource):
            ended = self._source.ended(request.pid, lambda: self._check(running))
        try:
            answer = await self._handler(running)
            if failpoint.hook is not None:
                failpoint.hook("request/handled")
            await self._complete(request, answer)
            if failpoint.hook is not None:
                failpoint.hook("request/completed")
        except asyncio.CancelledError:
            log.debug("request %d of process %d was cut off", request.number, request.pid)
        except Exception:
            log.exception("request %d of process %d was not answered", request.number, request.pid)
        finally:
            if ended is not None:
                ended()
            self._running.pop(running, None)
            self._slot.set()

    async def _complete(self, request: Request, answer: Answer) -> None:
        pause = PAUSE_SECONDS
        for attempt in range(1, ANSWER_ATTEMPTS + 1):
            try:
                if not await self._source.complete(request, answer):
                    log.info("the answer to request %d of process %d came late", request.number, request.pid)
                return
            except Exception as error:
                if attempt == ANSWER_ATTEMPTS:
                    raise
                log.warning("answering failed, trying again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _check(self, running: Running) -> None:
        """Asks about one request now: its process has ended or paused."""
        if running.task is not None and not running.task.done():
            self._keeper.submit(self._extend([running]))

    # ---- in the keeper's thread ------------------------------------------------------------------------------------

    async def _extend_leases(self) -> None:
        running = list(self._running)
        if running:
            await self._extend(running)

    async def _extend(self, all_running: Sequence[Running]) -> None:
        try:
            held = await self._source.extend([running.request for running in all_running])
        except Exception as error:
            log.warning("extending leases failed: %s", error)
            return
        lost = [running for running, still in zip(all_running, held, strict=True) if not still]
        if lost and self._loop is not None:
            in_loop(self._loop, lambda: self._drop(lost))()

    # ---- in the loop's thread --------------------------------------------------------------------------------------

    def _drop(self, lost: Sequence[Running]) -> None:
        for running in lost:
            if running in self._running and running.task is not None:
                running.unwanted.set()
                running.task.cancel()

    async def _drain(self) -> None:
        while self._running and not self._over.is_set():
            self._slot.clear()
            await wait_first(self._slot, self._over, seconds=SLOW_POLL_SECONDS)

    async def _cut(self) -> None:
        tasks = [running.task for running in self._running if running.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
