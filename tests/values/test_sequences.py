"""Operations over every kind of sequence, metadata, and JSON-like data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.values import (
    EMPTY_LIST,
    EMPTY_MAP,
    EMPTY_VECTOR,
    Cell,
    Char,
    Cons,
    Duration,
    ErrorValue,
    Instant,
    LanguageError,
    LazySeq,
    List,
    Map,
    NeedsRealize,
    Pid,
    Promise,
    Range,
    Set,
    SortedMap,
    SortedSet,
    Spanned,
    Vector,
    VectorSeq,
    assoc,
    conj,
    cons,
    contains,
    count,
    dissoc,
    empty,
    equal,
    first,
    from_python,
    get,
    into,
    is_empty,
    iterate,
    keyword,
    meta_of,
    next_,
    nth,
    peek,
    pop,
    rest,
    seq,
    span_of,
    symbol,
    to_python,
    with_meta,
    with_span,
    without_meta,
)

K = keyword


def done(value: Any) -> LazySeq:
    lazy = LazySeq(None)
    lazy.state, lazy.value = "done", value
    return lazy


def chain(*items: Any) -> LazySeq:
    """A realized lazy sequence of these items."""
    value = done(None)
    for item in reversed(items):
        value = done(Cons(item, value))
    return value


SEQUENCES: list[tuple[Any, list[Any]]] = [
    (None, []),
    (EMPTY_LIST, []),
    (EMPTY_VECTOR, []),
    (EMPTY_MAP, []),
    (Set.of([]), []),
    (SortedMap(), []),
    ("", []),
    (b"", []),
    (Range(0, 0), []),
    (done(None), []),
    (List.of([1, 2, 3]), [1, 2, 3]),
    (Vector.of([1, 2, 3]), [1, 2, 3]),
    (Vector.of(range(100)), list(range(100))),
    (VectorSeq(Vector.of(range(100)), 60), list(range(60, 100))),
    (Range(1, 4), [1, 2, 3]),
    (Range(0, 1.0, 0.25), [0, 0.25, 0.5, 0.75]),
    (Range(Fraction(1, 2), 2), [Fraction(1, 2), Fraction(3, 2)]),
    (Cons(1, Vector.of([2, 3])), [1, 2, 3]),
    (Cons(1, chain(2, 3)), [1, 2, 3]),
    (Cons(1, Range(2, 4)), [1, 2, 3]),
    (chain(1, 2, 3), [1, 2, 3]),
    (done(List.of([1, 2])), [1, 2]),
    ("aλ😀", [Char("a"), Char("λ"), Char("😀")]),
    (b"ab", [97, 98]),
    (Map.of([(1, 2), (3, 4)]), [Vector.of([1, 2]), Vector.of([3, 4])]),
    (SortedMap.of([(3, 4), (1, 2)]), [Vector.of([1, 2]), Vector.of([3, 4])]),
    (Set.of([1, 2.0, True]), [1, 2.0, True]),
    (SortedSet.of([2, 1]), [1, 2]),
]


@pytest.mark.parametrize(("value", "items"), SEQUENCES)
def test_every_sequence(value: Any, items: list[Any]) -> None:
    plain = Vector.of(items)
    assert equal(Vector.of(iterate(value)), plain)
    assert count(value) == len(items) and is_empty(value) == (not items)
    assert equal(first(value), items[0] if items else None)
    assert equal(rest(value), List.of(items[1:]))
    after = next_(value)
    assert after is None if len(items) < 2 else equal(after, List.of(items[1:]))
    found = seq(value)
    assert found is None if not items else equal(found, plain)
    assert equal(cons(0, value), List.of([0, *items]))
    assert equal(into(EMPTY_VECTOR, value), plain)
    walked, step = [], found
    while step is not None:
        walked.append(first(step))
        step = next_(step)
    assert equal(Vector.of(walked), plain)
    if value.__class__ not in (Map, Set, SortedMap, SortedSet):
        for index, item in enumerate(items):
            assert equal(nth(value, index), item) and equal(nth(value, index, "none"), item)
        assert nth(value, len(items), "none") == "none" and nth(value, -1, "none") == "none"
        if value is not None:
            for index in (len(items), -1):
                with pytest.raises(LanguageError) as caught:
                    nth(value, index)
                assert caught.value.error.kind is K("index")


@pytest.mark.parametrize("value", [1, True, K("a"), symbol("a"), 1.5, Instant(1), Cell(1)])
def test_what_is_no_sequence(value: Any) -> None:
    for function in (seq, first, rest, count, iterate, is_empty, next_, lambda v: nth(v, 0), lambda v: cons(1, v)):
        with pytest.raises(LanguageError) as caught:
            function(value)
        assert caught.value.error.kind is K("type")


def test_lazy_sequences_are_asked_for_as_little_as_needed() -> None:
    lazy = LazySeq(None)
    wants: list[tuple[Callable[[], Any], bool]] = [
        (lambda: seq(lazy), False),
        (lambda: first(lazy), False),
        (lambda: rest(lazy), False),
        (lambda: is_empty(lazy), False),
        (lambda: next_(Cons(1, lazy)), False),
        (lambda: nth(Cons(1, lazy), 1), False),
        (lambda: count(Cons(1, lazy)), True),
        (lambda: list(iterate(Cons(1, lazy))), True),
        (lambda: into(EMPTY_VECTOR, lazy), True),
        (lambda: to_python(lazy), True),
    ]
    for act, whole in wants:
        with pytest.raises(NeedsRealize) as caught:
            act()
        assert caught.value.seq is lazy and caught.value.whole == whole
    assert first(Cons(1, lazy)) == 1 and rest(Cons(1, lazy)) is lazy and nth(Cons(1, lazy), 0) == 1
    assert cons(1, lazy).rest is lazy and conj(lazy, 1).rest is lazy


def test_adding() -> None:
    assert conj(None, 1) == List.of([1]) and conj(List.of([1]), 0) == List.of([0, 1])
    assert conj(Vector.of([1]), 2) == Vector.of([1, 2]) and conj(Range(1, 3), 0) == List.of([0, 1, 2])
    assert conj(EMPTY_MAP, Vector.of([1, 2])) == Map.of([(1, 2)]) == conj(EMPTY_MAP, Map.of([(1, 2)]))
    assert conj(SortedMap(), SortedMap.of([(1, 2)])).__class__ is SortedMap
    assert conj(EMPTY_MAP, None) is EMPTY_MAP and conj(Set.of([]), 1) == Set.of([1])
    assert into(Map.of([(1, 1)]), Vector.of([Vector.of([1, 2]), Map.of([(3, 4)]), None])) == Map.of([(1, 2), (3, 4)])
    assert into(Set.of([1]), Range(0, 3)) == Set.of([0, 1, 2]) and into(List.of([1]), "a") == List.of([Char("a"), 1])
    assert into(None, Vector.of([1, 2])) == List.of([2, 1]) and into(SortedSet(), List.of([2, 1])) == SortedSet.of(
        [1, 2]
    )
    for act in (lambda: conj(EMPTY_MAP, 1), lambda: conj(1, 1), lambda: conj(EMPTY_MAP, Vector.of([1]))):
        with pytest.raises(LanguageError):
            act()


def test_looking_up_and_changing() -> None:
    assert get(Map.of([(1, 2)]), 1) == 2 and get(None, 1, "no") == "no" and get(Set.of([1]), 1) == 1
    assert (
        get(Vector.of([5]), 0) == 5 and get(Vector.of([5]), 1, "no") == "no" and get(Vector.of([5]), True, "no") == "no"
    )
    assert get("ab", 1) == Char("b") and get(5, 1) is None and get(SortedMap.of([(1, 2)]), 1) == 2
    assert contains(Vector.of([5]), 0) and not contains(Vector.of([5]), 5) and contains(Set.of([5]), 5)
    assert not contains(None, 1)
    assert assoc(None, 1, 2) == Map.of([(1, 2)]) and assoc(Vector.of([1]), 0, 2) == Vector.of([2])
    assert dissoc(Map.of([(1, 2)]), 1) is EMPTY_MAP and dissoc(None, 1) is None
    assert peek(Vector.of([1, 2])) == 2 and peek(List.of([1, 2])) == 1 and peek(None) is None
    assert pop(Vector.of([1, 2])) == Vector.of([1]) and pop(List.of([1, 2])) == List.of([2]) and pop(None) is None
    assert empty(Vector.of([1])) is EMPTY_VECTOR and empty(1) is None and empty(Range(0, 3)) is EMPTY_LIST
    for act in (
        lambda: contains(5, 1),
        lambda: assoc(5, 1, 1),
        lambda: assoc(Vector.of([]), "a", 1),
        lambda: dissoc(5, 1),
        lambda: peek(5),
        lambda: pop(EMPTY_LIST),
        lambda: pop(5),
        lambda: nth(Vector.of([1]), "a"),
        lambda: nth(EMPTY_MAP, 0),
    ):
        with pytest.raises(LanguageError):
            act()


@pytest.mark.parametrize(
    "value",
    [
        Vector.of(range(50)),
        List.of([1]),
        EMPTY_LIST,
        Map.of([(1, 2)]),
        Set.of([1]),
        SortedSet.of([1]),
        symbol("a"),
        Range(0, 5),
        Cons(1, None),
        chain(1),
        VectorSeq(Vector.of([1]), 0),
        EMPTY_MAP,
        EMPTY_VECTOR,
    ],
)
def test_metadata(value: Any) -> None:
    meta, span = Map.of([(K("doc"), "x")]), ("file.fm", 1)
    assert meta_of(value) is None and span_of(value) is None
    marked = with_meta(value, meta)
    assert meta_of(marked) is meta and equal(marked, value) and meta_of(value) is None and marked.owner is None
    placed = with_span(marked, span)
    assert meta_of(placed) is meta and span_of(placed) == span and placed.meta.__class__ is Spanned
    assert span_of(with_meta(placed, None)) == span and meta_of(with_meta(placed, None)) is None
    assert meta_of(with_span(placed, None)) is meta
    assert without_meta(placed).meta is None and equal(without_meta(placed), value)
    assert meta_of(with_span(value, span)) is None


def test_metadata_stays_on_changed_collections() -> None:
    meta = Map.of([(K("a"), 1)])
    assert meta_of(with_meta(Vector.of([1]), meta).conj(2).assoc(0, 5).extend([1]).pop()) is meta
    assert meta_of(with_meta(Map.of([(1, 2)]), meta).assoc(3, 4).dissoc(3).dissoc(1)) is meta
    assert meta_of(with_meta(Set.of([1]), meta).conj(3).disj(3).disj(1)) is meta
    for value in (1, "a", K("a"), None, Cell(1), Promise()):
        with pytest.raises(LanguageError):
            with_meta(value, meta)
    with pytest.raises(LanguageError):
        with_meta(Vector.of([]), 5)


def test_values_as_python_data() -> None:
    value = Map.of(
        [
            (K("a/b"), Vector.of([1, 2.5, None, True, "x", K("k"), symbol("s"), Char("c")])),
            ("text", List.of([Fraction(1, 3), Decimal("1.50"), b"hi", UUID(int=1), Pid(5)])),
            (5, Set.of([1])),
            (K("t"), chain(Instant(0), Duration(10**9))),
            (K("e"), ErrorValue(K("x/y"), "m", Map.of([(K("d"), 1)]), trace=EMPTY_VECTOR)),
            (K("r"), Range(0, 2)),
        ]
    )
    assert to_python(value) == {
        "a/b": [1, 2.5, None, True, "x", "k", "s", "c"],
        "text": ["1/3", "1.50", "aGk=", "00000000-0000-0000-0000-000000000001", 5],
        "5": [1],
        "t": ["1970-01-01T00:00:00.000Z", "PT1S"],
        "e": {"kind": "x/y", "message": "m", "data": {"d": 1}},
        "r": [0, 1],
    }


def test_what_python_data_cannot_hold() -> None:
    cases: list[tuple[Any, str, str]] = [
        (Vector.of([1, Map.of([(K("f"), List.of([Cell(1)]))])]), "type", "a cell cannot leave the program at 1/f/0"),
        (Promise(), "type", "a promise cannot leave the program"),
        (Vector.of([math.nan]), "type", "##NaN cannot be written as JSON"),
        (Map.of([(K("a"), 1), ("a", 2)]), "argument", "two keys of a map have the same text at a"),
    ]
    for value, kind, message in cases:
        with pytest.raises(LanguageError) as caught:
            to_python(value)
        assert caught.value.error.kind is K(kind) and caught.value.error.message == message


def test_python_data_as_values() -> None:
    found = from_python({"a": [1, (2.5, None)], "b c": {"x/y": b"z", "/": True}, "": "s"})
    assert found == Map.of(
        [
            (K("a"), Vector.of([1, Vector.of([2.5, None])])),
            ("b c", Map.of([(K("x/y"), b"z"), (K("/"), True)])),
            ("", "s"),
        ]
    )
    for data, message in [
        ({"a": [object()]}, "Python's object has no counterpart in the language at a/0"),
        ({"a": {1: 2}}, "the key of an object is not a string at a"),
        ([math.inf], "NaN and infinities are not taken from outside at 0"),
        (["\ud800"], "a string with half of a surrogate pair at 0"),
        ({1, 2}, "Python's set has no counterpart in the language"),
        (keyword("a"), "Python's Keyword has no counterpart in the language"),
    ]:
        with pytest.raises(LanguageError) as caught:
            from_python(data)
        assert caught.value.error.kind is K("type") and caught.value.error.message == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON)
def test_json_goes_in_and_out(data: Any) -> None:
    assert to_python(from_python(data)) == data
    assert json.dumps(to_python(from_python(data))) == json.dumps(data)
