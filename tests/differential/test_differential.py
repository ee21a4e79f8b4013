"""What of the differential test needs no JVM: the corpus, the list of known differences, and the generator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.differential import corpus, ours
from tests.differential.compare import Known, agree, known, normal, settled
from tests.differential.generator import expressions, signatures
from tests.differential.kinds import same_class

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "differences-from-clojure.md"


def test_corpus() -> None:
    """What disagreed once agrees, or is a known difference."""
    rows = corpus.rows()
    answers = ours.ask([expression for expression, _ in rows])
    open_ = [
        (expression, our, their)
        for (expression, their), our in zip(rows, answers, strict=True)
        if not agree(our, their)
    ]
    wrong = [
        f"{expression}: {our}, not {their}"
        for (expression, our, their), found in zip(open_, settled(open_, ours.ask), strict=True)
        if found is None
    ]
    assert len(rows) > 2000
    assert wrong == []


@cache
def _answers() -> dict[str, str]:
    """Our answers to the examples of all known differences, and to what has to be asked because of them."""
    asked = [row.example for row in known()]
    for row in known():
        for expression in (row.example, *(near[0] for near in row.near)):
            changed = row.changed(expression)
            if changed is not None:
                asked.append(changed)
    return dict(zip(asked, ours.ask(asked), strict=True))


def _ask(expressions: Sequence[str]) -> list[str]:
    return [_answers()[expression] for expression in expressions]


@pytest.mark.parametrize("row", known(), ids=lambda row: row.name)
def test_known_difference(row: Known) -> None:
    """Each has a place in the documentation, and an example that still differs."""
    assert f'<a id="{row.anchor}"></a>' in PAGE.read_text(encoding="utf-8")
    our = _answers()[row.example]
    assert not agree(our, row.answer)
    assert _holds(row, row.example, our, row.answer), f"{our} / {row.answer}"


@pytest.mark.parametrize("row", known(), ids=lambda row: row.name)
def test_known_difference_is_no_wider_than_its_reason(row: Known) -> None:
    """What looks like the difference and is none, is none; nor is any fault of the machine."""
    assert row.near
    for expression, our, their in row.near:
        assert not _holds(row, expression, our, their), expression
    assert not row.fits(row.example, "!flowmetal/internal KeyError", row.answer)
    assert not row.fits(row.example, _answers()[row.example], "!StackOverflowError ")


def _holds(row: Known, expression: str, our: str, their: str) -> bool:
    if not row.fits(expression, our, their):
        return False
    changed = row.changed(expression)
    return changed is None or agree(_answers()[changed], their)


def test_classes_of_errors() -> None:
    assert same_class("!arity inc", "!ArityException Wrong number of args (0) passed to: f")
    assert same_class("!A109 inc", "!ArityException Wrong number of args (0) passed to: f")
    assert same_class("!type x", "!NullPointerException ")
    assert same_class("!index x", "!StringIndexOutOfBoundsException begin 1")
    assert same_class("!arithmetic x", "!ArithmeticException Divide by zero")
    assert same_class("!read x", "!RuntimeException EOF while reading")
    assert not same_class("!type x", "!ArithmeticException Divide by zero")
    assert not same_class("!argument x", "!ClassCastException x")
    assert not same_class("!flowmetal/internal x", "!ClassCastException x")
    assert not same_class("!type x", "!NobodyKnowsException x")


def test_same_seed_same_expressions() -> None:
    code = (
        "import hashlib; from tests.differential.generator import expressions;"
        "print(hashlib.sha256(chr(10).join(expressions(7, 300)).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(set(expressions(8, 300))) == 300


def test_every_function_is_reached() -> None:
    """Within a few thousand expressions each function of the table is called."""
    text = "\n".join(expressions(1, 6000))
    called = set(re.findall(r"\((\S+)", text))
    assert sorted({name for name, _, _ in signatures()} - called) == []


def test_normal_form() -> None:
    assert normal("{:b 1N, :a #{3 1 2}}") == normal("{:a #{1 2 3} :b 1}")
    assert normal("(1 2)") != normal("[1 2]")
    assert normal('"a  b"') != normal('"a b"')
    assert normal("(2 1)") != normal("(1 2)")
    assert agree("!type x", "!ClassCastException y")
    assert not agree("nil", "!ClassCastException y")
    assert not agree("1.0", "1")
