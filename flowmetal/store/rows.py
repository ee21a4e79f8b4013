"""Rows: processes and requests as commands work on them, and their stored form.

A process is stored in two records: what it is from its start on (PROCESSES), and what changes with every turn (STATES),
which also holds its first few open requests and timers, so that a turn reads and writes one record.
"""

from __future__ import annotations

from typing import Any

import msgpack

from flowmetal.dataclass import dataclass, field
from flowmetal.store.codec import HELD, LIVE, STATE_NAMES, STATUS_NAMES, decode_attributes, unpack, unreadable
from flowmetal.store.interface import ProcessRecord, Request
from flowmetal.store.layout import ORIGINS, PROCESSES, REQUESTS, STATES
from flowmetal.store.limits import NEVER

#: Requests of a process that stand in its own record, and their bytes.
NEAR_REQUESTS = 4
NEAR_REQUEST_BYTES = 400
#: Timers of a process that stand in its own record.
NEAR_TIMERS = 8

#: `ProcessRow.old_status` of a process that is not in the store yet.
NEW = -1

_QUEUED, _CALLED = 1, 2

#: Fields of a record of STATES; one more, `extra`, follows where it is not empty.
_STATE_FIELDS = 17

# One packer serves all rows: they are written by one thread at a time, and packing gives way to no other thread.
_pack = msgpack.Packer(autoreset=True).pack


#: What a process runs: artifact, function, the deployed name that was asked for, and its grants (None: all).
Origin = tuple[bytes, str, str | None, tuple[str, ...] | None]


@dataclass(slots=True)
class BornRow:
    """A process as it was started."""

    origin: int
    created_at: int
    id: str | None
    parent: int | None
    digest: bytes  # of the arguments; empty without an id
    mark: int  # its first ready mark
    attributed: bool  # whether it got attributes
    #: What few have: "root", the process at the root of its tree, where another process spawned it; "limits", those it
    #: was started with, by name; "queue", the one it was started in, with key and priority.
    more: dict[str, Any] = field(default_factory=dict)


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
    called: bool
    place: int
    tokens: list[str]
    far: bool = False  # in REQUESTS, and not in the record of its process

    @property
    def is_used_up(self) -> bool:
        """Whether its retries are used up: a person decides."""
        return self.state == HELD and self.not_before == NEVER

    @property
    def is_small(self) -> bool:
        """Whether it may stand in the record of its process."""
        size = len(self.payload) + len(self.options)
        for token in self.tokens:
            size += len(token)
        return size <= NEAR_REQUEST_BYTES


@dataclass(slots=True)
class Place:
    """What a process has to do with the queue it was started in.  `state` is one of WAITING to RETURNING in
    queue_rows.py; `order` its ticket, or when its delay ends."""

    queue: int
    key: str  # empty: none
    priority: int
    state: int
    order: int


@dataclass(slots=True)
class Family:
    """What a process has spawned.  `children`, `descendants`: those that have not ended, by itself, and in its tree
    where it is the root; `starts`: those it spawned in its life."""

    children: int = 0
    descendants: int = 0
    starts: int = 0


@dataclass(slots=True)
class ProcessRow:
    """What changes with every turn; `status` is one of the groups LIVE to CANCELLED.

    Rows are shared while a group of commands is applied, and stay in memory afterwards: change one only after
    Changes.touch.
    """

    status: int
    sequence: int
    checkpoint: int
    updated_at: int
    mark: int
    messages: int  # in its inbox
    events: int  # what else is in its inbox
    receives: bool  # whether it is to run for a message
    deaths: int  # interpreters that ended in one of its turns
    calls: int  # open requests that are called
    far_requests: int
    far_timers: int
    attributed: bool  # whether it has attributes
    waits: str
    error: str
    requests: dict[int, RequestRow] = field(default_factory=dict)
    timers: dict[tuple[int, int], int] = field(default_factory=dict)  # (number, kind) -> due
    queue: Place | None = None
    schedule: str = ""  # the schedule that it is a run of, where that wants to know of its end
    bonds: dict[int, int] | None = None  # how many of each kind it has, see bonds.py
    family: Family | None = None  # what it has spawned, see families.py
    # As the indexes have it:
    old_status: int = NEW
    old_mark: int = 0
    old_calls: bool = False

    @property
    def status_name(self) -> str:
        """As people see it: a live process with a ready mark is ready."""
        return "ready" if self.mark and self.status == LIVE else STATUS_NAMES[self.status]


