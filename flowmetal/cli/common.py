"""What both commands share: exit codes, how errors end a command, how output is written."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from flowmetal import lazily

if TYPE_CHECKING:
    import json
else:
    json = lazily.module("json")

# Exit codes; docs/cli.md lists them.
OK, FAILED, USAGE, NOT_FOUND, CONFLICT, REFUSED, NO_STORE, TIMED_OUT, PROGRAM_FAILED = range(9)
INTERRUPTED, TERMINATED = 130, 143

#: Codes of the catalogue that have an exit code of their own; the rest goes by the first letters below.
_EXIT_BY_CODE = {
    "S101": NO_STORE, "S201": CONFLICT, "S202": NOT_FOUND, "S203": NOT_FOUND, "S204": USAGE, "S206": USAGE,
    "H101": FAILED, "H103": REFUSED, "H507": TIMED_OUT, "H508": PROGRAM_FAILED, "H509": PROGRAM_FAILED,
    "H504": NOT_FOUND, "H505": CONFLICT, "H511": NOT_FOUND, "H513": USAGE, "B014": NOT_FOUND, "B016": USAGE,
    "U101": NOT_FOUND, "U102": USAGE, "U103": USAGE, "U104": NOT_FOUND, "U105": TIMED_OUT, "U106": FAILED,
    "H506": FAILED, "H512": NO_STORE, "U107": NOT_FOUND, "U110": TIMED_OUT, "U180": NOT_FOUND, "U181": CONFLICT,
    "S308": NOT_FOUND, "V336": NOT_FOUND, "U141": USAGE,
    "U140": USAGE, "U215": USAGE, "U111": USAGE, "U112": USAGE, "U114": USAGE, "U115": TIMED_OUT,
    "S220": NOT_FOUND, "S222": USAGE, "U130": USAGE, "U131": USAGE,
    "S225": USAGE, "S226": USAGE, "S227": USAGE, "S228": NOT_FOUND, "S229": CONFLICT, "U135": USAGE, "U136": USAGE,
    "U190": USAGE, "U191": USAGE, "S318": CONFLICT, "S319": FAILED, "S320": CONFLICT, "S316": CONFLICT,
    "U116": USAGE, "U117": USAGE, "U118": NOT_FOUND, "U119": USAGE, "H515": FAILED, "H516": FAILED, "H517": CONFLICT,
}  # fmt: skip
_EXIT_BY_PREFIX = {"U18": USAGE, "U17": USAGE, "S1": NO_STORE, "S3": NO_STORE, "H2": USAGE, "H50": NO_STORE}


#: Why standard output cannot be written: no space, no quota, a file as large as files may be, a broken disk.
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

#: Texts that were not read from a file of their name, for excerpts.
TEXTS: dict[str, str] = {}


def exit_code(code: str) -> int:
    """The exit code for a code of the catalogue."""
    found = _EXIT_BY_CODE.get(code)
    if found is not None:
        return found
    for prefix, value in _EXIT_BY_PREFIX.items():
        if code.startswith(prefix):
            return value
    return FAILED


def guarded(work: Callable[[], int]) -> NoReturn:
    """Ends with what `work` gives; every error ends as a rendered diagnostic and an exit code, never as a traceback."""
    code = OK
    try:
        try:
            code = work()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where its failure can still be told
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        reader_gone()
    except Exception as problem:
        sys.exit(_ended_by(problem))
    sys.exit(code)


def _ended_by(problem: Exception) -> int:
    """Reports what ended a command; a full disk behind standard output is told as such, once."""
    if isinstance(problem, OSError) and problem.errno in _UNWRITABLE and problem.filename is None:
        from flowmetal.diagnostics import FlowmetalError

        _forget_output()
        problem = FlowmetalError("U113", problem=problem.strerror or str(problem))
    return report(problem)


def reader_gone() -> NoReturn:
    """Ends a command whose output nobody reads any more, as `head` does: that is no error."""
    _forget_output()
    sys.exit(OK)


def _forget_output() -> None:
    """What is still to be written goes nowhere, so that the end of the process does not fail with it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str, error: bool = False) -> None:
    """A line on standard output, or on standard error, at once."""
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


