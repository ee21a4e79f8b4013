"""Every workload of the benchmarks runs, at sizes that measure nothing, and gives rows that make sense."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.driving import Sides, in_turns
from benchmarks.report import report
from benchmarks.rows import Outcome, document, number, rows_table, verdicts_table
from benchmarks.run import WORKLOADS, surroundings
from benchmarks.scales import TINY

ROOT = Path(__file__).resolve().parent.parent.parent

#: The target each workload says something about; pure code has tests of its own.
TARGETS = {
    "limits": set(),
    "chain": {"P3"},
    "fan": {"P4"},
    "queues": set(),
    "latency": {"P5"},
    "resume": {"P7"},
    "park": {"P6"},
    "state": {"P8", "P9", "P10", "P11"},
    "scaling": {"P13"},
    "runaway": {"P14"},
    "cold": {"P12"},
}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Flowmetal and the limits, without peers."""
    with Sides(tmp_path_factory.mktemp("bench"), peers=()) as found:
        yield found


@pytest.mark.parametrize("name", [*TARGETS, pytest.param("compiling", marks=pytest.mark.slow)])
def test_a_workload_gives_rows(name: str, sides: Sides) -> None:
    outcome: Outcome = importlib.import_module(f"benchmarks.workloads.{name}").measure(sides, TINY)
    assert outcome.rows
    for row in outcome.rows:
        assert math.isfinite(row.figure) and row.figure >= 0, row
        assert row.low is None or row.high is None or row.low <= row.figure <= row.high
    assert {one.target for one in outcome.verdicts} == TARGETS.get(name, set())
    where = surroundings(TINY) | {"load_average_after": 0.0, "scheduling": "normal"}
    absent = {"absurd": "not installed: it is not"}
    run = {"where": where, "seconds": {name: 1.0}, "absent": absent, "workloads": document({name: outcome})}
    text = report([json.loads(json.dumps(run))])
    assert outcome.rows[0].side in text and "Absurd, PostgreSQL: not installed: it is not" in text


def test_all_workloads_are_tested() -> None:
    assert {*TARGETS, "pure", "compiling"} == set(WORKLOADS)
    assert {path.stem for path in (ROOT / "benchmarks" / "workloads").glob("[a-z]*.py")} == set(WORKLOADS)


def test_a_side_that_fails_is_left_out(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    found = in_turns(
        2, {"good": lambda: 1, "bad": lambda: sides.get("flowmetal").ask("run", function="none", arguments=[])}
    )
    assert found == {"good": [1, 1]}
    assert "left out: flowmetal" in capsys.readouterr().err


def test_a_missed_target_is_shown_as_missed() -> None:
    outcome = Outcome()
    outcome.row("w", "s", [1.0, 3.0, 2.0], "ms")
    outcome.verdict("P3", "fast", [0.5, 0.4, 0.7], 0.6)
    outcome.verdict("P4", "cheap", [39.0], 40.0, at_least=False)
    assert [one.met for one in outcome.verdicts] == [False, True]
    assert "| 0.5 x | at least 0.6 x | **missed** |" in verdicts_table(outcome.verdicts)
    assert "2 (1 to 3)" in rows_table(outcome.rows)
    assert [number(value) for value in (0.12345, 12.345, 123.45, 12345.6, 0, None)] == [
        "0.123",
        "12.3",
        "123",
        "12,346",
        "0",
        "",
    ]
