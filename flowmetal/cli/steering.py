"""The commands that do something to running processes: to those that are named, or to all that filters select."""

from __future__ import annotations

import inspect
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.listing import Filters, rows_of
from flowmetal.cli.opening import DEFAULT_STORE, STORE_VARIABLE, find_pid, open_client
from flowmetal.dataclass import dataclass, replace

if TYPE_CHECKING:
    from flowmetal.client.base import Client
    from flowmetal.client.steering import Order, Report
    from flowmetal.client.where import Where

#: Processes that a --dry-run shows, and refused ones that a report names.
SHOWN = 20
NAMED = 10


@dataclass(frozen=True, slots=True)
class Steering:
    """One of the commands."""

    action: str
    help: str
    said: str  # of one process, what has been done
    arguments: tuple[str, ...] = ()  # what stands behind the processes
    options: tuple[str, ...] = ()  # of OWN_OPTIONS


COMMANDS = (
    Steering(
        "cancel", "Asks processes to end: their `finally` blocks run, then they are cancelled.", "asked to end", (),
        ("reason",),
    ),
    Steering(
        "kill", "Ends processes at once: nothing of them runs any more, no `finally` block either.", "killed", (),
        ("reason",),
    ),
    Steering("send", "Sends a message to processes.", "got the message", ("MESSAGE",), ("edn",)),
    Steering("pause", "Lets processes stand still: what arrives is kept.", "paused"),
    Steering(
        "resume", "Lets paused processes go on; what has used up its retries is tried again.", "goes on",
    ),
    Steering(
        "retry", "Tries requests again that have used up their retries; a paused process goes on.", "tries again", (),
        ("request",),
    ),
    Steering(
        "answer",
        "Answers a request of a process by hand: REQUEST is its number, its effect, or `paused` for the one whose "
        "retries are used up.",
        "has its answer",
        ("REQUEST", "VALUE"),
        ("edn",),
    ),
    Steering(
        "fail",
        "Answers a request of a process with an error, which the program can catch; REQUEST as for `answer`.",
        "has its answer",
        ("REQUEST", "KIND", "MESSAGE"),
        ("data",),
    ),
    Steering(
        "restart",
        "Starts ended processes again, as new ones with the same function and arguments.",
        "started again",
        (),
        ("latest", "id"),
    ),
)  # fmt: skip

#: Options of single commands: their type, what typer is told, and the value they have where they are left out.
OWN_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "reason": (str | None, typer.Option(help="Why; kept in the log."), None),
    "request": (str | None, typer.Option(help="Only the request of this number; without it, all of them."), None),
    "data": (str | None, typer.Option(help="Data of the error, as JSON."), None),
    "latest": (bool, typer.Option("--latest", help="Run what is deployed under their names now."), False),
    "edn": (bool, typer.Option("--edn", help="What is sent is data of the language, and not JSON."), False),
    "id": (str | None, typer.Option(help="Id of the new process, where one is restarted."), None),
}

