"""Proving: contracts that an argument written as a constant breaks, found before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.emit import emit_function
from flowmetal.compiler.expand import error_of
from flowmetal.compiler.nodes import Arity, BuiltinCall, Call, Const, FnNode, FunctionScope, Node
from flowmetal.compiler.shapes import is_list, is_symbol, items_of, text_of
from flowmetal.diagnostics import Label
from flowmetal.values import BuiltinFn, Closure, Keyword, Map, Set, Symbol, iterate, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def check_contracts(analyzer: Analyzer) -> None:
    """Reports the calls whose constant arguments break a contract of what they call."""
    for call in analyzer.pending.calls:
        definition = analyzer.builder.find(call.reference)
        contract = None if definition is None else definition.contract
        if definition is None or contract.__class__ is not Map or not call.constants:
            continue
        contracts = items_of(contract.get(keyword("args")))
        for position, value, span in call.constants:
            form = contracts[position] if position < len(contracts) else None
            if form is None or Prover(analyzer, call.reference.module).holds(form, value) is not False:
                continue
            labels = (Label(definition.span, "the contract is here"),) if definition.span is not None else ()
            analyzer.reporter.error(
                "C102", span, labels=labels, name=_name(definition.parameters, position), value=text_of(value),
                contract=text_of(form), function=call.reference.name,
            )  # fmt: skip


def _name(parameters: tuple[str, ...], position: int) -> str:
    names = parameters[0].strip("[]").split() if parameters else []
    return names[position] if position < len(names) else f"argument {position + 1}"


class Prover:
    """Judges contracts of one module on values known now.  None: it cannot tell."""

    def __init__(self, analyzer: Analyzer, module: str) -> None:
        self.analyzer = analyzer
        self.module = module

    def holds(self, contract: Any, value: Any) -> bool | None:
        """Whether a value keeps a contract."""
        kind = contract.__class__
        if kind is Symbol:
            return self._predicate(contract, value)
        if kind is Set:
            return value in contract if all(_plain(item) for item in iterate(contract)) else None
        if kind is Map:
            if value.__class__ is not Map:
                return False
            return _all([self.holds(inner, value.get(key)) for key, inner in contract.items()])
        items = items_of(contract) if is_list(contract) else []
        if items and is_symbol(items[0], "maybe"):
            return True if value is None else _all([self.holds(inner, value) for inner in items[1:]])
        if items and is_symbol(items[0], "and"):
            return _all([self.holds(inner, value) for inner in items[1:]])
        if items and is_symbol(items[0], "or"):
            found = [self.holds(inner, value) for inner in items[1:]]
            return True if True in found else None if None in found else False
        if items and is_symbol(items[0], "enum"):
            return value in Set.of(items[1:]) if all(_plain(item) for item in items[1:]) else None
        return None

    def _predicate(self, symbol: Symbol, value: Any) -> bool | None:
        builder = self.analyzer.builder
        program = builder.program
        found = None
        if symbol.namespace is None:
            core = self.analyzer.names.core(symbol.name)
            found = program.lookup(self.module, symbol.name) or (core.definition if core is not None else None)
        else:
            found = program.lookup(symbol.namespace, symbol.name)
        predicate = None if found is None else found.value
        pure = predicate.__class__ is Closure and not predicate.function.effects and not predicate.captures
        if not pure and predicate.__class__ is not BuiltinFn:
            return None
        node: Node = Call(None, Const(None, predicate), [Const(None, value)])
        if predicate.__class__ is BuiltinFn:
            node = BuiltinCall(None, predicate.number, predicate.name, [Const(None, value)])
        unit = FnNode(None, FunctionScope(None, "contract"), [Arity([], None, node, False, "[]")])
        try:
            answer = self.analyzer.evaluate.run(program, emit_function(builder, unit))
        except Exception as problem:
            if error_of(problem) is None:
                raise
            return None
        return answer is not None and answer is not False


def _all(found: list[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def _plain(value: Any) -> bool:
    return value is None or value.__class__ in (bool, int, str, Keyword)
