"""Contracts: ascriptions as checks.

A contract is a predicate, or a shape made of them:

    {:id string? (optional :note) string?}   a map with these keys
    [line?]  [a? b?]                         a sequence of; a vector of just these
    (map-of k v)  (set-of c)                 a map or a set of any size
    (maybe c)  (or c ...)  (and c ...)       what else is allowed, one of, all of
    (enum v ...)  #{v ...}                   one of these values
    name                                     a name defined as a map, vector or set: the shape it holds

A predicate becomes a form that is true or false.  A shape becomes one that is nil, or the *fault*: where in the value
something is wrong, what stands there, and the contract it does not keep.  Then `flowmetal.core/contract-failed` throws.
Predicates are called as any function is, so they may perform and wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import Reference
from flowmetal.compiler.names import CORE, Target
from flowmetal.compiler.nodes import Binding, Call, Const, GlobalRead, If, Let, Node
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import constant_of, is_list, is_symbol, items_of, text_of
from flowmetal.values import BuiltinFn, Closure, Keyword, List, Map, Set, Symbol, Vector, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Heads of lists that are shapes, with the number of contracts they take (None: any).
SHAPES: dict[str, int | None] = {"maybe": 1, "enum": None, "or": None, "and": None, "map-of": 2, "set-of": 1}


def check_node(analyzer: Analyzer, scope: Scope, name: str, value: Binding, contract: Any) -> Node:
    """A node that throws unless `value` keeps the contract; `name` is what messages call the value."""
    span = analyzer.span_at(contract)
    checked = scope.child()
    local = Symbol(None, analyzer.gensym("value"))
    checked.add(local.name, value)
    shapes = Shapes(analyzer, checked)
    contract_form = shapes.named(contract)
    simple = not shapes.is_shape(contract_form)
    before, analyzer.span = analyzer.span, span
    made = shapes.holds(contract_form, local) if simple else shapes.fault(contract_form, local)
    test = analyzer.analyze(made, checked)
    analyzer.span = before
    place = f"{span.file}:{span.line}:{span.column}" if span is not None else ""
    arguments: list[Node] = [
        Const(span, name),
        analyzer.read(scope, value),
        Const(span, constant_of(contract)),
        Const(span, place),
    ]
    callee = GlobalRead(span, Reference(CORE, "contract-failed"))
    if simple:
        return If(span, test, Const(span, None), Call(span, callee, [*arguments, Const(span, None)]))
    fault = analyzer.hidden(scope, "fault")
    failed = Call(span, callee, [*arguments, analyzer.read(scope, fault)])
    return Let(span, [(fault, test)], If(span, analyzer.read(scope, fault), failed, Const(span, None)))


def is_shape_list(items: list[Any], scope: Scope | None = None) -> bool:
    """Whether the items of a list begin with the name of a shape that no local has taken."""
    head = items[0] if items else None
    if head.__class__ is not Symbol or head.namespace is not None or head.name not in SHAPES:
        return False
    return scope is None or scope.find(head.name) is None


def optional_key(key: Any) -> tuple[bool, Any]:
    """(whether a map may lack it, the key) of a key of a map shape."""
    items = items_of(key) if is_list(key) else []
    if len(items) == 2 and is_symbol(items[0], "optional"):
        return True, items[1]
    return False, key


class Shapes:
    """Forms that check contracts, read in one scope."""

    def __init__(self, analyzer: Analyzer, scope: Scope) -> None:
        self._analyzer = analyzer
        self._scope = scope

    def named(self, contract: Any) -> Any:
        """The shape that a name stands for, if it is that of a global with a shape as its value; else the contract."""
        if contract.__class__ is not Symbol or (contract.namespace is None and self._scope.find(contract.name)):
            return contract
        found = self._analyzer.names.resolve(contract)
        if not isinstance(found, Target) or found.definition.value.__class__ not in (Map, Vector):
            return contract
        return qualified_shape(self._analyzer, found.definition.value, found.module)

    def is_shape(self, contract: Any) -> bool:
        """Whether a contract has parts, so that a place inside of the value can be wrong."""
        if contract.__class__ in (Map, Vector):
            return True
        items = items_of(contract) if is_list(contract) else []
        if not is_shape_list(items, self._scope) or items[0].name == "enum":
            return False
        return items[0].name in ("map-of", "set-of") or any(self.is_shape(self.named(item)) for item in items[1:])

    # ---- true or false --------------------------------------------------------------------------------------------

    def holds(self, contract: Any, value: Symbol) -> Any:
        """The form that says whether the local `value` keeps a contract."""
        kind = contract.__class__
        items = items_of(contract) if is_list(contract) else []
        if not self._takes(contract, items):
            return True
        if (
            is_shape_list(items, self._scope)
            and items[0].name in ("maybe", "or", "and")
            and not self.is_shape(contract)
        ):
            return self._combined(items[0].name, items[1:], value)
        if self.is_shape(contract):
            return _if(self.fault(contract, value), False, True)
        if is_shape_list(items, self._scope):
            return _call("contains?", _quote(Set.of(items[1:])), value)
        if kind is Set:
            return _call("contains?", contract, value)
        if kind in (Symbol, Keyword, Closure, BuiltinFn) or items:
            return List.of([contract, value])
        self._analyzer.error("C101", contract=text_of(contract))
        return True

    def _takes(self, contract: Any, items: list[Any]) -> bool:
        """Whether a shape has as many parts as it takes; if not, that is reported."""
        wanted = SHAPES[items[0].name] if is_shape_list(items, self._scope) else None
        if wanted is None or len(items) - 1 == wanted:
            return True
        self._analyzer.error("C101", contract=text_of(contract))
        return False

    def _combined(self, name: str, items: list[Any], value: Symbol) -> Any:
        tests = [self.holds(self.named(item), value) for item in items]
        if name == "maybe":
            tests.insert(0, _call("nil?", value))
        form: Any = name == "and"
        for test in reversed(tests):
            form = _if(test, form, False) if name == "and" else _if(test, True, form)
        return form

    # ---- where ----------------------------------------------------------------------------------------------------

    def fault(self, contract: Any, value: Symbol) -> Any:
        """The form that is nil, or `[path part contract]` where the local `value` does not keep a contract."""
        contract = self.named(contract)
        kind = contract.__class__
        wrong = Vector.of([Vector.of([]), value, _quote(shown(contract))])
        if kind is Map:
            return _if(_call("map?", value), self._keys(contract, value), wrong)
        if kind is Vector:
            items = items_of(contract)
            return self._each(items[0], value, wrong) if len(items) == 1 else self._tuple(items, value, wrong)
        items = items_of(contract) if is_list(contract) else []
        if not self.is_shape(contract):
            return _if(self.holds(contract, value), None, wrong)
        name, parts = items[0].name, items[1:]
        if not self._takes(contract, items):
            return None
        if name == "maybe":
            return _if(_call("nil?", value), None, self.fault(parts[0], value))
        if name == "map-of":
            return self._map_of(parts, value, wrong)
        if name == "set-of":
            seq = self._local("items")
            return _if(_call("set?", value), _let(seq, _call("seq", value), self._walk(parts[0], seq)), wrong)
        form: Any = None if name == "and" else wrong
        for part in reversed(parts):
            found = self._local("fault")
            rest = _if(found, found, form) if name == "and" else _if(found, form, None)
            form = _let(found, self.fault(part, value), rest)
        return form

    def _keys(self, contract: Map, value: Symbol) -> Any:
        form: Any = None
        for written, inner in reversed(list(contract.items())):
            optional, key = optional_key(written)
            entry = self._local("entry")
            test = _let(entry, _call("get", value, _quote(key)), self._inside(_quote(key), inner, entry, form))
            form = _if(_call("contains?", value, _quote(key)), test, form) if optional else test
        return form

    def _tuple(self, items: list[Any], value: Symbol, wrong: Any) -> Any:
        form: Any = None
        for index, inner in reversed(list(enumerate(items))):
            item = self._local("item")
            form = _let(item, _call("nth", value, index, None), self._inside(index, inner, item, form))
        counted = _if(_call("equal", _call("count", value), len(items)), form, wrong)
        return _if(_call("vector?", value), counted, wrong)

    def _each(self, contract: Any, value: Symbol, wrong: Any) -> Any:
        seq, item, index = self._local("items"), self._local("item"), self._local("index")
        turn = List.of([Symbol(None, "recur"), _call("next", seq), _call("add", index, 1)])
        step = _if(seq, _let(item, _call("first", seq), self._inside(index, contract, item, turn)), None)
        return _if(_call("sequential?", value), _loop([seq, _call("seq", value), index, 0], step), wrong)

    def _map_of(self, parts: list[Any], value: Symbol, wrong: Any) -> Any:
        seq, entry, key, item = (self._local(name) for name in ("entries", "entry", "key", "item"))
        turn = List.of([Symbol(None, "recur"), _call("next", seq)])
        inner = _let(item, _call("nth", entry, 1), self._inside(key, parts[1], item, turn))
        inner = _let(key, _call("nth", entry, 0), self._inside(key, parts[0], key, inner))
        step = _if(seq, _let(entry, _call("first", seq), inner), None)
        return _if(_call("map?", value), _loop([seq, _call("seq", value)], step), wrong)

    def _walk(self, contract: Any, seq: Symbol) -> Any:
        turns, item = self._local("turns"), self._local("item")
        turn = List.of([Symbol(None, "recur"), _call("next", turns)])
        step = _if(turns, _let(item, _call("first", turns), self._inside(item, contract, item, turn)), None)
        return _loop([turns, seq], step)

    def _inside(self, key: Any, contract: Any, part: Symbol, rest: Any) -> Any:
        """`rest`, unless a part of a value, found at `key`, has a fault: then that, with the key before its path."""
        found = self._local("fault")
        path = _call("cons", key, _call("nth", found, 0))
        inner = Vector.of([path, _call("nth", found, 1), _call("nth", found, 2)])
        return _let(found, self.fault(contract, part), _if(found, inner, rest))

    # ---- names ----------------------------------------------------------------------------------------------------

    def _local(self, base: str) -> Symbol:
        return Symbol(None, self._analyzer.gensym(base))


def qualified_shape(analyzer: Analyzer, value: Any, module: str) -> Any:
    """A shape that a global of `module` holds, its symbols written so that they mean the same anywhere."""
    if value.__class__ is Symbol:
        if value.namespace is not None or value.name in SHAPES or value.name == "optional":
            return value
        there = analyzer.builder.program.lookup(module, value.name)
        return Symbol(module if there is not None else CORE, value.name)
    if value.__class__ is Map:
        return Map.of([(key, qualified_shape(analyzer, inner, module)) for key, inner in value.items()])
    if value.__class__ is Vector:
        return Vector.of([qualified_shape(analyzer, item, module) for item in items_of(value)])
    if is_list(value) and not is_symbol(items_of(value)[0], "enum"):
        return List.of([qualified_shape(analyzer, item, module) for item in items_of(value)])
    return value


def shown(contract: Any) -> Any:
    """A contract as people write it: names of the core without their module, functions by their names."""
    if contract.__class__ is Symbol and contract.namespace == CORE:
        return Symbol(None, contract.name)
    if contract.__class__ is BuiltinFn:
        return Symbol(None, contract.name)
    if contract.__class__ is Closure:
        return Symbol(None, contract.function.name.rpartition("/")[2])
    if contract.__class__ is Map:
        return Map.of([(constant_of(key), shown(inner)) for key, inner in contract.items()])
    if contract.__class__ is Vector:
        return Vector.of([shown(item) for item in items_of(contract)])
    if is_list(contract) and is_shape_list(items_of(contract)):
        return List.of([shown(item) for item in items_of(contract)])
    return constant_of(contract)


def _call(name: str, *arguments: Any) -> Any:
    return List.of([Symbol(CORE, f"%{name}"), *arguments])


def _quote(form: Any) -> Any:
    return List.of([Symbol(None, "quote"), form])


def _if(test: Any, then: Any, otherwise: Any) -> Any:
    return List.of([Symbol(None, "if"), test, then, otherwise])


def _let(name: Symbol, value: Any, body: Any) -> Any:
    return List.of([Symbol(None, "let"), Vector.of([name, value]), body])


def _loop(bindings: list[Any], body: Any) -> Any:
    return List.of([Symbol(None, "loop"), Vector.of(bindings), body])


def contract_value(arguments: list[Any], result: Any) -> Any:
    """What a global's `contract` holds: `{:args [contract or nil ...] :return contract or nil}`, forms as values."""
    values = Vector.of([constant_of(form) for form in arguments])
    return Map.of([(keyword("args"), values), (keyword("return"), constant_of(result))])
