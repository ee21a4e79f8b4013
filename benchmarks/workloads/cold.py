"""P12: the start of commands, from the prompt to the end, against bare Python; and what `flowvm run` imports."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.compiling import ENVIRONMENT, FLOWVM, times_of
from benchmarks.driving import Sides
from benchmarks.environments import ROOT
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale

CHANGED = "flowvm run of a source just changed"
HELLO = '(ns hello)\n(defn main [] "hello")'

#: What must not be imported where a program runs that needs none of it: web servers, HTTP clients, database drivers.
HEAVY = [
    "httpx2",
    "httpcore",
    "uvicorn",
    "starlette",
    "anyio",
    "asyncio",
    "http.server",
    "http.client",
    "urllib.request",
    "ssl",
    "socketserver",
    "lmdb",
    "psycopg",
    "sqlite3",
]

#: Tells what is imported at the end of a command; `os._exit` ends it there, so that is where it looks.
SPY = """
import json, os, sys
def told(code, end=os._exit):
    sys.stderr.write("\\nimported " + json.dumps(sorted(sys.modules)))
    sys.stderr.flush()
    end(code)
os._exit = told
from flowmetal.cli.start import flowvm
flowvm()
"""


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    folder = sides.folder / "cold"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.fm").write_text(HELLO)
    build(folder)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "flowvm run hello.fmc": [*FLOWVM, "run", "hello.fmc"],
        "flowvm run hello.fm": [*FLOWVM, "run", "hello.fm"],
        CHANGED: [*FLOWVM, "run", "changed.fm"],
    }
    wall: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    change(folder, -1)
    for command in commands.values():
        times_of(command, folder)
    for index in range(scale.starts):
        for name in list(commands) if index % 2 == 0 else list(commands)[::-1]:
            if name == CHANGED:
                change(folder, index)
            seconds, processor = times_of(commands[name], folder)
            wall[name].append(seconds * 1e3)
            cpu[name].append(processor * 1e3)
    for name, values in wall.items():
        outcome.row("P12 start of a command", f"`{name}`", values, "ms", cpu_us=statistics.median(cpu[name]) * 1e3)
    for name in list(commands)[1:]:
        # The time of the clock, with other things running, is mostly that of waiting for a processor.
        ratio = ratios(wall[name], wall["python -c pass"])
        outcome.verdict("P12", f"`{name}` over bare Python", ratio, 6.0, at_least=False)
    found = heavy(folder)
    outcome.verdict(
        "P12",
        "web servers, HTTP clients, database drivers imported" + f" ({', '.join(found)})" * bool(found),
        [len(found)],
        0.0,
        at_least=False,
        unit="modules",
    )
    return outcome


def change(folder: Path, index: int) -> None:
    """Gives the changed program a text that no run has seen, so that nothing of it was kept."""
    (folder / "changed.fm").write_text(f"{HELLO} ; {time.time_ns()} {index}")


def build(folder: Path) -> None:
    command = [sys.executable, "-c", "from flowmetal.cli.start import flowc; flowc()", "build", "hello.fm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)})


def heavy(folder: Path) -> list[str]:
    """What of HEAVY `flowvm run` imports."""
    done = subprocess.run(
        [sys.executable, "-c", SPY, "run", "hello.fmc"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("imported "))
    imported = set(json.loads(line.removeprefix("imported ")))
    return [name for name in HEAVY if name in imported]
