"""Puts brackets right: from tokens whose brackets do not match to tokens whose brackets do, with the errors found.

Used only when a file has such an error, on all its tokens at once.  The aim is one report for one slip and forms
that are as near as can be to what was meant:

- a closing bracket that fits one further out closes those in between (their closers are missing);
- one that fits none is taken for a wrong one of the innermost; with none open it is dropped;
- a form that opens in the first column ends the form before it, but only where that one would otherwise not end well:
  `(comment` over several definitions stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.compiler.reader.lexer import CLOSER, made_token
from flowmetal.diagnostics import Label, Span
from flowmetal.reading.bad import Bad

CLOSE_TYPES = {")": "CLOSE_LIST", "]": "CLOSE_VECTOR", "}": "CLOSE_MAP"}
OPEN_TYPES = frozenset({"LIST", "VECTOR", "MAP", "SET", "FUNCTION", "NAMESPACED"})
CLOSING = frozenset(CLOSE_TYPES.values())

Report = Callable[[Bad, Span, tuple[Label, ...]], None]


def repaired(tokens: list[Any], file: str, report: Report, ends_in_string: bool) -> list[Any]:
    """Tokens with balanced brackets.  `report` gets every error; it may raise to end the reading.

    `ends_in_string`: the text ends inside a string, which explains brackets that are open at the end.
    """
    repair = _Repair(tokens, file, report)
    position = 0
    while position < len(tokens):
        position = repair.top_level_form(position, ends_in_string)
    return repair.output


class _Repair:
    def __init__(self, tokens: list[Any], file: str, report: Report) -> None:
        self.tokens = tokens
        self.file = file
        self.report = report
        self.output: list[Any] = []
        #: Wrong closing brackets that may have ended a form early: as many that are then too many are no errors.
        self.forgive = 0

    def top_level_form(self, position: int, ends_in_string: bool) -> int:
        """Copies one form from `position` on, repaired; returns the position after it."""
        begin = len(self.output)
        open_: list[Any] = []
        # Where a form opens in the first column although another is open: (position, output length, open brackets).
        suspect: tuple[int, int, list[Any]] | None = None
        while position < len(self.tokens):
            token = self.tokens[position]
            if token.type in OPEN_TYPES:
                if token.value[2] == 1:
                    self.forgive = 0
                if open_ and suspect is None and token.value[2] == 1:
                    suspect = (position, len(self.output), list(open_))
                open_.append(token)
            elif token.type in CLOSING:
                if suspect is not None and _closer(open_[-1]) != token.value[0]:
                    return self._cut(suspect)
                self._close(token, open_)
                if not open_:
                    return position + 1
                position += 1
                continue
            self.output.append(token)
            position += 1
            if not open_ and len(self.output) > begin:
                return position
        if open_ and suspect is not None:
            return self._cut(suspect)
        if open_:
            if not ends_in_string:
                self._unclosed(open_, None)
            self._close_all(open_, None)
        return position

    def _close(self, token: Any, open_: list[Any]) -> None:
        """A closing bracket, with whatever of its kind it closes."""
        found = token.value[0]
        if not open_:
            if not self.forgive:
                self.report(Bad("R003", found=found), self._place(token), ())
            self.forgive = max(0, self.forgive - 1)
            return
        innermost = open_[-1]
        closer = _closer(innermost)
        if closer == found:
            open_.pop()
            self.output.append(token)
            return
        self.forgive += 1
        opened = Label(self._place(innermost), f"this `{innermost.value[0]}` is open")
        self.report(Bad("R002", found=found, bracket=_shown(innermost), closer=closer), self._place(token), (opened,))
        fits = next((index for index in range(len(open_) - 1, -1, -1) if _closer(open_[index]) == found), None)
        if fits is None:
            self.output.append(_closing(open_.pop(), *token.value[1:]))
            return
        while len(open_) > fits:
            self.output.append(_closing(open_.pop(), *token.value[1:]))

    def _cut(self, suspect: tuple[int, int, list[Any]]) -> int:
        position, length, open_ = suspect
        del self.output[length:]
        self._unclosed(open_, self.tokens[position])
        self._close_all(open_, self.tokens[position])
        return position

    def _unclosed(self, open_: list[Any], following: Any) -> None:
        innermost = open_[-1]
        labels = []
        if len(open_) > 1:
            labels.append(Label(self._place(open_[0]), "nor is this one"))
        if following is not None:
            labels.append(Label(self._place(following), "the next definition seems to start here"))
        count = len(open_) if len(open_) > 1 else None
        bad = Bad("R001", bracket=_shown(innermost), closer=_closer(innermost), count=count)
        self.report(bad, self._place(innermost), tuple(labels))

    def _close_all(self, open_: list[Any], following: Any) -> None:
        line, column = following.value[1:] if following is not None else _end_of(self.tokens[-1])
        while open_:
            self.output.append(_closing(open_.pop(), line, column))

    def _place(self, token: Any) -> Span:
        text, line, column = token.value
        return Span(self.file, line, column, line, column + len(text.split("\n")[0]))


def _closer(token: Any) -> str:
    return CLOSER.get(token.value[0], "}")


def _shown(token: Any) -> str:
    text: str = token.value[0]
    return text if text in CLOSER else "".join(text.split())[:40]


def _closing(opening: Any, line: int, column: int) -> Any:
    """A closing bracket for `opening`, at a place."""
    closer = _closer(opening)
    return made_token(CLOSE_TYPES[closer], (closer, line, column))


def _end_of(token: Any) -> tuple[int, int]:
    """Line and column behind a token."""
    if token.type in ("ATOM", "ARGUMENT"):
        form, span = token.value
        span = span if span is not None else form.meta
        return span.end_line, span.end_column
    text, line, column = token.value
    return line, column + len(text.partition("\n")[0])
