"""Compares pure code: `python -m benchmarks.pure.run [--quick] [--only NAME,...] [--sides SIDE,...] [--json FILE]`.

Every program of `programs/` exists once a language and gives the same result.  Each side is a Python process of its
own; they take turns, and what is quoted is the median over the rounds of the ratio of processor seconds to those of
CPython, at the same size in the same round.  Hy and Basilisp are measured where they are installed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.environments import LISPS, python_of

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
ROOT = HERE.parent.parent

#: The size of each program: what takes CPython 10 to 30 ms.
SIZES: dict[str, int] = {
    "fib": 25,
    "loop": 200_000,
    "sequences": 200_000,
    "strings": 60_000,
    "closures": 12_000,
    "maps": 100_000,
    "vectors": 80_000,
    "orders": 5_000,
}
#: Basilisp's arithmetic is variadic functions of Lisp, several hundred times CPython: it runs at a smaller size, and so
#: does CPython for it.
SMALLER = {"basilisp": 40}
SUFFIXES = {"python": ".py", "frames": ".fm", "lifted": ".fm", "hy": ".hy", "basilisp": ".lpy"}


class Different(Exception):
    """Two sides gave different results: nothing they took can be compared."""


class Side:
    """A running side of one program."""

    def __init__(self, language: str, python: Path, program: str) -> None:
        self.language = language
        self.program = program
        file = PROGRAMS / f"{program}{SUFFIXES[language]}"
        # Basilisp keeps its compiled core where Python keeps compiled files; without it each start takes 15 seconds.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        if language in ("frames", "lifted"):
            environment["PYTHONPATH"] = str(ROOT)
        else:
            environment.pop("PYTHONPATH", None)
        command = [str(python), str(HERE / "side.py"), language, str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        self._read()

    def run(self, size: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the side {self.language} of {self.program} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass
class Compared:
    """One program: processor seconds of each round, by side, and those of CPython at the same size."""

    program: str
    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    python: dict[str, list[float]] = field(default_factory=dict)

    def milliseconds(self, side: str) -> float:
        return statistics.median(self.seconds[side]) * 1e3

    def ratio(self, side: str) -> float:
        """The median over the rounds of what a side takes over what CPython takes."""
        return statistics.median(a / b for a, b in zip(self.seconds[side], self.python[side], strict=True))


def sides_here() -> dict[str, Path]:
    """The sides that can be run on this machine, with the Python of each."""
    found = {name: Path(sys.executable) for name in ("python", "frames", "lifted")}
    for language in LISPS:
        python = python_of("lisps", language)
        if python is not None:
            found[language] = python
    return found


def size_for(program: str, size: int, side: str) -> int:
    """The size at which a side runs a program."""
    divisor = SMALLER.get(side, 1)
    return size - round(math.log(divisor, 1.618)) if program == "fib" else max(1, size // divisor)


def compare(program: str, size: int, sides: dict[str, Path], rounds: int) -> Compared:
    """Runs one program on all sides in turns, CPython at each size that another side has.  Raises Different."""
    compared = Compared(program, size, {side: [] for side in sides}, {side: [] for side in sides})
    with ExitStack() as stack:
        started = [stack.enter_context(Side(language, python, program)) for language, python in sides.items()]
        python = started[0]
        for side in started:
            side.run(size_for(program, size, "basilisp"))  # warm
        for index in range(rounds):
            answers: dict[int, dict[str, Any]] = {}
            for side in started if index % 2 == 0 else started[::-1]:
                name, here = side.language, size_for(program, size, side.language)
                if here not in answers:
                    answers[here] = python.run(here)
                answer = answers[here] if side is python else side.run(here)
                if answer["result"] != answers[here]["result"]:
                    raise Different(f"{program}: {name} gives {answer['result']!r}, not {answers[here]['result']!r}")
                compared.seconds[name].append(answer["cpu"])
                compared.python[name].append(answers[here]["cpu"])
    return compared


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def table(results: list[Compared]) -> str:
    """The results as Markdown: CPython in milliseconds, the others as ratios to it."""
    others = [side for side in results[0].seconds if side != "python"]
    lines = [
        "| program | CPython, ms | " + " | ".join(f"{side} / CPython" for side in others) + " |",
        "|---|---|" + "---|" * len(others),
    ]
    for one in results:
        ratios = " | ".join(f"{one.ratio(side):.2f}" for side in others)
        lines.append(f"| {one.program} | {one.milliseconds('python'):.1f} | {ratios} |")
    means = " | ".join(f"{geometric_mean([one.ratio(side) for one in results]):.2f}" for side in others)
    lines.append(f"| geometric mean | | {means} |")
    return "\n".join(lines)


def document(results: list[Compared]) -> dict[str, Any]:
    """The results as JSON."""
    others = [side for side in results[0].seconds if side != "python"]
    return {
        "programs": {
            one.program: {
                "size": one.size,
                "cpu_ms": {side: one.milliseconds(side) for side in one.seconds},
                "over_python": {side: one.ratio(side) for side in others},
            }
            for one in results
        },
        "geometric_mean_over_python": {side: geometric_mean([one.ratio(side) for one in results]) for side in others},
    }


def measure(
    rounds: int, scale: float = 1.0, only: list[str] | None = None, sides: list[str] | None = None
) -> list[Compared]:
    """All programs, or those of `only`; all sides there are, or those of `sides` and CPython."""
    here = {name: path for name, path in sides_here().items() if sides is None or name == "python" or name in sides}
    return [
        compare(name, size if name == "fib" else max(min(size, 40_000), int(size * scale)), here, rounds)
        for name, size in SIZES.items()
        if only is None or name in only
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rounds at half the size")
    parser.add_argument("--rounds", type=int, help="rounds of each program")
    parser.add_argument("--only", help="programs, with commas between")
    parser.add_argument("--sides", help="sides beside CPython, with commas between: frames,hy,basilisp")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    results = measure(
        options.rounds or (3 if options.quick else 7),
        0.5 if options.quick else 1.0,
        options.only.split(",") if options.only else None,
        options.sides.split(",") if options.sides else None,
    )
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(document(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
