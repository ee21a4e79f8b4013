"""read_data, and that it agrees with the source reader; what is printed reads back equal by both."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.compiler.reader import read_source
from flowmetal.diagnostics import FlowmetalError
from flowmetal.reading.data import read_all_data, read_data
from flowmetal.values import (
    Char,
    Duration,
    Instant,
    List,
    Map,
    Regex,
    Set,
    Symbol,
    Vector,
    equal,
    keyword,
    meta_of,
    print_string,
    span_of,
)

CORPUS = [
    "nil true false 0 -1 1_000 0xFF 017 2r101 36rZZ 1N 22/7 4/2 1.5 1. 1e3 1E-3 ##Inf ##-Inf 1.50M 5M",
    "250ms 30s 5m 2h 7d -3s",
    r'"" "a\nb\t\"\\" "\u03bb\101" "\uD83D\uDE00" "two' + "\n" + 'lines"',
    r"\a \newline \space \u0041 \o101 \( \\ \" \, \λ",
    r'#"a\d+" #"\"" #"[(]"',
    ":a :a/b :- |- ⊢ :a.b/c? a a/b / core// -> + - .. a' a# nil?",
    "() (1 (2 (3))) [] [1 [2]] {} {:a 1, [2] {3 4}} #{} #{1 #{2}} (1,2,,3)",
    "; comment\n1 ; more\n#!x\n2",
    "#_1 2 #_ #_ 3 4 5 [#_6] {#_7 8 9} #_#_ a (b) c",
    '#inst "2026-11-24T06:30:00.000Z" #uuid "01234567-89ab-cdef-0123-456789abcdef" #duration "P1DT2H" #bytes "aGk="',
    "#:a{:b 1 :_/c 2 d 3} #:a {:b/c 1}",
    "^:a x ^{:b 1} [1] ^T (x) ^:a ^:b {} ^:a #_1 #{}",
    "\ufeff1 2\r\n3\f4",
    "[" * 1000 + "]" * 1000,
    "{" + " ".join(map(str, range(100))) + "} #{" + " ".join(map(str, range(100))) + "}",
]

WRONG = [
    "(", ")", "[)", "{:a}", "{1 1 1 2}", "#{1 1}", '"a', '"\\q"', '"\\uD800"', '#"a', '#"("', "\\", "\\foo",
    "1x", "1/0", "37r1", "a/b/c", ":", "a\u200bb", "\x00", "##x", "#foo 1", '#inst "x"', "#inst 1", "#fn a",
    "#?(1)", "# 1", "#_", "^:a", "^1 x", "^:a 1", "[^:a]", "[#inst]", "#:a/b{}", "#:a{:b 1 :a/b 2}", "#:a{:b}",
    "#:a{", "\ud800", "9" * 315_654,
]  # fmt: skip


@pytest.mark.parametrize("text", CORPUS, ids=lambda text: text[:20])
def test_both_readers_agree(text: str) -> None:
    source = read_source(text, "test.fm")
    assert source.diagnostics == ()
    data = read_all_data(text)
    assert len(data) == len(source.forms)
    for left, right in zip(data, source.forms, strict=True):
        assert equal(left, right)
        assert left.__class__ is right.__class__
        assert equal(meta_of(left), meta_of(right))
        assert print_string(left) == print_string(right)


@pytest.mark.parametrize("text", WRONG, ids=lambda text: ascii(text[:20]))
def test_both_readers_find_the_same_wrong(text: str) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read_all_data(text, "test.fm")
    diagnostics = read_source(text, "test.fm").diagnostics
    assert caught.value.code in [diagnostic.code for diagnostic in diagnostics]
    places = [(diagnostic.span.line, diagnostic.span.column) for diagnostic in diagnostics if diagnostic.span]
    span = caught.value.diagnostic.span
    assert span is not None and (span.line, span.column) in places


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "R081", 1, 1),
        (" ; nothing\n", "R081", 2, 1),
        ("1\n 2", "R082", 2, 2),
        ("[] (1)", "R082", 1, 4),
        ("'a", "R080", 1, 1),
        ("[`a]", "R080", 1, 2),
        ("~a", "R080", 1, 1),
        ("@a", "R080", 1, 1),
        ("#'a", "R080", 1, 1),
        ("#(a)", "R080", 1, 1),
        ("::a", "R080", 1, 1),
        ("#::{:a 1}", "R080", 1, 1),
        ('[1\n\n  "a\\q"]', "R011", 3, 5),
    ],
)
def test_what_is_no_single_value(text: str, code: str, line: int, column: int) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read_data(text, "test.fm")
    assert caught.value.code == code
    span = caught.value.diagnostic.span
    assert span is not None and (span.file, span.line, span.column) == ("test.fm", line, column)


def test_data_has_no_places() -> None:
    value = read_data("(a [b])")
    assert span_of(value) is None and span_of(value.first) is None


def is_symbol(name: str) -> bool:
    return name not in ("nil", "true", "false") and not re.match("[+][0-9]", name)


# Every kind of value that can be read, of any content.
names = st.from_regex(r"[a-z*+!?<>=_λ][a-z0-9*+!?<>='#.-]{0,5}", fullmatch=True)
characters = st.characters(exclude_categories=["Cs"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.fractions().filter(lambda value: value.denominator != 1),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(characters),
    st.binary(max_size=20),
    characters.map(Char),
    names.map(keyword),
    st.tuples(names, names).map(lambda pair: keyword(f"{pair[0]}/{pair[1]}")),
    names.filter(is_symbol).map(lambda name: Symbol(None, name)),
    st.tuples(names.filter(is_symbol), names).map(lambda pair: Symbol(*pair)),
    st.integers(-(10**20), 10**20).map(Duration),
    st.integers(-(10**19), 10**19).map(Instant),
    st.uuids(),
    st.sampled_from(["", "a", r"\d+", '"', r"\"", "[a-z]", "(?:x|y)*"]).map(Regex),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=40).map(List.of),
        st.lists(inner, max_size=40).map(Vector.of),
        st.lists(inner, max_size=40).map(Set.of),
        st.lists(st.tuples(inner, inner), max_size=40).map(Map.of),
    ),
    max_leaves=40,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and printed the same: regexes print a quote with a backslash, which is another pattern."""
    return equal(left, right) or print_string(left) == print_string(right)


