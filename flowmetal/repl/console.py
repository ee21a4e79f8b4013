"""Console: the loop of a prompt in a terminal.

It reads lines until a form is whole, evaluates it, and prints the value or the error.  Ctrl-C ends what runs and keeps
the session; Ctrl-D at an empty prompt ends the loop.  Where lines come from is handed in.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flowmetal.diagnostics import CompileFailed, FlowmetalError, render
from flowmetal.engine.prompt_process import KIND_INTERRUPTED, Outside
from flowmetal.engine.session import Session, incomplete, read_answer
from flowmetal.engine.traces import trace_text
from flowmetal.values import ErrorValue, LanguageError, keyword, print_string

#: Reads a line after a prompt; EOFError at the end, KeyboardInterrupt on Ctrl-C.
ReadLine = Callable[[str], str]

KIND_DENIED = keyword("flowmetal/denied")


class Console:
    """A prompt over a session.  `write` takes text with its line ends."""

    def __init__(self, read_line: ReadLine, write: Callable[[str], None], color: bool = False) -> None:
        self._read_line = read_line
        self._write = write
        self._color = color
        self.session = Session(lambda line: write(line + "\n"))

    def serve(self, outside: Outside) -> None:
        """Lets the session's effects be performed."""
        self.session.process.outside = outside

    def run(self) -> None:
        """Reads and evaluates until the end of the input."""
        while True:
            try:
                text = self._read()
            except KeyboardInterrupt:
                self._write("\n")
                continue
            except EOFError:
                self._write("\n")
                return
            if text.strip():
                self._evaluate(text)

    def ask_person(self, effect: str, payload: Any) -> tuple[Any, ErrorValue | None]:
        """Asks for the answer of an effect that nobody serves."""
        self._write(f"{effect} {print_string(payload, limit=2000)}\nNobody here serves it. What is its answer?\n")
        try:
            with _default_signal():
                while True:
                    line = self._read_line("a value, or ! to fail it> ").strip()
                    if line.startswith("!"):
                        message = line[1:].strip() or "the person at the prompt said no"
                        return None, ErrorValue(KIND_DENIED, message, None)
                    if line:
                        try:
                            return read_answer(line), None
                        except FlowmetalError as problem:
                            self._write(render(problem.diagnostic, {"answer": line}, self._color))
        except (EOFError, KeyboardInterrupt):
            self._write("\n")
            return None, ErrorValue(KIND_DENIED, "nobody answered", None)

    def _read(self) -> str:
        prompt = f"{self.session.namespace}=> "
        text = self._read_line(prompt)
        while text.strip() and incomplete(text):
            text += "\n" + self._read_line(" " * (len(prompt) - 3) + ".. ")
        return text

    def _evaluate(self, text: str) -> None:
        session = self.session
        try:
            with self._interrupting():
                for value in session.evaluate(text):
                    self._write(session.printed(value) + "\n")
        except CompileFailed as failed:
            self._show(failed.diagnostics)
        except FlowmetalError as problem:
            self._show([problem.diagnostic])
        except LanguageError as raised:
            error = raised.error
            if error.kind is KIND_INTERRUPTED:
                self._write("interrupted\n")
            else:
                self._show([FlowmetalError("U120", kind=print_string(error.kind), message=error.message).diagnostic])
                trace = trace_text(error)
                self._write(f"\n{trace}\n" if trace else "")
        except KeyboardInterrupt:
            self._write("interrupted\n")
        except Exception as problem:  # a fault of ours must not end the session
            self._show([FlowmetalError("U900", problem=f"{type(problem).__name__}: {problem}"[:500]).diagnostic])
        warnings = session.warnings
        if warnings:
            self._show(warnings)

    def _show(self, diagnostics: Any) -> None:
        self._write("\n".join(render(one, self.session.sources, self._color) for one in diagnostics))

    @contextmanager
    def _interrupting(self) -> Iterator[None]:
        """Ctrl-C ends the form at its next call; a second one ends it wherever it is."""
        pressed = 0

        def handler(number: int, frame: FrameType | None) -> None:
            nonlocal pressed
            pressed += 1
            self.session.interrupt()
            if pressed > 1:
                raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _default_signal() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as it does at the prompt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
