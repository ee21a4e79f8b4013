"""The exceptions that carry diagnostics: FlowmetalError for one, CompileFailed for all of a compilation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.diagnostics.diagnostic import Diagnostic, Label
from flowmetal.diagnostics.span import Span


class FlowmetalError(Exception):
    """Base of the errors that people meet: `raise FlowmetalError("S101", path=path)`.

    `code` must be in the catalogue and the facts those its templates name.  `span` and `labels` point at source
    text where there is some.  str() gives the title and the sentence.
    """

    diagnostic: Diagnostic

    def __init__(self, code: str, /, span: Span | None = None, *, labels: Iterable[Label] = (), **facts: Any) -> None:
        super().__init__(code)
        self.diagnostic = Diagnostic(code, span, facts, tuple(labels))

    @property
    def code(self) -> str:
        """The code of the catalogue."""
        return self.diagnostic.code

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of this case."""
        return dict(self.diagnostic.facts)

    def __str__(self) -> str:
        return f"{self.diagnostic.title}: {self.diagnostic.text}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with `args` alone and lose the facts on the way to another process.
        return (_rebuild, (type(self), self.diagnostic))


class CompileFailed(Exception):
    """A compilation ended with errors; `diagnostics` has all of them in order of place.

    What a compilation warns of stands on its modules, once there are no errors that it could come of.
    """

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        errors = [diagnostic for diagnostic in self.diagnostics if diagnostic.level == "error"]
        first = str(errors[0]) if errors else "no diagnostics"
        return first if len(errors) < 2 else f"{first} (and {len(errors) - 1} more)"


def _rebuild(kind: type[FlowmetalError], diagnostic: Diagnostic) -> FlowmetalError:
    error = kind.__new__(kind, diagnostic.code)
    error.diagnostic = diagnostic
    return error
