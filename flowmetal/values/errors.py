"""Error values and the Python exceptions that carry them.

`LanguageError` is an error of the program (it can catch it); `NeedsRealize` asks the machine to realize a lazy sequence
and to run the instruction again, `NeedsProgram` to let the program do the operation; `CodecError` refuses bytes that
are not a valid encoding.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flowmetal.values.base import Collection, Value
from flowmetal.values.scalars import Keyword, keyword


class ErrorValue(Collection):
    """An error as a value: kind, message, data, cause and trace.

    Two errors are equal when kind, message, data and cause are; the trace (a vector of frame maps or None) says where
    it came about and is not part of what it is.
    """

    __slots__ = ("cause", "data", "kind", "message", "trace")

    def __init__(
        self,
        kind: Keyword,
        message: str,
        data: Value = None,
        cause: ErrorValue | None = None,
        trace: Any = None,
        *,
        meta: Any = None,
    ) -> None:
        self.kind = kind
        self.message = message
        self.data = data
        self.cause = cause
        self.trace = trace
        self.meta = meta
        self.hash = None
        self.owner = None

    def with_trace(self, trace: Any) -> ErrorValue:
        """The same error with another trace."""
        return ErrorValue(self.kind, self.message, self.data, self.cause, trace, meta=self.meta)


class LanguageError(Exception):
    """An error of the program, raised by an operation on values."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(f":{error.kind.text} {error.message}")
        self.error = error


def fail(kind: str, message: str, data: Value = None) -> NoReturn:
    """Raises a LanguageError of this kind (its text without the colon)."""
    raise LanguageError(ErrorValue(keyword(kind), message, data))


def shortly(number: int) -> str:
    """An integer as a message shows it; the text of a large one takes long, and Python refuses to make it."""
    return str(number) if -(10**18) < number < 10**18 else f"a number of {number.bit_length()} bits"


class NeedsRealize(Exception):
    """A request to the machine, not an error: an operation met an unrealized lazy sequence.

    `whole` asks for the entire sequence; else one cell is enough, and realizing up to `cells` of them at once saves
    runs of the instruction (the operation knows that it looks at no more).
    """

    def __init__(self, seq: Any, whole: bool, cells: int = 1) -> None:
        super().__init__("an unrealized lazy sequence was met")
        self.seq = seq
        self.whole = whole
        self.cells = cells


class NeedsProgram(LanguageError):
    """An operation met a value that only the program can do it with: a sorted collection whose order is a function of
    the program, an atom that is watched.

    The machine lets `function`, a closure, do the operation instead; anywhere else it is an error of the program.
    """

    def __init__(self, function: Any, message: str) -> None:
        super().__init__(ErrorValue(keyword("type"), message))
        self.function = function


class CodecError(Exception):
    """Bytes or records that are not a valid encoding of a value.

    `code` is the catalogue code of the message, `problem` a short English clause that says what is wrong.
    """

    def __init__(self, problem: str, code: str = "V201") -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code
