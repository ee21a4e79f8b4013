"""What a scrub compares: that each record can be read, and that the indexes say what the rows say.

Everything about one process is compared within one transaction, so that a store that runs meanwhile is never called
inconsistent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from flowmetal.store.codec import (
    LEASE,
    PAUSED,
    STATUS_NAMES,
    decode_attributes,
    decode_inbox,
    decode_interpreter,
    decode_number,
    decode_partition,
    decode_token,
    unpack,
)
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.layout import (
    ARTIFACTS,
    ATTRIBUTES,
    CALLS,
    CHECKPOINTS,
    CLIENTS,
    DEPLOYED,
    DUE,
    FORGET,
    IDS,
    INBOX,
    INTERPRETERS,
    KV,
    LEFTOVERS,
    LOG,
    META,
    NAMES,
    ORIGINS,
    PARTITIONS,
    PID_BYTES,
    PROCESSES,
    QUEUE,
    QUEUE_DEDUP,
    QUEUE_HEADS,
    QUEUE_ITEMS,
    QUEUE_KEYS,
    QUEUE_STARTS,
    QUEUES,
    READY,
    REQUESTS,
    RESULTS,
    SCHEDULES,
    SPACES,
    STATES,
    STATUSES,
    TEXTS,
    TIMERS,
    TOKENS,
    UNNEEDED,
    due_key,
    pair_key,
    pid_key,
    queue_key,
    read_pair,
    read_pid,
    read_ready_key,
    read_timer_key,
    read_u64,
    ready_key,
    status_key,
)
from flowmetal.store.limits import MAX_MESSAGES
from flowmetal.store.log_records import entries_of
from flowmetal.store.queue_rows import decode_dedup, decode_head, decode_key, decode_queue
from flowmetal.store.rows import ProcessRow, decode_born, decode_origin, decode_request, decode_state, first_row
from flowmetal.store.schedule_rows import decode_schedule
from flowmetal.store.texts import whole
from flowmetal.store.transaction import ReadTransaction

Read = Callable[[ReadTransaction, bytes, bytes], object]

#: The spaces whose keys begin with a pid, and go with the process.
OF_PROCESSES: Final = frozenset(space.name for space in SPACES if space.of == "process") - {LEFTOVERS, PROCESSES}


def _sized(*sizes: int) -> Read:
    def read(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
        if len(value) not in sizes:
            raise ValueError(f"its value has {len(value)} bytes")
        return value

    return read


def _meta(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
    return decode_number(value) if key.startswith(b"counter:") else unpack(META, value)


def _origin(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
    return decode_origin(value) if len(key) == PID_BYTES else _sized(PID_BYTES)(transaction, key, value)


def _queue(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
    numbered = len(key) == PID_BYTES and key[0] < 0x20  # names are printable
    return decode_queue(read_pid(key), value) if numbered else _sized(PID_BYTES)(transaction, key, value)


def _log(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
    return list(entries_of(key, whole(transaction, LOG, read_pid(key), value)))


def _text(transaction: ReadTransaction, key: bytes, value: bytes) -> object:
    if hashlib.sha256(value).digest() != key[PID_BYTES:]:
        raise ValueError("its hash is another")
    return value


#: How the records of each space are read, where there is more to them than bytes.
READ: Final[dict[str, Read]] = {
    META: _meta,
    DEPLOYED: lambda transaction, key, value: _needs(transaction, ARTIFACTS, value),
    PROCESSES: lambda transaction, key, value: decode_born(value),
    ORIGINS: _origin,
    STATES: lambda transaction, key, value: decode_state(read_pid(key), value, ""),
    ATTRIBUTES: lambda transaction, key, value: decode_attributes(value),
    IDS: _sized(PID_BYTES),
    STATUSES: _sized(0),
    CALLS: _sized(0),
    LOG: _log,
    CHECKPOINTS: lambda transaction, key, value: whole(transaction, CHECKPOINTS, read_pid(key), value),
    TEXTS: _text,
    INBOX: lambda transaction, key, value: decode_inbox(key, value),
    READY: _sized(PID_BYTES),
    REQUESTS: lambda transaction, key, value: decode_request(*read_pair(key), value, ""),
    QUEUE: _sized(2 * PID_BYTES),
    TIMERS: _sized(8),
    TOKENS: lambda transaction, key, value: decode_token(value),
    FORGET: _sized(0),
    INTERPRETERS: lambda transaction, key, value: decode_interpreter(value),
    PARTITIONS: lambda transaction, key, value: decode_partition(value),
    CLIENTS: lambda transaction, key, value: unpack(CLIENTS, value),
    QUEUES: _queue,
    QUEUE_KEYS: lambda transaction, key, value: decode_key(value),
    QUEUE_ITEMS: _sized(PID_BYTES),
    QUEUE_HEADS: lambda transaction, key, value: decode_head(value),
    QUEUE_STARTS: _sized(8),
    QUEUE_DEDUP: lambda transaction, key, value: decode_dedup(value),
    UNNEEDED: _sized(8),
    NAMES: _sized(PID_BYTES),
    KV: lambda transaction, key, value: unpack(KV, value),
    SCHEDULES: lambda transaction, key, value: decode_schedule(value),
}

#: What damage of a record of a space means.
MEANS: Final[dict[str, str]] = {
    META: "a counter or an operation on many: what has to count is refused",
    ARTIFACTS: "the processes that run this program cannot be loaded; deploying it again writes it anew",
    DEPLOYED: "nothing new starts under this name until it is deployed again",
    ORIGINS: "the processes of one program and function cannot be read",
    IDS: "a start with this id cannot be told from a new one",
    READY: "one process is not woken by what has arrived for it",
    QUEUE: "one request is not taken by a worker",
    DUE: "one timer may fire late, or a queue be looked at late",
    INTERPRETERS: "it is removed, and whose it was joins again",
    PARTITIONS: "it is made anew with a greater epoch",
    KV: "whoever reads this key gets the error; writing it makes it whole",
    SCHEDULES: "the schedule does not run until it is put again",
    QUEUES: "the queue admits nobody",
    QUEUE_KEYS: "the processes of this key of a queue do not begin",
    RESULTS: "the result of one process is lost",
    TEXTS: "one process cannot be loaded, or one entry of its log not be read",
    TOKENS: "the callback of one request is not accepted",
}
_ONE_PROCESS: Final = "one process cannot go on, or not all of its past be read"


def means(space: str) -> str:
    """What damage of a record of a space means for people."""
    return MEANS.get(space, _ONE_PROCESS if space in OF_PROCESSES or space == PROCESSES else "see docs/store.md")


def read(transaction: ReadTransaction, space: str, key: bytes, value: bytes) -> object:
    """What a record holds; StoreError or ValueError where it cannot be read."""
    reader = READ.get(space)
    return None if reader is None else reader(transaction, key, value)


def _needs(transaction: ReadTransaction, space: str, key: bytes) -> None:
    if not transaction.scan(space, key, limit=1, values=False):
        raise ValueError(f"what it names is not in `{space}`")


# ---- indexes against rows ------------------------------------------------------------------------------------------


def compare_process(transaction: ReadTransaction, pid: int, born_value: bytes) -> list[str]:
    """What of a process does not fit together.  Damaged records are no matter of this: they are found as such."""
    key = pid_key(pid)
    if transaction.get(LEFTOVERS, key) is not None:
        return []
    born = decode_born(born_value)
    state = transaction.get(STATES, key)
    row = first_row(born) if state is None else decode_state(pid, state, "")
    wrong: list[str] = []

    def expect(what: str, space: str, at: bytes, value: bytes | None = None) -> None:
        found = transaction.get(space, at)
        if found is None or (value is not None and found != value):
            wrong.append(f"{what} is not in `{space}`")

    expect("what it runs", ORIGINS, pid_key(born.origin))
    expect(f"its status ({STATUS_NAMES[row.status]})", STATUSES, status_key(row.status, pid))
    if row.mark:
        expect("its ready mark", READY, ready_key(pid % PARTITION_COUNT, row.mark), key)
    if born.id is not None:
        expect("its id", IDS, born.id.encode(), key)
    if row.attributed:
        expect("its attributes", ATTRIBUTES, key)
    if row.status > PAUSED:
        return wrong
    if row.calls > 0:
        expect("that it calls functions", CALLS, key)
    if row.checkpoint:
        expect("its newest checkpoint", CHECKPOINTS, pair_key(pid, row.checkpoint))
    arrived = len(transaction.scan(INBOX, key, limit=MAX_MESSAGES * 2, values=False))
    if arrived < MAX_MESSAGES * 2 and arrived != row.messages + row.events:
        wrong.append(f"it counts {row.messages + row.events} in its inbox, which has {arrived}")
    for space, counted in ((REQUESTS, row.far_requests), (TIMERS, row.far_timers)):
        found = len(transaction.scan(space, key, limit=counted + 1, values=False)) if counted else 0
        if found != counted:
            wrong.append(f"it counts {counted} in `{space}`, which has {'more' if found > counted else found}")
    _compare_open(transaction, row, pid, expect)
    return wrong


def _compare_open(transaction: ReadTransaction, row: ProcessRow, pid: int, expect: Callable[..., None]) -> None:
    timers, requests = dict(row.timers), dict(row.requests)
    if row.far_timers:
        for stored, value in transaction.scan(TIMERS, pid_key(pid), limit=row.far_timers):
            timers[read_timer_key(stored)[1:]] = read_u64(value)
    if row.far_requests:
        for stored, value in transaction.scan(REQUESTS, pid_key(pid), limit=row.far_requests):
            number = read_pair(stored)[1]
            requests[number] = decode_request(pid, number, value, "")
    for (number, kind), due in timers.items():
        expect(f"timer {number}", DUE, due_key(due, pid, number, kind))
    for number, request in requests.items():
        if request.place:
            place = queue_key(request.effect.encode(), request.place)
            expect(f"request {number}", QUEUE, place, pair_key(pid, number))
        if request.lease_until:
            expect(f"the lease of request {number}", DUE, due_key(request.lease_until, pid, number, LEASE))


def compare_index(transaction: ReadTransaction, space: str, key: bytes, value: bytes) -> str:
    """What an entry of an index says that its process does not; empty where they agree."""
    if space in (STATUSES, IDS, NAMES):
        at = key[1:] if space == STATUSES else value
        if transaction.get(PROCESSES, at) is None:
            return f"process {read_pid(at)} is not there"
        if space == STATUSES and _row(transaction, at).status != 255 - key[0]:
            return f"process {read_pid(at)} has another status"
    elif space == READY:
        if _row(transaction, value).mark != read_ready_key(key)[1]:
            return f"process {read_pid(value)} has another mark"
    elif space == QUEUE:
        pid, number = read_pair(value)
        row = _row(transaction, pid_key(pid))
        if number not in row.requests and transaction.get(REQUESTS, value) is None:
            return f"request {number} of process {pid} is not there"
    return ""


def _row(transaction: ReadTransaction, key: bytes) -> ProcessRow:
    state = transaction.get(STATES, key)
    if state is not None:
        return decode_state(read_pid(key), state, "")
    born = transaction.get(PROCESSES, key)
    if born is None:
        raise ValueError(f"process {read_pid(key)} is not there")
    return first_row(decode_born(born))


def compare_counters(transaction: ReadTransaction) -> list[str]:
    """What the counters say that the tables do not."""
    wrong = []

    def counter(name: str) -> int:
        data = transaction.get(META, b"counter:" + name.encode())
        return 0 if data is None else decode_number(data)

    counted = sum(counter(f"status:{code}") for code in range(len(STATUS_NAMES)))
    listed = transaction.count(STATUSES)
    if counted != listed:
        wrong.append(f"{counted} processes are counted, and {listed} are listed by status")
    last = transaction.scan(PROCESSES, limit=1, reverse=True, values=False)
    if last and read_pid(last[0][0]) > counter("pid"):
        wrong.append(f"process {read_pid(last[0][0])} is there, and the last number given was {counter('pid')}")
    return wrong
