"""W1: one process that takes step after step, each answered at once; each is durable before the next begins."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.driving import TITLES, Sides, in_turns
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale

#: What the peers are to be behind by.
AHEAD = {
    "dbos-sqlite": 5.0,
    "dbos-postgres": 5.0,
    "restate-typescript": 2.5,
    "restate-python": 2.5,
    "absurd": 2.5,
}
WARM = 20
#: Steps of a worker outside the interpreter, over those of the peers.
OUTSIDE = 200


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    first, *longer = scale.chain
    names = ("raw", "flowmetal", *sides.peers)
    steps = {name: first if name in ("raw", "flowmetal") else scale.peer_chain for name in names}
    warm = {name: partial(sides.ask, name, "chain", steps=WARM) for name in names}
    names = tuple(in_turns(1, warm))
    bytes_before = {name: size(sides, name) for name in names if name != "raw"}
    found = in_turns(scale.rounds, {name: partial(sides.ask, name, "chain", steps=steps[name]) for name in names})
    rates = {name: [steps[name] / one["wall"] for one in answers] for name, answers in found.items()}
    for name, answers in found.items():
        total = steps[name] * len(answers)
        stored, log = growth(bytes_before.get(name), size(sides, name) if name != "raw" else None, total)
        outcome.row(
            f"W1 chain of {first:,} steps (peers {scale.peer_chain})",
            TITLES[name],
            rates[name],
            "steps/s",
            cpu_us=sum(one["cpu"] for one in answers) / total * 1e6,
            bytes=stored,
            noise=sum(one["noise"] for one in answers) / len(answers),
            note=f"{log:,.0f} bytes of log ahead of that" if log else "",
        )
    ours = rates["flowmetal"]
    outcome.verdict("P3", f"chain of {first:,} steps over raw LMDB commits", ratios(ours, rates["raw"]), 0.6)
    for name, wanted in AHEAD.items():
        if name in rates:
            outcome.verdict("P3", f"chain, ahead of {TITLES[name]}", ratios(ours, rates[name]), wanted)
    even(outcome, first, found["flowmetal"])
    for many in longer:
        again = in_turns(
            max(1, scale.rounds // 2),
            {
                "raw": partial(sides.ask, "raw", "chain", steps=first),
                "flowmetal": partial(sides.ask, "flowmetal", "chain", steps=many),
            },
        )
        faster = [many / one["wall"] for one in again["flowmetal"]]
        raw = [first / one["wall"] for one in again["raw"]]
        workload = f"W1 chain of {many:,} steps"
        outcome.row(workload, TITLES["raw"], raw, "commits/s")
        outcome.row(workload, TITLES["flowmetal"], faster, "steps/s")
        outcome.verdict("P3", f"chain of {many:,} steps over raw LMDB commits", ratios(faster, raw), 0.6)
        even(outcome, many, again["flowmetal"])
    outside(outcome, sides, min(OUTSIDE, first), max(1, scale.rounds // 2))
    return outcome


def even(outcome: Outcome, steps: int, answers: list[dict[str, Any]]) -> None:
    """Whether the last tenth is as fast as the first."""
    slower = [one["last"] / one["first"] for one in answers if "first" in one]
    if slower:
        what = f"last tenth of {steps:,} steps over the first, time"
        outcome.verdict("P3", what, slower, 1.15, at_least=False)


def outside(outcome: Outcome, sides: Sides, steps: int, rounds: int) -> None:
    """The same with a worker that takes each step from the store and answers it there."""
    sides.get("flowmetal").ask("outside", steps=min(WARM, steps))
    answers = in_turns(rounds, {"us": partial(sides.ask, "flowmetal", "outside", steps=steps)})["us"]
    outcome.row(
        f"chain of {steps} steps, answered by a worker over the store",
        TITLES["flowmetal"],
        [steps / one["wall"] for one in answers],
        "steps/s",
        cpu_us=sum(one["cpu"] for one in answers) / (steps * rounds) * 1e6,
    )


def size(sides: Sides, name: str) -> dict[str, Any] | None:
    """Bytes on the disk of a side's store."""
    return sides.get(name).ask("bytes")


def growth(
    before: dict[str, Any] | None, after: dict[str, Any] | None, steps: int
) -> tuple[float | None, float | None]:
    """Bytes for each step: on the disk, and written ahead."""
    if before is None or after is None:
        return None, None
    log = (after["log"] - before["log"]) / steps if "log" in after else None
    stored = (after["bytes"] - before["bytes"]) / steps
    return stored or None, log
