"""The events of a process's log: what each kind holds, its bytes, and one line of text for people.

An event on the wire is one msgpack array `[kind, time, fields...]`, where kind is a permanent number of the table
below, time is nanoseconds by the store's clock, and every field is an integer, a string or bytes.  Program values
stand in it already encoded (values/codec.py), so that an event can be read without the program's code.

Decoding trusts nothing: a wrong kind, count, type or size gives EventError, never anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

import msgpack

from flowmetal.dataclass import dataclass, fields
from flowmetal.packing import pack
from flowmetal.store.limits import MAX_EVENT_BYTES
from flowmetal.values import CodecError, decode_value, print_string

#: An event larger than this is refused when read; the store refuses larger ones when written.
EVENT_BYTES_MAX = MAX_EVENT_BYTES

#: Characters of a printed value in a described event.
TEXT_MAX = 200


class EventError(ValueError):
    """Bytes that are not an event, with the reason."""


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: a function was called with arguments (an encoded vector)."""

    time: int
    function: str
    arguments: bytes


@dataclass(frozen=True, slots=True)
class Requested:
    """An effect left the process.  `options`: the printed options; `key`: the idempotency key."""

    time: int
    number: int
    effect: str
    payload: bytes
    options: str
    key: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """One attempt of a request failed or was lost, and what to do about it is in the next event."""

    time: int
    number: int
    attempt: int
    error: bytes


@dataclass(frozen=True, slots=True)
class RetryPlanned:
    """A request is tried again after `delay` nanoseconds.  `attempt`: how many there were so far."""

    time: int
    number: int
    attempt: int
    delay: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has its answer."""

    time: int
    number: int
    value: bytes


@dataclass(frozen=True, slots=True)
class AnsweredError:
    """A request ended in an error, which the program gets."""

    time: int
    number: int
    error: bytes


@dataclass(frozen=True, slots=True)
class LocalDone:
    """An effect that the interpreter answered on the spot (now, random, log ...)."""

    time: int
    number: int
    effect: str
    payload: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A sleep is over."""

    time: int
    number: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A request's time was over before its answer came; the program gets `error`."""

    time: int
    number: int
    error: bytes


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody asked that the process ends.  `reason`: an encoded string or nil."""

    time: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class RequestCancelled:
    """The program no longer wants the answer of a request."""

    time: int
    number: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message was handed to the receive request `number`."""

    time: int
    number: int
    value: bytes


@dataclass(frozen=True, slots=True)
class CameLate:
    """An answer, an error or a timer came for a request that was over; it was dropped.  `what` names it."""

    time: int
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The process stands still until a person resumes it.  `number`: the request that failed, or 0."""

    time: int
    number: int
    error: bytes


@dataclass(frozen=True, slots=True)
class Resumed:
    """A person let the process go on.  `number`: the request that is tried again, or 0."""

    time: int
    number: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The process ended with a value."""

    time: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The process ended with an error that nothing caught."""

    time: int
    error: bytes


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The process ended because it was asked to."""

    time: int
    error: bytes


@dataclass(frozen=True, slots=True)
class Linked:
    """A process that this one is linked to has ended badly, so this one ends with `error`."""

    time: int
    error: bytes


@dataclass(frozen=True, slots=True)
class Steered:
    """A person did something to the process by hand: `what` in a word ("answer", "pause"), and who it was.

    The event that follows says what came of it.  `number`: the request that it is about, or 0.
    """

    time: int
    what: str
    number: int
    by: str


Event = (
    Started | Requested | AttemptFailed | RetryPlanned | Answered | AnsweredError | LocalDone | TimerFired | TimedOut
    | CancelAsked | RequestCancelled | MessageReceived | CameLate | Paused | Resumed | Finished | Failed | Cancelled
    | Linked | Steered
)  # fmt: skip

#: Permanent numbers and names of the kinds.  A number is never reused; a new field makes a new kind.
KINDS: dict[int, tuple[str, type[Any]]] = {
    1: ("start", Started),
    2: ("request", Requested),
    3: ("attempt", AttemptFailed),
    4: ("retry", RetryPlanned),
    5: ("answer", Answered),
    6: ("answer-error", AnsweredError),
    7: ("local", LocalDone),
    8: ("timer", TimerFired),
    9: ("timeout", TimedOut),
    10: ("cancel", CancelAsked),
    11: ("cancel-request", RequestCancelled),
    12: ("message", MessageReceived),
    13: ("late", CameLate),
    14: ("paused", Paused),
    15: ("resumed", Resumed),
    16: ("done", Finished),
    17: ("failed", Failed),
    18: ("cancelled", Cancelled),
    19: ("linked", Linked),
    30: ("by", Steered),
}


class _Shape:
    """What encoding and decoding need of one kind, worked out once."""

    __slots__ = ("make", "name", "number", "read", "types")
    _types: ClassVar[dict[str, type[Any]]] = {"int": int, "str": str, "bytes": bytes}

    def __init__(self, number: int, name: str, make: type[Any]) -> None:
        self.number = number
        self.name = name
        self.make = make
        names = [f.name for f in fields(make)]
        self.read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
        self.types = tuple(self._types[str(f.type)] for f in fields(make))


_BY_NUMBER = {number: _Shape(number, name, make) for number, (name, make) in KINDS.items()}
_BY_CLASS = {shape.make: shape for shape in _BY_NUMBER.values()}


