"""Cron expressions: reading them, with the place of what is wrong, and which days and minutes they name.

Five fields as in cron(5): minute, hour, day of the month, month, day of the week; lists, ranges, steps and names.
More than that: `L` the last day of a month, `LW` its last weekday, `5L` its last Friday, `5#2` its second one, @daily
and its like.  As in Debian's cron, a day must be named by both fields of days where one of them begins with a star, and
by either of them where none does.
"""

from __future__ import annotations

import re
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.lazily import module, pattern
from flowmetal.timetable.wrong import wrong_cron

#: Imported when the first day is looked at.
calendar: Any = module("calendar")

MAX_CHARACTERS = 200

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0  # the number of the first name


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of the week", 0, 7, _DAYS),
)
_NUMBER = pattern(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that was read.  `minutes`: of the day, in order."""

    text: str
    minutes: tuple[int, ...]
    days: frozenset[int]  # 1 to 31
    last_day: bool
    last_weekday: bool
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 to 6, Sunday first
    nth: frozenset[tuple[int, int]]  # (day of the week, which one of the month); 0: the last
    both: bool  # whether a day must be named by both fields
    #: Minute and hour are times of day, and not "every so often": such runs follow the clock on the wall over its
    #: changes, and the others the time that passes.
    of_day: bool

    def names_day(self, year: int, month: int, day: int) -> bool:
        """Whether runs are on this day, if its month is one of the expression's."""
        of_month = day in self.days
        if not of_month and day >= 26 and (self.last_day or self.last_weekday):
            last = calendar.monthrange(year, month)[1]
            of_month = self.last_day and day == last
            if not of_month and self.last_weekday:
                beyond = max(0, calendar.weekday(year, month, last) - 4)
                of_month = day == last - beyond
        if of_month and not self.both:
            return True
        if self.both and not of_month:
            return False
        weekday = (calendar.weekday(year, month, day) + 1) % 7
        if weekday in self.weekdays or (weekday, (day + 6) // 7) in self.nth:
            return True
        return (weekday, 0) in self.nth and day + 7 > calendar.monthrange(year, month)[1]


class _Names:
    """What one field names, as it is collected."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.marks: set[str] = set()
        self.nth: set[tuple[int, int]] = set()


def read_cron(text: str) -> Cron:
    """Reads an expression; Wrong S225 with the column of what is wrong."""
    if len(text) > MAX_CHARACTERS:
        raise wrong_cron(text, MAX_CHARACTERS + 1, "", "it is too long", f"At most {MAX_CHARACTERS} characters.")
    source = text
    stripped = text.strip().lower()
    if stripped.startswith("@"):
        if stripped not in NICKNAMES:
            known = ", ".join(sorted(NICKNAMES))
            raise wrong_cron(text, text.index("@") + 1, stripped, "there is no such name", f"There are {known}.")
        source = NICKNAMES[stripped]
    words = [(match.start() + 1, match.group()) for match in re.finditer(r"[^ \t]+", source)]
    if len(words) != 5:
        column = words[5][0] if len(words) > 5 else len(source.rstrip()) + 1
        found = words[5][1] if len(words) > 5 else ""
        hint = "Minute, hour, day of the month, month, day of the week; seconds and years are none of it."
        raise wrong_cron(text, column, found, f"it has {len(words)} fields, not five", hint)
    minute, hour, day, month, weekday = (
        _read_field(text, field, column, word.lower()) for field, (column, word) in zip(_FIELDS, words, strict=True)
    )
    starred = [word.startswith("*") for _, word in words]
    cron = Cron(
        text=text,
        minutes=tuple(sorted(h * 60 + m for h in hour.numbers for m in minute.numbers)),
        days=frozenset(day.numbers),
        last_day="l" in day.marks,
        last_weekday="lw" in day.marks,
        months=frozenset(month.numbers),
        weekdays=frozenset(number % 7 for number in weekday.numbers),
        nth=frozenset(weekday.nth),
        both=starred[2] or starred[4],
        of_day=not starred[0] and not starred[1],
    )
    if cron.both and not day.marks and min(cron.days) > max(_MOST_DAYS[number] for number in cron.months):
        column, word = words[2]
        raise wrong_cron(text, column, word, "its months have no such day", "`L` is the last day of a month.")
    return cron


def _read_field(text: str, field: _Field, column: int, word: str) -> _Names:
    names = _Names()
    for term in word.split(","):
        _read_term(text, field, column, term, names)
        column += len(term) + 1
    return names


def _read_term(text: str, field: _Field, column: int, term: str, names: _Names) -> None:
    is_day, is_weekday = field.name == "day of the month", field.name == "day of the week"
    if is_day and term in ("l", "lw"):
        names.marks.add(term)
        return
    if is_weekday and len(term) > 1 and term.endswith("l"):
        names.nth.add((_number(text, field, column, term[:-1]) % 7, 0))
        return
    if is_weekday and "#" in term:
        name, _, which = term.partition("#")
        if which not in ("1", "2", "3", "4", "5"):
            place = column + len(name) + 1
            raise wrong_cron(text, place, which, "which one of the month is a number from 1 to 5", "As in `5#2`.")
        names.nth.add((_number(text, field, column, name) % 7, int(which)))
        return
    span, slash, step_text = term.partition("/")
    step = 1
    if slash:
        place = column + len(span) + 1
        if _NUMBER.fullmatch(step_text) is None or not 0 < int(step_text) <= field.high:
            hint = "As in `*/5`, every fifth from the first on."
            raise wrong_cron(text, place, step_text, f"a step is a number from 1 to {field.high}", hint)
        step = int(step_text)
    high = 6 if is_weekday else field.high
    if span == "*":
        names.numbers.update(range(field.low, high + 1, step))
        return
    first_text, dash, last_text = span.partition("-")
    first = _number(text, field, column, first_text)
    last = high if slash else first
    if dash:
        place = column + len(first_text) + 1
        last = _number(text, field, place, last_text)
        if last == 0 and is_weekday and first > 0:
            last = 7  # fri-sun
        if last < first:
            hint = f"Two ranges, as in `{first}-{field.high},{field.low}-{last}`."
            raise wrong_cron(text, place, last_text, "a range ends before it begins", hint)
    names.numbers.update(range(first, max(first, last) + 1, step))


def _number(text: str, field: _Field, column: int, word: str) -> int:
    if _NUMBER.fullmatch(word) is not None and field.low <= int(word) <= field.high:
        return int(word)
    if word in field.names:
        return field.names.index(word) + field.first
    reason = f"the {field.name} is a number from {field.low} to {field.high}"
    if field.names:
        reason += f" or a name from {field.names[0]} to {field.names[-1]}"
    hint = "`*` stands for every one, `1,15` for two, `1-5` for a range, `*/5` for every fifth."
    raise wrong_cron(text, column, word, reason, hint)
