"""`flowvm`: runs programs, serves a store, and looks at and steers processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowmetal.cli import common, evaluating, keeping, mailboxes, prompting, queueing, schedules, steering, storing
from flowmetal.cli.opening import DEFAULT_STORE, find_in_store, find_pid, is_url, open_client, open_folder
from flowmetal.cli.options import Debug, Json, StoreOption
from flowmetal.cli.parameters import run_app

if TYPE_CHECKING:
    from flowmetal.client.base import Client

app = typer.Typer(
    name="flowvm",
    help="Runs Flowmetal programs and looks at them.  Example: flowvm serve --store ./store",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=common.print_version)
    ] = False,
    debug: Debug = False,
) -> None:
    """Runs Flowmetal programs and looks at them.  Example: flowvm serve --store ./store"""


evaluating.register(app)
prompting.register(app)
schedules.register(app)
keeping.register(app)
mailboxes.register(app)
queueing.register(app)
steering.register(app)
storing.register(app)

#: Where the lines of `history` are cut.
HISTORY_COLUMNS = 160

Pid = Annotated[str, typer.Argument(help="Number of the process, or the id it was started with.")]
Attributes = Annotated[
    list[str] | None,
    typer.Option(help="An attribute, as name=value; the value is JSON, or else text.  Repeat for more."),
]
OwnLimits = Annotated[
    list[str] | None,
    typer.Option("--limit", help="A limit of its own and of what it spawns, as fuel=1000000; repeat for more."),
]
Grant = Annotated[
    list[str] | None,
    typer.Option(
        "--grant", "-g", help="What it may perform, as http/request=api.example.com, store, all, none; repeat for more."
    ),
]
Arguments = Annotated[list[str] | None, typer.Option("--arg", "-a", help="An argument, as JSON; repeat for more.")]


# ---- serving and running ------------------------------------------------------------------------------------------


@app.command()
def serve(
    store: StoreOption = DEFAULT_STORE,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings; default: ./flowmetal.toml.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    no_http: Annotated[bool, typer.Option("--no-http", help="Run processes only: no connectors, no server.")] = False,
    debug: Debug = False,
) -> None:
    """Runs the interpreter, the HTTP connectors and the HTTP API on a store, until SIGTERM or Ctrl-C."""
    common.end_on_sigterm()
    from flowmetal.cli.serving import serve_store

    raise typer.Exit(serve_store(store, config, host, port, with_http=not no_http))


@app.command()
def run(
    program: Annotated[Path, typer.Argument(help="An artifact (.fmc), a source file (.fm), or a folder of them.")],
    function: Annotated[str | None, typer.Argument(help="Which function; default: main.")] = None,
    arg: Arguments = None,
    grant: Grant = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Runs a program once in memory and prints its result.  Nothing is kept; for that, `serve` and `start`."""
    from flowmetal.cli.running import run_once

    values = [common.parse_json(text, f"argument {index + 1}") for index, text in enumerate(arg or [])]
    raise typer.Exit(run_once(program, function, values, as_json, grant))


