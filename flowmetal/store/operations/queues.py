"""Operations on queues: defining, looking, pausing, removing.  What a queue does is in queues.py.

`queue/define` takes {:name "mail" :concurrency 4 :rate [100 1m] :key-concurrency 1 :key-rate "10/1s" :max-waiting 1000
:window 5m :paused-keeps-slot true}; what is not given is not limited, or as usual.  It may be repeated, and changes the
limits of a queue that is there.  The others take a name.  All answer with what is known of the queue.
"""

from __future__ import annotations

import re
from typing import Any, Final

from flowmetal.dataclass import fields
from flowmetal.store.changes import Changes
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.layout import QUEUE_STARTS, QUEUES, pid_key, read_pid
from flowmetal.store.operations.table import Operation
from flowmetal.store.queue_rows import QueueLimits, QueueRow
from flowmetal.store.queues import find_queue
from flowmetal.values import Duration, Keyword, Map, Vector, keyword, parse_duration, print_string

#: Queues of a store.
MAX_QUEUES: Final = 10_000
#: Queues in one answer of `queue/list`.
MAX_LISTED: Final = 1000

_DAY_NS: Final = 24 * 3600 * 1_000_000_000
_MAX_PERIOD_NS: Final = 366 * _DAY_NS
_MAX_WINDOW_NS: Final = 30 * _DAY_NS
_NANOSECONDS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": _DAY_NS}
_SHORT = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")

#: Field of QueueLimits -> the most it may be.
_MOST: Final = {
    "concurrency": 1_000_000,
    "rate": 100_000,
    "key_concurrency": 1_000_000,
    "key_rate": 10_000,
    "max_waiting": 10_000_000,
}


