"""`flowvm eval`: evaluates forms, from the command line, a file or standard input, and prints what comes of them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flowmetal.cli import common, forms
from flowmetal.cli.options import Debug

#: Defaults of --fuel and --heap: a program that uses all of either takes a few seconds.
FUEL = 5_000_000
HEAP = 1_000_000

#: Nested calls, seconds, and characters of a printed value: what one program of --jsonl may use besides.
FRAMES = 200_000
SECONDS = 4.0
CHARACTERS = 1 << 18


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("eval")(evaluate)


def evaluate(
    file: Annotated[str | None, typer.Argument(help="A file of forms; - reads standard input.")] = None,
    expression: Annotated[list[str] | None, typer.Option("--expr", "-e", help="Forms; repeat for more.")] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help='A program a line: {"src": ...} in, {"value": ...} out.')
    ] = False,
    fuel: Annotated[str, typer.Option(help="Calls and loop turns a form may take; 0: any number.")] = "0",
    heap: Annotated[str, typer.Option(help="Objects a form may hold.")] = "4000000",
    debug: Debug = False,
) -> None:
    """Evaluates forms in order and prints the value of the last one.  Example: flowvm eval -e '(+ 1 2)'"""
    from flowmetal.engine.session import Bounds

    calls, objects = common.number("--fuel", fuel, 0), common.number("--heap", heap, 1000)
    if jsonl:
        if file is not None or expression:
            common.usage(
                "U103", what="--jsonl", found=file or "-e", expected="alone: the programs come from standard input"
            )
        bounds = Bounds(calls or FUEL, min(objects, HEAP), FRAMES, SECONDS, CHARACTERS, 300_000)
        forms.limit_memory()
        raise typer.Exit(forms.evaluate_lines(sys.stdin.buffer, sys.stdout.buffer, bounds))
    if file is None and not expression:
        common.usage("U114")
    if file is not None and expression:
        common.usage("U103", what="eval", found=file, expected="-e FORMS, or a file, or - for standard input")
    free = forms.free_bounds(calls, objects)
    if file is not None:
        raise typer.Exit(forms.evaluate_file(file, free))
    raise typer.Exit(forms.evaluate_text("\n".join(expression or ()), "<expr>", free))
