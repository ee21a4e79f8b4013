"""Contracts: ascriptions as checks.

A contract is a predicate, or a shape made of them: `{:id string?}` (a map with these keys), `[line?]` (a sequence
of), `[a? b?]` (a vector of just these), `(maybe c)`, `(enum v ...)`, `(or c ...)`, `(and c ...)`, a set of the values
allowed.  It becomes a form that is true or false; when it is false, `flowmetal.core/contract-failed` throws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import Reference
from flowmetal.compiler.names import CORE
from flowmetal.compiler.nodes import Binding, Call, Const, GlobalRead, If, Node
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import constant_of, is_list, is_symbol, items_of, text_of
from flowmetal.values import Keyword, List, Map, Set, Symbol, Vector, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

_SHAPES = ("maybe", "enum", "or", "and")


def check_node(analyzer: Analyzer, scope: Scope, name: str, value: Binding, contract: Any) -> Node:
    """A node that throws unless `value` keeps the contract; `name` is what messages call the value."""
    span = analyzer.span_at(contract)
    checked = scope.child()
    local = Symbol(None, analyzer.gensym("value"))
    checked.add(local.name, value)
    before, analyzer.span = analyzer.span, span
    test = analyzer.analyze(holds(analyzer, checked, contract, local), checked)
    analyzer.span = before
    place = f"{span.file}:{span.line}:{span.column}" if span is not None else ""
    arguments: list[Node] = [
        Const(span, name),
        analyzer.read(scope, value),
        Const(span, constant_of(contract)),
        Const(span, place),
    ]
    failed = Call(span, GlobalRead(span, Reference(CORE, "contract-failed")), arguments)
    return If(span, test, Const(span, None), failed)


def holds(analyzer: Analyzer, scope: Scope, contract: Any, value: Symbol) -> Any:
    """The form that says whether the local `value` keeps a contract."""
    kind = contract.__class__
    if kind is Map:
        return _map_holds(analyzer, scope, contract, value)
    if kind is Vector:
        return _vector_holds(analyzer, scope, items_of(contract), value)
    if kind is Set:
        return _call("contains?", contract, value)
    items = items_of(contract) if is_list(contract) else []
    if items and any(is_symbol(items[0], name) and scope.find(name) is None for name in _SHAPES):
        return _combined(analyzer, scope, items[0].name, items[1:], value)
    if kind is Symbol or kind is Keyword or items:
        return List.of([contract, value])
    analyzer.error("C101", contract=text_of(contract))
    return True


def _map_holds(analyzer: Analyzer, scope: Scope, contract: Any, value: Symbol) -> Any:
    form: Any = True
    for key, inner in reversed(list(contract.items())):
        local = Symbol(None, analyzer.gensym("entry"))
        test = _if(holds(analyzer, scope, inner, local), form)
        form = _let(local, _call("get", value, List.of([Symbol(None, "quote"), key])), test)
    return _if(_call("map?", value), form)


def _vector_holds(analyzer: Analyzer, scope: Scope, items: list[Any], value: Symbol) -> Any:
    if len(items) != 1:
        form: Any = True
        for index, inner in reversed(list(enumerate(items))):
            local = Symbol(None, analyzer.gensym("item"))
            form = _let(local, _call("nth", value, index, None), _if(holds(analyzer, scope, inner, local), form))
        counted = _if(_call("equal", _call("count", value), len(items)), form)
        return _if(_call("vector?", value), counted)
    seq, item = Symbol(None, analyzer.gensym("items")), Symbol(None, analyzer.gensym("item"))
    turn = _if(holds(analyzer, scope, items[0], item), List.of([Symbol(None, "recur"), _call("next", seq)]))
    step = List.of([Symbol(None, "if"), seq, _let(item, _call("first", seq), turn), True])
    loop = List.of([Symbol(None, "loop"), Vector.of([seq, _call("seq", value)]), step])
    return _if(_call("sequential?", value), loop)


def _combined(analyzer: Analyzer, scope: Scope, name: str, items: list[Any], value: Symbol) -> Any:
    if name == "enum":
        return _call("contains?", List.of([Symbol(None, "quote"), Set.of(items)]), value)
    tests: list[Any] = []
    for item in items:
        tests.append(holds(analyzer, scope, item, value))
    if name == "maybe":
        tests.insert(0, _call("nil?", value))
    form: Any = name == "and"
    for test in reversed(tests):
        form = _if(test, form) if name == "and" else List.of([Symbol(None, "if"), test, True, form])
    return form


def _call(name: str, *arguments: Any) -> Any:
    return List.of([Symbol(CORE, f"%{name}"), *arguments])


def _if(test: Any, then: Any) -> Any:
    return List.of([Symbol(None, "if"), test, then, False])


def _let(name: Symbol, value: Any, body: Any) -> Any:
    return List.of([Symbol(None, "let"), Vector.of([name, value]), body])


def contract_value(arguments: list[Any], result: Any) -> Any:
    """What a global's `contract` holds: `{:args [contract or nil ...] :return contract or nil}`, forms as values."""
    values = Vector.of([constant_of(form) for form in arguments])
    return Map.of([(keyword("args"), values), (keyword("return"), constant_of(result))])
