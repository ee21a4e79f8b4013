"""W3: from sending an event to a process that waits for it, to having the result of that process."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.driving import TITLES, Sides, in_turns
from benchmarks.rows import Outcome, percentile, ratios
from benchmarks.scales import Scale

#: DBOS on SQLite looks for events once a second; a few are enough to see that.
FEW = {"dbos-sqlite": 3}
AHEAD = 4.0


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    rounds = max(1, scale.rounds // 2)
    each = max(1, scale.events // rounds)
    names = ("raw", "flowmetal", *sides.peers)
    counts = {name: FEW.get(name, max(1, scale.peer_events // rounds)) for name in sides.peers}
    counts |= {"raw": each, "flowmetal": each}
    warm = {name: partial(sides.ask, name, "latency", count=1) for name in names}
    names = tuple(in_turns(1, warm))
    found = in_turns(rounds, {name: partial(sides.ask, name, "latency", count=counts[name]) for name in names})
    middles: dict[str, list[float]] = {}
    slowest: dict[str, float] = {}
    for name, answers in found.items():
        middles[name] = [statistics.median(one["ms"]) for one in answers]
        every = [value for one in answers for value in one["ms"]]
        slowest[name] = percentile(every, 0.99)
        outcome.row(
            "W3 event to result, p50",
            TITLES[name] if name != "raw" else "one raw LMDB commit",
            middles[name],
            "ms",
            noise=sum(one["noise"] for one in answers) / len(answers),
            note=f"p99 {slowest[name]:.3g} ms of {len(every)}",
        )
    ours = middles["flowmetal"]
    over = [mine - 2 * raw for mine, raw in zip(ours, middles["raw"], strict=True)]
    outcome.verdict("P5", "event to result, p50, beyond two raw commits", over, 1.0, at_least=False, unit="ms")
    tail = [slowest["flowmetal"] / statistics.median(ours)]
    outcome.verdict("P5", "event to result, p99 over p50", tail, 4.0, at_least=False)
    for name in sides.peers:
        if name in middles:
            outcome.verdict("P5", f"event to result, ahead of {TITLES[name]}", ratios(middles[name], ours), AHEAD)
    return outcome
