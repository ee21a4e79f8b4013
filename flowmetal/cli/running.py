"""What `flowvm run` does: one program, once, over a store in memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from flowmetal.cli import common
from flowmetal.cli.flowc import read_bytes
from flowmetal.engine.build import artifact_name, build_artifact
from flowmetal.engine.run import run_once as run_in_memory
from flowmetal.values import print_string, to_python


def run_once(program: Path, function: str | None, arguments: list[Any], as_json: bool) -> int:
    """Runs `function` of a program and prints its result; the exit code."""
    data = read_bytes(program)
    if program.suffix == ".fm":
        built = build_artifact({str(program): data})
        common.show_diagnostics(built.warnings)
        data = built.data
    name = function or "main"
    called = name if "/" in name else f"{artifact_name(data)}/{name}"
    ended = run_in_memory(data, called, arguments, log=lambda line: print(line, file=sys.stderr, flush=True))
    if ended.status == "done":
        if as_json:
            typer.echo(json.dumps({"status": "done", "result": to_python(ended.value)}))
        else:
            typer.echo(print_string(ended.value))
        return common.OK
    error = ended.error
    if as_json:
        typer.echo(json.dumps({"status": ended.status, "error": to_python(error)}))
    else:
        typer.echo(f"{ended.status}: {print_string(error.kind)} {error.message}\n{ended.trace_text()}", err=True)
    return common.PROGRAM_FAILED
