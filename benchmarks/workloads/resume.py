"""W5: `kill -9` after so many steps; from starting again to the process having gone on.

The time is that from the start of the operating system's process until the workflow that waits has got its event and
ended: the interpreter of Python, all imports, opening the store and claiming it included.
"""

from __future__ import annotations

import sys
import time

from benchmarks.driving import TITLES, Side, SideFailed, Sides
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    rounds = max(1, scale.rounds - 2)
    side = sides.fresh("flowmetal")
    took = resumed(side, scale.resume, rounds)
    sides.end(side)
    for steps, times in took.items():
        note = f"{min(sides_up[steps]) * 1e3:.0f} ms of it until the side is up" if steps in sides_up else ""
        outcome.row(
            f"W5 killed after {steps:,} steps, until it has gone on", TITLES["flowmetal"], times, "s", note=note
        )
    few, *more = scale.resume
    for steps in more:
        what = f"resume after {steps:,} steps over {few}, time"
        outcome.verdict("P7", what, ratios(took[steps], took[few]), 1.2, at_least=False)
    many = scale.resume[-1]
    outcome.verdict("P7", f"start to running after {many:,} steps", took[many], 0.5, at_least=False, unit="s")
    for name in sides.peers:
        try:
            for steps, times in resumed(sides.get(name), scale.peer_resume, 1).items():
                outcome.row(f"W5 killed after {steps:,} steps, until it has gone on", TITLES[name], times, "s")
        except SideFailed as problem:
            print(f"left out: {problem}", file=sys.stderr, flush=True)
    return outcome


#: Seconds until a side could be asked, of the last measurement, by steps.
sides_up: dict[int, list[float]] = {}


def resumed(side: Side, sizes: tuple[int, ...], rounds: int) -> dict[int, list[float]]:
    """Seconds from start to gone on, by the steps that came before the kill; the sizes take turns."""
    took: dict[int, list[float]] = {steps: [] for steps in sizes}
    keys: dict[tuple[int, int], str] = {}
    mark = time.time_ns()
    for steps in sizes:
        for index in range(rounds):
            key = f"held-{mark}-{steps}-{index}"
            keys[steps, index] = side.ask("hold", steps=steps, key=key).get("key", key)
        sides_up[steps] = []
    for index in range(rounds):
        for steps in sizes if index % 2 == 0 else sizes[::-1]:
            side.kill()
            began = time.perf_counter()
            side.start()
            sides_up[steps].append(side.started_in)
            answer = side.ask("wake", key=keys[steps, index])
            took[steps].append(time.perf_counter() - began)
            if not str(answer["result"]).startswith("go"):
                raise SideFailed(f"{side.name} resumed with {answer['result']!r}")
    return took
