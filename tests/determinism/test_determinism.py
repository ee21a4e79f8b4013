"""A share of the determinism harness: some programs under two hash seeds; and that it sees a hash that is Python's."""

from __future__ import annotations

import sys

import pytest

from tests.determinism.__main__ import compare, lines
from tests.determinism.programs import OPS, program

HERE = sys.executable

#: Programs of the default run; python -m tests.determinism has as many as wanted, and other Pythons.
PROGRAMS = 40


def test_all_bytes_are_the_same_under_other_hash_seeds() -> None:
    found, said = compare(1, PROGRAMS, [("here", HERE, 0), ("here", HERE, 5)])
    assert not found
    assert len(said) == PROGRAMS
    assert sum(line.endswith("done") for line in said) > PROGRAMS * 3 // 4
    assert sum(int(line.split()[5]) for line in said if "refused" not in line) > PROGRAMS * 4


@pytest.mark.slow
def test_all_bytes_are_the_same_under_many_hash_seeds() -> None:
    found, _ = compare(1000, 60, [("here", HERE, seed) for seed in range(8)])
    assert not found


def test_a_hash_of_pythons_is_seen() -> None:
    found, _ = compare(1, 8, [("here", HERE, 0), ("here", HERE, 5)], "tests.determinism.broken_work")
    assert found
    assert lines(HERE, 0, 1, 1) == lines(HERE, 5, 1, 1)


def test_all_operations_are_written() -> None:
    together = "".join(program(number) for number in range(200))
    assert len(OPS) > 25
    for word in (
        "race",
        "with-timeout",
        "shield",
        "handle",
        "spawn-monitor",
        "kv/update",
        "delay",
        "zipmap",
        ":sim/stop",
    ):
        assert word in together
