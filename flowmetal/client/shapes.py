"""What a server answers, checked: anything may listen at an address, and answer anything.

The one place that reads answers.  What has not the shape that this API gives is Unreachable (H512), which says where;
what it has besides is left out, as a newer server may add fields.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from flowmetal.client.errors import Unreachable
from flowmetal.client.plain import Outcome, Step, from_json
from flowmetal.client.steering import Report
from flowmetal.store.interface import FINAL_STATUSES

#: What numbers of processes, steps and requests are below.
NUMBERS = 1 << 63

_QUEUE: dict[str, Any] = {
    "name": str, "paused": bool, "running": int, "waiting": int, "delayed": int, "held": int,
    "concurrency": int | None, "rate": tuple[int, str] | None, "key-concurrency": int | None,
    "key-rate": tuple[int, str] | None,
}  # fmt: skip
_RUN: dict[str, Any] = {"planned": str, "at": str, "pid": int | None, "outcome": str}
_SCHEDULE: dict[str, Any] = {"name": str, "paused": bool, "next": str | None, "runs": int, "last": (_RUN, None)}

#: What operations that people use answer, for what shows it.
OPERATIONS: Mapping[str, Any] = {
    **{f"queue/{name}": _QUEUE for name in ("define", "stats", "pause", "resume", "remove")},
    **{f"schedule/{name}": _SCHEDULE for name in ("put", "pause", "resume", "delete")},
    "schedule/show": {**_SCHEDULE, "recent": [_RUN]},
    "queue/list": [_QUEUE],
    "schedule/list": [_SCHEDULE],
    "schedule/run": {"pid": int | None, "outcome": str},
    "schedule/next": list[str],
    "process/whereis": int | None,
}

#: How a process failed, if it did.
_ERROR = ({"kind": str, "message": str}, None)


def document_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; None for anything else."""
    try:
        document = json.loads(body)
        if b"\\u" in body:
            json.dumps(document, ensure_ascii=False).encode("utf-8")  # half a character could not be written anywhere
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


class Reply:
    """The fields of an answer.  Every method raises Unreachable (H512) for a wrong one."""

    def __init__(self, document: Mapping[str, Any], url: str) -> None:
        self._document = document
        self._url = url

    def integer(self, name: str) -> int:
        """A whole number from 0."""
        return int(self._field(name, int))

    def text(self, name: str) -> str:
        """A string."""
        return str(self._field(name, str))

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._field(name, bool))

    def value(self, name: str, shape: Any = Any) -> Any:
        """Any JSON, or what fits `shape`."""
        return self._field(name, shape)

    def texts(self, name: str) -> dict[str, str]:
        """An object whose values are strings."""
        return dict(self._field(name, dict[str, str]))

    def made(self, make: type[Any]) -> Any:
        """The answer as an object of a class of data."""
        return self._made(make, self._document, "it")

    def rows(self, name: str, make: type[Any]) -> list[Any]:
        """A list of objects of a class of data."""
        return [self._made(make, item, f"an item of `{name}`") for item in self._field(name, list)]

    def outcome(self) -> Outcome:
        """How a process ended."""
        outcome: Outcome = self.made(Outcome)
        if outcome.status not in FINAL_STATUSES or not fits(outcome.error, _ERROR):
            raise self._wrong("it says of no process how it ended")
        return outcome

    def steps(self, start: int) -> list[Step]:
        """Steps of a log, from number `start` on."""
        steps = self.rows("steps", Step)
        if any(step.sequence < start for step in steps):
            raise self._wrong("`steps` has others than were asked for")
        return steps

    def report(self) -> Report:
        """What came of an operation on processes."""
        report: Report = self.made(Report)
        if any(len(pair) != 2 for pair in (*report.refusals, *report.started)):
            raise self._wrong("it reports what is none")
        return report

    def items(self, name: str) -> list[Reply]:
        """A list of objects, each to be read by its fields."""
        return [Reply(item, self._url) for item in self._field(name, list[dict[str, Any]])]

    def _field(self, name: str, shape: Any) -> Any:
        if name not in self._document:
            raise self._wrong(f"it has no `{name}`")
        value = self._document[name]
        if not fits(value, shape):
            raise self._wrong(f"its `{name}` is something else")
        return value

    def _made(self, make: type[Any], data: Any, what: str) -> Any:
        if not isinstance(data, dict):
            raise self._wrong(f"{what} is no object")
        made: Any = make
        for name, shape in _shapes(made):
            if name in data and not fits(data[name], shape):
                raise self._wrong(f"`{name}` in {what} is something else")
        try:
            return from_json(make, data)
        except TypeError:  # a field without a default is not there
            raise self._wrong(f"{what} lacks a field of {make.__name__}") from None

    def _wrong(self, reason: str) -> Unreachable:
        return Unreachable("H512", url=self._url, reason=reason)


@cache
def _shapes(make: type[Any]) -> tuple[tuple[str, Any], ...]:
    """The fields of a class of data, with their types."""
    return tuple(get_type_hints(make).items())


def fits(value: Any, shape: Any) -> bool:
    """Whether a JSON value is of a type: int, str, bool, None, Any, lists, objects of one type, unions of these.

    tuple[A, B] is a list of two.  Beside types: a dictionary is an object with these fields, [A] a list of A, (A, B)
    either.
    """
    if shape is Any:
        return True
    if shape.__class__ is dict:
        return isinstance(value, dict) and all(fits(value.get(name), each) for name, each in shape.items())
    if shape.__class__ is tuple:
        return any(fits(value, each) for each in shape)
    if shape.__class__ is list:
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    origin, inside = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inside)
    if shape in (None, type(None)):
        return value is None
    if shape is int:
        return value.__class__ is int and 0 <= value < NUMBERS
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(inside) and _all(zip(value, inside, strict=True))
    if origin is list:
        return isinstance(value, list) and all(fits(item, inside[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, inside[1]) for item in value.values())
    return value.__class__ is shape


def _all(pairs: Iterable[tuple[Any, Any]]) -> bool:
    return all(fits(value, shape) for value, shape in pairs)
