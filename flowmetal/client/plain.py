"""Between the store's records and bytes, and the plain Python data that clients and the HTTP API give.

The one place that knows both forms; the client over a store and the server use it alike, so that a program cannot
tell which way it was reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.client.errors import NotPlain, Refused
from flowmetal.client.info import time_text
from flowmetal.engine.events import EventError, decode_event, describe, kind_of
from flowmetal.store.interface import STATUSES, LogEntry, ProcessRecord, Start, Store
from flowmetal.store.limits import MAX_ITEMS
from flowmetal.values import (
    CodecError,
    ErrorValue,
    LanguageError,
    Vector,
    decode_value,
    encode_value,
    from_python,
    keyword,
    print_string,
    to_python,
)

if TYPE_CHECKING:
    from flowmetal.engine import limits, told
else:  # it needs the machine, and few starts have limits of their own
    limits = lazily.module("flowmetal.engine.limits")
    told = lazily.module("flowmetal.engine.told")

#: The key of an object whose one value is a text of the language.
EDN = "$edn"

#: Characters of a value that is only printed, because it has no plain form.
PRINTED_CHARACTERS = 2000

#: Longest text of a kind, message or name that is taken from outside.
TEXT_CHARACTERS_MAX = 10_000

#: The longest delay of a start in a queue: ten years.
DELAY_SECONDS_MAX = 10 * 366 * 24 * 3600

#: (name, key, priority, delay in ns, dedup key), as the store's command has it.
QueuePlace = tuple[str, str | None, int, int, str | None]

_KIND = re.compile(r"[A-Za-z*!_?$%&=<>.+-][\w*!?$%&=<>.+'#/-]{0,199}\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a process's log.  `time` is ISO 8601; sizes in bytes; `text` says in a line what happened."""

    sequence: int
    part: int
    kind: str
    time: str
    text: str
    event_bytes: int
    segment_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended, in plain data.  `error` is {"kind", "message", "data"} where it failed or was cancelled; of
    the latter `data` is the reason."""

    status: str  # "done", "failed" or "cancelled"
    result: Any = None
    error: dict[str, Any] | None = None


def missing_code(store: Store, pid: int) -> str:
    """The code for a process that is not there: S308 where it was removed, as its number was given once."""
    return "S308" if 0 < pid <= store.last_pid() else "H504"


def step_of(entry: LogEntry) -> Step:
    """A log entry in plain data; an event that cannot be read is described as such."""
    kind, time, text = "cut", "", "saved between two events"
    if entry.part == 0 or entry.event:
        try:
            event = decode_event(entry.event)
            kind, time, text = kind_of(event), time_text(event.time), describe(event)
        except EventError as error:
            kind, text = "unknown", str(error)
    return Step(entry.sequence, entry.part, kind, time, text, len(entry.event), len(entry.segment))


def as_json(data: Any) -> dict[str, Any]:
    """One of the above, or another data class, as a dictionary."""
    return asdict(data)


def from_json(make: type[Any], data: Mapping[str, Any]) -> Any:
    """One of the above from a dictionary; fields that a newer server adds are left out."""
    return make(**{f.name: data[f.name] for f in fields(make) if f.name in data})


# ---- values ----------------------------------------------------------------------------------------------------


def encoded(data: Any, what: str, edn: bool = False) -> bytes:
    """Plain Python as an encoded value.  NotPlain names `what`.  `edn`: {"$edn": text} is what the text reads as."""
    try:
        return encode_value(_value_of(data, what) if edn else from_python(data))
    except LanguageError as error:
        raise NotPlain("H510", what=what, reason=error.error.message) from None


def _value_of(data: Any, what: str) -> Any:
    """The value of plain data, or, of an object with the one key "$edn", what its text reads as in the language.

    JSON has no keywords, sets or symbols.
    """
    if data.__class__ is not dict or len(data) != 1 or EDN not in data:
        return from_python(data)
    text = data[EDN]
    if text.__class__ is not str:
        raise NotPlain("H510", what=what, reason=f"{EDN} is a text of the language")
    value, refused = told.value_of_text(text, what)
    if refused:
        raise NotPlain("H510", what=what, reason=refused)
    return value


def encoded_arguments(arguments: Sequence[Any]) -> bytes:
    """An argument list as an encoded vector, each argument named in what is raised."""
    values = []
    for number, argument in enumerate(arguments, 1):
        try:
            values.append(_value_of(argument, f"argument {number}"))
        except LanguageError as error:
            raise NotPlain("H510", what=f"argument {number}", reason=error.error.message) from None
    return encode_value(Vector.of(values))


def plain(data: bytes, what: str) -> Any:
    """An encoded value as plain Python.  NotPlain, with `printed` in its facts, where it has no plain form."""
    value: Any = None
    try:
        value = decode_value(data)
        return to_python(value)
    except LanguageError as error:
        printed = print_string(value, limit=PRINTED_CHARACTERS)
        raise NotPlain("H510", what=what, reason=error.error.message, printed=printed) from None
    except CodecError as error:
        reason = "it holds functions, which stay in their program" if error.code == "V202" else error.problem
        raise NotPlain("H510", what=what, reason=reason, printed=f"<{len(data)} bytes>") from None


def outcome_of(record: ProcessRecord, data: bytes | None) -> Outcome:
    """How a process ended.  NotPlain where its result has no plain form."""
    if record.status == "done":
        return Outcome("done", result=None if data is None else plain(data, f"result of process {record.pid}"))
    return Outcome(record.status, error=_error_of(record, data) if data or record.status == "failed" else None)


def _error_of(record: ProcessRecord, data: bytes | None) -> dict[str, Any]:
    """The error of a failed process.  Data without a plain form is printed: an error must always reach its reader."""
    error: Any = None
    try:
        error = None if data is None else decode_value(data)
    except CodecError:
        pass
    if not isinstance(error, ErrorValue):
        return {"kind": "unknown", "message": record.error, "data": None}
    try:
        detail = to_python(error.data)
    except LanguageError:
        detail = print_string(error.data, limit=PRINTED_CHARACTERS)
    return {"kind": error.kind.text, "message": error.message, "data": detail}


def encoded_error(kind: str, message: str, data: Any = None) -> bytes:
    """An error value for a worker's answer.  Refused for a kind that is not one, NotPlain for such data."""
    if not _KIND.match(kind):
        raise Refused("H513", what="an error's kind", expected='a keyword\'s text such as "billing/declined"')
    try:
        detail = from_python(data)
    except LanguageError as error:
        raise NotPlain("H510", what="error's data", reason=error.error.message) from None
    return encode_value(ErrorValue(keyword(kind), message[:TEXT_CHARACTERS_MAX], detail, None, None))


