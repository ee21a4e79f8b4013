"""Values as text.  What is printed readably reads back equal, but for functions, cells, promises and errors.

Nothing recurses: nested values are a stack of iterators.  With a `limit` the text stays bounded however large or
nested the value is, and the work with it.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import islice
from math import isnan
from typing import Any
from uuid import UUID

from flowmetal.lazily import pattern
from flowmetal.values.base import LATE, Value
from flowmetal.values.errors import ErrorValue, NeedsRealize
from flowmetal.values.functions import BuiltinFn, Closure, Reduced
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.numbers import int_text
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import Char, Duration, Instant, Keyword, Pid, Regex, Symbol, keyword
from flowmetal.values.secrets import Secret
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import SortedMap, SortedSet
from flowmetal.values.time_text import duration_text, instant_text
from flowmetal.values.vector import Vector, VectorSeq

ELLIPSIS = "…"
_SHORT_LIMIT = 60
_REPR_LIMIT = 1000  # characters of Python's repr of a value, which is for debugging

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
# Control characters, those that turn the direction of text, and those that look like a line's end or like nothing.
# Written out, not asked of Python's Unicode tables, so that every version prints the same.
_ESCAPED = pattern(r'["\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]')
_HIDDEN = pattern(
    r"[\x00-\x20\x7f-\xa0\u00ad\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\u3164\ufeff\ufff9-\ufffb]"
)
_CHAR_NAMES = {
    "\n": "newline",
    " ": "space",
    "\t": "tab",
    "\r": "return",
    "\b": "backspace",
    "\f": "formfeed",
}


def _escape(found: re.Match[str]) -> str:
    text = found.group()
    return _ESCAPES.get(text) or f"\\u{ord(text):04x}"


def string_text(value: str) -> str:
    """A string in quotes, with escapes."""
    return '"' + _ESCAPED.sub(_escape, value) + '"'


def char_text(value: Char) -> str:
    """A character as it is written: \\a, \\newline, \\u0001."""
    text = value.text
    name = _CHAR_NAMES.get(text)
    if name is not None:
        return "\\" + name
    return f"\\u{ord(text):04x}" if _HIDDEN.match(text) else "\\" + text


def float_text(value: float) -> str:
    """The shortest text that reads back as this float, in Clojure's form: 1.0, 1.0E10, ##Inf."""
    if isnan(value):
        return "##NaN"
    if value in (float("inf"), float("-inf")):
        return "##Inf" if value > 0 else "##-Inf"
    shortest = repr(value)
    size = abs(value)
    if (1e-3 <= size < 1e7 or size == 0) and "e" not in shortest:
        return shortest
    sign, digits, exponent = Decimal(shortest).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    place = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{place}"


def _ratio_text(value: Fraction) -> str:
    return f"{int_text(value.numerator)}/{int_text(value.denominator)}"


def _regex_text(value: Regex) -> str:
    """The pattern in quotes; a quote that is not escaped yet gets a backslash, which means the same to a regex."""
    out = []
    escaped = False
    for char in value.pattern:
        if char == '"' and not escaped:
            out.append("\\")
        escaped = char == "\\" and not escaped
        out.append(char)
    return '#"' + "".join(out) + '"'


_READABLE: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "nil",
    bool: lambda value: "true" if value else "false",
    int: int_text,
    float: float_text,
    Fraction: _ratio_text,
    Decimal: lambda value: f"{value}M",
    str: string_text,
    Char: char_text,
    Keyword: lambda value: ":" + value.text,
    Symbol: lambda value: value.text,
    bytes: lambda value: f'#bytes "{b2a_base64(value, newline=False).decode()}"',
    Instant: lambda value: f'#inst "{instant_text(value)}"',
    Duration: lambda value: f'#duration "{duration_text(value)}"',
    UUID: lambda value: f'#uuid "{value}"',
    Regex: _regex_text,
    Pid: lambda value: f"#pid {value.number}",
    Secret: lambda value: value.text if not any(value.parts[::2]) else f"#secret-text {string_text(value.text)}",
    Closure: lambda value: f"#fn {value.function.name}",
    BuiltinFn: lambda value: f"#fn %{value.name}",
    Resumption: lambda value: "#resumption",
    Instance: lambda value: f"#instance {value.type.text}",
}

