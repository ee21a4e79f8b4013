"""Kinds: which kinds of value a node or a contract can mean, as far as that is known without running anything.

A kind is what `type` gives, without its colon.  None stands for "anything"; a set that is not None has all kinds the
value can be of, so that two sets without a common kind prove that a value cannot keep a contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.compiler.contracts import is_shape_list
from flowmetal.compiler.nodes import BuiltinCall, Collection, Const, Do, If, Let, Node, Operation
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.values import Keyword, Map, Set, Symbol, Vector, iterate

Kinds = frozenset[str] | None

_NUMBERS = frozenset(("integer", "ratio", "float", "decimal"))
_INTEGER = frozenset(("integer",))
_BOOLEAN = frozenset(("boolean",))
_STRING = frozenset(("string",))
_SEQUENTIAL = frozenset(("list", "vector", "seq"))

#: Predicates of the core that hold of values of these kinds only.
PREDICATES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("int?", "integer?", "pos-int?", "neg-int?", "nat-int?"), _INTEGER),
    "number?": _NUMBERS,
    "string?": _STRING,
    "boolean?": _BOOLEAN,
    "true?": _BOOLEAN,
    "false?": _BOOLEAN,
    "nil?": frozenset(("nil",)),
    "keyword?": frozenset(("keyword",)),
    "symbol?": frozenset(("symbol",)),
    "float?": frozenset(("float",)),
    "ratio?": frozenset(("ratio",)),
    "decimal?": frozenset(("decimal",)),
    "char?": frozenset(("character",)),
    "uuid?": frozenset(("uuid",)),
    "instant?": frozenset(("instant",)),
    "duration?": frozenset(("duration",)),
    "map?": frozenset(("map",)),
    "set?": frozenset(("set",)),
    "vector?": frozenset(("vector",)),
    "sequential?": _SEQUENTIAL,
}

#: Builtins and operations that give values of these kinds only, whatever they are given.
_RESULTS: dict[str, frozenset[str]] = {
    "str": _STRING, "pr-str": _STRING, "name": _STRING, "count": _INTEGER, "nil?": _BOOLEAN, "string?": _BOOLEAN,
    "less": _BOOLEAN, "less_equal": _BOOLEAN, "equal": _BOOLEAN, "not": _BOOLEAN,
    "map": frozenset(("map",)), "set": frozenset(("set",)), "vector": frozenset(("vector",)),
    # Durations and instants can be added as well.
    **dict.fromkeys(("add", "subtract", "multiply"), _NUMBERS | {"duration", "instant"}),
}  # fmt: skip


def kinds_of_contract(contract: Any, predicate: Callable[[Symbol], str | None]) -> Kinds:
    """The kinds of what keeps a contract; `predicate` gives the name in the core that a symbol means."""
    if contract.__class__ is Symbol:
        name = predicate(contract)
        return None if name is None else PREDICATES.get(name)
    if contract.__class__ is Map:
        return frozenset(("map",))
    if contract.__class__ is Vector:
        return _SEQUENTIAL if len(contract) == 1 else frozenset(("vector",))
    if contract.__class__ is Set:
        return _union([_kind_of(item) for item in iterate(contract)])
    items = items_of(contract) if is_list(contract) else []
    if not is_shape_list(items):
        return None
    name, parts = items[0].name, items[1:]
    if name in ("map-of", "set-of"):
        return frozenset((name.partition("-")[0],))
    if name == "enum":
        return _union([_kind_of(item) for item in parts])
    inner = [kinds_of_contract(part, predicate) for part in parts]
    if name == "maybe":
        return _union([*inner, frozenset(("nil",))])
    if name == "or":
        return _union(inner)
    known = [kinds for kinds in inner if kinds is not None]
    return frozenset.intersection(*known) if known else None


def kinds_of_node(node: Node, result: Callable[[Node], Kinds]) -> Kinds:
    """The kinds of what a node gives; `result` says it of calls."""
    if isinstance(node, Operation | Collection):
        return _RESULTS.get(node.mnemonic)
    if isinstance(node, BuiltinCall):
        return _RESULTS.get(node.name)
    if isinstance(node, Const):
        return _kind_of(node.value)
    if isinstance(node, Do):
        return kinds_of_node(node.result, result)
    if isinstance(node, Let):
        return kinds_of_node(node.body, result)
    if isinstance(node, If):
        return _union([kinds_of_node(node.then, result), kinds_of_node(node.otherwise, result)])
    return result(node)


def _union(parts: list[Kinds]) -> Kinds:
    found: set[str] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return frozenset(found)


def _kind_of(value: Any) -> Kinds:
    if value is None:
        return frozenset(("nil",))
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (str, "string"),
        (Keyword, "keyword"),
        (Map, "map"),
        (Vector, "vector"),
        (Set, "set"),
    ):
        if value.__class__ is kind:
            return frozenset((name,))
    return None
