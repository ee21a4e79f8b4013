"""Where the commands begin.

`flowvm run`, `flowvm eval`, `flowvm ps` and `flowc check` of a file are what is typed most, and what they cost is
mostly Python's imports.  Where their arguments are plain they start here, without the parser of arguments; all else
goes the common way.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from flowmetal.cli import common

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

#: Objects made until Python looks for garbage among them: values cannot change, so cycles are rare among them.
GARBAGE_AT = 50_000


class Run:
    """The arguments of a `flowvm run`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arguments: list[str] = []
        self.as_json = False
        self.grants: list[str] | None = None


def flowvm() -> None:
    """The command `flowvm`."""
    gc.disable()  # what is imported stays: looking through it for garbage would take a tenth of the time
    arguments = sys.argv[1:]
    asked = plain_run(arguments)
    if asked is not None:
        _do(lambda: _run(asked))
    evaluated = plain_eval(arguments)
    if evaluated is not None:
        _do(lambda: _evaluate(*evaluated))
    if arguments[:1] == ["ps"] and not _completes():
        _list(arguments)
    from flowmetal.cli.flowvm import main

    _imported()
    main()


def flowc() -> None:
    """The command `flowc`."""
    gc.disable()
    checked = plain_check(sys.argv[1:])
    if checked is not None:
        _do(lambda: _check(checked))
    from flowmetal.cli.flowc import main

    _imported()
    main()


def _do(work: Callable[[], int]) -> NoReturn:
    """Ends with what `work` gives, at once."""
    try:
        common.guarded(work)
    except SystemExit as end:
        # Everything is written and every thread has ended; taking all modules apart would take a tenth of the time.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else common.FAILED)


def _imported() -> None:
    gc.freeze()
    gc.set_threshold(GARBAGE_AT, 20, 20)
    gc.enable()


def plain_run(arguments: list[str]) -> Run | None:
    """What `run FILE [FUNCTION] [--arg JSON]... [--grant GRANT]... [--json]` asks for; None for all else."""
    if arguments[:1] != ["run"] or _completes():
        return None
    asked = Run()
    waiting = list(reversed(arguments[1:]))
    while waiting:
        one = waiting.pop()
        if one in ("--arg", "-a") and waiting:
            asked.arguments.append(waiting.pop())
        elif one in ("--grant", "-g") and waiting:
            asked.grants = [*(asked.grants or ()), waiting.pop()]
        elif one == "--json":
            asked.as_json = True
        elif one.startswith("-") or not one:
            return None
        else:
            asked.names.append(one)
    return asked if 1 <= len(asked.names) <= 2 and not os.path.isdir(asked.names[0]) else None


def plain_eval(arguments: list[str]) -> tuple[str, bool] | None:
    """What `eval FILE`, `eval -` and `eval -e FORMS` ask for: a text, and whether it is a file; None for all else."""
    if arguments[:1] != ["eval"] or _completes():
        return None
    if len(arguments) == 2 and (arguments[1] == "-" or arguments[1][:1] not in ("", "-")):
        return arguments[1], True
    return (arguments[2], False) if len(arguments) == 3 and arguments[1] in ("-e", "--expr") else None


def plain_check(arguments: list[str]) -> list[str] | None:
    """The files of a `check FILE...`; None for whatever is not just that."""
    files = arguments[1:]
    if arguments[:1] != ["check"] or not files or _completes():
        return None
    if any((one[:1] in ("", "-") and one != "-") or os.path.isdir(one) for one in files):
        return None
    return files


def _completes() -> bool:
    """Whether a shell asks for completions."""
    return any(name.endswith("_COMPLETE") for name in os.environ)


def _list(arguments: list[str]) -> None:
    """`ps` of a folder; returns where the parser of arguments has to look at it."""
    from flowmetal.cli.listing import list_folder, plain_ps

    asked = plain_ps(arguments)
    if asked is not None:
        _do(lambda: list_folder(asked))


def _evaluate(text: str, is_file: bool) -> int:
    from flowmetal.cli import forms

    bounds = forms.free_bounds()
    _imported()
    return forms.evaluate_file(text, bounds) if is_file else forms.evaluate_text(text, "<expr>", bounds)


def _check(files: list[str]) -> int:
    from flowmetal.cli.checking import check_files

    gc.freeze()  # and no more: a compilation makes little garbage
    gc.enable()
    gc.set_threshold(50_000, 20, 20)
    return check_files(files, strict=False, as_json=False)


def _run(asked: Run) -> int:
    from flowmetal.cli.running import run_once

    _imported()
    values = [common.parse_json(text, f"argument {index + 1}") for index, text in enumerate(asked.arguments)]
    program, function = asked.names[0], asked.names[1] if len(asked.names) > 1 else None
    return run_once(program, function, values, asked.as_json, asked.grants)
