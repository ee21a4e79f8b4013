"""What is wrong, where, and what can be done: facts with a code, the catalogue of words, and the renderer.

Every stage reports by value (Diagnostic) or raises FlowmetalError; only the command line and the server render.
This package knows no other package but the values.
"""

from flowmetal.diagnostics.catalogue import all_codes, entry_of, explain
from flowmetal.diagnostics.diagnostic import Diagnostic, Label
from flowmetal.diagnostics.entry import Entry
from flowmetal.diagnostics.errors import CompileFailed, FlowmetalError
from flowmetal.diagnostics.render import render, to_json
from flowmetal.diagnostics.span import Span
from flowmetal.diagnostics.suggest import suggest, suggestions

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
