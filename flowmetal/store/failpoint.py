"""Fail points for crash tests: a process that kills itself at one of its commits.

    FLOWMETAL_KILL_AFTER_COMMIT=N    SIGKILL right after the N-th commit has been synced, before anybody is answered
                                     or told of it
    FLOWMETAL_KILL_BEFORE_COMMIT=N   SIGKILL right before the N-th commit, with everything applied and nothing of it
                                     on the disk

The variables are read when a process opens an LMDB store; N counts from 1, the commits that this process makes as the
owner of the store and that write something.  Where neither is set, which is always but in tests, there is no hook at
all.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from flowmetal.store.errors import StoreError

#: Variable -> the point of the committer at which it kills; see LmdbStore.
VARIABLES = {
    "FLOWMETAL_KILL_BEFORE_COMMIT": "before commit",
    "FLOWMETAL_KILL_AFTER_COMMIT": "after commit",
}


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
