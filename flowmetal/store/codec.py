"""Records to bytes and back: compact msgpack arrays, one pair of functions a key space.

Those of processes and requests are in rows.py, those of the log in log_records.py.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgpack

from flowmetal import packing
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import INBOX_KINDS, InboxEvent
from flowmetal.store.layout import (
    ATTRIBUTES,
    FORMAT,
    INBOX,
    INTERPRETERS,
    META,
    PARTITIONS,
    PID_BYTES,
    SEALED_FORMAT,
    TOKENS,
    read_u64,
)

pack = packing.pack

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
_CLASSES = {"message": MESSAGES, **dict.fromkeys(("answer", "error", "lost", "timer", "spawned", "settled"), ANSWERS)}


def inbox_number(kind: str, arrival: int) -> int:
    """The number of an inbox event of a kind, by which those of one process are ordered."""
    return _CLASSES.get(kind, 0) | arrival


#: Of timers; permanent.
SLEEP, TIMEOUT, DEADLINE, RETRY, LEASE = 1, 2, 3, 4, 5
#: Of queues: the end of a delay, and when a queue or one of its keys is looked at again.
DELAY, WAKE = 6, 7
TIMER_CODES = {"sleep": SLEEP, "timeout": TIMEOUT, "deadline": DEADLINE, "retry": RETRY}
TIMER_NAMES = {code: kind for kind, code in TIMER_CODES.items()}

#: States of requests; permanent numbers.  "answered" and "lost": an answer, a timer or the end of a lease is in the
#: inbox, and the turn that takes it decides.
STATE_NAMES = ("queued", "taken", "held", "answered", "lost")
QUEUED, TAKEN, HELD, ANSWERED, LOST = range(5)
STATE_CODES = {name: code for code, name in enumerate(STATE_NAMES)}


def unreadable(space: str, error: Exception) -> StoreError:
    """The error for bytes that are not a record of `space`."""
    return StoreError("S306", space=space, reason=str(error) or type(error).__name__)


def unpack(space: str, data: bytes) -> Any:
    """What msgpack bytes hold; S306 for others."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except Exception as error:
        raise unreadable(space, error) from error


# ---- attributes, inbox, tokens ------------------------------------------------------------------------------------


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
    attributes = unpack(ATTRIBUTES, data)
    if not isinstance(attributes, dict):
        raise unreadable(ATTRIBUTES, TypeError("not a map"))
    return attributes


def encode_inbox(kind: str, number: int, attempt: int, data: bytes) -> bytes:
    """The value of INBOX."""
    value: bytes = pack((KIND_CODES[kind], number, attempt, data))
    return value


def decode_inbox(key: bytes, data: bytes) -> InboxEvent:
    """From key and value of INBOX."""
    try:
        kind, number, attempt, content = unpack(INBOX, data)
        return InboxEvent(read_u64(key, PID_BYTES), KIND_NAMES[kind], number, attempt, content)
    except (TypeError, ValueError, KeyError) as error:
        raise unreadable(INBOX, error) from error


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
        interpreter, epoch = unpack(PARTITIONS, data)
    except (TypeError, ValueError) as error:
        raise unreadable(PARTITIONS, error) from error
    return interpreter, epoch


def encode_number(number: int) -> bytes:
    """A counter of META."""
    data: bytes = pack(number)
    return data


def decode_number(data: bytes) -> int:
    """A counter of META."""
    number = unpack(META, data)
    if number.__class__ is not int:
        raise unreadable(META, TypeError("not a number"))
    return int(number)


def encode_about(format: int, engine: str, store_id: str, made_at: int) -> bytes:
    """The value of `about` in META, which is not sealed: from format 4 on it ends with a checksum of its own."""
    fields: tuple[Any, ...] = (format, engine, store_id, made_at)
    data: bytes = pack((*fields, crc32(pack(fields))) if format >= SEALED_FORMAT else fields)
    return data


def decode_about(data: bytes) -> tuple[int, str, str, int]:
    """(format, engine, store id, made at).  Its first field is the format in every format there will be."""
    about = unpack(META, data)
    if not isinstance(about, list) or not about or about[0].__class__ is not int:
        raise unreadable(META, TypeError("no format number"))
    if about[0] <= FORMAT and (about[0] >= SEALED_FORMAT or len(about) > 4):
        if len(about) < 5 or crc32(pack(about[:4])) != about[4]:
            raise unreadable(META, ValueError("its checksum is wrong"))
    return about[0], *(tuple(about[1:4]) if len(about) >= 4 else ("?", "?", 0))


def _triple(space: str, data: bytes) -> tuple[int, int, int]:
    try:
        first, second, third = unpack(space, data)
    except (TypeError, ValueError) as error:
        raise unreadable(space, error) from error
    return first, second, third
