"""Types of values, records and instances, and the methods of protocols, which stand in open tables."""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    BuiltinFn,
    Closure,
    Cons,
    ErrorValue,
    Instance,
    Keyword,
    LanguageError,
    LazySeq,
    List,
    Map,
    Range,
    Record,
    Resumption,
    Set,
    SortedMap,
    SortedSet,
    Symbol,
    Vector,
    VectorSeq,
    fail,
    keyword,
    meta_of,
)
from flowmetal.vm.builtins.check import NUMBERS, shown, wrong_type
from flowmetal.vm.builtins.dispatch import table
from flowmetal.vm.builtins.predicates import TYPES, type_of
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.state import Process

KIND_NO_IMPLEMENTATION = keyword("no-implementation")
_PROTOCOL, _METHOD, _TYPE = keyword("protocol"), keyword("method"), keyword("type")
_DEFAULT, _RECORD, _MAP, _COLL = keyword("default"), keyword("record"), keyword("map"), keyword("coll")

#: The wider kinds that values of a class belong to, nearest first; `default` is everything but nil.
_WIDER: dict[type, tuple[str, ...]] = {
    **dict.fromkeys(NUMBERS, ("number",)),
    List: ("seq", "sequential", "coll"),
    **dict.fromkeys((Cons, VectorSeq, Range, LazySeq), ("sequential", "coll")),
    Vector: ("sequential", "coll", "ifn"),
    Map: ("coll", "ifn"),
    SortedMap: ("map", "coll", "ifn"),
    Set: ("coll", "ifn"),
    SortedSet: ("set", "coll", "ifn"),
    **dict.fromkeys((Closure, BuiltinFn, Resumption, Keyword, Symbol), ("ifn",)),
}
_KINDS: dict[type, tuple[Any, ...]] = {
    kind: (name, *(keyword(wider) for wider in _WIDER.get(kind, ())), _DEFAULT)
    for kind, name in TYPES.items()
    if kind is not type(None)
}


def kinds_of(value: Any) -> tuple[Any, ...]:
    """What a protocol may be extended to so that it holds for a value, nearest first."""
    kind = value.__class__
    if kind is Record:
        return (value.type, _RECORD, _MAP, _COLL, _DEFAULT)
    if kind is Instance:
        return (value.type, _DEFAULT)
    return (None,) if value is None else _KINDS.get(kind, (_DEFAULT,))


@builtin(1800, "kinds", 1)
def kinds(value: Any) -> Vector:
    """The type of a value and the wider kinds it belongs to, nearest first."""
    return Vector.of(kinds_of(value))


@builtin(1801, "type-or-meta", 1)
def type_or_meta(value: Any) -> Any:
    """The :type of a value's metadata; else its type as a keyword, nil for nil, the name of a record's type."""
    meta = meta_of(value)
    named = None if meta is None else meta.get(_TYPE)
    if named is not None:
        return named
    return None if value is None else type_of(value)


@builtin(1802, "instance?", 2)
def is_instance(type: Any, value: Any) -> bool:
    """Whether a value is of a type, or of a wider kind."""
    if type is not None and type.__class__ not in (Keyword, Symbol):
        wrong_type("instance?", "a type such as String, :string or a record's name", type)
    return type in kinds_of(value)


@builtin(1803, "record", 3)
def record(type: Any, fields: Any, content: Any) -> Record:
    """A record of a type with these fields, from a map that has all of them."""
    if content.__class__ is not Map or not Record.fits(type, fields, content):
        fail("argument", f"a record of type {shown(type)} needs a map with its fields {shown(fields)}")
    return Record.made(type, fields, content)


@builtin(1804, "record?", 1)
def is_record(value: Any) -> bool:
    """Whether the value is a record."""
    return value.__class__ is Record


@builtin(1805, "instance", 2)
def instance(type: Any, methods: Any) -> Instance:
    """A value with methods: a map from protocol to a map from method to function."""
    if type.__class__ not in (Keyword, Symbol) or methods.__class__ is not Map:
        wrong_type("reify", "a type and a map of methods", type)
    return Instance(type, methods)


def _methods(process: Process, protocol: Symbol, value: Any) -> Any:
    """The map of methods that a protocol has for a value, or None."""
    if value.__class__ is Instance:
        own = value.methods.get(protocol)
        if own is not None:
            return own
    entries = table(process, protocol.text)
    for kind in kinds_of(value):
        found = entries.get(kind)
        if found is not None:
            return found
    return None


def _method(process: Process, protocol: Any, method: Any, by_meta: Any, value: Any) -> Any:
    if protocol.__class__ is not Symbol or method.__class__ is not Keyword:
        wrong_type("a protocol's method", "a symbol and a keyword", protocol)
    if by_meta is not None and by_meta is not False and value.__class__ is not Record:
        found = _in_meta(protocol, method, value)
        if found is not None:
            return found
    methods = _methods(process, protocol, value)
    found = methods.get(method) if methods.__class__ is Map else None
    if found is None and by_meta is not None and by_meta is not False:
        found = _in_meta(protocol, method, value)
    return found


def _in_meta(protocol: Symbol, method: Keyword, value: Any) -> Any:
    meta = meta_of(value)
    return None if meta is None else meta.get(Symbol(protocol.namespace, method.text))


@builtin(1806, "protocol-method", 4, context=True)
def protocol_method(process: Process, protocol: Any, method: Any, by_meta: Any, value: Any) -> Any:
    """The function that a protocol's method is for a value; an error where there is none."""
    found = _method(process, protocol, method, by_meta, value)
    if found is None:
        type = None if value is None else type_of(value)
        what = "nil" if type is None else f"{shown(type)} ({shown(value)})"
        text = f"{method.text} of the protocol {protocol.text} is not implemented for {what}"
        data = Map.of([(_PROTOCOL, protocol), (_METHOD, method), (_TYPE, type)])
        raise LanguageError(ErrorValue(KIND_NO_IMPLEMENTATION, text, data))
    return found


@builtin(1807, "find-protocol-method", 4, context=True)
def find_protocol_method(process: Process, protocol: Any, method: Any, by_meta: Any, value: Any) -> Any:
    """The function that a protocol's method is for a value, or nil."""
    return _method(process, protocol, method, by_meta, value)


@builtin(1808, "satisfies?", 2, context=True)
def satisfies(process: Process, protocol: Any, value: Any) -> bool:
    """Whether a protocol has methods for a value."""
    if protocol.__class__ is not Symbol:
        wrong_type("satisfies?", "a protocol", protocol)
    return _methods(process, protocol, value) is not None
