"""Runs scenarios by hand: one in one way, or all of them in all ways."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from flowmetal.engine.events import decode_event, describe
from tests.scenarios.data import named, scenarios
from tests.scenarios.ways import UNDISTURBED, Way, all_ways, compare, line, run, unmet


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("name", nargs="?", help="a scenario; without one all are run in all ways")
    parser.add_argument("--kill", type=int, default=0, help="the interpreter dies after this commit")
    parser.add_argument("--kill-every", type=int, default=0, help="it dies after every n-th commit")
    parser.add_argument("--kill-call", type=int, default=0, help="it dies in this call of an in-process function")
    parser.add_argument("--forget", action="store_true", help="each turn loads what the last one saved")
    parser.add_argument("--restore", action="store_true", help="the same, and each turn is one step")
    parser.add_argument("--interpreters", type=int, default=1, help="so many share the store")
    parser.add_argument("--cut", type=int, default=0, help="the same, and turns end after so many calls")
    asked = parser.parse_args(arguments)
    if asked.name is None:
        return everything()
    scenario = named(asked.name)
    way = Way(asked.kill, asked.kill_every, asked.kill_call, asked.forget, asked.restore, asked.cut, asked.interpreters)
    whole = run(scenario)
    seen = whole if way == UNDISTURBED else run(scenario, way)
    for pid, process in seen.processes.items():
        print(f"process {pid} {process.status} {process.about}")
        for data in process.log:
            event = decode_event(data)
            print(f"  {event.time / 1e9 - 1767225600:10.3f} {describe(event)}")
        print(f"  {seen.values.get(pid, seen.errors.get(pid))}")
    for effect in seen.effects:
        print("effect", *effect)
    print(
        f"{seen.commits} commits, {seen.crashes} deaths, calls {seen.calls}, doubled {seen.doubled}, told {seen.told}"
    )
    problems = unmet(scenario, whole) + compare(scenario, way, whole, seen)
    for problem in problems:
        print("PROBLEM", problem)
    return bool(problems)


def everything() -> int:
    """All scenarios in all ways, with a line of figures."""
    runs = commits = deaths = doubled = failures = 0
    for scenario in scenarios():
        print(f"{scenario.name:70}", end="\r", file=sys.stderr, flush=True)
        whole = run(scenario)
        problems = [(UNDISTURBED, problem) for problem in unmet(scenario, whole)]
        for way in all_ways(whole):
            seen = run(scenario, way)
            runs += 1
            commits += seen.commits
            deaths += seen.crashes
            doubled += sum(seen.doubled.values()) - sum(whole.doubled.values())
            problems += [(way, problem) for problem in compare(scenario, way, whole, seen)]
        for way, problem in problems:
            failures += 1
            print(f"{line(scenario, way)}\n  {problem}", flush=True)
    print(
        f"{len(scenarios())} scenarios, {runs} disturbed runs, {commits} commits, {deaths} deaths of an interpreter, "
        f"{doubled} calls made again with their key, {failures} failures"
    )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
