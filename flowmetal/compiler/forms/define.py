"""`def`: names a value of the module; what all definitions have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import UNBOUND, Global
from flowmetal.compiler.forms.form import Definition, malformed
from flowmetal.compiler.names import HARD_FORMS
from flowmetal.compiler.nodes import FnNode, FunctionScope
from flowmetal.compiler.scopes import Scope
from flowmetal.diagnostics import Label
from flowmetal.values import Map, Symbol, keyword, meta_of

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def define_value(analyzer: Analyzer, items: list[Any], scope: Scope) -> Definition | None:
    """`(def name "doc"? value?)`; without a value it only says that the name will be defined."""
    if not 2 <= len(items) <= 4 or (len(items) == 4 and items[2].__class__ is not str):
        malformed(analyzer, "def")
        return None
    definition = declare(analyzer, "def", items[1], defines=len(items) > 2)
    if definition is None or len(items) == 2:
        return None
    if len(items) == 4:
        definition.doc = items[2]
    unit = unit_scope(analyzer, definition.name, scope)
    node = analyzer.analyze(items[-1], unit)
    if isinstance(node, FnNode):
        node.scope.name = unit.function.name
        node.doc = definition.doc
        definition.parameters = tuple(arity.text for arity in node.arities)
    return Definition(definition, node)


def unit_scope(analyzer: Analyzer, name: str, scope: Scope) -> Scope:
    """The scope of the function that evaluates a definition."""
    return Scope(FunctionScope(None, qualified(analyzer, name)), scope)


def qualified(analyzer: Analyzer, name: str) -> str:
    """Full name of a global of the module."""
    return f"{analyzer.names.module.name}/{name}"


def declare(
    analyzer: Analyzer, form: str, symbol: Any, *, defines: bool = True, private: bool = False
) -> Global | None:
    """The global that a definition gives a value, new or declared before; None after an error."""
    if symbol.__class__ is not Symbol:
        malformed(analyzer, form)
        return None
    module = analyzer.names.module
    span = analyzer.span_at(symbol)
    name = symbol.name
    if symbol.namespace not in (None, module.name):
        analyzer.error("A127", span=span, name=str(symbol), module=module.name)
        return None
    if name in HARD_FORMS or name == "&" or name.startswith("%"):
        analyzer.error("A128", span=span, name=name)
        return None
    definition = module.globals.get(name)
    if defines and name in analyzer.defined:
        first = analyzer.defined[name]
        labels = (Label(first, "first defined here"),) if first is not None else ()
        analyzer.reporter.error("A129", span, labels=labels, name=name)
        return None
    if definition is None:
        definition = module.globals[name] = Global(name, UNBOUND)
    if defines:
        analyzer.defined[name] = span
        analyzer.watch.defined(analyzer, symbol)
        definition.span = span
    _take_meta(definition, meta_of(symbol))
    definition.private = definition.private or private
    return definition


def _take_meta(definition: Global, meta: Any) -> None:
    """What stands after `^` at the name: flags and documentation."""
    if meta.__class__ is not Map:
        return
    definition.private = definition.private or _flag(meta, "private")
    definition.dynamic = definition.dynamic or _flag(meta, "dynamic")
    definition.macro = definition.macro or _flag(meta, "macro")
    definition.test = definition.test or _flag(meta, "test")
    doc = meta.get(keyword("doc"))
    if doc.__class__ is str:
        definition.doc = doc


def _flag(meta: Any, name: str) -> bool:
    value = meta.get(keyword(name))
    return value is not None and value is not False


def take_documentation(definition: Global, forms: list[Any]) -> list[Any]:
    """Takes the doc string and the attribute map that may stand before a function's parameters; the other forms."""
    if len(forms) > 1 and forms[0].__class__ is str:
        definition.doc = forms[0]
        forms = forms[1:]
    if len(forms) > 1 and forms[0].__class__ is Map:
        _take_meta(definition, forms[0])
        forms = forms[1:]
    return forms