def check_pid(pid: Any) -> int:
    """The number of a process; Refused for what is none."""
    if pid.__class__ is not int or not 0 < pid < 1 << 63:
        raise Refused("H513", what="a process", expected="its number, a whole one from 1")
    return int(pid)


def check_wait(seconds: Any) -> float | None:
    """How long to wait, or None; Refused for what is no time."""
    if seconds is not None and (seconds.__class__ not in (int, float) or not seconds >= 0):
        raise Refused("H513", what="a wait", expected="a number of seconds from 0, or None")
    return None if seconds is None else float(seconds)


def check_page(after: Any, limit: Any, statuses: Any) -> tuple[str, ...]:
    """The statuses that a list asks for; Refused where it asks for what there cannot be."""
    if after.__class__ is not int or not 0 <= after < 1 << 63:
        raise Refused("H513", what="`after`", expected="the number of a process, or 0")
    if limit.__class__ is not int or not 0 < limit <= MAX_ITEMS:
        raise Refused("H513", what="`limit`", expected=f"a number from 1 to {MAX_ITEMS}")
    if statuses.__class__ is str or not isinstance(statuses, Iterable):
        raise Refused("H513", what="`statuses`", expected='a list, such as ["done"]')
    found = tuple(statuses)
    for status in found:
        if status not in STATUSES:
            raise Refused("H513", what="a status", expected="one of " + ", ".join(STATUSES))
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """A start as a caller wants it, see Client.start; not checked yet."""

    function: str
    arguments: Sequence[Any] = ()
    program: str | None = None
    id: str | None = None
    attributes: Mapping[str, Any] | None = None
    queue: str | None = None
    key: str | None = None
    priority: int = 0
    delay: float = 0
    dedup: str | None = None
    register: str | None = None
    limits: Mapping[str, int] | None = None

    def command(self, with_arguments: bool = True) -> Start:
        """The command, of the module's program where none is named.  Refused or NotPlain for what no store takes."""
        place = queue_place(self.queue, self.key, self.priority, self.delay, self.dedup)
        function, program = self.function, self.program
        module, slash, name = function.partition("/") if function.__class__ is str else ("", "", "")
        if not (module and slash and name) or any(c.isspace() for c in function):
            raise Refused("H513", what="a function", expected='"module/function"')
        for what, text in (("a program's name", program), ("an id", self.id), ("the name of a process", self.register)):
            if text is not None and (text.__class__ is not str or not text):
                raise Refused("H513", what=what, expected="text that is not empty, or none")
        if self.attributes is not None and not isinstance(self.attributes, Mapping):
            raise Refused("H513", what="`attributes`", expected="a map of names and plain data")
        return Start(
            function=function,
            arguments=encoded_arguments(self.arguments if with_arguments else ()),
            name=module if program is None else program,
            id=self.id,
            attributes=dict(self.attributes or {}),
            queue=place,
            register=self.register,
            limits=limits_of(self.limits) if self.limits is not None else {},
        )


