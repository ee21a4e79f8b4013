"""`do`: forms in order, the value of the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.nodes import Node, Target
from flowmetal.compiler.scopes import Scope

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def analyze_do(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(do form ...)`"""
    return analyzer.body(items[1:], scope, target)
