"""W6, and what a step costs when the process is large: a big state, a deep stack, a growing conversation.

The sides that are compared take turns, and are processes of one program in one store.
"""

from __future__ import annotations

from typing import Any

from benchmarks.driving import TITLES, Side, Sides, in_turns
from benchmarks.rows import Outcome, ratios
from benchmarks.scales import Scale

#: Characters of each answer of the conversation.
ANSWER = 50_000
#: A small image: the process of a chain.
SMALL_IMAGE = 300.0


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    side = sides.get("flowmetal")
    steps = min(500, scale.chain[0])
    side.ask("run", function="chain", arguments=[min(20, steps)])
    # In a store of its own: in one that has run other things the records go into pages that those have freed.
    fresh = sides.fresh("flowmetal")
    fresh.ask("run", function="chain", arguments=[min(20, steps)])
    small_step(outcome, fresh, scale.chain[-1])
    sides.end(fresh)
    big_state(outcome, side, scale, steps)
    deep_stack(outcome, side, scale, steps)
    conversation(outcome, side, scale)
    return outcome


def small_step(outcome: Outcome, side: Side, steps: int) -> None:
    """What the store keeps of a step, and what the file grows by, which includes half-empty pages."""
    before = side.ask("bytes")["pages"]
    ran = side.ask("run", function="chain", arguments=[steps])
    grown = (side.ask("bytes")["pages"] - before) / steps
    stored = side.ask("stored", pid=ran["pid"])
    each = (stored["events"] + stored["segments"]) / steps
    outcome.row(
        "W6 disk for a small step",
        TITLES["flowmetal"],
        [grown],
        "bytes",
        note=f"event {stored['events'] / steps:.0f} and image {stored['segments'] / steps:.0f} bytes; "
        f"{stored['entries']:,} entries; checkpoint {stored['checkpoint']} bytes",
    )
    outcome.verdict(
        "P8", "disk for a small step, log and image, pages of the file", [grown], 150.0, at_least=False, unit="bytes"
    )
    outcome.verdict(
        "P8", "the same, without what the store needs around it", [each], 150.0, at_least=False, unit="bytes"
    )


def big_state(outcome: Outcome, side: Side, scale: Scale, steps: int) -> None:
    entries, items = scale.entries, scale.entries * 10

    def big() -> dict[str, Any]:
        # Making the map and the vector is not part of a step: what it takes is seen with no steps, and subtracted.
        empty = side.ask("run", function="big", arguments=[0, entries, items])
        full = side.ask("run", function="big", arguments=[steps, entries, items])
        segments = side.ask("stored", pid=full["pid"])["segments"] - side.ask("stored", pid=empty["pid"])["segments"]
        return {"between": full["between"], "cpu": full["cpu"] - empty["cpu"], "segments": segments / steps}

    found = in_turns(
        scale.rounds,
        {"small": lambda: side.ask("run", function="chain", arguments=[steps]), "big": big},
    )
    note_steps(outcome, f"P9 a step with a map of {entries:,} and a vector of {items:,}", found["big"], steps)
    note_steps(outcome, "P9 a step of a small process", found["small"], steps)
    slower = ratios([one["between"] for one in found["big"]], [one["between"] for one in found["small"]])
    outcome.verdict("P9", "time of a step with a big state over a small one", slower, 2.0, at_least=False)
    bytes_each = [one["segments"] for one in found["big"]]
    outcome.verdict("P9", "image bytes of that step", bytes_each, 2000.0, at_least=False, unit="bytes")


def deep_stack(outcome: Outcome, side: Side, scale: Scale, steps: int) -> None:
    found = in_turns(
        max(1, scale.rounds // 2 + 1),
        {
            "3": lambda: side.ask("run", function="deep", arguments=[steps, 3]),
            "many": lambda: side.ask("run", function="deep", arguments=[steps, scale.frames]),
        },
    )
    note_steps(outcome, "P10 a step below 3 frames", found["3"], steps)
    note_steps(outcome, f"P10 a step below {scale.frames} frames", found["many"], steps)
    slower = ratios([one["between"] for one in found["many"]], [one["between"] for one in found["3"]])
    outcome.verdict("P10", f"time of a step below {scale.frames} frames over 3", slower, 1.5, at_least=False)


def conversation(outcome: Outcome, side: Side, scale: Scale) -> None:
    before = side.ask("bytes")["pages"]
    ran = side.ask("run", function="talk", arguments=[scale.spoken, ANSWER])
    grown = (side.ask("bytes")["pages"] - before) / 1e6
    outcome.row(
        f"P11 conversation of {scale.spoken} answers of 50 KB",
        TITLES["flowmetal"],
        [grown],
        "MB on disk",
        note=f"{scale.spoken / ran['wall']:.0f} steps/s",
    )
    wanted = 6.0 * scale.spoken / 100
    outcome.verdict("P11", f"conversation of {scale.spoken} answers", [grown], wanted, at_least=False, unit="MB")


def note_steps(outcome: Outcome, workload: str, answers: list[dict[str, Any]], steps: int) -> None:
    segments = [one["segments"] for one in answers if "segments" in one]
    outcome.row(
        workload,
        TITLES["flowmetal"],
        [one["between"] * 1e6 for one in answers],
        "µs/step",
        cpu_us=sum(one["cpu"] for one in answers) / (steps * len(answers)) * 1e6,
        bytes=sum(segments) / len(segments) if segments else None,
    )
