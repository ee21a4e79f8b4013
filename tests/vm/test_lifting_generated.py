"""Generated expressions do the same in lifted code and in frames, to the byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowmetal.diagnostics import CompileFailed
from flowmetal.vm import load
from tests.differential.generator import Generator
from tests.differential.ours import written
from tests.vm import kit
from tests.vm.test_lifting import WHOLE, run

TOGETHER = 12  # expressions in one program


@pytest.fixture(autouse=True)
def hot() -> Iterator[None]:
    """Everything is lifted at its first call."""
    before = load.HEAT
    load.HEAT = 0
    try:
        yield
    finally:
        load.HEAT = before


def compiles(source: str) -> bool:
    try:
        kit.artifact(source)
    except CompileFailed:
        return False
    return True


def program(expressions: list[str]) -> str:
    caught = [f"(try {one} (catch _ e [(error-kind e) (error-message e)]))" for one in expressions]
    return "(defn main [] [" + "\n".join(caught) + "])"


def check(seed: int, count: int) -> int:
    """Compares expressions made from a seed; how many programs there were."""
    expressions = [written(one) for one in Generator(seed).expressions(count)]
    programs = 0
    for at in range(0, count, TOGETHER):
        group = expressions[at : at + TOGETHER]
        source = program(group)
        if not compiles(source):
            source = program([one for one in group if compiles(program([one]))])
            if not compiles(source):
                continue
        programs += 1
        for fuel in (WHOLE, 37):
            assert run(source, True, fuel) == run(source, False, fuel), source
    return programs


@pytest.mark.filterwarnings("error::SyntaxWarning")
def test_generated() -> None:
    assert check(1, 60) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_generated(seed: int) -> None:
    assert check(seed, 300) >= 20
