"""Cron expressions: what they name, what is wrong with them and where, and the changes of the clocks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from flowmetal.timetable.cron import Cron, read_cron
from flowmetal.timetable.plan import Plan
from flowmetal.timetable.wrong import Wrong
from flowmetal.timetable.zones import instants, read_zone

SECOND = 1_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def runs(plan: Plan, after: str, count: int) -> list[str]:
    zone = ZoneInfo(plan.zone)
    found = islice(plan.following(at(after)), count)
    return [datetime.fromtimestamp(planned // SECOND, zone).isoformat(timespec="minutes") for planned in found]


# ---- which days and minutes --------------------------------------------------------------------------------------

NAMED = [
    # expression, after, the next ones in UTC
    ("* * * * *", "2026-01-31T23:58:30Z", ["2026-01-31T23:59", "2026-02-01T00:00"]),
    ("*/20 9-10 * * mon-fri", "2026-11-27T10:30:00Z", ["2026-11-27T10:40", "2026-11-30T09:00", "2026-11-30T09:20"]),
    ("0 0 1,15 * *", "2026-11-24T00:00:00Z", ["2026-12-01T00:00", "2026-12-15T00:00"]),
    ("0 0 13 * 5", "2026-11-01T00:00:00Z", ["2026-11-06T00:00", "2026-11-13T00:00", "2026-11-20T00:00"]),  # either
    ("0 0 */2 * 1", "2026-11-01T00:00:00Z", ["2026-11-09T00:00", "2026-11-23T00:00"]),  # both, as in Debian
    ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00"]),
    ("30 4 L * *", "2028-01-31T12:00:00Z", ["2028-02-29T04:30", "2028-03-31T04:30"]),
    ("30 4 LW * *", "2026-01-01T00:00:00Z", ["2026-01-30T04:30", "2026-02-27T04:30", "2026-03-31T04:30"]),
    ("0 0 * * 5L", "2026-11-01T00:00:00Z", ["2026-11-27T00:00", "2026-12-25T00:00"]),
    ("0 0 * * 5#2", "2026-11-01T00:00:00Z", ["2026-11-13T00:00", "2026-12-11T00:00"]),
    ("0 0 * * 7", "2026-11-24T00:00:00Z", ["2026-11-29T00:00"]),
    ("0 0 * * sat-sun", "2026-11-24T00:00:00Z", ["2026-11-28T00:00", "2026-11-29T00:00", "2026-12-05T00:00"]),
    ("5/20 12 * DEC *", "2026-11-24T00:00:00Z", ["2026-12-01T12:05", "2026-12-01T12:25", "2026-12-01T12:45"]),
    ("0 0 * 2 mon#5", "2026-01-01T00:00:00Z", ["2044-02-29T00:00"]),
    ("@weekly", "2026-11-24T00:00:00Z", ["2026-11-29T00:00"]),
    ("@Hourly", "2026-11-24T05:00:00Z", ["2026-11-24T06:00"]),
]


@pytest.mark.parametrize(("expression", "after", "expected"), NAMED, ids=[row[0] for row in NAMED])
def test_what_an_expression_names(expression: str, after: str, expected: list[str]) -> None:
    assert [text[:16] for text in runs(Plan(cron=expression), after, len(expected))] == expected


WRONG = [
    # expression, column, found, a part of the reason
    ("0 25 * * *", 3, "25", "from 0 to 23"),
    ("0 3 * *", 8, "", "4 fields"),
    ("0 0 3 * * *", 11, "*", "6 fields"),
    ("", 1, "", "0 fields"),
    ("5,61 * * * *", 3, "61", "from 0 to 59"),
    ("0 3 32 * *", 5, "32", "from 1 to 31"),
    ("0 3 * fab *", 7, "fab", "jan to dec"),
    ("0 3 * * 8", 9, "8", "sun to sat"),
    ("0 3 * * 5#6", 11, "6", "1 to 5"),
    ("*/0 * * * *", 3, "0", "from 1 to 59"),
    ("*/x * * * *", 3, "x", "from 1 to 59"),
    ("30-10 * * * *", 4, "10", "ends before it begins"),
    ("1,,2 * * * *", 3, "", "from 0 to 59"),
    ("0 0 31 2,4 *", 5, "31", "no such day"),
    ("@dayly", 1, "@dayly", "no such name"),
    ("-5 * * * *", 1, "", "from 0 to 59"),
    ("٣ * * * *", 1, "٣", "from 0 to 59"),
    ("0 0 L-3 * *", 5, "l", "from 1 to 31"),
    ("0" * 300 + " 0 * * *", 201, "", "too long"),
]


@pytest.mark.parametrize(("expression", "column", "found", "reason"), WRONG, ids=[row[0][:20] for row in WRONG])
def test_what_is_wrong_and_where(expression: str, column: int, found: str, reason: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_cron(expression)
    assert caught.value.code == "S225"
    assert (caught.value.facts["column"], caught.value.facts["found"]) == (column, found)
    assert reason in caught.value.facts["reason"]


@pytest.mark.parametrize("name", ["Europe/Berln", "../../etc/passwd", "", "Europe", "/etc/localtime", "a" * 5000, "\0"])
def test_zones_that_are_not_there(name: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_zone(name)
    assert caught.value.code == "S226"
    if name == "Europe/Berln":
        assert caught.value.facts["suggestion"] == "Europe/Berlin"


# ---- changes of the clocks ---------------------------------------------------------------------------------------

CLOCKS = [
    # zone, expression, after, the next ones as the clocks there show them
    # A time of day that does not exist runs when the clocks have jumped over it.
    ("Europe/Berlin", "30 2 * * *", "2026-03-28T03:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("America/New_York", "15,45 2 * * *", "2026-03-07T12:00-05:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:15-04:00"]),
    # Once, where another run is at that instant anyway.
    ("Europe/Berlin", "0 2,3 * * *", "2026-03-29T01:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
    # A time of day that comes twice runs the first time.
    ("Europe/Berlin", "30 2 * * *", "2026-10-24T03:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:10+01:00", ["2026-10-26T02:30+01:00"]),
    # What runs every so often goes by the time that passes: nothing where there is no such time, twice where it is.
    ("Europe/Berlin", "*/30 * * * *", "2026-03-29T01:20+01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
    ("Europe/Berlin", "0 * * * *", "2026-10-25T01:30+02:00",
     ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]),
    ("Europe/Berlin", "*/30 2 * * *", "2026-10-25T01:30+02:00",
     ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"]),
    # Half an hour.
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00+10:30",
     ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    ("Australia/Lord_Howe", "45 * * * *", "2026-10-04T01:50+10:30", ["2026-10-04T02:45+11:00"]),
    # At midnight.
    ("America/Havana", "0 0 * * *", "2026-03-07T12:00-05:00", ["2026-03-08T01:00-04:00", "2026-03-09T00:00-04:00"]),
    # A day that a country left out of its calendar has no runs.
    ("Pacific/Apia", "0 12 * * *", "2011-12-29T12:00-10:00", ["2011-12-31T12:00+14:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "expression", "after", "expected"), CLOCKS)
def test_changes_of_the_clocks(zone: str, expression: str, after: str, expected: list[str]) -> None:
    assert runs(Plan(cron=expression, zone=zone), after, len(expected)) == expected


def by_looking(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """The same by looking at what the clocks of the zone show, minute after minute."""
    shown_before: set[tuple[date, int]] = set()
    minute = after // 60 * 60 - 86400
    previous = datetime.fromtimestamp(minute - 60, zone)
    while True:
        shown = datetime.fromtimestamp(minute, zone)
        minutes = [(shown.date(), shown.hour * 60 + shown.minute)]
        if cron.of_day:
            gap = shown.replace(tzinfo=None) - previous.replace(tzinfo=None) - timedelta(minutes=1)
            if timedelta() < gap <= timedelta(hours=3):  # what was left out is made up for
                left_out = [
                    previous.replace(tzinfo=None) + timedelta(minutes=n) for n in range(1, gap.seconds // 60 + 1)
                ]
                minutes += [(one.date(), one.hour * 60 + one.minute) for one in left_out]
        hits = [
            (day, number)
            for day, number in minutes
            if number in cron.minutes and day.month in cron.months and cron.names_day(day.year, day.month, day.day)
        ]
        new = [hit for hit in hits if not cron.of_day or hit not in shown_before]
        shown_before.update(hits)
        if new and minute > after:
            yield minute
        previous, minute = shown, minute + 60


ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)


def a_field(chance: random.Random, low: int, high: int, starred: float) -> str:
    kind = chance.random()
    if kind < starred:
        return "*"
    if kind < starred + 0.15:
        return f"*/{chance.randint(2, max(2, high // 3))}"
    if kind < starred + 0.3:
        first = chance.randint(low, high - 1)
        return f"{first}-{chance.randint(first, high)}"
    return ",".join(str(chance.randint(low, high)) for _ in range(chance.randint(1, 3)))


@pytest.mark.parametrize("seed", range(40))
def test_what_the_clocks_show_around_their_changes(seed: int) -> None:
    chance = random.Random(seed)
    zone = ZoneInfo(chance.choice(ZONES))
    moment = chance.randint(1_500_000_000, 1_900_000_000)
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    for _ in range(400):
        moment += 86400
        if datetime.fromtimestamp(moment, zone).utcoffset() != offset:
            break
    after = moment - 2 * 86400
    expression = " ".join((
        a_field(chance, 0, 59, 0.2), a_field(chance, 0, 4, 0.3), a_field(chance, 1, 28, 0.8), "*", "*",
    ))  # fmt: skip
    cron = read_cron(expression)
    until = after + 4 * 86400
    ours = [instant for instant in islice(instants(cron, zone, after), 6000) if instant <= until]
    shown = []
    for instant in by_looking(cron, zone, after):
        if instant > until:
            break
        shown.append(instant)
        if len(shown) == 6000:
            break
        if instant + 60 > until:
            break
    assert ours == shown[: len(ours)] and len(ours) >= len(shown), (expression, zone.key)


# ---- intervals, instants, bounds, jitter -------------------------------------------------------------------------


def test_intervals_go_from_their_anchor_both_ways() -> None:
    plan = Plan(every=300 * SECOND, anchor=at("2026-11-24T12:02:00Z"))
    shown = [text[11:16] for text in runs(plan, "2026-11-24T11:58:00Z", 3)]
    assert shown == ["12:02", "12:07", "12:12"]
    assert plan.after(at("2020-01-01T00:00:00Z")) == at("2020-01-01T00:02:00Z")


def test_one_instant_and_bounds() -> None:
    moment = at("2026-12-24T18:00:00Z")
    assert Plan(at=moment).after(moment - 1) == moment
    assert Plan(at=moment).after(moment) is None
    daily = Plan(cron="0 0 * * *", start=at("2026-12-01T00:00:00Z"), end=at("2026-12-02T00:00:00Z"))
    assert [text[:10] for text in runs(daily, "2026-11-01T00:00:00Z", 5)] == ["2026-12-01", "2026-12-02"]


def test_the_last_ones_are_those_that_following_gives() -> None:
    after, until = at("2026-11-01T00:00:00Z"), at("2026-11-24T09:00:30Z")
    for plan in (
        Plan(cron="*/7 3 * * *"),
        Plan(cron="0 12 1 * *"),
        Plan(every=91 * SECOND, anchor=5),
        Plan(at=at("2026-11-05T00:00:00Z")),
        Plan(every=3600 * SECOND, start=at("2026-11-24T07:30:00Z")),
        Plan(cron="0 0 1 1 *"),
    ):
        every = []
        for planned in plan.following(after):
            if planned > until:
                break
            every.append(planned)
        for count in (1, 3, 50):
            assert plan.latest(count, after, until) == every[-count:]


def test_jitter_is_the_same_each_time_and_stays_within_its_bound() -> None:
    plan = Plan(every=60 * SECOND, jitter=10 * SECOND)
    late = [plan.due("mail", planned) - planned for planned in islice(plan.following(0), 500)]
    assert late == [plan.due("mail", planned) - planned for planned in islice(plan.following(0), 500)]
    assert all(0 <= one < 10 * SECOND for one in late) and len(set(late)) > 400
    assert late != [plan.due("other", planned) - planned for planned in islice(plan.following(0), 500)]


def test_no_expression_keeps_the_store_for_long() -> None:
    begin = datetime.now(UTC)
    assert Plan(cron="0 0 30 2 1", zone="Europe/Berlin").after(0) is not None  # the Mondays of February
    assert next(instants(read_cron("0 0 * 2 1#5"), ZoneInfo("Europe/Berlin"), at("2044-03-01T00:00:00Z") // SECOND)) > 0
    assert (datetime.now(UTC) - begin).total_seconds() < 2
