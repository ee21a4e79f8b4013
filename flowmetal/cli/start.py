"""Where the commands begin.

`flowvm run` of a file is what is typed most while a program is written, and what it costs is mostly Python's imports.
Where its arguments are plain it starts here, without the parser of arguments; all else goes the common way.
"""

from __future__ import annotations

import gc
import os
import sys

from flowmetal.cli import common


class Run:
    """The arguments of a `flowvm run`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arguments: list[str] = []
        self.as_json = False


def flowvm() -> None:
    """The command `flowvm`."""
    asked = plain_run(sys.argv[1:])
    if asked is not None:
        gc.disable()  # what is imported stays: looking through it for garbage would take a tenth of the time
        try:
            common.guarded(lambda: _run(asked))
        except SystemExit as end:
            # Everything is written and every thread has ended; taking all modules apart would take a tenth of the time.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else common.FAILED)
    from flowmetal.cli.flowvm import main

    main()


def flowc() -> None:
    """The command `flowc`."""
    from flowmetal.cli.flowc import main

    main()


def plain_run(arguments: list[str]) -> Run | None:
    """What `run FILE [FUNCTION] [--arg JSON]... [--json]` asks for; None for whatever is not just that."""
    if arguments[:1] != ["run"] or any(name.endswith("_COMPLETE") for name in os.environ):
        return None
    asked = Run()
    waiting = list(reversed(arguments[1:]))
    while waiting:
        one = waiting.pop()
        if one in ("--arg", "-a") and waiting:
            asked.arguments.append(waiting.pop())
        elif one == "--json":
            asked.as_json = True
        elif one.startswith("-") or not one:
            return None
        else:
            asked.names.append(one)
    return asked if 1 <= len(asked.names) <= 2 and not os.path.isdir(asked.names[0]) else None


def _run(asked: Run) -> int:
    from flowmetal.cli.running import run_once

    gc.freeze()
    gc.enable()
    values = [common.parse_json(text, f"argument {index + 1}") for index, text in enumerate(asked.arguments)]
    program, function = asked.names[0], asked.names[1] if len(asked.names) > 1 else None
    return run_once(program, function, values, asked.as_json)
