"""Errors as the machine makes them: where they were raised, limits, and faults that no program should ever see."""

from __future__ import annotations

from itertools import islice
from typing import Any

from flowmetal.values import ErrorValue, LanguageError, Map, Symbol, Vector, keyword
from flowmetal.vm.frames import position
from flowmetal.vm.load import RunCode
from flowmetal.vm.state import KIND_ABANDONED, KIND_INTERNAL, KIND_LIMIT, Fiber, Region

TRACE_FRAMES = 32  # lines of a trace kept in an error; enough to find the place, small in an image
FAULT_CHARACTERS = 300  # of a Python exception's message that an error quotes

#: The name, which no source can write, under which the first fiber of a spawned process has its spawner's trace bound.
SPAWNED_BY = Symbol("flowmetal", "spawned by")

_CODE = keyword("code")
_LIMIT, _MAX = keyword("limit"), keyword("max")
_VIA, _SPAWN = keyword("via"), keyword("spawn")
_FUNCTION, _FILE, _LINE = keyword("function"), keyword("file"), keyword("line")


def limit_error(limit: str, most: int, what: str) -> LanguageError:
    """The error of a quota: more than `most` of `what`.  Only `finally` and the process's supervisor see it."""
    data = Map.of([(_LIMIT, keyword(limit)), (_MAX, most)])
    return LanguageError(ErrorValue(KIND_LIMIT, f"more than {most} {what}", data))


def exception_text(problem: BaseException) -> str:
    """A Python exception in a line; what it was made of may be a number too large to be written."""
    try:
        return f"{type(problem).__name__}: {problem}"
    except ValueError:
        return type(problem).__name__


def fault(problem: BaseException) -> ErrorValue:
    """What a program gets for a Python exception that should not have come about.

    Memory that cannot be had counts as a limit; anything else is a fault of a builtin, or of an image that was
    tampered with in a way nothing checks; its data has the code under which the catalogue explains it.
    """
    if isinstance(problem, MemoryError):
        return ErrorValue(KIND_LIMIT, "there is not enough memory", None)
    text = exception_text(problem)[:FAULT_CHARACTERS]
    return ErrorValue(KIND_INTERNAL, text.encode("utf-8", "replace").decode(), Map.of([(_CODE, "V350")]))


def with_trace(fiber: Fiber, code: RunCode | None, index: int, error: ErrorValue) -> ErrorValue:
    """The error with the place it was raised at, if it has none yet: the innermost TRACE_FRAMES frames.

    `code` and `index`: the running instruction, None where none was.
    """
    if error.trace is not None or error.kind is KIND_ABANDONED:
        return error
    return error.with_trace(trace(fiber, code, index))


def trace(fiber: Fiber, code: RunCode | None, index: int) -> Vector:
    """The innermost TRACE_FRAMES frames, a map each; then as many of the process that spawned this one."""
    lines = []
    if code is not None:
        lines.append(_line(code, index))
    spawned_by: Any = None
    for frame in reversed(fiber.frames):
        if frame[0] is not None:
            if len(lines) < TRACE_FRAMES:
                lines.append(_line(frame[0], position(frame)))
        elif frame[1] == Region.BIND and frame[2].contains(SPAWNED_BY):
            spawned_by = frame[2].get(SPAWNED_BY)
    if spawned_by.__class__ is Vector:
        lines += _spawner_lines(spawned_by)
    return Vector.of(lines)


def _spawner_lines(trace: Vector) -> list[Any]:
    lines = [line for line in islice(trace, TRACE_FRAMES) if line.__class__ is Map]
    if lines:
        lines[0] = lines[0].assoc(_VIA, _SPAWN)
    return lines


def _line(code: RunCode, index: int) -> Map:
    spans = code.code.spans
    span = spans[index] if 0 <= index < len(spans) else None
    pairs: list[tuple[Any, Any]] = [(_FUNCTION, code.code.name)]
    if span is not None:
        pairs += [(_FILE, span.file), (_LINE, span.line)]
    return Map.of(pairs)
