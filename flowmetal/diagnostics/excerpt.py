"""Excerpt: one line of source text made fit for a terminal, with the columns its caret covers.

Tabs become spaces, wide characters count as two columns and combining ones as none, a long line is cut to a window
around the caret, and whatever would move the cursor, colour the terminal or turn the direction of text is replaced,
so that a source file cannot forge what a person sees.
"""

from __future__ import annotations

import unicodedata

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics.span import Span

#: Columns of source text shown of one line.
WINDOW_COLUMNS = 96
TAB_COLUMNS = 4

_CUT = "…"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line as shown: `text`, and the caret's first column (from 0) and width in columns (at least 1)."""

    file: str
    line: int
    text: str
    column: int
    width: int


def excerpt(span: Span, source: str) -> Excerpt:
    """The first line of the span; the caret of a span of several lines goes to the end of that line."""
    line = line_of(source, span.line)
    start = min(max(span.column - 1, 0), len(line))
    end = min(span.end_column - 1, len(line)) if span.end_line == span.line else len(line.rstrip())
    end = max(end, start)
    # Only what can come into the window is measured, so that a line of a megabyte costs what a short one does.
    first = max(0, start - WINDOW_COLUMNS)
    last = min(len(line), start + WINDOW_COLUMNS)
    cells = _cells(line[first:last])
    before = sum(width for _, width in cells[: start - first])
    total = sum(width for _, width in cells)
    covered = sum(width for _, width in cells[start - first : end - first])
    if first == 0 and last == len(line) and total <= WINDOW_COLUMNS:
        return Excerpt(span.file, span.line, "".join(text for text, _ in cells), before, max(1, covered))
    return _windowed(span, cells, start - first, covered, first > 0)


def _windowed(span: Span, cells: list[tuple[str, int]], caret: int, covered: int, cut_left: bool) -> Excerpt:
    left = caret
    room = WINDOW_COLUMNS - min(covered, WINDOW_COLUMNS // 2)
    before = 0
    while left > 0 and before + cells[left - 1][1] <= room * 2 // 3:
        left -= 1
        before += cells[left][1]
    right, after = caret, 0
    while right < len(cells) and before + after + cells[right][1] <= WINDOW_COLUMNS:
        after += cells[right][1]
        right += 1
    head = _CUT if left > 0 or cut_left else ""
    tail = _CUT if right < len(cells) or len(cells) - caret >= WINDOW_COLUMNS else ""
    text = head + "".join(text for text, _ in cells[left:right]) + tail
    return Excerpt(span.file, span.line, text, before + len(head), max(1, min(covered, after)))


def line_of(source: str, number: int) -> str:
    """Line `number` (from 1) without its end; "" beyond the last."""
    start = 0
    for _ in range(number - 1):
        start = source.find("\n", start) + 1
        if start == 0:
            return ""
    end = source.find("\n", start)
    return source[start : len(source) if end < 0 else end].removesuffix("\r")


def clean(text: str) -> str:
    """Text for a terminal: everything but newlines that is not to be seen is replaced by something that is."""
    if text.isprintable():
        return text
    return "".join(character if character == "\n" else _cell(character)[0] for character in text)


def _cells(text: str) -> list[tuple[str, int]]:
    """Each character as (what is shown, its columns); a tab reaches to the next stop."""
    cells: list[tuple[str, int]] = []
    column = 0
    for character in text:
        if character == "\t":
            width = TAB_COLUMNS - column % TAB_COLUMNS
            cells.append((" " * width, width))
        else:
            cells.append(_cell(character))
            width = cells[-1][1]
        column += width
    return cells


def _cell(character: str) -> tuple[str, int]:
    if " " <= character <= "~":
        return character, 1
    if character < " ":
        return chr(0x2400 + ord(character)), 1
    if character == "\x7f":
        return "\u2421", 1
    category = unicodedata.category(character)
    if category in ("Mn", "Me"):
        return character, 0
    if category[0] == "C" or category in ("Zl", "Zp"):
        return "\ufffd", 1
    width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return (" " * width if category == "Zs" else character), width
