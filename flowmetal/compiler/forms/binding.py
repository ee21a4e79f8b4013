"""`binding`: gives dynamic names other values while a body runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.forms.function import thunk
from flowmetal.compiler.names import Target as Global
from flowmetal.compiler.nodes import Collection, Const, Node, RegionNode, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import items_of
from flowmetal.values import Symbol, Vector

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

_BIND = 4


def analyze_binding(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(binding [*name* value ...] body ...)`; the values are evaluated before any of them holds."""
    if len(items) < 2 or items[1].__class__ is not Vector or len(items[1]) % 2:
        return malformed(analyzer, "binding")
    pairs = items_of(items[1])
    parts: list[Node] = []
    for name, value in zip(pairs[::2], pairs[1::2], strict=True):
        symbol = _dynamic(analyzer, name, scope)
        parts.append(Const(analyzer.span, symbol))
        parts.append(analyzer.analyze(value, scope))
    data = Collection(analyzer.span, "map", parts)
    return RegionNode(analyzer.span, _BIND, data, thunk(analyzer, items[2:], scope))


def _dynamic(analyzer: Analyzer, name: Any, scope: Scope) -> Symbol | None:
    span = analyzer.span_at(name)
    if name.__class__ is not Symbol:
        malformed(analyzer, "binding", name)
        return None
    found = analyzer.names.resolve(name)
    if not isinstance(found, Global):
        analyzer.error("A101", span=span, name=str(name), suggestion=analyzer.names.suggestion(name, ()))
        return None
    if not found.definition.dynamic:
        analyzer.error("A114", span=span, name=str(name))
    return Symbol(found.module, found.definition.name)
