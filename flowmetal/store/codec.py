"""Records to bytes and back: compact msgpack arrays, one pair of functions a key space.

Rows are what commands work on: the stored form of a record with the fields that only the store needs.
"""

from __future__ import annotations

from typing import Any

import msgpack

from flowmetal.dataclass import dataclass
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import INBOX_KINDS, InboxEvent, LogEntry, ProcessRecord, Request
from flowmetal.store.layout import (
    ATTRIBUTES,
    INBOX,
    INTERPRETERS,
    LOG,
    META,
    PARTITIONS,
    PROCESSES,
    REQUESTS,
    TOKENS,
    read_log_key,
    read_u64,
)

pack = msgpack.packb

#: Permanent numbers of statuses and of kinds of inbox events.  "live" processes are ready or waiting: which of the two
#: is told by their ready mark.
LIVE, PAUSED, DONE, FAILED, CANCELLED = range(5)
STATUS_NAMES = ("waiting", "paused", "done", "failed", "cancelled")
STATUS_CODES = {"ready": LIVE, **{name: code for code, name in enumerate(STATUS_NAMES)}}
KIND_CODES = {kind: code for code, kind in enumerate(INBOX_KINDS, 1)}
KIND_NAMES = dict(enumerate(INBOX_KINDS, 1))

#: The number of an inbox event is its arrival, and in front of it, as the highest bits, its class: what begins, stops
#: or resumes a process is read before answers and timers, and messages, of which there may be many, come last.
ANSWERS = 1 << 61
MESSAGES = 1 << 62
_CLASSES = {"message": MESSAGES, **dict.fromkeys(("answer", "error", "lost", "timer"), ANSWERS)}


def inbox_number(kind: str, arrival: int) -> int:
    """The number of an inbox event of a kind, by which those of one process are ordered."""
    return _CLASSES.get(kind, 0) | arrival


#: Of timers; permanent.
SLEEP, TIMEOUT, DEADLINE, RETRY, LEASE = 1, 2, 3, 4, 5
TIMER_CODES = {"sleep": SLEEP, "timeout": TIMEOUT, "deadline": DEADLINE, "retry": RETRY}
TIMER_NAMES = {code: kind for kind, code in TIMER_CODES.items()}

#: States of requests; permanent numbers.  "answered" and "lost": an answer, a timer or the end of a lease is in the
#: inbox, and the turn that takes it decides.
STATE_NAMES = ("queued", "taken", "held", "answered", "lost")
QUEUED, TAKEN, HELD, ANSWERED, LOST = range(5)
STATE_CODES = {name: code for code, name in enumerate(STATE_NAMES)}


@dataclass(slots=True)
class ProcessRow:
    """A process as stored; `status` is one of the groups LIVE to CANCELLED."""

    artifact: bytes
    function: str
    status: int
    sequence: int
    checkpoint: int
    created_at: int
    updated_at: int
    id: str | None
    parent: int | None
    waits: str
    error: str
    mark: int
    name: str | None
    digest: bytes
    messages: int  # in its inbox
    receives: bool  # whether it is to run for a message
    deaths: int  # interpreters that ended in one of its turns

    @property
    def status_name(self) -> str:
        """As people see it: a live process with a ready mark is ready."""
        return "ready" if self.mark and self.status == LIVE else STATUS_NAMES[self.status]


@dataclass(slots=True)
class RequestRow:
    """A request as stored; `state` is one of QUEUED to LOST."""

    effect: str
    payload: bytes
    options: bytes
    idempotency_key: str
    not_before: int
    attempt: int
    state: int
    worker: str
    lease_until: int
    queued: bool
    place: int
    tokens: list[str]


def unreadable(space: str, error: Exception) -> StoreError:
    """The error for bytes that are not a record of `space`."""
    return StoreError("S306", space=space, reason=str(error) or type(error).__name__)


