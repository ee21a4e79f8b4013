"""Where forms stand: the span of a collection also knows the spans of its children.

A collection or symbol carries its span in its metadata slot.  Numbers, strings, keywords and the other simple values
have no such slot; the span of the collection they were written in has theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmetal.diagnostics import Span
from flowmetal.values import List, Map, Set, Vector, span_of


class FormSpan(Span):
    """The span of a collection of which at least one child has no slot for a span of its own.

    `children` has one entry a child, in the order of the source text; a map has two for every entry, key and value.
    None: the child has its span itself, or none.  `written` is the children themselves for maps and sets too large
    to keep the written order, else None.
    """

    children: tuple[Span | None, ...]
    written: tuple[Any, ...] | None


def child_span(form: Any, index: int) -> Span | None:
    """The span of child `index` of a form, in the order of `children_of`; None where it is not known."""
    span = span_of(form)
    if isinstance(span, FormSpan) and index < len(span.children) and span.children[index] is not None:
        return span.children[index]
    for position, child in enumerate(children_of(form)):
        if position == index:
            found = span_of(child)
            return found if isinstance(found, Span) else None
    return None


def spanned_children(form: Any) -> Iterator[tuple[Any, Span | None]]:
    """The children of a form in the order of the source text, each with its span where that is known."""
    span = span_of(form)
    spans = span.children if isinstance(span, FormSpan) else ()
    for index, child in enumerate(children_of(form)):
        own = spans[index] if index < len(spans) else None
        if own is None:
            found = span_of(child)
            own = found if isinstance(found, Span) else None
        yield child, own


def children_of(form: Any) -> Iterator[Any]:
    """The items of a list, vector or set, and the keys and values of a map by turns, in the order they were written.

    Of maps and sets that were not read but made by macros: in the order of iteration.  Other values have none.
    """
    if isinstance(form, (List, Vector)):
        yield from form
        return
    span = span_of(form)
    if isinstance(span, FormSpan) and span.written is not None:
        yield from span.written
    elif isinstance(form, Map):
        for key, value in form.items():
            yield key
            yield value
    elif isinstance(form, Set):
        yield from form
