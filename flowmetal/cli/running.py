"""What `flowvm run` does: one program, once, over a store in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.cli import common, granting
from flowmetal.cli.reading import read_program
from flowmetal.client.exports import check_function
from flowmetal.dataclass import replace
from flowmetal.engine.grants import Grants
from flowmetal.engine.run import run_once as run_in_memory
from flowmetal.values import ErrorValue, LanguageError, print_string, to_python

if TYPE_CHECKING:
    import json

    from flowmetal.connectors.base import Connector
    from flowmetal.connectors.secrets import Secrets
else:
    json = lazily.module("json")


#: Every command, as `commands` of [shell] has it.
ALL = "*"

#: Characters of an error's data, where it is printed.
DATA_CHARACTERS = 2000


def run_once(
    program: str | PathLike[str],
    function: str | None,
    arguments: list[Any],
    as_json: bool,
    grants: list[str] | None = None,
) -> int:
    """Runs `function` of a program and prints its result; the exit code."""
    built = read_program(program)
    common.show_warnings(built.warnings)
    more = common.warnings_json(built.warnings)
    name = function or "main"
    called = name if "/" in name else f"{built.name}/{name}"
    artifact = decode_artifact(built.data)
    check_function(artifact, called, len(arguments))
    held = granting.of_run(built, artifact, grants)
    services = Services(commands_of(held, built.own, given=grants is not None))
    try:
        ended = run_in_memory(built.data, called, arguments, log=tell, serve=services.serve, grants=held)
    finally:
        services.stop()
    if ended.error is None:
        if as_json:
            common.say(json.dumps({"status": "done", "result": _plain(ended.value), **more}))
        else:
            common.say(print_string(ended.value))
        return common.OK
    if as_json:
        common.say(json.dumps({"status": ended.status, "error": _plain_error(ended.error), **more}))
    else:
        common.say(f"{ended.status}: {print_string(ended.error.kind)} {ended.error.message}", error=True)
        if ended.error.data is not None:
            common.say(f"  data: {print_string(ended.error.data, limit=DATA_CHARACTERS)}", error=True)
        if ended.trace_text():
            common.say(ended.trace_text(), error=True)
    return common.PROGRAM_FAILED


def commands_of(held: tuple[str, ...] | None, own: bool, *, given: bool) -> tuple[str, ...] | None:
    """The commands that a run may use: all, those that its grants name, or None, what the settings say.

    Grants that came with the command decide, and for a person's own source what it names is granted.
    """
    if not own and not given:
        return None
    narrowing: Any = True if held is None else Grants(held).narrowing("shell/run")
    if narrowing is None:
        return ()
    return (ALL,) if narrowing is True else tuple(str(name) for name in narrowing if name != ALL)


def _plain(value: Any) -> Any:
    """The result as JSON can carry it; H510 for a function, say, which only prints."""
    try:
        return to_python(value)
    except LanguageError as error:
        common.usage("H510", what="result", reason=error.error.message)


def _plain_error(error: ErrorValue) -> dict[str, Any]:
    """The error as JSON can carry it; data that it cannot carry is printed."""
    try:
        data = to_python(error.data)
    except LanguageError:
        data = print_string(error.data, limit=DATA_CHARACTERS)
    return {"kind": error.kind.text, "message": error.message, "data": data}


def tell(line: str) -> None:
    """What the program logs goes to standard error, so that standard output is the result alone."""
    print(line, file=sys.stderr, flush=True)


class Services:
    """Connectors that a program turned out to need, started when it first asks."""

    def __init__(self, commands: tuple[str, ...] | None) -> None:
        """`commands`: what may run, see commands_of; None: what the settings say."""
        self._commands = commands
        self._stops: list[Callable[[], object]] = []
        self._secrets: Secrets | None = None  # one for all, so that what one connector read no other lets through

    def serve(self, store: Any, effect: str) -> bool:
        """Starts what serves an effect; False where nothing here does."""
        if effect not in ("http/request", "shell/run"):
            return False
        from flowmetal.cli.settings import read_settings

        settings = read_settings(None)
        if self._secrets is None:
            from flowmetal.connectors.secrets import Secrets

            self._secrets = Secrets(settings.secrets)
            self._secrets.know()
        connector: Connector
        if effect == "http/request":
            from flowmetal.connectors.http_request import HttpRequestConnector

            connector = HttpRequestConnector(store, settings.http, secrets=self._secrets)
        else:
            from flowmetal.connectors.shell import ShellConnector

            shell = settings.shell
            if self._commands == (ALL,):
                shell = replace(shell, commands=(ALL,), directories=(os.getcwd(), "/"), environment=(ALL,))
            elif self._commands is not None:
                shell = replace(shell, commands=self._commands, directories=(os.getcwd(),))
            if not shell.commands:
                return False
            connector = ShellConnector(store, shell, secrets=self._secrets)
        connector.start()
        self._stops.append(connector.stop)
        return True

    def stop(self) -> None:
        """Stops what was started."""
        for stop in self._stops:
            stop()
