"""Runs programs on the bare machine: effects answered by a function, the image restored as often as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flowmetal import vm
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.program import Program
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import open_library, standard_library
from flowmetal.reading.data import read_data
from flowmetal.values import ErrorValue, Instant, LanguageError, keyword, print_string

#: Steps after which a run is given up: a program of the tests is small.
STEPS_MAX = 100_000

#: Small quotas, so that programs without an end reach them soon.
LIMITS = vm.Limits(frames=5_000, heap_objects=50_000)


@cache
def artifact(source: str) -> bytes:
    """The artifact of a one-module program."""
    return build_artifact({"test.fm": source}).data


def program(source: str, fresh: bool = False) -> tuple[Program, ProgramTable]:
    """The linked program; `fresh` makes the library's objects anew too, as another interpreter would have them."""
    library = open_library(standard_library().data) if fresh else standard_library()
    linked = link(decode_artifact(artifact(source)), lambda name, hash: library.modules.get(name))
    return linked, ProgramTable(linked)


def echo(number: int, effect: str, payload: Any) -> Any:
    """The answer of the tests' world: the time for `now`, an error for what asks for one, else the payload."""
    if effect == "now":
        return Instant(1_700_000_000_000_000_000 + number * 1_000_000)
    if effect == "random":
        return 0.25
    if effect in ("sleep", "log", "progress"):
        return None
    if effect == "fail":
        raise LanguageError(ErrorValue(keyword("test/failed"), "the world refused", payload))
    return payload


@dataclass
class Run:
    """What came of a run: `value` or `error` as text, the effects in order, and the canonical image at each of them."""

    outcome: str = ""
    log: list[tuple[int, str, str]] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)
    steps: int = 0
    fuel: int = 0  # calls and loop turns


def canonical(source: str, segments: Sequence[bytes]) -> bytes:
    """The image these segments add up to, as one checkpoint with object numbers from 1."""
    linked, table = program(source)
    return vm.restore(linked, table, segments).image.checkpoint(first_object=1)


def run(
    source: str,
    function: str = "main",
    arguments: Sequence[Any] = (),
    answer: Callable[[int, str, Any], Any] = echo,
    *,
    restore_every: int = 0,
    fuel: int = 1 << 40,
    stepping: bool = True,
    checkpoint_every: int = 20,
    images: bool = False,
    local: frozenset[str] = frozenset({"now", "random", "log"}),
) -> Run:
    """Runs a function to its end.

    `restore_every` n: after every n instructions the image is written, thrown away and restored from its segments; every
    `checkpoint_every` restores the program is loaded anew and the segments are replaced by a checkpoint.  Where a
    transient is in use nothing can be saved, and the program runs on.  `fuel`: the same after so many calls instead.
    """
    result = Run()
    linked, table = program(source)
    module = linked.main
    process = vm.new_process(linked, table, LIMITS)
    found = linked.lookup(module, function)
    assert found is not None, f"no function {function}"
    vm.start(process, found.value, list(arguments))
    since = 0
    restores = 0
    while result.steps < STEPS_MAX:
        result.steps += 1
        process.stepping = stepping and restore_every > 0
        outcome = vm.run(process, fuel)
        result.fuel += fuel - process.fuel
        match outcome:
            case vm.Performed(number, effect, payload, _, _, _):
                result.log.append((number, effect, print_string(payload)))
                _answer(process, number, effect, payload, answer, effect in local)
            case vm.CancelRequest(number):
                result.log.append((number, "cancel", ""))
            case vm.Finished(value):
                result.outcome = print_string(value, limit=100_000)
                return result
            case vm.Failed(error):
                result.outcome = f"error {print_string(error.kind)} {error.message}"
                return result
            case vm.Idle():
                result.outcome = "idle"
                return result
            case vm.OutOfFuel():
                since += 1
                if since < restore_every:
                    continue
                since = 0
                try:
                    result.segments.append(process.image.segment())
                except LanguageError:
                    continue
                process = vm.restore(linked, table, result.segments, LIMITS)
                restores += 1
                if restores % checkpoint_every == 0:
                    linked, table = program(source)
                    result.segments = [process.image.checkpoint()]
                    process = vm.restore(linked, table, result.segments, LIMITS)
                continue
        result.segments.append(process.image.segment())
        if images:
            result.images.append(canonical(source, result.segments))
        if restore_every:
            process = vm.restore(linked, table, result.segments, LIMITS)
    raise AssertionError("the program does not end")