def print_version(wanted: bool) -> None:
    """What --version does."""
    if wanted:
        import typer

        import flowmetal

        say(flowmetal.__version__)
        raise typer.Exit


def end_on_sigterm() -> None:
    """A SIGTERM ends this process with 0 from here on, for a service that has nothing to stop yet."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(OK))


def report(problem: BaseException) -> int:
    """Writes an error to standard error and gives its exit code."""
    from flowmetal.diagnostics import CompileFailed, FlowmetalError, render

    if "--debug" in sys.argv or os.environ.get("FLOWMETAL_DEBUG"):
        raise problem
    if isinstance(problem, CompileFailed):
        show_diagnostics(problem.diagnostics)
        return FAILED
    if not isinstance(problem, FlowmetalError):
        problem = FlowmetalError("U900", problem=f"{type(problem).__name__}: {problem}"[:500])
    sources = _sources([problem.diagnostic])
    if "--json" in sys.argv:
        from flowmetal.diagnostics import to_json

        sys.stderr.write(json.dumps({"error": to_json(problem.diagnostic)}) + "\n")
    else:
        sys.stderr.write(
            render(problem.diagnostic, sources, color=sys.stderr.isatty() and not os.environ.get("NO_COLOR"))
        )
    if problem.code == "H506" and problem.facts.get("status") == 503:
        return NO_STORE  # a server says so of its store
    return exit_code(problem.code)


def show_diagnostics(diagnostics: Any, sources: dict[str, str] | None = None) -> None:
    """Renders diagnostics to standard error, or as JSON with --json."""
    from flowmetal.diagnostics import render, to_json

    diagnostics = list(diagnostics)
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"diagnostics": [to_json(one) for one in diagnostics]}, indent=1) + "\n")
        return
    color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    texts = sources or _sources(diagnostics)
    sys.stderr.write("\n".join(render(one, texts, color) for one in diagnostics))


def show_warnings(diagnostics: Any, sources: dict[str, str] | None = None) -> None:
    """Renders what a compilation warned of to standard error; with --json it goes into the command's document."""
    if diagnostics and "--json" not in sys.argv:
        show_diagnostics(diagnostics, sources)


def warnings_json(diagnostics: Any) -> dict[str, Any]:
    """{"warnings": [...]} for the document of a command that compiled; nothing where there are none."""
    if not diagnostics:
        return {}
    from flowmetal.diagnostics import to_json

    return {"warnings": [to_json(one) for one in diagnostics]}


def _sources(diagnostics: list[Any]) -> dict[str, str]:
    found = dict(TEXTS)
    for one in diagnostics:
        spans = [one.span, *(label.span for label in one.labels)]
        for span in spans:
            if span is not None and span.file not in found:
                from flowmetal.diagnostics import FlowmetalError
                from flowmetal.engine.files import read_file

                try:
                    found[span.file] = read_file(span.file).decode("utf-8", "replace")
                except FlowmetalError:
                    continue
    return found


def usage(code: str, **facts: Any) -> NoReturn:
    """Ends the command with an error of its own catalogue."""
    from flowmetal.diagnostics import FlowmetalError

    raise FlowmetalError(code, **facts)


def emit(document: Any, as_json: bool, text: Callable[[], str]) -> None:
    """One document on standard output, as JSON or as text for people."""
    if as_json:
        say(json.dumps(document, indent=1, default=str))
    else:
        say(text())


def parse_json(text: str, what: str) -> Any:
    """A JSON argument of the command line as a value of the language."""
    from flowmetal.values import JsonError, json_value

    try:
        return json_value(text)
    except JsonError as problem:
        usage("U102", what=what, text=text[:200], problem=str(problem))


def counted(number: int, thing: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def number(option: str, text: str, least: int, most: int = (1 << 63) - 1) -> int:
    """The number of an option; typer would load a library of a tenth of a second for it."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        limit = f"to {most}"
        usage("U103", what=option, found=text[:80], expected=f"a number from {least} {limit}")
    return int(text)


def table(rows: list[list[str]], headers: list[str]) -> str:
    """Columns as wide as they need to be; the last is not padded."""
    widths = [max(len(row[index]) for row in [headers, *rows]) for index in range(len(headers))]
    lines = []
    for row in [headers, *rows]:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)
