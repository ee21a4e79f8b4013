"""The machine: runs a process of a program and writes down its state.

Pure: it knows no clock, file, socket, thread, random number or environment.  What a program wants of the world comes
out as an outcome of `run`, and what the world answers goes in through `settle`.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import ErrorValue, Map, Vector
from flowmetal.vm.faults import SPAWNED_BY, trace
from flowmetal.vm.fibers import FINALLY, cancel_process, end_deadline, start_fiber
from flowmetal.vm.image import IMAGE_VERSION, new_process
from flowmetal.vm.restore import restore
from flowmetal.vm.running import run
from flowmetal.vm.state import (
    KIND_CANCELLED,
    KIND_INTERNAL,
    KIND_LIMIT,
    CancelRequest,
    Failed,
    Fiber,
    Finished,
    Idle,
    Limits,
    Outcome,
    OutOfFuel,
    Performed,
    Process,
    Resume,
)
from flowmetal.vm.waiting import settle_promise

__all__ = [
    "FINALLY",
    "IMAGE_VERSION",
    "KIND_CANCELLED",
    "KIND_INTERNAL",
    "KIND_LIMIT",
    "CancelRequest",
    "Failed",
    "Fiber",
    "Finished",
    "Idle",
    "Limits",
    "OutOfFuel",
    "Outcome",
    "Performed",
    "Process",
    "answer_now",
    "answer_now_error",
    "cancel",
    "new_process",
    "restore",
    "run",
    "settle",
    "settle_error",
    "start",
    "trace_of",
]


def start(process: Process, closure: Any, arguments: list[Any], spawned_by: Vector | None = None) -> None:
    """Makes a new process's first fiber, which calls `closure`.  LanguageError for a wrong number of arguments.

    `spawned_by`: the trace of another process that asked for this one; traces made here go on with it.
    """
    start_fiber(process, None, closure, arguments, None if spawned_by is None else Map.of([(SPAWNED_BY, spawned_by)]))


def trace_of(process: Process, fiber: int) -> Vector:
    """Where a fiber that has performed stands, as the trace of an error would say it."""
    return trace(process.fibers[fiber], None, 0)


def settle(process: Process, number: int, value: Any) -> bool:
    """An answer has come.  False: the request is not open any more."""
    return _settle(process, number, (Resume.VALUE, value), now=False)


def settle_error(process: Process, number: int, error: ErrorValue) -> bool:
    """A request has failed for good.  False: it is not open any more."""
    return _settle(process, number, (Resume.ERROR, error), now=False)


def answer_now(process: Process, number: int, value: Any) -> bool:
    """Answers the effect just performed: its fiber goes on before any other."""
    return _settle(process, number, (Resume.VALUE, value), now=True)


def answer_now_error(process: Process, number: int, error: ErrorValue) -> bool:
    """As answer_now, with an error that the program may catch."""
    return _settle(process, number, (Resume.ERROR, error), now=True)


def _settle(process: Process, number: int, resume: tuple[int, Any], now: bool) -> bool:
    waiting = process.request_waits.pop(number, None)
    if waiting is not None:
        fiber = process.fibers[waiting]
        fiber.resume = resume
        fiber.wait = None  # as make_ready, which a step cannot afford to call
        if not fiber.changed:
            process.mark(fiber)
        process.ready.append(waiting)
        if now:
            process.ready.rotate(1)
        return True
    promise = process.request_promises.pop(number, None)
    if promise is None:
        return end_deadline(process, number, resume[0] == Resume.VALUE)
    if resume[0] == Resume.VALUE:
        settle_promise(process, promise, resume[1], None)
    else:
        settle_promise(process, promise, None, resume[1])
    return True


def cancel(process: Process, reason: str | None, cause: ErrorValue | None = None) -> None:
    """Cancels the process: its first fiber, and with the scopes it leaves all others.

    `cause`: the error that it is cancelled for, which the error it ends with has as its data.

    A program that goes on for all that can be cancelled once more.
    """
    message = "the process was cancelled" + (f": {reason}" if reason else "")
    cancel_process(process, ErrorValue(KIND_CANCELLED, message, reason if cause is None else cause))
