"""Forms that stand where they cannot: a definition inside an expression, a `catch` outside `try`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.nodes import Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.values import Symbol

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_definition(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """Definitions are made when the module is compiled, so a function cannot make one."""
    if len(items) > 1 and items[1].__class__ is Symbol:
        analyzer.names.missing_names.add(str(items[1]))  # what it was to define is not reported as well
    return analyzer.error("A112", name=str(items[0]))


def analyze_part(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`catch` and `finally` are parts of `try`, after its body."""
    return analyzer.error("A113", name=str(items[0]))
