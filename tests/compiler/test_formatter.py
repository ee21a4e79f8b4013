"""The formatter: cljfmt's rules in a table; that it keeps programs and comments, is idempotent, and stays linear."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.compiler.formatter import format_source
from flowmetal.compiler.formatter.tokens import Kind, all_tokens
from flowmetal.compiler.reader import read_source
from flowmetal.diagnostics import CompileFailed
from flowmetal.values import print_string

ROOT = Path(__file__).parents[2]
CORPUS = [
    path
    for folder in ("stdlib", "examples", "tests/golden/programs", "tests/differential", "tests/language")
    for path in sorted((ROOT / folder).rglob("*.fm"))
    if not read_source(path.read_bytes(), path.name).diagnostics
]

#: Before, after.
TABLE = [
    ("( a  b )", "(a  b)"),
    ("(a(b)c)", "(a (b) c)"),
    ('[1[2]"x"{}]', '[1 [2] "x" {}]'),
    ("(a\n  )", "(a)"),
    ("(a ; c\n)", "(a ; c\n )"),
    ("(a;c\n b)", "(a ;c\n b)"),
    ("a   \n\n\n\nb\n\n", "a\n\nb"),
    ("(foo a\nb)", "(foo a\n     b)"),
    ("(foo\na\nb)", "(foo\n a\n b)"),
    ("(defn f [x]\nx)", "(defn f [x]\n  x)"),
    ("(defn f\n[x]\nx)", "(defn f\n  [x]\n  x)"),
    ("(let [a 1\nb 2]\na)", "(let [a 1\n      b 2]\n  a)"),
    ("(let\n[a 1]\na)", "(let\n [a 1]\n  a)"),
    ("(if a\nb\nc)", "(if a\n  b\n  c)"),
    ("(if a b\nc)", "(if a b\n    c)"),
    ("(cond a\nb\nc d)", "(cond a\n      b\n      c d)"),
    ("(cond\na b\nc d)", "(cond\n  a b\n  c d)"),
    ("(condp = x\n1 2)", "(condp = x\n  1 2)"),
    ("(case x\n1 2)", "(case x\n  1 2)"),
    ("(try\na\n(catch :k e\nb)\n(finally\nc))", "(try\n  a\n  (catch :k e\n    b)\n  (finally\n    c))"),
    ("(letfn [(f [x]\nx)]\n(f 1))", "(letfn [(f [x]\n          x)]\n  (f 1))"),
    ("(reify P\n(m [t]\nt))", "(reify P\n  (m [t]\n    t))"),
    ("(defrecord R [a]\nP\n(m [t]\nt))", "(defrecord R [a]\n  P\n  (m [t]\n    t))"),
    ("(handle (f)\n(a/b [x resume]\n(resume x)))", "(handle (f)\n  (a/b [x resume]\n    (resume x)))"),
    ("(with-thing x\ny)", "(with-thing x\n  y)"),
    ("(default x\ny)", "(default x\n         y)"),
    ("{:a 1,\n:b 2}", "{:a 1,\n :b 2}"),
    ("#{1\n2}", "#{1\n  2}"),
    ("#(foo %\n1)", "#(foo %\n      1)"),
    ("#(do\n%)", "#(do\n   %)"),
    ("'(a\nb)", "'(a\n  b)"),
    ("^{:a 1} x", "^{:a 1} x"),
    ("(def ^:private x\n1)", "(def ^:private x\n  1)"),
    ("(foo #_a b\nc)", "(foo #_a b\n     c)"),
    ('#inst "2026-01-01"', '#inst "2026-01-01"'),
    ('(f "a\nb" c\nd)', '(f "a\nb" c\n   d)'),
    ("(-> x\ny)", "(-> x\n    y)"),
    (";; top\n  ;; too\n(a\n;; in\nb)", ";; top\n;; too\n(a\n ;; in\n b)"),
    ("(a \\( b)", "(a \\( b)"),
    ("(f x) ; one\n; two", "(f x) ; one\n; two"),
    ("(ns a\n(:require [b]))", "(ns a\n  (:require [b]))"),
    ("(a,b)", "(a,b)"),
    ("(a b)\r\n(c\r\nd)", "(a b)\n(c\n d)"),
    ("(a ;c\r\nb)", "(a ;c\n b)"),
    ('(a "b\r\nc")', '(a "b\r\nc")'),
    ('(a #"b\r\nc")', '(a #"b\r\nc")'),
    ("(let ,\n)", "(let)"),
    ("[a ,\n]", "[a]"),
    ("[a ,\n ,b]", "[a,\n b]"),
    ("[a ,\n ;c\n b]", "[a,\n ;c\n b]"),
    ("", ""),
]


@pytest.mark.parametrize(("before", "after"), TABLE)
def test_rule(before: str, after: str) -> None:
    wanted = after + "\n" if after else ""
    assert format_source(before, "t.fm") == wanted
    assert format_source(wanted, "t.fm") == wanted


def significant(text: str) -> list[str]:
    """All tokens but white space."""
    tokens = all_tokens(text)
    return [token.rstrip() if kind is Kind.COMMENT else token for kind, token in tokens if kind is not Kind.SPACE]


def check(text: str) -> None:
    """The properties of formatting one accepted text."""
    after = format_source(text, "t.fm")
    assert format_source(after, "t.fm") == after
    old, new = read_source(text, "t.fm", "n"), read_source(after, "t.fm", "n")
    assert not new.diagnostics
    assert [print_string(form) for form in new.forms] == [print_string(form) for form in old.forms]
    assert significant(after) == significant(text)  # with it metadata, which is not printed
    assert [comment for _, comment in new.comments] == [comment.rstrip() for _, comment in old.comments]
    for line in after.split("\n"):
        assert line == line.rstrip() or '"' in after  # only inside a string


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


def test_tokens_are_the_text() -> None:
    for path in CORPUS:
        text = path.read_text(encoding="utf-8")
        assert "".join(token for _, token in all_tokens(text)) == text


PARTS = st.sampled_from(
    [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "#{",
        "#(",
        "'",
        "`",
        "~",
        "~@",
        "@",
        "^",
        "#_",
        ";c\n",
        "\n",
        ",",
        "a",
        "b/c",
        ":k",
        "1",
        "2/3",
        "30s",
        "\\a",
        '"s"',
        '"m\nn"',
        '#"r"',
        "##Inf",
        "\r\n",
        '"m\r\nn"',
        "#_",
        ";c\r\n",
        "#inst",
        "let",
        "defn",
        "letfn",
        " ",
        "\n\n",
        "  ",
        "\t",
    ]
)


@given(st.lists(PARTS, max_size=40))
def test_generated(parts: list[str]) -> None:
    text = " ".join(parts)
    if read_source(text, "t.fm").diagnostics:
        with pytest.raises(CompileFailed):
            format_source(text, "t.fm")
    else:
        check(text)


@pytest.mark.parametrize("path", CORPUS[::6], ids=lambda path: path.name)
def test_other_white_space(path: Path) -> None:
    """A program whose spaces are others comes out the same program."""
    chosen = random.Random(path.name)
    parts = []
    for kind, token in all_tokens(path.read_text(encoding="utf-8")):
        if kind.value == "space" and "\n" not in token and ";" not in "".join(parts[-1:]):
            token = chosen.choice([" ", "  ", "\n", " \n  ", ", "])
        parts.append(token)
    check("".join(parts))


def test_time_is_linear() -> None:
    """Four times the text takes about four times as long, whatever its shape; a quadratic pass would take sixteen."""

    def seconds(text: str) -> float:
        began = time.process_time()
        format_source(text, "t.fm")
        return time.process_time() - began

    for small in ("(let [a 1]\n(f a))\n" * 2000, "(" * 3000 + ")" * 3000, "[\n" * 3000 + "]" * 3000, "'" * 3000 + "a"):
        large = small.replace("(" * 3000, "(" * 12000).replace(")" * 3000, ")" * 12000)
        large = large.replace("[\n" * 3000, "[\n" * 12000).replace("]" * 3000, "]" * 12000)
        large = small * 4 if large == small and "let" in small else large.replace("'" * 3000, "'" * 12000)
        assert min(seconds(large) for _ in range(3)) < 10 * min(seconds(small) for _ in range(3)) + 0.05


def test_a_text_with_errors_is_refused() -> None:
    with pytest.raises(CompileFailed) as raised:
        format_source("(defn f [x]", "t.fm")
    assert raised.value.diagnostics[0].code == "R001"


def test_what_could_not_be_read_again_is_refused() -> None:
    text = "(a\n" * 12_000 + ")" * 12_000
    assert not read_source(text, "t.fm").diagnostics
    with pytest.raises(CompileFailed) as raised:
        format_source(text, "t.fm")
    assert [one.code for one in raised.value.diagnostics] == ["U160"]
