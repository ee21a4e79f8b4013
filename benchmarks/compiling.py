"""Measures the compiler: the reader, builds of a generated program of 10,000 lines, and the start of the commands.

Whole commands are measured as a person sees them, from the prompt to the end, sides taking turns with `python -c pass`;
the figures are medians, and ratios are medians of the ratios of neighbours.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.generated import many_files, one_file
from flowmetal.compiler.reader import read_source
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import standard_library

LINES = 10_000
MODULES = 100
FLOWC = [sys.executable, "-c", "from flowmetal.cli.start import flowc; flowc()"]
FLOWVM = [sys.executable, "-c", "from flowmetal.cli.start import flowvm; flowvm()"]  # what the installed script does

#: An installed package has its compiled files; a setting that forbids Python to keep them would be measured instead.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds_of(command: list[str], folder: Path) -> float:
    """Seconds that a command takes."""
    return times_of(command, folder)[0]


def times_of(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds that a command takes, and those of a processor, which other work on the machine changes less."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT, cwd=folder)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_project(folder: Path, files: dict[str, str], main: str) -> Path:
    """A project of these files."""
    for name, text in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "flowmetal.toml").write_text(f'[project]\nname = "app"\nmain = "{main}"\n')
    return folder


def measure_builds(folder: Path, rounds: int, lines: int = LINES, modules: int = MODULES) -> dict[str, Any]:
    """Seconds of `flowc build`, cold and after changes; ratios of processor time to the cold build of the round."""
    one = write_project(folder / "one", one_file(lines), "app.part000")
    many = write_project(folder / "many", many_files(lines, modules), f"app.part{modules - 1:03}")
    times: dict[str, list[float]] = {}

    def note(name: str, root: Path, *more: str) -> float:
        seconds, processor = times_of([*FLOWC, "build", *more], root)
        times.setdefault(name, []).append(seconds)
        times.setdefault(f"{name[:-2]}_cpu_s", []).append(processor)
        return processor

    def change(root: Path, number: int, index: int) -> None:
        with (root / "src" / "app" / f"part{number:03}.fm").open("a") as file:
            file.write(f"(def changed-{index} {index})\n")

    ratios: dict[str, list[float]] = {"leaf": [], "root": [], "nothing": []}
    for index in range(rounds):
        note("build_1_file_s", one, "--no-cache")
        cold = note("build_100_modules_s", many, "--no-cache")
        seconds_of([*FLOWC, "build"], many)
        ratios["nothing"].append(note("build_nothing_changed_s", many) / cold)
        change(many, modules - 1, index)
        ratios["leaf"].append(note("build_one_leaf_changed_s", many) / cold)
        change(many, 0, index)
        ratios["root"].append(note("build_what_all_require_changed_s", many) / cold)
    figures: dict[str, Any] = {name: statistics.median(values) for name, values in times.items()}
    return figures | {f"build_{name}_over_cold": statistics.median(values) for name, values in ratios.items()}


def measure_reader(rounds: int, lines: int = 28_500) -> dict[str, Any]:
    """Megabytes a second of source that are read, of a small and of a large file, and memory for each byte."""
    standard_library()
    text = one_file(lines)["app/part000.fm"]
    small = one_file(lines // 10)["app/part000.fm"]
    build_artifact({"warm.fm": small})
    rates: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(rounds):
        for name, source in (("small", small), ("large", text)):
            started = time.perf_counter()
            read_source(source, "large.fm")
            rates[name].append(len(source) / (time.perf_counter() - started) / 1e6)
    figures: dict[str, Any] = {
        "read_mb_per_second": statistics.median(rates["large"]),
        "read_large_over_small": statistics.median(a / b for a, b in zip(rates["large"], rates["small"], strict=True)),
    }
    work: dict[str, Callable[[], Any]] = {
        "read": lambda: read_source(text, "large.fm"),
        "compile": lambda: build_artifact({"app/part000.fm": text}),
    }
    for name, call in work.items():
        tracemalloc.start()
        call()
        figures[f"{name}_bytes_per_source_byte"] = tracemalloc.get_traced_memory()[1] / len(text)
        tracemalloc.stop()
    return figures
