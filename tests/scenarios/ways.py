"""Runs a scenario in one way and compares what came of it with what came of it undisturbed, and with what is expected."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowmetal.engine.events import LocalDone, decode_event, describe, duration_text, kind_of, value_text
from flowmetal.engine.live import entries_from
from flowmetal.store.interface import Command, Join
from flowmetal.values import decode_value, print_string
from tests.scenarios.data import Scenario
from tests.scenarios.outside import World

#: Calls and loop turns of turns that are cut short; each cuts elsewhere.
CUTS = (1, 2, 3, 7)

#: Runs with one death in the default share, spread over all commits; the slow test makes all of them.
SHARE = 16


@dataclass(frozen=True, slots=True)
class Way:
    """How a scenario is disturbed.  Nothing said: not at all."""

    kill: int = 0  # the interpreter dies right after this commit
    kill_every: int = 0  # ... after every commit whose number this divides
    kill_call: int = 0  # ... when this call of an in-process function is done and its answer is not yet saved
    forget: bool = False  # each turn loads what the last one saved
    restore: bool = False  # and each turn is one step
    cut: int = 0  # and turns end after so many calls and loop turns
    interpreters: int = 1  # that share the store, and die in turn where one dies

    def options(self) -> str:
        """The way as options of the command line."""
        numbers = [
            ("--kill", self.kill),
            ("--kill-every", self.kill_every),
            ("--kill-call", self.kill_call),
            ("--cut", self.cut),
        ]
        if self.interpreters > 1:
            numbers.append(("--interpreters", self.interpreters))
        words = [f"{name} {number}" for name, number in numbers if number]
        return " ".join(words + ["--forget"] * self.forget + ["--restore"] * self.restore)


UNDISTURBED = Way()


@dataclass(frozen=True, slots=True)
class Process:
    """What is left of a process; the log is that of its events, as bytes."""

    about: str
    status: str
    result: bytes | None
    log: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a run."""

    processes: dict[int, Process]
    effects: tuple[tuple[str, str, str, str], ...]  # effect, key, payload, answer
    told: tuple[str, ...]
    commits: int
    crashes: int
    inside_calls: int
    calls: dict[str, int]
    doubled: dict[str, int]
    values: dict[int, str]  # results, printed
    errors: dict[int, Any]
    spaces: dict[str, list[tuple[bytes, bytes]]]  # what else the store holds: the key-value table, queues, names ...


#: What the store holds that a death or a restore may change: images and how they were saved, and who runs what.
VOLATILE = frozenset(
    [
        "meta",
        "artifacts",
        "processes",
        "states",
        "log",
        "checkpoints",
        "texts",
        "inbox",
        "ready",
        "interpreters",
        "partitions",
        "clients",
        "leftovers",
    ]
)


def all_ways(whole: Seen) -> Iterator[Way]:
    """All ways to disturb a scenario that came to `whole`."""
    yield Way(kill_every=1)
    yield Way(forget=True)
    yield Way(restore=True)
    yield Way(restore=True, kill_every=2)
    yield Way(interpreters=2)
    yield Way(kill_every=1, interpreters=2)
    yield Way(kill_every=3, interpreters=3)
    for calls in CUTS:
        yield Way(cut=calls)
    for number in range(1, whole.commits + 1):
        yield Way(kill=number)
    for number in range(1, whole.inside_calls + 1):
        yield Way(kill_call=number)


