"""Any text gives forms or diagnostics: no exception, no recursion, no more than linear time."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.compiler.reader import ReadResult, is_placeholder, read_source
from flowmetal.compiler.reader.source import DIAGNOSTICS_MAX
from flowmetal.diagnostics import FlowmetalError, render
from flowmetal.reading.data import read_all_data
from flowmetal.values import EMPTY_VECTOR

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 50_000

#: Name -> a function from a size in characters to a text of about that size.
SHAPES = {
    "open": lambda n: "(" * n,
    "close": lambda n: ")" * n,
    "open of two kinds": lambda n: "([" * (n // 2),
    "mismatched": lambda n: "(]" * (n // 2),
    "open at every line": lambda n: "(\n" * (n // 2),
    "nested": lambda n: "(" * (n // 2) + ")" * (n // 2),
    "nested maps": lambda n: "{1 " * (n // 4) + "2" + "}" * (n // 4),
    "nested keys": lambda n: "{" * (n // 4) + "1" + " 1}" * (n // 4),
    "nested sets": lambda n: "#{" * (n // 3) + "}" * (n // 3),
    "quotes": lambda n: "'" * n,
    "quotes with a form": lambda n: "'" * n + "x",
    "string marks": lambda n: '"' * (n + 1),
    "number signs": lambda n: "#" * n,
    "carets": lambda n: "^" * n,
    "metadata": lambda n: "^:a " * (n // 4) + "x",
    "discards": lambda n: "#_" * (n // 2),
    "discards with forms": lambda n: "#_" * (n // 4) + "1 " * (n // 4 + 1),
    "unquotes": lambda n: "~@" * (n // 2) + "x",
    "syntax-quotes": lambda n: "`~" * (n // 2) + "x",
    "function literals": lambda n: "#(" * (n // 2),
    "arguments": lambda n: "#(" + "%2 " * (n // 3) + ")",
    "tags": lambda n: "#x " * (n // 3),
    "empty prefixes": lambda n: "(')" * (n // 3),
    "digits": lambda n: "9" * n,
    "underscores": lambda n: "1_" * (n // 2),
    "exponents": lambda n: "1e9" * (n // 3),
    "letters": lambda n: "a" * n,
    "slashes": lambda n: "a/" * (n // 2),
    "colons": lambda n: ":" * n,
    "backslashes": lambda n: "\\" * n,
    "bad escapes": lambda n: '"' + "\\q" * (n // 2) + '"',
    "one long string": lambda n: '"' + "x" * n + '"',
    "unterminated string": lambda n: '"' + "x\n" * (n // 2),
    "unterminated regex": lambda n: '#"' + "\\\\" * (n // 2),
    "nothing": lambda n: "\x00" * n,
    "white space": lambda n: " \t\r\n," * (n // 5),
    "newlines": lambda n: "\n" * n,
    "comments": lambda n: ";\n" * (n // 2),
    "one comment": lambda n: ";" * n,
    "duplicates": lambda n: "#{" + "1 " * (n // 2) + "}",
    "aliases": lambda n: "::a/b " * (n // 6),
    "namespaced maps": lambda n: "#:a{" * (n // 4),
    "surrogates": lambda n: "\ud800" * n,
    "byte order marks": lambda n: "\ufeff" * n,
}


def check(result: ReadResult) -> None:
    """Holds for every text."""
    assert len(result.diagnostics) <= DIAGNOSTICS_MAX + 1
    assert len(result.forms) == len(result.spans)
    places = []
    for diagnostic in result.diagnostics:
        assert diagnostic.text and "?" not in diagnostic.text.replace("`", "").split()
        span = diagnostic.span
        assert span is not None
        assert (span.line, span.column) <= (span.end_line, span.end_column)
        assert 1 <= span.line <= result.text.count("\n") + 1
        places.append((span.line, span.column))
        assert len(render(diagnostic, {span.file: result.text})) < 5000
    assert places[:-1] == sorted(places[:-1])
    if any(is_placeholder(form) for form in result.forms):
        assert result.diagnostics


def seconds(text: str) -> float:
    start = time.process_time()
    result = read_source(text, "test.fm")
    spent = time.process_time() - start
    check(result)
    return spent


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    text = SHAPES[name](SIZE)
    # A megabyte takes some 10 seconds at worst; a square of its length would take hours.
    assert seconds(text) < 5
    try:
        read_all_data(text)
    except FlowmetalError as error:
        assert error.diagnostic.span is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_megabyte(name: str) -> None:
    assert seconds(SHAPES[name](1_000_000)) < 100


def test_deep_nesting_does_not_recurse() -> None:
    limit = sys.getrecursionlimit()
    text = "(" * 100_000 + ")" * 100_000
    result = read_source(text, "test.fm")
    assert result.diagnostics == () and len(result.forms) == 1
    assert read_source("[#_" * 50_000 + "1" + "]" * 50_000, "test.fm").forms == (EMPTY_VECTOR,)
    assert sys.getrecursionlimit() == limit


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(read_source(data, "test.fm"))


@given(st.text(st.characters(), max_size=200))
def test_any_text(text: str) -> None:
    check(read_source(text, "test.fm"))


# fmt: off
pieces = st.sampled_from([
    "(", ")", "[", "]", "{", "}", "#{", "#(", "#_", "'", "`", "~", "~@", "@", "^", "#'", "#:a{", "#::{", "#", "##",
    "##Inf",
    '"', '"a"', '#"', '#"a"', "\\", "\\a", ";", "\n", " ", ",", "%", "%2", "%&", ":", "::", "::a", ":a", "a", "a/", "/",
    "1", "1x", "1/0", "5m", "#inst", "#fn", "#?", "nil", "(ns a)", '"\\q"', "\x00", "\u200b", "\ufeff", "^:a", "⊢",
])
# fmt: on


@given(st.lists(pieces, max_size=60).map("".join))
def test_any_tokens(text: str) -> None:
    check(read_source(text, "test.fm"))
    try:
        read_all_data(text)
    except FlowmetalError as error:
        assert str(error)


def test_the_garbage_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    read_source("(", "test.fm")
    assert gc.isenabled()
    gc.disable()
    try:
        read_source("(", "test.fm")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_threads_do_not_meet() -> None:
    texts = [f"(ns n{number}) ::a #(f % {number}) [" for number in range(8)]
    found: dict[int, ReadResult] = {}

    def read(number: int) -> None:
        found[number] = read_source(texts[number] * 50, f"{number}.fm")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        again = read_source(texts[number] * 50, f"{number}.fm")
        assert found[number].diagnostics == again.diagnostics
        assert found[number].forms == again.forms


def test_works_without_docstrings_and_writes_no_files(tmp_path: Path) -> None:
    # A stranger's table module on the path must be neither imported nor needed.
    (tmp_path / "parsetab.py").write_text("raise SystemExit('imported')\n")
    program = (
        "from flowmetal.compiler.reader import read_source\n"
        "result = read_source('(a [1 {:b #{2}}] #(c %) )  09', 'a.fm')\n"
        "print(len(result.forms), [d.code for d in result.diagnostics])\n"
    )
    for options in ([], ["-O"], ["-OO"]):
        done = subprocess.run(
            [sys.executable, "-W", "error", *options, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("2 ['R020']\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["parsetab.py"]
    left = [path for path in (ROOT / "flowmetal" / "compiler").rglob("*") if path.suffix not in (".py", ".pyc")]
    assert [path for path in left if path.is_file()] == []
