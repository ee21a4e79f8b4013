"""The futures of the store: made here, settled here.

A future that somebody cancelled could not be settled any more, and settling it would raise on the thread that commits
or the one that talks to the owner.  asyncio cancels the future behind `wrap_future` when its task is cancelled; so the
futures of the store cannot be cancelled: what was submitted happens, whether or not somebody still waits for it.
"""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from flowmetal.store.errors import StoreError


def make_future() -> Future[list[Any]]:
    """A future that is not settled and that nobody can cancel."""
    future: Future[list[Any]] = Future()
    future.set_running_or_notify_cancel()
    return future


def settle(future: Future[list[Any]], results: Any, error: BaseException | None = None) -> None:
    """Gives a future its results, or the error that came instead; nothing where it is settled already."""
    with suppress(InvalidStateError):
        if error is None:
            future.set_result(results)
        else:
            future.set_exception(error)


def failed_future(error: StoreError) -> Future[list[Any]]:
    """A future that has failed."""
    future = make_future()
    settle(future, None, error)
    return future
