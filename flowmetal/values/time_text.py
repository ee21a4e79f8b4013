"""Instants and durations as text: ISO 8601 out, and back in exactly.

The calendar is computed with whole numbers, so that every instant has a text, and nanoseconds are never rounded.
"""

from __future__ import annotations

import re

from flowmetal.lazily import pattern
from flowmetal.values.scalars import Duration, Instant

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
_YEAR_MAX = 999_999  # larger years do not read back; text is bounded so that a hostile instant cannot make megabytes

_INSTANT = pattern(
    r"([+-]\d{6}|\d{4})-(\d\d)(?:-(\d\d))?"
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?|(\d{4})",
    re.ASCII,
)
_DURATION = pattern(r"(-)?P(?:(\d+)D)?(?:(T)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?", re.ASCII)


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970-01-01 (Howard Hinnant's algorithm)."""
    days += 719468
    era, of_era = divmod(days, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, day


def _days(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def _fraction(ns: int, least: int) -> str:
    """The digits after the point: none, 3, 6 or 9, at least `least`."""
    if not ns and not least:
        return ""
    digits = f"{ns:09d}"
    if digits.endswith("000000"):
        return "." + digits[:3]
    return "." + (digits[:6] if digits.endswith("000") else digits)


def instant_text(value: Instant) -> str:
    """ "2026-11-24T06:30:00.000Z", with 6 or 9 digits where they are needed; years beyond four digits carry a sign."""
    seconds, ns = divmod(value.ns, SECOND)
    days, of_day = divmod(seconds, 86400)
    year, month, day = _civil(days)
    if abs(year) > _YEAR_MAX:
        return "+999999-12-31T23:59:59.999999999Z" if year > 0 else "-999999-01-01T00:00:00.000Z"
    name = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"
    clock = f"{of_day // 3600:02d}:{of_day // 60 % 60:02d}:{of_day % 60:02d}"
    return f"{name}-{month:02d}-{day:02d}T{clock}{_fraction(ns, 3)}Z"


def parse_instant(text: str) -> Instant:
    """The instant of an RFC 3339 text, or of the beginning of one (a date, a year); ValueError if it is none."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError("not an instant: an RFC 3339 date and time is expected")
    year, month, day, hour, minute, second, fraction, zone, only_year = found.groups()
    month_number, day_number = int(month or 1), int(day or 1)
    year_number = int(only_year or year)
    leap = year_number % 4 == 0 and (year_number % 100 != 0 or year_number % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month_number <= 12 or not 1 <= day_number <= lengths[month_number - 1]:
        raise ValueError("not an instant: there is no such day")
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError("not an instant: there is no such time of day")
    total = _days(year_number, month_number, day_number) * 86400 + hours * 3600 + minutes * 60 + seconds
    if zone and zone != "Z":
        offset_hours, offset_minutes = int(zone[1:3]), int(zone[-2:])
        if offset_hours > 23 or offset_minutes > 59:
            raise ValueError("not an instant: there is no such time zone")
        total -= (offset_hours * 3600 + offset_minutes * 60) * (-1 if zone[0] == "-" else 1)
    return Instant(total * SECOND + int((fraction or "").ljust(9, "0")))


def duration_text(value: Duration) -> str:
    """ "P1DT2H", "PT0.250S", "-PT5M"; days are 24 hours."""
    ns = abs(value.ns)
    days, ns = divmod(ns, DAY)
    hours, ns = divmod(ns, HOUR)
    minutes, ns = divmod(ns, MINUTE)
    seconds, ns = divmod(ns, SECOND)
    clock = f"{hours}H" if hours else ""
    if minutes:
        clock += f"{minutes}M"
    if seconds or ns or not (days or clock):
        clock += f"{seconds}{_fraction(ns, 0)}S"
    return ("-" if value.ns < 0 else "") + "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def parse_duration(text: str) -> Duration:
    """The duration of an ISO 8601 text of days, hours, minutes and seconds; ValueError if it is none."""
    found = _DURATION.fullmatch(text) if len(text) <= 400 else None
    if found is None or text.endswith(("P", "T")):
        raise ValueError("not a duration: ISO 8601 such as P1DT2H or PT0.25S is expected")
    sign, days, _, hours, minutes, seconds, fraction = found.groups()
    total = int(days or 0) * DAY + int(hours or 0) * HOUR + int(minutes or 0) * MINUTE + int(seconds or 0) * SECOND
    total += int((fraction or "").ljust(9, "0"))
    return Duration(-total if sign else total)