def _unpack(space: str, data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except Exception as error:
        raise unreadable(space, error) from error


# ---- processes ---------------------------------------------------------------------------------------------------


def encode_process(row: ProcessRow) -> bytes:
    """The value of PROCESSES."""
    data: bytes = pack(
        (
            row.artifact,
            row.function,
            row.status,
            row.sequence,
            row.checkpoint,
            row.created_at,
            row.updated_at,
            row.id,
            row.parent,
            row.waits,
            row.error,
            row.mark,
            row.name,
            row.digest,
            row.messages,
            row.receives,
            row.deaths,
        )
    )
    return data


def decode_process(data: bytes) -> ProcessRow:
    """From the value of PROCESSES."""
    try:
        return ProcessRow(*_unpack(PROCESSES, data))
    except TypeError as error:
        raise unreadable(PROCESSES, error) from error


def process_record(pid: int, row: ProcessRow, attributes: bytes | None) -> ProcessRecord:
    """The record as read, from the row and the value of ATTRIBUTES."""
    return ProcessRecord(
        pid=pid,
        artifact=row.artifact,
        function=row.function,
        status=row.status_name,
        sequence=row.sequence,
        checkpoint=row.checkpoint,
        created_at=row.created_at,
        updated_at=row.updated_at,
        id=row.id,
        parent=row.parent,
        waits=row.waits,
        error=row.error,
        attributes=decode_attributes(attributes),
        deaths=row.deaths,
    )


def encode_attributes(attributes: dict[str, Any]) -> bytes:
    """The value of ATTRIBUTES; S206 where one is not plain data (text, numbers, booleans, None, lists, maps)."""
    try:
        data: bytes = pack(attributes)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StoreError("S206", reason=f"an attribute cannot be stored ({error})") from error
    return data


def decode_attributes(data: bytes | None) -> dict[str, Any]:
    """From the value of ATTRIBUTES, or None."""
    if data is None:
        return {}
    attributes = _unpack(ATTRIBUTES, data)
    if not isinstance(attributes, dict):
        raise unreadable(ATTRIBUTES, TypeError("not a map"))
    return attributes


# ---- log, inbox --------------------------------------------------------------------------------------------------


def encode_log(event: bytes, segment: bytes) -> bytes:
    """The value of LOG."""
    data: bytes = pack((event, segment))
    return data


def decode_log(key: bytes, data: bytes) -> LogEntry:
    """From key and value of LOG."""
    try:
        event, segment = _unpack(LOG, data)
        pid, sequence, part = read_log_key(key)
    except (TypeError, ValueError) as error:
        raise unreadable(LOG, error) from error
    return LogEntry(pid, sequence, part, event, segment)


def encode_inbox(kind: str, number: int, attempt: int, data: bytes) -> bytes:
    """The value of INBOX."""
    value: bytes = pack((KIND_CODES[kind], number, attempt, data))
    return value


def decode_inbox(key: bytes, data: bytes) -> InboxEvent:
    """From key and value of INBOX."""
    try:
        kind, number, attempt, content = _unpack(INBOX, data)
        return InboxEvent(read_u64(key, 8), KIND_NAMES[kind], number, attempt, content)
    except (TypeError, ValueError, KeyError) as error:
        raise unreadable(INBOX, error) from error


# ---- requests, tokens ----------------------------------------------------------------------------------------------


def encode_request(row: RequestRow) -> bytes:
    """The value of REQUESTS."""
    data: bytes = pack(
        (
            row.effect,
            row.payload,
            row.options,
            row.idempotency_key,
            row.not_before,
            row.attempt,
            row.state,
            row.worker,
            row.lease_until,
            row.queued,
            row.place,
            row.tokens,
        )
    )
    return data


def decode_request(data: bytes) -> RequestRow:
    """From the value of REQUESTS."""
    try:
        return RequestRow(*_unpack(REQUESTS, data))
    except TypeError as error:
        raise unreadable(REQUESTS, error) from error


def request_record(pid: int, number: int, row: RequestRow) -> Request:
    """The request as read."""
    return Request(
        pid=pid,
        number=number,
        effect=row.effect,
        payload=row.payload,
        options=row.options,
        idempotency_key=row.idempotency_key,
        not_before=row.not_before,
        attempt=row.attempt,
        state=STATE_NAMES[row.state],
        worker=row.worker,
        lease_until=row.lease_until,
        queued=row.queued,
    )


def encode_token(pid: int, number: int, over_at: int) -> bytes:
    """The value of TOKENS."""
    data: bytes = pack((pid, number, over_at))
    return data


def decode_token(data: bytes) -> tuple[int, int, int]:
    """(pid, number, over_at) from the value of TOKENS."""
    return _triple(TOKENS, data)


# ---- interpreters, partitions, meta, clients ----------------------------------------------------------------------


def encode_interpreter(lease_until: int, joined_at: int, running: int) -> bytes:
    """The value of INTERPRETERS."""
    data: bytes = pack((lease_until, joined_at, running))
    return data


def decode_interpreter(data: bytes) -> tuple[int, int, int]:
    """(lease_until, joined_at, running) from the value of INTERPRETERS."""
    return _triple(INTERPRETERS, data)


def encode_partition(interpreter: str, epoch: int) -> bytes:
    """The value of PARTITIONS."""
    data: bytes = pack((interpreter, epoch))
    return data


def decode_partition(data: bytes) -> tuple[str, int]:
    """(interpreter, epoch) from the value of PARTITIONS."""
    try:
        interpreter, epoch = _unpack(PARTITIONS, data)
    except (TypeError, ValueError) as error:
        raise unreadable(PARTITIONS, error) from error
    return interpreter, epoch


def encode_number(number: int) -> bytes:
    """A counter of META."""
    data: bytes = pack(number)
    return data


def decode_number(data: bytes) -> int:
    """A counter of META."""
    number = _unpack(META, data)
    if number.__class__ is not int:
        raise unreadable(META, TypeError("not a number"))
    return int(number)


def encode_about(format: int, engine: str, store_id: str, made_at: int) -> bytes:
    """The value of `about` in META."""
    data: bytes = pack((format, engine, store_id, made_at))
    return data


def decode_about(data: bytes) -> tuple[int, str, str, int]:
    """(format, engine, store id, made at).  Its first field is the format in every format there will be."""
    about = _unpack(META, data)
    if not isinstance(about, list) or not about or about[0].__class__ is not int:
        raise unreadable(META, TypeError("no format number"))
    return about[0], *(tuple(about[1:4]) if len(about) >= 4 else ("?", "?", 0))


def _triple(space: str, data: bytes) -> tuple[int, int, int]:
    try:
        first, second, third = _unpack(space, data)
    except (TypeError, ValueError) as error:
        raise unreadable(space, error) from error
    return first, second, third