def new_row(born: BornRow) -> ProcessRow:
    """A process that has just been started: marked, with its start in its inbox.  Not yet in the indexes."""
    return ProcessRow(LIVE, 0, 0, born.created_at, born.mark, 0, 1, False, 0, 0, 0, 0, born.attributed, "", "")


def first_row(born: BornRow) -> ProcessRow:
    """A process that has no record in STATES yet, as the indexes have it."""
    row = new_row(born)
    row.old_status, row.old_mark = row.status, row.mark
    return row


# ---- processes ---------------------------------------------------------------------------------------------------


def encode_born(row: BornRow) -> bytes:
    """The value of PROCESSES."""
    fields = (row.origin, row.created_at, row.id, row.parent, row.digest, row.mark, row.attributed)
    data: bytes = _pack((*fields, row.more) if row.more else fields)
    return data


def decode_born(data: bytes) -> BornRow:
    """From the value of PROCESSES."""
    try:
        return BornRow(*unpack(PROCESSES, data))
    except TypeError as error:
        raise unreadable(PROCESSES, error) from error


def encode_origin(origin: Origin) -> bytes:
    """A value of ORIGINS."""
    data: bytes = _pack(origin[:3] if origin[3] is None else origin)
    return data


def decode_origin(data: bytes | None) -> Origin:
    """From a value of ORIGINS."""
    try:
        artifact, function, name, *rest = unpack(ORIGINS, data or b"")
        grants = None if not rest or rest[0] is None else tuple(str(text) for text in rest[0])
    except (TypeError, ValueError) as error:
        raise unreadable(ORIGINS, error) from error
    return artifact, function, name, grants


def encode_state(pid: int, row: ProcessRow, store_id: str) -> bytes:
    """The value of STATES."""
    timers: list[int] = []
    for (number, kind), due in row.timers.items():
        timers += (number, kind, due)
    requests: list[tuple[Any, ...]] = []
    for number, request in row.requests.items():
        requests.append(_request_fields(pid, number, request, store_id))
    fields = (
        row.status,
        row.sequence,
        row.checkpoint,
        row.updated_at,
        row.mark,
        row.messages,
        row.events,
        row.receives,
        row.deaths,
        row.calls,
        row.far_requests,
        row.far_timers,
        row.attributed,
        row.waits,
        row.error,
        requests,
        timers,
    )
    usual = row.queue is None and row.bonds is None and row.family is None and not row.schedule
    data: bytes = _pack(fields if usual else (*fields, _extra(row)))
    return data


def _extra(row: ProcessRow) -> dict[str, Any]:
    """What few processes have."""
    found: dict[str, Any] = {}
    place = row.queue
    if place is not None:
        found["queue"] = (place.queue, place.key, place.priority, place.state, place.order)
    if row.schedule:
        found["schedule"] = row.schedule
    if row.bonds is not None:
        found["bonds"] = row.bonds
    family = row.family
    if family is not None:
        found["family"] = (family.children, family.descendants, family.starts)
    return found


