"""Reads for retention: what a process still keeps, what was begun, and what nothing refers to any more."""

from __future__ import annotations

from flowmetal.store.codec import LIVE, MESSAGES, PAUSED, decode_inbox
from flowmetal.store.layout import (
    ARTIFACTS,
    CHECKPOINTS,
    INBOX,
    LEFTOVERS,
    LOG,
    MAX_NUMBER,
    ORIGINS,
    PID_BYTES,
    PROCESSES,
    STATES,
    TEXTS,
    inbox_key,
    pair_key,
    pid_key,
    read_log_key,
    read_pid,
)
from flowmetal.store.limits import MAX_ITEMS
from flowmetal.store.log_records import entries_of
from flowmetal.store.reads import counter
from flowmetal.store.rows import decode_born, decode_origin, decode_state
from flowmetal.store.texts import references, whole
from flowmetal.store.transaction import ReadTransaction

#: Records read at a time.
_PAGE = 256


def _is_pid(pid: int) -> bool:
    return pid.__class__ is int and 0 < pid <= MAX_NUMBER


def messages(transaction: ReadTransaction, pid: int) -> int:
    """How many messages wait in the mailbox of a process; 0 where there is none."""
    data = transaction.get(STATES, pid_key(pid)) if _is_pid(pid) else None
    return 0 if data is None else decode_state(pid, data, "").messages


def messages_after(transaction: ReadTransaction, pid: int, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Numbers and encoded values of messages that wait beyond number `after`, in order of arrival."""
    if not _is_pid(pid) or after >= MESSAGES - 1:
        return []
    start = inbox_key(pid, MESSAGES | max(0, after) + 1)
    found = transaction.scan(INBOX, pid_key(pid), start=start, limit=max(0, min(limit, MAX_ITEMS)))
    items = [decode_inbox(key, value) for key, value in found]
    return [(item.key & (MESSAGES - 1), item.data) for item in items if item.kind == "message"]


def living(transaction: ReadTransaction) -> int:
    """How many processes have not ended."""
    return counter(transaction, f"status:{LIVE}") + counter(transaction, f"status:{PAUSED}")


def artifacts(transaction: ReadTransaction) -> list[bytes]:
    """The hashes of all artifacts."""
    return [hash for hash, _ in transaction.scan(ARTIFACTS, values=False)]


def kept_from(transaction: ReadTransaction, pid: int) -> int:
    """The sequence from which on the log of a process is whole; 0: all of it.

    A log that was shortened begins with a record of its start, after which sequences are missing.
    """
    if not _is_pid(pid):
        return 0
    records = transaction.scan(LOG, pid_key(pid), limit=2)
    if not records:
        return 0
    *_, last = entries_of(records[0][0], whole(transaction, LOG, pid, records[0][1]))
    if len(records) == 2:
        first = read_log_key(records[1][0])[1]
    else:
        data = transaction.get(STATES, pid_key(pid))
        first = last.sequence + 1 if data is None else decode_state(pid, data, "").sequence
    if first <= last.sequence + 1:
        return 0
    # What is left of a span that is being removed has no beginning any more.
    found = transaction.scan(CHECKPOINTS, pid_key(pid), start=pair_key(pid, first), limit=1, values=False)
    return read_pid(found[0][0], PID_BYTES) if found else first


def checkpoints(transaction: ReadTransaction, pid: int) -> list[int]:
    """The sequences of the checkpoints of a process."""
    if not _is_pid(pid):
        return []
    return [read_pid(key, PID_BYTES) for key, _ in transaction.scan(CHECKPOINTS, pid_key(pid), values=False)]


def leftovers(transaction: ReadTransaction, limit: int) -> list[int]:
    """Pids of processes whose removal was begun."""
    return [read_pid(key) for key, _ in transaction.scan(LEFTOVERS, limit=max(0, min(limit, MAX_ITEMS)))]


def unreferenced_texts(transaction: ReadTransaction, pid: int) -> tuple[int, list[bytes]]:
    """The next sequence of a process, and the hashes of its texts that none of its records refers to."""
    data = transaction.get(STATES, pid_key(pid)) if _is_pid(pid) else None
    texts = [key[PID_BYTES:] for key, _ in transaction.scan(TEXTS, pid_key(pid), values=False)] if data else []
    if data is None or not texts:
        return 0, []
    referred: set[bytes] = set()
    for space in (LOG, CHECKPOINTS):
        start = b""
        while True:
            page = transaction.scan(space, pid_key(pid), start=start, limit=_PAGE)
            for _, value in page:
                referred.update(references(space, value))
            if len(page) < _PAGE:
                break
            start = page[-1][0] + b"\x00"
    return decode_state(pid, data, "").sequence, [hash for hash in texts if hash not in referred]


def origins_in_use(transaction: ReadTransaction, after: int, limit: int) -> tuple[int, set[int]]:
    """The origins of some processes beyond a pid, and the last of those pids, 0 at the end."""
    limit = max(1, min(limit, MAX_ITEMS))
    items = transaction.scan(PROCESSES, start=pid_key(min(max(0, after) + 1, MAX_NUMBER)), limit=limit)
    last = read_pid(items[-1][0]) if len(items) == limit else 0
    return last, {decode_born(value).origin for _, value in items}


def origins_known(transaction: ReadTransaction) -> dict[int, bytes]:
    """The number of each origin with the hash of the artifact it runs."""
    items = transaction.scan(ORIGINS)
    return {read_pid(key): decode_origin(value)[0] for key, value in items if len(key) == PID_BYTES}