_PLAIN: dict[type, Callable[[Any], str]] = {
    **_READABLE,
    str: lambda value: value,
    Char: lambda value: value.text,
    Regex: lambda value: value.pattern,
    Secret: lambda value: value.text,
    UUID: str,
}


def _spaced(items: Iterator[Value]) -> Iterator[Any]:
    separator: str | None = None
    for item in items:
        if separator is not None:
            yield _Text(separator)
        separator = " "
        yield item


def _entries(value: Any) -> Iterator[Any]:
    separator: str | None = None
    for key, item in value.items():
        if separator is not None:
            yield _Text(separator)
        separator = ", "
        yield key
        yield _SPACE
        yield item


class _Text:
    """A piece of text among the values to be printed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_SPACE = _Text(" ")
_CLOSE = _Text("}")
_KIND, _MESSAGE, _DATA, _CAUSE = (keyword(name) for name in ("kind", "message", "data", "cause"))


#: The type of records that print as `#tag form`, see stdlib/core/tagged.fm.
TAGGED = "flowmetal.core.TaggedLiteral"
_TAG, _FORM = keyword("tag"), keyword("form")


def _record_parts(value: Record) -> Iterator[Any]:
    if value.type.text == TAGGED:
        yield _Text("#")
        yield value.get(_TAG)
        yield _SPACE
        yield value.get(_FORM)
        return
    yield _Text(f"#{value.type.text}{{")
    yield from _entries(value)
    yield _CLOSE


def _error_map(value: ErrorValue) -> Map:
    entries = [(_KIND, value.kind), (_MESSAGE, value.message), (_DATA, value.data)]
    if value.cause is not None:
        entries.append((_CAUSE, value.cause))
    return Map.of(entries)


def _promise_parts(value: Promise) -> Iterator[Any]:
    if value.state == "pending":
        return iter((keyword("pending"),))
    return iter((value.value,))


def _lazy_items(value: Any) -> Iterator[Any]:
    """The items of a sequence as far as they are realized, then an ellipsis."""
    while True:
        kind = value.__class__
        if kind is Cons:
            yield value.first
            value = value.rest
        elif kind is LazySeq:
            if value.state != "done":
                yield _Text(ELLIPSIS)
                return
            value = value.value
        elif value is None:
            return
        else:
            yield from value
            return


# class -> (opening, closing, the parts to print between)
_COMPOSITE: dict[type, tuple[str, str, Callable[[Any], Iterator[Any]]]] = {
    List: ("(", ")", lambda value: _spaced(iter(value))),
    Cons: ("(", ")", lambda value: _spaced(iter(value))),
    LazySeq: ("(", ")", lambda value: _spaced(iter(value))),
    Range: ("(", ")", lambda value: _spaced(iter(value))),
    VectorSeq: ("(", ")", lambda value: _spaced(iter(value))),
    Vector: ("[", "]", lambda value: _spaced(iter(value))),
    Map: ("{", "}", _entries),
    SortedMap: ("{", "}", _entries),
    Record: ("", "", _record_parts),
    Set: ("#{", "}", lambda value: _spaced(iter(value))),
    SortedSet: ("#{", "}", lambda value: _spaced(iter(value))),
    ErrorValue: ("#error ", "", lambda value: iter((_error_map(value),))),
    Cell: ("#cell ", "", lambda value: iter((value.value,))),
    Promise: ("#promise ", "", _promise_parts),
    Reduced: ("#reduced ", "", lambda value: iter((value.value,))),
}

_PARTIAL = {
    **_COMPOSITE,
    Cons: ("(", ")", lambda value: _spaced(_lazy_items(value))),
    LazySeq: ("(", ")", lambda value: _spaced(_lazy_items(value))),
}


def _items_of_lazy(value: Any, length: int) -> Iterator[Any]:
    """The items of a sequence, asking for no more lazy ones than are printed."""
    left = length + 1  # one more, to know whether there is one
    while left:
        kind = value.__class__
        if kind is Cons:
            yield value.first
            value = value.rest
            left -= 1
        elif kind is LazySeq:
            if value.state != "done":
                raise NeedsRealize(value, False, left)
            value = value.value
        elif value is None:
            return
        else:
            yield from islice(value, left)
            return


def _given(parts: Iterator[Any], value: Any) -> Iterator[Any]:
    return parts


def _shortened(value: Any, parts: Iterator[Any], length: int) -> Iterator[Any]:
    """The parts of a collection up to a number of items, and `...` for the others."""
    kind = value.__class__
    if kind is LazySeq or kind is Cons:
        parts = _spaced(_items_of_lazy(value, length))
    each = 4 if kind in (Map, SortedMap, Record) else 2  # parts of an item, and what separates it from the next
    if kind is Record:
        if value.type.text == TAGGED:
            yield from parts
            return
        yield next(parts)
    for before, part in enumerate(parts):
        if part is _CLOSE:
            yield part
            return
        if before == max(each * length - 1, 0):
            if length:
                yield part
            yield _Text("...")
            if kind is Record:
                yield _CLOSE
            return
        yield part


#: Collections whose items are counted and whose nesting is.
_COUNTED = frozenset({List, Cons, LazySeq, Range, VectorSeq, Vector, Map, SortedMap, Record, Set, SortedSet})


def print_string(
    value: Value,
    readably: bool = True,
    limit: int | None = None,
    realize: bool | None = None,
    length: int | None = None,
    level: int | None = None,
) -> str:
    """The text of a value.

    `readably` False prints strings and characters as they are (`str`, `println`), the nested ones as well.  `limit`
    is the number of characters after which the text is cut off with an ellipsis.  An unrealized lazy sequence raises
    NeedsRealize, or is printed as an ellipsis if `realize` is False, which is the default for text with a limit.  A
    cell inside itself is printed as `#cell …`.  Of a collection at most `length` items are printed, and of collections
    in `level` others only `#`.
    """
    if realize is None:
        realize = limit is None
    scalars = _READABLE if readably else _PLAIN
    composites = _COMPOSITE if realize else _PARTIAL
    out: list[str] = []
    left = -1 if limit is None else limit
    stack: list[tuple[Iterator[Any], str, Any]] = [(iter((value,)), "", None)]
    inside: set[int] = set()  # mutable objects being printed, which may hold themselves
    while stack:
        parts, closing, holder = stack[-1]
        for part in parts:
            kind = part.__class__
            scalar = scalars.get(kind)
            if scalar is not None:
                if left >= 0 and (kind is str or kind is bytes) and len(part) > left:
                    part = part[: left + 1]
                if left >= 0 and kind is int and part.bit_length() > 4 * left + 64:
                    text = "#integer"
                else:
                    text = scalar(part)
            elif kind is _Text:
                text = part.text
            elif kind in composites:
                text, end, items = composites[kind]
                if level is not None and kind in _COUNTED and len(stack) > level:
                    out.append("#")
                    continue
                if length is not None and kind in _COUNTED:
                    found = _shortened(part, items(part), length)
                    items = partial(_given, found)
                if id(part) in inside:
                    text += ELLIPSIS
                else:
                    mutable = part if kind is Cell or kind is Promise else None
                    if mutable is not None:
                        inside.add(id(part))
                    stack.append((items(part), end, mutable))
            else:
                text = f"#{kind.__name__}"
            out.append(text)
            if left >= 0:
                left -= len(text)
                if left < 0:
                    return "".join(out)[:limit] + ELLIPSIS
            if stack[-1][0] is not parts:
                break
        else:
            stack.pop()
            if holder is not None:
                inside.discard(id(holder))
            if closing:
                out.append(closing)
                if left >= 0:
                    left -= len(closing)
                    if left < 0:
                        return "".join(out)[:limit] + ELLIPSIS
    return "".join(out)


def _debug_text(value: Any) -> str:
    try:
        return print_string(value, limit=_REPR_LIMIT, realize=False)
    except NeedsRealize:
        return f"#{value.__class__.__name__}"


def _short_text(value: Any) -> str:
    return print_string(value, limit=_SHORT_LIMIT)


LATE.text = _debug_text
LATE.short = _short_text
