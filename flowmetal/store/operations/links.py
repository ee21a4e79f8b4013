"""Links and monitors: what a process has to do with the end of another one."""

from __future__ import annotations

from typing import Any

from flowmetal.store import bonds
from flowmetal.store.changes import Changes
from flowmetal.store.codec import DONE
from flowmetal.store.layout import MAX_NUMBER, pid_key
from flowmetal.store.operations.names import found_target, no_process, target_of
from flowmetal.store.operations.table import Operation, arguments_of
from flowmetal.store.rows import ProcessRow
from flowmetal.values import encode_value, fail, print_string


def asking(changes: Changes, asker: int) -> ProcessRow:
    """The row of the process that asks."""
    row = changes.load_process(asker)
    if row is None:
        fail("argument", "this is for programs")
        raise AssertionError
    return row


def link(changes: Changes, asker: int, payload: Any) -> Any:
    """process/link [pid-or-name]: whether the other one lives; one that has ended badly ends this one too"""
    (target,) = arguments_of("link", payload, 1, 1)
    return linked(changes, asker, found_target(changes, "link", asker, target))


def linked(changes: Changes, asker: int, pid: int) -> bool:
    """`link` to a pid."""
    row, other = asking(changes, asker), changes.load_process(pid)
    if other is None:
        raise no_process(f"there is no process {pid}")
    if bonds.living(changes, pid) is None:
        if other.status != DONE:
            changes.deliver(
                asker, "linked", 0, 0, encode_value(bonds.linked_error(pid, bonds.ending_of(changes, pid, other)))
            )
        return False
    if pid != asker and not bonds.has(changes, asker, bonds.LINK, pid_key(pid)):
        bonds.check_room(asker, row, bonds.LINK)
        bonds.check_room(pid, other, bonds.LINK)
        bonds.link(changes, asker, row, pid, other)
    return True


def unlink(changes: Changes, asker: int, payload: Any) -> Any:
    """process/unlink [pid-or-name]: whether there was a link"""
    (target,) = arguments_of("unlink", payload, 1, 1)
    return bonds.unlink(changes, asker, found_target(changes, "unlink", asker, target))


def monitor(changes: Changes, asker: int, payload: Any) -> Any:
    """process/monitor [pid-or-name]: the monitor's number"""
    (target,) = arguments_of("monitor", payload, 1, 1)
    row = asking(changes, asker)
    pid, name = target_of(changes, "monitor", asker, target)
    other = bonds.living(changes, pid)
    if other is not None:
        bonds.check_room(asker, row, bonds.WATCHES)
        bonds.check_room(pid, other, bonds.WATCHED)
    return bonds.watch(changes, asker, row, pid, name)


def demonitor(changes: Changes, asker: int, payload: Any) -> Any:
    """process/demonitor [number]: whether the monitor was still there"""
    (ref,) = arguments_of("demonitor", payload, 1, 1)
    if ref.__class__ is not int or not 0 <= ref <= MAX_NUMBER:
        fail("argument", f"demonitor takes what monitor gave, not {print_string(ref, limit=80)}")
    return bonds.unwatch(changes, asker, ref)


OPERATIONS = {
    "process/link": Operation(link, outside=False),
    "process/unlink": Operation(unlink, outside=False),
    "process/monitor": Operation(monitor, outside=False),
    "process/demonitor": Operation(demonitor, outside=False),
}
