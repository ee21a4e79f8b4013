"""Running one function of an artifact once, in memory, with real time: what `flowvm run` does.

A run begins with the machine alone, since most of what a small program costs is loading what it does not need: the
store and the interpreter.  What is only told (`log`) and the time are answered here.  When anything else comes up, or
it takes long, the process goes on, with all it has, as the first one of a store in memory: run_stored.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.program import Program
from flowmetal.dataclass import dataclass
from flowmetal.engine.opening import library_module, open_artifact
from flowmetal.engine.traces import trace_text
from flowmetal.values import (
    Closure,
    ErrorValue,
    Instant,
    LanguageError,
    Vector,
    decode_value,
    encode_value,
    print_string,
)
from flowmetal.vm import Finished, OutOfFuel, Performed, Process, answer_now, new_process, run, start

if TYPE_CHECKING:
    from flowmetal.engine import run_stored
else:
    run_stored = lazily.module("flowmetal.engine.run_stored")

#: Local effects that are told as they happen.
TOLD = frozenset({"log", "progress", "print", "println"})

#: Those of them that nothing but being told comes of.
_ONLY_TOLD = frozenset({"log", "progress"})

#: Fuel of one call of the machine, and how often it is called before the process moves into a store, where its state is
#: saved and what it has ended is forgotten: a second of work, beside which the move costs nothing.
PIECE = 200_000
PIECES_MAX = 20

#: Effects that are answered before it moves, for the same reason; and the bytes of a value that is dealt with here.
ANSWERS_MAX = 2_000
BYTES_MAX = 1 << 20

#: Starts what serves an effect over a store; False where there is nothing that could.
Serve = Callable[[Any, str], bool]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a run: "done" with a value, or "failed", "cancelled", "waiting" with an error."""

    status: str
    value: Any
    error: ErrorValue | None

    def trace_text(self) -> str:
        """The error's frames, innermost first, a line each."""
        return trace_text(self.error) if self.error is not None else ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that needs a store: its program, its process, and what the machine gave last.

    `process` None: it has not begun, since its function cannot be called so.
    """

    program: Program
    table: ProgramTable
    process: Process | None
    outcome: Any


def run_once(
    artifact: bytes,
    function: str,
    arguments: Sequence[Any],
    log: Callable[[str], None] | None = None,
    serve: Serve | None = None,
    grants: Sequence[str] | None = None,
) -> Ended:
    """Runs "module/function" to its end.  `log` gets what it logs; `serve` is asked once for every effect.

    `grants` says what it may perform; None: all.
    """
    data = encode_value(Vector.of(arguments))
    begun = _begin(artifact, function, data, log)
    if begun.outcome.__class__ is Finished:
        try:
            result = encode_value(begun.outcome.value, begun.table)
        except LanguageError:
            pass  # it may not leave its process: the interpreter knows what that comes to
        else:
            if len(result) <= BYTES_MAX:
                return Ended("done", decode_value(result, begun.table), None)
    ended: Ended = run_stored.go_on(artifact, begun, function, data, log, serve, grants)
    return ended


def _begin(artifact: bytes, function: str, arguments: bytes, log: Callable[[str], None] | None) -> Begun:
    """Runs a function as far as the machine alone can."""
    program = link(open_artifact(artifact), library_module)
    table = ProgramTable(program)
    module, slash, name = function.rpartition("/")
    found = program.lookup(module if slash else program.main, name)
    if found is None or found.value.__class__ is not Closure:
        return Begun(program, table, None, None)
    process = new_process(program, table)
    try:
        start(process, found.value, list(decode_value(arguments, table)))
    except LanguageError:
        return Begun(program, table, None, None)
    answers, pieces, now, fuel = 0, 1, 0, PIECE
    while True:
        outcome: Any = run(process, fuel)
        fuel = max(1, process.fuel)
        if outcome.__class__ is OutOfFuel and pieces < PIECES_MAX:
            pieces, fuel = pieces + 1, PIECE
            continue
        if outcome.__class__ is not Performed or outcome.options is not None or answers == ANSWERS_MAX:
            break
        if outcome.effect in _ONLY_TOLD and _tell(outcome.payload, log):
            answer_now(process, outcome.number, None)
        elif outcome.effect == "now" and outcome.payload is None:
            now = max(now, time.time_ns())
            answer_now(process, outcome.number, Instant(now))
        else:
            break
        answers += 1
    return Begun(program, table, process, outcome)


def _tell(payload: Any, log: Callable[[str], None] | None) -> bool:
    """Passes on what is logged; False where it takes the interpreter to say what comes of it."""
    try:
        data = encode_value(payload)
    except LanguageError:
        return False
    if len(data) > BYTES_MAX:
        return False
    if log is not None:
        log(payload if payload.__class__ is str else print_string(payload))
    return True
