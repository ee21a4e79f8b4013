"""`syntax-quote`: a form as a template, as in Clojure.

Symbols mean what they mean where the template stands: they are written with the full name of their module.  `x#` is a
name of its own in each template.  What is unquoted is evaluated; what is spliced stands as several items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.names import CORE, HARD_FORMS, SOFT_FORMS, Special, is_core
from flowmetal.compiler.names import Target as Global
from flowmetal.compiler.nodes import Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, is_symbol, items_of
from flowmetal.values import EMPTY_LIST, List, Map, Set, Symbol, Vector, iterate, meta_of, with_meta

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Symbols that are written as they are: marks of parameter lists.
_BARE = frozenset(("&", "&form", "&env", "unquote", "unquote-splicing", "_", "."))


def analyze_syntax_quote(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(syntax-quote form)`"""
    if len(items) != 2:
        return malformed(analyzer, "syntax-quote")
    return analyzer.analyze(Template(analyzer).code(items[1]), scope)


class Template:
    """One syntax-quote: its own names for `x#`."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._names: dict[str, str] = {}

    def code(self, form: Any) -> Any:
        """The form that makes the template's form when it is evaluated."""
        constant, made = self._quote(form)
        return _quoted(made) if constant else made

    def _quote(self, form: Any) -> tuple[bool, Any]:
        """(True, the form itself) where nothing in it is unquoted, else (False, the code that makes it)."""
        kind = form.__class__
        if kind is Symbol:
            return self._keep_meta(form, True, self._symbol(form))
        if is_list(form):
            items = items_of(form)
            if not items:
                return True, EMPTY_LIST
            if _is_head(items[0], "unquote") and len(items) == 2:
                return self._keep_meta(form, False, items[1])
            if _is_head(items[0], "unquote-splicing"):
                self._analyzer.error("A126", span=self._analyzer.span_at(form))
                return True, None
            if _is_head(items[0], "syntax-quote") and len(items) == 2:
                # A template in a template: the inner one first, as when it is read.
                return self._quote(Template(self._analyzer).code(items[1]))
            constant, made = self._items(items)
            if constant:
                return self._keep_meta(form, True, List.of(made))
            return self._keep_meta(form, False, _call("to-list", made))
        if kind is Vector:
            constant, made = self._items(items_of(form))
            return self._keep_meta(form, constant, Vector.of(made) if constant else made)
        if kind is Set:
            constant, made = self._items(list(iterate(form)))
            return self._keep_meta(form, constant, Set.of(made) if constant else _call("to-set", made))
        if kind is Map:
            constant, made = self._items([part for pair in form.items() for part in pair])
            if constant:
                return self._keep_meta(form, True, Map.of(list(zip(made[::2], made[1::2], strict=True))))
            return self._keep_meta(form, False, _call("to-map", made))
        return True, form

    def _items(self, items: list[Any]) -> tuple[bool, Any]:
        """(True, the items) or (False, code for a vector of them)."""
        parts: list[tuple[str, Any]] = []  # kind: "constant", "code", "splice"
        for item in items:
            inner = items_of(item) if is_list(item) else []
            if inner and _is_head(inner[0], "unquote-splicing") and len(inner) == 2:
                parts.append(("splice", inner[1]))
            else:
                constant, made = self._quote(item)
                parts.append(("constant" if constant else "code", made))
        if all(kind == "constant" for kind, _ in parts):
            return True, [made for _, made in parts]
        if all(kind != "splice" for kind, _ in parts):
            return False, Vector.of([_quoted(made) if kind == "constant" else made for kind, made in parts])
        sequences: list[Any] = []
        run: list[Any] = []
        for kind, made in parts:
            if kind != "splice":
                run.append(_quoted(made) if kind == "constant" else made)
                continue
            if run:
                sequences.append(Vector.of(run))
                run = []
            sequences.append(made)
        if run:
            sequences.append(Vector.of(run))
        return False, _call("concat-vector", *sequences)

    def _keep_meta(self, form: Any, constant: bool, made: Any) -> tuple[bool, Any]:
        """What the author wrote after `^` stays with the form."""
        meta = meta_of(form)
        if meta is None:
            return constant, made
        meta_constant, meta_made = self._quote(meta)
        if constant and meta_constant:
            return True, with_meta(made, meta_made)
        return False, _call(
            "with-meta", _quoted(made) if constant else made, _quoted(meta_made) if meta_constant else meta_made
        )

    def _symbol(self, symbol: Symbol) -> Symbol:
        name = symbol.name
        names = self._analyzer.names
        if symbol.namespace is not None:
            names.resolve(symbol)  # so that it counts as used
            if f"{symbol.namespace}/{name}" in names.module.globals:
                # The effect of this module, by a name that any module can resolve.
                return Symbol(names.module.name, f"{symbol.namespace}/{name}")
            return Symbol(names.aliases.get(symbol.namespace, symbol.namespace), name)
        if name.endswith("#") and len(name) > 1:
            if name not in self._names:
                self._names[name] = self._analyzer.gensym(name[:-1])
            return Symbol(None, self._names[name])
        if name in HARD_FORMS or name in _BARE or "__" in name:
            return Symbol(None, name)
        if name.startswith("%") and len(name) > 1:
            return Symbol(CORE, name)
        found = names.resolve(symbol)
        if isinstance(found, Global):
            # Which of the core's modules defines a name is nobody's business.
            open_core = is_core(found.module) and not found.definition.private
            return Symbol(CORE if open_core else found.module, found.definition.name)
        if isinstance(found, Special) and name in SOFT_FORMS:
            return Symbol(CORE, name)
        return Symbol(names.module.name, name)


def _is_head(form: Any, name: str) -> bool:
    return is_symbol(form, name)


def _quoted(form: Any) -> Any:
    if form.__class__ is Symbol or is_list(form) or form.__class__ in (Vector, Map, Set):
        return List.of([Symbol(None, "quote"), form])
    return form


def _call(name: str, *arguments: Any) -> Any:
    return List.of([Symbol(CORE, f"%{name}"), *arguments])
