"""Regular expressions, over Python's engine with Java's spelling of named groups and of the ASCII classes.

The one place that knows how a pattern of the language becomes one of the engine: the reader checks literals by it, the
builtins search with it.  Only the classes that both know are taken; \\d, \\w, \\s and \\b look at ASCII alone, as in
Java, and so do not change with the Unicode tables of a Python version.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

PATTERN_MAX = 10_000  # characters of a pattern; a longer one takes Python's compiler seconds

_GROUP = re.compile(r"\\.|\(\?<(?=[A-Za-z])", re.DOTALL)
_JAVA = {"\\z": "\\Z", "\\h": "[ \\t]", "\\R": "(?:\\r\\n|\\n|\\r)", "(?<": "(?P<"}


class BadPattern(ValueError):
    """Text that is no pattern: what is wrong in words, and the position in the text, if it is known."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The engine's form of a pattern; BadPattern."""
    if len(pattern) > PATTERN_MAX:
        raise BadPattern(f"it is longer than {PATTERN_MAX} characters")
    moved: list[tuple[int, int]] = []  # where a part begins in the engine's text, and how much longer it became

    def spelled(found: re.Match[str]) -> str:
        written = found.group()
        python = _JAVA.get(written, written)
        moved.append((found.start(), len(python) - len(written)))
        return python

    python = _GROUP.sub(spelled, pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(python, re.ASCII)
    except re.error as error:
        position = error.pos
        if position is not None:
            for start, longer in moved:
                if position > start:
                    position -= min(longer, position - start)
            position = min(position, max(len(pattern) - 1, 0))
        raise BadPattern(error.msg, position) from None
    except (OverflowError, RecursionError):
        raise BadPattern("it is nested too deep or repeats too often") from None