@given(values)
def test_what_is_printed_reads_back_equal(value: Any) -> None:
    text = print_string(value)
    assert same(read_data(text), value)
    result = read_source(text, "test.fm")
    assert result.diagnostics == ()
    assert same(result.forms[0], value)


@given(st.text(st.sampled_from("()[]{}#_^'\"\\:;%~@`/ \n01.eNMrxab-+s")), st.data())
def test_whatever_both_read_is_the_same(text: str, data: Any) -> None:
    try:
        found = read_all_data(text)
    except FlowmetalError:
        return
    source = read_source(text, "test.fm")
    if not {diagnostic.code for diagnostic in source.diagnostics} - {"R060"}:
        if not source.diagnostics:  # `%1` is a name in data and an argument in source
            assert [print_string(form) for form in found] == [print_string(form) for form in source.forms]
    else:
        pytest.fail(f"only the source reader objects: {source.diagnostics}")


def test_types_of_numbers_survive() -> None:
    for value in (1, 1.0, Decimal("1"), Decimal("1.0"), Fraction(1, 3), True):
        assert read_data(print_string(value)).__class__ is value.__class__


def test_data_is_read_fast_and_without_recursion() -> None:
    text = '{:id 12345, :name "order", :lines [{:price 1.5 :tags #{:a :b}} nil true]}\n' * 3000
    start = time.process_time()
    read_all_data(text)
    # On a quiet core it is more than 2 MB/s; the bound leaves room for slow machines.
    assert len(text) / (time.process_time() - start) > 200_000
    deep = read_data("[" * 200_000 + "]" * 200_000)
    assert print_string(deep, limit=20).startswith("[[[[")


ROOT = Path(__file__).parents[2]
FILES = [
    path for folder in ("stdlib", "tests", "examples") for path in sorted((ROOT / folder).rglob("*.fm"))
]  # all the source there is


def test_both_readers_agree_on_every_form_of_every_file() -> None:
    """Each top-level form of the library, the tests and the examples: equal, or refused: code (quotes, `#(...)`), records."""
    agreed = refused = 0
    for path in FILES:
        source = read_source(path.read_bytes(), path.name)
        if source.diagnostics:
            continue
        lines = source.text.split("\n")
        for form, span in zip(source.forms, source.spans, strict=True):
            taken = lines[span.line - 1 : span.end_line]
            taken[-1] = taken[-1][: span.end_column - 1]
            taken[0] = taken[0][span.column - 1 :]
            text = "\n".join(taken)
            try:
                data = read_data(text)
            except FlowmetalError as problem:
                assert problem.code in ("R080", "R050"), f"{path.name}:{span.line}: {problem}"
                refused += 1
                continue
            assert print_string(data) == print_string(form), f"{path.name}:{span.line}"
            agreed += 1
    assert agreed > 500 and agreed > refused
