"""What a program says of the queue that a process is to wait in: `{:queue "mail" :key "ada" :priority 1 :delay 5s
:dedup "order-7"}`, as the store's command has it."""

from __future__ import annotations

from typing import Any

from flowmetal.store.errors import StoreError, check_name
from flowmetal.values import Duration, Instant, Keyword, Map, fail, keyword, print_string

#: (name, key, priority, delay in ns, dedup key)
Place = tuple[str, str | None, int, int, str | None]

MAX_PRIORITY = 9
MAX_DELAY_NS = 10 * 366 * 24 * 3600 * 1_000_000_000

_QUEUE = keyword("queue")
OPTIONS = ("queue", "key", "priority", "delay", "dedup")


def place_of(options: Map, now: int) -> Place | None:
    """The place that options ask for, None where they name no queue.  LanguageError :argument for what is wrong."""
    given = {name: options.get(keyword(name)) for name in OPTIONS}
    if given["queue"] is None:
        for name in OPTIONS[1:]:
            if given[name] is not None:
                fail("argument", f":{name} is of a start in a queue, and there is no :queue")
        return None
    priority = given["priority"] or 0
    if priority.__class__ is not int or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        shown = print_string(priority, limit=80)
        fail("argument", f":priority is an integer from -{MAX_PRIORITY} to {MAX_PRIORITY}, not {shown}")
    name = _text("queue", given["queue"])
    key = None if given["key"] is None else _text("key", given["key"])
    dedup = None if given["dedup"] is None else _text("dedup", given["dedup"])
    return name, key, priority, _delay(given["delay"], now), dedup


def _text(option: str, value: Any) -> str:
    """The text of a name or key: that of a string or keyword, or the digits of an integer."""
    text = value.text if value.__class__ is Keyword else value
    if text.__class__ is int and text.bit_length() < 256:
        text = str(text)
    if text.__class__ is not str:
        fail("argument", f":{option} is a string, a keyword or an integer, not {print_string(value, limit=80)}")
    try:
        check_name(f":{option}", text)
    except StoreError as error:
        fail("argument", str(error))
    return str(text)


def _delay(value: Any, now: int) -> int:
    """The delay in nanoseconds; an instant is a time before which the process does not begin."""
    if value is None:
        return 0
    delay = -1
    if value.__class__ is Duration:
        delay = value.ns
    elif value.__class__ is Instant:
        delay = max(0, value.ns - now)
    if not 0 <= delay <= MAX_DELAY_NS:
        fail("argument", f":delay is a duration or an instant within ten years, not {print_string(value, limit=80)}")
    return delay
