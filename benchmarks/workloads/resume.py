"""W5: `kill -9` after so many steps; from starting again to the process having gone on.

The time is that from the start of the operating system's process until the workflow that waits has got an event and
has taken a step for it (Flowmetal) or ended (the peers): the start of Python, all imports, opening the store and
claiming it included.
"""

from __future__ import annotations

import sys
import time

from benchmarks.driving import TITLES, Side, SideFailed, Sides
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    side = sides.fresh("flowmetal")
    took, up = ours(side, scale.resume, scale.rounds)
    sides.end(side)
    for steps, times in took.items():
        note = f"{min(up[steps]) * 1e3:.0f} ms of it until the side is up"
        outcome.row(name_of(steps), TITLES["flowmetal"], times, "s", note=note)
    few, *more = scale.resume
    for steps in more:
        what = f"resume after {steps:,} steps over {few}, time"
        outcome.verdict("P7", what, ratios(took[steps], took[few]), 1.2, at_least=False)
    many = scale.resume[-1]
    outcome.verdict("P7", f"start to running after {many:,} steps", took[many], 0.5, at_least=False, unit="s")
    for steps in scale.peer_resume:
        for name in sides.peers:
            try:
                outcome.row(name_of(steps), TITLES[name], [of_a_peer(sides.get(name), steps)], "s")
            except SideFailed as problem:
                print(f"left out: {problem}", file=sys.stderr, flush=True)
    return outcome


def name_of(steps: int) -> str:
    return f"W5 killed after {steps:,} steps, until it has gone on"


def ours(side: Side, sizes: tuple[int, ...], rounds: int) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Seconds until a process has gone on, and until the side could be asked, by its steps; the sizes take turns."""
    took: dict[int, list[float]] = {steps: [] for steps in sizes}
    up: dict[int, list[float]] = {steps: [] for steps in sizes}
    for steps in sizes:
        side.ask("hold", steps=steps, key=f"held-{steps}")
    for index in range(rounds):
        for steps in sizes if index % 2 == 0 else sizes[::-1]:
            side.kill()
            began = time.perf_counter()
            side.start()
            if side.ask("nudge", key=f"held-{steps}")["steps"] != 1:
                raise SideFailed("a process took another number of steps than it was to")
            took[steps].append(time.perf_counter() - began)
            up[steps].append(side.started_in)
    for steps in sizes:
        answer = side.ask("wake", key=f"held-{steps}")
        if answer["result"] != f"go{steps * (steps + 1) // 2}":
            raise SideFailed(f"a process that was killed {rounds} times ended with {answer['result']!r}")
    return took, up


def of_a_peer(side: Side, steps: int) -> float:
    """The same with a peer, whose workflow then ends."""
    key = f"held-{time.time_ns()}"
    key = side.ask("hold", steps=steps, key=key).get("key", key)
    side.kill()
    began = time.perf_counter()
    side.start()
    answer = side.ask("wake", key=key)
    took = time.perf_counter() - began
    if answer["result"] != f"go{steps}":
        raise SideFailed(f"{side.name} resumed with {answer['result']!r}")
    return took