def some_ways(whole: Seen) -> Iterator[Way]:
    """The merciless ones, and deaths spread over the run."""
    yield Way(kill_every=1)
    yield Way(forget=True)
    yield Way(restore=True)
    yield Way(kill_every=2, interpreters=2)
    step = max(1, -(-whole.commits // SHARE))
    for number in range(1, whole.commits + 1, step):
        yield Way(kill=number)
    for number in range(1, min(whole.inside_calls, 3) + 1):
        yield Way(kill_call=number)


def line(scenario: Scenario, way: Way) -> str:
    """The command that repeats a run."""
    return f"python -m tests.scenarios {shlex.quote(scenario.name)} {way.options()}".rstrip()


def run(scenario: Scenario, way: Way = UNDISTURBED) -> Seen:
    """Runs a scenario in one way."""
    kill = None
    if way.kill or way.kill_every:

        def kill(number: int, commands: Sequence[Command]) -> bool:
            if way.kill_every and isinstance(commands[0], Join):
                return False  # who dies whenever it has joined never does anything
            return number == way.kill or (way.kill_every > 0 and number % way.kill_every == 0)

    short = way.restore or way.cut > 0
    fuel = max(way.cut, scenario.config.get("cut", 1)) if way.cut else None
    world = World(scenario, kill, way.kill_call, way.forget or short, short, way.interpreters, fuel)
    world.play()
    return _seen(world)


def _seen(world: World) -> Seen:
    store = world.store
    processes: dict[int, Process] = {}
    values: dict[int, str] = {}
    errors: dict[int, Any] = {}
    for record in store.processes(limit=10_000):
        log = tuple(entry.event for entry in entries_from(store, record.pid, 0) if not entry.part)
        if world.scenario.config.get("shortened"):  # what stays of a log hangs on where its checkpoints are
            log = log[-1:]
        result = store.result(record.pid)
        about = f"{record.function} {record.id} {record.parent} {record.waits} {record.error} {record.attributes}"
        processes[record.pid] = Process(about, record.status, result, log)
        if result is not None:
            value = decode_value(result, world.programs(record.artifact).table if world.programs else None)
            (values if record.status == "done" else errors)[record.pid] = (
                print_string(value) if record.status == "done" else value
            )
    effects = tuple(
        sorted(
            (effect, key, print_string(decode_value(payload)), print_string(answer))
            for effect, service in world.services.items()
            for key, (payload, answer) in service.effects.items()
        )
    )
    return Seen(
        processes,
        effects,
        tuple(world.told),
        world.commits,
        world.crashes,
        world.inside_calls,
        {effect: service.calls for effect, service in world.services.items()},
        {effect: service.doubled for effect, service in world.services.items()},
        values,
        errors,
        {name: list(table.from_key(b"")) for name, table in store._tables.items() if name not in VOLATILE},
    )


def differences(one: Seen, other: Seen) -> list[str]:
    """Where two runs differ: result, log, and effects outside must be equal."""
    found: list[str] = []
    if one.processes.keys() != other.processes.keys():
        found.append(f"processes {sorted(one.processes)} and {sorted(other.processes)}")
    for pid in sorted(one.processes.keys() & other.processes.keys()):
        a, b = one.processes[pid], other.processes[pid]
        if (a.status, a.about) != (b.status, b.about):
            found.append(f"{pid}: {a.status} {a.about}; {b.status} {b.about}")
        if a.result != b.result:
            texts = [value_text(data) if data is not None else "none" for data in (a.result, b.result)]
            found.append(f"{pid}: result {texts[0]}; {texts[1]}")
        if a.log != b.log:
            found.append(_of_logs(pid, a.log, b.log))
    if one.effects != other.effects:
        found.append(
            f"effects only here {set(one.effects) - set(other.effects)}, only there {set(other.effects) - set(one.effects)}"
        )
    for name, rows in one.spaces.items():
        if rows != other.spaces[name]:
            found.append(f"the store's {name}: {_first_of(rows, other.spaces[name])}")
    if one.told != other.told:
        found.append(f"told {one.told}; {other.told}")
    return found


def compare(scenario: Scenario, way: Way, whole: Seen, seen: Seen) -> list[str]:
    """Where a disturbed run differs from the undisturbed one.

    Where processes contend for one thing, a turn that ends earlier, or another interpreter, lets another process go first;
    then only what must come of it in any order is compared.
    """
    if scenario.config.get("contended") and (way.restore or way.cut or way.interpreters > 1):
        return differences(_without_order(whole), _without_order(seen))
    return differences(whole, seen)


def _without_order(seen: Seen) -> Seen:
    """What must be the same whoever of several processes was first: the first process's end, and all else as a bag."""
    first = seen.processes[1]
    others = sorted((process.about.split()[0], process.status) for process in seen.processes.values())
    processes = {1: Process(str(others), first.status, first.result, ())}
    effects = tuple(sorted((effect, "", payload, answer) for effect, _, payload, answer in seen.effects))
    return replace(seen, processes=processes, effects=effects, spaces={})


def _first_of(one: list[tuple[bytes, bytes]], other: list[tuple[bytes, bytes]]) -> str:
    return f"only here {[row for row in one if row not in other][:3]}, only there {[row for row in other if row not in one][:3]}"


def _of_logs(pid: int, a: tuple[bytes, ...], b: tuple[bytes, ...]) -> str:
    for index in range(max(len(a), len(b))):
        left, right = a[index : index + 1], b[index : index + 1]
        if left != right:
            texts = [
                f"{decode_event(data[0]).time} {describe(decode_event(data[0]))}" if data else "nothing"
                for data in (left, right)
            ]
            return f"{pid}: log entry {index}: {texts[0]}; {texts[1]}"
    return f"{pid}: logs differ"


def unmet(scenario: Scenario, seen: Seen) -> list[str]:
    """What is expected of the first process and the outside and did not come."""
    found: list[str] = []

    def check(what: str, expected: Any, actual: Any) -> None:
        if expected is not None and expected != actual:
            found.append(f"{what}: expected {expected}, got {actual}")

    first = seen.processes[1]
    events = [decode_event(data) for data in first.log]
    check("status", scenario.status, first.status)
    check("result", scenario.result, seen.values.get(1))
    if scenario.error is not None:
        error = seen.errors.get(1)
        text = "" if error is None else f":{error.kind.text} {error.message}"
        if not text.startswith(scenario.error):
            found.append(f"error: expected {scenario.error}, got {text}")
    counts = dict.fromkeys(scenario.answers, 0)
    for effect, *_ in seen.effects:
        counts[effect] += 1
    for effect, count in scenario.effects.items():
        check(f"effects of {effect}", count, counts.get(effect))
    check("keys", None if scenario.keys is None else sorted(scenario.keys), sorted(key for _, key, *_ in seen.effects))
    for effect, count in (scenario.calls or {}).items():
        check(f"calls of {effect}", count, seen.calls.get(effect))
    check("log", None if scenario.log is None else list(scenario.log), [kind_of(event) for event in events])
    lines = [value_text(e.payload) for e in events if isinstance(e, LocalDone) and e.effect == "log"]
    check("logged", None if scenario.logged is None else list(scenario.logged), lines)
    for pid, status in scenario.processes.items():
        there = seen.processes.get(int(pid))
        check(f"status of {pid}", status, there.status if there is not None else "none")
    for pid, value in scenario.results.items():
        check(f"result of {pid}", value, seen.values.get(int(pid)))
    check("told", None if scenario.told is None else list(scenario.told), list(seen.told))
    check("took", scenario.took, duration_text(events[-1].time - events[0].time) if events else None)
    return found
