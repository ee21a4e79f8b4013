"""`flowvm schedule`: makes schedules, shows them and their runs, pauses and resumes them, runs one now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.named import all_of, check_action, check_named
from flowmetal.cli.opening import DEFAULT_STORE, open_client
from flowmetal.cli.options import Debug, Json, StoreOption

ACTIONS = ("list", "put", "show", "next", "pause", "resume", "run", "delete")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("schedule")(schedule)


def schedule(
    action: Annotated[str, typer.Argument(help="What to do: list, put, show, next, pause, resume, run or delete.")],
    name: Annotated[str | None, typer.Argument(help="The schedule's name.")] = None,
    cron: Annotated[str | None, typer.Option(help="When: minute, hour, day, month, day of the week.")] = None,
    zone: Annotated[str | None, typer.Option(help="The time zone of --cron; usually UTC.")] = None,
    every: Annotated[str | None, typer.Option(help="When: at intervals, such as 30s, 5m, 12h.")] = None,
    anchor: Annotated[str | None, typer.Option(help="An instant that --every counts from; usually 1970.")] = None,
    at: Annotated[str | None, typer.Option(help="When: once, such as 2026-12-24T18:00:00Z.")] = None,
    start: Annotated[str | None, typer.Option(help="No run before this instant.")] = None,
    end: Annotated[str | None, typer.Option(help="No run after this instant.")] = None,
    jitter: Annotated[str | None, typer.Option(help="Each run begins later by less than this.")] = None,
    program: Annotated[str | None, typer.Option(help="What: the deployed name.")] = None,
    function: Annotated[str | None, typer.Option(help="The function; usually main.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="An argument, as JSON; repeat it for more.")] = None,
    pass_run: Annotated[bool, typer.Option("--pass-run", help="The run is one more argument.")] = False,
    overlap: Annotated[str | None, typer.Option(help="While the last one runs: skip, queue, cancel or allow.")] = None,
    catch_up: Annotated[str | None, typer.Option(help="Of missed runs: none, one or all.")] = None,
    catch_up_max: Annotated[str | None, typer.Option(help="At most this many of all; usually 100.")] = None,
    grace: Annotated[str | None, typer.Option(help="A run that is later than this was missed; usually 60s.")] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Put it paused.")] = False,
    count: Annotated[str | None, typer.Option("--next", help="How many of the next runs are shown; usually 5.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run now, whatever runs.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Makes, shows and runs schedules.  Example: flowvm schedule put report --cron "0 3 * * *" --program reports"""
    from flowmetal.values import to_python

    check_action(action, ACTIONS)
    texts = {
        "cron": cron, "zone": zone, "every": every, "anchor": anchor, "at": at, "start": start, "end": end,
        "jitter": jitter, "program": program, "function": function, "overlap": overlap, "catch-up": catch_up,
        "grace": grace,
    }  # fmt: skip
    options: dict[str, Any] = {option: text for option, text in texts.items() if text is not None}
    if arg is not None:
        options["args"] = [to_python(common.parse_json(text, f"argument {n}")) for n, text in enumerate(arg, 1)]
    if catch_up_max is not None:
        options["catch-up-max"] = common.number("--catch-up-max", catch_up_max, 1, 1000)
    options |= {option: True for option, given in (("pass-run", pass_run), ("paused", paused)) if given}
    wanted = {**({"next": count} if count is not None else {}), **({"force": True} if force else {})}
    for given, actions in (
        *((one, ("put",)) for one in options),
        *((one, ("next", "show") if one == "next" else ("run",)) for one in wanted),
    ):
        if action not in actions:
            option = {"args": "arg"}.get(given, given)
            common.usage("U135", option=option, action=action, belongs=" and ".join(actions))
    check_named(action, name, "U136", "schedule")
    shown_next = common.number("--next", count, 1, 1000) if count is not None else 5
    with open_client(store) as client:
        if action == "list":
            found = all_of(client, "schedule/list")
            common.emit({"schedules": found}, as_json, lambda: _table(found))
        elif action == "next":
            runs = client.operate("schedule/next", {"name": name, "count": shown_next})
            common.emit({"name": name, "next": runs}, as_json, lambda: "\n".join(runs) or "no further runs")
        elif action == "run":
            ran = client.operate("schedule/run", {"name": name, "force": force})
            common.emit(ran, as_json, lambda: _said(ran))
        elif action == "put":
            made = client.operate("schedule/put", {"name": name, **options})
            common.emit(made, as_json, lambda: f"schedule {name}: next run {made['next'] or 'none'}")
        elif action == "show":
            shown = client.operate("schedule/show", name)
            coming = client.operate("schedule/next", {"name": name, "count": shown_next})
            common.emit({**shown, "coming": coming}, as_json, lambda: _text(shown, coming))
        else:
            shown = client.operate(f"schedule/{action}", name)
            done = {"pause": "paused", "resume": "goes on", "delete": "removed"}[action]
            common.emit(shown, as_json, lambda: f"schedule {name} {done}")


def _when(one: dict[str, Any]) -> str:
    if "cron" in one:
        return f"{one['cron']} {one.get('zone', '')}"
    return f"every {one['every']}" if "every" in one else f"at {one.get('at', '?')}"


def _table(found: list[dict[str, Any]]) -> str:
    rows = []
    for one in found:
        last = one["last"]
        ran = "-" if last is None else f"{last['planned']} {last['outcome']}"
        state = "paused" if one["paused"] else one["next"] or "over"
        rows.append([one["name"], _when(one), state, str(one["runs"]), ran])
    return common.table(rows, ["NAME", "WHEN", "NEXT", "RUNS", "LAST"])


def _said(ran: dict[str, Any]) -> str:
    if ran["pid"] is not None:
        return f"process {ran['pid']} was started"
    if ran["outcome"] == "waits":
        return "the last run has not ended; this one waits for it"
    return "nothing was started: the last run has not ended (--force starts it anyway)"


def _text(shown: dict[str, Any], coming: list[str]) -> str:
    rows = [["when", _when(shown)]]
    for key, value in shown.items():
        if key in ("name", "cron", "zone", "every", "at", "last", "recent"):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
        rows.append([key, {"True": "yes", "False": "no"}.get(text, text) or "-"])
    text = common.table(rows, ["name", str(shown["name"])])
    if coming:
        text += "\n\nCOMING\n" + "\n".join(coming)
    if shown["recent"]:
        runs = [[run["planned"], run["at"], str(run["pid"] or "-"), _outcome(run)] for run in shown["recent"]]
        text += "\n\n" + common.table(runs, ["PLANNED", "BEGUN", "PID", "OUTCOME"])
    return text


def _outcome(run: dict[str, Any]) -> str:
    return f"{run['outcome']}: {run['reason']}" if "reason" in run else str(run["outcome"])
