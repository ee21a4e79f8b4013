"""Effects the interpreter itself serves: those answered on the spot, and those that only wait.

A *local* effect (now, random, uuid, log, progress, annotate!, self, send, http/callback-url) is answered inside the
turn; its answer is recorded with the step.  A *held* effect (sleep, http/callback, receive, and the operations of the
store: spawn, kv/get ...) opens a request that no worker takes: a timer, a callback token, a message or the store itself
answers it.  Every other effect goes to the request queue.

Clock and entropy come from outside (`Surroundings`), so that a simulation can say what they give.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from flowmetal.dataclass import dataclass, field
from flowmetal.engine.limits import EngineLimits, Rooms
from flowmetal.store.bonds import limit_error
from flowmetal.store.codec import encode_attributes
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.interface import Post
from flowmetal.store.limits import MAX_NAME_BYTES, MAX_TIME, MAX_VALUE_BYTES
from flowmetal.store.lives import Lives, life_of
from flowmetal.store.operations import OPERATIONS
from flowmetal.values import (
    Duration,
    ErrorValue,
    Instant,
    Keyword,
    Map,
    Pid,
    Vector,
    encode_value,
    fail,
    print_string,
    to_python,
)
from flowmetal.vm import FINALLY

#: Random bytes in a callback token; 24 give 32 characters that nobody guesses.
TOKEN_BYTES = 24

#: Upper bound of `(random n)`: larger numbers have no use and cost entropy.
RANDOM_BITS_MAX = 4096

#: Attributes are for searching, not for storing: this many characters of a key.
ATTRIBUTE_KEY_CHARACTERS_MAX = 128

#: One value that leaves a process: an event of the log holds up to two of them, and some text.
VALUE_BYTES_MAX = MAX_VALUE_BYTES // 2 - (64 << 10)


SLEEP = "sleep"
CALLBACK = "http/callback"
RECEIVE = "receive"
SEND = "send"
ATTEMPTS = "flowmetal/attempts"  # hears of the failed attempts of another request; see deciding.py
MORE_TIME = "flowmetal/more-time"  # while it is open a cancelled process is not ended for being late
KILL = "process/kill"
PERSON = "flowmetal/person"  # a person is asked; the process is paused until then
#: What no worker takes.
HELD = frozenset({SLEEP, CALLBACK, RECEIVE, ATTEMPTS, MORE_TIME, PERSON, FINALLY, *OPERATIONS})
#: Those that a time answers.
TIMED = frozenset({SLEEP, MORE_TIME, FINALLY})


USUAL = EngineLimits()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a turn may know of the world: the store's name and clock, entropy, and where callbacks arrive."""

    store_id: str
    now: Callable[[], int]  # nanoseconds since 1970
    entropy: Callable[[int], bytes]
    base_url: str = "http://127.0.0.1:8080"
    rooms: Rooms | None = None
    lives: Lives = ()

    def usual_key(self, pid: int, number: int) -> str:
        """The idempotency key of a request that asks for no other."""
        begin = self.store_id if not self.lives else life_of(self.store_id, self.lives, pid)
        return f"{begin}-{pid}-{number}"


@dataclass(slots=True)
class Local:
    """What a local effect may read and leave behind, besides its answer."""

    pid: int
    surroundings: Surroundings
    attributes: dict[str, Any]  # of the process
    tokens: Callable[[int], str | None]  # request number -> its callback token
    limits: EngineLimits = USUAL
    annotated: bool = False
    posts: list[Post] = field(default_factory=list)


def _now(payload: Any, local: Local) -> Any:
    return Instant(local.surroundings.now())


