"""`fn`: closures.  Parameters, patterns and contracts, one or several arities, a name for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.opcodes import ARGUMENTS_MAX
from flowmetal.compiler.contracts import check_node
from flowmetal.compiler.destructure import bind_pattern
from flowmetal.compiler.forms.form import is_ascription, malformed
from flowmetal.compiler.nodes import Arity, Binding, Const, Do, FnNode, Head, Let, Local, Node, Target
from flowmetal.compiler.reader import child_span
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, is_symbol, items_of, span_within, text_of
from flowmetal.dataclass import dataclass, field
from flowmetal.values import Keyword, List, Map, Set, Symbol, Vector, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


@dataclass(slots=True)
class Parameters:
    """A parameter list as written: patterns, their contracts, what comes after `&`."""

    patterns: list[Any] = field(default_factory=list)
    contracts: list[Any] = field(default_factory=list)  # None where there is none
    rest: Any = None
    has_rest: bool = False
    rest_contract: Any = None

    def text(self) -> str:
        """For people: "[amount to & more]"."""
        shown = [text_of(pattern) for pattern in self.patterns]
        if self.has_rest:
            shown += ["&", text_of(self.rest)]
        return f"[{' '.join(shown)}]"


@dataclass(slots=True)
class Signature:
    """One arity as written: parameters, the contract of the result, the body."""

    parameters: Parameters
    result: Any
    body: list[Any]


def analyze_fn(analyzer: Analyzer, items: list[Any], scope: Scope, target: Target | None) -> Node:
    """`(fn name? [parameter ...] body ...)` or `(fn name? ([parameter ...] body ...) ...)`"""
    rest = items[1:]
    name = rest[0] if rest and rest[0].__class__ is Symbol else None
    if name is not None:
        rest = rest[1:]
    function = analyzer.function_scope(scope, name.name if name is not None else "")
    inner = Scope(function, scope)
    if name is not None:
        function.own = Binding(name.name, function, analyzer.span_at(name), hidden="__" in name.name)
        inner.add(name.name, function.own)
    signatures = read_signatures(analyzer, rest, "fn")
    if signatures is None:
        return Const(analyzer.span, None)
    node = function_node(analyzer, inner, signatures)
    if function.own is not None:
        analyzer.functions[function.own] = node
    return node


def thunk(analyzer: Analyzer, forms: list[Any], scope: Scope) -> FnNode:
    """A function of no arguments around a body."""
    function = analyzer.function_scope(scope, "")
    return function_node(analyzer, Scope(function, scope), [Signature(Parameters(), None, forms)])


def read_signatures(analyzer: Analyzer, forms: list[Any], name: str) -> list[Signature] | None:
    """The arities of a function form, after its name; None after an error."""
    if forms and forms[0].__class__ is Vector:
        return _checked(analyzer, [forms])
    if not forms or not all(is_list(form) for form in forms):
        malformed(analyzer, name)
        return None
    return _checked(analyzer, [items_of(form) for form in forms])


def _checked(analyzer: Analyzer, arities: list[list[Any]]) -> list[Signature] | None:
    found: list[Signature] = []
    counts: set[tuple[int, bool]] = set()
    for items in arities:
        if not items or items[0].__class__ is not Vector:
            malformed(analyzer, "fn")
            return None
        parameters = read_parameters(analyzer, items[0])
        result, body = None, items[1:]
        if len(body) >= 2 and is_ascription(body[0]):
            result, body = body[1], body[2:]
        count = (len(parameters.patterns), parameters.has_rest)
        variadic = any(more for _, more in counts)
        if count in counts or (count[1] and variadic):
            analyzer.error("A120", span=analyzer.span_at(items[0]), parameters=parameters.text())
            return None
        counts.add(count)
        found.append(Signature(parameters, result, body))
    least = min((number for number, more in counts if more), default=None)
    if least is not None and any(number > least for number, more in counts if not more):
        analyzer.error("A121", count=least)
        return None
    return found


def read_parameters(analyzer: Analyzer, form: Any) -> Parameters:
    """The parts of a parameter vector; what is wrong in it is reported."""
    items = items_of(form)
    parameters = Parameters()
    position = 0
    while position < len(items):
        pattern = items[position]
        is_rest = is_symbol(pattern, "&")
        if is_rest:
            position += 1
            if position >= len(items) or parameters.has_rest:
                analyzer.error("A117", span=analyzer.span_at(form), pattern="&")
                break
            pattern = items[position]
        elif parameters.has_rest:
            analyzer.error("A122", span=analyzer.span_at(pattern), name=text_of(pattern))
            break
        position += 1
        contract = None
        if position + 1 < len(items) and is_ascription(items[position]):
            contract = _contract(analyzer, form, items[position + 1], position + 1)
            position += 2
        if is_rest:
            parameters.rest, parameters.has_rest, parameters.rest_contract = pattern, True, contract
        else:
            parameters.patterns.append(pattern)
            parameters.contracts.append(contract)
    if len(parameters.patterns) > ARGUMENTS_MAX:
        analyzer.error("A108", count=len(parameters.patterns), limit=ARGUMENTS_MAX)
    return parameters


def _contract(analyzer: Analyzer, form: Any, contract: Any, position: int) -> Any:
    """The contract at a position of a parameter vector; None after an error."""
    if contract.__class__ in (Symbol, Keyword, Map, Vector, Set) or is_list(contract):
        return contract
    analyzer.error("C101", span=child_span(form, position), contract=text_of(contract))
    return None


def function_node(
    analyzer: Analyzer, scope: Scope, signatures: list[Signature], doc: str | None = None, hidden: tuple[str, ...] = ()
) -> FnNode:
    """The node of a function whose scope is given; `hidden` parameters come before those of each signature."""
    node = FnNode(analyzer.span, scope.function, [], doc)
    for signature in signatures:
        scope.function.uses_self = False
        node.arities.append(_arity(analyzer, scope, signature, hidden))
    return node


def _arity(analyzer: Analyzer, base: Scope, signature: Signature, hidden: tuple[str, ...]) -> Arity:
    parameters = signature.parameters
    span = analyzer.span
    scope = base.child()
    entry: list[Binding] = []
    for name in hidden:
        binding = Binding(name, scope.function, None, hidden=True)
        scope.add(name, binding)
        entry.append(binding)
    checks: list[Node] = []
    apart: list[tuple[Any, Binding]] = []
    patterns = list(zip(parameters.patterns, parameters.contracts, strict=True))
    if parameters.has_rest:
        patterns.append((parameters.rest, parameters.rest_contract))
    for pattern, contract in patterns:
        if pattern.__class__ is Symbol and pattern.namespace is None:
            binding = _parameter(analyzer, scope, pattern, entry)
        else:
            binding = analyzer.hidden(scope, "argument")
            apart.append((pattern, binding))
        entry.append(binding)
        if contract is not None:
            analyzer.watch.read(binding, binding)  # a parameter that is checked is there for that at least
            checks.append(check_node(analyzer, base, text_of(pattern), binding, contract))
    rest = entry.pop() if parameters.has_rest else None
    target = Target([*entry, rest] if rest is not None else list(entry), is_function=True)
    body = _body(analyzer, (base, scope), signature, apart, target)
    if checks:
        body = Do(span, checks, body)
    return Arity(entry, rest, body, base.function.uses_self, parameters.text())


def _parameter(analyzer: Analyzer, scope: Scope, symbol: Symbol, entry: list[Binding]) -> Binding:
    if symbol.name != "_" and any(other.name == symbol.name and not other.hidden for other in entry):
        analyzer.error("A123", span=analyzer.span_at(symbol), name=symbol.name)
    binding = analyzer.bind(scope, symbol.name, analyzer.span_at(symbol))
    analyzer.watch.bound(analyzer, binding, symbol, "W102")
    return binding


def _body(
    analyzer: Analyzer,
    scopes: tuple[Scope, Scope],
    signature: Signature,
    apart: list[tuple[Any, Binding]],
    target: Target,
) -> Node:
    """The body under the function's head: patterns are taken apart there, so that a `recur` does it again.

    `scopes`: around the parameters, where contracts are read, and that of the parameters.
    """
    span = analyzer.span
    base, scope = scopes
    bindings: list[tuple[Binding, Node]] = []
    for pattern, binding in apart:
        bind_pattern(analyzer, scope, pattern, analyzer.read(scope, binding), bindings)
    forms, before, after = _conditions(analyzer, signature.body)
    result_contract = signature.result
    if after:
        scope = scope.child()
    checks: list[Node] = []
    for form in before:
        checks.append(analyzer.analyze(_assertion(form), scope))
    body = analyzer.body(forms, scope, target)
    if checks:
        body = Do(span, checks, body)
    if bindings:
        body = Let(span, bindings, body)
    body = Head(span, target, body)
    if result_contract is None and not after:
        return body
    result = analyzer.hidden(scope, "result")
    final: list[Node] = []
    if result_contract is not None:
        name = f"result of {scope.function.name}"
        final.append(check_node(analyzer, base, name, result, result_contract))
    scope.add("%", result)
    for form in after:
        final.append(analyzer.analyze(_assertion(form), scope))
    return Let(span, [(result, body)], Do(span, final, Local(span, result)))


def _conditions(analyzer: Analyzer, forms: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Body, `:pre` and `:post` conditions: a map before the body of a function may hold them."""
    if len(forms) < 2 or forms[0].__class__ is not Map:
        return forms, [], []
    before, after = forms[0].get(keyword("pre")), forms[0].get(keyword("post"))
    for name, given in (("pre", before), ("post", after)):
        if given is not None and given.__class__ is not Vector:
            analyzer.error("A144", span_within(given, analyzer.span_at(forms[0])), name=f":{name}")
    if before.__class__ is not Vector and after.__class__ is not Vector:
        return forms, [], []
    return forms[1:], items_of(before), items_of(after)


def _assertion(form: Any) -> Any:
    return List.of([Symbol("flowmetal.core", "assert"), form])
