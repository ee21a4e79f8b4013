"""Queues: processes of one step, started plainly, in a queue without a limit, and in one that runs 50 at once."""

from __future__ import annotations

from functools import partial

from benchmarks.driving import Sides, in_turns
from benchmarks.rows import Outcome
from benchmarks.scales import Scale

AT_ONCE = 50
#: How much more wait in the last row: the cost of one must not grow with it.
MORE = 5


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    count = scale.fan
    ask = partial(sides.ask, "flowmetal")
    ways = {
        "plainly": (count, partial(ask, "fan", count=count, steps=1)),
        "in a queue without a limit": (count, partial(ask, "queued", count=count, steps=1)),
        f"in a queue that runs {AT_ONCE}": (count, partial(ask, "queued", count=count, steps=1, concurrency=AT_ONCE)),
        f"the same, {MORE} times as many": (
            count * MORE,
            partial(ask, "queued", count=count * MORE, steps=1, concurrency=AT_ONCE),
        ),
    }
    ask("queued", count=3, steps=1, concurrency=1)
    found = in_turns(scale.rounds, {name: run for name, (_, run) in ways.items()})
    for name, answers in found.items():
        each = ways[name][0]
        outcome.row(
            "starts of processes of one step",
            name,
            [each / one["wall"] for one in answers],
            "processes/s",
            cpu_us=sum(one["cpu"] for one in answers) / (each * len(answers)) * 1e6,
            noise=sum(one["noise"] for one in answers) / len(answers),
            note=f"{each:,} processes",
        )
    return outcome
