"""What `flowvm run` does: one program, once, over a store in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
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
    services = Services()
    try:
        ended = run_in_memory(data, called, arguments, log=tell, serve=services.serve)
    finally:
        services.stop()
    if ended.error is None:
        if as_json:
            typer.echo(json.dumps({"status": "done", "result": to_python(ended.value)}))
        else:
            typer.echo(print_string(ended.value))
        return common.OK
    if as_json:
        typer.echo(json.dumps({"status": ended.status, "error": to_python(ended.error)}))
    else:
        typer.echo(f"{ended.status}: {print_string(ended.error.kind)} {ended.error.message}", err=True)
        if ended.trace_text():
            typer.echo(ended.trace_text(), err=True)
    return common.PROGRAM_FAILED


def tell(line: str) -> None:
    """What the program logs goes to standard error, so that standard output is the result alone."""
    print(line, file=sys.stderr, flush=True)


class Services:
    """Connectors that a program turned out to need, started when it first asks."""

    def __init__(self) -> None:
        self._stops: list[Callable[[], object]] = []

    def serve(self, store: Any, effect: str) -> bool:
        """Starts what serves an effect; False where nothing here does."""
        if effect != "http/request":
            return False
        from flowmetal.cli.settings import read_settings
        from flowmetal.connectors.http_request import HttpRequestConnector

        connector = HttpRequestConnector(store, read_settings(None).http)
        connector.start()
        self._stops.append(connector.stop)
        return True

    def stop(self) -> None:
        """Stops what was started."""
        for stop in self._stops:
            stop()
