"""`flowvm queue`: defines queues of starts, shows them, pauses and resumes them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.named import all_of, check_action, check_named
from flowmetal.cli.opening import DEFAULT_STORE, open_client
from flowmetal.cli.options import Debug, Json, StoreOption

ACTIONS = ("list", "show", "define", "pause", "resume", "remove")

#: Those of them that ask the store for the operation of another name.
OPERATIONS = {"show": "queue/stats"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("queue")(queue)


def seconds_of(option: str, text: str) -> float:
    """The seconds of a duration such as 5s, 250ms, 2h or PT5M."""
    from flowmetal.store.operations.queues import duration_ns

    found = duration_ns(text)
    if found is None or found < 0:
        common.usage("U103", what=option, found=text[:80], expected="a duration, such as 5s, 250ms, 10m or 2h")
    return found / 1_000_000_000


def queue(
    action: Annotated[str, typer.Argument(help="What to do: list, show, define, pause, resume or remove.")],
    name: Annotated[str | None, typer.Argument(help="The queue's name.")] = None,
    concurrency: Annotated[str | None, typer.Option(help="Processes that run at once.")] = None,
    rate: Annotated[str | None, typer.Option(help="Processes that begin within a time, such as 100/1m.")] = None,
    key_concurrency: Annotated[str | None, typer.Option(help="Processes of one key that run at once.")] = None,
    key_rate: Annotated[str | None, typer.Option(help="Processes of one key that begin within a time.")] = None,
    max_waiting: Annotated[str | None, typer.Option(help="Processes that may wait; usually 100000.")] = None,
    window: Annotated[str | None, typer.Option(help="How long a dedup key holds; usually 5m.")] = None,
    paused_gives_slot: Annotated[
        bool, typer.Option("--paused-gives-slot", help="A paused process gives its slot back.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Defines, shows, pauses and resumes queues of starts.  Example: flowvm queue define mail --concurrency 4"""

    check_action(action, ACTIONS)
    counts = {"concurrency": concurrency, "key-concurrency": key_concurrency, "max-waiting": max_waiting}
    texts = {"rate": rate, "key-rate": key_rate, "window": window}
    limits: dict[str, Any] = {
        **{option: common.number(f"--{option}", text, 1) for option, text in counts.items() if text is not None},
        **{option: text for option, text in texts.items() if text is not None},
        **({"paused-keeps-slot": False} if paused_gives_slot else {}),
    }
    if limits and action != "define":
        common.usage("U130", option=min(limits), action=action)
    check_named(action, name, "U131", "queue")
    with open_client(store) as client:
        if action == "list":
            found = all_of(client, "queue/list")
            common.emit({"queues": found}, as_json, lambda: _table(found))
            return
        payload = {"name": name, **limits} if action == "define" else name
        shown = client.operate(OPERATIONS.get(action, f"queue/{action}"), payload)
    if action == "define" and not limits and not as_json:
        common.say(f"no limits were given, so queue {name} has none now but the usual ones", error=True)
    common.emit(shown, as_json, lambda: f"queue {name} removed" if action == "remove" else _text(shown))


def _table(found: list[dict[str, Any]]) -> str:
    rows = [
        [one["name"], "paused" if one["paused"] else "open", *(str(one[name]) for name in _COUNTS), _limits(one)]
        for one in found
    ]
    return common.table(rows, ["NAME", "STATE", "RUNNING", "WAITING", "DELAYED", "HELD", "LIMITS"])


_COUNTS = ("running", "waiting", "delayed", "held")


def _limits(one: dict[str, Any]) -> str:
    parts = [f"{name} {one[name]}" for name in ("concurrency", "key-concurrency") if one[name] is not None]
    parts += [f"{name} {one[name][0]} in {one[name][1]}" for name in ("rate", "key-rate") if one[name] is not None]
    return ", ".join(parts) or "-"


def _text(shown: dict[str, Any]) -> str:
    rows = []
    for name, value in shown.items():
        text = f"{value[0]} in {value[1]}" if isinstance(value, list) else "-" if value is None else str(value)
        rows.append([name, {"True": "yes", "False": "no"}.get(text, text)])
    return common.table(rows[1:], list(rows[0]))
