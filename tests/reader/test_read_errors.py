"""What is wrong in source text: the code, the exact place, and that reading goes on."""

from __future__ import annotations

import pytest

from flowmetal.compiler.reader import is_placeholder, read_source
from flowmetal.compiler.reader.source import DIAGNOSTICS_MAX
from flowmetal.diagnostics import Diagnostic, render
from flowmetal.values import print_string


def found(text: str | bytes) -> list[str]:
    """Each diagnostic as "code line:column-end"."""
    return [place(diagnostic) for diagnostic in read_source(text, "test.fm").diagnostics]


def place(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    assert span is not None
    end = f"{span.end_line}:{span.end_column}" if span.end_line != span.line else f"{span.end_column}"
    return f"{diagnostic.code} {span.line}:{span.column}-{end}"


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("(a", ["R001 1:1-2"]),
        ("(a (b [c", ["R001 1:7-8"]),
        ("#{a", ["R001 1:1-3"]),
        ("#(a", ["R001 1:1-3"]),
        ("#:a{:b 1", ["R001 1:1-5"]),
        ("(a]", ["R002 1:3-4"]),
        ("#{a)", ["R002 1:4-5"]),
        ("(a [b)", ["R002 1:6-7"]),
        ("a)", ["R003 1:2-3"]),
        ("'", ["R004 1:1-2"]),
        ("(')", ["R004 1:2-3"]),
        ("'''", ["R004 1:3-4"]),
        ("^", ["R004 1:1-2"]),
        ("^:a", ["R004 1:1-2"]),
        ("[^:a]", ["R004 1:2-3"]),
        ("#_", ["R004 1:1-3"]),
        ("[#_ #_ a]", ["R004 1:2-4"]),
        ("#inst", ["R004 1:1-6"]),
        ("`(~@)", ["R004 1:3-5"]),
        ('a "b c', ["R010 1:3-4"]),
        ('("a', ["R010 1:2-3"]),
        (r'"a\q"', ["R011 1:3-5"]),
        (r'"\u12"', ["R011 1:2-4"]),
        (r'"\400"', ["R011 1:2-6"]),
        ('"a\nb\\q"', ["R011 2:2-4"]),
        (r'"x\uD83Dx"', ["R012 1:3-9"]),
        (r'"\uDE00\uD83D"', ["R012 1:2-8"]),
        (r"\uD83D", ["R012 1:1-7"]),
        ('#"a', ["R013 1:1-3"]),
        ('#"a(b"', ["R014 1:1-7"]),
        ('#"' + "(" * 5000 + ")" * 5000 + '"', []),
        ('#"a(?=b)"', ["R014 1:4-5"]),
        ('#"(a)\\1"', ["R014 1:6-7"]),
        ("\\", ["R015 1:1-2"]),
        ("[\\ ]", ["R015 1:2-3"]),
        (r"\foo", ["R016 1:1-5"]),
        (r"\u12", ["R016 1:1-5"]),
        (r"\o477", ["R016 1:1-6"]),
        ("1x", ["R020 1:1-3"]),
        ("09", ["R020 1:1-3"]),
        ("1__0", ["R020 1:1-5"]),
        ("1.5s", ["R020 1:1-5"]),
        ("1h30m", ["R020 1:1-6"]),
        ("2r102", ["R020 1:1-6"]),
        ("1/2/3", ["R020 1:1-6"]),
        ("-1.2.3", ["R020 1:1-7"]),
        ("0x", ["R020 1:1-3"]),
        ("1/0", ["R022 1:1-4"]),
        ("37r1", ["R023 1:1-5"]),
        ("1r0", ["R023 1:1-4"]),
        ("1e999999999999M", ["R021 1:1-16"]),
        ("a/b/c", ["R030 1:1-6"]),
        ("a/", ["R030 1:1-3"]),
        ("/a", ["R030 1:1-3"]),
        ("a:", ["R030 1:1-3"]),
        ("a::b", ["R030 1:1-5"]),
        (":", ["R031 1:1-2"]),
        ("::", ["R031 1:1-3"]),
        (":a/", ["R031 1:1-4"]),
        (":::a", ["R031 1:1-5"]),
        ("::a/", ["R031 1:1-5"]),
        ("#:a/b{:c 1}", ["R031 1:1-7"]),
        ("::x/a", ["R032 1:1-6"]),
        ("#::x{:a 1}", ["R032 1:1-6"]),
        ("a\u200bb", ["R033 1:2-3"]),
        ("\u202ea", ["R033 1:1-2"]),
        (":a\u00adb", ["R033 1:3-4"]),
        ("a \x00 b", ["R034 1:3-4"]),
        ("##", ["R035 1:1-3"]),
        ("##inf", ["R035 1:1-6"]),
        ("{:a 1 :b}", ["R040 1:7-9"]),
        ("{:a 1 (b c)}", ["R040 1:7-12"]),
        ("{:a 1 :b 2 :a 3}", ["R041 1:12-14"]),
        ("{1 a 1.0 b 1N c}", ["R041 1:12-14"]),
        ("#:a{:b 1 :a/b 2}", ["R041 1:10-14"]),
        ("#{a (b) a (b)}", ["R042 1:9-10", "R042 1:11-14"]),
        ("#{[1] (1)}", ["R042 1:7-10"]),
        ("#int 1", ["R050 1:1-5"]),
        ('#inst "2026-13"', ["R051 1:7-16"]),
        ("#uuid x", ["R051 1:7-8"]),
        ('#bytes "a"', ["R051 1:8-11"]),
        ("#fn deploy/main", ["R052 1:1-4"]),
        ("#pid 12", ["R052 1:1-5"]),
        ("#cell 1", ["R052 1:1-6"]),
        ("#error {:kind :a}", ["R052 1:1-7"]),
        ("#?(:clj 1)", ["R053 1:1-3"]),
        ("#=(a)", ["R053 1:1-3"]),
        ("# a", ["R053 1:1-2"]),
        ("#)", ["R053 1:1-2", "R003 1:2-3"]),
        ('#"a(?<x>"', ["R014 1:1-10"]),
        ('#"(?<x>a)[b"', ["R014 1:10-11"]),
        ("%2", ["R060 1:1-3"]),
        ("(#(a) %&)", ["R060 1:7-9"]),
        ("#(a #(b))", ["R061 1:5-7"]),
        ("#(a %0)", ["R062 1:5-7"]),
        ("#(a %21)", ["R062 1:5-8"]),
        ("#(a %99999999999)", ["R062 1:5-17"]),
        ("~a", ["R063 1:1-2"]),
        ("(`a ~@b)", ["R063 1:5-7"]),
        ("^1 a", ["R064 1:2-3"]),
        ("^[a] b", ["R064 1:2-5"]),
        ("^:a 1", ["R065 1:5-6"]),
        ('^:a "x"', ["R065 1:5-8"]),
        ("^:a :b", ["R065 1:5-7"]),
        (b"a\nb\xff", ["R070 2:2-3"]),
        (b"\xed\xa0\x80", ["R070 1:1-2"]),
        ("a\nb\ud800", ["R071 2:2-3"]),
    ],
)  # fmt: skip
def test_error(text: str | bytes, errors: list[str]) -> None:
    assert sorted(found(text)) == sorted(errors)