def define(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/define."""
    name, limits = read_definition(payload)
    data = changes.transaction.get(QUEUES, check_name("the name of a queue", name))
    if data is None:
        if changes.count("queues", 0) >= MAX_QUEUES:
            raise _bad("the number of queues", f"at most {MAX_QUEUES}", MAX_QUEUES + 1)
        changes.count("queues", 1)
        row = QueueRow(changes.count("queue", 1), name, changes.now, limits)
        changes.add_queue(row)
        return describe(row)
    found = changes.load_queue(read_pid(data))
    assert found is not None
    if found.limits != limits:
        changes.touch_queue(found)
        old, found.limits = found.limits, limits
        if _of_keys(old) != _of_keys(limits):
            found.sweep = ""
    return describe(found)


def stats(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/stats."""
    return describe(_named(changes, payload))


def list_all(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/list: those beyond the name `:after`, in order of name."""
    options = _options(payload, ("after",)) if payload is not None else {}
    after = options.get("after")
    start = b" " if after is None else check_name("the name of a queue", after) + b"\x00"
    found = []
    for key, value in changes.transaction.scan(QUEUES, start=start, limit=MAX_LISTED):
        row = changes.load_queue(read_pid(value))
        if row is not None and row.name.encode() == key:
            found.append(describe(row))
    return Vector.of(found)


def pause(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/pause: nobody is admitted until it is resumed; those that run go on."""
    return _set_paused(changes, _named(changes, payload), True)


def resume(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/resume."""
    return _set_paused(changes, _named(changes, payload), False)


def remove(changes: Changes, asker: int, payload: Any) -> Any:
    """queue/remove: a queue without processes.  S223 for another."""
    row = _named(changes, payload)
    count = row.running + row.waiting + row.delayed + row.parked
    if count:
        raise StoreError("S223", name=row.name, count=count)
    answer = describe(row)
    changes.remove_queue(row)
    for key, _ in changes.transaction.scan(QUEUE_STARTS, pid_key(row.number), values=False):
        changes.transaction.delete(QUEUE_STARTS, key)
    changes.count("queues", -1)
    return answer


OPERATIONS = {
    "queue/define": Operation(define),
    "queue/stats": Operation(stats),
    "queue/list": Operation(list_all),
    "queue/pause": Operation(pause),
    "queue/resume": Operation(resume),
    "queue/remove": Operation(remove),
}


def _set_paused(changes: Changes, row: QueueRow, paused: bool) -> Any:
    if row.paused != paused:
        changes.touch_queue(row)
        row.paused = paused
    return describe(row)


def _of_keys(limits: QueueLimits) -> tuple[int, int, int]:
    return limits.key_concurrency, limits.key_rate, limits.key_rate_ns


def _named(changes: Changes, payload: Any) -> QueueRow:
    name = payload if payload.__class__ in (str, Keyword) else _options(payload, ("name",)).get("name")
    return find_queue(changes, text_of("the name of a queue", name))


def describe(row: QueueRow) -> Any:
    """What a program or a person sees of a queue."""
    limits = row.limits
    shown: dict[str, Any] = {
        "name": row.name,
        "paused": row.paused,
        "running": row.running,
        "waiting": row.waiting,
        "delayed": row.delayed,
        "held": row.parked,
        "admitted": row.admitted,
        "concurrency": limits.concurrency or None,
        "rate": _shown_rate(limits.rate, limits.rate_ns),
        "key-concurrency": limits.key_concurrency or None,
        "key-rate": _shown_rate(limits.key_rate, limits.key_rate_ns),
        "max-waiting": limits.max_waiting,
        "window": Duration(limits.window_ns),
        "paused-keeps-slot": limits.keeps_slot,
    }
    return Map.of((keyword(name), value) for name, value in shown.items())


def _shown_rate(rate: int, period: int) -> Any:
    return Vector.of([rate, Duration(period)]) if rate else None


# ---- definitions -------------------------------------------------------------------------------------------------


def read_definition(payload: Any) -> tuple[str, QueueLimits]:
    """Name and limits of a definition.  S222 for what is wrong with it."""
    names = ("name", "concurrency", "rate", "key-concurrency", "key-rate", "max-waiting", "window", "paused-keeps-slot")
    options = _options(payload, names)
    name = text_of("the name of a queue", options.get("name"))
    values: dict[str, Any] = {}
    for field in ("concurrency", "key_concurrency", "max_waiting"):
        given = options.get(field.replace("_", "-"))
        if given is not None:
            values[field] = _number(field, given)
    for field in ("rate", "key_rate"):
        given = options.get(field.replace("_", "-"))
        if given is not None:
            values[field], values[f"{field}_ns"] = _rate(field, given)
    if options.get("window") is not None:
        values["window_ns"] = _period("the window", options["window"], 0, _MAX_WINDOW_NS, "0 to 30 days, such as 5m")
    keeps = options.get("paused-keeps-slot")
    if keeps is not None:
        if keeps.__class__ is not bool:
            raise _bad("paused-keeps-slot", "true or false", keeps)
        values["keeps_slot"] = keeps
    assert set(values) <= {one.name for one in fields(QueueLimits)}
    return name, QueueLimits(**values)


def text_of(what: str, value: Any) -> str:
    """The text of a name or key: that of a string or keyword, or the digits of an integer.  S222 for others."""
    if value.__class__ is Keyword:
        value = value.text
    elif value.__class__ is int and value.bit_length() < 256:
        value = str(value)
    if value.__class__ is not str:
        raise _bad(what, "a string, a keyword or an integer", value)
    check_name(what, value)
    return str(value)


def _options(payload: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if payload.__class__ is not Map:
        raise _bad("the definition of a queue", "a map", payload)
    found: dict[str, Any] = {}
    for key, value in payload.items():
        name = key.text if key.__class__ is Keyword else key
        name = name.replace("_", "-") if name.__class__ is str else name
        if name not in names:
            raise _bad("an option of a queue", "one of " + ", ".join(names), key)
        found[name] = value
    return found


def _number(field: str, value: Any) -> int:
    most = _MOST[field]
    if value.__class__ is not int or not 1 <= value <= most:
        raise _bad(field.replace("_", "-"), f"a number from 1 to {most}", value)
    return int(value)


def _rate(field: str, value: Any) -> tuple[int, int]:
    what = field.replace("_", "-")
    expected = f'a number from 1 to {_MOST[field]} and a duration, such as [100 1m] or "100/1m"'
    if value.__class__ is str:
        count, slash, period = value.partition("/")
        if not slash or not (count.isascii() and count.isdigit() and len(count) < 10):
            raise _bad(what, expected, value)
        parts: list[Any] = [int(count), period]
    elif value.__class__ is Vector and len(value) == 2:
        parts = [value.get(0), value.get(1)]
    else:
        raise _bad(what, expected, value)
    if parts[0].__class__ is not int or not 1 <= parts[0] <= _MOST[field]:
        raise _bad(what, expected, value)
    return parts[0], _period(f"the period of {what}", parts[1], 10**6, _MAX_PERIOD_NS, "1ms to 366 days, such as 1m")


def _period(what: str, value: Any, least: int, most: int, expected: str) -> int:
    period = None
    if value.__class__ is Duration:
        period = value.ns
    elif value.__class__ is str:
        period = duration_ns(value)
    if period is None or not least <= period <= most:
        raise _bad(what, expected, value)
    return period


def duration_ns(text: str) -> int | None:
    """The nanoseconds of "5m", "250ms" or "PT5M"; None for another text."""
    found = _SHORT.fullmatch(text)
    if found is not None:
        return int(found[1]) * _NANOSECONDS[found[2]]
    try:
        return parse_duration(text).ns
    except ValueError:
        return None


def _bad(what: str, expected: str, found: Any) -> StoreError:
    return StoreError("S222", what=what, expected=expected, found=print_string(found, limit=80))
