"""Generated values of every kind, for property tests."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from flowmetal.values import (
    Char,
    Cons,
    Duration,
    ErrorValue,
    Instance,
    Instant,
    List,
    Map,
    Pid,
    Range,
    Record,
    Regex,
    Secret,
    Set,
    SortedMap,
    SortedSet,
    Symbol,
    Vector,
    VectorSeq,
    entry,
    keyword,
    secret_text,
    with_meta,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9*?!-]{0,6}(/[a-z][a-z0-9]{0,3})?", fullmatch=True)
KEYWORDS = NAMES.map(keyword)
SYMBOLS = NAMES.filter(lambda name: name not in {"nil", "true", "false"}).map(
    lambda name: Symbol(*name.split("/")) if "/" in name else Symbol(None, name)
)
FLOATS = st.floats(allow_nan=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda number: abs(number.adjusted()) < 40
)
RATIOS = st.fractions(max_denominator=1000).filter(lambda ratio: ratio.denominator != 1)
INTEGERS = st.integers() | st.integers(-5, 40) | st.integers(-(1 << 200), 1 << 200)
CHARS = st.characters(exclude_categories=("Cs",)).map(Char)

READABLE = (
    st.none()
    | st.booleans()
    | INTEGERS
    | FLOATS
    | RATIOS
    | DECIMALS
    | TEXT
    | KEYWORDS
    | SYMBOLS
    | CHARS
    | st.binary(max_size=12)
    | st.uuids()
    | st.integers(-(10**20), 10**20).map(Instant)
    | st.integers(-(10**18), 10**18).map(Duration)
)
SECRETS = st.lists(
    TEXT | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,5}", fullmatch=True).map(Secret.named), max_size=6
).map(lambda parts: secret_text([*parts, Secret.named("last")]))
SCALARS = READABLE | st.integers(1, 10**6).map(Pid) | TEXT.map(Regex) | SECRETS
TEXT_LONG = st.text("ab", min_size=60, max_size=140)


def _collections(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(values, max_size=40).map(Vector.of),
        st.lists(values, max_size=6).map(List.of),
        st.tuples(values, values).map(lambda both: entry(*both)),
        st.lists(st.tuples(values, values), max_size=40).map(Map.of),
        st.lists(values, max_size=40).map(Set.of),
    )


def record(names: list[Any], items: list[Any], extra: list[tuple[Any, Any]]) -> Record:
    """A record with these fields, their values in turn, and further entries."""
    content = Map.of([*extra, *zip(names, [*items, *[None] * len(names)], strict=False)])
    return Record.made(Symbol(None, "shop.Order"), Vector.of(names), content)


def _all_collections(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _collections(values),
        st.lists(st.tuples(st.integers(), values), max_size=8).map(SortedMap.of),
        st.lists(st.text("abc", max_size=3), max_size=8).map(SortedSet.of),
        st.lists(values, min_size=1, max_size=6).map(VectorSeq.of),
        st.builds(Cons, values, st.lists(values, max_size=4).map(Vector.of)),
        st.builds(Range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
        st.builds(ErrorValue, KEYWORDS, TEXT, values),
        st.builds(
            record,
            st.lists(KEYWORDS, max_size=5, unique=True),
            st.lists(values, max_size=5),
            st.lists(st.tuples(values, values), max_size=20),
        ),
        st.builds(Instance, KEYWORDS | SYMBOLS, st.lists(st.tuples(SYMBOLS, values), max_size=3).map(Map.of)),
        st.builds(with_meta, st.lists(values, max_size=3).map(Vector.of), st.just(Map.of([(keyword("a"), 1)]))),
    )


VALUES = st.recursive(SCALARS, _all_collections, max_leaves=30)
"""Every value that equality, hash and codec treat as data."""

PRINTABLE = st.recursive(READABLE, _collections, max_leaves=25)
"""Every value whose printed form reads back."""


def model(value: Any) -> Any:
    """A Python value that is equal to another model exactly when the language says the values are."""
    kind = value.__class__
    if kind in (Vector, List, VectorSeq, Cons, Range):
        return ("seq", tuple(model(item) for item in value))
    if kind in (Map, SortedMap):
        return ("map", frozenset((model(key), model(item)) for key, item in value.items()))
    if kind is Record:
        entries = frozenset((model(key), model(item)) for key, item in value.items())
        return ("record", value.type.text, entries)
    if kind is Instance:
        return ("instance", model(value.type), model(value.methods))
    if kind in (Set, SortedSet):
        return ("set", frozenset(model(item) for item in value))
    if kind is ErrorValue:
        return ("error", value.kind.text, value.message, model(value.data), model(value.cause))
    if kind is Decimal:
        return ("Decimal", Fraction(value))
    if kind is float:
        return ("float", math.inf if value == math.inf else value + 0.0)
    return (kind.__name__, value)