def test_opening_bracket_is_a_second_place() -> None:
    (diagnostic,) = read_source("(a\n [b)", "test.fm").diagnostics
    assert [(label.span.line, label.span.column) for label in diagnostic.labels] == [(2, 2)]
    assert "2 |  [b)\n  |  - this `[` is open\n  |    ^ This `)` does not close" in render(
        diagnostic, {"test.fm": "(a\n [b)"}
    )


def test_every_error_of_a_file_in_one_run() -> None:
    text = """
(defn one [x]
  (let [y 09]
    (f x y))

(defn two [x)
  {:a 1 :b})

(defn three []
  "fine")

(defn four []
  (g #{1 1} "\\q"]

(defn five [] 5)
"""
    result = read_source(text, "test.fm")
    assert [place(diagnostic) for diagnostic in result.diagnostics] == [
        "R001 2:1-2",
        "R020 3:11-13",
        "R002 6:13-14",
        "R040 7:9-11",
        "R001 12:1-2",
        "R042 13:10-11",
        "R011 13:14-16",
        "R002 13:17-18",
    ]
    printed = [print_string(form) for form in result.forms]
    assert printed[1:4] == ["(defn two [x])", "{:a 1}", '(defn three [] "fine")']
    assert printed[-1] == "(defn five [] 5)"


