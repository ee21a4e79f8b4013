"""Operations that start processes."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import replace
from flowmetal.store import bonds
from flowmetal.store.changes import Changes
from flowmetal.store.interface import Start
from flowmetal.store.layout import pid_key
from flowmetal.store.operations.links import asking, linked
from flowmetal.store.operations.table import Operation, options_of
from flowmetal.store.starting import start
from flowmetal.values import Pid, Vector

#: Option of a spawn -> the kinds of bonds that it makes, of the one that asks and of the child.
_BONDS = {
    "link": (bonds.LINK, bonds.LINK),
    "monitor": (bonds.WATCHES, bonds.WATCHED),
    "leash": (bonds.LEASHES, bonds.LEASHED),
}


def spawn(changes: Changes, asker: int, payload: Any, child: Start) -> Any:
    """spawn {:link :monitor :leash}?: a child; its pid, or [pid monitor]"""
    options = options_of("spawn", payload, _BONDS)
    row = asking(changes, asker)
    wanted = [kinds for name, kinds in _BONDS.items() if options.get(name)]
    for kind, _ in wanted:
        bonds.check_room(asker, row, kind)
    pid, created = start(changes, replace(child, parent=asker))
    other = bonds.living(changes, pid)
    if other is not None and not created:  # it was there before, by its id or its name
        for _, kind in wanted:
            bonds.check_room(pid, other, kind)
    if options.get("leash") and other is not None and pid != asker:
        if not bonds.has(changes, asker, bonds.LEASHES, pid_key(pid)):
            bonds.leash(changes, asker, row, pid, other)
    if options.get("link"):
        linked(changes, asker, pid)
    if options.get("monitor"):
        return Vector.of([Pid(pid), bonds.watch(changes, asker, row, pid)])
    return Pid(pid)


OPERATIONS = {"spawn": Operation(spawn, outside=False, starts=True)}
