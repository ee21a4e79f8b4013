"""The language's own tests, in the language: those of the library, and those of the examples, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.project import find_manifest, open_project
from flowmetal.engine.testing import Suite, build_suite, judge

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def example(name: str) -> Suite:
    manifest = find_manifest(EXAMPLES / name)
    assert manifest is not None
    return build_suite(open_project(manifest).inputs(with_tests=True))


SUITES = [build_suite({path.name: path.read_bytes() for path in sorted(HERE.glob("*.fm"))})]
SUITES += [example("deploy"), example("trips")]
TESTS = [(suite, test) for suite in SUITES for test in suite.tests]


@pytest.mark.parametrize(("suite", "test"), TESTS, ids=[test.name for _, test in TESTS])
def test_plain_and_under_a_little_chaos(suite: Suite, test: Any) -> None:
    verdict = judge(suite, test, range(1, 5))
    assert verdict.ok, verdict.result


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "test"), TESTS, ids=[test.name for _, test in TESTS])
def test_under_chaos(suite: Suite, test: Any) -> None:
    verdict = judge(suite, test, range(5, 61))
    assert verdict.ok, verdict.result
