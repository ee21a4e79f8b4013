"""The trace of an error as lines of text."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Keyword, Map, Vector

#: What the line of a frame says of how it came into the trace.
_VIA = {"spawn": " (spawned this process)", "tail-call": " (left by a tail call)"}


def trace_lines(trace: Any) -> list[str]:
    """The frames, innermost first: "deploy/main deploy.fm:12"; none for what is no trace."""
    rows = trace if trace.__class__ is Vector else ()
    return [_line({key.text: value for key, value in row.items()}) for row in rows if _is_line(row)]


def trace_text(trace: Any) -> str:
    """The frames, a line each, as they stand under a message."""
    return "\n".join(f"  at {line}" for line in trace_lines(trace))


def _is_line(row: Any) -> bool:
    return row.__class__ is Map and all(key.__class__ is Keyword for key, _ in row.items())


def _line(place: dict[str, Any]) -> str:
    via = place.get("via")
    note = _VIA.get(via.text, "") if via.__class__ is Keyword else ""
    return f"{place.get('function', '?')} {place.get('file', '?')}:{place.get('line', '?')}{note}"
