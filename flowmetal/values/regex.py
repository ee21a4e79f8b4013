"""Regular expressions, over RE2: the time of a search grows with the text alone, whatever the pattern.

An engine that backtracks can be held up for years by a pattern of ten characters, inside one instruction that nothing
can interrupt.  RE2 cannot; what it cannot do in that time (look-around, back references) is refused.  This is the one
place that knows how a pattern of the language becomes one of the engine: the reader checks literals by it, the
builtins search with it.  \\d, \\w, \\s and \\b look at ASCII alone, as in Java.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.lazily import pattern

if TYPE_CHECKING:
    import re2
else:
    re2 = lazily.module("re2")


PATTERN_MAX = 10_000  # characters of a pattern

#: What Java has and RE2 spells otherwise.
_JAVA = {"\\h": "[ \\t]", "\\R": "(?:\\r\\n|\\n|\\r)"}
_ESCAPE = pattern(r"\\.", re.DOTALL)

#: Reasons of RE2 that say little to who wrote the pattern.
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!", "(?>")


class BadPattern(ValueError):
    """Text that is no pattern: what is wrong in words, and the position in the text, if it is known."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


@cache
def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """The engine's form of a pattern, with the methods of Python's `re.Pattern`; BadPattern."""
    if len(pattern) > PATTERN_MAX:
        raise BadPattern(f"it is longer than {PATTERN_MAX} characters")
    spelled = _ESCAPE.sub(lambda found: _JAVA.get(found.group(), found.group()), pattern)
    try:
        return re2.compile(spelled, _options())
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise BadPattern(_plain(text), _position(pattern, text)) from None


def _plain(reason: str) -> str:
    """RE2's reason, with a word more where the pattern is right in Java and cannot be searched in linear time."""
    if any(part in reason for part in _LOOK_AROUND):
        return f"{reason} (look-around cannot be searched in linear time)"
    if re.search(r"invalid escape sequence: \\[1-9]", reason):
        return f"{reason} (back references cannot be searched in linear time)"
    return reason


def _position(pattern: str, reason: str) -> int | None:
    """Where the part that RE2 names stands in the pattern, if it is there once."""
    _, mark, part = reason.partition(": ")
    return pattern.index(part) if mark and part != pattern and pattern.count(part) == 1 else None
