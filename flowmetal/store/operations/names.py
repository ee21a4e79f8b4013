"""Names of processes: one process a name, for as long as it lives; messages and cancelling by name."""

from __future__ import annotations

from typing import Any

from flowmetal.store import bonds
from flowmetal.store.changes import Changes
from flowmetal.store.ending import kill_process
from flowmetal.store.layout import MAX_NUMBER
from flowmetal.store.limits import MAX_MESSAGES
from flowmetal.store.operations.table import Operation, arguments_of, data_of, name_of
from flowmetal.values import ErrorValue, LanguageError, Map, Pid, encode_value, fail, keyword, print_string

WHAT = "the name of a process"

#: How JSON says that a number is one of a process.
PID_KEY = keyword("$pid")


def no_process(text: str) -> LanguageError:
    """The error of a process that is not there."""
    return LanguageError(ErrorValue(keyword("no-process"), text, None))


def _given(asker: int, value: Any) -> Any:
    """What clients give as the JSON `{"$pid": 7}` as the number that it is; all else as it is."""
    if asker == 0 and value.__class__ is Map and len(value) == 1:
        number = value.get(PID_KEY)
        if number.__class__ is int:
            return number
    return value


def pid_of(who: str, asker: int, value: Any) -> int:
    """A pid as it is given: by clients as a plain number, or as `{"$pid": 7}`."""
    value = _given(asker, value)
    if value.__class__ is Pid:
        return int(value.number)
    if asker == 0 and value.__class__ is int and 0 < value <= MAX_NUMBER:
        return int(value)
    fail("argument", f"{who} takes a process id, not {print_string(value, limit=80)}")
    raise AssertionError


def target_of(changes: Changes, who: str, asker: int, value: Any) -> tuple[int, str | None]:
    """The pid that a pid or a name stands for, 0 for a name that nobody has; and the name."""
    value = _given(asker, value)
    if value.__class__ is Pid or value.__class__ is int:
        return pid_of(who, asker, value), None
    name = name_of(WHAT, value)
    return bonds.holder_of(changes, name.encode()), name


def found_target(changes: Changes, who: str, asker: int, value: Any) -> int:
    """The pid that a pid or a name stands for; :no-process for a name that nobody has."""
    pid, name = target_of(changes, who, asker, value)
    if name is not None and not pid:
        raise no_process(f"no process is registered as {name}")
    return pid


def register(changes: Changes, asker: int, payload: Any) -> Any:
    """process/register [name pid?]"""
    given, other = arguments_of("register", payload, 1, 2)
    name = name_of(WHAT, given)
    if other is None and not asker:
        fail("argument", "register takes a name and a process id")
    pid = asker if other is None else pid_of("register", asker, other)
    row = bonds.living(changes, pid)
    if row is None:
        raise no_process(f"there is no process {pid}, or it has ended")
    holder = bonds.holder_of(changes, name.encode())
    if holder == pid:
        return True
    if holder:
        text = f"process {holder} is registered as {name}"
        raise LanguageError(ErrorValue(keyword("name-taken"), text, data_of(name=name, pid=Pid(holder))))
    bonds.check_room(pid, row, bonds.NAME)
    bonds.bind_name(changes, pid, row, name.encode())
    return True


def unregister(changes: Changes, asker: int, payload: Any) -> Any:
    """process/unregister [name]: whether a process had it"""
    (given,) = arguments_of("unregister", payload, 1, 1)
    return bonds.free_name(changes, name_of(WHAT, given).encode())


def whereis(changes: Changes, asker: int, payload: Any) -> Any:
    """process/whereis [name]: a pid, or nil"""
    (given,) = arguments_of("whereis", payload, 1, 1)
    holder = bonds.holder_of(changes, name_of(WHAT, given).encode())
    return Pid(holder) if holder else None


def send(changes: Changes, asker: int, payload: Any) -> Any:
    """send [pid-or-name message]: nil; one to a process that has ended is dropped"""
    target, message = arguments_of("send", payload, 2, 2)
    pid = found_target(changes, "send", asker, target)
    row = bonds.living(changes, pid)
    if row is None:
        return None
    if row.messages >= MAX_MESSAGES:
        text = f"process {pid} has {MAX_MESSAGES} messages that it has not received, which is the limit"
        raise bonds.limit_error(text, "mailbox", MAX_MESSAGES)
    changes.put_inbox(pid, row, "message", encode_value(message))
    return None


def cancel(changes: Changes, asker: int, payload: Any) -> Any:
    """process/cancel [pid-or-name reason?]: whether it was there"""
    target, reason = arguments_of("cancel", payload, 1, 2)
    if reason is not None and reason.__class__ is not str:
        fail("argument", f"the reason of cancel is a string, not {print_string(reason, limit=80)}")
    pid = found_target(changes, "cancel", asker, target)
    return changes.deliver(pid, "cancel", 0, 0, encode_value(None if reason is None else reason[:1000]))


def kill(changes: Changes, asker: int, payload: Any) -> Any:
    """process/kill [pid-or-name entry]: whether it was there; for programs

    What the log says of an end is the engine's to write: it puts [event error line] in the place of the entry.
    """
    target, entry = arguments_of("kill", payload, 2, 2)
    event, result, line = arguments_of("kill", entry, 3, 3)
    pid = found_target(changes, "kill", asker, target)
    if pid == asker:
        fail("argument", "a process does not kill itself: it returns, or throws an error")
    row = bonds.living(changes, pid)
    if row is None:
        return False
    if not row.sequence:  # nothing of it has run, and nothing of it will
        return changes.deliver(pid, "cancel", 0, 0, encode_value(None))
    kill_process(changes, pid, row, (event,), result, line)
    return True


OPERATIONS = {
    "process/register": Operation(register),
    "process/unregister": Operation(unregister),
    "process/whereis": Operation(whereis),
    "process/cancel": Operation(cancel),
    "process/kill": Operation(kill, outside=False),
    "send": Operation(send),
}
