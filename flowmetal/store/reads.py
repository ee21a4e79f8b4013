"""The reads of a store, written once over a read transaction of whatever engine there is."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.store.codec import (
    LIVE,
    MESSAGES,
    STATUS_CODES,
    STATUS_NAMES,
    decode_inbox,
    decode_interpreter,
    decode_number,
    decode_token,
)
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.grant_rows import granted_to
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import STATUSES as STATUS_WORDS
from flowmetal.store.interface import InboxEvent, LogEntry, ProcessRecord, Request
from flowmetal.store.layout import (
    ARTIFACTS,
    ATTRIBUTES,
    BONDS,
    CALLS,
    CHECKPOINTS,
    DEPLOYED,
    DUE,
    FORGET,
    FORMAT,
    IDS,
    INBOX,
    INTERPRETERS,
    KV_EXPIRY,
    MAX_NUMBER,
    META,
    ORIGINS,
    PID_BYTES,
    PROCESSES,
    QUEUE,
    QUEUES,
    READY,
    REQUESTS,
    RESULTS,
    SCHEDULES_DUE,
    SPACE_NAMES,
    STATES,
    STATUSES,
    TOKENS,
    inbox_key,
    pair_key,
    pid_key,
    read_pid,
    read_ready_key,
    read_u64,
    status_key,
    u16,
    u64,
)
from flowmetal.store.limits import MAX_ITEMS
from flowmetal.store.log_records import read_entries
from flowmetal.store.query import EVERYTHING, Query
from flowmetal.store.queue_rows import DELAYED, WAITING, decode_queue
from flowmetal.store.rows import (
    Origin,
    Place,
    decode_born,
    decode_origin,
    decode_request,
    decode_state,
    first_row,
    process_record,
    request_record,
)
from flowmetal.store.selection import select
from flowmetal.store.texts import whole
from flowmetal.store.transaction import ReadTransaction

if TYPE_CHECKING:
    from flowmetal import values
    from flowmetal.values import time_text
else:  # a command that lists processes does without
    values, time_text = lazily.module("flowmetal.values"), lazily.module("flowmetal.values.time_text")

#: Bytes of log entries in one answer.
MAX_LOG_BYTES = 64 << 20
#: Keys read at a time where most of what is read may be left out.
_PAGE = 256
#: And where few are likely to be wanted.
_FEW = 16
#: Kinds of bonds by their numbers, see bonds.py, which listing processes does without.
BOND_NAMES = dict(enumerate(("name", "group", "link", "watches", "watched", "leashes", "leashed"), 1))
#: Origins kept in memory by those who read processes.
MAX_ORIGINS = 1000
Origins = dict[int, Origin]


def _is_pid(pid: int) -> bool:
    return pid.__class__ is int and 0 < pid <= MAX_NUMBER


def _key_of(name: str) -> bytes | None:
    """The key of a name, or None where it is one that nothing has."""
    try:
        return check_name("a name", name)
    except StoreError:
        return None


def process(transaction: ReadTransaction, pid: int, origins: Origins) -> ProcessRecord | None:
    """The record of a process.  `origins`: those that were read before, which never change."""
    if not _is_pid(pid):
        return None
    key = pid_key(pid)
    data = transaction.get(PROCESSES, key)
    if data is None:
        return None
    born = decode_born(data)
    state = transaction.get(STATES, key)
    row = first_row(born) if state is None else decode_state(pid, state, "")
    origin = origins.get(born.origin)
    if origin is None:
        if len(origins) > MAX_ORIGINS:
            origins.clear()
        origin = origins[born.origin] = decode_origin(transaction.get(ORIGINS, pid_key(born.origin)))
    if row.queue is not None and row.status == LIVE:
        row.waits = _queue_line(transaction, row.queue) or row.waits
    return process_record(pid, born, origin, row, transaction.get(ATTRIBUTES, key) if row.attributed else None)


def seen(transaction: ReadTransaction, pid: int, origins: Origins) -> ProcessRecord | None:
    """The record of a process for a list.  One that is damaged does not keep the others from being listed: it is shown
    as paused, which is what the engine makes of it, with what is the matter."""
    try:
        return process(transaction, pid, origins)
    except StoreError as error:
        if not error.is_damage:
            raise
        return ProcessRecord(pid, b"", "?", "paused", 0, 0, 0, 0, error=f"{error.code} {error}", program="?")


def _queue_line(transaction: ReadTransaction, place: Place) -> str:
    """What a process waits for that its queue has not admitted; empty for one that runs."""
    data = transaction.get(QUEUES, pid_key(place.queue)) if place.state in (WAITING, DELAYED) else None
    if data is None:
        return ""
    queue = decode_queue(place.queue, data)
    if place.state != DELAYED:
        return f"queue {queue.name}, place ~{max(1, place.order - queue.served)}"
    return (
        f"queue {queue.name}, not before {time_text.instant_text(values.Instant(place.order // 1_000_000 * 1_000_000))}"
    )


def process_by_id(transaction: ReadTransaction, id: str, origins: Origins) -> ProcessRecord | None:
    """The record of the process that was started with an id."""
    key = _key_of(id)
    pid = None if key is None else transaction.get(IDS, key)
    return None if pid is None else process(transaction, read_pid(pid), origins)


def processes(
    transaction: ReadTransaction,
    origins: Origins,
    *,
    after: int,
    limit: int,
    statuses: Iterable[str],
    newest_first: bool,
    where: Query | None = None,
) -> list[ProcessRecord]:
    """Processes by pid.  `after` leaves out it and what comes before it in the order of the answer; 0 nothing."""
    wanted = frozenset((statuses,) if isinstance(statuses, str) else statuses)
    unknown = wanted.difference(STATUS_WORDS)
    if unknown:
        raise StoreError("S206", reason=f"there is no status {min(unknown)!r}")
    limit = max(0, min(limit, MAX_ITEMS))
    if where is not None and where != EVERYTHING:
        return select(
            transaction, where, lambda pid: seen(transaction, pid, origins),
            after=after, limit=limit, statuses=wanted, newest_first=newest_first,
        )  # fmt: skip
    found: list[ProcessRecord] = []
    for pid in _candidates(transaction, after, wanted, newest_first) if limit else ():
        record = seen(transaction, pid, origins)
        if record is not None and (not wanted or record.status in wanted):
            found.append(record)
            if len(found) == limit:
                break
    return found


def _candidates(transaction: ReadTransaction, after: int, wanted: frozenset[str], newest_first: bool) -> Iterator[int]:
    """Pids in order, of processes that may have one of the statuses."""
    if wanted == {"ready"}:  # these have an index of their own; there may be very many that wait
        yield from _ready_live(transaction, after, newest_first)
        return
    indexes = [(STATUSES, status_key(code, 0)[:1]) for code in {STATUS_CODES[status] for status in wanted}]
    while True:
        pids: list[int] = []
        ends = []  # how far each index that has more was read
        for space, prefix in indexes or [(PROCESSES, b"")]:
            page = _pids(transaction, space, prefix, after, newest_first)
            pids += page
            if len(page) == _PAGE:
                ends.append(page[-1])
        if not ends:
            yield from sorted(pids, reverse=newest_first)
            return
        if newest_first:
            after = max(ends)
            yield from sorted((pid for pid in pids if pid >= after), reverse=True)
        else:
            after = min(ends)
            yield from sorted(pid for pid in pids if pid <= after)


def _pids(transaction: ReadTransaction, space: str, prefix: bytes, after: int, newest_first: bool) -> list[int]:
    """A page of pids from an index whose keys are `prefix` and the pid."""
    if newest_first:
        start = prefix + pid_key(min(after, MAX_NUMBER) - 1 if after > 0 else MAX_NUMBER)
    else:
        start = prefix + pid_key(min(max(0, after) + 1, MAX_NUMBER))
    items = transaction.scan(space, prefix, start=start, limit=_PAGE, reverse=newest_first, values=False)
    return [read_pid(key, len(prefix)) for key, _ in items]


def _ready_live(transaction: ReadTransaction, after: int, newest_first: bool) -> list[int]:
    pids = sorted((read_pid(value) for _, value in transaction.scan(READY, damaged=[])), reverse=newest_first)
    if after > 0:
        pids = [pid for pid in pids if (pid < after if newest_first else pid > after)]
    return pids


def result(transaction: ReadTransaction, pid: int) -> bytes | None:
    """What an ended process returned, or its error."""
    return transaction.get(RESULTS, pid_key(pid)) if _is_pid(pid) else None


def log(transaction: ReadTransaction, pid: int, start: int, limit: int) -> list[LogEntry]:
    """Entries from a sequence on, never cut within a sequence; fewer than `limit` also where they are large."""
    if not _is_pid(pid) or limit <= 0:
        return []
    entries: list[LogEntry] = []
    size = 0
    limit = min(limit, MAX_ITEMS)
    for entry in read_entries(transaction, pid, max(0, min(start, MAX_NUMBER)), min(_PAGE, limit + 1)):
        if (len(entries) >= limit or size > MAX_LOG_BYTES) and entry.sequence != entries[-1].sequence:
            break
        entries.append(entry)
        size += len(entry.event) + len(entry.segment)
    return entries


def checkpoint(transaction: ReadTransaction, pid: int, at: int | None) -> tuple[int, bytes] | None:
    """The newest checkpoint at or before `at`."""
    if not _is_pid(pid) or (at is not None and at < 0):
        return None
    start = pair_key(pid, MAX_NUMBER if at is None else min(at, MAX_NUMBER))
    found = transaction.scan(CHECKPOINTS, pid_key(pid), start=start, limit=1, reverse=True)
    if not found:
        return None
    key, value = found[0]
    return read_pid(key, PID_BYTES), whole(transaction, CHECKPOINTS, pid, value)


def inbox(transaction: ReadTransaction, pid: int, limit: int, messages: bool) -> list[InboxEvent]:
    """What has arrived, in order; without messages if they are not wanted."""
    if not _is_pid(pid):
        return []
    stop = b"" if messages else inbox_key(pid, MESSAGES)
    items = transaction.scan(INBOX, pid_key(pid), stop=stop, limit=max(0, min(limit, MAX_ITEMS)))
    return [decode_inbox(key, value) for key, value in items]


def ready(
    transaction: ReadTransaction, partitions: Iterable[int], limit: int, leave_out: Container[int] = ()
) -> list[int]:
    """Pids with something to do, the longest waiting first."""
    wanted = sorted({partition for partition in partitions if 0 <= partition < PARTITION_COUNT})
    limit = max(0, min(limit, MAX_ITEMS))
    if not wanted or not limit:
        return []
    found: list[Iterator[tuple[int, int]]] = []
    page = max(_FEW, 2 * limit // len(wanted))
    position = 0
    while position < len(wanted):
        # One seek finds the next partition that has marks at all; most have none.
        first = transaction.scan(READY, start=u16(wanted[position]), limit=1, values=False)
        if not first:
            break
        partition = read_ready_key(first[0][0])[0]
        while position < len(wanted) and wanted[position] < partition:
            position += 1
        if position < len(wanted) and wanted[position] == partition:
            found.append(_marks(transaction, partition, page))
            position += 1
    pids = (pid for _, pid in merge(*found) if pid not in leave_out)
    return list(islice(pids, limit))


def _marks(transaction: ReadTransaction, partition: int, limit: int) -> Iterator[tuple[int, int]]:
    """The marks of a partition in order, with their pids, read by pages: there may be very many."""
    start = b""
    while True:
        damaged: list[bytes] = []
        page = transaction.scan(READY, u16(partition), start=start, limit=limit, damaged=damaged)
        for key, value in page:
            yield read_ready_key(key)[1], read_pid(value)
        if len(page) + len(damaged) < limit:
            return
        start = max([key for key, _ in page[-1:]] + damaged[-1:]) + b"\x00"


def next_due(transaction: ReadTransaction, now: int) -> int | None:
    """When the earliest timer or schedule is due, or when something was to be forgotten, if it is time for that: nobody
    waits for it, so what is still to come does not count."""
    first = [key for space in (DUE, SCHEDULES_DUE) for key, _ in transaction.scan(space, limit=1, values=False)]
    stop = u64(now + 1)
    for space in (KV_EXPIRY, FORGET):
        first += [key for key, _ in transaction.scan(space, stop=stop, limit=1, values=False)]
    return min((read_u64(key) for key in first), default=None)


def open_requests(transaction: ReadTransaction, pid: int, store_id: str) -> list[Request]:
    """Requests of a process that are not over, by number."""
    data = transaction.get(STATES, pid_key(pid)) if _is_pid(pid) else None
    if data is None:
        return []
    row = decode_state(pid, data, store_id)
    found = dict(row.requests)
    if row.far_requests:
        for key, value in transaction.scan(REQUESTS, pid_key(pid), limit=MAX_ITEMS):
            number = read_pid(key, PID_BYTES)
            found[number] = decode_request(pid, number, value, store_id)
    return [request_record(pid, number, found[number]) for number in sorted(found)[:MAX_ITEMS]]


def ties(transaction: ReadTransaction, pid: int, limit: int) -> list[tuple[str, str | int]]:
    """What a process is tied to: kinds of bonds, each with a name or a pid; the first ones."""
    found: list[tuple[str, str | int]] = []
    items = transaction.scan(BONDS, pid_key(pid), limit=max(0, min(limit, MAX_ITEMS))) if _is_pid(pid) else []
    for key, value in items:
        kind, rest = BOND_NAMES[key[PID_BYTES]], key[PID_BYTES + 1 :]
        if kind in ("name", "group"):
            found.append((kind, rest.decode("utf-8", "replace")))
        else:
            found.append((kind, read_pid(value if kind == "watches" else rest)))
    return found


def calls(transaction: ReadTransaction, after: int, limit: int) -> list[int]:
    """Pids, in order, of processes with open requests that are called."""
    if after >= MAX_NUMBER:
        return []
    items = transaction.scan(CALLS, start=pid_key(max(0, after) + 1), limit=max(0, min(limit, MAX_ITEMS)), values=False)
    return [read_pid(key) for key, _ in items]


def queued(transaction: ReadTransaction, effects: Sequence[str]) -> bool:
    """Whether one of the queues has a request."""
    for effect in effects:
        key = _key_of(effect)
        if key is not None and transaction.scan(QUEUE, key + b"\x00", limit=1):
            return True
    return False


def token(transaction: ReadTransaction, token: str) -> str | None:
    """Whether a callback token is "open" or "over"; None where it is unknown."""
    key = _key_of(token)
    data = None if key is None else transaction.get(TOKENS, key)
    if data is None:
        return None
    return "over" if decode_token(data)[2] else "open"


def artifact(transaction: ReadTransaction, hash: bytes) -> bytes | None:
    """An artifact by its content hash."""
    return transaction.get(ARTIFACTS, hash) if 0 < len(hash) <= 64 else None


def deployed(transaction: ReadTransaction, name: str | None) -> dict[str, bytes]:
    """Deployed names, or the one that is asked for."""
    if name is None:
        return {key.decode(): value for key, value in transaction.scan(DEPLOYED)}
    key = _key_of(name)
    value = None if key is None else transaction.get(DEPLOYED, key)
    return {} if value is None else {name: value}


def grants(transaction: ReadTransaction, name: str) -> tuple[str, ...] | None:
    """What the processes of a deployed name may perform; None for all."""
    key = _key_of(name)
    return None if key is None else granted_to(transaction, key)


def counter(transaction: ReadTransaction, name: str) -> int:
    """A counter of META."""
    data = transaction.get(META, b"counter:" + name.encode())
    return 0 if data is None else decode_number(data)


def interpreters(transaction: ReadTransaction, now: int) -> int:
    """How many interpreters have a lease that has not ended."""
    return sum(decode_interpreter(value)[0] > now for _, value in transaction.scan(INTERPRETERS, damaged=[]))


def stats(transaction: ReadTransaction) -> dict[str, Any]:
    """{"format", "processes": by status, "entries": keys by space}; an engine adds what it knows."""
    ready_count = counter(transaction, "ready")
    counts = {name: counter(transaction, f"status:{code}") for code, name in enumerate(STATUS_NAMES)}
    counts["waiting"] = counter(transaction, f"status:{LIVE}") - ready_count
    return {
        "format": FORMAT,
        "processes": {"ready": ready_count, **counts},
        "entries": {space: transaction.count(space) for space in SPACE_NAMES},
    }
