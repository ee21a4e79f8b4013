"""Destructuring: patterns in binding places, as in Clojure, taken apart into single bindings.

A vector pattern with `&` walks the sequence; without, it takes items by position.  A map pattern looks keys up, and
takes a sequence of keys and values for a map, so that it serves for the rest arguments of a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.contracts import check_node
from flowmetal.compiler.forms.form import is_ascription
from flowmetal.compiler.nodes import Binding, Const, Do, Node
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_symbol, items_of, text_of
from flowmetal.values import Keyword, Map, Symbol, Vector, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

Bindings = list[tuple[Binding, Node]]

_NAMES = {"keys", "strs", "syms"}


def split_bindings(analyzer: Analyzer, form: Any) -> list[tuple[Any, Any, Any]] | None:
    """(pattern, contract or None, value) of each binding of a `let` vector; None if it is not written so."""
    if form.__class__ is not Vector:
        return None
    items = items_of(form)
    found: list[tuple[Any, Any, Any]] = []
    position = 0
    while position < len(items):
        pattern, contract = items[position], None
        position += 1
        if position + 1 < len(items) and is_ascription(items[position]):
            contract = Contract(items[position + 1])
            position += 2
        if position >= len(items):
            return None
        found.append((pattern, contract, items[position]))
        position += 1
    return found


class Contract:
    """The form after an ascription mark; a class of its own, since the form may be nil."""

    __slots__ = ("form",)

    def __init__(self, form: Any) -> None:
        self.form = form


def bind_pattern(
    analyzer: Analyzer, scope: Scope, pattern: Any, value: Node, bindings: Bindings, contract: Contract | None
) -> None:
    """Adds to `bindings` what binds a pattern to a value, names visible in `scope`; a contract is checked first."""
    before = analyzer.span
    analyzer.span = analyzer.span_at(pattern)
    if contract is not None:
        whole = _whole(analyzer, scope, "checked", value, bindings)
        check = check_node(analyzer, scope, text_of(pattern), whole, contract.form)
        value = Do(analyzer.span, [check], analyzer.read(scope, whole))
    if pattern.__class__ is Symbol:
        _bind_name(analyzer, scope, pattern, value, bindings)
    elif pattern.__class__ is Vector:
        _bind_vector(analyzer, scope, items_of(pattern), value, bindings)
    elif pattern.__class__ is Map:
        _bind_map(analyzer, scope, pattern, value, bindings)
    else:
        analyzer.error("A117", pattern=text_of(pattern))
    analyzer.span = before


def _bind_name(analyzer: Analyzer, scope: Scope, symbol: Symbol, value: Node, bindings: Bindings) -> None:
    if symbol.namespace is not None or symbol.name == "&":
        analyzer.error("A117", pattern=text_of(symbol))
        return
    bindings.append((analyzer.bind(scope, symbol.name, analyzer.span), value))


def _whole(analyzer: Analyzer, scope: Scope, base: str, value: Node, bindings: Bindings) -> Binding:
    binding = analyzer.hidden(scope, base)
    bindings.append((binding, value))
    return binding


# ---- vectors ----------------------------------------------------------------------------------------------------


def _bind_vector(analyzer: Analyzer, scope: Scope, items: list[Any], value: Node, bindings: Bindings) -> None:
    whole = _whole(analyzer, scope, "vector", value, bindings)
    walks = any(is_symbol(item, "&") for item in items)
    rest: Binding | None = None
    if walks:
        rest = _whole(analyzer, scope, "seq", analyzer.builtin("seq", analyzer.read(scope, whole)), bindings)
    position, index = 0, 0
    while position < len(items):
        item = items[position]
        following = items[position + 1] if position + 1 < len(items) else None
        if is_symbol(item, "&"):
            if position + 1 >= len(items) or rest is None:
                analyzer.error("A117", pattern="&")
                return
            bind_pattern(analyzer, scope, following, analyzer.read(scope, rest), bindings, None)
            position += 2
            continue
        if item.__class__ is Keyword and item.text == "as":
            if following.__class__ is not Symbol:
                analyzer.error("A117", pattern=":as")
                return
            bind_pattern(analyzer, scope, following, analyzer.read(scope, whole), bindings, None)
            position += 2
            continue
        if rest is not None:
            node = analyzer.builtin("first", analyzer.read(scope, rest))
            bind_pattern(analyzer, scope, item, node, bindings, None)
            more = [later for later in items[position + 1 :] if not _is_as(later)]
            if more:
                rest = _whole(analyzer, scope, "seq", analyzer.builtin("next", analyzer.read(scope, rest)), bindings)
        else:
            nil = Const(analyzer.span, None)
            node = analyzer.builtin("nth", analyzer.read(scope, whole), Const(analyzer.span, index), nil)
            bind_pattern(analyzer, scope, item, node, bindings, None)
        position += 1
        index += 1


def _is_as(form: Any) -> bool:
    return form.__class__ is Keyword and form.text == "as"


# ---- maps -------------------------------------------------------------------------------------------------------


def _bind_map(analyzer: Analyzer, scope: Scope, pattern: Any, value: Node, bindings: Bindings) -> None:
    converted = analyzer.builtin("destructure-map", value)
    whole = _whole(analyzer, scope, "map", converted, bindings)
    defaults = _defaults(analyzer, pattern)
    for key, target in pattern.items():
        if key.__class__ is Keyword and key.text in ("or", "as"):
            continue
        if key.__class__ is Keyword and key.name in _NAMES and target.__class__ is Vector:
            for name in items_of(target):
                _bind_listed(analyzer, scope, key, name, whole, defaults, bindings)
        elif key.__class__ is Keyword:
            analyzer.error("A117", pattern=text_of(key))
        else:
            node = _lookup(analyzer, scope, whole, analyzer.analyze(target, scope), key, defaults)
            bind_pattern(analyzer, scope, key, node, bindings, None)
    name = pattern.get(keyword("as"))
    if name is not None:
        bind_pattern(analyzer, scope, name, analyzer.read(scope, whole), bindings, None)


def _defaults(analyzer: Analyzer, pattern: Any) -> dict[str, Any]:
    """The `:or` of a map pattern: name to the form of its default."""
    table = pattern.get(keyword("or"))
    if table is None:
        return {}
    if table.__class__ is not Map:
        analyzer.error("A117", span=analyzer.span_at(table), pattern=":or")
        return {}
    found: dict[str, Any] = {}
    for key, form in table.items():
        if key.__class__ is not Symbol or key.namespace is not None:
            analyzer.error("A117", span=analyzer.span_at(table), pattern=f":or {text_of(key)}")
        else:
            found[key.name] = form
    return found


def _bind_listed(
    analyzer: Analyzer,
    scope: Scope,
    kind: Keyword,
    name: Any,
    whole: Binding,
    defaults: dict[str, Any],
    bindings: Bindings,
) -> None:
    """One name of `:keys`, `:strs` or `:syms`; a namespace may stand at the list (`:a/keys`) or at the name."""
    if name.__class__ not in (Symbol, Keyword):
        analyzer.error("A117", pattern=text_of(name))
        return
    before = analyzer.span
    analyzer.span = analyzer.span_at(name)
    namespace = name.namespace or kind.namespace
    text = f"{namespace}/{name.name}" if namespace else name.name
    key: Any
    if kind.name == "keys":
        key = keyword(text)
    elif kind.name == "strs":
        key = name.name
    else:
        key = Symbol(namespace, name.name)
    local = Symbol(None, name.name)
    node = _lookup(analyzer, scope, whole, Const(analyzer.span, key), local, defaults)
    _bind_name(analyzer, scope, local, node, bindings)
    analyzer.span = before


def _lookup(
    analyzer: Analyzer, scope: Scope, whole: Binding, key: Node, target: Any, defaults: dict[str, Any]
) -> Node:
    source = analyzer.read(scope, whole)
    if target.__class__ is Symbol and target.namespace is None and target.name in defaults:
        return analyzer.builtin("get", source, key, analyzer.analyze(defaults[target.name], scope))
    return analyzer.builtin("get", source, key)
