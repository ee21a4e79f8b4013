"""apply: what every command does, written once over the key spaces of whatever engine there is.

A command checks everything before it writes; still, one that fails after it wrote leaves the transaction half
changed, and whoever applies a list of commands takes all of it back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from flowmetal.store import schedules
from flowmetal.store.changes import Changes
from flowmetal.store.claims import join, leave
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import (
    Bulk,
    Command,
    Complete,
    Deliver,
    Extend,
    Fire,
    ForgetArtifacts,
    Join,
    Kill,
    Leave,
    Mend,
    Operate,
    Post,
    PruneLog,
    PutArtifact,
    Rekey,
    Remove,
    Settle,
    Start,
    Take,
    Turn,
)
from flowmetal.store.mending import mend
from flowmetal.store.operations import operate
from flowmetal.store.processes import post, turn
from flowmetal.store.queues import settle
from flowmetal.store.removing import forget_artifacts, prune_log, remove
from flowmetal.store.requests import complete, deliver, extend, take
from flowmetal.store.starting import put_artifact, start
from flowmetal.store.steering import bulk, kill, settle_request
from flowmetal.store.timers import fire

#: Commands in one list: it is one transaction, and all others wait for it.
MAX_COMMANDS = 10_000

_APPLY: dict[type, Callable[[Changes, Any], Any]] = {
    PutArtifact: put_artifact,
    Start: start,
    Post: post,
    Deliver: deliver,
    Take: take,
    Extend: extend,
    Complete: complete,
    Join: join,
    Leave: leave,
    Fire: fire,
    Turn: turn,
    Remove: remove,
    PruneLog: prune_log,
    ForgetArtifacts: forget_artifacts,
    Operate: operate,
    Kill: kill,
    Settle: settle_request,
    Bulk: bulk,
    Mend: mend,
    Rekey: lambda changes, command: changes.transaction.rekey(command),
}


def apply(changes: Changes, command: Command) -> Any:
    """Applies one command and returns its result; StoreError where it is refused."""
    function = _APPLY.get(type(command))
    if function is None:
        raise StoreError("S206", reason=f"{type(command).__name__} is no command")
    return function(changes, command)


def apply_all(changes: Changes, commands: Sequence[Command]) -> list[Any]:
    """Applies a list of commands, one after the other; any error leaves it to the caller to take all back.

    An error that is not a StoreError (a value of a wrong type, say) becomes one, so that it stays the caller's.
    """
    if len(commands) > MAX_COMMANDS:
        raise StoreError("S206", reason=f"{len(commands)} commands in one list; the limit is {MAX_COMMANDS}")
    try:
        take = _APPLY[Turn]  # nearly all there are
        results = [take(changes, one) if one.__class__ is Turn else apply(changes, one) for one in commands]
        if changes.unsettled or changes.left or changes.returning:
            settle(changes)
        if changes.ended_runs:
            schedules.settle(changes)
        return results
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, struct.error) as error:
        raise StoreError("S206", reason=f"{type(error).__name__}: {error}") from error
