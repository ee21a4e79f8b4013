"""Printing and reading back, times as text, scalars."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.reading.data import read_data
from flowmetal.values import (
    EMPTY_LIST,
    BuiltinFn,
    Cell,
    Char,
    Closure,
    Cons,
    Duration,
    ErrorValue,
    Instant,
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
    duration_text,
    equal,
    float_text,
    instant_text,
    is_keyword_text,
    keyword,
    parse_duration,
    parse_instant,
    print_string,
    scalars,
    symbol,
)
from tests.values.strategies import PRINTABLE

K = keyword


class Function:
    name = "deploy/main"


PRINTED: list[tuple[Any, str]] = [
    (None, "nil"),
    (True, "true"),
    (-5, "-5"),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.001, "0.001"),
    (0.0001, "1.0E-4"),
    (1234567.0, "1234567.0"),
    (1e7, "1.0E7"),
    (1.5e10, "1.5E10"),
    (1e-10, "1.0E-10"),
    (123456789.125, "1.23456789125E8"),
    (5e-324, "5.0E-324"),
    (1.7976931348623157e308, "1.7976931348623157E308"),
    (math.inf, "##Inf"),
    (-math.inf, "##-Inf"),
    (math.nan, "##NaN"),
    (Fraction(-1, 3), "-1/3"),
    (Decimal("1.50"), "1.50M"),
    (Decimal("1E+30"), "1E+30M"),
    ('a"b\\c\n\t\u0001\u2028é', '"a\\"b\\\\c\\n\\t\\u0001\\u2028é"'),
    (Char("a"), "\\a"),
    (Char("\n"), "\\newline"),
    (Char(" "), "\\space"),
    (Char("\x00"), "\\u0000"),
    (Char("😀"), "\\😀"),
    (K("a/b"), ":a/b"),
    (symbol("a/b"), "a/b"),
    (b"hi", '#bytes "aGk="'),
    (Instant(0), '#inst "1970-01-01T00:00:00.000Z"'),
    (Instant(1_795_501_800_123_456_789), '#inst "2026-11-24T06:30:00.123456789Z"'),
    (Duration(26 * 3600 * 10**9), '#duration "P1DT2H"'),
    (UUID(int=1), '#uuid "00000000-0000-0000-0000-000000000001"'),
    (Regex('a"\\d\\"'), '#"a\\"\\d\\""'),
    (Pid(12), "#pid 12"),
    (Closure(Function(), ()), "#fn deploy/main"),
    (BuiltinFn(1, "first"), "#fn %first"),
    (Cell(Vector.of([1])), "#cell [1]"),
    (Promise(), "#promise :pending"),
    (Reduced(1), "#reduced 1"),
    (EMPTY_LIST, "()"),
    (List.of([1, "a"]), '(1 "a")'),
    (Cons(1, List.of([2])), "(1 2)"),
    (Range(0, 3), "(0 1 2)"),
    (Vector.of([1, Vector.of([])]), "[1 []]"),
    (Map.of([(K("a"), 1), ("b", None)]), '{:a 1, "b" nil}'),
    (Set.of([1, 1.0, True]), "#{1 1.0 true}"),
    (SortedMap.of([(2, 0), (1, 0)]), "{1 0, 2 0}"),
    (SortedSet.of([2, 1]), "#{1 2}"),
    (ErrorValue(K("a"), "m", 1), '#error {:kind :a, :message "m", :data 1}'),
    (
        ErrorValue(K("a"), "m", None, ErrorValue(K("b"), "n")),
        '#error {:kind :a, :message "m", :data nil, :cause #error {:kind :b, :message "n", :data nil}}',
    ),
]


@pytest.mark.parametrize(("value", "text"), PRINTED)
def test_printed(value: Any, text: str) -> None:
    assert print_string(value) == text
    for limit in range(len(text) + 2):
        short = print_string(value, limit=limit)
        if len(text) > limit:
            assert short == text[:limit] + "…" or value.__class__ in (str, bytes)
            assert len(short) <= limit + 1
        else:
            assert short == text


def test_plain_text() -> None:
    assert print_string(Vector.of(["a b", Char(" "), K("a"), Regex("x")]), readably=False) == "[a b   :a x]"


def test_lazy_text() -> None:
    lazy = LazySeq(None)
    value = Vector.of([Cons(1, lazy)])
    with pytest.raises(NeedsRealize):
        print_string(value)
    assert print_string(value, realize=False) == print_string(value, limit=50) == repr(value) == "[(1 …)]"
    with pytest.raises(NeedsRealize):
        print_string(value, limit=50, realize=True)
    lazy.state, lazy.value = "done", Cons(2, None)
    assert print_string(value) == "[(1 2)]"


def test_huge_values_are_cut_off_early() -> None:
    assert print_string(Range(0, 10**18), limit=10) == "(0 1 2 3 4…"
    assert print_string(10**100_000, limit=10) == "#integer"
    assert len(print_string("x" * 10**6, limit=10)) == 11
    assert len(print_string(b"x" * 10**6, limit=20)) == 21


@given(PRINTABLE)
def test_what_is_printed_reads_back(value: Any) -> None:
    text = print_string(value)
    found = read_data(text)
    assert equal(found, value)
    assert print_string(found) == text or value.__class__ is not Map


@given(st.floats())
def test_floats_read_back(value: float) -> None:
    found = read_data(float_text(value))
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(st.text(max_size=8))
def test_keyword_texts_are_those_that_read(text: str) -> None:
    try:
        found = read_data(":" + text)
    except Exception:
        found = None
    assert is_keyword_text(text) == (found is keyword(text) if text else False) or not text.isprintable()


@pytest.mark.parametrize("text", ["a", "a/b", "-", "a.b/c", "x-y", "content-type", "λ", "a'", "+", "1", "2026-01-01"])
def test_keyword_texts(text: str) -> None:
    assert is_keyword_text(text) and read_data(":" + text) is keyword(text)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a,b", "/a", "a/", "a/b/c", ":a", "a:", "a::b", "a(", "a@b", "x" * 257, "a\u200bb"]
)
def test_no_keyword_texts(text: str) -> None:
    assert not is_keyword_text(text)


@given(st.integers(-(10**23), 10**23))
def test_instants_read_back(ns: int) -> None:
    text = instant_text(Instant(ns))
    year = text[: text.index("-", 1)]
    if len(year) <= 7:
        back = parse_instant(text)
        assert back == Instant(ns) or abs(int(year)) == 999999


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026", "2026-01-01T00:00:00.000Z"),
        ("2026-11", "2026-11-01T00:00:00.000Z"),
        ("2026-11-24", "2026-11-24T00:00:00.000Z"),
        ("2026-11-24T06:30", "2026-11-24T06:30:00.000Z"),
        ("2026-11-24T06:30:01.5+02:00", "2026-11-24T04:30:01.500Z"),
        ("2026-11-24T06:30:01-0130", "2026-11-24T08:00:01.000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        ("0000-03-01", "0000-03-01T00:00:00.000Z"),
        ("+012026-01-01", "+012026-01-01T00:00:00.000Z"),
        ("-000001-01-01", "-000001-01-01T00:00:00.000Z"),
    ],
)
def test_instants(text: str, canonical: str) -> None:
    assert instant_text(parse_instant(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-13-01",
        "2026-02-29",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "26-01-01",
        "2026-1-1",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+24:00",
        "２０２６-01-01",
        "2026-01-01T00:00:60Z",
    ],
)
def test_no_instants(text: str) -> None:
    with pytest.raises(ValueError, match="not an instant"):
        parse_instant(text)


@given(st.integers(-(10**30), 10**30))
def test_durations_read_back(ns: int) -> None:
    assert parse_duration(duration_text(Duration(ns))) == Duration(ns)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("PT0S", 0),
        ("P1D", 86400 * 10**9),
        ("PT90M", 5400 * 10**9),
        ("-PT0.25S", -250_000_000),
        ("PT1.000000001S", 10**9 + 1),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == Duration(ns)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1D", "P1Y", "PT1.S", "PT-1S", "P" + "9" * 500 + "D", "P１D"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_keywords_are_interned_and_forgotten_when_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keyword("a/b") is keyword("a/b") is scalars.Keyword("a/b")
    assert (K("a/b").namespace, K("a/b").name, K("a").namespace, K("/").name) == ("a", "b", None, "/")
    kept = [keyword(f"kept-{number}") for number in range(50)]
    monkeypatch.setattr(scalars, "_sweep_at", 0)
    monkeypatch.setattr(scalars, "_SWEEP_MIN", 0)
    for number in range(20_000):
        keyword(f"gone-{number}")
    assert "gone-5" not in scalars._KEYWORDS
    assert all(keyword(f"kept-{number}") is one for number, one in enumerate(kept))


def test_chars() -> None:
    assert Char("a") is Char("a") and Char("é") == Char("é") != Char("e")
    for text in ("", "ab", "\ud800"):
        with pytest.raises(ValueError, match="character"):
            Char(text)
