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
    analyzer: Analyzer,
    scope: Scope,
    pattern: Any,
    value: Node,
    bindings: Bindings,
    *,
    contract: Contract | None = None,
) -> None:
    """Adds to `bindings` what binds a pattern to a value, names visible in `scope`; a contract is checked first."""
    _Binder(analyzer, scope, bindings).bind(pattern, value, contract)


class _Binder:
    """Takes patterns apart; what it binds goes to `bindings` in the order in which it is evaluated."""

    def __init__(self, analyzer: Analyzer, scope: Scope, bindings: Bindings) -> None:
        self.analyzer = analyzer
        self.scope = scope
        self.bindings = bindings

    def bind(self, pattern: Any, value: Node, contract: Contract | None = None) -> None:
        """Binds a pattern to a value."""
        analyzer = self.analyzer
        before = analyzer.span
        analyzer.span = analyzer.span_at(pattern)
        if contract is not None:
            whole = self._hidden("checked", value)
            check = check_node(analyzer, self.scope, text_of(pattern), whole, contract.form)
            value = Do(analyzer.span, [check], self._read(whole))
        if pattern.__class__ is Symbol:
            self._name(pattern, value)
        elif pattern.__class__ is Vector:
            self._vector(items_of(pattern), value)
        elif pattern.__class__ is Map:
            self._map(pattern, value)
        else:
            analyzer.error("A117", pattern=text_of(pattern))
        analyzer.span = before

    def _name(self, symbol: Symbol, value: Node, written: Any = None) -> None:
        if symbol.namespace is not None or symbol.name == "&":
            self.analyzer.error("A117", pattern=text_of(symbol))
            return
        binding = self.analyzer.bind(self.scope, symbol.name, self.analyzer.span)
        self.analyzer.watch.bound(self.analyzer, binding, symbol if written is None else written)
        self.bindings.append((binding, value))

    def _hidden(self, base: str, value: Node) -> Binding:
        binding = self.analyzer.hidden(self.scope, base)
        self.bindings.append((binding, value))
        return binding

    def _read(self, binding: Binding) -> Node:
        return self.analyzer.read(self.scope, binding)

    # ---- vectors --------------------------------------------------------------------------------------------------

    def _vector(self, items: list[Any], value: Node) -> None:
        builtin = self.analyzer.builtin
        whole = self._hidden("vector", value)
        rest: Binding | None = None
        if any(is_symbol(item, "&") for item in items):
            rest = self._hidden("seq", builtin("seq", self._read(whole)))
        position, index = 0, 0
        while position < len(items):
            item = items[position]
            if is_symbol(item, "&") or _is_as(item):
                source = whole if _is_as(item) else rest
                named = items[position + 1] if position + 1 < len(items) else None
                if source is None or named is None or (_is_as(item) and named.__class__ is not Symbol):
                    self.analyzer.error("A117", pattern=text_of(item))
                    return
                self.bind(named, self._read(source))
                position += 2
                continue
            if rest is not None:
                self.bind(item, builtin("first", self._read(rest)))
                if any(not _is_as(later) for later in items[position + 1 :]):
                    rest = self._hidden("seq", builtin("next", self._read(rest)))
            else:
                span = self.analyzer.span
                self.bind(item, builtin("nth", self._read(whole), Const(span, index), Const(span, None)))
            position += 1
            index += 1

    # ---- maps -----------------------------------------------------------------------------------------------------

    def _map(self, pattern: Any, value: Node) -> None:
        analyzer = self.analyzer
        whole = self._hidden("map", analyzer.builtin("destructure-map", value))
        defaults = self._defaults(pattern)
        for key, target in pattern.items():
            if key.__class__ is not Keyword:
                node = self._lookup(whole, analyzer.analyze(target, self.scope), key, defaults)
                self.bind(key, node)
            elif key.name in _NAMES and target.__class__ is Vector:
                for name in items_of(target):
                    self._listed(key, name, whole, defaults)
            elif key.text not in ("or", "as"):
                analyzer.error("A117", pattern=text_of(key))
        name = pattern.get(keyword("as"))
        if name is not None:
            self.bind(name, self._read(whole))

    def _defaults(self, pattern: Any) -> dict[str, Any]:
        """The `:or` of a map pattern: name to the form of its default."""
        table = pattern.get(keyword("or"))
        found: dict[str, Any] = {}
        if table is None:
            return found
        span = self.analyzer.span_at(table)
        if table.__class__ is not Map:
            self.analyzer.error("A117", span=span, pattern=":or")
            return found
        for key, form in table.items():
            if key.__class__ is not Symbol or key.namespace is not None:
                self.analyzer.error("A117", span=span, pattern=f":or {text_of(key)}")
            else:
                found[key.name] = form
        return found

    def _listed(self, kind: Keyword, name: Any, whole: Binding, defaults: dict[str, Any]) -> None:
        """One name of `:keys`, `:strs` or `:syms`; a namespace may stand at the list (`:a/keys`) or at the name."""
        analyzer = self.analyzer
        if name.__class__ not in (Symbol, Keyword):
            analyzer.error("A117", pattern=text_of(name))
            return
        before = analyzer.span
        analyzer.span = analyzer.span_at(name)
        namespace = name.namespace or kind.namespace
        key: Any
        if kind.name == "keys":
            key = keyword(f"{namespace}/{name.name}" if namespace else name.name)
        elif kind.name == "strs":
            key = name.name
        else:
            key = Symbol(namespace, name.name)
        local = Symbol(None, name.name)
        self._name(local, self._lookup(whole, Const(analyzer.span, key), local, defaults), name)
        analyzer.span = before

    def _lookup(self, whole: Binding, key: Node, target: Any, defaults: dict[str, Any]) -> Node:
        builtin = self.analyzer.builtin
        if target.__class__ is Symbol and target.namespace is None and target.name in defaults:
            default = self.analyzer.analyze(defaults[target.name], self.scope)
            return builtin("get", self._read(whole), key, default)
        return builtin("get", self._read(whole), key)


def _is_as(form: Any) -> bool:
    return form.__class__ is Keyword and form.text == "as"
