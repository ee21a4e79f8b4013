"""The tables of one run, or of several put together: `python -m benchmarks.report FILE.json ...`.

A workload that several runs have measured is taken from the last of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.driving import TITLES
from benchmarks.rows import Row, Verdict, number, rows_table, verdicts_table

#: What the workloads of pure code are called begins with this.
PURE = "P1 "


def report(runs: Sequence[dict[str, Any]]) -> str:
    """The tables, as Markdown, of runs as JSON has them."""
    latest = {name: found for run in runs for name, found in run["workloads"].items()}
    verdicts = [
        Verdict(**{key: value for key, value in one.items() if key != "met"})
        for found in latest.values()
        for one in found["verdicts"]
    ]
    rows = [Row(**row) for found in latest.values() for row in found["rows"]]
    parts = [*(f"{heading(run)}  " for run in runs), ""]
    if verdicts:
        parts += [verdicts_table(sorted(verdicts, key=lambda one: int(one.target[1:]))), ""]
    pure = [row for row in rows if row.workload.startswith(PURE)]
    parts.append(rows_table([row for row in rows if row not in pure]))
    if pure:
        parts += ["", pure_table(pure)]
    reasons = {name: reason for run in runs for name, reason in run["absent"].items()}
    absent = [f"- {TITLES[name]}: {reason}" for name, reason in reasons.items() if reason]
    if absent:
        parts += ["", "Not measured:", "", *absent]
    return "\n".join(parts)


def pure_table(rows: Sequence[Row]) -> str:
    """Pure code: a program a line, a side a column."""
    sides = list(dict.fromkeys(row.side for row in rows))
    found = {(row.workload, row.side): row for row in rows}
    units = {row.side: row.unit for row in rows}
    lines = [
        "| pure code | " + " | ".join(f"{side}, {units[side]}" for side in sides) + " |",
        "|---|" + "---|" * len(sides),
    ]
    for workload in dict.fromkeys(row.workload for row in rows):
        cells = [number(found[workload, side].figure) if (workload, side) in found else "" for side in sides]
        lines.append(f"| {workload.removeprefix(PURE)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heading(run: dict[str, Any]) -> str:
    """Where, when and how a run was."""
    where, seconds = run["where"], run["seconds"]
    return (
        f"{where['at']}, {', '.join(seconds)}: Python {where['python']}, {where['processors']} processors, "
        f"load average {where['load_average']:.1f} before and {where['load_average_after']:.1f} after, "
        f"{where['scheduling']} scheduling, scale `{where['scale']}`, {sum(seconds.values()):.0f} s."
    )


def main() -> None:
    print(report([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))


if __name__ == "__main__":
    main()
