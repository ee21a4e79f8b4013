"""Threads around asyncio: one that runs an asyncio program, one for a function that a coroutine waits for; signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar, cast

T = TypeVar("T")


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
