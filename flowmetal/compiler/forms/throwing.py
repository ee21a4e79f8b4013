"""`throw`: leaves by an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.nodes import Node, Target, Throw
from flowmetal.compiler.scopes import Scope

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_throw(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(throw error)`"""
    if len(items) != 2:
        return malformed(analyzer, "throw")
    return Throw(analyzer.span, analyzer.analyze(items[1], scope))
