"""`flowvm prune`: removes what has ended, old log and unneeded programs from a store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.opening import DEFAULT_STORE, is_url, open_client, open_folder
from flowmetal.cli.options import Debug, Json, StoreOption

#: Processes whose numbers are shown; with --json there are more.
SHOWN = 20


def prune(
    store: StoreOption = DEFAULT_STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count and list what would go.")] = False,
    older_than: Annotated[str | None, typer.Option(help="Processes that ended so long ago, as 7d or 12h.")] = None,
    keep: Annotated[str | None, typer.Option(help="But not the newest so many of each program.")] = None,
    keep_failed: Annotated[bool, typer.Option("--keep-failed", help="And none that failed.")] = False,
    program: Annotated[str | None, typer.Option(help="Only processes of this program.")] = None,
    log_older_than: Annotated[str | None, typer.Option(help="Log of living processes that is so old.")] = None,
    log_keep: Annotated[str | None, typer.Option(help="But at least so many entries of each stay.")] = None,
    with_children: Annotated[
        bool, typer.Option("--with-children", help="Also ended children whose parent lives.")
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings; default: ./flowmetal.toml.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Removes ended processes, old log and programs that nothing needs; by [retention], where no option says what."""
    from flowmetal.cli.settings import read_settings
    from flowmetal.client.pruning import Pruning, prune_piece, retention_for
    from flowmetal.client.where import seconds_of

    given: dict[str, Any] = {}
    for name, text in (("older_than", older_than), ("log_older_than", log_older_than)):
        if text is not None:
            seconds = seconds_of(text)
            if seconds is None:
                option = "--" + name.replace("_", "-")
                common.usage("U103", what=option, found=text[:80], expected="a time such as 90, 30s, 12h, 7d")
            given[name] = f"{round(seconds * 1000)}ms"
    for name, text in (("keep", keep), ("log_keep", log_keep)):
        if text is not None:
            given[name] = common.number("--" + name.replace("_", "-"), text, 0, 10**9)
    kept: dict[str, Any] = {"keep_failed": keep_failed, "keep_children": not with_children} if given else {}
    if is_url(store):
        with open_client(store) as client:
            report = client.prune(**given, **kept, program=program, dry_run=dry_run)
    else:
        wanted = Pruning({**given, **kept}, program, dry_run)
        retention = retention_for(wanted) if given else read_settings(config).retention
        if not retention.does_something:
            common.usage("U141")
        with open_folder(store, to_write=not dry_run) as opened:
            report = prune_piece(opened, retention, wanted)
    common.emit(asdict(report), as_json, lambda: _text(report))


def _text(report: Any) -> str:
    would = "would be removed" if report.dry_run else "removed"
    lines = [f"{report.processes} ended process{'' if report.processes == 1 else 'es'} {would}"]
    lines += [f"  {count} of {name}" for name, count in sorted(report.by_program.items())]
    if report.dry_run and report.pids:
        rest = report.processes - len(report.pids[:SHOWN])
        more = f" and {rest} more" if rest else ""
        lines.append("  numbers: " + " ".join(map(str, report.pids[:SHOWN])) + more)
    if report.kept_children:
        lines.append(f"{report.kept_children} stay while their parents live")
    if report.logs:
        lines.append(f"{report.log_entries} log entries of {report.logs} living {would}")
    if report.artifacts:
        lines.append(f"{common.counted(report.artifacts, 'artifact')} {would}")
    elif report.unneeded:
        lines.append(f"{common.counted(report.unneeded, 'artifact')} needed by nothing, and to go after an hour of it")
    return "\n".join(lines)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(prune)
