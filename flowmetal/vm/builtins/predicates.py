"""What a value is, and whether two are equal."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from flowmetal.values import (
    BuiltinFn,
    Cell,
    Char,
    Closure,
    Cons,
    Duration,
    ErrorValue,
    Instance,
    Instant,
    Keyword,
    LazySeq,
    List,
    Map,
    Pid,
    Promise,
    Range,
    Record,
    Reduced,
    Regex,
    Resumption,
    Secret,
    Set,
    SortedMap,
    SortedSet,
    Symbol,
    Vector,
    VectorSeq,
    compare,
    equal,
    hash_of,
    keyword,
)
from flowmetal.values import identical as same
from flowmetal.values import is_empty as is_empty_value
from flowmetal.vm.builtins.check import NUMBERS
from flowmetal.vm.builtins.registry import add, builtin

SEQUENCES: frozenset[type] = frozenset((List, Cons, VectorSeq, Range, LazySeq))
MAPS: frozenset[type] = frozenset((Map, SortedMap, Record))
SETS: frozenset[type] = frozenset((Set, SortedSet))
COLLECTIONS: frozenset[type] = SEQUENCES | MAPS | SETS | {Vector}
FUNCTIONS: frozenset[type] = frozenset((Closure, BuiltinFn, Resumption))
CALLABLE: frozenset[type] = FUNCTIONS | (MAPS - {Record}) | SETS | {Vector, Keyword, Symbol}
NAMES: frozenset[type] = frozenset((Keyword, Symbol))

_TYPE_NAMES: dict[type, str] = {
    type(None): "nil",
    bool: "boolean",
    int: "integer",
    Fraction: "ratio",
    float: "float",
    Decimal: "decimal",
    Char: "character",
    str: "string",
    bytes: "bytes",
    Keyword: "keyword",
    Symbol: "symbol",
    Instant: "instant",
    Duration: "duration",
    uuid.UUID: "uuid",
    Regex: "regex",
    Pid: "pid",
    Secret: "secret",
    List: "list",
    Cons: "seq",
    VectorSeq: "seq",
    Range: "seq",
    LazySeq: "seq",
    Vector: "vector",
    Map: "map",
    SortedMap: "sorted-map",
    Set: "set",
    SortedSet: "sorted-set",
    Cell: "atom",
    Promise: "promise",
    Closure: "function",
    BuiltinFn: "function",
    Resumption: "function",
    ErrorValue: "error",
    Reduced: "reduced",
}
TYPES = {kind: keyword(name) for kind, name in _TYPE_NAMES.items()}


@builtin(700, "=", 1, None)
def equals(first: Any, *values: Any) -> bool:
    """Whether values are equal."""
    return all(equal(first, value) for value in values)


@builtin(701, "not=", 1, None)
def not_equals(first: Any, *values: Any) -> bool:
    """Whether some of the values differ."""
    return not all(equal(first, value) for value in values)


@builtin(702, "identical?", 2)
def identical(first: Any, second: Any) -> bool:
    """Whether two values are one object, or equal ones of a kind that has no parts."""
    return same(first, second)


@builtin(703, "compare", 2)
def compare_values(first: Any, second: Any) -> int:
    """A negative number, zero or a positive number as the first value sorts before, with or after the second."""
    return compare(first, second)


@builtin(704, "hash", 1)
def hash_value(value: Any) -> int:
    """The hash of a value: equal values have one hash, on every machine."""
    return hash_of(value)


@builtin(705, "type", 1)
def type_of(value: Any) -> Any:
    """The kind of a value as a keyword, such as :integer, :vector or :function; the name of a record's type."""
    kind = value.__class__
    return value.type if kind is Record or kind is Instance else TYPES.get(kind)


@builtin(706, "not", 1)
def negation(value: Any) -> bool:
    """true for nil and false, false for all else."""
    return value is None or value is False


@builtin(707, "nil?", 1)
def is_nil(value: Any) -> bool:
    """Whether the value is nil."""
    return value is None


@builtin(708, "some?", 1)
def is_some(value: Any) -> bool:
    """Whether the value is not nil."""
    return value is not None


