"""Rows of queues: a queue, a key of it, the limits, and their keys and stored form."""

from __future__ import annotations

from typing import Final

from flowmetal import packing
from flowmetal.dataclass import dataclass, field, fields
from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.layout import QUEUE_DEDUP, QUEUE_HEADS, QUEUE_KEYS, QUEUES, pid_key, read_pid, read_u64, u64

_pack = packing.pack

#: Of a process in a queue; permanent.  It is paused while it waits (PARKED), or has begun, is paused, and has given its
#: slot back (UNSLOTTED), or is to go on from there, and waits for a slot once more (RETURNING).
WAITING, DELAYED, PARKED, RUNNING, UNSLOTTED, RETURNING = range(6)
#: Those that stand in a lane, and those that have no slot.
IN_LANE: Final = (WAITING, RETURNING)
NOT_BEGUN: Final = (WAITING, DELAYED, PARKED)

#: Priorities are -9 to 9, the greater first.
MAX_PRIORITY: Final = 9

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What bounds a queue; 0: no such limit.  Times in nanoseconds."""

    concurrency: int = 0  # processes that run
    rate: int = 0  # processes that begin within `rate_ns`
    rate_ns: int = 0
    key_concurrency: int = 0  # the same of each key
    key_rate: int = 0
    key_rate_ns: int = 0
    max_waiting: int = 100_000  # processes that have not begun
    window_ns: int = 300 * SECOND_NS  # for how long a dedup key stands for the process that was started with it
    keeps_slot: bool = True  # whether a paused process keeps its slot


@dataclass(slots=True)
class QueueRow:
    """A queue.  Shared like the row of a process: change it only after Changes.touch_queue."""

    number: int
    name: str
    created_at: int
    limits: QueueLimits
    paused: bool = False
    running: int = 0
    waiting: int = 0  # in lanes
    delayed: int = 0
    parked: int = 0  # paused while they wait
    heads: int = 0  # lanes of which a process may begin
    turns: int = 0
    tickets: int = 0
    served: int = 0
    started: int = 0
    admitted: int = 0
    wake_at: int = 0
    sweep: str | None = None


@dataclass(slots=True)
class KeyRow:
    """A key of a queue.  A lane is what waits of one key at one priority: priority -> [turn, waiting]."""

    running: int = 0
    started: int = 0
    wake_at: int = 0
    forget_at: int = 0
    lanes: dict[int, list[int]] = field(default_factory=dict)


_QUEUE_FIELDS = [one.name for one in fields(QueueRow)][1:]


def encode_queue(row: QueueRow) -> bytes:
    """The value of QUEUES under a number."""
    values = [getattr(row, name) for name in _QUEUE_FIELDS]
    limits = row.limits
    values[2] = [getattr(limits, one.name) for one in fields(QueueLimits)]
    data: bytes = _pack(values)
    return data


def decode_queue(number: int, data: bytes) -> QueueRow:
    """From the value of QUEUES under a number."""
    try:
        values = unpack(QUEUES, data)
        values[2] = QueueLimits(*values[2])
        return QueueRow(number, *values)
    except (TypeError, ValueError, IndexError) as error:
        raise unreadable(QUEUES, error) from error


def encode_key(row: KeyRow) -> bytes:
    """The value of QUEUE_KEYS."""
    lanes = [(priority, *lane) for priority, lane in row.lanes.items()]
    data: bytes = _pack((row.running, row.started, row.wake_at, row.forget_at, lanes))
    return data


def decode_key(data: bytes) -> KeyRow:
    """From the value of QUEUE_KEYS."""
    try:
        running, started, wake_at, forget_at, stored = unpack(QUEUE_KEYS, data)
        lanes = {priority: [turn, waiting] for priority, turn, waiting in stored}
        return KeyRow(running, started, wake_at, forget_at, lanes)
    except (TypeError, ValueError) as error:
        raise unreadable(QUEUE_KEYS, error) from error


def encode_dedup(pid: int, until: int) -> bytes:
    """The value of QUEUE_DEDUP."""
    data: bytes = _pack((pid, until))
    return data


def decode_dedup(data: bytes) -> tuple[int, int]:
    """(pid, until) from the value of QUEUE_DEDUP."""
    try:
        pid, until = unpack(QUEUE_DEDUP, data)
    except (TypeError, ValueError) as error:
        raise unreadable(QUEUE_DEDUP, error) from error
    return pid, until


# ---- keys ---------------------------------------------------------------------------------------------------------


def key_key(queue: int, key: str) -> bytes:
    """The key of a key of a queue."""
    return pid_key(queue) + key.encode()


def read_key_key(data: bytes) -> str:
    """The key of a queue, of its key in QUEUE_KEYS."""
    return data[5:].decode()


def lane_prefix(queue: int, key: str, priority: int) -> bytes:
    """What the keys of the processes of a lane begin with."""
    return pid_key(queue) + key.encode() + b"\x00" + bytes((MAX_PRIORITY - priority,))


def item_key(queue: int, key: str, priority: int, ticket: int) -> bytes:
    """The key of a process that waits."""
    return lane_prefix(queue, key, priority) + u64(ticket)


def rank_of(priority: int) -> int:
    """The rank of a priority among the heads: 1 for the greatest."""
    return MAX_PRIORITY - priority + 1


def head_key(queue: int, rank: int, turn: int) -> bytes:
    """The key of a lane among the heads."""
    return pid_key(queue) + bytes((rank,)) + u64(turn)


def encode_head(key: str, priority: int) -> bytes:
    """The value of QUEUE_HEADS."""
    return bytes((MAX_PRIORITY - priority,)) + key.encode()


def decode_head(data: bytes) -> tuple[str, int]:
    """(key, priority) from the value of QUEUE_HEADS."""
    try:
        return data[1:].decode(), MAX_PRIORITY - data[0]
    except (IndexError, UnicodeDecodeError) as error:
        raise unreadable(QUEUE_HEADS, error) from error


def starts_prefix(queue: int, key: str | None) -> bytes:
    """What the keys of the starts of a queue's key begin with; None: of the queue itself."""
    return pid_key(queue) + b"\x00" if key is None else pid_key(queue) + key.encode() + b"\x00"


def dedup_key(queue: int, dedup: str) -> bytes:
    """The key of a dedup key."""
    return pid_key(queue) + dedup.encode()


def forget_key(time: int, queue: int, kind: int, text: str) -> bytes:
    """The key in FORGET of a dedup key (kind 0) or of a key without processes (1)."""
    return u64(time) + pid_key(queue) + bytes((kind,)) + text.encode()


def read_forget_key(data: bytes) -> tuple[int, int, int, str]:
    """(time, queue, kind, text)."""
    return read_u64(data), read_pid(data, 8), data[13], data[14:].decode()
