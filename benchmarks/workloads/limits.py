"""What the machine can do at most: synced appends, synced LMDB commits small and large."""

from __future__ import annotations

from benchmarks.driving import Sides, in_turns
from benchmarks.rows import Outcome
from benchmarks.scales import Scale


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    count = min(500, scale.chain[0])
    raw = sides.get("raw")
    found = in_turns(
        scale.rounds,
        {
            "fsync after appending 200 bytes": lambda: raw.ask("fsync", count=count),
            "LMDB commits of 2 puts of 200 bytes": lambda: raw.ask("chain", steps=count),
            "LMDB commits of 100 puts of 200 bytes": lambda: raw.ask("many", steps=max(2, count // 5), puts=100),
        },
    )
    for name, answers in found.items():
        each = max(2, count // 5) if "100" in name else count
        outcome.row(
            "limits, all synced",
            name,
            [each / one["wall"] for one in answers],
            "commits/s",
            cpu_us=sum(one["cpu"] for one in answers) / (each * len(answers)) * 1e6,
            noise=sum(one["noise"] for one in answers) / len(answers),
        )
    return outcome
