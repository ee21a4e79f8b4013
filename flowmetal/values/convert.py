"""Values to and from JSON-like Python data, for workers, HTTP and logs.

Going out, keywords become their text, keys that are neither keyword nor string their printed form, instants and
durations ISO 8601, ratios and decimals strings, bytes base64, secrets the text of their handle.  Coming in, mappings
become maps whose keys are keywords where the text can be one.  Neither direction recurses by more than FAST_DEPTH_MAX
levels; nesting deeper than DEPTH_MAX is refused, as other programs would not read it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

from flowmetal.lazily import pattern
from flowmetal.values.base import Value
from flowmetal.values.errors import ErrorValue, fail
from flowmetal.values.functions import BuiltinFn, Closure, Reduced
from flowmetal.values.maps import Map
from flowmetal.values.mutable import Cell, Promise, Resumption
from flowmetal.values.numbers import INTEGER_BITS_MAX
from flowmetal.values.printer import print_string
from flowmetal.values.records import Instance, Record
from flowmetal.values.scalars import Char, Duration, Instant, Keyword, Pid, Regex, Symbol, keyword
from flowmetal.values.secrets import Secret
from flowmetal.values.seqs import Cons, LazySeq, List, Range
from flowmetal.values.sets import Set
from flowmetal.values.sorted import SortedMap, SortedSet
from flowmetal.values.time_text import duration_text, instant_text
from flowmetal.values.vector import Vector, VectorSeq

DEPTH_MAX = 512  # nesting of JSON-like data; Python's own json module stops near 1000
FAST_DEPTH_MAX = 32  # nesting up to which from_python recurses, whatever called it
KEYWORD_TEXT_MAX = 256  # characters of a key that becomes a keyword; keywords are kept in a table

_SMALL_INTEGER = 1 << 63
_SURROGATE = pattern(r"[\ud800-\udfff]")
_KEYWORD_TEXT = pattern(r"(?:[^/]++/)?(?:[^/]++|/)")
_NOT_IN_KEYWORD = pattern(
    r"[\s,()\[\]{}\"@^`~;\\\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]|::|^:|:$"
)


def is_keyword_text(text: str) -> bool:
    """Whether ":" and this text reads as a keyword of that text."""
    return len(text) <= KEYWORD_TEXT_MAX and _reads(text)


@lru_cache(4096)
def _reads(text: str) -> bool:
    return _KEYWORD_TEXT.fullmatch(text) is not None and _NOT_IN_KEYWORD.search(text) is None


def _finite(value: float) -> float:
    if not isfinite(value):
        fail("type", f"{print_string(value)} cannot be written as JSON", value)
    return value


_SCALARS: dict[type, Callable[[Any], Any]] = {
    type(None): lambda value: None,
    bool: bool,
    int: int,
    str: str,
    float: _finite,
    Keyword: lambda value: value.text,
    Symbol: lambda value: value.text,
    Char: lambda value: value.text,
    Fraction: print_string,
    Decimal: str,
    bytes: lambda value: b2a_base64(value, newline=False).decode(),
    Instant: instant_text,
    Duration: duration_text,
    UUID: str,
    Regex: lambda value: value.pattern,
    Pid: lambda value: value.number,
    Secret: lambda value: value.text,
}

_SEQUENCES = frozenset({List, Cons, LazySeq, Range, Vector, VectorSeq, Set, SortedSet})
_REFUSED = {
    Closure: "a function",
    BuiltinFn: "a function",
    Cell: "a cell",
    Promise: "a promise",
    Resumption: "a resumption",
    Reduced: "a reduced value",
    Instance: "a value with methods",
}


def _place(path: list[Any]) -> str:
    return " at " + "/".join(str(step) for step in path) if path else ""


def _key_text(key: Value) -> str:
    if key.__class__ is str:
        return str(key)
    return key.text if key.__class__ is Keyword else print_string(key)


def _numbered(value: Any) -> Iterator[tuple[int, Value]]:
    return enumerate(iter(value))


def to_python(value: Value) -> Any:
    """The value as None, bool, int, float, str, list and dict.

    Raises an error of kind :type, naming the place, for functions, cells, promises and numbers JSON has not; of kind
    :argument for a map two of whose keys have the same text; of kind :limit beyond DEPTH_MAX.  Raises NeedsRealize
    for lazy sequences.
    """
    root: list[Any] = []
    stack: list[tuple[Any, Iterator[tuple[Any, Value]]]] = [(root, iter(((0, value),)))]
    path: list[Any] = []
    while stack:
        holder, parts = stack[-1]
        for step, part in parts:
            kind = part.__class__
            scalar = _SCALARS.get(kind)
            if scalar is not None:
                done = scalar(part)
            elif kind in _SEQUENCES:
                done = []
                stack.append((done, _numbered(part)))
            elif kind is Map or kind is SortedMap or kind is Record:
                done = {}
                stack.append((done, ((_key_text(key), item) for key, item in part.items())))
            elif kind is ErrorValue:
                done = {}
                stack.append((done, iter((("kind", part.kind), ("message", part.message), ("data", part.data)))))
            else:
                place = _place([*path[1:], step] if path else [])
                fail("type", f"{_REFUSED.get(kind, 'a value of the machine')} cannot leave the program{place}")
            if holder.__class__ is list:
                holder.append(done)
            elif step in holder:
                fail("argument", f"two keys of a map have the same text{_place([*path[1:], step])}")
            else:
                holder[step] = done
            if stack[-1][0] is not holder:
                path.append(step)
                if len(stack) > DEPTH_MAX + 1:
                    fail("limit", f"data is nested deeper than {DEPTH_MAX} levels")
                break
        else:
            stack.pop()
            if path:
                path.pop()
    return root[0]


def _scalar_in(data: Any, path: list[Any], *step: Any) -> Value:
    kind = data.__class__
    if data is None or kind is bool or kind is bytes:
        return data
    if kind is str:
        if not data.isascii() and _SURROGATE.search(data):
            fail("type", f"a string with half of a surrogate pair{_place([*path, *step])}")
        return data
    if kind is int:
        if data.bit_length() > INTEGER_BITS_MAX:
            fail("limit", f"an integer of more than {INTEGER_BITS_MAX} bits{_place([*path, *step])}")
        return data
    if kind is float:
        if not isfinite(data):
            fail("type", f"NaN and infinities are not taken from outside{_place([*path, *step])}")
        return data
    fail("type", f"Python's {kind.__name__} has no counterpart in the language{_place([*path, *step])}")


def _key_in(key: Any, path: list[Any]) -> Value:
    if key.__class__ is not str:
        fail("type", f"the key of an object is not a string{_place(path)}")
    text = _scalar_in(key, path)
    return keyword(text) if is_keyword_text(text) else text


def _is_nested(data: Any) -> bool:
    kind = data.__class__
    return kind is dict or kind is list or (isinstance(data, dict | list | tuple) and kind is not Keyword)


def from_python(data: Any) -> Value:
    """The value of JSON-like data: dict -> map, list and tuple -> vector, scalars and bytes as they are.

    Raises an error of kind :type, naming the place, for anything else, NaN and infinities; of kind :limit beyond
    DEPTH_MAX.
    """
    try:
        return _plain_in(data, FAST_DEPTH_MAX, {})
    except _Slow:
        return _from_python(data)


class _Slow(Exception):
    """The data is deep, odd or wrong, and has to go the way that says what and where."""


def _plain_in(data: Any, depth: int, keys: dict[str, Value]) -> Value:
    """from_python() for what nearly all data is.  It recurses, `depth` levels at most; `keys` are those it has seen."""
    kind = data.__class__
    if kind is dict:
        if not depth:
            raise _Slow
        table: dict[Any, Value] = {}
        for text, item in data.items():
            key = keys.get(text) if text.__class__ is str else None
            if key is None:
                key = keys[text] = _plain_key(text)
            table[key] = _plain_in(item, depth - 1, keys)
        return Map.from_table(table)
    if kind is list:
        if not depth:
            raise _Slow
        depth -= 1
        return Vector.from_tuple(tuple([_plain_in(item, depth, keys) for item in data]))
    if kind is str:
        if data.isascii() or not _SURROGATE.search(data):
            return data
    elif kind is int:
        if -_SMALL_INTEGER < data < _SMALL_INTEGER or data.bit_length() <= INTEGER_BITS_MAX:
            return data
    elif kind is float:
        if isfinite(data):
            return data
    elif data is None or kind is bool or kind is bytes:
        return data
    raise _Slow


def _plain_key(key: Any) -> Value:
    if key.__class__ is not str or not (key.isascii() or not _SURROGATE.search(key)):
        raise _Slow
    return keyword(key) if is_keyword_text(key) else key


def _from_python(data: Any) -> Value:
    if not _is_nested(data):
        return _scalar_in(data, [])
    stack: list[tuple[Any, Iterator[tuple[Any, Any]], list[tuple[Any, Value]]]] = []
    path: list[Any] = []
    stack.append((data, _parts(data), []))
    while True:
        holder, parts, done = stack[-1]
        for step, part in parts:
            if _is_nested(part):
                path.append(step)
                if len(stack) >= DEPTH_MAX:
                    fail("limit", f"data is nested deeper than {DEPTH_MAX} levels")
                stack.append((part, _parts(part), []))
                break
            done.append((step, _scalar_in(part, path, step)))
        else:
            stack.pop()
            if isinstance(holder, dict):
                result: Value = Map.of([(_key_in(key, path), item) for key, item in done])
            else:
                result = Vector.of([item for _, item in done])
            if not stack:
                return result
            stack[-1][2].append((path.pop(), result))


def _parts(data: Any) -> Iterator[tuple[Any, Any]]:
    return iter(data.items()) if isinstance(data, dict) else enumerate(data)
