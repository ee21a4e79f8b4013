"""Bonds: what ties a process to others and to names, kept from both ends so that either can end.

A bond stands under the pid of the process that has it; what it is tied to has one that leads back, under its own pid
or, for names and groups, in a space of their own.  How many bonds of a kind a process has stands in its row, which
tells most processes that they have none when they end.
"""

from __future__ import annotations

from typing import Any, Final

from flowmetal.store.changes import Changes
from flowmetal.store.codec import DONE, PAUSED, STATUS_NAMES
from flowmetal.store.layout import BONDS, GROUPS, NAMES, PID_BYTES, RESULTS, pid_key, read_pid
from flowmetal.store.limits import (
    MAX_CHILDREN_ON_LEASH,
    MAX_GROUP_MEMBERS,
    MAX_GROUPS,
    MAX_LINKS,
    MAX_MONITORS,
    MAX_PROCESS_NAMES,
)
from flowmetal.store.rows import ProcessRow
from flowmetal.values import (
    CodecError,
    ErrorValue,
    Keyword,
    LanguageError,
    Map,
    Pid,
    decode_value,
    encode_value,
    keyword,
    print_string,
)

#: Kinds of bonds; permanent numbers.
NAME, GROUP, LINK, WATCHES, WATCHED, LEASHES, LEASHED = range(1, 8)
#: Where the counts of a row have the number of its last monitor.
LAST_MONITOR = 0

#: Bonds of a kind that a process may have, with the name of the limit.
LIMITS: Final = {
    NAME: ("names", MAX_PROCESS_NAMES),
    GROUP: ("groups", MAX_GROUPS),
    LINK: ("links", MAX_LINKS),
    WATCHES: ("monitors", MAX_MONITORS),
    WATCHED: ("monitors", MAX_MONITORS),
    LEASHES: ("leash", MAX_CHILDREN_ON_LEASH),
    LEASHED: ("leash", MAX_CHILDREN_ON_LEASH),
}

#: Bytes of an error that others hear of, and characters of one that is larger.
ERROR_BYTES: Final = 16 << 10
ERROR_CHARACTERS: Final = 1000

KIND_KILLED = keyword("flowmetal/killed")
KIND_LINKED = keyword("flowmetal/linked")
_KILLED = keyword("killed")
_TYPE, _DOWN, _REF, _PID, _STATUS, _ERROR = map(keyword, ("type", "down", "ref", "pid", "status", "error"))

#: How a process has ended: a keyword, and the error that others get to see.
Ending = tuple[Keyword, ErrorValue | None]
NOT_THERE: Final[Ending] = (keyword("none"), None)


def limit_error(text: str, name: str, most: int) -> LanguageError:
    """The error of a limit that is reached."""
    data = Map.of([(keyword("limit"), keyword(name)), (keyword("max"), most)])
    return LanguageError(ErrorValue(keyword("limit"), text, data))


def check_room(pid: int, row: ProcessRow, kind: int) -> None:
    """LanguageError :limit where a process may have no more bonds of a kind."""
    name, most = LIMITS[kind]
    if row.bonds is not None and row.bonds.get(kind, 0) >= most:
        raise limit_error(f"process {pid} has {most} {name}, which is the limit", name, most)


def living(changes: Changes, pid: int) -> ProcessRow | None:
    """The row of a process that has not ended; None where there is none."""
    row = changes.load_process(pid)
    return None if row is None or row.status > PAUSED else row


def has(changes: Changes, pid: int, kind: int, rest: bytes) -> bool:
    """Whether a process has a bond."""
    return changes.transaction.get(BONDS, _key(pid, kind, rest)) is not None


def add(changes: Changes, pid: int, row: ProcessRow, kind: int, rest: bytes, value: bytes = b"") -> None:
    """Adds a bond that is not there to a process that has not ended."""
    changes.touch(pid, row)
    if row.bonds is None:
        row.bonds = {}
    row.bonds[kind] = row.bonds.get(kind, 0) + 1
    changes.transaction.put(BONDS, _key(pid, kind, rest), value)


def drop(changes: Changes, pid: int, kind: int, rest: bytes) -> bool:
    """Takes a bond away; False where it was not there."""
    if not changes.transaction.delete(BONDS, _key(pid, kind, rest)):
        return False
    row = changes.load_process(pid)
    if row is not None and row.bonds is not None:
        changes.touch(pid, row)
        left = row.bonds.get(kind, 0) - 1
        if left > 0:
            row.bonds[kind] = left
        else:
            row.bonds.pop(kind, None)
        if not row.bonds:
            row.bonds = None
    return True


