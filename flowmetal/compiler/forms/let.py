"""`let`: names for values, patterns included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.destructure import bind_pattern, split_bindings
from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Binding, FnNode, Let, Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.watch import is_written
from flowmetal.values import Symbol

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_let(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(let [pattern value ...] body ...)`; a contract may stand between pattern and value."""
    pairs = split_bindings(analyzer, items[1]) if len(items) > 1 else None
    if pairs is None:
        return malformed(analyzer, "let")
    span = analyzer.span
    bindings: list[tuple[Binding, Node]] = []
    for pattern, contract, value in pairs:
        node = analyzer.analyze(value, scope)
        # Each name is seen by what comes after it, and not by its own value.
        scope = scope.child()
        bind_pattern(analyzer, scope, pattern, node, bindings, contract=contract)
        if pattern.__class__ is Symbol and contract is None and is_written(pattern) and bindings:
            analyzer.values[bindings[-1][0]] = (node, analyzer.branches)
        if isinstance(node, FnNode) and bindings and bindings[-1][1] is node:
            analyzer.functions[bindings[-1][0]] = node
    body = analyzer.body(items[2:], scope, target)
    return Let(span, bindings, body) if bindings else body
