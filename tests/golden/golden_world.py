"""Golden programs: their expectations, and a small world that runs them on the machine.

A program is a file under programs/ with `(defn main [] ...)` and comment lines, each at the start of a line:

    ;; => VALUE              what main gives, printed
    ;; error: KIND MESSAGE   main ends with an error of that kind (`:kind`); the message may be left out
    ;; error: CODE at L:C    it does not compile, for that reason; a letter stands for all codes of a stage
    ;; log: NAME NAME ...    the effects performed, in order; `-name` is a request that was cancelled
    ;; prints: VALUE         what was given to `log`, printed; one line each
    ;; answer: NAME VALUE    the answer to the next effect of that name; `!kind message` answers with an error
    ;; frames: N             runs with a quota of so many nested calls
    ;; once: WHY             is not run again with saving and restoring, since it would take long

Time is virtual: it starts with 2026 and goes on when all fibers wait, to the next sleep's end.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from flowmetal import vm
from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.program import Program
from flowmetal.compiler import compile_module
from flowmetal.engine.library import standard_library
from flowmetal.engine.stdlib import Evaluate
from flowmetal.reading.data import read_data
from flowmetal.values import Duration, ErrorValue, Instant, Pid, keyword, print_string
from flowmetal.vm.builtins import BY_NAME

PROGRAMS = Path(__file__).parent / "programs"
START = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
FUEL = 50_000_000  # of a straight run; a program that needs more does not end

_LINE = re.compile(r"^;; (=>|error:|log:|prints:|answer:|frames:|once:) ?(.*)$", re.MULTILINE)


@dataclass(slots=True)
class Expected:
    """What the comments of a program say."""

    value: str | None = None
    error: str | None = None
    log: list[str] | None = None
    prints: list[str] | None = None
    answers: dict[str, list[str]] = field(default_factory=dict)
    limits: vm.Limits = field(default_factory=vm.Limits)
    once: bool = False


def expectations(text: str) -> Expected:
    """Reads the comments of a program."""
    found = Expected()
    for what, rest in _LINE.findall(text):
        if what == "=>":
            found.value = rest
        elif what == "error:":
            found.error = rest
        elif what == "log:":
            found.log = rest.split()
        elif what == "prints:":
            found.prints = [*(found.prints or []), rest]
        elif what == "frames:":
            found.limits = vm.Limits(frames=int(rest))
        elif what == "once:":
            found.once = True
        else:
            name, _, answer = rest.partition(" ")
            found.answers.setdefault(name, []).append(answer)
    return found


@dataclass(slots=True)
class Outcome:
    """What came of a run: one of `value` and `error`, both printed."""

    value: str | None = None
    error: str | None = None
    log: list[str] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Loaded:
    """A program as the machine takes it, through the bytes of its artifact."""

    program: Program
    table: ProgramTable


@cache
def load(path: Path) -> Loaded:
    """Compiles, encodes, decodes and links a program.  Raises CompileFailed."""
    libraries = standard_library().modules
    module = compile_module(
        path.read_text(encoding="utf-8"),
        str(path.relative_to(PROGRAMS)),
        libraries=libraries,
        evaluate=Evaluate(),
        builtins=BY_NAME,
    )
    artifact = decode_artifact(encode_artifact([module]))
    program = link(artifact, lambda name, hash: libraries[name])
    return Loaded(program, ProgramTable(program))


class World:
    """Answers what a process asks for, from a table, and keeps the clock."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = {name: deque(texts) for name, texts in answers.items()}
        self.now = START
        self.sleeping: dict[int, int] = {}  # request -> when it ends
        self.names: dict[int, str] = {}
        self.uuids = 0
        self.outcome = Outcome()

    def perform(self, process: Any, asked: Any) -> None:
        """Answers an effect, or lets it sleep."""
        name = asked.effect
        self.outcome.log.append(name)
        self.names[asked.number] = name
        if self.answers.get(name):
            text = self.answers[name].popleft()
            if text.startswith("!"):
                kind, _, message = text[1:].partition(" ")
                vm.answer_now_error(process, asked.number, ErrorValue(keyword(kind), message))
            else:
                vm.answer_now(process, asked.number, read_data(text))
        elif name in ("sleep", "flowmetal/finally"):
            until = asked.payload
            self.sleeping[asked.number] = self.now + until.ns if isinstance(until, Duration) else until.ns
        else:
            vm.answer_now(process, asked.number, self._own(name, asked.payload))

    def _own(self, name: str, payload: Any) -> Any:
        if name == "now":
            return Instant(self.now)
        if name == "random":
            return 0.25 if payload is None else payload // 2
        if name == "uuid":
            self.uuids += 1
            return UUID(int=self.uuids)
        if name == "self":
            return Pid(1)
        if name == "log":
            self.outcome.prints.append(print_string(payload))
            return None
        assert name in ("progress", "annotate!"), f"nothing answers {name}"
        return None

    def cancel(self, number: int) -> None:
        """A request is no longer wanted."""
        self.outcome.log.append("-" + self.names[number])
        self.sleeping.pop(number, None)

    def wake(self, process: Any) -> None:
        """All fibers wait: goes on to the end of the next sleep."""
        assert self.sleeping, "the program waits for ever"
        number = min(self.sleeping, key=lambda number: (self.sleeping[number], number))
        self.now = max(self.now, self.sleeping.pop(number))
        vm.settle(process, number, None)


def execute(loaded: Loaded, expected: Expected, *, cuts: int = 0) -> Outcome:
    """Runs main.  With `cuts` the process is saved and restored at every outcome, and at that many cuts of fuel too."""
    world = World(expected.answers)
    program = loaded.program
    main = program.modules[program.main].globals["main"].value
    process = vm.new_process(program, loaded.table, expected.limits)
    vm.start(process, main, [])
    segments: list[bytes] = []
    restoring, done = cuts > 0, 0
    while True:
        outcome = vm.run(process, 1 if done < cuts else FUEL)
        if isinstance(outcome, vm.Finished):
            world.outcome.value = print_string(outcome.value)
            return world.outcome
        if isinstance(outcome, vm.Failed):
            world.outcome.error = f":{outcome.error.kind.text} {outcome.error.message}"
            return world.outcome
        if isinstance(outcome, vm.OutOfFuel):
            assert done < cuts, "the program does not end"
            done += 1
        elif isinstance(outcome, vm.Performed):
            world.perform(process, outcome)
        elif isinstance(outcome, vm.CancelRequest):
            world.cancel(outcome.number)
        else:
            world.wake(process)
        if restoring:
            # Now and then all of it is written anew, as a store would have it written.
            if len(segments) >= 40:
                segments = [process.image.checkpoint()]
            else:
                segments.append(process.image.segment())
            process = vm.restore(program, loaded.table, segments, expected.limits)
