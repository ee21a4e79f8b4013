"""The end of a process: what only a living one needs is removed, and others hear of it."""

from __future__ import annotations

from collections.abc import Sequence

from flowmetal.store.bonds import release
from flowmetal.store.changes import Changes
from flowmetal.store.codec import CANCELLED
from flowmetal.store.families import leave_family
from flowmetal.store.layout import INBOX, LOG, PID_BYTES, REQUESTS, RESULTS, pid_key, read_pid
from flowmetal.store.limits import MAX_LINE
from flowmetal.store.log_records import log_records
from flowmetal.store.rows import ProcessRow


def kill_process(
    changes: Changes, pid: int, row: ProcessRow, events: Sequence[bytes], result: bytes, error: str
) -> None:
    """Ends a living process from outside, as "cancelled": with these entries at the end of its log, this result, and
    this line that says why."""
    changes.touch(pid, row)
    entries = [(row.sequence + index, 0, event, b"") for index, event in enumerate(events)]
    for key, value in log_records(pid, entries):
        changes.append(LOG, key, value)
    changes.transaction.put(RESULTS, pid_key(pid), result)
    row.status = CANCELLED
    row.sequence += len(events)
    row.updated_at = changes.now
    row.waits, row.error, row.receives, row.deaths = "", error[:MAX_LINE], False, 0
    end_process(changes, pid, row)


def end_process(changes: Changes, pid: int, row: ProcessRow) -> None:
    """Removes inbox, requests, queue entries and timers of a process whose status is final, buries its tokens, and ends
    its bonds.  Its row is touched and its result written before."""
    prefix = pid_key(pid)
    for number in list(row.requests):
        changes.close_request(pid, row, number)
    if row.far_requests:
        for key, _ in changes.transaction.scan(REQUESTS, prefix):
            changes.close_request(pid, row, read_pid(key, PID_BYTES))
    changes.drop_timers(pid, row)
    if row.events or row.messages:
        for key, _ in changes.transaction.scan(INBOX, prefix):
            changes.transaction.delete(INBOX, key)
    row.mark = row.messages = row.events = 0
    if row.queue is not None:
        changes.left.append((pid, row.queue))
        row.queue = None
    if row.schedule:
        changes.ended_runs.append((pid, row.schedule))
        row.schedule = ""
    leave_family(changes, pid)
    release(changes, pid, row)
