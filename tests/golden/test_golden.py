"""Runs every golden program, straight and with the process saved and restored all the time."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_world import PROGRAMS, Expected, Outcome, execute, expectations, load

from flowmetal.diagnostics import CompileFailed

PATHS = sorted(PROGRAMS.rglob("*.fm"))

#: Cuts of fuel at which a program is saved and restored; those that run long are long in the same way all along.
CUTS = 150


def name(path: Path) -> str:
    return str(path.relative_to(PROGRAMS).with_suffix(""))


def check(expected: Expected, outcome: Outcome) -> None:
    if expected.value is not None:
        assert (outcome.value, outcome.error) == (expected.value, None)
    elif expected.error is not None:
        assert outcome.error is not None
        assert outcome.error == expected.error or outcome.error.startswith(expected.error + " ")
    if expected.log is not None:
        assert outcome.log == expected.log
    if expected.prints is not None:
        assert outcome.prints == expected.prints


def is_compile_error(expected: Expected) -> bool:
    return expected.error is not None and not expected.error.startswith(":")


@pytest.mark.parametrize("path", PATHS, ids=name)
def test_program(path: Path) -> None:
    expected = expectations(path.read_text(encoding="utf-8"))
    assert expected.value is not None or expected.error is not None, "the program says nothing of its result"
    if not is_compile_error(expected):
        check(expected, execute(load(path), expected))
        return
    with pytest.raises(CompileFailed) as failed:
        load(path)
    wanted, _, place = (expected.error or "").partition(" at ")
    first = failed.value.diagnostics[0]
    assert first.code.startswith(wanted)
    assert not place or (first.span is not None and f"{first.span.line}:{first.span.column}" == place)


@pytest.mark.parametrize("path", PATHS, ids=name)
def test_program_saved_and_restored(path: Path) -> None:
    """At every effect, and at many points between: the same value, the same effects in the same order."""
    expected = expectations(path.read_text(encoding="utf-8"))
    if is_compile_error(expected) or expected.once:
        return
    check(expected, execute(load(path), expected, cuts=CUTS))