# ---- names and groups --------------------------------------------------------------------------------------------


def holder_of(changes: Changes, name: bytes) -> int:
    """The pid of the process that has a name, or 0."""
    data = changes.transaction.get(NAMES, name)
    return 0 if data is None else read_pid(data)


def bind_name(changes: Changes, pid: int, row: ProcessRow, name: bytes) -> None:
    """Gives a process a name that is free."""
    add(changes, pid, row, NAME, name)
    changes.transaction.put(NAMES, name, pid_key(pid))


def free_name(changes: Changes, name: bytes) -> bool:
    """Takes a name from whoever has it; False where nobody does."""
    pid = holder_of(changes, name)
    if pid:
        drop(changes, pid, NAME, name)
        changes.transaction.delete(NAMES, name)
    return pid > 0


def members_of(changes: Changes, group: bytes) -> list[int]:
    """The pids of the members of a group, in order."""
    prefix = group + b"\x00"
    found = changes.transaction.scan(GROUPS, prefix, limit=MAX_GROUP_MEMBERS, values=False)
    return [read_pid(key, len(prefix)) for key, _ in found]


def join_group(changes: Changes, pid: int, row: ProcessRow, group: bytes) -> None:
    """Adds a process to a group that it is not in.  LanguageError :limit where that is full."""
    data = changes.transaction.get(GROUPS, group)
    count = 0 if data is None else read_pid(data)
    if count >= MAX_GROUP_MEMBERS:
        text = f"the group {group.decode()} has {count} members, which is the limit"
        raise limit_error(text, "group-members", MAX_GROUP_MEMBERS)
    add(changes, pid, row, GROUP, group)
    changes.transaction.put(GROUPS, group, pid_key(count + 1))
    changes.transaction.put(GROUPS, group + b"\x00" + pid_key(pid), b"")


def leave_group(changes: Changes, pid: int, group: bytes) -> bool:
    """Takes a process out of a group; False where it is not in it."""
    if not drop(changes, pid, GROUP, group):
        return False
    _forget_member(changes, pid, group)
    return True


def _forget_member(changes: Changes, pid: int, group: bytes) -> None:
    changes.transaction.delete(GROUPS, group + b"\x00" + pid_key(pid))
    data = changes.transaction.get(GROUPS, group)
    count = 0 if data is None else read_pid(data)
    if count > 1:
        changes.transaction.put(GROUPS, group, pid_key(count - 1))
    else:
        changes.transaction.delete(GROUPS, group)


# ---- links, monitors, leashes ------------------------------------------------------------------------------------


def link(changes: Changes, pid: int, row: ProcessRow, other: int, other_row: ProcessRow) -> None:
    """Ties two processes that have not ended together."""
    add(changes, pid, row, LINK, pid_key(other))
    add(changes, other, other_row, LINK, pid_key(pid))


def unlink(changes: Changes, pid: int, other: int) -> bool:
    """Ends a link; False where there is none."""
    drop(changes, other, LINK, pid_key(pid))
    return drop(changes, pid, LINK, pid_key(other))


def watch(changes: Changes, pid: int, row: ProcessRow, target: int, name: str | None = None) -> int:
    """Has a process hear of the end of another, at once if that has ended or is not there -> the monitor's number.

    `name`: what it was asked for by, which is told where nobody has it."""
    changes.touch(pid, row)
    if row.bonds is None:
        row.bonds = {}
    ref = row.bonds[LAST_MONITOR] = row.bonds.get(LAST_MONITOR, 0) + 1
    target_row = changes.load_process(target)
    if target_row is None or target_row.status > PAUSED:
        ending = NOT_THERE if target_row is None else ending_of(changes, target, target_row)
        tell_down(changes, pid, ref, target or name, ending)
        return ref
    add(changes, pid, row, WATCHES, pid_key(ref), pid_key(target))
    add(changes, target, target_row, WATCHED, pid_key(pid) + pid_key(ref))
    return ref


