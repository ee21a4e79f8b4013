"""`loop` and `recur`: turns of a loop, or of a function, in constant space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.destructure import bind_pattern, split_bindings
from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Binding, Const, Let, Loop, Node, Recur, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.values import Symbol

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_loop(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(loop [pattern value ...] body ...)`; patterns are taken apart anew in every turn."""
    pairs = split_bindings(analyzer, items[1]) if len(items) > 1 else None
    if pairs is None:
        return malformed(analyzer, "loop")
    span = analyzer.span
    own = Target([])
    initial: list[Node] = []
    apart: list[tuple[Any, Any, Binding]] = []
    early: list[tuple[Binding, Node]] = []
    for pattern, contract, value in pairs:
        # A first value may use the names before it; what a pattern binds is taken apart for it, and again in the body.
        node = analyzer.analyze(value, scope)
        initial.append(Let(span, list(early), node) if early and type(node) is not Const else node)
        scope = scope.child()
        if pattern.__class__ is Symbol and contract is None:
            own.bindings.append(analyzer.bind(scope, pattern.name, analyzer.span_at(pattern)))
            analyzer.watch.bound(analyzer, own.bindings[-1], pattern)
            continue
        binding = analyzer.hidden(scope, "turn")
        own.bindings.append(binding)
        apart.append((pattern, contract, binding))
        bind_pattern(analyzer, scope, pattern, analyzer.read(scope, binding), early)
    inner: list[tuple[Binding, Node]] = []
    for pattern, contract, binding in apart:
        scope = scope.child()
        bind_pattern(analyzer, scope, pattern, analyzer.read(scope, binding), inner, contract=contract)
    body = analyzer.body(items[2:], scope, own)
    return Loop(span, own, initial, Let(span, inner, body) if inner else body)


def analyze_recur(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(recur value ...)`"""
    if target is None:
        return analyzer.error("A115")
    count = len(items) - 1
    if count != len(target.bindings):
        return analyzer.error("A116", count=_values(count), wanted=_values(len(target.bindings)))
    target.used = True
    return Recur(analyzer.span, target, analyzer.arguments(items[1:], scope))


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
