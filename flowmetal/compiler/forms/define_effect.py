"""`defeffect`: a function that performs an effect, typed and documented.

Its arguments are the payload: none nil, one itself, several a vector.  What follows them are options of the request, as
names and values or as one map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.define import declare, take_documentation
from flowmetal.compiler.forms.define_function import named_function
from flowmetal.compiler.forms.form import Definition, is_ascription, malformed
from flowmetal.compiler.forms.function import Parameters, Signature, read_parameters
from flowmetal.compiler.names import CORE, is_core
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import text_of
from flowmetal.values import List, Symbol, Vector, keyword, with_span

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def define_effect(analyzer: Analyzer, items: list[Any], scope: Scope) -> Definition | None:
    """`(defeffect name "doc"? [parameter ...] :- contract?)`"""
    if len(items) < 3 or items[1].__class__ is not Symbol:
        malformed(analyzer, "defeffect")
        return None
    effect, symbol = _names(analyzer, items[1])
    definition = declare(analyzer, "defeffect", symbol)
    if definition is None:
        return None
    forms = take_documentation(definition, items[2:])
    if not forms or forms[0].__class__ is not Vector or (len(forms) > 1 and not is_ascription(forms[1])):
        malformed(analyzer, "defeffect")
        return None
    if len(forms) not in (1, 3):
        malformed(analyzer, "defeffect")
        return None
    definition.effect = effect
    result = forms[2] if len(forms) == 3 else None
    parameters = read_parameters(analyzer, forms[0])
    if parameters.has_rest or any(pattern.__class__ is not Symbol for pattern in parameters.patterns):
        analyzer.error("A130", span=analyzer.span_at(forms[0]), name=effect)
        return None
    node = named_function(analyzer, definition, _signatures(analyzer, effect, parameters, result), scope)
    definition.parameters = (_text(parameters),)
    if definition.contract is not None:
        definition.contract = definition.contract.get(0)
    return Definition(definition, node)


def _names(analyzer: Analyzer, symbol: Symbol) -> tuple[str, Symbol]:
    """The effect's name and the symbol of its global."""
    module = analyzer.names.module.name
    span = analyzer.span_at(symbol)
    if symbol.namespace is None:
        return symbol.name if is_core(module) else f"{module}/{symbol.name}", symbol
    text = f"{symbol.namespace}/{symbol.name}"
    name = symbol.name if symbol.namespace == module else text
    return text, with_span(Symbol(None, name), span)


def _signatures(analyzer: Analyzer, effect: str, parameters: Parameters, result: Any) -> list[Signature]:
    names = list(parameters.patterns)
    payload: Any = None
    if len(names) == 1:
        payload = names[0]
    elif names:
        payload = Vector.of(names)
    options = Symbol(None, analyzer.gensym("options"))
    with_options = Parameters(parameters.patterns, parameters.contracts, options, True)
    taken = List.of([Symbol(CORE, "%destructure-map"), options])
    return [
        Signature(parameters, result, [_perform(effect, payload, None)]),
        Signature(with_options, result, [_perform(effect, payload, taken)]),
    ]


def _perform(effect: str, payload: Any, options: Any) -> Any:
    return List.of([Symbol(CORE, "%perform"), keyword(effect), payload, options])


def _text(parameters: Parameters) -> str:
    return f"[{' '.join([*(text_of(pattern) for pattern in parameters.patterns), '& options'])}]"
