"""The surface syntax: what each form reads as.

`read` gives the text of what was read, so that a table shows both sides as a person writes them.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import isnan
from typing import Any

import pytest

from flowmetal.compiler.reader import read_source
from flowmetal.values import (
    Char,
    Duration,
    Keyword,
    List,
    Map,
    Regex,
    Set,
    Symbol,
    Vector,
    keyword,
    meta_of,
    print_string,
    symbol,
)


def forms(text: str, **options: Any) -> tuple[Any, ...]:
    result = read_source(text, "test.fm", **options)
    assert result.diagnostics == ()
    return result.forms


def one(text: str, **options: Any) -> Any:
    (form,) = forms(text, **options)
    return form


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("-42", -42),
        ("1_000_000", 1_000_000),
        ("2r101", 5),
        ("-2r1_01", -5),
        ("36rZZ", 1295),
        ("36rzz", 1295),
        ("0xFF", 255),
        ("0XdEaD_bEeF", 0xDEADBEEF),
        ("-0x10", -16),
        ("017", 15),
        ("00", 0),
        ("1N", 1),
        ("0x1FN", 31),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("22/7", Fraction(22, 7)),
        ("-4/6", Fraction(-2, 3)),
        ("4/2", 2),
        ("0/3", 0),
        ("1.5", 1.5),
        ("1.", 1.0),
        ("-1.5e3", -1500.0),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("1e400", float("inf")),
        ("1_0.2_5", 10.25),
        ("1.50M", Decimal("1.50")),
        ("5M", Decimal("5")),
        ("1e3M", Decimal("1e3")),
        ("##Inf", float("inf")),
        ("##-Inf", float("-inf")),
        ("250ms", Duration(250_000_000)),
        ("30s", Duration(30 * 10**9)),
        ("5m", Duration(300 * 10**9)),
        ("2h", Duration(7200 * 10**9)),
        ("7d", Duration(7 * 86400 * 10**9)),
        ("-1_0s", Duration(-(10**10))),
        ("nil", None),
        ("true", True),
        ("false", False),
        (r"\a", Char("a")),
        (r"\newline", Char("\n")),
        (r"\space", Char(" ")),
        (r"\tab", Char("\t")),
        (r"\return", Char("\r")),
        (r"\backspace", Char("\b")),
        (r"\formfeed", Char("\f")),
        (r"\u03bb", Char("λ")),
        (r"\o101", Char("A")),
        (r"\λ", Char("λ")),
        ("\\😀", Char("😀")),
        (r"\(", Char("(")),
        (r"\;", Char(";")),
        (r"\"", Char('"')),
        (r"\\", Char("\\")),
        (r"\,", Char(",")),
        (r"\u", Char("u")),
        (r"\o", Char("o")),
        ('""', ""),
        ('"a;(b"', "a;(b"),
        (r'"\n\t\r\b\f\"\\"', '\n\t\r\b\f"\\'),
        (r'"\u03BB\101\0"', "λA\0"),
        (r'"\uD83D\uDE00"', "😀"),
        ('"two\nlines"', "two\nlines"),
        ('"😀\0"', "😀\0"),
        ('#"a\\d+\\"b"', Regex('a\\d+\\"b')),
        ('#"(?<year>[0-9]{4})\\z"', Regex("(?<year>[0-9]{4})\\z")),
        ("{:post [%]}", Map.of([(keyword("post"), Vector.of([symbol("%")]))])),
        (":a", keyword("a")),
        (":a.b/c", keyword("a.b/c")),
        (":a/b?", keyword("a/b?")),
        (":1", keyword("1")),
        (":+", keyword("+")),
        (":a:b", keyword("a:b")),
        (":-", keyword("-")),
        ("|-", keyword("-")),
        ("⊢", keyword("-")),
        ("a", symbol("a")),
        ("/", symbol("/")),
        ("core//", Symbol("core", "/")),
        ("a.b/c", Symbol("a.b", "c")),
        ("->>", symbol("->>")),
        ("+", symbol("+")),
        ("-a", symbol("-a")),
        ("+x1", symbol("+x1")),
        ("..", symbol("..")),
        ("&", symbol("&")),
        ("*out*", symbol("*out*")),
        ("a'", symbol("a'")),
        ("a#", symbol("a#")),
        ("a%", symbol("a%")),
        ("%first", symbol("%first")),
        ("größe", symbol("größe")),
        ("nil?", symbol("nil?")),
        ("|x|", symbol("|x|")),
    ],
)
def test_atoms(text: str, value: Any) -> None:
    found = one(text)
    assert found == value
    assert found.__class__ is value.__class__


def test_not_a_number_is_one_that_is_not_itself() -> None:
    assert isnan(one("##NaN"))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("()", "()"),
        ("(a [b {c d}] #{e})", "(a [b {c d}] #{e})"),
        ("(a,b,,c)", "(a b c)"),
        ("{:a 1, :b 2}", "{:a 1, :b 2}"),
        ('[1"a"b\\c]', '[1 "a" b \\c]'),
        ("(f)g[h]", "(f) g [h]"),
        ("; all\n(a ; b\n c)\n;", "(a c)"),
        ("#!/usr/bin/env flowvm\n1", "1"),
        ("\ufeff1", "1"),
        ("'a", "(quote a)"),
        ("''a", "(quote (quote a))"),
        ("'()", "(quote ())"),
        ("@a", "(deref a)"),
        ("#'a/b", "(var a/b)"),
        ("`(a ~b ~@c d#)", "(syntax-quote (a (unquote b) (unquote-splicing c) d#))"),
        ("`~@(a)", "(syntax-quote (unquote-splicing (a)))"),
        ("~ @a", None),
        ("`(~ @a)", "(syntax-quote ((unquote (deref a))))"),
        ("#_a b", "b"),
        ("#_ #_ a b c", "c"),
        ("#_#_a b c #_d", "c"),
        ("[a #_(b [c]) d]", "[a d]"),
        ("'#_a b", "(quote b)"),
        ("#_'a b", "b"),
        ("#_^:a b c", "c"),
        ("{:a #_1 2}", "{:a 2}"),
        ("(#_)", None),
        ("#(f)", "(fn* [] (f))"),
        ("#(f % %1)", "(fn* [p1__1#] (f p1__1# p1__1#))"),
        ("#(f %3)", "(fn* [p1__1# p2__1# p3__1#] (f p3__1#))"),
        ("#(f %&)", "(fn* [& rest__1#] (f rest__1#))"),
        ("#(f % %&)", "(fn* [p1__1# & rest__1#] (f p1__1# rest__1#))"),
        ("#(f (g [%2]))", "(fn* [p1__1# p2__1#] (f (g [p2__1#])))"),
        ("#(f '%)", "(fn* [p1__1#] (f (quote p1__1#)))"),
        ("#(f #_%2)", "(fn* [p1__1# p2__1#] (f))"),
        ("[#(a %) #(b %)]", "[(fn* [p1__1#] (a p1__1#)) (fn* [p1__2#] (b p1__2#))]"),
        ("#inst \"2026-11-24T06:30:00Z\"", '#inst "2026-11-24T06:30:00.000Z"'),
        ('#inst "2026"', '#inst "2026-01-01T00:00:00.000Z"'),
        ('#uuid "01234567-89AB-cdef-0123-456789abcdef"', '#uuid "01234567-89ab-cdef-0123-456789abcdef"'),
        ('#duration "P1DT2H"', '#duration "P1DT2H"'),
        ('#bytes "aGk="', '#bytes "aGk="'),
        ("#:a{:b 1 c 2 :d/e 3 :_/f 4}", "{:a/b 1, a/c 2, :d/e 3, :f 4}"),
        ("#:a {:b 1}", "{:a/b 1}"),
        ("#::{:b 1}", "{:test/b 1}"),
        ("::a", ":test/a"),
        ("(f [x :- int?] |- map?)", "(f [x :- int?] :- map?)"),
    ],
)  # fmt: skip
def test_forms(text: str, printed: str | None) -> None:
    if printed is None:
        assert read_source(text, "test.fm").diagnostics
        return
    assert " ".join(map(print_string, forms(text))) == printed


@pytest.mark.parametrize("text", ["", " \n,", "; only a comment", "#_a", "\ufeff"])
def test_nothing(text: str) -> None:
    assert forms(text) == ()


def test_collections_have_their_classes() -> None:
    classes = [form.__class__ for form in forms("() [] {} #{} (a) [a] {a a} #{a}")]
    assert classes == [List, Vector, Map, Set] * 2


def test_large_collections() -> None:
    numbers = " ".join(map(str, range(1000)))
    assert list(one(f"[{numbers}]")) == list(range(1000))
    assert list(one(f"({numbers})")) == list(range(1000))
    assert len(one(f"#{{{numbers}}}")) == 1000
    assert one(f"{{{numbers}}}").get(998) == 999


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        ("^{:a 1} x", "{:a 1}"),
        ("^:a x", "{:a true}"),
        ("^Type x", "{:tag Type}"),
        ('^"Type" x', '{:tag "Type"}'),
        ("^:a ^:b x", "{:b true, :a true}"),
        ("^{:a 1} ^{:a 2} x", "{:a 1}"),
        ("#^:a x", "{:a true}"),
        ("^:a #_y x", "{:a true}"),
        ("^:a [x]", "{:a true}"),
        ("^:a (x)", "{:a true}"),
        ("^:a ()", "{:a true}"),
        ("^:a {}", "{:a true}"),
        ("^:a #{}", "{:a true}"),
        ("^:a 'x", "{:a true}"),
        ("^:a #(x)", "{:a true}"),
    ],
)
def test_metadata(text: str, metadata: str) -> None:
    assert print_string(meta_of(one(text))) == metadata


def test_forms_without_metadata_show_none() -> None:
    assert [meta_of(form) for form in forms("a (b) [c] {d e} #{f}")] == [None] * 5


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("::a", {}, "test/a"),
        ("::a", {"namespace": "orders"}, "orders/a"),
        ("(ns a.b) ::c", {}, "a.b/c"),
        ("(ns a.b) ::c", {"namespace": "orders"}, "a.b/c"),
        ("::x/c", {"aliases": {"x": "long.name"}}, "long.name/c"),
        ('(ns a.b "doc" (:require [long.name :as x] [other :refer [y]])) ::x/c', {}, "long.name/c"),
        ("(ns a.b (:require [long.name :as-alias x])) ::x/c", {}, "long.name/c"),
        ("(quote (ns a.b)) ::c", {}, "test/c"),
    ],
)
def test_keywords_of_a_namespace(text: str, options: dict[str, Any], value: str) -> None:
    *_, last = forms(text, **options)
    assert last.__class__ is Keyword and last.text == value


def test_namespaced_maps_of_aliases() -> None:
    assert print_string(one("#::x{:a 1}", aliases={"x": "long.name"})) == "{:long.name/a 1}"


def test_result_has_comments_namespace_and_text() -> None:
    result = read_source(b"; one\n(ns a.b) ; two\n1", "test.fm")
    assert [(span.line, span.column, text) for span, text in result.comments] == [(1, 1, "; one"), (2, 10, "; two")]
    assert result.namespace == "a.b"
    assert result.text == "; one\n(ns a.b) ; two\n1"
    assert read_source("1", "test.fm").namespace is None


def test_long_integers() -> None:
    digits = "7" * 30_000
    assert one(digits) % 10**50 == int("7" * 50)
    assert one("36r" + "Z" * 5000) == 36**5000 - 1
    assert one("-0x" + "F" * 5000) == 1 - 16**5000


def test_symbols_that_are_met_again_are_equal_but_have_their_own_place() -> None:
    first, second = forms("a a")
    assert first == second and first is not second
    assert first.meta != second.meta
