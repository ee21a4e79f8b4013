"""Our answers: expressions compiled a few hundred at a time, each a function, each run in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal import vm
from flowmetal.bytecode.link import ProgramTable
from flowmetal.bytecode.program import Program
from flowmetal.compiler import compile_module
from flowmetal.diagnostics import CompileFailed
from flowmetal.engine.stdlib import Evaluate, standard_library
from flowmetal.values import print_string
from flowmetal.vm.builtins import BY_NAME

FUEL = 300_000  # instructions that jump or call; what takes more is taken for endless
TOGETHER = 200

#: Clojure catches a class where we catch a kind: the one part of an expression that is written in two ways.
_CATCH = ("(catch Throwable ", "(catch _ ")


def ask(expressions: Sequence[str]) -> list[str]:
    """An answer for each expression: `VALUE`, `!kind message`, or `timeout`."""
    answers: list[str] = []
    for start in range(0, len(expressions), TOGETHER):
        answers.extend(_together(expressions[start : start + TOGETHER]))
    return answers


def _together(expressions: Sequence[str]) -> list[str]:
    answers: dict[int, str] = {}
    program = _compiled(expressions, list(range(len(expressions))), answers)
    if program is not None:
        table = ProgramTable(program)
        names = program.modules["differential"].globals
        for number in range(len(expressions)):
            if number not in answers:
                answers[number] = _run(program, table, names[f"x{number}"].value)
    return [answers[number] for number in range(len(expressions))]


def _compiled(expressions: Sequence[str], left: list[int], answers: dict[int, str]) -> Program | None:
    """The program of those expressions that compile; the others get their answers."""
    libraries = standard_library().modules
    while left:
        lines = ["(ns differential)"]
        lines += [f"(defn x{number} [] {expressions[number].replace(*_CATCH)}\n)" for number in left]
        try:
            module = compile_module(
                "\n".join(lines), "differential.fm", libraries=libraries, evaluate=Evaluate(), builtins=BY_NAME
            )
        except CompileFailed as failed:
            wrong: dict[int, str] = {}
            for found in failed.diagnostics:
                if found.span is not None and found.span.line >= 2:
                    at = left[min((found.span.line - 2) // 2, len(left) - 1)]
                    wrong.setdefault(
                        at, f"!{found.code} {found.title if hasattr(found, 'title') else dict(found.facts)}"
                    )
            if not wrong:
                wrong = dict.fromkeys(left, "!compile")
            answers.update(wrong)
            left = [number for number in left if number not in wrong]
            continue
        return Program({**libraries, module.name: module}, module.name)
    return None


def _run(program: Program, table: ProgramTable, function: Any) -> str:
    process = vm.new_process(program, table)
    vm.start(process, function, [])
    outcome: Any = vm.run(process, FUEL)
    while isinstance(outcome, vm.CancelRequest):
        outcome = vm.run(process, FUEL)
    if isinstance(outcome, vm.Performed) and outcome.effect == "log":
        return "!effect log"
    if isinstance(outcome, vm.Failed):
        return f"!{outcome.error.kind.text} {outcome.error.message}"
    if isinstance(outcome, vm.Finished):
        return print_string(outcome.value)
    return "timeout" if isinstance(outcome, vm.OutOfFuel) else f"!{outcome.__class__.__name__}"


def names() -> frozenset[str]:
    """What programs here can name, as signatures.txt writes it."""
    return frozenset(
        found.name if module.name.startswith("flowmetal.core") else f"{module.name}/{found.name}"
        for module in standard_library().modules.values()
        for found in module.globals.values()
        if not found.private
    )