def decode_state(pid: int, data: bytes, store_id: str) -> ProcessRow:
    """From the value of STATES."""
    try:
        values = unpack(STATES, data)
        extra = values.pop() if len(values) > _STATE_FIELDS else None
        *fields, requests, timers = values
        row = ProcessRow(*fields)
        for number, *request in requests:
            row.requests[number] = _request_row(pid, number, request, store_id)
        for index in range(0, len(timers), 3):
            number, kind, due = timers[index : index + 3]
            row.timers[number, kind] = due
        if extra is not None:
            if "queue" in extra:
                row.queue = Place(*extra["queue"])
            row.schedule = extra.get("schedule", "")
            row.bonds = extra.get("bonds")
            if "family" in extra:
                row.family = Family(*extra["family"])
        if not 0 <= row.status < len(STATUS_NAMES):
            raise ValueError("no such status")
    except (TypeError, ValueError) as error:
        raise unreadable(STATES, error) from error
    row.old_status, row.old_mark, row.old_calls = row.status, row.mark, row.calls > 0
    return row


def process_record(pid: int, born: BornRow, origin: Origin, row: ProcessRow, attributes: bytes | None) -> ProcessRecord:
    """The record as read, from its rows and the value of ATTRIBUTES."""
    return ProcessRecord(
        pid=pid,
        artifact=origin[0],
        function=origin[1],
        status=row.status_name,
        sequence=row.sequence,
        checkpoint=row.checkpoint,
        created_at=born.created_at,
        updated_at=row.updated_at,
        id=born.id,
        parent=born.parent,
        waits=row.waits,
        error=row.error,
        attributes=decode_attributes(attributes),
        deaths=row.deaths,
        program=origin[2] or origin[1].rpartition("/")[0] or origin[1],
        root=born.more.get("root"),
        limits=born.more.get("limits") or {},
        grants=origin[3],
        queue=tuple(born.more["queue"]) if "queue" in born.more else None,
        named=bool(origin[2]),
    )


# ---- requests ----------------------------------------------------------------------------------------------------


def usual_key(store_id: str, pid: int, number: int) -> str:
    """The idempotency key of a request that asked for no other; it is not stored."""
    return f"{store_id}-{pid}-{number}"


def _request_fields(pid: int, number: int, row: RequestRow, store_id: str) -> tuple[Any, ...]:
    key: str | bool | None = row.idempotency_key
    if key == f"{store_id}-{pid}-{number}":
        key = None
    elif row.tokens and key == row.tokens[0]:
        key = True
    return (
        number,
        row.effect,
        row.payload,
        row.options,
        key,
        row.not_before,
        row.attempt,
        row.state,
        row.worker,
        row.lease_until,
        (_QUEUED if row.queued else 0) | (_CALLED if row.called else 0),
        row.place,
        row.tokens,
    )


def _request_row(pid: int, number: int, fields: list[Any], store_id: str) -> RequestRow:
    effect, payload, options, key, not_before, attempt, state, worker, lease_until, flags, place, tokens = fields
    if key is None:
        key = usual_key(store_id, pid, number)
    elif key is True:
        key = tokens[0]
    return RequestRow(
        effect,
        payload,
        options,
        key,
        not_before,
        attempt,
        state,
        worker,
        lease_until,
        bool(flags & _QUEUED),
        bool(flags & _CALLED),
        place,
        tokens,
    )


def encode_request(pid: int, number: int, row: RequestRow, store_id: str) -> bytes:
    """The value of REQUESTS."""
    data: bytes = _pack(_request_fields(pid, number, row, store_id)[1:])
    return data


def decode_request(pid: int, number: int, data: bytes, store_id: str) -> RequestRow:
    """From the value of REQUESTS."""
    try:
        row = _request_row(pid, number, unpack(REQUESTS, data), store_id)
    except (TypeError, ValueError) as error:
        raise unreadable(REQUESTS, error) from error
    row.far = True
    return row


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
        called=row.called,
    )


def request_row(request: Request, attempt: int, state: int, old: RequestRow | None) -> RequestRow:
    """A request that a turn opens, or puts back; tokens stay."""
    return RequestRow(
        request.effect,
        request.payload,
        request.options,
        request.idempotency_key,
        request.not_before,
        attempt,
        state if request.queued else HELD,
        "",
        0,
        request.queued,
        request.called,
        0,
        old.tokens if old is not None else [],
        old.far if old is not None else False,
    )
