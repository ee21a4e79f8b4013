"""What a benchmark gives: rows with figures, and verdicts on the targets; and the tables made of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A figure of one side in one workload, median of the rounds.

    `cpu_us`: microseconds of a processor for each unit of work (a step, a start), of all processes of the side;
    `bytes`: on the disk for each of them; `note`: what else was seen.
    """

    workload: str
    side: str
    figure: float
    unit: str
    low: float | None = None
    high: float | None = None
    cpu_us: float | None = None
    bytes: float | None = None
    noise: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target: a measured value, mostly a ratio of neighbours, against the one that is wanted."""

    target: str
    what: str
    value: float
    wanted: float
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted


@dataclass
class Outcome:
    """What one workload gave; `absent`: sides that could not be measured, and why."""

    rows: list[Row] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def row(self, workload: str, side: str, values: Sequence[float], unit: str, **more: Any) -> None:
        """Adds a row with the median and the range of what the rounds gave."""
        middle = statistics.median(values)
        low, high = (min(values), max(values)) if len(values) > 1 else (None, None)
        self.rows.append(Row(workload, side, middle, unit, low, high, **more))

    def verdict(self, target: str, what: str, values: Sequence[float], wanted: float, **more: Any) -> None:
        """Adds a verdict on the median of what the rounds gave."""
        self.verdicts.append(Verdict(target, what, statistics.median(values), wanted, **more))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, what one side has over another."""
    return [a / b for a, b in zip(ours, theirs)]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def number(value: float | None) -> str:
    """A figure as people read it: three digits that count."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _range(row: Row) -> str:
    if row.low is None or row.high is None or row.low == row.high:
        return number(row.figure)
    return f"{number(row.figure)} ({number(row.low)} to {number(row.high)})"


def rows_table(rows: Sequence[Row]) -> str:
    lines = [
        "| workload | side | figure | unit | CPU, µs | disk, bytes | noise | seen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    last = ""
    for row in rows:
        workload = row.workload if row.workload != last else ""
        last = row.workload
        cells = [workload, row.side, _range(row), row.unit, number(row.cpu_us), number(row.bytes), number(row.noise)]
        lines.append("| " + " | ".join([*cells, row.note]) + " |")
    return "\n".join(lines)


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| target | what | measured | wanted | |", "|---|---|---|---|---|"]
    for one in verdicts:
        wanted = f"{'at least' if one.at_least else 'at most'} {number(one.wanted)} {one.unit}"
        measured = f"{number(one.value)} {one.unit}"
        lines.append(f"| {one.target} | {one.what} | {measured} | {wanted} | {'met' if one.met else '**missed**'} |")
    return "\n".join(lines)


def document(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """All of it as JSON."""
    return {
        name: {
            "rows": [asdict(row) for row in outcome.rows],
            "verdicts": [asdict(one) | {"met": one.met} for one in outcome.verdicts],
        }
        for name, outcome in outcomes.items()
    }
