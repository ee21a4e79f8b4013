"""The compiler: builds of a generated program of 10,000 lines, and its reader; see benchmarks/compiling.py."""

from __future__ import annotations

from benchmarks.compiling import LINES, MODULES, measure_builds, measure_reader
from benchmarks.driving import Sides
from benchmarks.rows import Outcome
from benchmarks.scales import Scale


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    lines, modules = (200, 5) if scale.name == "tiny" else (LINES, MODULES)
    rounds = max(1, scale.rounds // 2)
    figures = measure_builds(sides.folder / "compiling", rounds, lines, modules)
    figures |= measure_reader(1 if scale.name == "tiny" else rounds, 2_850 if scale.name == "tiny" else 28_500)
    for name, value in figures.items():
        unit = "s" if name.endswith("_s") else "MB/s" if name == "read_mb_per_second" else ""
        outcome.row(f"compiler, {lines:,} lines", name.replace("_", " "), [value], unit or "x")
    return outcome