def unwatch(changes: Changes, pid: int, ref: int) -> bool:
    """Ends a monitor; False where it is over."""
    data = changes.transaction.get(BONDS, _key(pid, WATCHES, pid_key(ref)))
    if data is None:
        return False
    drop(changes, read_pid(data), WATCHED, pid_key(pid) + pid_key(ref))
    return drop(changes, pid, WATCHES, pid_key(ref))


def leash(changes: Changes, pid: int, row: ProcessRow, child: int, child_row: ProcessRow) -> None:
    """Has a process cancelled when another ends in whatever way."""
    add(changes, pid, row, LEASHES, pid_key(child))
    add(changes, child, child_row, LEASHED, pid_key(pid))


def tell_down(changes: Changes, pid: int, ref: int, target: Any, ending: Ending) -> None:
    """Tells a process how another one has ended; `target` may be a name that nobody has."""
    status, error = ending
    message = Map.of(
        [
            (_TYPE, _DOWN),
            (_REF, ref),
            (_PID, Pid(target) if target.__class__ is int else target),
            (_STATUS, status),
            (_ERROR, error),
        ]
    )
    watcher = living(changes, pid)
    if watcher is not None:  # one more than a full inbox takes: it is told once and never again
        changes.put_inbox(pid, watcher, "message", encode_value(message), anyhow=True)


def linked_error(pid: int, ending: Ending) -> ErrorValue:
    """The error that a process ends with because another one, which it is linked to, has ended badly."""
    status, error = ending
    text = f"process {pid}, which it is linked to, {'' if status.text == 'failed' else 'was '}{status.text}"
    if error is not None:
        text += f": :{error.kind.text} {error.message}"[:ERROR_CHARACTERS]
    return ErrorValue(KIND_LINKED, text, Map.of([(_PID, Pid(pid)), (_STATUS, status), (_ERROR, error)]))


def ending_of(changes: Changes, pid: int, row: ProcessRow) -> Ending:
    """How a process has ended: a keyword, and the error that others get to see of its."""
    if row.status == DONE:
        return keyword("done"), None
    status = keyword(STATUS_NAMES[row.status])
    data = changes.transaction.get(RESULTS, pid_key(pid))
    if data is None:
        return status, None
    try:
        error = decode_value(data) if len(data) <= ERROR_BYTES * 64 else None
    except CodecError:
        error = None
    if error.__class__ is not ErrorValue:
        return status, None
    assert isinstance(error, ErrorValue)
    if error.kind is KIND_KILLED:
        status = _KILLED
    if len(data) > ERROR_BYTES:
        shown = None if error.data is None else print_string(error.data, limit=ERROR_CHARACTERS)
        error = ErrorValue(error.kind, error.message[:ERROR_CHARACTERS], shown)
    return status, ErrorValue(error.kind, error.message, error.data)


# ---- the end -----------------------------------------------------------------------------------------------------


def release(changes: Changes, pid: int, row: ProcessRow) -> None:
    """Ends all bonds of a process that has ended, and tells those who are to hear of it."""
    if row.bonds is None:
        return
    row.bonds = None
    own = pid_key(pid)
    ending = ending_of(changes, pid, row)
    linked = b"" if row.status == DONE else encode_value(linked_error(pid, ending))
    for key, value in changes.transaction.scan(BONDS, own):
        changes.transaction.delete(BONDS, key)
        kind, rest = key[PID_BYTES], key[PID_BYTES + 1 :]
        if kind == NAME:
            changes.transaction.delete(NAMES, rest)
        elif kind == GROUP:
            _forget_member(changes, pid, rest)
        elif kind == LINK:
            other = read_pid(rest)
            drop(changes, other, LINK, own)
            if linked:
                changes.deliver(other, "linked", 0, 0, linked)
        elif kind == WATCHES:
            drop(changes, read_pid(value), WATCHED, own + rest)
        elif kind == WATCHED:
            watcher, ref = read_pid(rest), read_pid(rest, PID_BYTES)
            drop(changes, watcher, WATCHES, rest[PID_BYTES:])
            tell_down(changes, watcher, ref, pid, ending)
        elif kind == LEASHES:
            child = read_pid(rest)
            drop(changes, child, LEASHED, own)
            reason = encode_value(f"process {pid}, which holds its leash, has ended")
            changes.deliver(child, "cancel", 0, 0, reason)
        else:
            drop(changes, read_pid(rest), LEASHES, own)


def _key(pid: int, kind: int, rest: bytes) -> bytes:
    return pid_key(pid) + bytes((kind,)) + rest
