"""What is wrong, where, and what can be done: facts with a code, the catalogue of words, and the renderer.

Every stage reports by value (Diagnostic) or raises FlowmetalError; only the command line and the server render.
This package knows no other package but the values.  The catalogue and the renderer are loaded by the first error.
"""

from typing import TYPE_CHECKING

from flowmetal.diagnostics.diagnostic import Diagnostic, Label
from flowmetal.diagnostics.errors import CompileFailed, FlowmetalError
from flowmetal.diagnostics.span import Span
from flowmetal.diagnostics.suggest import suggest, suggestions
from flowmetal.lazily import names_of

if TYPE_CHECKING:
    from flowmetal.diagnostics.catalogue import all_codes, entry_of, explain
    from flowmetal.diagnostics.entry import Entry
    from flowmetal.diagnostics.rendering import render, to_json

__all__ = [
    "CompileFailed",
    "Diagnostic",
    "Entry",
    "FlowmetalError",
    "Label",
    "Span",
    "all_codes",
    "entry_of",
    "explain",
    "render",
    "suggest",
    "suggestions",
    "to_json",
]

_WHERE = {
    "Entry": "flowmetal.diagnostics.entry",
    "all_codes": "flowmetal.diagnostics.catalogue",
    "entry_of": "flowmetal.diagnostics.catalogue",
    "explain": "flowmetal.diagnostics.catalogue",
    "render": "flowmetal.diagnostics.rendering",
    "to_json": "flowmetal.diagnostics.rendering",
}

__getattr__, __dir__ = names_of(globals(), _WHERE)
