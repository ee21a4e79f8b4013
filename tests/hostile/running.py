"""Runs what was accepted: in both engines, with small limits, nothing granted, and everything that it does written down.

`examine_artifact` and `examine_image` are what a harness calls.  They give what came of it, and raise `Found` for what
must not come of anything: an exception that is no diagnostic, an effect that was not declared, a touch of the system.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from functools import cache
from typing import Any

from flowmetal import vm
from flowmetal.bytecode.fmc import Artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.program import Program
from flowmetal.diagnostics import FlowmetalError
from flowmetal.diagnostics.catalogue import find_entry
from flowmetal.engine.opening import library_module, open_artifact
from flowmetal.values import (
    EMPTY_LIST,
    EMPTY_MAP,
    Closure,
    ErrorValue,
    LanguageError,
    Map,
    NeedsRealize,
    Vector,
    keyword,
    print_string,
)
from flowmetal.vm import load, machine, running
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.lifting import entering

LIMITS = vm.Limits(fuel=60_000, frames=2_000, heap_objects=30_000, fibers=200, requests=200)
FRAMES_ONLY = vm.Limits(fuel=60_000, frames=2_000, heap_objects=30_000, fibers=200, requests=200, lifting=False)
FUEL = 300  # of one turn
TURNS = 6  # outcomes that a process is run for
TEXT = 200  # characters of a result that are printed

#: What the core performs by itself: to hear of attempts, where the options of an effect hold a function, and the time
#: that `finally` blocks have when a process is cancelled.
OWN = ("flowmetal/attempts", vm.FINALLY)

NOT_GRANTED = ErrorValue(keyword("flowmetal/not-granted"), "not granted", None)


class Found(Exception):
    """Something that must not be."""


class Watch:
    """What the machine's own nets caught since it was last asked."""

    def __init__(self) -> None:
        self.faults: list[BaseException] = []
        self.events: list[str] = []
        self.listening = False
        self._installed = False

    def install(self) -> None:
        """Puts it where the machine turns exceptions into errors of the program."""
        if self._installed:
            return
        self._installed = True
        plain = machine.fault

        def fault(problem: BaseException) -> ErrorValue:
            if not isinstance(problem, MemoryError):
                self.faults.append(problem)
            return plain(problem)

        machine.fault = running.fault = fault  # type: ignore[attr-defined]

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook of the interpreter: files, sockets, processes and the like."""
        if not self.listening or event.startswith(_QUIET):
            return
        if event == "open" and str(arguments[0]).endswith((".py", ".pyc")):
            return  # an import that waited until it was needed
        self.events.append(f"{event} {arguments!r:.100}")


#: Audit events that touch nothing outside: lifted code is compiled, packages look at objects.
_QUIET = (
    "builtins.id",
    "compile",
    "exec",
    "import",
    "object.",
    "code.__new__",
    "marshal.",
    "sys._getframe",
    "gc.",
    "os.listdir",
    "sys.setrec",
)

WATCH = Watch()


def heat(lifted: bool) -> None:
    """Whether bodies are lifted when they are first called."""
    load.HEAT = 0 if lifted else 1 << 40


# ---- artifacts ---------------------------------------------------------------------------------------------------


@cache
def _arguments() -> tuple[Any, ...]:
    return (
        None, True, 0, 1, 3, -7, 1 << 70, 2.5, "text", keyword("a"), Vector.of([3, 1, 2]), Map.of([(keyword("a"), 1)]),
        EMPTY_LIST, EMPTY_MAP, Vector.of([keyword("a"), "b", Vector.of([1])]),
    )  # fmt: skip


def examine_artifact(data: bytes, dice: random.Random) -> str:
    """The code it was refused with, or how its runs ended."""
    WATCH.faults.clear()
    try:
        artifact = open_artifact(data)
    except FlowmetalError as error:
        return _refused(error, "B")
    return run_artifact(artifact, dice)


def _refused(error: FlowmetalError, stage: str) -> str:
    if not error.code.startswith(stage) or find_entry(error.code) is None:
        raise Found(f"is refused with {error.code}")
    if len(str(error)) > 20_000:
        raise Found(f"is refused with a message of {len(str(error))} characters")
    return error.code


def run_artifact(artifact: Artifact, dice: random.Random, declared: bool = True) -> str:
    """Runs a function of a verified artifact in both engines."""
    program = link(artifact, library_module)
    functions = [
        found.value
        for found in program.modules[artifact.main].globals.values()
        if found.value.__class__ is Closure and not found.macro
    ]
    if not functions:
        return "empty"
    function = functions[0] if dice.random() < 0.5 else dice.choice(functions)
    counts = (
        [program.modules[artifact.main].codes[index].parameters for index in function.function.codes]
        if (function.function.module is program.modules[artifact.main])
        else [0, 1]
    )
    arguments = [dice.choice(_arguments()) for _ in range(dice.choice(counts))]
    seed = dice.random()
    ends = []
    for limits in (FRAMES_ONLY, LIMITS):
        heat(limits.lifting)
        _cool(program)
        ends.append(_run(program, function, arguments, limits, random.Random(seed), declared))
    if ends[0] != ends[1] and not any(_LIMITED.intersection(end[0]) for end in ends):
        raise Found(f"gives {ends[0]} in frames and {ends[1]} lifted")
    return ends[0][0][0]


_LIMITED = {"limit", "refused", "turns"}


def _cool(program: Program) -> None:
    """Forgets what was made ready for the other engine, in the modules that are not the library's."""
    for module in program.modules.values():
        if module.name.startswith("flowmetal."):
            continue
        for index in getattr(module.codes, "_made", {}):
            module.codes[index].ready = None
        for index in getattr(module.functions, "_made", {}):
            module.functions[index].ready = module.functions[index].lifted = None


