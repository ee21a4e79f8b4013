"""Proving: contracts that an argument breaks for certain, found before anything runs.

An argument that is a constant is checked by running the contract's predicates.  Of one that is computed the kinds of
value it can give are compared with those the contract allows.  What cannot be proven is left to the check at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import Global
from flowmetal.compiler.contracts import is_shape_list, optional_key, qualified_shape, shown
from flowmetal.compiler.emit import emit_function
from flowmetal.compiler.expand import error_of
from flowmetal.compiler.kinds import Kinds, kinds_of_contract, kinds_of_node
from flowmetal.compiler.names import CORE
from flowmetal.compiler.nodes import Arity, BuiltinCall, Call, Const, FnNode, FunctionScope, GlobalRead, Node
from flowmetal.compiler.shapes import is_list, items_of, text_of
from flowmetal.diagnostics import Label
from flowmetal.values import BuiltinFn, Closure, Keyword, Map, Set, Symbol, Vector, iterate, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Where in a value a contract is broken: the path, what stands there, and the contract it does not keep.
Fault = tuple[tuple[Any, ...], Any, Any]


def check_contracts(analyzer: Analyzer) -> None:
    """Reports the calls whose arguments are known to break a contract of what they call."""
    for call in analyzer.pending.calls:
        definition = analyzer.builder.find(call.reference)
        contract = None if definition is None else _contract_for(definition, call.count)
        if definition is None or contract is None:
            continue
        forms = items_of(contract.get(keyword("args")))
        prover = Prover(analyzer, call.reference.module)
        labels = (Label(definition.span, "the contract is here"),) if definition.span is not None else ()
        for position, value, span in call.constants:
            form = forms[position] if position < len(forms) else None
            fault = None if form is None else prover.fault(form, value)
            if fault is not None:
                path, part, expected = fault
                inside: dict[str, Any] = {}
                if path:
                    inside = {"path": text_of(Vector.of(path)), "part": text_of(part), "expected": text_of(expected)}
                analyzer.reporter.error(
                    "C102", span, labels=labels, name=_name(definition, position), value=text_of(value),
                    contract=text_of(form), function=call.reference.name, **inside,
                )  # fmt: skip
        for position, node, span in call.others:
            form = forms[position] if position < len(forms) else None
            wanted = None if form is None else prover.kinds(form)
            given = None if wanted is None else kinds_of_node(node, lambda inner: _result_kinds(analyzer, inner))
            if wanted is not None and given is not None and given and not given & wanted:
                more = _result_label(analyzer, node)
                kinds = " or ".join(f"a value of type :{kind}" for kind in sorted(given))
                analyzer.reporter.error(
                    "C103", span, labels=(*labels, *more), name=_name(definition, position), contract=text_of(form),
                    function=call.reference.name, found=kinds,
                )  # fmt: skip


def _contract_for(definition: Global, count: int) -> Map | None:
    """The contract of the arity that a call of `count` arguments takes; None if there is none, or it is not sure."""
    contract = definition.contract
    if contract.__class__ is Map:
        return contract
    fitting = [one for one in items_of(contract) if len(items_of(one.get(keyword("args")))) == count]
    return fitting[0] if len(fitting) == 1 else None


def _name(definition: Global, position: int) -> str:
    names = definition.parameters[0].strip("[]").split() if len(definition.parameters) == 1 else []
    plain = names and not any(mark in definition.parameters[0][1:-1] for mark in "[{&")
    return names[position] if plain and position < len(names) else f"argument {position + 1}"


def _result_kinds(analyzer: Analyzer, node: Node) -> Kinds:
    """The kinds that the contract of what is called promises: it is checked there, or the call throws."""
    if not isinstance(node, Call) or not isinstance(node.function, GlobalRead) or node.function.dynamic:
        return None
    definition = analyzer.builder.find(node.function.reference)
    contract = None if definition is None else _contract_for(definition, len(node.arguments))
    result = None if contract is None else contract.get(keyword("return"))
    return None if result is None else Prover(analyzer, node.function.reference.module).kinds(result)


def _result_label(analyzer: Analyzer, node: Node) -> tuple[Label, ...]:
    if not isinstance(node, Call) or not isinstance(node.function, GlobalRead):
        return ()
    definition = analyzer.builder.find(node.function.reference)
    if definition is None or definition.span is None:
        return ()
    return (Label(definition.span, "what it gives is said here"),)


class Prover:
    """Judges contracts of one module on values known now.  None: it cannot tell."""

    def __init__(self, analyzer: Analyzer, module: str) -> None:
        self.analyzer = analyzer
        self.module = module

    def kinds(self, contract: Any) -> Kinds:
        """The kinds of values that can keep a contract."""
        return kinds_of_contract(self._shape(contract), self._core_name)

    def holds(self, contract: Any, value: Any) -> bool | None:
        """Whether a value keeps a contract."""
        contract = self._shape(contract)
        kind = contract.__class__
        if kind in (Symbol, BuiltinFn, Closure):
            return self._predicate(contract, value)
        if kind is Set:
            return value in contract if all(_plain(item) for item in iterate(contract)) else None
        if kind in (Map, Vector):
            return self._parts_hold(contract, value)
        items = items_of(contract) if is_list(contract) else []
        if not is_shape_list(items):
            return None
        name, parts = items[0].name, items[1:]
        if name == "maybe":
            return True if value is None else _all([self.holds(inner, value) for inner in parts])
        if name == "and":
            return _all([self.holds(inner, value) for inner in parts])
        if name == "or":
            found = [self.holds(inner, value) for inner in parts]
            return True if True in found else None if None in found else False
        if name == "enum":
            return value in Set.of(parts) if all(_plain(item) for item in parts) else None
        return self._parts_hold(contract, value)

    def fault(self, contract: Any, value: Any) -> Fault | None:
        """Where a value is known not to keep a contract, or None."""
        if self.holds(contract, value) is not False:
            return None
        shape = self._shape(contract)
        for key, inner, part in self._parts(shape, value) or []:
            found = self.fault(inner, part)
            if found is not None:
                return ((key, *found[0]), found[1], found[2])
        return ((), value, shown(shape))

    def _parts_hold(self, shape: Any, value: Any) -> bool | None:
        parts = self._parts(shape, value)
        return False if parts is None else _all([self.holds(inner, part) for _, inner, part in parts])

    def _parts(self, shape: Any, value: Any) -> list[tuple[Any, Any, Any]] | None:
        """(key, contract, part) of the parts of a value that a shape speaks of; None if it is no such collection."""
        if shape.__class__ is Map:
            if value.__class__ is not Map:
                return None
            found: list[tuple[Any, Any, Any]] = []
            for written, inner in shape.items():
                optional, key = optional_key(written)
                if not optional or key in value:
                    found.append((key, inner, value.get(key)))
            return found
        if shape.__class__ is Vector:
            items = items_of(shape)
            if len(items) == 1:
                parts = items_of(value)
                return [(n, items[0], part) for n, part in enumerate(parts)] if _sequential(value) else None
            if value.__class__ is not Vector or len(value) != len(items):
                return None
            return list(zip(range(len(items)), items, items_of(value), strict=True))
        items = items_of(shape) if is_list(shape) else []
        if is_shape_list(items) and items[0].name == "map-of" and len(items) == 3:
            if value.__class__ is not Map:
                return None
            pairs = list(value.items())
            return [(key, items[1], key) for key, _ in pairs] + [(key, items[2], part) for key, part in pairs]
        if is_shape_list(items) and items[0].name == "set-of" and len(items) == 2:
            return [(item, items[1], item) for item in iterate(value)] if value.__class__ is Set else None
        return []

    def _shape(self, contract: Any) -> Any:
        """The shape that a name stands for, or the contract."""
        found = self._global(contract) if contract.__class__ is Symbol else None
        if found is None or found.value.__class__ not in (Map, Vector):
            return contract
        return qualified_shape(self.analyzer, found.value, contract.namespace or self.module)

    def _global(self, symbol: Symbol) -> Global | None:
        program = self.analyzer.builder.program
        if symbol.namespace not in (None, CORE):
            return program.lookup(symbol.namespace, symbol.name)
        core = self.analyzer.names.core(symbol.name)
        own = program.lookup(self.module, symbol.name) if symbol.namespace is None else None
        return own or (core.definition if core is not None else None)

    def _core_name(self, symbol: Symbol) -> str | None:
        """The name of the core that a symbol means, or None."""
        core = self.analyzer.names.core(symbol.name)
        return symbol.name if core is not None and self._global(symbol) is core.definition else None

    def _predicate(self, contract: Any, value: Any) -> bool | None:
        builder = self.analyzer.builder
        predicate = contract
        if contract.__class__ is Symbol:
            found = self._global(contract)
            predicate = None if found is None else found.value
        pure = predicate.__class__ is Closure and not predicate.function.effects and not predicate.captures
        if not pure and predicate.__class__ is not BuiltinFn:
            return None
        node: Node = Call(None, Const(None, predicate), [Const(None, value)])
        if predicate.__class__ is BuiltinFn:
            node = BuiltinCall(None, predicate.number, predicate.name, [Const(None, value)])
        unit = FnNode(None, FunctionScope(None, "contract"), [Arity([], None, node, False, "[]")])
        try:
            answer = self.analyzer.evaluate.run(builder.program, emit_function(builder, unit))
        except Exception as problem:
            if error_of(problem) is None:
                raise
            return None
        return answer is not None and answer is not False


def _all(found: list[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def _sequential(value: Any) -> bool:
    return value.__class__ is Vector or is_list(value)


def _plain(value: Any) -> bool:
    return value is None or value.__class__ in (bool, int, str, Keyword)