def _answer(
    process: vm.Process, number: int, effect: str, payload: Any, answer: Callable[[int, str, Any], Any], now: bool
) -> None:
    try:
        value = answer(number, effect, payload)
    except LanguageError as problem:
        (vm.answer_now_error if now else vm.settle_error)(process, number, problem.error)
        return
    (vm.answer_now if now else vm.settle)(process, number, value)


# ---- plays: programs whose effects are answered in an order that the test says -----------------------------------


@dataclass
class Played:
    """What came of a play."""

    outcome: str = ""
    log: list[str] = field(default_factory=list)  # "effect payload", "cancel number"
    images: list[bytes] = field(default_factory=list)  # the canonical image at each outcome
    process: Any = None
    deepest: int = 0  # frames of a fiber at an outcome or cut


def play(
    source: str,
    *events: str,
    fuel: int = 1 << 40,
    step: bool = False,
    restored: bool = False,
    limits: vm.Limits = LIMITS,
    images: bool = False,
) -> Played:
    """Runs `main` to its end.  Effects stay open but for `log`, which is answered at once with nil.

    When all fibers wait the next of `events` happens: answers "1=:value", errors "2!kind" and "cancel", apart by blanks
    where they come together.  `fuel` cuts, `step` stops before every instruction, `restored` makes the process anew
    from its segments at each outcome and cut.
    """
    played = Played()
    linked, table = program(source)
    process = vm.new_process(linked, table, limits)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    segments: list[bytes] = []
    coming = list(events)
    for _ in range(STEPS_MAX):
        process.stepping = step
        outcome = vm.run(process, fuel)
        played.process = process
        played.deepest = max([played.deepest, *[len(fiber.frames) for fiber in process.fibers.values()]])
        match outcome:
            case vm.Performed(number, effect, payload):
                played.log.append(f"{effect} {print_string(payload)}")
                if effect == "log":
                    vm.answer_now(process, number, None)
            case vm.CancelRequest(number):
                played.log.append(f"cancel {number}")
            case vm.Finished(value):
                played.outcome = print_string(value, limit=10_000)
                return played
            case vm.Failed(error):
                played.outcome = f"error {print_string(error.kind)} {error.message}"
                return played
            case vm.Idle() if not coming:
                played.outcome = "idle"
                return played
            case vm.Idle():
                happen(process, coming.pop(0))
        if restored or (images and outcome.__class__ is not vm.OutOfFuel):
            segments.append(process.image.segment())
            if images and outcome.__class__ is not vm.OutOfFuel:
                played.images.append(canonical(source, segments))
        if restored:
            if len(segments) >= 20:
                segments = [process.image.checkpoint()]
            process = vm.restore(linked, table, segments, limits)
    raise AssertionError("the program does not end")


def happen(process: vm.Process, events: str) -> None:
    """Lets events happen to a process, see `play`."""
    for event in events.split():
        if event == "cancel":
            vm.cancel(process, None)
        elif "!" in event:
            number, _, kind = event.partition("!")
            assert vm.settle_error(process, int(number), ErrorValue(keyword(kind), "from outside", None))
        else:
            number, _, value = event.partition("=")
            assert vm.settle(process, int(number), read_data(value))


def same_every_way(source: str, *events: str, limits: vm.Limits = LIMITS) -> Played:
    """Plays a program undisturbed, restored at every outcome, cut at several sizes, and restored after every
    instruction: outcome, effects and images are the same."""
    plain = play(source, *events, images=True, limits=limits)
    ways: tuple[dict[str, Any], ...] = (
        {"restored": True},
        {"fuel": 1},
        {"fuel": 2, "restored": True},
        {"fuel": 7},
        {"step": True, "restored": True},
    )
    for way in ways:
        other = play(source, *events, images=True, limits=limits, **way)
        assert (other.outcome, other.log) == (plain.outcome, plain.log), way
        assert other.images == plain.images, way
    return plain
