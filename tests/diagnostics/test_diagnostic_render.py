"""What people see of a diagnostic."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.diagnostics import Diagnostic, Label, Span, render, to_json
from flowmetal.diagnostics.excerpt import WINDOW_COLUMNS, clean, excerpt, line_of
from flowmetal.diagnostics.rendering import render_all

SOURCE = "(defn f [x\n  (shcedule order 30)\n\tλ 日本 (end)\n"


def diagnostic(span: Span | None, *labels: Label, name: str = "a:") -> Diagnostic:
    return Diagnostic("R030", span, {"name": name}, labels)


def at(line: int, column: int, end_column: int, end_line: int | None = None, file: str = "orders.fm") -> Span:
    return Span(file, line, column, end_line or line, end_column)


def test_whole_picture() -> None:
    text = render(diagnostic(at(2, 4, 12), name="shcedule"), {"orders.fm": SOURCE})
    assert text == (
        "-- BAD NAME -------------------------------------------------- orders.fm:2:4  [R030]\n"
        "\n"
        "2 |   (shcedule order 30)\n"
        "  |    ^^^^^^^^ `shcedule` is not a name.\n"
        "\n"
        "A name has at most one `/`, between a namespace and a name, and does not end in `:`.\n"
    )


def test_second_place_in_another_line() -> None:
    label = Label(at(1, 9, 10), "opened here")
    lines = render(diagnostic(at(3, 2, 3), label), {"orders.fm": SOURCE}).split("\n")
    assert lines[2:8] == [
        "1 | (defn f [x",
        "  |         - opened here",
        "  ...",
        "3 |     λ 日本 (end)",
        "  |     ^ `a:` is not a name.",
        "",
    ]


def test_second_place_in_the_same_line() -> None:
    label = Label(at(1, 9, 10), "opened here")
    lines = render(diagnostic(at(1, 2, 6), label), {"orders.fm": SOURCE}).split("\n")
    assert lines[2:5] == ["1 | (defn f [x", "  |  ^^^^ `a:` is not a name.", "  |         - opened here"]


def test_second_place_in_another_file() -> None:
    label = Label(at(1, 1, 3, file="b.fm"), "first defined here")
    sources = {"orders.fm": SOURCE, "b.fm": "abc"}
    assert "  | b.fm\n1 | abc\n  | -- first defined here\n" in render(diagnostic(at(1, 2, 6), label), sources)
    assert "\nb.fm:1:1: first defined here\n" in render(diagnostic(at(1, 2, 6), label), {"orders.fm": SOURCE})


def test_wide_characters_and_tabs_move_the_caret() -> None:
    lines = render(diagnostic(at(3, 7, 12)), {"orders.fm": SOURCE}).split("\n")
    assert lines[2] == "3 |     λ 日本 (end)"
    assert lines[3].startswith("  |            ^^^^^ ")
    assert render(diagnostic(at(3, 4, 6)), {"orders.fm": SOURCE}).split("\n")[3].startswith("  |       ^^^^ ")


def test_without_source_or_place() -> None:
    assert render(diagnostic(at(2, 4, 12))).split("\n")[2] == "`a:` is not a name."
    lines = render(diagnostic(None)).split("\n")
    assert lines[0].endswith("- [R030]")
    assert lines[2] == "`a:` is not a name."


def test_place_of_several_lines_and_beyond_the_text() -> None:
    lines = render(diagnostic(at(1, 1, 4, end_line=3)), {"orders.fm": SOURCE}).split("\n")
    assert lines[3].startswith("  | ^^^^^^^^^^ ")
    assert "99 |\n   | ^ " in render(diagnostic(at(99, 50, 60)), {"orders.fm": SOURCE})
    assert "4 |\n  | ^ " in render(diagnostic(at(4, 1, 1)), {"orders.fm": SOURCE})


def test_long_lines_are_cut_around_the_caret() -> None:
    source = "x" * 1000 + "CARET" + "y" * 1_000_000
    drawn = render(diagnostic(at(1, 1001, 1006)), {"orders.fm": source}).split("\n")
    assert len(drawn[2]) <= WINDOW_COLUMNS + 6
    assert drawn[2].startswith("1 | …xxx") and drawn[2].endswith("yyy…")
    assert drawn[2].index("CARET") == drawn[3].index("^^^^^")
    start = render(diagnostic(at(1, 1, 3)), {"orders.fm": source}).split("\n")
    assert start[2].startswith("1 | xxx") and start[2].endswith("x…")
    end = render(diagnostic(at(1, len(source), len(source) + 1)), {"orders.fm": source}).split("\n")
    assert end[2].startswith("1 | …yyy") and end[2].endswith("y")
    whole = render(diagnostic(at(1, 1, len(source) + 1)), {"orders.fm": source}).split("\n")
    assert len(whole[3]) <= WINDOW_COLUMNS + 6


def test_nothing_in_a_source_moves_the_cursor() -> None:
    source = "a\x1b[31mred\x1b[0m \u202ereversed\u200b \x07\x9b2J\r\n"
    text = render(diagnostic(at(1, 1, 2), name="\x1b]0;title\x07"), {"orders.fm": source})
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "\x1b" in render(diagnostic(at(1, 1, 2)), {"orders.fm": "a"}, color=True)


def test_long_sentence_stands_below() -> None:
    lines = render(diagnostic(at(2, 4, 12), name="n" * 90), {"orders.fm": SOURCE}).split("\n")
    assert lines[3] == "  |    ^^^^^^^^"
    assert lines[5].startswith("`nnn")


def test_json() -> None:
    label = Label(at(1, 9, 10), "opened here")
    data = to_json(Diagnostic("R030", at(2, 4, 12), {"name": "a:", "more": [1, at(1, 1, 1)]}, (label,)))
    assert json.loads(json.dumps(data)) == data
    assert data["code"] == "R030" and data["level"] == "error" and data["title"] == "bad name"
    assert data["message"] == "`a:` is not a name."
    assert data["place"] == {"file": "orders.fm", "line": 2, "column": 4, "end_line": 2, "end_column": 12}
    assert data["labels"][0]["text"] == "opened here"
    assert data["facts"]["name"] == "a:"
    assert to_json(diagnostic(None))["place"] is None


def test_several() -> None:
    text = render_all([diagnostic(None), diagnostic(None)])
    assert text.count("-- BAD NAME") == 2
    assert "\n\n-- BAD NAME" in text


@pytest.mark.parametrize(
    ("source", "number", "line"),
    [("a\nb", 1, "a"), ("a\nb", 2, "b"), ("a\nb", 3, ""), ("a\r\nb", 1, "a"), ("", 1, ""), ("a\n", 2, "")],
)
def test_line_of(source: str, number: int, line: str) -> None:
    assert line_of(source, number) == line


@given(st.text(max_size=300), st.integers(1, 5), st.integers(1, 320), st.integers(0, 320))
def test_any_text_gives_an_excerpt_that_fits(text: str, line: int, column: int, length: int) -> None:
    drawn = excerpt(Span("a", line, column, line, column + length), text)
    assert drawn.text.isprintable()
    assert drawn.width >= 1
    assert drawn.column <= WINDOW_COLUMNS + 1
    assert drawn.width <= WINDOW_COLUMNS + 1


@given(st.text())
def test_clean_text_is_printable(text: str) -> None:
    assert clean(text).replace("\n", "").isprintable()


def test_names_that_are_loaded_late_are_what_they_say() -> None:
    code = (
        "import flowmetal.diagnostics as d\n"
        "d.to_json, d.Entry\n"  # loads the module of another one
        "from flowmetal.diagnostics import *\n"
        "assert all(callable(one) for one in (render, to_json, explain, entry_of, all_codes, suggest, Entry))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
