"""P13: two interpreters in two processes of the operating system, on one store, with processes that compute.

One commits for both.  The starts are made by the first; the time ends when all processes have ended.
"""

from __future__ import annotations

from benchmarks.driving import TITLES, Side, Sides, in_turns
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale
from flowmetal.store.interface import PARTITIONS

#: Processes, steps of each, and turns of a loop that each computes between two steps.
COUNT, STEPS, TURNS = 64, 3, 600_000


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    tiny = scale.name == "tiny"
    count, turns = (4, 100) if tiny else (COUNT, TURNS)
    rounds = max(1, scale.rounds // 2 + 1)
    first = sides.fresh("flowmetal")
    first.ask("run", function="compute", arguments=[1, turns], count=2)

    def alone() -> dict[str, float]:
        return first.ask("run", function="compute", arguments=[STEPS, turns], count=count)

    def together() -> dict[str, float]:
        second = Side("flowmetal", first.folder)
        try:
            first.ask("settle", partitions=PARTITIONS // 2)
            used = second.processor()
            answer = alone()
            return answer | {"second": second.processor() - used}
        finally:
            second.kill()
            first.ask("settle", partitions=PARTITIONS)

    found = in_turns(rounds, {"one": alone, "two": together})
    for name, answers in found.items():
        outcome.row(
            f"P13 {count} processes that compute, {name} interpreter{'s' * (name == 'two')}",
            TITLES["flowmetal"],
            [one["wall"] for one in answers],
            "s",
            noise=sum(one["noise"] for one in answers) / len(answers),
            note=f"{sum(one['second'] for one in answers) / len(answers):.2f} s of a processor in the second"
            if name == "two"
            else f"{sum(one['cpu'] for one in answers) / len(answers):.2f} s of a processor",
        )
    faster = ratios([one["wall"] for one in found["one"]], [one["wall"] for one in found["two"]])
    outcome.verdict("P13", "two interpreters on one store over one", faster, 1.7)
    sides.end(first)
    return outcome
