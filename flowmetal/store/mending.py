"""The command Mend: writes what indexes say anew from the rows of processes, where it is damaged or missing.

What is ready, due, queued, and which process has which status or id, stands twice: in the row of the process, and in an
index under another key.  A damaged index is made whole from the rows; a damaged row can only come from a backup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowmetal.store.changes import Changes
from flowmetal.store.codec import DELAY, LEASE, WAKE, encode_number
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Mend
from flowmetal.store.layout import (
    CALLS,
    DUE,
    IDS,
    PROCESSES,
    QUEUE,
    READY,
    REQUESTS,
    STATUSES,
    TIMERS,
    due_key,
    pair_key,
    pid_key,
    queue_key,
    read_due_key,
    read_pair,
    read_pid,
    read_timer_key,
    read_u64,
    ready_key,
    status_key,
)
from flowmetal.store.queue_rows import DELAYED
from flowmetal.store.rows import NEW, ProcessRow, RequestRow, decode_request

#: In the order in which they are mended: first what rows say, then what no row says and is damaged goes.
STEPS: Final = (PROCESSES, READY, STATUSES, CALLS, QUEUE, DUE)
MAX_MENDED: Final = 500


def mend(changes: Changes, command: Mend) -> tuple[bytes, int]:
    """Mend."""
    if command.space not in STEPS:
        raise StoreError("S206", reason=f"{command.space!r} is not mended")
    limit = max(1, min(command.limit, MAX_MENDED))
    damaged: list[bytes] = []
    items = changes.transaction.scan(command.space, start=command.start, limit=limit, damaged=damaged)
    mended = 0
    if command.space == PROCESSES:
        for key, _ in items:
            mended += _mend_process(changes, read_pid(key))
    else:
        for key in damaged:
            mended += _mend_entry(changes, command.space, key)
    if len(items) + len(damaged) < limit:
        return b"", mended
    return max([key for key, _ in items[-1:]] + damaged[-1:]) + b"\x00", mended


def _mend_process(changes: Changes, pid: int) -> int:
    transaction = changes.transaction
    try:
        row = changes.load_process(pid)
        if row is None or row.old_status == NEW:
            return 0
        entries = list(_entries(changes, pid, row))
    except StoreError as error:
        if not error.is_damage:
            raise
        return 0
    mended = 0
    for space, key, value in entries:
        try:
            if transaction.get(space, key) == value:
                continue
        except StoreError as error:
            if not error.is_damage:
                raise
        transaction.put(space, key, value)
        mended += 1
    return mended


def _entries(changes: Changes, pid: int, row: ProcessRow) -> Iterator[tuple[str, bytes, bytes]]:
    """What the indexes should say of a process.  Statuses and marks as they were last written: what this group of
    commands changes of them is written at its end."""
    key = pid_key(pid)
    yield STATUSES, status_key(row.old_status, pid), b""
    if row.old_mark:
        yield READY, ready_key(pid % PARTITION_COUNT, row.old_mark), key
    if row.old_calls:
        yield CALLS, key, b""
    born = changes.born(pid)
    if born is not None and born.id is not None:
        yield IDS, born.id.encode(), key
    for (number, kind), due in row.timers.items():
        yield DUE, due_key(due, pid, number, kind), b""
    if row.queue is not None and row.queue.state == DELAYED:
        yield DUE, due_key(row.queue.order, pid, 0, DELAY), b""
    if row.far_timers:
        for stored, value in changes.transaction.scan(TIMERS, key):
            yield DUE, due_key(read_u64(value), *read_timer_key(stored)), b""
    for number, request in [*row.requests.items(), *_far_requests(changes, pid, row)]:
        if request.place:
            yield QUEUE, queue_key(request.effect.encode(), request.place), pair_key(pid, number)
        if request.lease_until:
            yield DUE, due_key(request.lease_until, pid, number, LEASE), encode_number(request.attempt)


def _far_requests(changes: Changes, pid: int, row: ProcessRow) -> Iterator[tuple[int, RequestRow]]:
    if row.far_requests:
        for stored, value in changes.transaction.scan(REQUESTS, pid_key(pid)):
            number = read_pair(stored)[1]
            yield number, decode_request(pid, number, value, changes.cache.store_id)


def _mend_entry(changes: Changes, space: str, key: bytes) -> int:
    """A damaged entry that no row has made whole: it goes, but for one that wakes a queue, which costs nothing."""
    if space == DUE and read_due_key(key)[3] == WAKE:
        if read_due_key(key)[2]:
            return 0  # the key of the queue that it named is not known; it is looked at with its other timers
        changes.transaction.put(DUE, key, b"")
    else:
        changes.transaction.delete(space, key)
    return 1
