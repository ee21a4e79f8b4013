"""What fibers wait for, and waking them when it has come: the lists of a process that say who waits for what.

It knows nothing of code and frames, so builtins may settle a promise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.values import ErrorValue, Promise
from flowmetal.vm.state import Fiber, Process, Wait


def settle_promise(process: Process, promise: Promise, value: Any, error: ErrorValue | None) -> None:
    """Settles a promise and wakes who waits for it."""
    if error is None:
        promise.state, promise.value = "done", value
    else:
        promise.state, promise.value = "failed", error
    process.touch(promise)
    wake(process, promise)


def make_ready(process: Process, fiber: Fiber) -> None:
    """What a fiber waited for has come: it goes on as its `resume` says when it is its turn."""
    fiber.wait = None
    process.mark(fiber)
    process.ready.append(fiber.id)


def wake(process: Process, what: Any) -> None:
    """Makes the fibers that wait for a promise or lazy sequence ready.

    One event wakes them all, so their order is that of their numbers, whichever came first.
    """
    waiting = process.waiters.pop(id(what), None)
    if not waiting:
        return
    for number in sorted(waiting):
        fiber = process.fibers[number]
        forget_waits(process, fiber, except_for=what)
        make_ready(process, fiber)


def forget_waits(process: Process, fiber: Fiber, except_for: Any = None) -> None:
    """Takes a fiber off the waiting lists it stands in."""
    for one in _waited(fiber):
        waiting = process.waiters.get(id(one)) if one is not except_for else None
        if waiting is not None and fiber.id in waiting:
            waiting.remove(fiber.id)
            if not waiting:
                del process.waiters[id(one)]


def register_wait(process: Process, fiber: Fiber) -> None:
    """Enters a waiting fiber in the lists that wake it.  Also what a restored process does."""
    if fiber.wait is not None and fiber.wait[0] == Wait.REQUEST:
        process.request_waits[fiber.wait[1]] = fiber.id
    for one in _waited(fiber):
        waiting = process.waiters.setdefault(id(one), [])
        if fiber.id not in waiting:
            waiting.append(fiber.id)


def _waited(fiber: Fiber) -> Iterable[Any]:
    """The promises and lazy sequences a fiber waits for."""
    if fiber.wait is None:
        return ()
    kind, what = fiber.wait
    if kind == Wait.PROMISE or kind == Wait.REALIZE:
        return (what,)
    return what if kind == Wait.ANY else ()
