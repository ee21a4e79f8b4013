"""A plan: when something is to happen.  Instants are nanoseconds since 1970."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.lazily import module
from flowmetal.timetable.cron import Cron, read_cron

#: Imported when the first cron expression is planned: calendars cost more than all else that a small command imports.
_zones: Any = module("flowmetal.timetable.zones")

SECOND_NS = 1_000_000_000
#: The last instant that anything is planned for, in the year 2261.
LAST_NS = 9_200_000_000 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Plan:
    """One of `cron` (with `zone`), `every` (from `anchor` on, either way) and `at`; within `start` and `end`."""

    cron: str = ""
    zone: str = "UTC"
    every: int = 0
    anchor: int = 0
    at: int = 0
    jitter: int = 0  # each run is later by less than this
    start: int = 0
    end: int = LAST_NS

    def after(self, instant: int) -> int | None:
        """The first planned instant beyond `instant`."""
        return next(self.following(instant), None)

    def following(self, instant: int) -> Iterator[int]:
        """The planned instants beyond `instant`, in order."""
        instant = max(instant, self.start - 1, -1)
        for planned in self._unbounded(instant):
            if planned > self.end:
                return
            yield planned

    def latest(self, count: int, after: int, until: int) -> list[int]:
        """The last planned instants, at most `count`, beyond `after` and not beyond `until`; in order."""
        until = min(until, self.end)
        if self.every:
            last = until - (until - self.anchor) % self.every
            first = max(after + 1, self.start, last - (count - 1) * self.every)
            return list(range(last - (last - first) // self.every * self.every, last + 1, self.every))
        window = 3600 * SECOND_NS
        while True:  # further back until there are enough
            begin = max(after, until - window)
            kept: deque[int] = deque(maxlen=count)
            for planned in self.following(begin):
                if planned > until:
                    break
                kept.append(planned)
            if len(kept) == count or begin == after:
                return list(kept)
            window *= 2

    def due(self, key: str, planned: int) -> int:
        """When the run of a planned instant begins: later by the jitter, which is always the same for it."""
        if not self.jitter:
            return planned
        digest = hashlib.sha256(f"{key}\x00{planned}".encode()).digest()
        return planned + int.from_bytes(digest[:8], "big") % self.jitter

    def _unbounded(self, instant: int) -> Iterator[int]:
        if self.cron:
            zone = _zones.read_zone(self.zone)
            for seconds in _zones.instants(_cron(self.cron), zone, instant // SECOND_NS):
                yield seconds * SECOND_NS
        elif self.every:
            planned = instant + self.every - (instant - self.anchor) % self.every
            while planned <= LAST_NS:
                yield planned
                planned += self.every
        elif self.at > instant:
            yield self.at

    def check(self) -> None:
        """Wrong S225 or S226 where the expression or the zone cannot be read."""
        if self.cron:
            _cron(self.cron)
            _zones.read_zone(self.zone)


@lru_cache(256)
def _cron(text: str) -> Cron:
    return read_cron(text)
