"""Groups of processes: members join and leave, and leave by ending; a message goes to all in one commit."""

from __future__ import annotations

from typing import Any

from flowmetal.store import bonds
from flowmetal.store.changes import Changes
from flowmetal.store.limits import MAX_MESSAGES, MAX_PUBLISH_BYTES
from flowmetal.store.operations.links import asking
from flowmetal.store.operations.table import Operation, arguments_of, name_of
from flowmetal.values import Pid, Vector, encode_value

WHAT = "the name of a group"


def join(changes: Changes, asker: int, payload: Any) -> Any:
    """group/join [name]: false where it was in it"""
    (given,) = arguments_of("join-group", payload, 1, 1)
    group = name_of(WHAT, given).encode()
    row = asking(changes, asker)
    if bonds.has(changes, asker, bonds.GROUP, group):
        return False
    bonds.check_room(asker, row, bonds.GROUP)
    bonds.join_group(changes, asker, row, group)
    return True


def leave(changes: Changes, asker: int, payload: Any) -> Any:
    """group/leave [name]: whether it was in it"""
    (given,) = arguments_of("leave-group", payload, 1, 1)
    return bonds.leave_group(changes, asker, name_of(WHAT, given).encode())


def members(changes: Changes, asker: int, payload: Any) -> Any:
    """group/members [name]: pids, in order"""
    (given,) = arguments_of("group-members", payload, 1, 1)
    return Vector.of([Pid(pid) for pid in bonds.members_of(changes, name_of(WHAT, given).encode())])


def publish(changes: Changes, asker: int, payload: Any) -> Any:
    """group/publish [name message]: how many members got it; one whose inbox is full does not"""
    given, message = arguments_of("publish", payload, 2, 2)
    data = encode_value(message)
    members = bonds.members_of(changes, name_of(WHAT, given).encode())
    if len(data) * len(members) > MAX_PUBLISH_BYTES:
        text = f"{len(data)} bytes for each of {len(members)} members are more than {MAX_PUBLISH_BYTES}, the limit"
        raise bonds.limit_error(text, "publish", MAX_PUBLISH_BYTES)
    count = 0
    for pid in members:
        row = bonds.living(changes, pid)
        if row is not None and row.messages < MAX_MESSAGES:
            changes.put_inbox(pid, row, "message", data)
            count += 1
    return count


OPERATIONS = {
    "group/join": Operation(join, outside=False),
    "group/leave": Operation(leave, outside=False),
    "group/members": Operation(members),
    "group/publish": Operation(publish),
}
