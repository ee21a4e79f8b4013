"""W2: many processes of ten steps at once, so that their commits are shared.

How they are started differs: Flowmetal takes lists of starts, Restate requests side by side, DBOS and Absurd one start
after the other, and all of it is timed.  So Flowmetal is measured in both ways, and the comparison with a peer that
starts one by one is made with the same.
"""

from __future__ import annotations

from functools import partial

from benchmarks.driving import TITLES, Sides, in_turns
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale

AHEAD = {
    "dbos-sqlite": 80.0,
    "dbos-postgres": 80.0,
    "restate-typescript": 5.0,
    "restate-python": 10.0,
}
#: Peers whose client starts one process after the other.
ONE_BY_ONE = ("dbos-sqlite", "dbos-postgres", "absurd")
#: Flowmetal, started like those.
APART = "flowmetal-apart"
STEPS = 10
#: Restate gains by having more to do at once, the others do not.
MORE = {"restate-typescript": 10, "restate-python": 10, "absurd": 2}
RAW = 500


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    names = ("raw", "flowmetal", APART, *sides.peers)
    counts = {name: scale.peer_fan * MORE.get(name, 1) for name in sides.peers}
    counts |= {"flowmetal": scale.fan, APART: scale.fan}
    raw = min(RAW, scale.fan * STEPS)

    def ask(name: str) -> dict[str, float]:
        if name == "raw":
            return sides.get(name).ask("chain", steps=raw)
        if name == APART:
            return sides.get("flowmetal").ask("apart", count=counts[name], steps=STEPS)
        return sides.get(name).ask("fan", count=counts[name], steps=STEPS)

    def warm(name: str) -> dict[str, float]:
        if name == APART:
            return sides.ask("flowmetal", "apart", count=3, steps=3)
        return sides.ask(name, "chain", steps=5) if name == "raw" else sides.ask(name, "fan", count=3, steps=3)

    names = tuple(in_turns(1, {name: partial(warm, name) for name in names}))
    found = in_turns(scale.rounds, {name: partial(ask, name) for name in names})
    rates: dict[str, list[float]] = {}
    for name, answers in found.items():
        each = raw if name == "raw" else counts[name] * STEPS
        rates[name] = [each / one["wall"] for one in answers]
        outcome.row(
            "W2 processes of 10 steps at once",
            TITLES.get(name, "Flowmetal, started one by one"),
            rates[name],
            "steps/s" if name != "raw" else "commits/s",
            cpu_us=sum(one["cpu"] for one in answers) / (each * len(answers)) * 1e6,
            noise=sum(one["noise"] for one in answers) / len(answers),
            note="" if name == "raw" else f"{counts[name]:,} processes",
        )
    together = in_turns(2, {"many": partial(sides.ask, "raw", "many", steps=max(2, raw // 10), puts=100)})["many"]
    outcome.row(
        "W2 processes of 10 steps at once",
        "raw LMDB, 100 puts a commit",
        [max(2, raw // 10) * 100 / one["wall"] for one in together],
        "puts/s",
    )
    ours = rates["flowmetal"]
    outcome.verdict("P4", f"{scale.fan:,} processes of 10 steps over raw LMDB commits", ratios(ours, rates["raw"]), 8.0)
    for name, wanted in AHEAD.items():
        if name in rates:
            outcome.verdict("P4", f"processes at once, ahead of {TITLES[name]}", ratios(ours, rates[name]), wanted)
    for name in ONE_BY_ONE:
        if name in rates and APART in rates:
            what = f"the same, started one by one on both sides, ahead of {TITLES[name]}"
            outcome.verdict("P4", what, ratios(rates[APART], rates[name]), AHEAD.get(name, 1.0))
    cpu = [one["cpu"] / (scale.fan * STEPS) * 1e6 for one in found["flowmetal"]]
    outcome.verdict("P4", "CPU for each of those steps", cpu, 40.0, at_least=False, unit="µs")
    return outcome
