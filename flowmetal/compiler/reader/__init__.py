"""The reader: source text to forms, which are values of the language, each with its place.

read_source reads programs and finds every error of a file; read_data reads one value from text, as data.
"""

from flowmetal.compiler.reader.reading import ReadResult, read_source
from flowmetal.compiler.reader.source import is_placeholder
from flowmetal.compiler.reader.spans import FormSpan, child_span, children_of, spanned_children

__all__ = [
    "FormSpan",
    "ReadResult",
    "child_span",
    "children_of",
    "is_placeholder",
    "read_source",
    "spanned_children",
]
