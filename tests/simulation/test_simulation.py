"""A share of the simulation, that one seed is one run everywhere, and that it finds what is broken on purpose."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.simulation.broken import BREAKS, broken
from tests.simulation.plans import Generator, expect, nested, smaller, text
from tests.simulation.run import plans_of, run, shrunk

#: Seeds of the default run, by the hundred: python -m tests.simulation runs as many as wanted.
HUNDREDS = 6

#: A thing that is broken is found within so many seeds.
WITHIN = 400

_PRINTED = """
from tests.simulation.run import run
print([(seed, run(seed).trace) for seed in (*range(1, 16), 35)])
"""


@pytest.mark.parametrize("hundred", range(HUNDREDS))
def test_nothing_is_found(hundred: int) -> None:
    for seed in range(100 * hundred + 1, 100 * hundred + 101):
        ran = run(seed)
        assert not ran.problems, f"python -m tests.simulation --seeds 1 --seed {seed}: {ran.problems}"


@pytest.mark.slow
def test_nothing_is_found_in_many() -> None:
    for seed in range(10_000, 12_000):
        ran = run(seed)
        assert not ran.problems, f"python -m tests.simulation --seeds 1 --seed {seed}: {ran.problems}"


def test_one_seed_is_one_run() -> None:
    for seed in (1, 32, 153, 214, 252):
        assert run(seed).trace == run(seed).trace
    assert run(1).trace != run(2).trace


def test_it_is_the_same_run_in_other_processes() -> None:
    told = set()
    for hash_seed in ("0", "7"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", _PRINTED], env=environment, capture_output=True, check=True)
        told.add(done.stdout)
    assert len(told) == 1
    assert str(run(35).trace).encode() in told.pop()


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found(name: str) -> None:
    with broken(name):
        assert any(run(seed).problems for seed in range(1, WITHIN + 1))


def test_a_failing_program_is_made_smaller() -> None:
    with broken("timer_early"):
        ran = next(ran for ran in map(run, range(1, WITHIN)) if ran.problems and len(list(nested(ran.plans[0]))) > 3)
        small = shrunk(ran)
    assert small.problems
    assert sum(len(list(nested(plan))) for plan in small.plans) < sum(len(list(nested(plan))) for plan in ran.plans)


def test_plans_are_those_of_their_seed() -> None:
    assert plans_of(5) == plans_of(5)
    plan = Generator(random.Random(4)).plan(12)
    assert text(plan).startswith("[:")
    assert all(isinstance(expect(one), frozenset | None) for one in nested(plan) if one[0] != "ask-stop")
    assert all(len(str(one)) < len(str(plan)) for one in smaller(plan))


def test_a_fault_of_the_code_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowmetal.engine import turns

    def fails(*arguments: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(turns, "_save_rest", fails)
    assert any("a fault of ours" in problem for problem in run(1).problems)
