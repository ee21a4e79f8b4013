"""The history of a process: its log as lines for people and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine.events import EventError, decode_event, describe, kind_of
from flowmetal.engine.lines import instant_text
from flowmetal.engine.live import entries_from
from flowmetal.store.interface import Store


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One event: its sequence number, time (ns since 1970), kind, text, request number (0: none) and stored size."""

    sequence: int
    time: int
    kind: str
    text: str
    number: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the time as ISO 8601 text and in nanoseconds since 1970."""
        return {
            "sequence": self.sequence,
            "time": instant_text(self.time) if self.time else None,
            "time_ns": self.time,
            "kind": self.kind,
            "text": self.text,
            "number": self.number or None,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class History:
    """The events of one process, in order; `more` if there are more after them.  `start`: which were asked for."""

    pid: int
    lines: tuple[HistoryLine, ...]
    more: bool
    start: int = 0

    @property
    def removed(self) -> list[tuple[int, int]]:
        """The first and last numbers of events that are missing before one of the lines: retention removed them."""
        found = []
        expected = self.start
        for line in self.lines:
            if line.sequence > expected:
                found.append((expected, line.sequence - 1))
            expected = line.sequence + 1
        return found

    def __iter__(self) -> Iterator[HistoryLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "pid": self.pid,
            "events": [line.to_json() for line in self.lines],
            "more": self.more,
            "removed": self.removed,
        }

    def to_text(self, columns: int | None = None) -> str:
        """A line an event: number, time, text; cut to so many columns."""
        width = len(str(self.lines[-1].sequence)) if self.lines else 1
        removed = {last + 1: first for first, last in self.removed}
        rows = []
        for line in self.lines:
            if line.sequence in removed:
                rows.append(f"(steps {removed[line.sequence]} to {line.sequence - 1} were removed, see [retention])")
            rows.append(f"{line.sequence:>{width}}  {instant_text(line.time) if line.time else '-':<24}  {line.text}")
        if columns is not None:
            rows = [row if len(row) <= columns else row[: columns - 1] + "…" for row in rows]
        if self.more:
            rows.append("...")
        return "\n".join(rows)


def history(store: Store, pid: int, start: int = 0, limit: int | None = None, characters: int | None = None) -> History:
    """At most `limit` events of a process from sequence number `start` on.

    `characters`: how much of each value is shown; None: all.  An event that cannot be read is a line that says so.
    """
    lines: list[HistoryLine] = []
    for entry in entries_from(store, pid, start):
        if entry.part:
            continue
        if limit is not None and len(lines) >= limit:
            return History(pid, tuple(lines), True, start)
        size = len(entry.event) + len(entry.segment)
        try:
            event = decode_event(entry.event)
        except EventError as error:
            lines.append(HistoryLine(entry.sequence, 0, "unreadable", str(error), 0, size))
            continue
        number = getattr(event, "number", 0)
        lines.append(HistoryLine(entry.sequence, event.time, kind_of(event), describe(event, characters), number, size))
    return History(pid, tuple(lines), False, start)
