"""Running code at compile time: top-level forms and macros.

What runs here is pure: an effect that leaves the program is an error, and so is waiting.  The compiler gets an
instance handed in (it never imports the machine).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.bytecode.program import Function, Program
from flowmetal.values import Closure, ErrorValue, Vector, keyword
from flowmetal.vm import running
from flowmetal.vm.fibers import start_fiber
from flowmetal.vm.image import new_process
from flowmetal.vm.state import Failed, Finished, Limits, OutOfFuel, Performed

#: Calls and loop turns that one top-level form or macro call may take: some ten seconds.
COMPILE_FUEL = 50_000_000
#: Nested calls of one: what goes deeper than this at compile time has no end.
COMPILE_FRAMES = 1_000_000


class EvaluationFailed(Exception):
    """A form or macro raised an error, performed an effect, or ran too long.  `error` is the language's error value."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error.message)
        self.error = error


class CompileTime:
    """Implements the compiler's Evaluator."""

    def __init__(self, fuel: int = COMPILE_FUEL, limits: Limits | None = None) -> None:
        self.fuel = fuel  # of the next call
        self.used = 0  # by all calls so far
        self.names = 0  # that were given out before the next call, so that `gensym` gives others
        self._limits = limits or Limits(frames=COMPILE_FRAMES)

    def run(self, program: Program, function: Function) -> Any:
        """Calls a function of no arguments and no captures.  What is lazy in its value stays lazy."""
        return self._call(program, Closure(function, ()), (), realizes=False)

    def call(self, program: Program, closure: Any, arguments: Sequence[Any]) -> Any:
        """Calls a function; nothing in its value is lazy.  Raises EvaluationFailed."""
        return self._call(program, closure, arguments, realizes=True)

    def _call(self, program: Program, closure: Any, arguments: Sequence[Any], realizes: bool) -> Any:
        process = new_process(program, None, self._limits)
        process.realizes_result = realizes
        process.next_name = self.names + 1
        try:
            if closure.__class__ is Closure:
                start_fiber(process, None, closure, list(arguments))
            else:  # a keyword, a builtin, a map: called by the library's `apply`
                apply = program.lookup("flowmetal.core", "apply")
                start_fiber(process, None, apply.value if apply else closure, [closure, Vector.of(arguments)])
        except Exception as problem:
            raise EvaluationFailed(_error_of(problem)) from None
        outcome = running.run(process, self.fuel)
        self.names = process.next_name - 1
        self.used += 0 if process.fuel < 0 else self.fuel - process.fuel
        if isinstance(outcome, Finished):
            return outcome.value
        if isinstance(outcome, Failed):
            raise EvaluationFailed(outcome.error)
        if isinstance(outcome, Performed):
            message = f"{outcome.effect} is performed at compile time; effects belong inside functions"
            raise EvaluationFailed(ErrorValue(keyword("compile/effect"), message, outcome.effect))
        if isinstance(outcome, OutOfFuel):
            raise EvaluationFailed(ErrorValue(keyword("compile/fuel"), "this takes too long to evaluate", None))
        raise EvaluationFailed(ErrorValue(keyword("compile/wait"), "this waits for ever at compile time", None))


def _error_of(problem: Exception) -> ErrorValue:
    error = getattr(problem, "error", None)
    return error if isinstance(error, ErrorValue) else ErrorValue(keyword("type"), str(problem), None)
