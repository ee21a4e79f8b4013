"""`try`: a body, clauses for its errors, and what runs in any case.

A clause takes errors of a kind, of a set of kinds, those a predicate holds of, or (`_`) all of them; a cancellation
is taken only by a clause that names its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Binding, Catch, Const, If, Node, Target, Try
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, is_symbol, items_of
from flowmetal.values import Keyword, List, Set, Symbol, iterate

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_try(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(try body ... (catch kind name body ...) ... (finally body ...)?)`"""
    span = analyzer.span
    body: list[Any] = []
    clauses: list[tuple[Any, list[Any]]] = []
    final: list[Any] | None = None
    for form in items[1:]:
        parts = items_of(form) if is_list(form) else []
        part = parts[0].name if parts and parts[0].__class__ is Symbol and parts[0].namespace is None else ""
        if part == "catch":
            clauses.append((form, parts))
        if part == "finally" and final is None:
            final = parts[1:]
        elif part != "catch" and (clauses or final is not None):
            return malformed(analyzer, "try", form)
        elif part != "catch":
            body.append(form)
        elif final is not None:
            return malformed(analyzer, "try", form)
    if not clauses and final is None:
        return analyzer.body(body, scope, target)
    # A `recur` out of the body would leave its handlers; out of a clause it leaves nothing, unless `finally` follows.
    node = Try(span, analyzer.body(body, scope, None), [], None)
    for form, parts in clauses:
        clause = _clause(analyzer, form, parts, scope, target if final is None else None)
        if clause is not None:
            node.clauses.append(clause)
    if final is not None:
        node.final = analyzer.body(final, scope, None)
    return node


def _clause(analyzer: Analyzer, form: Any, parts: list[Any], scope: Scope, target: Target | None) -> Catch | None:
    before = analyzer.span
    analyzer.span = analyzer.span_at(form)
    try:
        if len(parts) < 3 or parts[2].__class__ is not Symbol or parts[2].namespace is not None:
            malformed(analyzer, "catch")
            return None
        inner = scope.child()
        binding = analyzer.bind(inner, parts[2].name, analyzer.span_at(parts[2]))
        test = _test(analyzer, parts[1], scope, binding)
        return Catch(binding, test, analyzer.body(parts[3:], inner, target))
    finally:
        analyzer.span = before


def _test(analyzer: Analyzer, kind: Any, scope: Scope, binding: Binding) -> Node:
    span = analyzer.span
    error = analyzer.read(scope, binding)
    if is_symbol(kind, "_"):
        return analyzer.builtin("catches", error, Const(span, None))
    if kind.__class__ is Keyword or (
        kind.__class__ is Set and all(item.__class__ is Keyword for item in iterate(kind))
    ):
        value = Set.of(iterate(kind)) if kind.__class__ is Set else kind
        return analyzer.builtin("catches", error, Const(span, value))
    if kind is None or kind.__class__ in (bool, int, str, float):
        return malformed(analyzer, "catch")
    tested = scope.child()
    local = Symbol(None, analyzer.gensym("error"))
    tested.add(local.name, binding)
    held = analyzer.analyze(List.of([kind, local]), tested)
    return If(span, analyzer.builtin("catches", error, Const(span, None)), held, Const(span, False))