def _run(
    program: Program, function: Closure, arguments: list[Any], limits: vm.Limits, dice: random.Random, declared: bool
) -> tuple[tuple[str, str], list[str]]:
    table = ProgramTable(program)
    process = vm.new_process(program, table, limits)
    try:
        vm.start(process, function, [*arguments])
    except LanguageError:
        return ("not started", ""), []
    except FlowmetalError as error:
        return ("refused", _refused(error, ("B", "V"))), []  # type: ignore[arg-type]
    performed: list[str] = []
    end = use(process, dice, performed)
    claim = function.function
    if declared and not claim.open:
        for effect in performed:
            if effect not in claim.effects and effect not in OWN:
                raise Found(f"performs {effect}, which it does not declare")
    if dice.random() < 0.1:
        restored(process, program, table, limits, dice)
    return end, performed


def use(process: vm.Process, dice: random.Random, performed: list[str]) -> tuple[str, str]:
    """Runs a process, refuses or answers what it asks, cancels it in the end; how it ended."""
    waiting: list[int] = list(process.request_waits)
    end = ("turns", "")
    try:
        for turn in range(TURNS):
            outcome = vm.run(process, FUEL)
            match outcome:
                case vm.Performed(number, effect):
                    performed.append(effect)
                    if dice.random() < 0.5:
                        vm.answer_now_error(process, number, NOT_GRANTED)
                    elif dice.random() < 0.5:
                        vm.answer_now(process, number, dice.choice(_arguments()))
                    else:
                        waiting.append(number)
                case vm.Idle() if waiting and dice.random() < 0.8:
                    number = waiting.pop(dice.randrange(len(waiting)))
                    if dice.random() < 0.7:
                        vm.settle(process, number, turn)
                    else:
                        vm.settle_error(process, number, NOT_GRANTED)
                case vm.Idle():
                    vm.cancel(process, None)
                case vm.Finished(value):
                    end = ("value", _printed(value))
                    break
                case vm.Failed(error):
                    limited = error.kind is vm.KIND_LIMIT
                    end = ("limit" if limited else "error", f"{error.kind.text} {error.message[:TEXT]}")
                    break
    except FlowmetalError as error:
        end = ("refused", _refused(error, ("B", "V")))  # type: ignore[arg-type]
    if WATCH.faults:
        problem = WATCH.faults[0]
        trace = "".join(traceback.format_tb(problem.__traceback__)[-3:])
        raise Found(f"runs into {type(problem).__name__}: {problem}\n{trace}") from problem
    return end


def _printed(value: Any) -> str:
    try:
        return print_string(value, limit=TEXT)
    except (LanguageError, NeedsRealize):
        return "?"


def restored(process: vm.Process, program: Program, table: Any, limits: vm.Limits, dice: random.Random) -> None:
    """What can be saved can be made again and goes on."""
    try:
        checkpoint = process.image.checkpoint()
    except LanguageError:
        return  # it holds what cannot be saved
    again = vm.restore(program, table, [checkpoint], limits)
    use(again, dice, [])


# ---- images ------------------------------------------------------------------------------------------------------


def examine_image(program: Program, table: Any, segments: list[bytes], dice: random.Random) -> str:
    """As examine_artifact, of an image of a program."""
    WATCH.faults.clear()
    limits = LIMITS if dice.random() < 0.5 else FRAMES_ONLY
    heat(limits.lifting)
    try:
        process = vm.restore(program, table, segments, limits)
    except FlowmetalError as error:
        return _refused(error, ("V", "B"))  # type: ignore[arg-type]
    end = use(process, dice, [])
    try:
        if dice.random() < 0.5:
            process.image.segment()
        checkpoint = process.image.checkpoint()
    except LanguageError:
        return end[0]  # it holds what cannot be saved
    try:
        again = vm.restore(program, table, [checkpoint], limits)
    except FlowmetalError:
        return end[0]
    use(again, dice, [])
    return end[0]


def census() -> Counter[str]:
    """An empty count of ends."""
    return Counter()


assert entering and BUILTINS
