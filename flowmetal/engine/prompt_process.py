"""PromptProcess: the one live process of a session, in which the forms of a prompt run one after the other.

Each form is a new first fiber of the process, so that cells and lazy sequences of earlier forms live on.  Effects that
the engine answers by itself are answered here, by the same code; sleeping waits in real time; every other effect goes
to `Outside`.  Nothing is written down: there is no image of this process, and nothing survives it.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from flowmetal.bytecode.program import Function, Program
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import effects
from flowmetal.engine.effects import LOCAL, SLEEP, Local, Surroundings, sleep_until
from flowmetal.engine.policies import read_options
from flowmetal.store.operations import FAMILIES
from flowmetal.values import Closure, ErrorValue, LanguageError, fail, keyword, print_string
from flowmetal.vm import (
    FINALLY,
    KIND_CANCELLED,
    KIND_LIMIT,
    CancelRequest,
    Failed,
    Finished,
    Idle,
    Limits,
    Performed,
    answer_now,
    answer_now_error,
    new_process,
    run,
    settle,
    settle_error,
)
from flowmetal.vm.fibers import cancel_fiber, start_fiber
from flowmetal.vm.state import Process, Region

#: Fuel between two looks at the clock and at whether a person has interrupted: some milliseconds.
PIECE = 20_000

#: Fuel that `finally` blocks get once a form has been interrupted.
LAST_FUEL = 1_000_000

#: Characters of one line that a program prints.
LINE_CHARACTERS_MAX = 1 << 20

KIND_INTERRUPTED = keyword("flowmetal/interrupted")
KIND_WAIT = keyword("flowmetal/waits-for-ever")
KIND_PROMPT = keyword("flowmetal/not-at-the-prompt")

#: Local effects that are told as they happen.
TOLD = frozenset({"log", "progress", "print", "println"})

#: What hangs on being a process of a store, which a session is not.
NOT_HERE = frozenset(
    {"self", "send", "receive", "http/callback", "http/callback-url"}.union(
        *(FAMILIES[name] for name in ("starts", "names", "links", "groups"))
    )
)


class Outside(Protocol):
    """Whoever performs the effects that leave the session."""

    def ask(self, number: int, effect: str, payload: Any, options: Any) -> None:
        """An effect has been performed; its answer comes from `wait`."""
        ...

    def wait(self, seconds: float) -> list[tuple[int, Any, ErrorValue | None]]:
        """Waits up to so long for answers: number, value, error."""
        ...

    def forget(self, number: int) -> None:
        """Nobody wants the answer any more."""
        ...

    def close(self) -> None:
        """The session has ended."""
        ...


class PromptProcess:
    """Runs functions, one at a time, in one process.  `interrupted` may be set from any thread."""

    def __init__(
        self,
        program: Program,
        limits: Limits,
        outside: Outside | None,
        tell: Callable[[str], None],
        seconds: float | None,
    ) -> None:
        self.process: Process = new_process(program, None, limits)
        self.interrupted = threading.Event()
        self.closed = False  # for good: unlike an interrupt, it also ends a form that is about to begin
        self.fuel = 0  # what is left for the form that runs
        self.seconds = seconds  # that one run may take; None: any time
        self._deadline: float | None = None
        self.outside = outside
        self._tell = tell
        self._open: set[int] = set()
        self._timers: list[tuple[int, int]] = []  # due, number of the request of a sleep
        surroundings = Surroundings("prompt", time.time_ns, os.urandom)
        self._local = Local(0, surroundings, {}, lambda number: None)

    def begin(self, fuel: int) -> None:
        """A form begins: what it, and the macros in it, may use."""
        self.fuel = fuel
        self._deadline = None if self.seconds is None else time.monotonic() + self.seconds

    def check(self) -> None:
        """LanguageError if the form was interrupted or has used up its time or fuel."""
        if self.interrupted.is_set() or self.closed:
            raise LanguageError(ErrorValue(KIND_INTERRUPTED, "interrupted", None))
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise LanguageError(ErrorValue(KIND_LIMIT, f"the form took longer than {self.seconds:g} seconds", None))
        if self.fuel <= 0:
            raise LanguageError(ErrorValue(KIND_LIMIT, "the form took more calls and loop turns than it may", None))

    def call(self, closure: Closure, arguments: list[Any], *, realizes: bool = False) -> Any:
        """Calls a function to its end.  LanguageError for what it raises, or for what it needs too much of."""
        process = self.process
        process.end = None
        process.realizes_result = realizes
        start_fiber(process, None, closure, arguments)
        root = process.fibers[process.next_fiber - 1]
        try:
            return self._run()
        except KeyboardInterrupt:
            self._let_go(root)
            raise LanguageError(ErrorValue(KIND_INTERRUPTED, "interrupted", None)) from None
        except _Stopped as stopped:
            self._let_go(root)
            raise LanguageError(stopped.error) from None
        finally:
            self._clear()

    def _run(self) -> Any:
        process = self.process
        while True:
            try:
                self.check()
            except LanguageError as stopped:
                raise _Stopped(stopped.error) from None
            given = min(self.fuel, PIECE)
            outcome = run(process, given)
            self.fuel -= given - max(process.fuel, 0)
            if isinstance(outcome, Finished):
                return outcome.value
            if isinstance(outcome, Failed):
                raise LanguageError(outcome.error)
            if isinstance(outcome, Performed):
                self._perform(outcome)
            elif isinstance(outcome, CancelRequest):
                self._forget(outcome.number)
            elif isinstance(outcome, Idle):
                self._wait()

    # ---- effects --------------------------------------------------------------------------------------------------

    def _perform(self, performed: Performed) -> None:
        process, number, effect = self.process, performed.number, performed.effect
        self.fuel -= 1
        try:
            effects.check_effect(effect)
            if effect in NOT_HERE:
                fail(KIND_PROMPT.text, f"{effect} is for processes of a store, and a session is none")
            answer = LOCAL.get(effect)
            if answer is not None:
                read_options(performed.options)
                value = answer(performed.payload, self._local)
                if effect in TOLD:
                    self._print(performed.payload)
                answer_now(process, number, value)
            elif effect in (SLEEP, FINALLY):
                heapq.heappush(self._timers, (sleep_until(performed.payload, time.time_ns()), number))
            elif self.outside is None:
                fail("flowmetal/unserved", f"nobody here serves {effect}")
            else:
                self.outside.ask(number, effect, performed.payload, performed.options)
                self._open.add(number)
        except LanguageError as error:
            answer_now_error(process, number, error.error)
        except FlowmetalError as problem:
            answer_now_error(process, number, ErrorValue(keyword("flowmetal/store"), str(problem), None))

    def _print(self, payload: Any) -> None:
        if payload.__class__ is str:
            text = payload if len(payload) <= LINE_CHARACTERS_MAX else payload[:LINE_CHARACTERS_MAX] + "…"
        else:
            text = print_string(payload, limit=LINE_CHARACTERS_MAX)
        self._tell(text)

    def _wait(self) -> None:
        """Every fiber waits: for a timer, or for an answer."""
        timers = self._timers
        now = time.time_ns()
        if timers and timers[0][0] <= now:
            settle(self.process, heapq.heappop(timers)[1], None)
            return
        if not timers and not self._open:
            raise _Stopped(ErrorValue(KIND_WAIT, "this waits for something that cannot come", None))
        pause = 0.2 if not timers else min(0.2, (timers[0][0] - now) / 1e9)
        if self._open and self.outside is not None:
            for number, value, error in self.outside.wait(pause):
                if number in self._open:
                    self._open.discard(number)
                    settle(self.process, number, value) if error is None else settle_error(self.process, number, error)
        else:
            self.interrupted.wait(pause)

    def _forget(self, number: int) -> None:
        self._timers = [one for one in self._timers if one[1] != number]
        heapq.heapify(self._timers)
        if number in self._open and self.outside is not None:
            self._open.discard(number)
            self.outside.forget(number)

    # ---- the end of a form ----------------------------------------------------------------------------------------

    def _let_go(self, root: Any) -> None:
        """Lets the `finally` blocks of a form run that was stopped, as far as they need nothing that takes time."""
        process = self.process
        self.interrupted.clear()
        if process.end is not None or root.id not in process.fibers:
            return
        error = ErrorValue(KIND_CANCELLED, "the form was stopped", None)
        cancel_fiber(process, root, error, again=True)
        fuel = LAST_FUEL
        while fuel > 0 and process.end is None:
            outcome = run(process, min(fuel, PIECE))
            fuel -= max(min(fuel, PIECE) - max(process.fuel, 0), 1)
            if isinstance(outcome, Performed):
                if outcome.effect in LOCAL:
                    self._perform(outcome)
                else:
                    answer_now_error(process, outcome.number, error)
            elif isinstance(outcome, Idle | Finished | Failed):
                return

    def _clear(self) -> None:
        """Forgets what a form has left running; what it was realizing is as if nobody had begun."""
        process = self.process
        for fiber in process.fibers.values():
            for frame in fiber.frames:
                if frame[0] is None and frame[1] == Region.REALIZE and frame[2].state == "running":
                    frame[2].state = "new"
        for number in list(self._open):
            self._forget(number)
        self._timers.clear()
        process.fibers.clear()
        process.ready.clear()
        process.scopes.clear()
        process.request_waits.clear()
        process.request_promises.clear()
        process.waiters.clear()
        process.outbox.clear()
        process.changed.clear()
        process.changed_scopes.clear()
        process.touched.clear()
        process.opened.clear()
        process.ended.clear()
        process.end = None


class _Stopped(Exception):
    """A form has to end, with an error that it cannot catch."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error.message)
        self.error = error


def closure_of(function: Function) -> Closure:
    """The closure of a function that captures nothing."""
    return Closure(function, ())
