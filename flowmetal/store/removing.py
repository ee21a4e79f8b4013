"""Commands of retention: what has ended, old log and unneeded artifacts are removed, a piece in each transaction.

Which ones is decided elsewhere (engine/retention.py); what is here makes sure that nothing goes that is needed: only an
ended process is removed, only a log before a checkpoint is shortened, and what somebody took up in the meantime stays.
A removal that was begun is noted in LEFTOVERS first, with everything by which the process could be found gone, so that
whoever comes next can finish it, however it ended.  All of them may be given twice, or at once by several.
"""

from __future__ import annotations

from flowmetal.store.changes import Changes
from flowmetal.store.codec import PAUSED
from flowmetal.store.families import has_descendants
from flowmetal.store.interface import ForgetArtifacts, PruneLog, Remove
from flowmetal.store.layout import (
    ARTIFACTS,
    CHECKPOINTS,
    DEPLOYED,
    IDS,
    LEFTOVERS,
    LOG,
    MAX_NUMBER,
    ORIGINS,
    PID_BYTES,
    PROCESSES,
    SPACES,
    STATUSES,
    TEXTS,
    UNNEEDED,
    pair_key,
    pid_key,
    read_u64,
    status_key,
    u64,
)
from flowmetal.store.log_records import entries_of, log_records
from flowmetal.store.rows import BornRow, ProcessRow, decode_origin
from flowmetal.store.texts import references, whole

#: Keys that one transaction removes at most: some milliseconds, which others wait for.
MAX_REMOVED = 2000
#: Records that were written while unreferenced texts were looked for, and are looked through once more; beyond, later.
MAX_NEWER = 1000

#: The spaces that hold what is a process's own, in the order in which it goes: what it is found by goes first.
_OWN = tuple(
    space.name
    for space in sorted(SPACES, key=lambda space: space.name != PROCESSES)
    if space.of == "process" and space.name != LEFTOVERS
)


def remove(changes: Changes, command: Remove) -> tuple[str, int]:
    """Remove."""
    transaction, pid = changes.transaction, command.pid
    if not 0 < pid <= MAX_NUMBER:
        return "gone", 0
    key = pid_key(pid)
    row = changes.load_process(pid)
    if row is not None:
        born = changes.load_born(pid)
        if row.status <= PAUSED or changes.is_touched(pid) or born is None or has_descendants(row):
            return "kept", 0
        if command.spare_children and born[0].parent is not None:
            parent = changes.load_process(born[0].parent)
            if parent is not None and parent.status <= PAUSED:
                return "kept", 0
        _hide(changes, pid, row, born[0])
    elif transaction.get(LEFTOVERS, key) is None:
        return "gone", 0
    limit = max(1, min(command.limit, MAX_REMOVED))
    removed = 0
    for space in _OWN:
        for found, _ in transaction.scan(space, key, limit=limit - removed, values=False):
            transaction.delete(space, found)
            removed += 1
        if removed >= limit:
            return "more", removed
    transaction.delete(LEFTOVERS, key)
    return "gone", removed


def _hide(changes: Changes, pid: int, row: ProcessRow, born: BornRow) -> None:
    """Takes away everything by which a process is found, and notes that the rest is to follow."""
    transaction, key = changes.transaction, pid_key(pid)
    transaction.put(LEFTOVERS, key, b"")
    if born.id is not None and transaction.get(IDS, born.id.encode()) == key:
        transaction.delete(IDS, born.id.encode())
    transaction.delete(STATUSES, status_key(row.old_status, pid))
    changes.count(f"status:{row.old_status}", -1)
    transaction.delete(PROCESSES, key)
    changes.drop_row(pid)


