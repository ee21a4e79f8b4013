"""W4: processes that wait for an event: how fast they start, what they take, and what they cost at a restart."""

from __future__ import annotations

import sys
import time

from benchmarks.driving import TITLES, Side, SideFailed, Sides
from benchmarks.rows import Outcome
from benchmarks.scales import Scale

#: Memory may grow by this much with ten times as many processes: the cache of the interpreter, at its full size.
CACHE_BYTES = 64e6


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    seen: list[tuple[int, float]] = []
    for index, count in enumerate(scale.parked):
        side = sides.fresh("flowmetal")
        memory = park_ours(outcome, side, count, scale.idle, largest=index == len(scale.parked) - 1)
        seen.append((count, memory))
        sides.end(side)
    if len(seen) > 1:
        grown = (seen[-1][1] - seen[-2][1]) / 1e6
        what = f"memory of the interpreter, {seen[-1][0]:,} parked over {seen[-2][0]:,}"
        outcome.verdict("P6", what, [grown], CACHE_BYTES / 1e6, at_least=False, unit="MB more")
    for name in sides.peers:
        park_peer(outcome, sides, name, scale.peer_parked, scale.idle)
    return outcome


def park_ours(outcome: Outcome, side: Side, count: int, watched: float, largest: bool) -> float:
    """Parks processes, kills the interpreter and starts it again -> its memory afterwards, with all of them parked."""
    workload = f"W4 {count:,} parked"
    side.ask("chain", steps=10)
    before = side.ask("bytes")["bytes"]
    memory = side.memory()
    answer = side.ask("park", count=count)
    disk = (side.ask("bytes")["bytes"] - before) / count
    started = count / answer["wall"]
    idle = idle_cores(side, watched)
    grown = side.memory() - memory
    side.kill()
    began = time.perf_counter()
    side.start()
    up = time.perf_counter() - began
    side.ask("chain", steps=1)
    answers = time.perf_counter() - began
    after = side.memory()
    woken = side.ask("wake", pid=answer["last"])
    if woken["result"] != "go":
        raise RuntimeError("a parked process got another message than it was sent")
    outcome.row(
        workload,
        TITLES["flowmetal"],
        [started],
        "starts/s",
        cpu_us=answer["cpu"] / count * 1e6,
        bytes=disk,
        noise=answer["noise"],
        note=f"{grown / 1e6:.0f} MB more memory, {idle:.3f} cores while they wait; after kill -9: up in {up:.2f} s, "
        f"answers after {answers:.2f} s with {after / 1e6:.0f} MB, wakes one in {woken['wall'] * 1e3:.1f} ms",
    )
    if largest:
        outcome.verdict("P6", f"starts a second, {count:,} parked", [started], 5000.0, unit="/s")
        outcome.verdict("P6", f"disk for each of {count:,} parked", [disk], 500.0, at_least=False, unit="bytes")
        outcome.verdict("P6", f"start to first answer, {count:,} parked", [answers], 1.0, at_least=False, unit="s")
    return float(grown)


def park_peer(outcome: Outcome, sides: Sides, name: str, count: int, watched: float) -> None:
    """The same with a peer, as far as it goes."""
    side = sides.get(name)
    try:
        side.ask("chain", steps=5)
        before = side.ask("bytes")["bytes"]
        memory = side.memory()
        answer = side.ask("park", count=count)
        disk = (side.ask("bytes")["bytes"] - before) / count
        idle = idle_cores(side, watched)
        grown = side.memory() - memory
        side.kill()
        began = time.perf_counter()
        side.start()
        side.ask("chain", steps=1)
        answers = time.perf_counter() - began
        woken = side.ask("wake", key=answer["last"])
        back = time.perf_counter() - began
    except SideFailed as problem:
        print(f"left out: {problem}", file=sys.stderr, flush=True)
        return
    outcome.row(
        f"W4 {count:,} parked",
        TITLES[name],
        [count / answer["wall"]],
        "starts/s",
        cpu_us=answer["cpu"] / count * 1e6,
        bytes=disk or None,
        noise=answer["noise"],
        note=f"{grown / 1e6:.0f} MB more memory, {idle:.3f} cores while they wait; after kill -9: answers after "
        f"{answers:.2f} s, the last one woken after {back:.2f} s ({woken['wall'] * 1e3:.0f} ms)",
    )


def idle_cores(side: Side, watched: float) -> float:
    """Processors that a side takes while nothing happens."""
    time.sleep(watched / 2)  # what it still had to do
    before = side.processor()
    time.sleep(watched)
    return (side.processor() - before) / watched
