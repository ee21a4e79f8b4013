"""Lines of text in a process's record (what it waits for, why it stopped); errors made fit to leave their process."""

from __future__ import annotations

from itertools import chain, islice

from flowmetal.engine.effects import ATTEMPTS, MORE_TIME, VALUE_BYTES_MAX
from flowmetal.engine.live import Live
from flowmetal.values import ErrorValue, Instant, LanguageError, Promise, encode_value, keyword, print_string
from flowmetal.vm import FINALLY
from flowmetal.vm.state import Wait

KIND_ENGINE = keyword("flowmetal/engine")

#: Characters of a line, and requests named in the one that says what a process waits for.
LINE_MAX = 300
WAITS_NAMED = 3

#: What goes with another wait, which is the one that people are told.
NOT_NAMED = frozenset({ATTEMPTS, FINALLY, MORE_TIME})

#: Fibers, and promises of one that waits for any of several, that are asked what they stand at.
FIBERS_ASKED = 16

#: Characters of the message of an error that had to be made smaller.
MESSAGE_MAX = 10_000


def waits_line(live: Live) -> str:
    """What a process waits for, in one line: "receive #4; open: http/callback #3, until 2026-11-24T10:00:00.000Z".

    What fibers stand at comes first, then the requests that are open and nobody awaits yet.
    """
    if live.status == "paused":
        return person_line(live.pid)
    if live.status != "waiting":
        return ""
    if len(live.open) == 1:
        [(number, opened)] = live.open.items()
        if not opened.until:
            return f"{opened.request.effect} #{number}"
    standing = _standing(live) if len(live.open) > 1 else {}
    parts: list[str] = []
    for number in chain(standing, (one for one in live.open if one not in standing)):
        if len(parts) == WAITS_NAMED:
            parts.append(f"{len(live.open) - WAITS_NAMED} more")
            break
        opened = live.open[number]
        if opened.request.effect in NOT_NAMED and len(live.open) > 1:
            continue
        until = f", until {instant_text(opened.until)}" if opened.until else ""
        label = "open: " if standing and len(parts) == len(standing) else ""
        parts.append(f"{label}{opened.request.effect} #{number}{until}")
    return "; ".join(parts)[:LINE_MAX] if parts else "nothing that can come"


def _standing(live: Live) -> dict[int, None]:
    """Open requests that fibers stand at, of the first fibers: this is asked at every turn."""
    found: dict[int, None] = {}
    process = live.process
    for fiber in islice(process.fibers.values(), FIBERS_ASKED) if process is not None else ():
        if fiber.wait is None:
            continue
        kind, what = fiber.wait
        if kind == Wait.REQUEST:
            numbers = [what]
        elif kind == Wait.PROMISE:
            numbers = [what.request]
        elif kind == Wait.ANY:
            numbers = [one.request for one in islice(what, FIBERS_ASKED) if one.__class__ is Promise]
        else:
            continue
        found.update(dict.fromkeys(number for number in numbers if number in live.open))
    return found


def person_line(pid: int) -> str:
    """What a paused process waits for."""
    return f"a person (flowvm resume {pid})"


def error_line(error: ErrorValue) -> str:
    """An error in one line: ":http/timeout no answer within 30s"."""
    return " ".join(f":{error.kind.text} {error.message}".split())[:LINE_MAX]


def error_of(problem: Exception) -> ErrorValue:
    """The error that a process shows where the engine itself could not run it."""
    if isinstance(problem, LanguageError):
        return problem.error
    return ErrorValue(KIND_ENGINE, f"{type(problem).__name__}: {problem}"[:1000], None)


def instant_text(nanoseconds: int) -> str:
    """A time as people write it, to the millisecond: "2026-11-24T10:00:00.000Z"."""
    return print_string(Instant(nanoseconds // 1_000_000 * 1_000_000)).removeprefix('#inst "').removesuffix('"')


def plain_error(error: ErrorValue) -> ErrorValue:
    """The error, or one that says the same, where it holds what cannot leave its process (a cell), or too much."""
    try:
        size = len(encode_value(error))
    except LanguageError:
        data = None if error.data is None else print_string(error.data, limit=LINE_MAX)
        return ErrorValue(error.kind, error.message[:MESSAGE_MAX], data)
    return error if size <= VALUE_BYTES_MAX else ErrorValue(error.kind, error.message[:MESSAGE_MAX], None)
