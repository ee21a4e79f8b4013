"""What of the differential test needs no JVM: the corpus, the list of known differences, and the generator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.differential import corpus, ours
from tests.differential.compare import KNOWN, agree, known, normal
from tests.differential.generator import expressions, signatures

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "differences-from-clojure.md"


@pytest.mark.parametrize("part", range(4))
def test_corpus(part: int) -> None:
    """What disagreed once agrees."""
    rows = corpus.rows()[part::4]
    answers = ours.ask([expression for expression, _ in rows])
    wrong = [
        f"{expression}: {our}, not {their}"
        for (expression, their), our in zip(rows, answers, strict=True)
        if not agree(our, their)
    ]
    assert len(rows) > 300
    assert wrong == []


@cache
def _answers() -> dict[str, str]:
    examples = [row.example for row in known()]
    return dict(zip(examples, ours.ask(examples), strict=True))


@pytest.mark.parametrize("row", known(), ids=lambda row: row.name)
def test_known_difference(row: object) -> None:
    """Each has a place in the documentation, and an example that still differs."""
    from tests.differential.compare import Known

    assert isinstance(row, Known)
    stored = next(found for found in json.loads(KNOWN.read_text()) if found["name"] == row.name)
    assert f'<a id="{row.anchor}"></a>' in PAGE.read_text(encoding="utf-8")
    our = _answers()[row.example]
    assert not agree(our, stored["answer"])
    assert row.holds(row.example, our, stored["answer"]), f"{our} / {stored['answer']}"


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