@builtin(709, "true?", 1)
def is_true(value: Any) -> bool:
    """Whether the value is true."""
    return value is True


@builtin(710, "false?", 1)
def is_false(value: Any) -> bool:
    """Whether the value is false."""
    return value is False


def _of(number: int, name: str, kinds: frozenset[type] | set[type], what: str) -> None:
    """Registers a predicate that looks at the class alone."""

    def test(value: Any) -> bool:
        return value.__class__ in kinds

    add(number, name, 1, 1, test, doc=f"Whether the value is {what}.")


_BY_CLASS: tuple[tuple[int, str, set[type] | frozenset[type], str], ...] = (
    (711, "boolean?", {bool}, "true or false"),
    (712, "number?", NUMBERS, "a number"),
    (713, "integer?", {int}, "an integer"),
    (714, "ratio?", {Fraction}, "a ratio"),
    (715, "float?", {float}, "a float"),
    (716, "decimal?", {Decimal}, "a decimal"),
    (717, "rational?", {int, Fraction, Decimal}, "an integer, a ratio or a decimal"),
    (718, "char?", {Char}, "a character"),
    (719, "string?", {str}, "a string"),
    (720, "bytes?", {bytes}, "bytes"),
    (721, "keyword?", {Keyword}, "a keyword"),
    (722, "symbol?", {Symbol}, "a symbol"),
    (723, "ident?", NAMES, "a keyword or a symbol"),
    (724, "instant?", {Instant}, "an instant"),
    (725, "duration?", {Duration}, "a duration"),
    (726, "uuid?", {uuid.UUID}, "a UUID"),
    (727, "regex?", {Regex}, "a regex"),
    (728, "pid?", {Pid}, "a process id"),
    (729, "list?", {List}, "a list"),
    (730, "vector?", {Vector}, "a vector"),
    (731, "map?", MAPS, "a map"),
    (732, "set?", SETS, "a set"),
    (733, "seq?", SEQUENCES, "a sequence"),
    (734, "sequential?", SEQUENCES | {Vector}, "a sequence or a vector"),
    (735, "coll?", COLLECTIONS, "a collection"),
    (736, "associative?", MAPS | {Vector}, "a map or a vector"),
    (737, "counted?", (COLLECTIONS - {LazySeq, Cons}), "a collection that knows its size"),
    (738, "seqable?", COLLECTIONS | {str, type(None)}, "something `seq` takes"),
    (739, "sorted?", {SortedMap, SortedSet}, "a sorted map or set"),
    (740, "fn?", FUNCTIONS, "a function"),
    (741, "ifn?", CALLABLE, "something that can be called"),
    (742, "reversible?", {Vector, SortedMap, SortedSet}, "something `rseq` takes"),
)
for _number, _name, _kinds, _what in _BY_CLASS:
    _of(_number, _name, frozenset(_kinds), _what)


def _names(number: int, name: str, kinds: set[type], qualified: bool, what: str) -> None:
    def test(value: Any) -> bool:
        kind: type = value.__class__
        return kind in kinds and (value.namespace is not None) is qualified

    add(number, name, 1, 1, test, doc=f"Whether the value is {what}.")


_names(743, "simple-keyword?", {Keyword}, False, "a keyword without a namespace")
_names(744, "qualified-keyword?", {Keyword}, True, "a keyword with a namespace")
_names(745, "simple-symbol?", {Symbol}, False, "a symbol without a namespace")
_names(746, "qualified-symbol?", {Symbol}, True, "a symbol with a namespace")


@builtin(747, "empty?", 1)
def is_empty(value: Any) -> bool:
    """Whether a collection, a string or nil has no items."""
    return is_empty_value(value)


def _integers(number: int, name: str, test: Callable[[int], bool], what: str) -> None:
    def check(value: Any) -> bool:
        return value.__class__ is int and test(value)

    add(number, name, 1, 1, check, doc=f"Whether the value is {what}.")


_integers(748, "pos-int?", lambda value: value > 0, "an integer greater than zero")
_integers(749, "neg-int?", lambda value: value < 0, "an integer less than zero")
_integers(750, "nat-int?", lambda value: value >= 0, "an integer that is not negative")
