"""`quote`: a form as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Const, Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import constant_of, depth_exceeds, is_list
from flowmetal.values import Map, Set, Symbol, Vector, iterate

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Nesting of quoted data; what is deeper belongs into a file that is read.
QUOTED_DEPTH_MAX = 1000


def analyze_quote(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(quote form)`"""
    if len(items) != 2:
        return malformed(analyzer, "quote")
    if depth_exceeds(items[1], QUOTED_DEPTH_MAX):
        return analyzer.error("A104", limit=QUOTED_DEPTH_MAX)
    _note_names(analyzer, items[1])
    return Const(analyzer.span, constant_of(items[1]))


def _note_names(analyzer: Analyzer, form: Any) -> None:
    """What a macro puts together of quoted symbols uses the names they mean."""
    pending = [form]
    while pending:
        current = pending.pop()
        if current.__class__ is Symbol:
            analyzer.names.resolve(current)
        elif current.__class__ is Map:
            pending.extend(part for pair in current.items() for part in pair)
        elif is_list(current) or current.__class__ in (Vector, Set):
            pending.extend(iterate(current))