def prune_log(changes: Changes, command: PruneLog) -> tuple[str, int]:
    """PruneLog."""
    transaction, pid, before = changes.transaction, command.pid, command.before
    row = changes.load_process(pid)
    if row is None or changes.is_touched(pid):  # what it has in this very group is not written yet
        return "kept", 0
    limit = max(1, min(command.limit, MAX_REMOVED))
    removed = 0
    if before:
        if not command.start < before <= row.checkpoint or transaction.get(CHECKPOINTS, pair_key(pid, before)) is None:
            return "kept", 0
        if not _keep_start(changes, pid, command.start):
            return "kept", 0
        end, first = pair_key(pid, before), pair_key(pid, command.start)
        # The log first: what it begins with then says from where on states can be had, see kept_reads.kept_from.
        for space, start, stop in ((LOG, b"", first), (LOG, first + b"\x00", end), (CHECKPOINTS, b"", end)):
            if removed < limit:
                items = transaction.scan(
                    space, pid_key(pid), start=start, stop=stop, limit=limit - removed, values=False
                )
                for key, _ in items:
                    transaction.delete(space, key)
                removed += len(items)
        if removed >= limit:
            return "more", removed
    removed += _drop_texts(changes, command)
    return "done", removed


def _keep_start(changes: Changes, pid: int, start: int) -> bool:
    """Gives the entry that says what the process was called with a record of its own; False where it is not there."""
    transaction, key = changes.transaction, pair_key(pid, start)
    records = transaction.scan(LOG, pid_key(pid), start=key, limit=1, reverse=True)
    entries = [entry for found, value in records for entry in entries_of(found, whole(transaction, LOG, pid, value))]
    kept = [(one.sequence, 0, one.event, one.segment) for one in entries if one.sequence == start and not one.part]
    if len(entries) > 1 and kept:
        transaction.delete(LOG, records[0][0])
        for found, value in log_records(pid, kept):
            transaction.put(LOG, found, value)
    return bool(kept)


def _drop_texts(changes: Changes, command: PruneLog) -> int:
    """Removes texts that nothing referred to when `seen` was the next entry, unless something written since does."""
    if not command.texts:
        return 0
    transaction, pid = changes.transaction, command.pid
    since = pair_key(pid, max(0, command.seen - 1))
    newer: set[bytes] = set()
    for space in (LOG, CHECKPOINTS):
        records = transaction.scan(space, pid_key(pid), start=since, limit=MAX_NEWER)
        if len(records) == MAX_NEWER:
            return 0
        for _, value in records:
            newer.update(references(space, value))
    dropped = 0
    for hash in command.texts[:MAX_REMOVED]:
        if hash not in newer and transaction.delete(TEXTS, pid_key(pid) + hash):
            dropped += 1
    return dropped


def forget_artifacts(changes: Changes, command: ForgetArtifacts) -> int:
    """ForgetArtifacts."""
    transaction = changes.transaction
    started = _origins_since(changes, command.last_pid)
    if started is None:
        return 0
    for number in command.origins:
        value = transaction.get(ORIGINS, pid_key(number))
        if value is not None and number not in started:
            changes.forget_origin(number, value)
    needed = {hash for _, hash in transaction.scan(DEPLOYED)}
    needed.update(decode_origin(value)[0] for key, value in transaction.scan(ORIGINS) if len(key) == PID_BYTES)
    unneeded = {hash for hash in command.unneeded if hash not in needed}
    for hash, _ in transaction.scan(UNNEEDED):
        if hash not in unneeded:
            transaction.delete(UNNEEDED, hash)
    if len(unneeded) < len(command.unneeded):
        return 0  # one that is needed again may need others
    forgotten = 0
    for hash in sorted(unneeded):
        since = transaction.get(UNNEEDED, hash)
        if since is None:
            if transaction.get(ARTIFACTS, hash) is not None:
                transaction.put(UNNEEDED, hash, u64(changes.now))
        elif changes.now - read_u64(since) >= command.grace_ns:
            transaction.delete(UNNEEDED, hash)
            forgotten += transaction.delete(ARTIFACTS, hash)
    return forgotten


def _origins_since(changes: Changes, last_pid: int) -> set[int] | None:
    """The origins of processes that were started after one; None for too many."""
    newest = changes.count("pid", 0)
    if newest - last_pid > MAX_NEWER:
        return None
    return {born.origin for pid in range(last_pid + 1, newest + 1) if (born := changes.born(pid)) is not None}
