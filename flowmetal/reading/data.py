"""read_data: text to a value, as data (EDN with the literals of the language), several times faster than source text.

The expressions of tokens and what makes values of them are those of the source reader; in place of ply there is one
expression and an explicit stack.  Values carry no places, and the first error ends the reading.  Nothing here is code:
quotes, `#(...)`, `@`, `::name` and syntax-quote are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flowmetal.diagnostics import FlowmetalError, Label, Span
from flowmetal.lazily import pattern
from flowmetal.reading import tokens
from flowmetal.reading.atoms import atom_value, symbolic_value
from flowmetal.reading.bad import Bad
from flowmetal.reading.building import (
    list_of,
    map_of,
    metadata_of,
    namespaced,
    set_of,
    vector_of,
    with_metadata,
)
from flowmetal.reading.tags import tagged_value
from flowmetal.reading.text import character_value, regex_pattern, string_value
from flowmetal.values import Char, Regex, print_string

_TOKENS = (
    ("ATOM", tokens.ATOM),
    ("SKIP", rf"{tokens.SPACE}|{tokens.COMMENT}"),
    ("OPEN", r"\#?\{|\(|\["),
    ("CLOSE", r"[)\]}]"),
    ("STRING", tokens.STRING),
    ("CHARACTER", tokens.CHARACTER),
    ("DISCARD", r"\#_"),
    ("META", r"\#?\^"),
    ("REGEX", tokens.REGEX),
    ("SYMBOLIC", tokens.SYMBOLIC),
    ("NAMESPACED", tokens.NAMESPACED_MAP),
    ("TAG", tokens.TAG),
    ("UNTERMINATED", r"\#?\""),
    ("CODE", r"\#?'|`|~@?|@|\#\("),
    ("DISPATCH", tokens.BAD_DISPATCH),
    ("OTHER", r"[\s\S]"),
)
_TOKEN = pattern("|".join(f"(?P<{name}>{expression})" for name, expression in _TOKENS))
_ATOM, _SKIP, _OPEN, _CLOSE, _STRING = (_TOKEN.groupindex[name] for name in ("ATOM", "SKIP", "OPEN", "CLOSE", "STRING"))

_CLOSERS = {"(": ")", "[": "]", "{": "}", "#{": "}"}

_MISSING = object()

#: What a caller makes of tags of its own.
Tags = Callable[[str, Any], "list[Any] | None"]


class _Frame:
    """An opening bracket or a mark that waits for what belongs to it."""

    __slots__ = ("items", "kind", "starts", "text")

    def __init__(self, kind: str, text: str, start: int) -> None:
        self.kind = kind
        self.text = text
        self.items: list[Any] = []
        self.starts = [start]  # of itself, then of its items


def read_data(text: str, file: str = "data") -> Any:
    """The one value in the text; FlowmetalError with a place if there is none, or a second one, or it is not data."""
    values, starts = _read(text, file, 2)
    if not values:
        raise FlowmetalError("R081", _span(text, file, len(text), len(text)))
    if len(values) > 1:
        raise FlowmetalError("R082", _span(text, file, starts[1], starts[1] + 1))
    return values[0]


def read_first(text: str, file: str = "data", tags: Tags | None = None) -> list[Any]:
    """The first value in the text, in a list, which is empty if there is none; what follows it is not looked at.

    `tags` is asked about every tag first: it gives the value in a list, or None for what it does not know.
    """
    return _read(text, file, 1, tags)[0]


def read_all_data(text: str, file: str = "data") -> list[Any]:
    """All values in the text, one after another; FlowmetalError as read_data."""
    return _read(text, file, None)[0]


def _read(text: str, file: str, limit: int | None, tags: Tags | None = None) -> tuple[list[Any], list[int]]:
    """The values at the top level with their offsets; at most `limit`."""
    if (surrogate := _SURROGATE.search(text)) is not None:
        digits = f"{ord(surrogate.group()):04X}"
        raise FlowmetalError("R071", _span(text, file, surrogate.start(), surrogate.end()), digits=digits)
    reading = _Reading(text, file, tags)
    try:
        reading.run(limit)
    except _At as at:
        labels = [Label(_span(text, file, *place), words) for place, words in at.labels]
        raise FlowmetalError(at.bad.code, _span(text, file, at.start, at.end), labels=labels, **at.bad.facts) from None
    top = reading.stack[0]
    return top.items, top.starts[1:]


class _At(Exception):
    """A Bad with its place in the text."""

    def __init__(self, bad: Bad, start: int, end: int, labels: tuple[tuple[tuple[int, int], str], ...] = ()) -> None:
        super().__init__(bad.code)
        self.bad = bad
        self.start = start if bad.start is None else start + bad.start
        self.end = end if bad.end is None else start + bad.end
        self.labels = labels


class _Reading:
    def __init__(self, text: str, file: str, tags: Tags | None) -> None:
        self.text = text
        self.tags = tags
        self.file = file
        self.atoms: dict[str, Any] = {}
        self.stack = [_Frame("TOP", "", 0)]

    def run(self, limit: int | None) -> None:
        """Reads to the end, or until `limit` values are there."""
        stack, atoms = self.stack, self.atoms
        frame = stack[0]
        for match in _TOKEN.finditer(self.text):
            kind = match.lastindex
            if kind == _SKIP:
                continue
            text = match.group()
            if kind == _ATOM:
                value = atoms.get(text, _MISSING)
                if value is _MISSING:
                    value = atoms[text] = self._value(match, text)
            elif kind == _STRING and "\\" not in text:
                value = text[1:-1]
            elif kind == _OPEN:
                frame = _Frame("BRACKET", text, match.start())
                stack.append(frame)
                continue
            elif kind == _CLOSE:
                value = self._closed(frame, text, match.start())
                start = stack.pop().starts[0]
                frame = self._add(value, start)
                if limit is not None and len(stack) == 1 and len(frame.items) >= limit:
                    return
                continue
            elif match.lastgroup in _MARKS:
                frame = _Frame(match.lastgroup or "", text, match.start())
                stack.append(frame)
                continue
            else:
                value = self._value(match, text)
            if frame.kind == "BRACKET":
                frame.items.append(value)
                frame.starts.append(match.start())
            else:
                frame = self._add(value, match.start())
                if limit is not None and len(stack) == 1 and len(frame.items) >= limit:
                    return
        if len(stack) > 1:
            frame = stack[-1]
            raise self._unclosed(frame) if frame.kind in ("BRACKET", "NAMESPACED") else self._lonely(frame)

    def _add(self, value: Any, start: int) -> _Frame:
        """Puts a value where it belongs and ends the marks that were waiting for it; the frame that is open then."""
        stack = self.stack
        while True:
            frame = stack[-1]
            kind = frame.kind
            frame.items.append(value)
            frame.starts.append(start)
            if kind not in ("TAG", "META", "DISCARD") or (kind == "META" and len(frame.items) < 2):
                return frame
            stack.pop()
            if kind == "DISCARD":
                return stack[-1]
            try:
                value = self._marked(frame)
            except Bad as bad:
                at = frame.starts[1] if bad.code in ("R051", "R064") else frame.starts[-1]
                if bad.code in ("R050", "R052"):
                    raise _At(bad, frame.starts[0], frame.starts[0] + len(frame.text)) from None
                raise _At(bad, at, at + 1) from None
            start = frame.starts[0]

    def _marked(self, frame: _Frame) -> Any:
        if frame.kind == "TAG":
            tag = frame.text[1:]
            if self.tags is not None and (found := self.tags(tag, frame.items[0])) is not None:
                return found[0]
            return tagged_value(tag, frame.items[0])
        return with_metadata(frame.items[1], metadata_of(frame.items[0]))

    def _closed(self, frame: _Frame, closer: str, start: int) -> Any:
        if frame.kind not in ("BRACKET", "NAMESPACED"):
            if frame.kind == "TOP":
                raise _At(Bad("R003", found=closer), start, start + 1)
            raise self._lonely(frame)
        needed = _CLOSERS.get(frame.text, "}")
        if needed != closer:
            opened = ((frame.starts[0], frame.starts[0] + len(frame.text)), f"this `{frame.text}` is open")
            raise _At(Bad("R002", found=closer, bracket=frame.text, closer=needed), start, start + 1, (opened,))
        if frame.text == "(":
            return list_of(frame.items, None)
        if frame.text == "[":
            return vector_of(frame.items, None)
        if frame.text == "#{":
            return set_of(frame.items, None, lambda first, second: self._duplicate("R042", frame, first, second))
        items = frame.items
        if len(items) % 2:
            raise _At(Bad("R040"), frame.starts[-1], frame.starts[-1] + 1)
        if frame.kind == "NAMESPACED":
            items = namespaced(items, self._namespace(frame))
        return map_of(items, None, lambda first, second: self._duplicate("R041", frame, first, second))

    def _namespace(self, frame: _Frame) -> str:
        name = frame.text[2:-1].rstrip(" \t\r\n\f\v,")
        place = frame.starts[0], frame.starts[0] + len(frame.text)
        if name.startswith(":"):
            raise _At(Bad("R080", mark="#::"), *place)
        if not name or "/" in name:
            raise _At(Bad("R031", name=f":{name}"[:60]), *place)
        return name

    def _value(self, match: re.Match[str], text: str) -> Any:
        """The value of a token that is one by itself."""
        try:
            return _simple(match.lastgroup or "", text)
        except Bad as bad:
            raise _At(bad, match.start(), match.end()) from None

    def _duplicate(self, code: str, frame: _Frame, first: int, second: int) -> None:
        key = print_string(frame.items[second], limit=60)
        place = frame.starts[first + 1], frame.starts[first + 1] + 1
        start = frame.starts[second + 1]
        raise _At(Bad(code, key=key), start, start + 1, ((place, "first here"),))

    def _unclosed(self, frame: _Frame) -> _At:
        closer = _CLOSERS.get(frame.text, "}")
        start = frame.starts[0]
        return _At(Bad("R001", bracket=frame.text, closer=closer), start, start + len(frame.text))

    def _lonely(self, frame: _Frame) -> _At:
        return _At(Bad("R004", mark=frame.text), frame.starts[0], frame.starts[0] + len(frame.text))


_MARKS = frozenset({"DISCARD", "META", "TAG", "NAMESPACED"})
_SURROGATE = pattern("[\ud800-\udfff]")


def _simple(kind: str, text: str) -> Any:
    if kind == "ATOM":
        if text.startswith("::"):
            raise Bad("R080", mark=text[:60])
        return atom_value(text)
    if kind == "STRING":
        return string_value(text)
    if kind == "CHARACTER":
        return Char(character_value(text))
    if kind == "REGEX":
        return Regex(regex_pattern(text))
    if kind == "SYMBOLIC":
        return symbolic_value(text)
    if kind == "CODE":
        raise Bad("R080", mark=text)
    if kind == "UNTERMINATED":
        raise Bad("R010" if text == '"' else "R013", 0, len(text))
    if kind == "DISPATCH":
        raise Bad("R053", 0, 1, mark="#")
    if text == "\\":
        raise Bad("R015")
    digits = f"{ord(text):04X}"
    raise Bad("R034", character=f"U+{digits}", digits=digits)


def _span(text: str, file: str, start: int, end: int) -> Span:
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    end_line = line + text.count("\n", start, end)
    return Span(file, line, column, end_line, end - text.rfind("\n", 0, end))
