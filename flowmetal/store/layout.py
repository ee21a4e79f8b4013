"""The key spaces of a store: one table, with the form of every key and value, and the packing of keys.

Keys are big-endian, so that their order as bytes is the order of the numbers in them.  Values are compact msgpack
arrays (codec.py) unless the table says otherwise.  docs/store.md is generated from here by
`python -m flowmetal.store.document`.
"""

from __future__ import annotations

import struct
from typing import Final

from flowmetal.dataclass import dataclass

#: Written into every store; a store of another format is refused.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class KeySpace:
    """An ordered map from bytes to bytes with a name of its own."""

    name: str
    key: str
    value: str
    doc: str


_spaces: list[KeySpace] = []


def _space(name: str, key: str, value: str, doc: str) -> str:
    _spaces.append(KeySpace(name, key, value, doc))
    return name


META: Final = _space(
    "meta",
    "name, text",
    "msgpack",
    "`about`: [format, engine, store id, made at]. `counter:NAME`: the last pid, the last number of the order of "
    "arrival, processes by status.",
)
ARTIFACTS: Final = _space("artifacts", "content hash", "the artifact's bytes", "Compiled programs and libraries.")
DEPLOYED: Final = _space("deployed", "name, text", "content hash", "What new processes of a name run.")
PROCESSES: Final = _space(
    "processes",
    "pid u64",
    "[artifact, function, status, sequence, checkpoint, created_at, updated_at, id, parent, waits, error, mark, name, "
    "digest, messages, receives, deaths]",
    "One record a process. `mark`: the number of its ready mark, 0 for none. `name`, `digest`: the deployed name and "
    "the SHA-256 of the arguments it was started with, to tell whether another start with its id is the same. "
    "`messages`: how many are in its inbox. `receives`: whether it is to run for a message. "
    "`deaths`: interpreters that ended in one of its turns since the last one that was committed.",
)
ATTRIBUTES: Final = _space("attributes", "pid u64", "a map", "Attributes of processes that have some.")
IDS: Final = _space("ids", "id, text", "pid u64", "Processes by the id they were given at start.")
STATUSES: Final = _space(
    "statuses",
    "group u8, pid u64",
    "empty",
    "Processes by group: 0 live (ready or waiting), 1 paused, 2 done, 3 failed, 4 cancelled. A live process is "
    "ready while it has a ready mark.",
)
LOG: Final = _space(
    "log",
    "pid u64, sequence u64, part u32",
    "[event, segment]",
    "The events of a process in order, each with what it changed in the image.",
)
CHECKPOINTS: Final = _space(
    "checkpoints", "pid u64, sequence u64", "image bytes", "Full images: the state before the entry of this sequence."
)
RESULTS: Final = _space("results", "pid u64", "encoded value", "What ended processes returned, or their error.")
INBOX: Final = _space(
    "inbox",
    "pid u64, class and arrival u64",
    "[kind u8, number, attempt, data]",
    "What has arrived for a process and was not yet taken. Arrivals are numbered over the whole store. Class, in the "
    "highest bits: 0 start, cancel, pause, resume, retry; 2^61 answers, errors, losses and timers; 2^62 messages.",
)
READY: Final = _space(
    "ready", "partition u16, mark u64", "pid u64", "Processes that have something to do, the longest waiting first."
)
REQUESTS: Final = _space(
    "requests",
    "pid u64, number u64",
    "[effect, payload, options, idempotency_key, not_before, attempt, state, worker, lease_until, queued, place, "
    "tokens]",
    "Effects that are not over. `place`: the number under which it stands in its queue, 0 if it does not.",
)
QUEUE: Final = _space(
    "queue", "effect, text, 0 u8, place u64", "pid u64, number u64", "Requests that a worker may take, oldest first."
)
TIMERS: Final = _space(
    "timers",
    "pid u64, number u64, kind u8",
    "due u64",
    "When each timer of a process is due. Kinds: 1 sleep, 2 timeout, 3 deadline, 4 retry.",
)
DUE: Final = _space(
    "due",
    "due u64, pid u64, number u64, kind u8",
    "attempt u64",
    "All timers by time: those above, and 5, the leases of taken requests (whose attempt is the value).",
)
TOKENS: Final = _space(
    "tokens",
    "token, text",
    "[pid, number, over_at]",
    "Callback tokens. `over_at`: when it was delivered or its request was over, 0 while it is open.",
)
FORGET: Final = _space("forget", "time u64, token", "empty", "When to forget tokens that are over, 72 hours after it.")
INTERPRETERS: Final = _space(
    "interpreters",
    "name, text",
    "[lease_until, joined_at, running]",
    "Who runs processes, each with a lease. `running`: the process in whose turn it has been for long, or 0.",
)
PARTITIONS: Final = _space(
    "partitions",
    "partition u16",
    "[interpreter, epoch]",
    "Who may commit turns of the processes of a partition; the epoch rises when it changes hands.",
)
CLIENTS: Final = _space(
    "clients",
    "client 16 bytes, batch u64",
    "batch 0: [last batch whose results have arrived, seen_at]; others: [results]",
    "Batches that attached processes have passed to the owner: a batch that is sent again because the owner died is "
    "not applied again.",
)

SPACES: Final[tuple[KeySpace, ...]] = tuple(_spaces)
SPACE_NAMES: Final[tuple[str, ...]] = tuple(space.name for space in SPACES)

# ---- keys --------------------------------------------------------------------------------------------------------

_U16 = struct.Struct(">H")
_U64 = struct.Struct(">Q")
_U64_PAIR = struct.Struct(">QQ")
_LOG_KEY = struct.Struct(">QQI")
_TIMER_KEY = struct.Struct(">QQB")
_DUE_KEY = struct.Struct(">QQQB")
_READY_KEY = struct.Struct(">HQ")
_STATUS_KEY = struct.Struct(">BQ")

u16 = _U16.pack
u64 = _U64.pack
u64_pair = _U64_PAIR.pack
log_key = _LOG_KEY.pack
timer_key = _TIMER_KEY.pack
due_key = _DUE_KEY.pack
ready_key = _READY_KEY.pack
status_key = _STATUS_KEY.pack


def queue_key(effect: bytes, place: int) -> bytes:
    """The key of a queued request; names of effects have no NUL in them."""
    return effect + b"\x00" + u64(place)


def read_u64(data: bytes, offset: int = 0) -> int:
    """The number of 8 bytes at `offset`."""
    return int.from_bytes(data[offset : offset + 8], "big")


def read_u64_pair(data: bytes) -> tuple[int, int]:
    """Two numbers of 8 bytes."""
    pair: tuple[int, int] = _U64_PAIR.unpack(data)
    return pair


def read_log_key(key: bytes) -> tuple[int, int, int]:
    """(pid, sequence, part)."""
    parts: tuple[int, int, int] = _LOG_KEY.unpack(key)
    return parts


def read_timer_key(key: bytes) -> tuple[int, int, int]:
    """(pid, number, kind)."""
    parts: tuple[int, int, int] = _TIMER_KEY.unpack(key)
    return parts


def read_due_key(key: bytes) -> tuple[int, int, int, int]:
    """(due, pid, number, kind)."""
    parts: tuple[int, int, int, int] = _DUE_KEY.unpack(key)
    return parts


def read_ready_key(key: bytes) -> tuple[int, int]:
    """(partition, mark)."""
    parts: tuple[int, int] = _READY_KEY.unpack(key)
    return parts
