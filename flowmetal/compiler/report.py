"""Reporter: gathers the diagnostics of one compilation."""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import Diagnostic, Label, Span

#: More errors than this are not gathered (nor warnings): they come from one cause, or from bytes that are no source.
ERRORS_MAX = 100


class Reporter:
    """Diagnostics in the order they were found; one place is reported once for one code.

    `errors` counts all of them, those not gathered included, so that it tells whether a form had any.
    """

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0
        self.warnings: list[Diagnostic] = []  # of no interest where there are errors: they may come of those
        self._unread: set[Span | None] = set()
        self._seen: set[tuple[str, Span | None, str]] = set()

    def add(self, diagnostic: Diagnostic) -> None:
        """Takes a diagnostic made elsewhere."""
        if diagnostic.level == "error":
            self.errors += 1
        key = (diagnostic.code, diagnostic.span, str(diagnostic.facts.get("name", "")))
        if diagnostic.code.startswith("R"):
            self._unread.add(diagnostic.span)
        elif diagnostic.span in self._unread:
            return  # the reader has said what is wrong here
        if key in self._seen or len(self.diagnostics) >= ERRORS_MAX:
            return
        self._seen.add(key)
        self.diagnostics.append(diagnostic)

    def error(self, code: str, span: Span | None, *, labels: tuple[Label, ...] = (), **facts: Any) -> None:
        """Reports an error of the catalogue."""
        self.add(Diagnostic(code, span, facts, labels))

    def warn(self, code: str, span: Span | None, *, labels: tuple[Label, ...] = (), **facts: Any) -> None:
        """Reports a warning of the catalogue, once a place."""
        key = (code, span, str(facts.get("name", "")))
        if key not in self._seen and len(self.warnings) < ERRORS_MAX:
            self._seen.add(key)
            self.warnings.append(Diagnostic(code, span, facts, labels, "warning"))

    def drop(self, code: str) -> None:
        """Forgets the diagnostics of a code."""
        self.diagnostics = [diagnostic for diagnostic in self.diagnostics if diagnostic.code != code]
        self.errors = sum(diagnostic.level == "error" for diagnostic in self.diagnostics)

    def in_order(self) -> list[Diagnostic]:
        """All errors by place."""
        return sorted(self.diagnostics, key=place_of)


def place_of(diagnostic: Diagnostic) -> tuple[str, int, int]:
    """What diagnostics are put in order by."""
    span = diagnostic.span
    return (span.file, span.line, span.column) if span is not None else ("", 0, 0)
