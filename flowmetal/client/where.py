"""Where: which processes a list or an operation is about, in plain data; the same for Python, HTTP and the commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from flowmetal import lazily
from flowmetal.client.errors import Refused
from flowmetal.dataclass import dataclass, field
from flowmetal.store.interface import STATUSES, ProcessRecord
from flowmetal.store.limits import MAX_ITEMS
from flowmetal.store.query import Query

if TYPE_CHECKING:
    import json
    import re
else:
    json, re = lazily.module("json"), lazily.module("re")


class Listed(Protocol):
    """A store as far as it lists processes."""

    def now(self) -> int: ...
    def processes(
        self, *, after: int, limit: int, statuses: Iterable[str], where: Query | None
    ) -> list[ProcessRecord]: ...


#: Seconds of the units of an age.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

#: Longest text looked for, most values in one list, longest age in seconds (a thousand years).
TEXT_MAX, VALUES_MAX, AGE_MAX = 1000, 10_000, 32_000_000_000


@dataclass(frozen=True, slots=True)
class Where:
    """What processes must have, all of it; what is left out does not matter.

    `statuses`: one of these.  `program`: the deployed name, or the module of the function.  `function`:
    "module/function".  `waits`, `error`: text in the line that says what it waits for, or why it stopped.
    `attributes` have these values; `attribute_texts` are "name=value", where the value is text or JSON.  `id_prefix`:
    how the id begins.  `parent`: who spawned it.  `older`, `younger`: seconds since it was started.  `pids`: one of
    these.  `tree`: this process, and all that come from it: what it has spawned, and what those have.
    """

    statuses: tuple[str, ...] = ()
    program: str | None = None
    function: str | None = None
    waits: str | None = None
    error: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    attribute_texts: tuple[str, ...] = ()
    id_prefix: str | None = None
    parent: int | None = None
    older: float | None = None
    younger: float | None = None
    pids: tuple[int, ...] | None = None
    tree: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Where()

    def query(self, now: int) -> Query:
        """The query at a time of the store's clock.  Refused where a field is none that could be meant."""
        for status in self.statuses:
            if status not in STATUSES:
                raise Refused("H513", what="a status", expected="one of " + ", ".join(STATUSES))
        for name in ("program", "function", "waits", "error", "id_prefix"):
            text = getattr(self, name)
            if text is not None and (text.__class__ is not str or not 0 < len(text) <= TEXT_MAX):
                raise Refused("H513", what=f"`{name}`", expected=f"a text of 1 to {TEXT_MAX} characters")
        if self.parent is not None:
            _check_number("`parent`", self.parent)
        if self.tree is not None:
            _check_number("`tree`", self.tree)
        if self.pids is not None:
            if len(self.pids) > VALUES_MAX:
                raise Refused("H513", what="`pids`", expected=f"at most {VALUES_MAX} numbers")
            for pid in self.pids:
                _check_number("`pids`", pid)
        return Query(
            program=self.program,
            function=self.function,
            waits=self.waits,
            error=self.error,
            attributes=(
                *((name, (value,)) for name, value in self.attributes.items()),
                *(attribute_of(text) for text in self.attribute_texts),
            ),
            id_prefix=self.id_prefix,
            parent=self.parent,
            started_before=_since("`older`", self.older, now),
            started_after=_since("`younger`", self.younger, now),
            pids=self.pids,
            tree=self.tree,
        )

    def document(self) -> dict[str, Any]:
        """As JSON; only what is said."""
        found: dict[str, Any] = {}
        for name in NAMES:
            value = getattr(self, name)
            if value not in (None, (), {}):
                found[name] = list(value) if value.__class__ is tuple else value
        return found


#: The fields, as JSON documents and queries name them.
NAMES = (
    "statuses", "program", "function", "waits", "error", "attributes", "attribute_texts", "id_prefix", "parent",
    "older", "younger", "pids", "tree",
)  # fmt: skip


def where_of(document: Any) -> Where:
    """From a JSON document.  Refused where it is none."""
    if not isinstance(document, Mapping):
        raise Refused("H513", what="`where`", expected="an object")
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name not in NAMES:
            raise Refused(
                "H513", what=f"a field of `where` (here {str(name)[:80]!r})", expected="one of " + ", ".join(NAMES)
            )
        if name in ("statuses", "attribute_texts", "pids"):
            values[name] = _items(name, value, int if name == "pids" else str)
        elif name == "attributes":
            if not isinstance(value, Mapping):
                raise Refused("H513", what="`attributes`", expected="an object")
            values[name] = dict(value)
        elif value is not None:
            values[name] = value
    return Where(**values)


def count(store: Listed, where: Where) -> int:
    """How many processes of a store fit."""
    query, after, number = where.query(store.now()), 0, 0
    while True:
        found = store.processes(after=after, limit=MAX_ITEMS, statuses=where.statuses, where=query)
        number += len(found)
        if len(found) < MAX_ITEMS:
            return number
        after = found[-1].pid


def attribute_of(text: str) -> tuple[str, tuple[Any, ...]]:
    """Name and possible values of "name=value": the text, and what it is as JSON."""
    name, equals, value = text.partition("=")
    if not name or not equals or len(text) > TEXT_MAX:
        raise Refused("H513", what="an attribute", expected=f'"name=value" of at most {TEXT_MAX} characters')
    try:
        read = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return name, (value,)
    return name, (value, read)


def seconds_of(text: str) -> float | None:
    """The seconds of an age such as "90", "30s", "5m", "2h", "7d", "1w"; None for what is none."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhdw]?)", text)
    if found is None:
        return None
    seconds = float(found[1]) * UNITS[found[2] or "s"]
    return seconds if seconds <= AGE_MAX else None


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _items(name: str, value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise Refused("H513", what=f"`{name}`", expected="a list")
    items = tuple(value)
    if len(items) > VALUES_MAX or any(item.__class__ is not kind for item in items):
        what = "numbers" if kind is int else "texts"
        raise Refused("H513", what=f"`{name}`", expected=f"a list of at most {VALUES_MAX} {what}")
    return items


def _check_number(what: str, value: Any) -> None:
    if value.__class__ is not int or not 0 < value < 1 << 63:
        raise Refused("H513", what=what, expected="the number of a process, from 1")


def _since(what: str, seconds: Any, now: int) -> int | None:
    if seconds is None:
        return None
    if seconds.__class__ not in (int, float) or not 0 <= seconds <= AGE_MAX:
        raise Refused("H513", what=what, expected=f"a number of seconds from 0 to {AGE_MAX}")
    return now - round(seconds * 1_000_000_000)