#: The filters, as those of `ps`, and what all of the commands take.
FILTER_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "status": (list[str] | None, typer.Option(help="All of these: ready, waiting, paused, done, ..."), None),
    "program": (str | None, typer.Option(help="All of the program of this name."), None),
    "function": (str | None, typer.Option(help='All that run this: "module/function".'), None),
    "waits": (str | None, typer.Option(help="All with this text in what they wait for."), None),
    "error": (str | None, typer.Option(help="All with this text in their error."), None),
    "attribute": (
        list[str] | None,
        typer.Option(help="All with this attribute, as name=value; repeat for more."),
        None,
    ),
    "id_prefix": (str | None, typer.Option(help="All whose id begins so."), None),
    "parent": (str | None, typer.Option(help="All that were spawned by the process of this number."), None),
    "tree": (str | None, typer.Option(help="The process of this number and all that come from it."), None),
    "older": (str | None, typer.Option(help="All that were started longer ago, as 30s, 5m, 2h, 7d."), None),
    "younger": (str | None, typer.Option(help="All that were started since then."), None),
}
SHARED_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "everything": (bool, typer.Option("--all", help="All processes for which it makes sense."), False),
    "dry_run": (bool, typer.Option("--dry-run", "-n", help="Only count and list what would be steered."), False),
    "yes": (bool, typer.Option("--yes", "-y", help="Do not ask before many are steered."), False),
    "by": (str | None, typer.Option("--as", help="Who does it, for the log; default: your user name."), None),
    "operation": (
        str | None,
        typer.Option(help="A name: the same again goes on where it stopped, and does nothing twice."),
        None,
    ),
    "store": (
        str,
        typer.Option("--store", "-s", envvar=STORE_VARIABLE, help="A folder, or the URL of a `flowvm serve`."),
        DEFAULT_STORE,
    ),
    "as_json": (bool, typer.Option("--json", help="Write JSON."), False),
    "debug": (bool, typer.Option("--debug", help="Show Python tracebacks of internal errors.", hidden=True), False),
}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for one in COMMANDS:
        app.command(one.action, help=one.help)(_function(one))


def _function(one: Steering) -> Any:
    """The function of a command, with a signature that typer makes its options of."""

    def run(**given: Any) -> None:
        raise typer.Exit(steer(one, given))

    metavar = " ".join(("[PID]...", *one.arguments))
    what = "Numbers or ids of processes" + (", and behind them what is sent" if one.arguments else "")
    options: dict[str, tuple[Any, Any, Any]] = {
        "words": (list[str] | None, typer.Argument(metavar=metavar, help=what + ".", show_default=False), None),
        **{name: OWN_OPTIONS[name] for name in one.options},
        **FILTER_OPTIONS,
        **SHARED_OPTIONS,
    }
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told])
            for name, (kind, told, default) in options.items()
        ]
    )
    run.__annotations__ = {name: Annotated[kind, told] for name, (kind, told, _) in options.items()}
    run.__name__ = one.action
    return run


def steer(one: Steering, given: dict[str, Any]) -> int:
    """Does what a command line asks for."""
    words = list(given["words"] or [])
    count = len(one.arguments)
    if len(words) < count:
        found = " ".join(words)[:80]
        common.usage(
            "U103",
            what="what is to be done",
            found=found,
            expected=f"`{one.action} PID " + " ".join(one.arguments) + "`",
        )
    names, rest = words[: len(words) - count], words[len(words) - count :]
    filters = Filters(given["status"] or [], attribute=given["attribute"] or [])
    for name in FILTER_OPTIONS:
        if name not in ("status", "attribute"):
            setattr(filters, name, given[name])
    where = filters.where()
    selected = given["everything"] or not where.is_everything
    if names and selected:
        common.usage("U119", command=one.action)
    if not names and not selected:
        common.usage("U117", command=one.action)
    order = _order(one, given, rest, where)
    with open_client(given["store"]) as client:
        pids = tuple(dict.fromkeys(find_pid(client, name) for name in names)) if names else None
        if pids is not None:
            order = replace(order, where=filters.where(pids))
        if given["dry_run"]:
            return _show_dry_run(client, order, given["as_json"])
        if pids is None and not given["yes"]:
            _confirm(client, order)
        return _do(client, one, order, given)


def _order(one: Steering, given: dict[str, Any], rest: list[str], where: Where) -> Order:
    from flowmetal.client.plain import EDN
    from flowmetal.client.steering import Order, user_name
    from flowmetal.values import to_python

    value: Any = None
    request: int | str | None = None
    kind = message = ""
    if one.action in ("answer", "fail"):
        request = _request(rest[0])
    elif given.get("request"):
        request = common.number("--request", given["request"], 0) or None
    if one.action in ("send", "answer"):
        what = "the message" if one.action == "send" else "the answer"
        value = {EDN: rest[-1]} if given["edn"] else to_python(common.parse_json(rest[-1], what))
    elif one.action == "fail":
        kind, message = rest[1].removeprefix(":"), rest[2]
        value = None if given["data"] is None else to_python(common.parse_json(given["data"], "--data"))
    by = "" if one.action in ("send", "restart") else user_name() if given["by"] is None else given["by"]
    return Order(
        one.action, where, value=value, request=request, kind=kind, message=message, reason=given.get("reason"), by=by,
        latest=bool(given.get("latest")), id=given.get("id"),
    )  # fmt: skip


