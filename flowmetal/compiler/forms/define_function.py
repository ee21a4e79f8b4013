"""`defn` and `defn-`: named functions of the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import Global
from flowmetal.compiler.contracts import contract_value
from flowmetal.compiler.forms.define import declare, qualified, take_documentation, unit_scope
from flowmetal.compiler.forms.form import Definition, malformed
from flowmetal.compiler.forms.function import Signature, function_node, read_signatures
from flowmetal.compiler.nodes import FunctionScope
from flowmetal.compiler.reader import child_span
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.watch import is_written
from flowmetal.values import Vector

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def define_function(analyzer: Analyzer, items: list[Any], scope: Scope) -> Definition | None:
    """`(defn name "doc"? {attribute value ...}? [parameter ...] body ...)`, or several arities in parentheses"""
    return _define(analyzer, items, scope, private=False)


def define_private(analyzer: Analyzer, items: list[Any], scope: Scope) -> Definition | None:
    """`(defn- ...)`: as `defn`, for this module only."""
    return _define(analyzer, items, scope, private=True)


def _define(analyzer: Analyzer, items: list[Any], scope: Scope, private: bool) -> Definition | None:
    if len(items) < 3:
        malformed(analyzer, "defn")
        return None
    definition = declare(analyzer, "defn", items[1], private=private)
    if definition is None:
        return None
    forms = take_documentation(definition, items[2:])
    form = analyzer.form
    signatures = read_signatures(analyzer, forms, "defn")
    if signatures is None:
        return None
    if len(signatures) == 1 and len(signatures[0].body) > 1 and signatures[0].body[0].__class__ is str:
        if definition.doc is None and is_written(form):
            place = items.index(signatures[0].body[0]) if signatures[0].body[0] in items else 0
            analyzer.reporter.warn("W112", child_span(form, place), name=definition.name)
    return Definition(definition, named_function(analyzer, definition, signatures, scope))


def named_function(
    analyzer: Analyzer, definition: Global, signatures: list[Signature], scope: Scope, hidden: tuple[str, ...] = ()
) -> Any:
    """The node of a global's function.  Inside it the name means the global."""
    definition.parameters = tuple(signature.parameters.text() for signature in signatures)
    definition.contract = _contract(signatures)
    unit = unit_scope(analyzer, definition.name, scope)
    function = FunctionScope(unit.function, qualified(analyzer, definition.name))
    return function_node(analyzer, Scope(function, unit), signatures, definition.doc, hidden)


def _contract(signatures: list[Signature]) -> Any:
    """The contracts as a value: of one arity a map, of several a vector of maps, nil if there are none."""
    maps = [contract_value(signature.parameters.contracts, signature.result) for signature in signatures]
    if not any(
        signature.result is not None or any(contract is not None for contract in signature.parameters.contracts)
        for signature in signatures
    ):
        return None
    return maps[0] if len(maps) == 1 else Vector.of(maps)
