"""The one place where diagnostics get their looks: text for people, a dictionary for programs.

    -- UNKNOWN NAME ------------------------------------------- orders.fm:12:4  [A101]

    12 |   (shcedule order 30)
       |    ^^^^^^^^ Nothing here is called `shcedule`.

    Did you mean `schedule`?

Source text is shown as it is but for what would move the cursor or hide text: that is replaced (see excerpt.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmetal.diagnostics.catalogue import wrapped
from flowmetal.diagnostics.diagnostic import Diagnostic, Label
from flowmetal.diagnostics.excerpt import Excerpt, clean, excerpt
from flowmetal.diagnostics.span import Span

#: Columns of the title line; columns up to which the sentence stands beside the caret.
TITLE_COLUMNS = 84
BESIDE_COLUMNS = 110

_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"

Sources = Mapping[str, str]


def render(diagnostic: Diagnostic, sources: Sources | None = None, color: bool = False) -> str:
    """One diagnostic as text that ends in a newline.

    `sources` maps a span's file to its text; a place whose text is not there is named without an excerpt.
    """
    paint = _Paint(color, diagnostic.level)
    blocks = [_title(diagnostic, paint)]
    text = clean(diagnostic.text)
    pieces = _pieces(diagnostic, sources or {})
    if pieces:
        drawn, beside = _drawn(pieces, text, paint)
        blocks.append(drawn)
        if not beside:
            blocks.append(wrapped(text))
    else:
        blocks.append(wrapped(text))
    unseen = [f"{clean(str(label.span))}: {clean(label.text)}" for label in _unseen(diagnostic, sources or {})]
    blocks += ["\n".join(unseen)] if unseen else []
    hint = clean(diagnostic.hint)
    blocks += [wrapped(hint)] if hint else []
    return "\n\n".join(blocks) + "\n"


def render_all(diagnostics: Iterable[Diagnostic], sources: Sources | None = None, color: bool = False) -> str:
    """Several, with an empty line between them."""
    return "\n".join(render(diagnostic, sources, color) for diagnostic in diagnostics)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """One diagnostic as JSON-like data: code, level, title, message, hint, place, facts, labels.

    `place` is None or {file, line, column, end_line, end_column}; facts that are not JSON are their str().
    """
    return {
        "code": diagnostic.code,
        "level": diagnostic.level,
        "title": diagnostic.title,
        "message": diagnostic.text,
        "hint": diagnostic.hint or None,
        "place": _place(diagnostic.span),
        "facts": {name: _plain(fact) for name, fact in diagnostic.facts.items()},
        "labels": [{"place": _place(label.span), "text": label.text} for label in diagnostic.labels],
    }


class _Paint:
    """Colours, or none."""

    def __init__(self, color: bool, level: str) -> None:
        self._color = color
        self._main = _RED if level == "error" else _YELLOW

    def title(self, text: str) -> str:
        return f"{_BOLD}{self._main}{text}{_PLAIN}" if self._color else text

    def main(self, text: str) -> str:
        return f"{self._main}{text}{_PLAIN}" if self._color else text

    def second(self, text: str) -> str:
        return f"{_BLUE}{text}{_PLAIN}" if self._color else text


def _title(diagnostic: Diagnostic, paint: _Paint) -> str:
    place = clean(str(diagnostic.span)) if diagnostic.span is not None else ""
    left = f"-- {clean(diagnostic.title).upper()} "
    right = f" {place}  [{diagnostic.code}]" if place else f" [{diagnostic.code}]"
    return paint.title(left + "-" * max(3, TITLE_COLUMNS - len(left) - len(right)) + right)


def _pieces(diagnostic: Diagnostic, sources: Sources) -> list[tuple[Excerpt, str | None]]:
    """Excerpts with their words (None: the main place), main file first, then by place."""
    main = diagnostic.span
    pieces: list[tuple[Excerpt, str | None]] = []
    if main is not None and main.file in sources:
        pieces.append((excerpt(main, sources[main.file]), None))
    for label in diagnostic.labels:
        if label.span.file in sources:
            pieces.append((excerpt(label.span, sources[label.span.file]), label.text))
    home = main.file if main is not None else ""
    pieces.sort(key=lambda piece: (piece[0].file != home, piece[0].file, piece[0].line, piece[0].column))
    return pieces


def _unseen(diagnostic: Diagnostic, sources: Sources) -> list[Label]:
    return [label for label in diagnostic.labels if label.span.file not in sources]


def _drawn(pieces: list[tuple[Excerpt, str | None]], text: str, paint: _Paint) -> tuple[str, bool]:
    """The excerpts as lines, and whether the sentence found room beside the caret."""
    margin = max(len(str(piece.line)) for piece, _ in pieces)
    lines: list[str] = []
    beside = False
    file, shown = pieces[0][0].file, ("", 0, "")
    for piece, words in pieces:
        if piece.file != file:
            file = piece.file
            lines.append(f"{' ' * margin} | {clean(file)}")
        # Two places of one line stand under one copy of it, unless the line was cut to different windows.
        if (piece.file, piece.line, piece.text) != shown:
            if lines and shown[0] == piece.file and piece.line > shown[1] + 1:
                lines.append(f"{' ' * margin} ...")
            shown = (piece.file, piece.line, piece.text)
            lines.append(f"{piece.line:>{margin}} | {piece.text}".rstrip())
        lead = f"{' ' * margin} | {' ' * piece.column}"
        if words is not None:
            lines.append(lead + paint.second("-" * piece.width + " " + clean(words)))
            continue
        if "\n" not in text and len(lead) + piece.width + 1 + len(text) <= BESIDE_COLUMNS:
            beside = True
            lines.append(lead + paint.main("^" * piece.width + " " + text))
        else:
            lines.append(lead + paint.main("^" * piece.width))
    return "\n".join(lines), beside


def _place(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _plain(fact: Any) -> Any:
    if fact is None or isinstance(fact, (str, bool, int, float)):
        return fact
    if isinstance(fact, (list, tuple)):
        return [_plain(item) for item in fact]
    return str(fact)
