"""`if`: chooses by nil and false."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Const, If, Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.watch import WRITTEN, constant_test, is_written

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_if(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(if test then else?)`"""
    if not 3 <= len(items) <= 4:
        return malformed(analyzer, "if")
    span = analyzer.span
    if analyzer.origin == WRITTEN and is_written(analyzer.form):
        constant_test(analyzer, "if", items[1], analyzer.form)
    test = analyzer.analyze(items[1], scope)
    around = analyzer.branches
    analyzer.branches = analyzer.count_branch()
    then = analyzer.analyze(items[2], scope, target)
    analyzer.branches = analyzer.count_branch()
    otherwise = analyzer.analyze(items[3], scope, target) if len(items) == 4 else Const(span, None)
    analyzer.branches = around
    return If(span, test, then, otherwise)
