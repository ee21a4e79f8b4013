"""`flowvm mailbox`: the messages that wait for a process."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flowmetal.cli import common
from flowmetal.cli.opening import DEFAULT_STORE, find_pid, open_client
from flowmetal.cli.options import Debug, Json, StoreOption


def mailbox(
    pid: Annotated[str, typer.Argument(help="The number or the id of a process.")],
    store: StoreOption = DEFAULT_STORE,
    after: Annotated[int, typer.Option(help="Those beyond this number.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=1000)] = 100,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Shows the messages that wait in the mailbox of a process, the oldest first.  Nothing is taken out."""
    with open_client(store) as client:
        found = client.mailbox(find_pid(client, pid), after=after, limit=limit)

    def text() -> str:
        rows = [[str(one.number), str(one.bytes), one.text] for one in found.messages]
        said = common.counted(found.waiting, "message")
        lines = [common.table(rows, ["NUMBER", "BYTES", "MESSAGE"]) if rows else "", f"{said} in all"]
        if found.after is not None and rows:
            lines.append(f"more with --after {found.after}")
        return "\n".join(line for line in lines if line)

    common.emit(asdict(found), as_json, text)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(mailbox)
