"""What holds of all builtins: any values in, a value or an error of the language out; and laws of some of them."""

from __future__ import annotations

import json
import re
import string
import uuid
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.bytecode.open_tables import add_entry
from flowmetal.bytecode.program import Module, Program
from flowmetal.values import (
    EMPTY_LIST,
    BuiltinFn,
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
    Reduced,
    Regex,
    Set,
    SortedMap,
    SortedSet,
    Vector,
    VectorSeq,
    compare,
    equal,
    is_seqable,
    keyword,
    print_string,
    symbol,
)
from flowmetal.vm.builtins import BUILTINS, BY_NAME, BuiltinInfo


class Process:
    """As much of a process as builtins with a context see."""

    def __init__(self) -> None:
        self.touched: list[Any] = []
        self.next_name = 1
        self.waiters: dict[int, list[int]] = {}
        self.fibers: dict[int, Any] = {}
        self.running = 0
        self.globals: dict[tuple[str, str], Any] = {}
        module = Module("t")
        for table in ("flowmetal.core/hierarchy", "a", "a prefers"):
            add_entry(module, table, Vector.of((keyword("t/child"), keyword("t/parent"))), True)
        self.program = Program({"t": module}, "t", growing=[])

    def bindings(self) -> list[Any]:
        return []

    def touch(self, cell: Any) -> None:
        self.touched.append(cell)


def call(name: str, *arguments: Any) -> Any:
    return BY_NAME[name].function(*arguments)


def lazy() -> LazySeq:
    """A lazy sequence that nobody has looked at."""
    return LazySeq(BuiltinFn(1, "catches"))


def realized(*items: Any) -> LazySeq:
    made = LazySeq(None)
    made.state = "done"
    made.value = VectorSeq.of(items)
    return made


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(-(1 << 80), 1 << 80),
    st.floats(),
    st.fractions(max_denominator=9).filter(lambda f: f.denominator != 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.sampled_from([Decimal("1E+9999"), Decimal("-1E-9999")]),
    st.text('aZ é{}[]"\\%$.\n0-9', max_size=8),
    st.sampled_from(["%d", "%5.2f", "(", "a+", "[1", '{"a": 1}', "2026-01-01", "aGk=", "00ff"]),
    st.binary(max_size=4),
    st.characters(categories=["L", "N"]).map(Char),
    st.sampled_from(["a", "kind", "b/c", "keys", "string", "hours", "message"]).map(keyword),
    st.sampled_from(["x", "y/z"]).map(symbol),
    st.integers(-(1 << 62), 1 << 62).map(Instant),
    st.integers(-(1 << 62), 1 << 62).map(Duration),
    st.sampled_from([uuid.UUID(int=5), Pid(3), Regex("a(b)?"), Regex("(")]),
)


def _collections(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=5)
    pairs = st.lists(st.tuples(inner, inner), max_size=4)
    numbers = st.lists(st.integers(-9, 9), max_size=5)
    return st.one_of(
        items.map(Vector.of),
        items.map(List.of),
        items.map(lambda i: VectorSeq.of(i) or EMPTY_LIST),
        items.map(Set.of),
        pairs.map(Map.of),
        items.map(lambda i: realized(*i)),
        inner.map(lambda i: Cons(i, realized(1, 2))),
        inner.map(Cell),
        inner.map(Reduced),
        inner.map(lambda i: ErrorValue(keyword("k"), "m", i)),
        numbers.map(lambda i: _sorted(SortedSet.of(()), i)),
        numbers.map(lambda i: _sorted(SortedMap.of(()), [Vector.of((n, n)) for n in i])),
    )


def _sorted(made: Any, items: list[Any]) -> Any:
    for item in items:
        made = call("conj", made, item)
    return made


VALUES = st.one_of(
    st.recursive(SCALARS, _collections, max_leaves=8),
    st.builds(lazy),
    SCALARS.map(lambda i: Cons(i, lazy())),
    SCALARS.map(lambda i: Vector.of((i, lazy()))),
    st.builds(Promise),
    st.just(BuiltinFn(100, "+")),
    st.sampled_from([Range(0, 5), Range(5, 0, -2), Range(0, 1, Fraction(1, 3))]),
)


@pytest.mark.parametrize("info", BUILTINS.values(), ids=lambda info: info.name)
@given(data=st.data())
def test_any_values_in_a_value_or_an_error_out(info: BuiltinInfo, data: st.DataObject) -> None:
    most = info.min_args + 3 if info.max_args is None else info.max_args
    count = data.draw(st.integers(info.min_args, most))
    arguments = [data.draw(VALUES) for _ in range(count)]
    if info.name == "catches":
        arguments[0] = ErrorValue(keyword("k"), "m")
    try:
        result = info.function(*([Process()] if info.context else []), *arguments)
    except (LanguageError, NeedsRealize):
        return
    try:
        print_string(result, limit=500)
    except NeedsRealize:
        pass


def test_a_builtin_that_changes_a_cell_tells_the_process() -> None:
    process, cell = Process(), Cell(1)
    assert call("cell-set", process, cell, 2) == 2
    assert list(call("cell-swap", process, cell, 3)) == [2, 3]
    assert call("cell-compare-set", process, cell, 3, 4) is True
    assert call("cell-compare-set", process, cell, 3, 5) is False
    assert (cell.value, process.touched) == (4, [cell, cell, cell])


