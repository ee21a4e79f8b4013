"""Where an error came from, as lines of text."""

from __future__ import annotations

from typing import Any

from flowmetal.values import ErrorValue, Keyword, Map, Vector

#: Causes of an error that are told, one below the other.
CAUSES_MAX = 8
CAUSE_CHARACTERS = 300

#: What the line of a frame says of how it came into the trace.
_VIA = {"spawn": " (spawned this process)", "tail-call": " (left by a tail call)"}


def trace_lines(trace: Any) -> list[str]:
    """The frames, innermost first: "deploy/main deploy.fm:12"; none for what is no trace."""
    rows = trace if trace.__class__ is Vector else ()
    return [_line({key.text: value for key, value in row.items()}) for row in rows if _is_line(row)]


def error_lines(error: ErrorValue) -> list[str]:
    """The frames of an error, then what caused it with its frames, and so on: "caused by :type 1 is no text"."""
    lines = trace_lines(error.trace)
    cause = error.cause
    for _ in range(CAUSES_MAX):
        if cause.__class__ is not ErrorValue:
            break
        lines.append(f"caused by :{cause.kind.text} {cause.message}"[:CAUSE_CHARACTERS])
        lines += trace_lines(cause.trace)
        cause = cause.cause
    return lines


def trace_text(error: ErrorValue) -> str:
    """`error_lines` as they stand under a message."""
    return "\n".join(f"  {'' if line.startswith('caused by ') else 'at '}{line}" for line in error_lines(error))


def _is_line(row: Any) -> bool:
    return row.__class__ is Map and all(key.__class__ is Keyword for key, _ in row.items())


def _line(place: dict[str, Any]) -> str:
    via = place.get("via")
    note = _VIA.get(via.text, "") if via.__class__ is Keyword else ""
    return f"{place.get('function', '?')} {place.get('file', '?')}:{place.get('line', '?')}{note}"