def test_missing_bracket_costs_one_error_and_no_other_definition() -> None:
    text = "(defn a []\n  (b (c)\n\n(defn d [] 1)\n(defn e [] 2)\n"
    result = read_source(text, "test.fm")
    assert [place(diagnostic) for diagnostic in result.diagnostics] == ["R001 2:3-4"]
    assert len(result.diagnostics[0].labels) == 2
    assert [print_string(form) for form in result.forms] == ["(defn a [] (b (c)))", "(defn d [] 1)", "(defn e [] 2)"]


def test_forms_in_the_first_column_of_a_sound_form_stay_in_it() -> None:
    text = "(comment\n(a)\n(b))\n(c"
    result = read_source(text, "test.fm")
    assert [place(diagnostic) for diagnostic in result.diagnostics] == ["R001 4:1-2"]
    assert [print_string(form) for form in result.forms] == ["(comment (a) (b))", "(c)"]


def test_wrong_bracket_is_one_error() -> None:
    assert found("(a ] b)\n(c)") == ["R002 1:4-5"]
    assert found("(a (b]) (c)") == ["R002 1:6-7"]


def test_unterminated_string_shows_the_one_that_may_lack_its_end() -> None:
    (diagnostic,) = read_source('(a "b)\n(c "d")\n', "test.fm").diagnostics
    assert place(diagnostic) == "R010 2:6-7"
    assert [label.span.line for label in diagnostic.labels] == [1]


def test_what_could_not_be_read_is_a_placeholder() -> None:
    result = read_source("[09 #foo 1 '", "test.fm")
    (vector,) = result.forms
    assert [is_placeholder(form) for form in vector][:2] == [True, True]
    assert not is_placeholder(vector)
    assert len(set(vector)) == len(vector)


def test_unknown_alias_after_a_repair_is_not_reported_twice() -> None:
    assert found("(ns a (:require [b :as x]))\n::x/y ]") == ["R003 2:7-8"]


def test_number_of_diagnostics_is_bounded() -> None:
    result = read_source("09\n" * 10_000, "test.fm")
    assert len(result.diagnostics) == DIAGNOSTICS_MAX + 1
    assert [diagnostic.code for diagnostic in result.diagnostics[-2:]] == ["R020", "R073"]


def test_size_and_depth_are_bounded() -> None:
    assert [d.code for d in read_source(" " * 4_000_001, "test.fm").diagnostics] == ["R072"]
    assert [d.code for d in read_source("[" * 100_001, "test.fm").diagnostics] == ["R074"]
    assert found("9" * 315_654) == ["R021 1:1-315655"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("#ints 1", "Did you mean `#inst`?"),
        (r"\newlin", r"Did you mean `\newline`?"),
        ("1.5s", "A duration is a whole number of its unit: `1500ms`, not `1.5s`."),
        ("5min", "The units of durations are `ms`, `s`, `m`, `h` and `d`."),
        ("1h30m", "A duration has one unit; write it in the smaller one, as in `90m` for an hour and a half."),
        ("a:", "A keyword has its colon in front: `:name`."),
        ("(ns a (:require [b :as text]))\n::test/x", "Did you mean `::text/x`?"),
        ("(a [b", "Add 2 closing brackets, the innermost a `]`, where the form ends."),
    ],
)
def test_hints(text: str, hint: str) -> None:
    assert read_source(text, "test.fm").diagnostics[0].hint == hint
