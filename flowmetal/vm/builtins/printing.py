"""Printing values to strings, and reading them.  Printing to the world is an effect, not a builtin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Map, Symbol, Vector, fail, iterate, keyword, print_string, symbol
from flowmetal.vm.builtins.check import index, string, symbol_of
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.state import Process

if TYPE_CHECKING:
    from flowmetal.reading import data as reading
    from flowmetal.reading import tags as known
else:
    reading = lazily.module("flowmetal.reading.data")
    known = lazily.module("flowmetal.reading.tags")


_LENGTH, _LEVEL = (Symbol("flowmetal.core.printing", name) for name in ("*print-length*", "*print-level*"))


def _bounds(process: Process) -> tuple[int | None, int | None]:
    """What `*print-length*` and `*print-level*` are bound to."""
    length = level = None
    for data in process.bindings():
        length = data.get(_LENGTH, length)
        level = data.get(_LEVEL, level)
    return (
        None if length is None else index("*print-length*", length),
        None if level is None else index("*print-level*", level),
    )


@builtin(800, "pr-str", 0, None, context=True)
def pr_str(process: Process, *values: Any) -> str:
    """Values printed so that they read back equal, with blanks between."""
    length, level = _bounds(process)
    return " ".join([print_string(value, length=length, level=level) for value in values])


@builtin(801, "print-str", 0, None, context=True)
def print_str(process: Process, *values: Any) -> str:
    """Values printed for people (strings without quotes, also inside collections), with blanks between."""
    length, level = _bounds(process)
    texts = [print_string(value, readably=False, length=length, level=level) for value in values]
    return " ".join(texts)


@builtin(802, "pr-str-limited", 2)
def pr_str_limited(value: Any, limit: Any) -> str:
    """A value printed with at most a number of characters; what is longer ends in an ellipsis."""
    return print_string(value, limit=index("pr-str-limited", limit))


#: Characters of a text that is read in one instruction, which cannot be interrupted: some seconds.
READ_MAX = 4_000_000

_TAG, _FORM = keyword("flowmetal/tag"), keyword("form")
_CODE, _LINE, _COLUMN = keyword("code"), keyword("line"), keyword("column")


@builtin(803, "read-data", 2)
def read_data_text(text: Any, tags: Any) -> Vector | None:
    """The first value in a text and whether it holds tags of the caller's; nil if there is none.

    `tags` is a collection of symbols, or true for all that are not known.  What has such a tag becomes a map with its
    :form, whose metadata has the tag as :flowmetal/tag.
    """
    from_text = string("read-string", text)
    if len(from_text) > READ_MAX:
        fail("limit", f"read-string reads at most {READ_MAX} characters at once")
    names = set() if tags is None or tags is True else {symbol_of("read-string", tag).text for tag in iterate(tags)}
    seen = False

    def tagged(tag: str, form: Any) -> list[Any] | None:
        nonlocal seen
        if tag not in names and (tags is not True or tag in known.EXAMPLES):
            return None
        seen = True
        marked = Map.of([(_FORM, form)])
        marked.meta = Map.of([(_TAG, symbol(tag))])
        return [marked]

    try:
        found = reading.read_first(from_text, "data", tagged)
    except FlowmetalError as error:
        span = error.diagnostic.span
        place = [] if span is None else [(_LINE, span.line), (_COLUMN, span.column)]
        fail("read", f"{error.diagnostic.title}: {error.diagnostic.text}", Map.of([(_CODE, error.code), *place]))
    return Vector.of([found[0], seen]) if found else None
