"""`handle`: answers effects of a body inside the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.forms.function import Parameters, Signature, function_node, thunk
from flowmetal.compiler.names import Target as Global
from flowmetal.compiler.nodes import Collection, Const, Node, RegionNode, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.compiler.watch import MACRO
from flowmetal.values import Keyword, Symbol, Vector, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

_HANDLE = 1

#: Parameters of a clause of `:default`: effect, payload, options, resume.
_DEFAULT_PARAMETERS = 4


def analyze_handle(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(handle body (effect [parameter ... resume] body ...) ...)`

    A clause is a function of the payload and of `resume`; with several parameters before `resume` the payload is a
    vector of that many.  The clause of `:default`, a function of effect, payload, options and `resume`, takes every
    effect that no other clause names; it stands under nil, which names no effect.
    """
    if len(items) < 2:
        return malformed(analyzer, "handle")
    span = analyzer.span
    handled: dict[str | None, Any] = {}
    parts: list[Node] = []
    for form in items[2:]:
        clause = items_of(form) if is_list(form) else []
        if len(clause) < 2 or clause[1].__class__ is not Vector or not len(clause[1]):
            return malformed(analyzer, "handle", form)
        analyzer.span = analyzer.span_at(form)
        effect = effect_name(analyzer, clause[0])
        if effect == "default":
            if len(clause[1]) != _DEFAULT_PARAMETERS:
                return malformed(analyzer, "handle", form)
            if None in handled:
                analyzer.error("A124", name=effect)
            handled[None] = form
            parts += (Const(span, None), _clause(analyzer, clause, scope, any_effect=True))
        elif effect is not None:
            if effect in handled:
                analyzer.error("A124", name=effect)
            handled[effect] = form
            analyzer.watch.handled.add(effect)
            parts += (Const(span, keyword(effect)), _clause(analyzer, clause, scope))
        analyzer.span = span
    data = Collection(span, "map", parts)
    # What a default clause answers, and what it performs in its turn, only a run shows: none is taken away.
    answered = tuple(sorted(effect for effect in handled if effect is not None))
    return RegionNode(span, _HANDLE, data, thunk(analyzer, [items[1]], scope), answered)


def effect_name(analyzer: Analyzer, form: Any) -> str | None:
    """The effect that a clause answers; None after an error."""
    if form.__class__ is Keyword:
        return form.text
    span = analyzer.span_at(form)
    if form.__class__ is not Symbol:
        malformed(analyzer, "handle", form)
        return None
    found = analyzer.names.resolve(form)
    if isinstance(found, Global) and found.definition.effect is not None:
        return found.definition.effect
    suggestion = analyzer.names.suggestion(form, ())
    if isinstance(found, Global):
        analyzer.error("A125", span=span, name=str(form))
    else:
        analyzer.error("A101", span=span, name=str(form), suggestion=suggestion)
    return None


def _clause(analyzer: Analyzer, clause: list[Any], scope: Scope, any_effect: bool = False) -> Node:
    written = items_of(clause[1])
    resume, before = written[-1], written[:-1]
    payload: Any
    if any_effect:
        return _function(analyzer, written, clause[2:], scope)
    if not before:
        payload = Symbol(None, analyzer.gensym("payload"))
    elif len(before) == 1:
        payload = before[0]
    else:
        payload = Vector.of(before)
    return _function(analyzer, [payload, resume], clause[2:], scope)


def _function(analyzer: Analyzer, names: list[Any], body: list[Any], scope: Scope) -> Node:
    origin, analyzer.origin = analyzer.origin, MACRO  # a clause takes what the effect has, used or not
    function = analyzer.function_scope(scope, "")
    parameters = Parameters(names, [None] * len(names))
    node = function_node(analyzer, Scope(function, scope), [Signature(parameters, None, body)])
    node.arities[0].parameters[-1].resumes = True
    analyzer.origin = origin
    return node