def _request(text: str) -> int | str | None:
    if text == "paused":
        return None
    if text.isascii() and text.isdigit():
        return common.number("REQUEST", text, 1, (1 << 40) - 1)
    return text


def _show_dry_run(client: Client, order: Order, as_json: bool) -> int:
    where = order.selected()
    number = client.count(where)
    if as_json:
        found = client.list(limit=100, where=where)
        common.emit({"action": order.action, "count": number, "processes": [asdict(one) for one in found]}, True, str)
        return common.OK
    common.say(f"{order.action} would steer {_processes(number)}")
    if number:
        common.say(rows_of(client.list(limit=SHOWN, where=where)))
        if number > SHOWN:
            common.say(f"and {number - SHOWN} more")
    return common.OK


def _confirm(client: Client, order: Order) -> None:
    number = client.count(order.selected())
    if not number:
        return
    if not sys.stdin.isatty():
        common.usage("U116", command=order.action, number=number)
    sys.stderr.write(f"{order.action} {_processes(number)}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        common.say("nothing was done", error=True)
        raise typer.Exit(common.FAILED)


def _do(client: Client, one: Steering, order: Order, given: dict[str, Any]) -> int:
    from flowmetal.client.base import steer as steer_with

    last: list[Report] = []

    def told(report: Report) -> None:
        last[:] = [report]

    try:
        report = steer_with(client, order, name=given["operation"] or "", told=told)
    except KeyboardInterrupt:
        if last:
            common.say(f"stopped after process {last[0].after}: {last[0].done} done", error=True)
        raise
    pids = order.where.pids
    if pids is not None and len(pids) == 1 and not given["operation"]:
        return _show_one(client, one, pids[0], report, given["as_json"])
    common.emit(asdict(report), given["as_json"], lambda: _text(report))
    return common.FAILED if report.refused else common.OK


def _show_one(client: Client, one: Steering, pid: int, report: Report, as_json: bool) -> int:
    from flowmetal.client.steering import REASONS

    if not report.done:
        reason = report.refusals[0][1] if report.refusals else "unknown"
        info = client.get(pid)  # NotFound where there is none
        if reason == "ended":
            common.usage("U106", pid=pid, status=info.status)
        code = "H515" if one.action == "restart" else "H516"
        common.usage(code, pid=pid, reason=REASONS.get(reason, reason))
    if report.started:
        new = report.started[0][1]
        common.emit({"pid": new, "restarted_from": pid}, as_json, lambda: str(new))
        return common.OK
    posted = "message" if one.action == "send" else one.action
    common.emit({"pid": pid, "posted": posted}, as_json, lambda: f"process {pid} {one.said}")
    return common.OK


def _text(report: Report) -> str:
    from flowmetal.client.steering import REASONS

    lines = [f"{report.action}: {_processes(report.done)} done"]
    for reason, number in sorted(report.refused.items()):
        pids = [str(pid) for pid, why in report.refusals if why == reason][:NAMED]
        more = " ..." if number > len(pids) else ""
        lines.append(f"refused {_processes(number)} ({' '.join(pids)}{more}): {REASONS.get(reason, reason)}")
    lines += [f"{old} -> {new}" for old, new in report.started[:SHOWN]]
    if len(report.started) > SHOWN:
        lines.append(f"and {report.done - SHOWN} more")
    return "\n".join(lines)


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