def _random(payload: Any, local: Local) -> Any:
    if payload is None:
        return int.from_bytes(local.surroundings.entropy(7), "big") / (1 << 56)
    if payload.__class__ is not int or payload < 1 or payload.bit_length() > RANDOM_BITS_MAX:
        fail("argument", f"random takes nothing or a positive integer, not {print_string(payload, limit=80)}")
    # Eight bytes more than the number has keep the bias of the remainder below one in 2^64.
    drawn = int.from_bytes(local.surroundings.entropy((payload.bit_length() + 7) // 8 + 8), "big")
    return drawn % payload


def _uuid(payload: Any, local: Local) -> Any:
    return uuid.UUID(bytes=local.surroundings.entropy(16), version=4)


def _nothing(payload: Any, local: Local) -> Any:
    """log and progress: being recorded is all they do."""
    return None


def _self(payload: Any, local: Local) -> Any:
    return Pid(local.pid)


def _annotate(payload: Any, local: Local) -> Any:
    local.attributes = merged_attributes("annotate!", local.attributes, payload, local.limits)
    local.annotated = True
    return None


def merged_attributes(who: str, old: dict[str, Any], given: Any, limits: EngineLimits = USUAL) -> dict[str, Any]:
    """Attributes with those of a map added; LanguageError for what cannot be one, or too many."""
    if given.__class__ is not Map:
        fail("argument", f"{who} takes a map, not {print_string(given, limit=80)}")
    merged = dict(old)
    for key, value in given.items():
        name = key.text if key.__class__ is Keyword else key
        if name.__class__ is not str or not 0 < len(name) <= ATTRIBUTE_KEY_CHARACTERS_MAX:
            fail("argument", f"an attribute's name must be a keyword or string, not {print_string(key, limit=80)}")
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = to_python(value)
    most = limits.attributes
    if len(merged) > most:
        refuse("attributes", most, f"a process has at most {most} attributes")
    try:
        size = len(encode_attributes(merged))
    except StoreError:
        fail("argument", "attributes are text, numbers of 64 bits, booleans, nil, and vectors and maps of such")
    most = limits.attribute_bytes
    if size > most:
        refuse("attribute-bytes", most, f"the attributes of a process have at most {most} bytes; these have {size}")
    return merged


def _send(payload: Any, local: Local) -> Any:
    if payload.__class__ is not Vector or len(payload) != 2 or payload.get(0).__class__ is not Pid:
        fail("argument", "send takes a process id and a message")
    data, pid = checked_size(encode_value(payload.get(1)), local.limits), payload.get(0).number
    rooms, most = local.surroundings.rooms, local.limits.mailbox
    if rooms is not None and not rooms.mailboxes.take(pid, most):
        refuse("mailbox", most, f"process {pid} has {most} messages that it has not received, which is the limit")
    local.posts.append(Post(pid, "message", data))
    return None


def _callback_url(payload: Any, local: Local) -> Any:
    token = local.tokens(payload) if payload.__class__ is int else None
    if token is None:
        fail("argument", f"there is no open callback {print_string(payload, limit=80)}")
    return f"{local.surroundings.base_url.rstrip('/')}/callbacks/{token}"


#: Effect name -> what answers it.
LOCAL: dict[str, Callable[[Any, Local], Any]] = {
    "now": _now,
    "random": _random,
    "uuid": _uuid,
    "log": _nothing,
    "progress": _nothing,
    "annotate!": _annotate,
    "self": _self,
    "send": _send,
    "http/callback-url": _callback_url,
}


def is_by_name(effect: str, payload: Any) -> bool:
    """Whether an effect is a message to a process by its name, which only the store knows."""
    return effect == SEND and payload.__class__ is Vector and len(payload) == 2 and payload.get(0).__class__ is not Pid


def refuse(limit: str, most: int, text: str) -> NoReturn:
    """Raises the error of a limit that the program may catch."""
    raise limit_error(text, limit, most)


def checked_size(data: bytes, limits: EngineLimits = USUAL) -> bytes:
    """The bytes of a value that leaves a process; LanguageError :limit where there are too many."""
    most = limits.value_bytes
    if len(data) > most:
        refuse("value", most, f"a value that leaves its process has at most {most} bytes; this has {len(data)}")
    return data


@lru_cache(1024)
def check_effect(effect: str) -> None:
    """LanguageError :argument for the name of an effect that no store can keep."""
    try:
        check_name("the name of an effect", effect)
    except StoreError:
        fail("argument", f"the name of an effect has 1 to {MAX_NAME_BYTES} bytes of printable text, not {effect[:80]}")


def asked_of_person(payload: Any) -> ErrorValue:
    """What a person is told of whom a program asks: the error it gave.  LanguageError :argument for anything else."""
    if payload.__class__ is not ErrorValue:
        fail("argument", f"a person is asked about an error, not {print_string(payload, limit=80)}")
    error: ErrorValue = payload
    return error


def new_token(surroundings: Surroundings) -> str:
    """A fresh callback token, safe in a URL."""
    return base64.urlsafe_b64encode(surroundings.entropy(TOKEN_BYTES)).decode("ascii").rstrip("=")


def sleep_until(payload: Any, now: int) -> int:
    """When a sleep ends, in nanoseconds since 1970.  Raises LanguageError :argument for what is not a time."""
    due = MAX_TIME
    if payload.__class__ is Duration and payload.ns >= 0:
        due = now + payload.ns
    elif payload.__class__ is Instant:
        due = max(0, payload.ns)
    if due < MAX_TIME:
        return due
    if payload.__class__ is Duration and payload.ns < 0:
        fail("argument", f"a sleep cannot be shorter than nothing; {print_string(payload, limit=80)} is")
    if payload.__class__ in (Duration, Instant):
        fail("argument", f"sleep must end before the year 2262; {print_string(payload, limit=80)} does not")
    fail("argument", f"sleep takes a duration or an instant, not {print_string(payload, limit=80)}")
    raise AssertionError
