"""Operations that start processes."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import replace
from flowmetal.store.changes import Changes
from flowmetal.store.interface import Start
from flowmetal.store.operations.table import Operation
from flowmetal.store.starting import start
from flowmetal.values import Pid


def spawn(changes: Changes, asker: int, payload: Any, child: Start) -> Any:
    """spawn: a child; its pid."""
    pid, _ = start(changes, replace(child, parent=asker))
    return Pid(pid)


OPERATIONS = {"spawn": Operation(spawn, outside=False, starts=True)}
