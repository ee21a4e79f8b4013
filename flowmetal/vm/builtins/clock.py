"""Durations and instants: arithmetic, parts and texts.  What the time is now is an effect, not a builtin.

The calendar is the proleptic Gregorian one in UTC, computed with integers for years 1 to 9999.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    Duration,
    Instant,
    Keyword,
    Map,
    duration_text,
    fail,
    instant_text,
    keyword,
    parse_duration,
    parse_instant,
    rationalize,
)
from flowmetal.vm.builtins.check import integer, shown, string, wrong_type
from flowmetal.vm.builtins.registry import builtin

SECOND = 1_000_000_000
UNITS: dict[str, int] = {
    "nanoseconds": 1,
    "microseconds": 1_000,
    "milliseconds": 1_000_000,
    "seconds": SECOND,
    "minutes": 60 * SECOND,
    "hours": 3_600 * SECOND,
    "days": 86_400 * SECOND,
    "weeks": 604_800 * SECOND,
}
BY_KEYWORD = {keyword(name): size for name, size in UNITS.items()}
TIME_MAX = 1 << 95  # nanoseconds either way; beyond any calendar, and keeps arithmetic small
YEAR_1 = -62_135_596_800 * SECOND
YEAR_10000 = 253_402_300_800 * SECOND


def span(who: str, value: Any) -> int:
    """The nanoseconds of a duration."""
    if value.__class__ is not Duration:
        wrong_type(who, "a duration", value)
    return value.ns


def moment(who: str, value: Any) -> int:
    """The nanoseconds of an instant since the epoch."""
    if value.__class__ is not Instant:
        wrong_type(who, "an instant", value)
    return value.ns


def _checked(nanoseconds: int) -> int:
    if not -TIME_MAX < nanoseconds < TIME_MAX:
        fail("limit", "the result is outside the range of times")
    return nanoseconds


def _unit(who: str, value: Any) -> int:
    size = BY_KEYWORD.get(value) if value.__class__ is Keyword else None
    if size is None:
        fail("argument", f"{who} knows the units :{', :'.join(UNITS)}, not {shown(value)}")
    return size


@builtin(900, "duration", 2)
def duration(amount: Any, unit: Any) -> Duration:
    """A duration of an amount of a unit; the amount may be a fraction, what is below a nanosecond is cut off."""
    exact = rationalize(amount)
    return Duration(_checked(int(exact * _unit("duration", unit))))


@builtin(901, "duration-in", 2)
def duration_in(value: Any, unit: Any) -> int:
    """How many whole units a duration has, towards zero."""
    nanoseconds, size = span("duration-in", value), _unit("duration-in", unit)
    return nanoseconds // size if nanoseconds >= 0 else -(-nanoseconds // size)


@builtin(902, "time-add", 2)
def time_add(first: Any, second: Any) -> Any:
    """An instant or a duration, later or longer by a duration."""
    by = span("time/plus", second)
    if first.__class__ is Instant:
        return Instant(_checked(first.ns + by))
    return Duration(_checked(span("time/plus", first) + by))


@builtin(903, "time-subtract", 2)
def time_subtract(first: Any, second: Any) -> Any:
    """An instant or a duration less a duration; of two instants, the duration from the second to the first."""
    if first.__class__ is Instant:
        if second.__class__ is Instant:
            return Duration(_checked(first.ns - second.ns))
        return Instant(_checked(first.ns - span("time/minus", second)))
    return Duration(_checked(span("time/minus", first) - span("time/minus", second)))


@builtin(904, "duration-scale", 2)
def scale(value: Any, factor: Any) -> Duration:
    """A duration some times over; the factor may be a fraction."""
    return Duration(_checked(int(span("time/times", value) * rationalize(factor))))


@builtin(905, "instant", 1)
def instant(value: Any) -> Instant:
    """The instant of a number of milliseconds since 1970 began, or of a text such as 2026-11-24T06:30:00.250Z."""
    if value.__class__ is Instant:
        return value
    if value.__class__ is str:
        return Instant(_parsed(value))
    return Instant(_checked(integer("instant", value) * 1_000_000))


@builtin(906, "instant-in", 2)
def instant_in(value: Any, unit: Any) -> int:
    """How many whole units have passed from the beginning of 1970 to an instant, rounded down."""
    return moment("instant-in", value) // _unit("instant-in", unit)


def _parsed(written: str) -> int:
    try:
        return parse_instant(written).ns
    except ValueError:
        fail("argument", f"instant cannot read {shown(written)}")


# The calendar, counted in eras of 400 years from 1 March of the year 0, where leap days stand at the end of a year.


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date."""
    shifted = year - (month <= 2)
    era, in_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + in_era * 365 + in_era // 4 - in_era // 100 + day_of_year - 719_468


def _date(days: int) -> tuple[int, int, int]:
    """The year, month and day that is so many days after 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    in_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * in_era + in_era // 4 - in_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return era * 400 + in_era + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


@builtin(907, "instant-parts", 1)
def parts(value: Any) -> Map:
    """The parts of an instant in UTC, year to nanosecond, with the weekday (1 is Monday) and the day of the year."""
    nanoseconds = moment("instant-parts", value)
    if not YEAR_1 <= nanoseconds < YEAR_10000:
        fail("argument", "instant-parts knows the years 1 to 9999")
    days, rest = divmod(nanoseconds, 86_400 * SECOND)
    year, month, day = _date(days)
    seconds, below = divmod(rest, SECOND)
    named = {
        "year": year,
        "month": month,
        "day": day,
        "hour": seconds // 3600,
        "minute": seconds // 60 % 60,
        "second": seconds % 60,
        "nanosecond": below,
        "weekday": (days + 3) % 7 + 1,
        "day-of-year": days - _days(year, 1, 1) + 1,
    }
    return Map.of([(keyword(name), part) for name, part in named.items()])


@builtin(908, "instant-of-parts", 1)
def of_parts(value: Any) -> Instant:
    """The instant in UTC of a map with :year and, if wanted, :month :day :hour :minute :second :nanosecond."""
    if not isinstance(value, Map):
        wrong_type("instant-of-parts", "a map", value)

    def part(name: str, default: int, low: int, high: int) -> int:
        given = integer("instant-of-parts", value.get(keyword(name), default))
        if not low <= given <= high:
            fail("argument", f"instant-of-parts: there is no such time as {shown(value)}")
        return given

    year, month, day = part("year", 1970, 1, 9999), part("month", 1, 1, 12), part("day", 1, 1, 31)
    days = _days(year, month, day)
    if _date(days) != (year, month, day):
        fail("argument", f"instant-of-parts: there is no such day as {shown(value)}")
    seconds = part("hour", 0, 0, 23) * 3600 + part("minute", 0, 0, 59) * 60 + part("second", 0, 0, 59)
    return Instant((days * 86_400 + seconds) * SECOND + part("nanosecond", 0, 0, SECOND - 1))


@builtin(909, "time-text", 1)
def time_text(value: Any) -> str:
    """The text of an instant, such as 2026-11-24T06:30:00.250Z, or of a duration, such as PT1H30M."""
    if value.__class__ is Instant:
        return instant_text(value)
    span("time/text", value)
    return duration_text(value)


@builtin(910, "parse-duration", 1)
def read_duration(value: Any) -> Duration | None:
    """The duration of a text such as PT1H30M, or nil if it is not one."""
    try:
        return parse_duration(string("parse-duration", value))
    except ValueError:
        return None
