"""Threads around asyncio: one that runs an asyncio program, one for a function that a coroutine waits for; signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar, cast

T = TypeVar("T")

#: What a Gate does at once in the loop's thread: some milliseconds at most.
INLINE_BYTES_MAX = 4096


async def in_thread(function: Callable[[], T]) -> T:
    """Runs `function` in a daemon thread of its own and waits for it.

    Unlike an executor's, such a thread keeps neither a slot nor the interpreter's exit waiting once the waiter has
    been cancelled: a function of somebody else's may never return.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = function()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the waiter
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="function", daemon=True).start()
    return await done


class Gate:
    """Work that would hold up an event loop, done in threads, so many at once at most.

    The place of a function whose waiter was cancelled is free only once it has returned: memory is bounded, too.
    """

    def __init__(self, at_once: int = 2) -> None:
        self._places = asyncio.Semaphore(at_once)

    async def run(self, function: Callable[[], T], size: int) -> T:
        """What `function` gives; `size` are the bytes it works on, and few of them are worth no thread."""
        if size <= INLINE_BYTES_MAX:
            return function()
        await self._places.acquire()
        loop = asyncio.get_running_loop()

        def placed() -> T:
            try:
                return function()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._places.release)

        return await in_thread(placed)


class Background:
    """Runs `main()` in a thread of its own; `stop` asks it, thread-safe, to end."""

    def __init__(self, name: str, main: Callable[[], Coroutine[Any, Any, None]], ask: Callable[[], None]) -> None:
        self._main = main
        self._ask = ask
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure: BaseException | None = None  # what main() raised, if it did

    def start(self) -> None:
        """Starts the thread; returns once its loop runs."""
        self._thread.start()
        self._ready.wait()

    def call(self, function: Callable[[], object]) -> None:
        """Calls `function` in the loop's thread, soon; does nothing once the loop has ended."""
        if self._loop is not None:
            # RuntimeError: the loop ended in the meantime, and with it whatever `function` was to reach.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T] | None:
        """Runs a coroutine in the loop's thread; None once the loop has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        return None

    def stop(self, timeout: float | None = None) -> bool:
        """Asks main() to end and waits up to `timeout` seconds (None: for as long as it takes) -> whether it has."""
        self.call(self._ask)
        return self.join(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Waits for main() to end -> whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._main()

        try:
            asyncio.run(run())
        except BaseException as failure:
            self.failure = failure
        finally:
            self._ready.set()


class Pulse(Background):
    """Awaits `beat()` every `seconds` in a loop and thread of its own, which no other work can hold up.

    `beat` must not raise.  `end()` is awaited in the same loop at the end.
    """

    def __init__(
        self, name: str, beat: Callable[[], Awaitable[None]], seconds: float, end: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(name, self._beating, self._asked_to_end)
        self._beat = beat
        self._seconds = seconds
        self._end = end
        self._ended = asyncio.Event()

    async def _beating(self) -> None:
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            while not (await asyncio.wait([ended], timeout=self._seconds))[0]:
                await self._beat()
        finally:
            await self._end()

    def _asked_to_end(self) -> None:
        self._ended.set()


@contextlib.contextmanager
def signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handles SIGTERM and SIGINT meanwhile, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
