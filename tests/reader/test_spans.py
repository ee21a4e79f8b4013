"""Every form knows its place, atoms through the collection they stand in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.compiler.reader import child_span, children_of, read_source, spanned_children
from flowmetal.diagnostics import Span
from flowmetal.values import List, Map, Set, Symbol, Vector, meta_of, span_of


def cut(text: str, span: Span | None) -> str | None:
    """The text at a span."""
    if span is None:
        return None
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    begin = starts[span.line - 1] + span.column - 1
    end = starts[span.end_line - 1] + span.end_column - 1
    return text[begin:end]


def one(text: str) -> Any:
    result = read_source(text, "test.fm")
    assert result.diagnostics == ()
    return result.forms[0]


def children(text: str) -> list[str | None]:
    """Text of each child of the first form."""
    return [cut(text, span) for _, span in spanned_children(one(text))]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "(a b)",
        "()",
        "[a\n  b]",
        "{a 1}",
        "#{a\n\n}",
        "#(f %)",
        "'a",
        "'(a\n b)",
        "`(a ~b)",
        "@a",
        "#'a",
        "#:a{:b 1}",
        '("two\nlines")',
        "(a ; ) \n )",
    ],
)
def test_span_of_a_form(text: str) -> None:
    assert cut(f"1 {text} 2", span_of(read_source(f"1 {text} 2", "test.fm").forms[1])) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('(f 1 "a" :b \\c nil x [y] 5m)', ["f", "1", '"a"', ":b", "\\c", "nil", "x", "[y]", "5m"]),
        ("[1 2]", ["1", "2"]),
        ("[a b]", ["a", "b"]),
        ("{:a 1, b (c)}", [":a", "1", "b", "(c)"]),
        ("#{1 :a (b)}", ["1", ":a", "(b)"]),
        ("'1", ["'", "1"]),
        ("@(a)", ["@", "(a)"]),
        ('(f #inst "2026" #_ 1 ^:x y ^:z [1])', ["f", '#inst "2026"', "y", "[1]"]),
        ("(f 'a #(b %))", ["f", "'a", "#(b %)"]),
        ('["two\nlines" 1]', ['"two\nlines"', "1"]),
        ("#(f % 1)", ["#(", "#(", "#(f % 1)"]),
        ("()", []),
    ],
)
def test_spans_of_children(text: str, expected: list[str]) -> None:
    assert children(text) == expected


def test_span_of_a_child_by_number() -> None:
    form = one("(f 1 [x] :k)")
    assert [str(child_span(form, index)) for index in range(4)] == [f"test.fm:1:{column}" for column in (2, 4, 6, 10)]
    assert child_span(form, 4) is None
    assert child_span(1, 0) is None


def test_body_of_a_function_literal() -> None:
    text = "#(f % 1)"
    body = list(one(text))[2]
    assert [cut(text, span) for _, span in spanned_children(body)] == ["f", "%", "1"]


def test_large_maps_and_sets_keep_the_written_order_of_children() -> None:
    numbers = list(range(200))
    text = "{" + " ".join(f"{number} :k{number}" for number in numbers) + "}"
    form = one(text)
    assert list(children_of(form))[::2] == numbers
    assert children(text)[:4] == ["0", ":k0", "1", ":k1"]
    text = "#{" + " ".join(map(str, numbers)) + "}"
    assert list(children_of(one(text))) == numbers
    assert children(text) == list(map(str, numbers))
    symbols = [f"s{number}" for number in numbers]
    assert children("#{" + " ".join(symbols) + "}") == symbols


def test_forms_that_macros_make_have_children_without_places() -> None:
    form = List.of([Symbol(None, "f"), 1])
    assert list(spanned_children(form)) == [(form.first, None), (1, None)]
    assert child_span(form, 1) is None
    assert list(children_of(Map.of([(1, 2)]))) == [1, 2]
    assert list(children_of(Set.of([1]))) == [1]
    assert list(children_of(Vector.of([1]))) == [1]
    assert list(children_of("text")) == []


def test_metadata_keeps_the_span() -> None:
    text = "^:a ^{:b 1} (x)"
    form = one(text)
    assert cut(text, span_of(form)) == "(x)"
    assert len(meta_of(form)) == 2


def test_top_level_atoms_have_their_spans() -> None:
    text = '1 "a"\n:k x (y)'
    result = read_source(text, "test.fm")
    assert [cut(text, span) for span in result.spans] == ["1", '"a"', ":k", "x", "(y)"]


def test_columns_count_code_points() -> None:
    text = '("😀" x)'
    assert children(text) == ['"😀"', "x"]


def test_lines_end_at_newlines_only() -> None:
    result = read_source("a\r\nb\rc\x0cd\u2028e\nf", "test.fm")
    assert [span.line for span in result.spans] == [1, 2, 2, 2, 2, 3]


words = st.sampled_from(
    ["a", "1", '"s"', "(b c)", "[1 [2]]", "{:a 1}", "#{x}", "'q", "; note\n", "\n", "#_ d", "\\n", "@e"]
)


@given(st.lists(words, max_size=12))
def test_span_is_where_the_form_was_written(parts: list[str]) -> None:
    text = " ".join(parts)
    result = read_source(text, "test.fm")
    assert result.diagnostics == ()
    written = [part for part in parts if part.strip() and part[0] != ";" and not part.startswith("#_")]
    assert [cut(text, span) for span in result.spans] == written
