"""P1 and P2: pure code against CPython, Hy and Basilisp; see benchmarks/pure."""

from __future__ import annotations

from benchmarks.driving import Sides
from benchmarks.environments import LISPS
from benchmarks.pure.run import Compared, geometric_mean
from benchmarks.pure.run import measure as measure_pure
from benchmarks.rows import Outcome
from benchmarks.scales import Scale

TITLES = {"frames": "Flowmetal, frames", "lifted": "Flowmetal, lifted", "hy": "Hy", "basilisp": "Basilisp"}


def measure(sides: Sides, scale: Scale) -> Outcome:
    outcome = Outcome()
    wanted = None if scale.name != "tiny" else ["frames", "lifted"]
    results = measure_pure(scale.pure_rounds, scale.pure, sides=wanted)
    for one in results:
        for side, title in {"python": "CPython", **TITLES}.items():
            if side == "python":
                outcome.row(f"P1 {one.program}", title, [s * 1e3 for s in one.seconds["python"]], "ms of a processor")
            elif side in one.seconds:
                outcome.row(f"P1 {one.program}", title, [one.ratio(side)], "times CPython")
    means = {side: mean_of(results, side) for side in results[0].seconds if side != "python"}
    for side, mean in means.items():
        outcome.row("P1 geometric mean", TITLES[side], [mean], "times CPython")
    best = "lifted" if "lifted" in means else "frames"
    worst = max(one.ratio(best) for one in results)
    outcome.verdict("P1", f"{TITLES[best]} over CPython, geometric mean", [means[best]], 2.0, at_least=False)
    outcome.verdict("P1", f"{TITLES[best]} over CPython, the worst", [worst], 4.0, at_least=False)
    for language, times, at_least in (("basilisp", 5.0, True), ("hy", 2.0, False)):
        assert language in LISPS
        if language in means:
            ratio = means["basilisp"] / means[best] if language == "basilisp" else means[best] / means["hy"]
            what = "ahead of Basilisp, mean" if language == "basilisp" else "over Hy, mean"
            outcome.verdict("P1", f"{TITLES[best]}, {what}", [ratio], times, at_least=at_least)
    outcome.verdict("P2", "frames over CPython, geometric mean", [means["frames"]], 15.0, at_least=False)
    worst_frames = max(one.ratio("frames") for one in results)
    outcome.verdict("P2", "frames over CPython, the worst", [worst_frames], 15.0, at_least=False)
    return outcome


def mean_of(results: list[Compared], side: str) -> float:
    return geometric_mean([one.ratio(side) for one in results])
