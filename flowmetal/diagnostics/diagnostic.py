"""Diagnostic: one thing that is wrong, as facts.  Its words come from the catalogue, its looks from rendering.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics.span import Span

if TYPE_CHECKING:
    from flowmetal.diagnostics import catalogue
else:
    catalogue = lazily.module("flowmetal.diagnostics.catalogue")  # most commands end without an error


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that belongs to a diagnostic, with a few words: "opened here", "first defined here"."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error or warning: a code of the catalogue, where it is, and the facts its templates name.

    `level` is "error" or "warning".  Facts are plain values; anything else is shown by str().
    """

    code: str
    span: Span | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    level: str = "error"

    @property
    def title(self) -> str:
        """Two or three words, lower case."""
        return catalogue.entry_of(self.code).title

    @property
    def text(self) -> str:
        """The sentence that says what is wrong."""
        return catalogue.fill(catalogue.entry_of(self.code).text, self.facts)

    @property
    def hint(self) -> str:
        """What can be done about it; "" where there is no hint for these facts."""
        return catalogue.fill_hint(catalogue.entry_of(self.code).hint, self.facts)

    def __str__(self) -> str:
        place = f"{self.span}: " if self.span is not None else ""
        return f"{place}{self.title}: {self.text} [{self.code}]"