def limits_of(given: Any) -> dict[str, int]:
    """Limits of one process, by the names of docs/limits.md.  Refused for what is none."""
    if not isinstance(given, Mapping):
        raise Refused("H513", what="`limits`", expected="an object of names and numbers")
    found: dict[str, int] = {}
    for name, most in given.items():
        row = limits.BY_NAME.get(name.replace("_", "-")) if name.__class__ is str else None
        if row is None:
            what, names = f"a limit (here {str(name)[:80]!r})", sorted(limits.BY_NAME)
            raise Refused("H513", what=what, expected="one of " + ", ".join(names))
        if most.__class__ is not int or not 1 <= most <= row.most:
            raise Refused("H513", what=f"the limit {row.name}", expected=f"a whole number from 1 to {row.most}")
        found[row.name] = most
    return found


def queue_place(
    queue: str | None, key: str | None, priority: int, delay: float, dedup: str | None
) -> QueuePlace | None:
    """What a start says of the queue it is to wait in; None where it names none.  Refused for what no store takes."""
    if queue is None:
        for what, given in (("a key", key), ("a priority", priority), ("a delay", delay), ("a dedup key", dedup)):
            if given:
                raise Refused("H513", what=what, expected="given with a queue")
        return None
    for what, text in (("a queue", queue), ("a key", key), ("a dedup key", dedup)):
        if text is not None and (text.__class__ is not str or not text):
            raise Refused("H513", what=what, expected="text that is not empty")
    if priority.__class__ is not int or not -9 <= priority <= 9:
        raise Refused("H513", what="a priority", expected="a number from -9 to 9")
    if delay.__class__ not in (int, float) or not 0 <= delay <= DELAY_SECONDS_MAX:
        raise Refused("H513", what="a delay", expected=f"a number of seconds from 0 to {DELAY_SECONDS_MAX}")
    return queue, key, priority, round(delay * 1_000_000_000), dedup
