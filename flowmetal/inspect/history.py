"""The history of a process: its log as lines for people and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowmetal.engine.events import EventError, decode_event, describe, kind_of
from flowmetal.engine.live import entries_from
from flowmetal.engine.lines import instant_text
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
        """As a JSON object; the time as ISO 8601 text."""
        return {
            "sequence": self.sequence,
            "time": instant_text(self.time) if self.time else None,
            "kind": self.kind,
            "text": self.text,
            "number": self.number or None,
            "bytes": self.bytes,
        }


def history(store: Store, pid: int, start: int = 0, limit: int | None = None) -> list[HistoryLine]:
    """The events of a process from sequence number `start` on.  An event that cannot be read is a line that says so."""
    lines: list[HistoryLine] = []
    for entry in entries_from(store, pid, start):
        if entry.part:
            continue
        if limit is not None and len(lines) >= limit:
            break
        size = len(entry.event) + len(entry.segment)
        try:
            event = decode_event(entry.event)
        except EventError as error:
            lines.append(HistoryLine(entry.sequence, 0, "unreadable", str(error), 0, size))
            continue
        number = getattr(event, "number", 0)
        lines.append(HistoryLine(entry.sequence, event.time, kind_of(event), describe(event), number, size))
    return lines