#: Kinds that are packed where they arise, see quick.py.
REQUESTED = _BY_CLASS[Requested].number
ANSWERED = _BY_CLASS[Answered].number


def encode_event(event: Event) -> bytes:
    """The event's bytes."""
    shape = _BY_CLASS[event.__class__]
    return pack((shape.number, *shape.read(event)))


def encode_requested(time: int, number: int, effect: str, payload: bytes, options: str, key: str) -> bytes:
    """The bytes of a `Requested`, without making one; every step has one."""
    return pack((REQUESTED, time, number, effect, payload, options, key))


def encode_answered(time: int, number: int, value: bytes) -> bytes:
    """The bytes of an `Answered`, without making one; nearly every step has one."""
    return pack((ANSWERED, time, number, value))


def decode_event(data: bytes) -> Event:
    """The event that the bytes hold.  Raises EventError for everything that encode_event would not have made."""
    if len(data) > EVENT_BYTES_MAX:
        raise EventError(f"an event of {len(data)} bytes is over the limit of {EVENT_BYTES_MAX}")
    try:
        items = msgpack.unpackb(data, raw=False, use_list=True, max_array_len=16, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError, MemoryError) as error:
        raise EventError(f"an event's bytes are damaged: {error}") from None
    if items.__class__ is not list or not items:
        raise EventError("an event is not an array")
    shape = _BY_NUMBER.get(items[0]) if items[0].__class__ is int else None
    if shape is None:
        raise EventError(f"unknown kind of event: {str(items[0])[:40]}")
    values = items[1:]
    if len(values) != len(shape.types):
        raise EventError(f"an event of kind {shape.name} has {len(values)} fields, not {len(shape.types)}")
    for value, wanted in zip(values, shape.types, strict=True):
        if value.__class__ is not wanted:
            raise EventError(f"a field of an event of kind {shape.name} is not of type {wanted.__name__}")
    event: Event = shape.make(*values)
    return event


def kind_of(event: Event) -> str:
    """The kind's name: "start", "request" ..."""
    return name_of(event.__class__)


def name_of(kind: type[Event]) -> str:
    """The name of a class of events."""
    return _BY_CLASS[kind].name


def value_text(data: bytes, limit: int | None = TEXT_MAX) -> str:
    """An encoded value as text of at most about `limit` characters (None: all); what cannot be read says so."""
    if not data:
        return "nil"
    try:
        return print_string(decode_value(data), limit=limit)
    except CodecError as problem:
        return f"<holds functions, {len(data)} bytes>" if problem.code == "V202" else f"<{len(data)} bytes>"
    except Exception:  # a description must not fail, whatever the bytes
        return f"<{len(data)} bytes>"


def duration_text(nanoseconds: int) -> str:
    """A length of time for people: "250ms", "30s", "5m", "2h", "7d"; the largest unit that is exact, else seconds."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if nanoseconds and nanoseconds % (size * 10**9) == 0:
            return f"{nanoseconds // (size * 10**9)}{unit}"
    if nanoseconds % 10**9 == 0:
        return f"{nanoseconds // 10**9}s"
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:.3g}ms"
    return f"{nanoseconds / 10**9:.4g}s"


def describe(event: Event, limit: int | None = TEXT_MAX) -> str:
    """The event in one line, without its time: "request #3 http/request {:url ...}".

    `limit`: characters of each value in it; None: all.
    """
    kind = kind_of(event)

    def shown(data: bytes) -> str:
        return value_text(data, limit)

    match event:
        case Started(_, function, arguments):
            return f"start {function} {shown(arguments)}"
        case Requested(_, number, effect, payload, options, _):
            text = f"request #{number} {effect} {shown(payload)}"
            return text if options in ("", "nil") else f"{text} {options}"
        case AttemptFailed(_, number, attempt, error):
            return f"attempt {attempt} of #{number} failed: {shown(error)}"
        case RetryPlanned(_, number, _, delay):
            return f"retry #{number} in {duration_text(delay)}"
        case Answered(_, number, value) | MessageReceived(_, number, value):
            return f"{kind} #{number} {shown(value)}"
        case AnsweredError(_, number, error):
            return f"answer #{number} error: {shown(error)}"
        case LocalDone(_, _, effect, payload, value):
            return f"{effect} {shown(payload)} => {shown(value)}"
        case TimerFired(_, number):
            return f"timer #{number}"
        case TimedOut(_, number, _):
            return f"timeout #{number}"
        case CancelAsked(_, reason):
            return f"cancel asked: {shown(reason)}"
        case RequestCancelled(_, number):
            return f"cancel request #{number}"
        case CameLate(_, number, what):
            return f"late {what} for #{number}, dropped"
        case Paused(_, number, error):
            what = f" at #{number}" if number else ""
            return f"paused{what}: {shown(error)}" if error else f"paused{what}"
        case Resumed(_, number):
            return f"resumed, #{number} tried again" if number else "resumed"
        case Steered(_, what, number, by):
            return f"{what} #{number} by {by}" if number else f"{what} by {by}"
        case Finished(_, value):
            return f"done {shown(value)}"
        case Failed(_, error) | Cancelled(_, error) | Linked(_, error):
            return f"{kind} {shown(error)}"