@pytest.mark.parametrize("name", ["first", "seq", "rest", "next", "empty?"])
def test_one_cell_is_asked_for(name: str) -> None:
    with pytest.raises(NeedsRealize) as asked:
        call(name, lazy())
    assert not asked.value.whole


@pytest.mark.parametrize("name", ["count", "str", "reverse", "sort", "vec", "last", "hash", "pr-str"])
def test_the_whole_is_asked_for(name: str) -> None:
    context = [Process()] if BY_NAME[name].context else []
    with pytest.raises(NeedsRealize) as asked:
        call(name, *context, lazy())
    assert asked.value.whole


@pytest.mark.parametrize("kind", ["flowmetal/limit", "flowmetal/abandoned", "flowmetal/cancelled"])
def test_what_no_catch_of_anything_takes(kind: str) -> None:
    error = ErrorValue(keyword(kind), "m")
    named = kind == "flowmetal/cancelled"
    assert call("catches", error, None) is False
    assert call("catches", error, keyword(kind)) is named
    assert call("catches", error, Set.of([keyword(kind)])) is named


def test_what_a_catch_takes() -> None:
    error = ErrorValue(keyword("a"), "m")
    assert call("catches", error, None) is True
    assert call("catches", error, keyword("a")) is True
    assert call("catches", error, keyword("b")) is False
    assert call("catches", error, Set.of([keyword("a"), keyword("b")])) is True


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters + " /", max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(data=NESTED)
def test_json_reads_what_python_writes_and_the_other_way(data: Any) -> None:
    for keys in ("string", "keyword"):
        value = call("json-parse", json.dumps(data), Map.of([(keyword("keys"), keyword(keys))]))
        assert json.loads(call("json-write", value)) == data
        assert json.loads(call("json-write", value, Map.of([(keyword("pretty"), True)]))) == data


@given(text=st.text('{}[]:,"\\u0d8-tfalsen1.e \x00', max_size=60))
def test_json_takes_any_text(text: str) -> None:
    try:
        call("json-parse", text)
    except LanguageError as problem:
        assert problem.error.kind in (keyword("json"), keyword("limit"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 5_000,
        '"' + '\\"' * 100_000,
        "1" * 100_000,
        "[" * 128 + "]" * 128,
        "[" * 129 + "]" * 129,
        '"\\ud800\\u0061"',
    ],
)
def test_hostile_json_is_answered_quickly(text: str) -> None:
    try:
        call("json-parse", text)
    except LanguageError as problem:
        assert problem.error.kind in (keyword("json"), keyword("limit"))


def test_deep_values_are_refused_by_json() -> None:
    deep: Any = Vector.of(())
    for _ in range(100_000):
        deep = Vector.of((deep,))
    with pytest.raises(LanguageError) as refused:
        call("json-write", deep)
    assert refused.value.error.kind is keyword("limit")


@given(items=st.lists(st.integers() | st.fractions() | st.floats(allow_nan=False)))
def test_sort_is_stable_and_in_order(items: list[Any]) -> None:
    values = [item.numerator if isinstance(item, Fraction) and item.denominator == 1 else item for item in items]
    result = list(call("sort", Vector.of(values)))
    assert all(compare(a, b) <= 0 for a, b in pairwise(result))
    by_key = list(call("sort-by-keys", Vector.of(values), Vector.of(range(len(values)))))
    assert [values[place] for place in by_key] == result


@given(whole=st.text("ab,;", max_size=20), separator=st.sampled_from([",", ";", "ab"]))
def test_split_with_all_parts_joins_again(whole: str, separator: str) -> None:
    parts = call("string-split", whole, separator, -1)
    assert call("string-join", separator, parts) == whole
    assert equal(parts, call("re-split", whole, Regex(re.escape(separator)), -1))


@given(whole=st.text("abc1", max_size=20))
def test_pieces_are_the_whole(whole: str) -> None:
    pieces = call("re-pieces", whole, Regex("[a1]+"))
    assert "".join(before + (match or "") for before, match in pieces) == whole


@given(value=st.integers(-(10**30), 10**30) | st.floats(-1e15, 1e15), places=st.integers(0, 6))
def test_format_rounds_half_up(value: Any, places: int) -> None:
    made = call("format", f"%.{places}f", value)
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    assert abs(Fraction(made) - exact) <= Fraction(1, 2 * 10**places)


@given(nanoseconds=st.integers(-(10**19), 10**19))
def test_parts_of_an_instant_make_it_again(nanoseconds: int) -> None:
    parts = call("instant-parts", Instant(nanoseconds))
    assert call("instant-of-parts", parts) == Instant(nanoseconds)


@given(data=st.binary(max_size=50))
def test_bytes_and_their_texts(data: bytes) -> None:
    assert call("base64-decode", call("base64-encode", data)) == data
    assert call("base64-decode", call("base64-url-encode", data)) == data
    assert call("hex-decode", call("hex-encode", data)) == data
    assert call("bytes", call("bytes->vector", data)) == data


@given(text=st.text(max_size=30))
def test_url_encoding(text: str) -> None:
    encoded = call("url-encode", text)
    assert re.fullmatch(r"[A-Za-z0-9._~%-]*", encoded)
    assert call("url-decode", encoded) == text


@given(value=VALUES)
def test_seqable_is_what_seq_takes(value: Any) -> None:
    try:
        call("seq", value)
        taken = True
    except NeedsRealize:
        taken = True
    except LanguageError:
        taken = False
    assert taken == is_seqable(value) == call("seqable?", value)
