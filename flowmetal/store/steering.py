"""Commands of people on running processes: killing them, answering their requests, and both in bulk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from flowmetal import packing
from flowmetal.store.changes import Changes
from flowmetal.store.codec import HELD, PAUSED, QUEUED, TAKEN, unreadable
from flowmetal.store.ending import kill_process
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.interface import Bulk, Kill, Post, Settle, Start
from flowmetal.store.layout import MAX_NUMBER, META, PID_BYTES, REQUESTS, pid_key, read_pid
from flowmetal.store.limits import MAX_EVENT_BYTES
from flowmetal.store.processes import post
from flowmetal.store.requests import answer
from flowmetal.store.rows import ProcessRow, decode_request
from flowmetal.store.starting import start

#: How long it is remembered how far an operation with a name is.
REMEMBERED_NS = 7 * 24 * 3600 * 1_000_000_000

#: Commands in one piece.
MAX_PIECE = 1000

_BULK = b"bulk:"


def kill(changes: Changes, command: Kill) -> bool:
    """Kill."""
    events = list(command.events)
    for event in (command.start, *events):
        check_size("an event", event, MAX_EVENT_BYTES)
    check_size("a result", command.result)
    pid = command.pid
    row = changes.load_process(pid)
    if row is None or row.status > PAUSED:
        return False
    if command.start and not row.sequence:
        events.insert(0, command.start)
    kill_process(changes, pid, row, events, command.result, command.error)
    return True


def settle_request(changes: Changes, command: Settle) -> str:
    """Settle."""
    check_size("an answer", command.data)
    if not 0 <= command.number <= MAX_NUMBER:
        raise StoreError("S206", reason=f"{command.number} is no number that a key can hold")
    pid = command.pid
    row = changes.load_process(pid)
    if row is None:
        return "unknown"
    if row.status > PAUSED:
        return "ended"
    number = command.number or _oldest(changes, pid, row, command.effect)
    request = changes.load_request(pid, row, number) if number else None
    if request is None:
        return "no-request"
    if request.state not in (QUEUED, TAKEN, HELD):
        return "answered"
    # One that has used up its retries holds up the process, so its answer must not wait behind the pause.
    kind = "decided" if request.is_used_up else "settled"
    return "done" if answer(changes, pid, number, kind, command.data) else "answered"


def _oldest(changes: Changes, pid: int, row: ProcessRow, effect: str) -> int:
    """The number of the oldest request of an effect, or of one that has used up its retries; 0 where there is none."""
    found = [(number, request) for number, request in row.requests.items()]
    if row.far_requests:
        for key, value in changes.transaction.scan(REQUESTS, pid_key(pid)):
            number = read_pid(key, PID_BYTES)
            found.append((number, decode_request(pid, number, value, changes.cache.store_id)))
    numbers = [
        number
        for number, request in found
        if request.state in (QUEUED, TAKEN, HELD) and (request.effect == effect if effect else request.is_used_up)
    ]
    return min(numbers, default=0)


#: What may be done in bulk.
_APPLY: dict[type, Callable[[Changes, Any], Any]] = {Start: start, Post: post, Kill: kill, Settle: settle_request}


def bulk(changes: Changes, command: Bulk) -> tuple[Any, ...]:
    """Bulk."""
    if len(command.commands) > MAX_PIECE:
        raise StoreError("S206", reason=f"{len(command.commands)} commands in one piece; the limit is {MAX_PIECE}")
    upto, end = command.upto, command.end
    if command.name:
        key = _BULK + check_name("the name of an operation", command.name)
        data = changes.transaction.get(META, key)
        if data is None:
            _forget_old(changes)
            last = 0
        else:
            digest, last, end, _ = _remembered(data)
            if digest != command.digest:
                return -1, 0, None
        if last != command.after:
            return last, end, None
        changes.transaction.put(META, key, packing.pack((command.digest, upto, end, changes.now)))
    return upto, end, tuple(_tried(changes, one) for one in command.commands)


def _tried(changes: Changes, command: Start | Post | Kill | Settle) -> Any:
    """The result, or what refused it: these commands check everything before they write."""
    function = _APPLY.get(type(command))
    if function is None:
        raise StoreError("S206", reason=f"{type(command).__name__} is no command for many processes")
    try:
        return function(changes, command)
    except StoreError as error:
        if error.whose != "command" and not error.is_damage:
            raise
        facts = {name: fact if isinstance(fact, str | int) else str(fact) for name, fact in error.facts.items()}
        return error.code, facts


def _remembered(data: bytes) -> tuple[bytes, int, int, int]:
    try:
        digest, last, end, at = msgpack.unpackb(data)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise unreadable(META, error) from error
    return digest, last, end, at


def _forget_old(changes: Changes) -> None:
    for key, data in changes.transaction.scan(META, _BULK):
        if _remembered(data)[3] < changes.now - REMEMBERED_NS:
            changes.transaction.delete(META, key)
