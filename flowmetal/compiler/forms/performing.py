"""`perform` and `request`: ask for an effect by name; wait for its answer, or get a promise of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.names import Target as Global
from flowmetal.compiler.nodes import Const, Node, Perform, Target
from flowmetal.compiler.reader import child_span
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.watch import is_written
from flowmetal.values import Keyword, Symbol, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_perform(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(perform effect payload? options?)`"""
    return _analyze(analyzer, "perform", items, scope)


def analyze_request(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(request effect payload? options?)`"""
    return _analyze(analyzer, "request", items, scope)


def _analyze(analyzer: Analyzer, name: str, items: list[Any], scope: Scope) -> Node:
    if not 2 <= len(items) <= 4:
        return malformed(analyzer, name)
    span = analyzer.span
    if items[1].__class__ is Keyword and is_written(analyzer.form):
        analyzer.watch.effects.append((items[1].text, child_span(analyzer.form, 1) or span))
    effect = effect_node(analyzer, items[1], scope)
    payload = analyzer.analyze(items[2], scope) if len(items) > 2 else Const(span, None)
    options = analyzer.analyze(items[3], scope) if len(items) > 3 else Const(span, None)
    return Perform(span, name, effect, payload, options)


def effect_node(analyzer: Analyzer, form: Any, scope: Scope) -> Node:
    """The effect a form names: the name of a `defeffect`, or any expression that gives a keyword."""
    if form.__class__ is Symbol and not (form.namespace is None and scope.find(form.name) is not None):
        found = analyzer.names.resolve(form)
        if isinstance(found, Global) and found.definition.effect is not None:
            return Const(analyzer.span_at(form), keyword(found.definition.effect))
    return analyzer.analyze(form, scope)
