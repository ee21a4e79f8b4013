"""Operations on schedules.  What a schedule does is in schedules.py.

`schedule/put` takes a map: a :name; when, as :cron "0 3 * * *" with :zone, as :every 5m with :anchor, or as :at, an
instant; what, as :program, :function and :args; and how, see `read_definition`.  It may be repeated, and changes the
schedule that is there.  The others take a name, or a map with a :name.  All answer with what is known of the schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from flowmetal.diagnostics import suggest
from flowmetal.lazily import pattern
from flowmetal.store import schedules
from flowmetal.store.changes import Changes
from flowmetal.store.codec import decode_attributes, encode_attributes
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.layout import SCHEDULES
from flowmetal.store.limits import MAX_ATTRIBUTE_BYTES, MAX_TIME
from flowmetal.store.operations.table import Operation
from flowmetal.store.schedule_rows import CATCH_UPS, OVERLAPS, ScheduleRow, decode_schedule
from flowmetal.timetable.plan import SECOND_NS, Plan
from flowmetal.timetable.wrong import Wrong
from flowmetal.values import (
    Duration,
    Instant,
    Keyword,
    LanguageError,
    Map,
    Pid,
    Symbol,
    Vector,
    decode_value,
    encode_value,
    from_python,
    keyword,
    parse_duration,
    parse_instant,
    print_string,
    to_python,
)

#: Schedules of a store, in one answer of `schedule/list`, and runs in one of `schedule/next`.
MAX_SCHEDULES: Final = 10_000
MAX_LISTED: Final = 1000
MAX_NEXT: Final = 1000

#: Arguments stay in the schedule, which is read at each run.
MAX_ARGUMENT_BYTES: Final = 1 << 20
MAX_CATCH_UP: Final = 1000

_DAY: Final = 86_400 * SECOND_NS
_UNITS: Final = {"ms": 10**6, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS, "d": _DAY}
_SHORT = pattern(r"([0-9]{1,9})(ms|s|m|h|d)")
_OPTIONS: Final = (
    "name",
    "cron",
    "zone",
    "every",
    "anchor",
    "at",
    "start",
    "end",
    "jitter",
    "program",
    "function",
    "args",
    "attributes",
    "pass-run",
    "overlap",
    "catch-up",
    "catch-up-max",
    "grace",
    "paused",
)


def put(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/put."""
    made = read_definition(payload, _program_of(changes, asker), changes.now)
    name = made.name.encode()
    old = schedules.load(changes, name)
    first = made.plan.after(changes.now) or 0
    if old is None:
        if changes.count("schedules", 0) >= MAX_SCHEDULES:
            raise bad("the number of schedules", f"at most {MAX_SCHEDULES}", MAX_SCHEDULES + 1)
        changes.count("schedules", 1)
        made.planned = first
    else:
        for kept in ("made_at", "indexed", "waiting", "running", "runs", "skipped", "missed", "recent"):
            setattr(made, kept, getattr(old, kept))
        same = old.plan == made.plan
        made.planned, made.chosen_until = (old.planned, old.chosen_until) if same else (first, 0)
        if not _says(payload, "paused"):
            made.paused = old.paused
        elif old.paused and not made.paused:
            made.planned = first
    schedules.save(changes, made)
    return describe(made, full=True)


