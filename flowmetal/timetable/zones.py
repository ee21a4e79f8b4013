"""Time zones, and what the clocks of a zone show: instants of a local day, over the changes of its clocks.

The rules come from the machine's database of zones, or from the package tzdata where it has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from flowmetal.diagnostics import suggest
from flowmetal.lazily import pattern
from flowmetal.timetable.cron import Cron
from flowmetal.timetable.wrong import Wrong

_NAME = pattern(r"[A-Za-z0-9_+-]{1,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}")

#: Times of day that a gap of the clocks leaves out run at its end, if it is no longer than this.  A longer one is a day
#: that a country left out of its calendar.
LONGEST_GAP = timedelta(hours=3)

#: After this many years without a run there will be none: the 29th of February is a Monday once in 40 years at most.
YEARS = 41

_DAY = timedelta(days=1)
_FIRST, _LAST = date(1970, 1, 1), date(2262, 1, 1)


@lru_cache(64)
def read_zone(name: str) -> tzinfo:
    """The zone of a name as in "Europe/Berlin"; Wrong S226 where there is none."""
    if name in ("UTC", "Z"):
        return UTC
    if _NAME.fullmatch(name) is not None:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    raise Wrong("S226", zone=name[:80], suggestion=suggest(name[:80], _zones()))


@lru_cache(1)
def _zones() -> list[str]:
    return sorted(available_timezones())


def instants(cron: Cron, zone: tzinfo, after: int) -> Iterator[int]:
    """The seconds since 1970 at which an expression runs, those beyond `after`, in order; ends where there are none."""
    local = datetime.fromtimestamp(min(max(after, 0), 9_214_000_000), zone)
    day = max(_FIRST, local.date() - _DAY)  # a change of the clocks may have put it back over midnight
    empty_until = day.replace(day=1).year + YEARS
    months = cron.months
    while day < _LAST and day.year <= empty_until:
        if day.month not in months:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            continue
        if cron.names_day(day.year, day.month, day.day):
            for instant in _of_day(cron, zone, day):
                if instant > after:
                    yield instant
                    after = instant
                    empty_until = day.year + YEARS
        day += _DAY


def _of_day(cron: Cron, zone: tzinfo, day: date) -> list[int]:
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = begin + _DAY  # by the clock on the wall
    offsets = {time.replace(fold=fold).utcoffset() for time in (begin, end) for fold in (0, 1)}
    if len(offsets) == 1:  # no change of the clocks
        first = _seconds(begin)
        return [first + minute * 60 for minute in cron.minutes]
    found: set[int] = set()
    for minute in cron.minutes:
        shown = begin + timedelta(minutes=minute)
        if cron.of_day:
            instant = _once(shown)
            if instant is not None:
                found.add(instant)
        else:
            found.update(_seconds(time) for time in (shown, shown.replace(fold=1)) if _is_real(time))
    return sorted(found)


def _once(shown: datetime) -> int | None:
    """When a time of day comes: the first time where it comes twice, the end of the gap where it is left out."""
    if _is_real(shown):
        return _seconds(shown)
    # Read with the offset before the gap it is an instant after the gap, with the one after it an instant before.
    late, early = _seconds(shown), _seconds(shown.replace(fold=1))
    if late - early > LONGEST_GAP.total_seconds():
        return None
    before = datetime.fromtimestamp(early, shown.tzinfo).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, shown.tzinfo).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _is_real(shown: datetime) -> bool:
    """Whether the clocks ever show this."""
    back = datetime.fromtimestamp(_seconds(shown), shown.tzinfo)
    return back.replace(tzinfo=None, fold=0) == shown.replace(tzinfo=None, fold=0)


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