@app.command()
def deploy(
    artifact: Annotated[Path, typer.Argument(help="An artifact (.fmc), a source file (.fm), or a folder of them.")],
    name: Annotated[str | None, typer.Option(help="Its name; default: that of its main module.")] = None,
    store: StoreOption = DEFAULT_STORE,
    grant: Grant = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings; default: ./flowmetal.toml.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Puts a program into a store; new processes of that name run it, and may perform what it is granted."""
    from flowmetal.cli import granting
    from flowmetal.cli.reading import read_program

    built = read_program(artifact)
    common.show_warnings(built.warnings)
    called = name or built.name
    held = granting.of_deployed(built, called, grant, config)
    with open_client(store, create=True) as client:
        found = client.deploy(called, built.data, ("all",) if held is None else held)
    shown = None if held is None else list(held)
    document = {"name": called, "hash": found, "grants": shown, **common.warnings_json(built.warnings)}
    common.emit(document, as_json, lambda: f"{called}  {found[:16]}\n{granting.line(held)}")


@app.command()
def start(
    function: Annotated[str, typer.Argument(help='What to run: "module/function".')],
    arg: Arguments = None,
    id: Annotated[str | None, typer.Option(help="An id: starting it again with the same id changes nothing.")] = None,
    program: Annotated[str | None, typer.Option(help="The deployed name; default: the module.")] = None,
    attribute: Attributes = None,
    store: StoreOption = DEFAULT_STORE,
    wait: Annotated[float | None, typer.Option(help="Wait this many seconds for the result.", min=0)] = None,
    queue: Annotated[str | None, typer.Option(help="The queue that it waits in.")] = None,
    key: Annotated[str | None, typer.Option(help="What limits of keys in the queue go by.")] = None,
    priority: Annotated[int, typer.Option(help="The greater goes first in the queue.", min=-9, max=9)] = 0,
    delay: Annotated[str | None, typer.Option(help="Not before this long, such as 5s, 10m, 2h.")] = None,
    dedup: Annotated[str | None, typer.Option(help="The same key again gives the same process for a while.")] = None,
    limit: OwnLimits = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Starts a process and prints its number."""
    seconds = 0.0 if delay is None else queueing.seconds_of("--delay", delay)
    place: dict[str, Any] = {"queue": queue, "key": key, "priority": priority, "delay": seconds, "dedup": dedup}
    with open_client(store) as client:
        pid = _start(client, function, arg, id, program, attribute, limits=_limits(limit), **place)
        if wait is None:
            common.emit({"pid": pid}, as_json, lambda: str(pid))
            return
        if not as_json:
            typer.echo(f"process {pid}", err=True)
        raise typer.Exit(_show_result(client, pid, wait, as_json))


@app.command()
def call(
    function: Annotated[str, typer.Argument(help='What to run: "module/function".')],
    arg: Arguments = None,
    id: Annotated[str | None, typer.Option(help="An id: the same call again gives the same result.")] = None,
    program: Annotated[str | None, typer.Option(help="The deployed name; default: the module.")] = None,
    attribute: Attributes = None,
    store: StoreOption = DEFAULT_STORE,
    wait: Annotated[float, typer.Option(help="Wait at most this many seconds.", min=0)] = 3600,
    limit: OwnLimits = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Starts a process, waits for it and prints its result; 7 while it runs, 8 if it failed or was cancelled."""
    with open_client(store) as client:
        pid = _start(client, function, arg, id, program, attribute, limits=_limits(limit))
        raise typer.Exit(_show_result(client, pid, wait, as_json))


def _limits(given: list[str] | None) -> dict[str, int] | None:
    found: dict[str, int] = {}
    for text in given or []:
        name, equals, most = text.partition("=")
        if not name or not equals:
            common.usage("U103", what="--limit", found=text[:80], expected="name=number")
        # What a limit may be is said by H513, as for the other ways to start.
        found[name] = common.number(f"--limit {name[:80]}", most.replace("_", ""), 0, 10**19 - 1)
    return found or None


def _start(
    client: Client,
    function: str,
    arg: list[str] | None,
    id: str | None,
    program: str | None,
    attribute: list[str] | None,
    **place: Any,
) -> int:
    from flowmetal.client.where import attribute_of
    from flowmetal.values import to_python

    values = [to_python(common.parse_json(text, f"argument {index + 1}")) for index, text in enumerate(arg or [])]
    for text in attribute or []:
        if not text.partition("=")[0] or "=" not in text:
            common.usage("U103", what="--attribute", found=text[:80], expected="name=value")
    attributes = {name: found[-1] for name, found in map(attribute_of, attribute or [])}
    return client.start(function, *values, program=program, id=id, attributes=attributes or None, **place)


# ---- looking -----------------------------------------------------------------------------------------------------


@app.command()
def ps(
    store: StoreOption = DEFAULT_STORE,
    status: Annotated[list[str] | None, typer.Option(help="Only these: ready, waiting, paused, done, ...")] = None,
    program: Annotated[str | None, typer.Option(help="Only those of the program of this name.")] = None,
    function: Annotated[str | None, typer.Option(help='Only those that run this: "module/function".')] = None,
    waits: Annotated[str | None, typer.Option(help="Only those with this text in what they wait for.")] = None,
    error: Annotated[str | None, typer.Option(help="Only those with this text in their error.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="Only those with this, as name=value.")] = None,
    id_prefix: Annotated[str | None, typer.Option(help="Only those whose id begins so.")] = None,
    parent: Annotated[str | None, typer.Option(help="Only those that this process has spawned.")] = None,
    older: Annotated[str | None, typer.Option(help="Only those started longer ago, as 30s, 5m, 2h, 7d.")] = None,
    younger: Annotated[str | None, typer.Option(help="Only those started since then.")] = None,
    tree: Annotated[str | None, typer.Option(help="Only this process and all that come from it.")] = None,
    after: Annotated[int, typer.Option(help="Only processes beyond this number.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=10_000)] = 100,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Lists processes, by number."""
    from flowmetal.cli.listing import Filters, Listing, list_through

    filters = Filters(
        status or [], program, function, waits, error, attribute or [], id_prefix, parent, older, younger, tree
    )
    with open_client(store) as client:
        raise typer.Exit(list_through(client, Listing(store, filters, after, limit, newest, count, as_json)))


@app.command()
def inspect(
    pid: Annotated[str, typer.Argument(help="Number or id of the process; PID@N for its state at step N.")],
    store: StoreOption = DEFAULT_STORE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Shows the state of a process: status, what it waits for, frames with source line and locals."""
    from flowmetal.inspect import inspect_process

    name, _, step = pid.partition("@")
    if step and not step.isdigit():
        common.usage("U103", what="the step", found=step, expected="a number, as in 7@12")
    with open_folder(store) as opened:
        number = find_in_store(opened, name)
        last = opened.process(number)
        count = last.sequence if last is not None else 0
        state = inspect_process(opened, number, at=int(step) if step else None)
        if state is None or (step and int(step) >= count):
            steps = f"steps 0 to {count - 1}" if count else "no steps yet"
            common.usage("U107", pid=number, step=step, steps=steps)
    common.emit(state.to_json(), as_json, state.to_text)


@app.command()
def history(
    pid: Pid,
    store: StoreOption = DEFAULT_STORE,
    start: Annotated[int, typer.Option(help="From this step on.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=100_000)] = 1000,
    full: Annotated[bool, typer.Option("--full", help="Whole lines, however long; without it they are cut.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Shows the log of a process, an event a line."""
    from flowmetal.cli.looking import history_of
    from flowmetal.inspect import history as read_history

    columns = None if full or as_json else HISTORY_COLUMNS
    if is_url(store):
        with open_client(store) as client:
            found = history_of(client, find_pid(client, pid), start, limit)
    else:
        with open_folder(store) as opened:
            found = read_history(opened, find_in_store(opened, pid), start, limit, columns)
    if not found.lines and not as_json:
        typer.echo(f"no events from step {start} on", err=True)
        return
    common.emit(found.to_json(), as_json, lambda: found.to_text(columns))


@app.command()
def result(
    pid: Pid,
    store: StoreOption = DEFAULT_STORE,
    wait: Annotated[float, typer.Option(help="Wait this many seconds for it.", min=0)] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Prints the result of a process; 7 while it runs, 8 if it failed or was cancelled."""
    with open_client(store) as client:
        raise typer.Exit(_show_result(client, find_pid(client, pid), wait, as_json))


def _show_result(client: Client, pid: int, wait: float, as_json: bool) -> int:
    import json

    from flowmetal.cli.looking import nobody_serves, outcome_of

    outcome, status = outcome_of(client, pid, wait)
    if outcome is None:
        info = client.get(pid)
        if status == "paused":
            common.usage("U110", pid=pid, reason=info.error or "somebody asked for it")
        if not nobody_serves(client):
            common.usage("U105", pid=pid, status=status, waits=info.error or info.waits or "it runs")
        common.usage("U115", pid=pid, status=status, store=client.url)
    if outcome.status == "done":
        document: dict[str, Any] = {"pid": pid, "status": "done", "result": outcome.result}
        common.emit(document, as_json, lambda: json.dumps(outcome.result, indent=1, ensure_ascii=False))
        return common.OK
    error = outcome.error or {"kind": "flowmetal/cancelled", "message": "the process was cancelled", "data": None}
    if as_json:
        typer.echo(json.dumps({"pid": pid, "status": outcome.status, "error": error}, indent=1))
        return common.PROGRAM_FAILED
    if outcome.status == "cancelled":
        common.usage("H509", pid=pid, reason=error["data"])
    common.usage("H508", pid=pid, kind=error["kind"], message=error["message"])


@app.command()
def programs(store: StoreOption = DEFAULT_STORE, as_json: Json = False, debug: Debug = False) -> None:
    """Lists deployed programs."""
    with open_client(store) as client:
        found = client.programs()
    rows = [[name, hash[:16]] for name, hash in sorted(found.items())]
    common.emit({"programs": found}, as_json, lambda: common.table(rows, ["NAME", "ARTIFACT"]))


@app.command()
def version(as_json: Json = False, debug: Debug = False) -> None:
    """Prints the versions of Flowmetal and of its formats."""
    import flowmetal
    from flowmetal.bytecode.opcodes import MACHINE_VERSION
    from flowmetal.vm.image import IMAGE_VERSION

    document = {
        "flowmetal": flowmetal.__version__,
        "machine": MACHINE_VERSION,
        "image": IMAGE_VERSION,
        "python": sys.version.split()[0],
    }
    common.emit(document, as_json, lambda: "\n".join(f"{key} {value}" for key, value in document.items()))


def main() -> None:
    """The command `flowvm`."""
    run_app(app)


if __name__ == "__main__":
    main()