def show(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/show."""
    return describe(_named(changes, payload), full=True)


def list_all(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/list: those beyond the name `:after`, in order of name."""
    after = None if payload is None else _options(payload, ("after",)).get("after")
    start = b"" if after is None else check_name("the name of a schedule", after) + b"\x00"
    items = changes.transaction.scan(SCHEDULES, start=start, limit=MAX_LISTED)
    return Vector.of([describe(decode_schedule(value)) for _, value in items])


def pause(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/pause: no runs begin; one that has begun goes on."""
    row = _named(changes, payload)
    if not row.paused:
        row.paused = True
        schedules.save(changes, row)
    return describe(row)


def resume(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/resume: what was planned meanwhile is left out."""
    row = _named(changes, payload)
    if row.paused:
        row.paused = False
        row.planned = row.plan.after(changes.now) or 0
        row.chosen_until = 0
        schedules.save(changes, row)
    return describe(row)


def run(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/run: a run now, besides those that are planned."""
    force = False
    if payload.__class__ is Map:
        options = _options(payload, ("name", "force"))
        force = _flag("force", options.get("force", False))
    row = _named(changes, payload)
    outcome, pid = schedules.run_now(changes, row, force)
    schedules.save(changes, row)
    answer = {"name": row.name, "outcome": keyword(outcome), "pid": Pid(pid) if pid else None}
    return Map.of((keyword(name), value) for name, value in answer.items())


def delete(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/delete."""
    row = _named(changes, payload)
    schedules.remove(changes, row)
    changes.count("schedules", -1)
    return describe(row)


def next_runs(changes: Changes, asker: int, payload: Any) -> Any:
    """schedule/next: when the next runs are planned, as they would be if it were not paused."""
    count, after = 5, changes.now
    if payload.__class__ is Map:
        options = _options(payload, ("name", "count", "after"))
        count = _number("count", options.get("count", 5), MAX_NEXT)
        if options.get("after") is not None:
            after = _instant("after", options["after"])
    row = _named(changes, payload)
    return Vector.of([Instant(planned) for planned in islice(row.plan.following(after), count)])


def _told(function: Callable[[Changes, int, Any], Any]) -> Operation:
    """The operation, with what is wrong with a plan as an error of the store."""

    def told(changes: Changes, asker: int, payload: Any) -> Any:
        try:
            return function(changes, asker, payload)
        except Wrong as wrong:
            raise StoreError(wrong.code, **wrong.facts) from None

    return Operation(told)


OPERATIONS = {
    "schedule/put": _told(put),
    "schedule/show": _told(show),
    "schedule/list": _told(list_all),
    "schedule/pause": _told(pause),
    "schedule/resume": _told(resume),
    "schedule/run": _told(run),
    "schedule/delete": _told(delete),
    "schedule/next": _told(next_runs),
}


def _program_of(changes: Changes, asker: int) -> str | None:
    """The deployed name that a process was started by."""
    found = changes.load_born(asker) if asker else None
    return found[1][2] if found is not None else None


def _named(changes: Changes, payload: Any) -> ScheduleRow:
    name = payload
    if payload.__class__ is Map:
        name = next((value for key, value in payload.items() if _text(key) == "name"), None)
    data = check_name("the name of a schedule", _name(name))
    row = schedules.load(changes, data)
    if row is None:
        near = [key.decode() for key, _ in changes.transaction.scan(SCHEDULES, limit=MAX_LISTED, values=False)]
        raise StoreError("S228", name=data.decode(), suggestion=suggest(data.decode(), near))
    return row


def describe(row: ScheduleRow, full: bool = False) -> Any:
    """What a program or a person sees of a schedule."""
    plan = row.plan
    shown: dict[str, Any] = {"name": row.name}
    if plan.cron:
        shown |= {"cron": plan.cron, "zone": plan.zone}
    elif plan.every:
        shown |= {"every": Duration(plan.every), "anchor": Instant(plan.anchor)}
    else:
        shown["at"] = Instant(plan.at)
    standard = Plan()
    bounds = {"start": plan.start or None, "end": plan.end if plan.end != standard.end else None}
    shown |= {name: Instant(value) for name, value in bounds.items() if value is not None}
    if plan.jitter:
        shown["jitter"] = Duration(plan.jitter)
    planned = row.planned if not row.paused else 0
    last = row.recent[-1] if row.recent else None
    shown |= {
        "program": row.program,
        "function": row.function,
        "overlap": keyword(OVERLAPS[row.overlap]),
        "catch-up": keyword(CATCH_UPS[row.catch_up]),
        "paused": row.paused,
        "next": Instant(plan.due(row.name, planned)) if planned else None,
        "waiting": Instant(row.waiting) if row.waiting else None,
        "running": Vector.of([Pid(pid) for pid in row.running]),
        "runs": row.runs,
        "skipped": row.skipped,
        "missed": row.missed,
        "last": None if last is None else _run(last),
    }
    if full:
        shown |= {
            "args": decode_value(row.arguments),
            "pass-run": row.pass_run,
            "catch-up-max": row.catch_up_max,
            "grace": Duration(row.grace),
            "recent": Vector.of([_run(one) for one in reversed(row.recent)]),
        }
        attributes = decode_attributes(row.attributes or None)
        if attributes:
            shown["attributes"] = _map_of(attributes)
    return Map.of((keyword(name), value) for name, value in shown.items())


def _run(one: list[Any]) -> Any:
    planned, begun, pid, outcome = one
    what, _, reason = outcome.partition(": ")
    shown: dict[str, Any] = {"planned": Instant(planned), "at": Instant(begun), "pid": Pid(pid) if pid else None}
    shown["outcome"] = keyword(what)
    if reason:
        shown["reason"] = reason
    return Map.of((keyword(name), value) for name, value in shown.items())


def _map_of(data: dict[str, Any]) -> Any:
    return Map.of((keyword(name), from_python(value)) for name, value in data.items())


#: How modules of the library begin.
LIBRARY = "flowmetal."

# ---- definitions -------------------------------------------------------------------------------------------------


def read_definition(payload: Any, program: str | None, now: int) -> ScheduleRow:
    """The schedule that a definition describes.  `program`: what it runs unless it says so.

    StoreError S225 (cron expression), S226 (time zone), S227 (anything else).
    """
    options = _options(payload, _OPTIONS)
    plan = _plan(options)
    arguments = options.get("args", Vector.of(()))
    if arguments.__class__ is not Vector:
        raise bad("args", "a vector", arguments)
    function = _named_text("function", options.get("function", "main"))
    # Who may put a schedule chooses what runs with the grants of another program: a function of that program.  One of
    # the library would do anything (`perform*`), and so would a function that is marked on the arguments.
    if function.startswith(LIBRARY):
        raise bad("function", "a function of the program, not of the library", function)
    attributes = _attributes(options.get("attributes"))
    row = ScheduleRow(
        name=check_name("the name of a schedule", _name(options.get("name"))).decode(),
        plan=plan,
        program=_named_text("program", options.get("program", program)),
        function=function,
        arguments=encode_value(Vector.of(list(arguments))),
        attributes=attributes,
        pass_run=_flag("pass-run", options.get("pass-run", False)),
        overlap=_one_of("overlap", options.get("overlap", "skip"), OVERLAPS),
        catch_up=_one_of("catch-up", options.get("catch-up", "one"), CATCH_UPS),
        catch_up_max=_number("catch-up-max", options.get("catch-up-max", 100), MAX_CATCH_UP),
        grace=_duration("grace", options.get("grace", Duration(60 * SECOND_NS)), SECOND_NS, 7 * _DAY),
        made_at=now,
        paused=_flag("paused", options.get("paused", False)),
    )
    check_size("the arguments of a schedule", row.arguments, MAX_ARGUMENT_BYTES)
    try:
        plan.check()
        if plan.cron and plan.start == 0 and plan.after(now) is None:
            raise bad("cron", "an expression that names some day", plan.cron)
    except Wrong as wrong:
        raise StoreError(wrong.code, **wrong.facts) from None
    return row


def _plan(options: dict[str, Any]) -> Plan:
    kinds = [name for name in ("cron", "every", "at") if options.get(name) is not None]
    if len(kinds) != 1:
        raise bad("a schedule", "one of cron, every and at", " and ".join(kinds) or "none of them", plain=True)
    belongs = {"zone": "cron", "anchor": "every"}
    for name, kind in belongs.items():
        if options.get(name) is not None and kinds != [kind]:
            raise bad(name, f"with {kind} alone", f"with {kinds[0]}", plain=True)
    values: dict[str, Any] = {}
    if kinds == ["cron"]:
        for name in ("cron", "zone"):
            given = options.get(name)
            if given is not None:
                if given.__class__ is not str:
                    raise bad(name, "a string", given)
                values[name] = given
        if not values["cron"].strip():
            raise bad("cron", 'five fields, as in "0 3 * * *"', "", plain=False)
    elif kinds == ["every"]:
        values["every"] = _duration("every", options["every"], SECOND_NS, 3660 * _DAY)
    for name in ("anchor", "at", "start", "end"):
        if options.get(name) is not None:
            values[name] = _instant(name, options[name])
    if options.get("jitter") is not None:
        values["jitter"] = _duration("jitter", options["jitter"], 0, 31 * _DAY)
    plan = Plan(**values)
    if plan.end < plan.start:
        raise bad("end", "not before start", options["end"])
    return plan


def bad(what: str, expected: str, found: Any, plain: bool = False) -> StoreError:
    """S227 for one setting of a schedule."""
    return StoreError("S227", what=what, expected=expected, found=found if plain else print_string(found, limit=60))


def _options(payload: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if payload.__class__ is not Map:
        raise bad("what is asked of a schedule", "a map", payload)
    found: dict[str, Any] = {}
    for key, value in payload.items():
        name = _text(key).replace("_", "-")
        if name not in names:
            near = suggest(name[:80], names)
            perhaps = f" (perhaps {near})" if near else ""
            raise bad("an option of a schedule", f"one of {', '.join(names)}{perhaps}", key)
        found[name] = value
    return found


def _says(payload: Any, name: str) -> bool:
    return any(_text(key) == name for key, _ in payload.items())


def _text(value: Any) -> str:
    """The text of a keyword, symbol or string; empty for others."""
    if value.__class__ is Keyword or value.__class__ is Symbol:
        return str(value.text)
    return value if value.__class__ is str else ""


def _name(value: Any) -> str:
    if not _text(value):
        raise bad("the name of a schedule", "a string or a keyword", value)
    return _text(value)


def _named_text(what: str, value: Any) -> str:
    if not _text(value):
        raise bad(what, "a name", value)
    return check_name(f"the {what} of a schedule", _text(value)).decode()


def _flag(what: str, value: Any) -> bool:
    if value.__class__ is not bool:
        raise bad(what, "true or false", value)
    return bool(value)


def _number(what: str, value: Any, most: int) -> int:
    if value.__class__ is not int or not 1 <= value <= most:
        raise bad(what, f"a number from 1 to {most}", value)
    return int(value)


def _one_of(what: str, value: Any, names: tuple[str, ...]) -> int:
    if _text(value) not in names:
        raise bad(what, f"one of {', '.join(names)}", value)
    return names.index(_text(value))


def _duration(what: str, value: Any, least: int, most: int) -> int:
    nanoseconds = None
    if value.__class__ is Duration:
        nanoseconds = value.ns
    elif value.__class__ is str and len(value) < 60:
        match = _SHORT.fullmatch(value)
        if match is not None:
            nanoseconds = int(match[1]) * _UNITS[match[2]]
        else:
            try:
                nanoseconds = parse_duration(value).ns
            except ValueError:
                pass
    if nanoseconds is None or not least <= nanoseconds <= most:
        span = f"from {_span(least)} to {_span(most)}, such as 5m"
        raise bad(what, f"a duration {span}", value)
    return int(nanoseconds)


def _span(nanoseconds: int) -> str:
    return f"{nanoseconds // _DAY}d" if nanoseconds >= _DAY else f"{nanoseconds // SECOND_NS}s"


def _instant(what: str, value: Any) -> int:
    nanoseconds = None
    if value.__class__ is Instant:
        nanoseconds = value.ns
    elif value.__class__ is str and len(value) < 60:
        try:
            nanoseconds = parse_instant(value).ns
        except ValueError:
            pass
    if nanoseconds is None or not 0 <= nanoseconds <= MAX_TIME:
        raise bad(what, "an instant such as 2026-12-24T18:00:00Z, from 1970 on", value)
    return int(nanoseconds)


def _attributes(value: Any) -> bytes:
    if value is None:
        return b""
    try:
        data = to_python(value)
    except LanguageError as error:
        raise bad("attributes", f"a map of plain data ({error})", value) from error
    if not isinstance(data, dict):
        raise bad("attributes", "a map of plain data", value)
    encoded = encode_attributes(data)
    check_size("attributes", encoded, MAX_ATTRIBUTE_BYTES - 1024)
    return encoded
