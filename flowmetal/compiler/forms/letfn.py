"""`letfn`: local functions that know each other.

They share one layout of captures, the free variables of all of them; inside, a function makes its siblings from its own
closure.  So closures never refer to each other in a circle, and stay plain immutable values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.forms.function import function_node, read_signatures
from flowmetal.compiler.nodes import Binding, FunctionScope, Group, LetFn, Node, Target
from flowmetal.compiler.scopes import Scope, use
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.values import Symbol, Vector

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_letfn(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(letfn [(name [parameter ...] body ...) ...] body ...)`"""
    if len(items) < 2 or items[1].__class__ is not Vector:
        return malformed(analyzer, "letfn")
    span = analyzer.span
    scope = scope.child()
    group = Group()
    specs: list[tuple[Binding, list[Any], Any]] = []
    for form in items_of(items[1]):
        parts = items_of(form) if is_list(form) else []
        if not parts or parts[0].__class__ is not Symbol:
            return malformed(analyzer, "letfn", form)
        binding = analyzer.bind(scope, parts[0].name, analyzer.span_at(parts[0]))
        analyzer.watch.bound(analyzer, binding, parts[0])
        group.members[binding] = None
        specs.append((binding, parts, form))
    for binding, parts, form in specs:
        analyzer.span = analyzer.span_at(form)
        function = FunctionScope(
            scope.function, f"{scope.function.name}/{binding.name}", own=binding, group=group, captures=group.captures
        )
        signatures = read_signatures(analyzer, parts[1:], "letfn")
        if signatures is not None:
            group.members[binding] = made = function_node(analyzer, Scope(function, scope), signatures)
            analyzer.functions[binding] = made
    analyzer.span = span
    for captured in list(group.captures):
        use(scope.function, captured)
    return LetFn(span, group, analyzer.body(items[2:], scope, target))
