"""Fail points for crash tests: a process that kills itself at one of its commits.

    FLOWMETAL_KILL_AFTER_COMMIT=N    SIGKILL right after the N-th commit has been synced, before anybody is answered
                                     or told of it
    FLOWMETAL_KILL_BEFORE_COMMIT=N   SIGKILL right before the N-th commit, with everything applied and nothing of it
                                     on the disk

    FLOWMETAL_FAIL_POINT=NAME:N          SIGKILL when the point NAME of the table below is passed for the N-th time
    FLOWMETAL_FAIL_POINT=NAME:N:raise    FailPointError there instead

The variables are read when a process opens an LMDB store; N counts from 1, for the first two the commits that this
process makes as the owner of the store and that write something.  Where none is set, which is always but in tests,
there is no hook at all: code that has a point looks whether `hook` is None, and goes on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping

from flowmetal.store.errors import StoreError

#: Variable -> the point of the committer at which it kills; see LmdbStore.
VARIABLES = {
    "FLOWMETAL_KILL_BEFORE_COMMIT": "before commit",
    "FLOWMETAL_KILL_AFTER_COMMIT": "after commit",
}


#: The named points, and where each is.  A test finds them in the code, and kills at every one.
POINTS = {
    "commit/begin": "a group of units is there, and nothing of it is applied",
    "commit/unit": "one unit is applied, the others are not",
    "commit/before": "all is applied and in the transaction, and nothing of it on the disk",
    "commit/after": "the commit is synced, and nobody was answered",
    "commit/answered": "callers have their answers, and nobody else was told",
    "owner/lock": "the owner's lock is taken, and nothing done with it",
    "owner/socket": "the owner's socket is there, and the lock's file does not name it yet",
    "owner/ready": "the owner can be found",
    "takeover/begin": "an attached process has the lock of an owner that is gone",
    "takeover/owner": "it commits, and its batches on their way are not handed over yet",
    "takeover/end": "they are, and those that wait were not told",
    "socket/received": "the owner has a batch of another process, which its committer has not",
    "socket/answer": "a batch of another process is committed, and its answer not sent",
    "link/send": "a batch is noted as on its way to the owner, and not sent",
    "link/answer": "the answer to a batch is here, and its caller does not know",
    "turn/prepared": "turns were taken, and not submitted",
    "turn/committed": "a turn is committed, and none of its calls are made",
    "timers/due": "timers are due, and nothing is submitted",
    "request/taken": "requests are taken from the queue, and nobody works on them",
    "request/handled": "a request was performed, and its answer not submitted",
    "request/completed": "its answer is committed",
    "http/send": "an HTTP request is about to be sent",
    "http/response": "the whole response is here",
    "command/run": "a command is about to be started",
    "command/ended": "it has ended, and all that it wrote is here",
    "worker/call": "a foreign function is about to be called",
    "worker/returned": "it has returned",
    "callback/read": "a delivery is read and checked, and not submitted",
    "callback/committed": "it is committed, and its sender has no answer",
    "retention/remove": "a piece of what is to go is chosen",
    "retention/removed": "it is gone, and the next piece is not chosen",
    "schedule/due": "a schedule is due, and nothing is done about it",
    "schedule/run": "its run is started, in a transaction that is not committed",
    "bulk/chosen": "the processes of a piece of an operation on many are chosen, and nothing is submitted",
    "bulk/done": "the piece is committed, and whoever asked does not know",
    "rekey/key": "a new data key is in the store's record of them, in a transaction that is not committed",
    "rekey/some": "some records are written anew, in such a transaction, and how far that is is not noted",
    "rekey/end": "all are, and the old keys are about to be forgotten",
}

#: What is called at a point with its name; None, but in tests.
hook: Callable[[str], None] | None = None


class FailPointError(Exception):
    """What a fail point raises where it is to raise: an error that nobody has foreseen."""


def arm(environment: Mapping[str, str]) -> None:
    """Sets the hook that FLOWMETAL_FAIL_POINT asks for, if it does.  StoreError S206 where it makes no sense."""
    text = environment.get("FLOWMETAL_FAIL_POINT", "")
    if not text:
        return
    name, _, rest = text.partition(":")
    number, _, action = rest.partition(":")
    if name not in POINTS or not number.isascii() or not number.isdecimal() or action not in ("", "raise"):
        raise StoreError("S206", reason=f"FLOWMETAL_FAIL_POINT is {text[:60]!r}, which is no NAME:N of a point")
    arm_at(name, int(number), raises=action == "raise")


def arm_at(name: str, number: int, *, raises: bool = False) -> None:
    """Has this process killed, or has FailPointError raised, when it passes a point for the `number`-th time."""
    global hook
    left = number
    lock = threading.Lock()

    def reached(point: str) -> None:
        nonlocal left
        if point == name:
            with lock:  # points are passed by several threads
                left -= 1
                fires = left == 0
            if fires and raises:
                raise FailPointError(name)
            if fires:
                os.kill(os.getpid(), signal.SIGKILL)

    hook = reached


def fail_point(environment: Mapping[str, str]) -> Callable[[str], None] | None:
    """The hook that the environment asks for, or None.  StoreError S206 where its value is no number from 1 on."""
    wanted: dict[str, int] = {}
    for variable, point in VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        if not text.isascii() or not text.isdecimal() or int(text) < 1:
            raise StoreError("S206", reason=f"{variable} is {text[:40]!r}, which is no number from 1 on")
        wanted[point] = int(text)
    if not wanted:
        return None

    def reached(point: str) -> None:
        if point in wanted:
            wanted[point] -= 1
            if wanted[point] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached
