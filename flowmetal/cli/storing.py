"""`flowvm scrub`, `backup`, `restore` and `store`: damage, copies and keys of a store's folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.opening import DEFAULT_STORE, is_url
from flowmetal.cli.options import Debug, Json

if TYPE_CHECKING:
    from flowmetal.store.keys import KeySource
    from flowmetal.store.lmdb_options import LmdbOptions

FolderOption = Annotated[
    str, typer.Option("--store", "-s", envvar="FLOWMETAL_STORE", help="A folder, or its lmdb: address.")
]

EvenDamaged = Annotated[
    bool, typer.Option("--even-damaged", help="Also with damaged records, which stay damaged and are listed.")
]

ACTIONS = ("key", "encrypt", "rotate-key", "rewrap")

#: Findings that are printed; --json has up to 1,000.
SHOWN = 50


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (scrub, backup, restore, store):
        app.command()(command)


def folder_of(url: str) -> tuple[Path, LmdbOptions]:
    """The folder and the settings of a store that is one."""
    from flowmetal.cli.settings import use_settings_key
    from flowmetal.store.addresses import parse_address

    if is_url(url) or url == "memory:":
        common.usage("U109", url=url)
    use_settings_key()
    return parse_address(url)


def scrub(
    store: FolderOption = DEFAULT_STORE,
    pages: Annotated[
        bool | None, typer.Option("--pages/--no-pages", help="Also walk over LMDB's pages; usual where nobody uses it.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="First make indexes whole from the rows of processes.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Reads every record of a store, or of a backup, and says what is damaged; the store may run meanwhile."""
    from flowmetal.store.lmdb_files import prepare_folder
    from flowmetal.store.scrubbing import scrub_store

    path, options = folder_of(store)
    prepare_folder(path, create=False, allow_network=options.allow_network)
    mended = _mend(path, options) if repair else 0
    report = scrub_store(path, options, pages=pages)
    document = {"store": str(path), **({"mended": mended} if repair else {}), **report.document()}
    made_whole = f"{mended:,} entries of indexes made whole\n" if repair else ""
    common.emit(document, as_json, lambda: made_whole + _scrub_text(report))
    raise typer.Exit(common.OK if not report.found else common.FAILED)


def _mend(path: Path, options: LmdbOptions) -> int:
    """Through whoever writes the store, or by itself where nobody does: how many entries were mended."""
    from contextlib import closing

    from flowmetal.store import open_store
    from flowmetal.store.interface import Mend
    from flowmetal.store.mending import STEPS

    mended = 0
    with closing(open_store(f"lmdb://{path}", create=False, options=options)) as opened:
        for space in STEPS:
            start: bytes | None = None
            while start != b"":
                start, some = opened.submit([Mend(space, start or b"")]).result()[0]
                mended += some
    return mended


def _scrub_text(report: Any) -> str:
    kinds = [f"{report.encrypted:,} encrypted"] if report.encrypted else []
    kinds += [f"{report.unsealed:,} without checksums, of an older format"] if report.unsealed else []
    lines = [
        f"{report.records:,} records of {report.processes:,} processes read, {report.size:,} bytes"
        + (f" ({', '.join(kinds)})" if kinds else "")
    ]
    return "\n".join([*lines, _findings_text(report)])


def _findings_text(report: Any) -> str:
    lines = []
    for finding in report.findings[:SHOWN]:
        where = " ".join(part for part in (finding.space, finding.key) if part)
        lines.append(f"{finding.kind}: {where + ': ' if where else ''}{finding.reason}")
        lines.append(f"  {finding.means}")
    if report.found > SHOWN:
        lines.append(f"and {report.found - SHOWN:,} more")
    lines.append("nothing is damaged" if not report.found else f"{report.found:,} damaged or inconsistent")
    return "\n".join(lines)


def backup(
    store: Annotated[str, typer.Argument(help="The store: a folder, or its lmdb: address.")],
    place: Annotated[Path, typer.Argument(metavar="DEST", help="The folder of the backup, which must not be there.")],
    even_damaged: EvenDamaged = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Copies a store, which may run meanwhile, and looks the copy through.  Example: flowvm backup ./store ./monday"""
    from flowmetal.store.lmdb_copies import backup as copy

    path, options = folder_of(store)
    _tell(copy(path, options, place.absolute(), even_damaged=even_damaged), as_json, "backup of")


def restore(
    backup: Annotated[str, typer.Argument(help="The backup: a folder, or its lmdb: address.")],
    place: Annotated[Path, typer.Argument(metavar="STORE", help="The folder of the store, which must not be there.")],
    even_damaged: EvenDamaged = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Makes a store of a backup, which is looked through first.  Never run it beside the store it is a copy of."""
    from flowmetal.store.lmdb_copies import restore as bring_back

    path, options = folder_of(backup)
    _tell(bring_back(path, options, place.absolute(), even_damaged=even_damaged), as_json, "restored")


def _tell(copied: Any, as_json: bool, what: str) -> None:
    document = {
        "path": copied.path,
        "store": copied.store,
        "records": copied.report.records,
        "processes": copied.report.processes,
        "encrypted": copied.report.encrypted > 0,
        "bytes": copied.bytes,
        "seconds": round(copied.seconds, 3),
        "damaged": copied.report.found,
        "findings": copied.report.document()["findings"],
    }
    common.emit(
        document,
        as_json,
        lambda: (
            f"{what} store {copied.store} at {copied.path}: {copied.report.processes:,} processes, "
            f"{copied.report.records:,} records looked through, {copied.bytes:,} bytes, {copied.seconds:.1f} s"
            + (f"\n{_findings_text(copied.report)}" if copied.is_damaged else "")
        ),
    )
    if copied.is_damaged:
        raise typer.Exit(common.FAILED)


def store(
    action: Annotated[str, typer.Argument(help="What to do: key, encrypt, rotate-key or rewrap.")],
    store: FolderOption = DEFAULT_STORE,
    key_file: Annotated[str | None, typer.Option(help="The file with the key.")] = None,
    key_env: Annotated[str | None, typer.Option(help="The environment variable with the key.")] = None,
    key_command: Annotated[str | None, typer.Option(help="The command that writes the key.")] = None,
    new_key_file: Annotated[str | None, typer.Option(help="With rewrap: the file with the new key.")] = None,
    new_key_env: Annotated[str | None, typer.Option(help="With rewrap: the variable with the new key.")] = None,
    new_key_command: Annotated[str | None, typer.Option(help="With rewrap: the command that writes it.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Keys of a store: makes one; encrypts a store; changes its data key while it runs; changes the key around that."""
    if action not in ACTIONS:
        common.usage("U190", action=action[:80], actions=", ".join(ACTIONS))
    if action == "key":
        import secrets

        common.say(secrets.token_hex(32))
        return
    from flowmetal.dataclass import replace

    path, options = folder_of(store)
    given = _source("--key", key_file, key_env, key_command)
    if given is not None:
        options = replace(options, key=given)
    new = _source("--new-key", new_key_file, new_key_env, new_key_command)
    if action == "encrypt":
        _encrypt(path, options, as_json)
    elif action == "rotate-key":
        _rotate(path, options, as_json)
    else:
        _rewrap(path, options, new, as_json)


def _source(option: str, file: str | None, env: str | None, command: str | None) -> KeySource | None:
    from flowmetal.store.keys import KeySource

    given = [(kind, value) for kind, value in (("file", file), ("env", env), ("command", command)) if value is not None]
    if not given:
        return None
    if len(given) > 1 or not given[0][1]:
        common.usage("U103", what=option, found=str(len(given)), expected="one of -file, -env and -command")
    ((kind, value),) = given
    if kind != "command":
        return KeySource(kind, value)
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        common.usage("U103", what=option + "-command", found=value[:80], expected=f"a command ({error})")
    return KeySource(kind, words)


def _encrypt(path: Path, options: LmdbOptions, as_json: bool) -> None:
    from flowmetal.store.keys import find_source
    from flowmetal.store.lmdb_copies import encrypt

    source = find_source(options.key)
    if source is None:
        common.usage("U191", what="encrypt", option="--key-file")
    _tell(encrypt(path, options, source), as_json, "encrypted")


def _rotate(path: Path, options: LmdbOptions, as_json: bool) -> None:
    """Through whoever writes the store, or by itself where nobody does."""
    from contextlib import closing

    from flowmetal.store import open_store
    from flowmetal.store.interface import Rekey

    with closing(open_store(f"lmdb://{path}", create=False, options=options)) as opened:
        generation = opened.submit([Rekey("begin")]).result()[0][0]
        records, done = 0, False
        while not done:
            _, some, done = opened.submit([Rekey("go-on")]).result()[0]
            records += some
    common.emit(
        {"generation": generation, "records": records},
        as_json,
        lambda: f"data key {generation} is in use; {records:,} records were written anew",
    )


def _rewrap(path: Path, options: LmdbOptions, new: KeySource | None, as_json: bool) -> None:
    from contextlib import closing

    from flowmetal.store import open_store
    from flowmetal.store.interface import Rekey
    from flowmetal.store.lmdb_copies import wrapped_anew

    if new is None:
        common.usage("U191", what="rewrap", option="--new-key-file")
    with closing(open_store(f"lmdb://{path}", create=False, options=options)) as opened:
        wrapped, seen = wrapped_anew(opened, new.fetch())
        opened.submit([Rekey("wrap", tuple(wrapped), seen)]).result()
    common.emit(
        {"keys": len(wrapped)}, as_json, lambda: f"{common.counted(len(wrapped), 'data key')} wrapped by the new key"
    )
