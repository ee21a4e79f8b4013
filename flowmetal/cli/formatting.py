"""`flowc fmt`: brings sources into their usual layout.  Parses, calls, writes files in one piece."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flowmetal.cli import common
from flowmetal.cli.options import Debug, Json
from flowmetal.cli.reading import read_bytes, read_standard_input

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Source files, or folders of them; - for standard input; default: the current folder."),
]


def fmt(
    paths: Paths = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; name what would change, exit code 1.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Formats sources: indentation and white space, by cljfmt's rules."""
    from flowmetal.diagnostics import CompileFailed

    given = paths or [Path()]
    if given == [Path("-")]:
        _standard_input(check, diff)
        return
    files = _sources(given)
    changed: list[str] = []
    problems: list[CompileFailed] = []
    for file in files:
        try:
            before = read_bytes(file)
            after = _formatted(before, str(file)).encode()
        except CompileFailed as refused:
            problems.append(refused)
            continue
        if after == before:
            continue
        changed.append(str(file))
        if diff and not as_json:
            _show_difference(before, after, str(file))
        if not check and not diff:
            try:
                _replace(file, after)
            except OSError as refusal:
                common.usage("U108", path=str(file), problem=refusal.strerror or str(refusal))
    _tell(changed, len(files), written=not check and not diff, as_json=as_json)
    for problem in problems:
        common.report(problem)
    if problems or (changed and (check or diff)):
        raise typer.Exit(common.FAILED)


def _formatted(text: bytes, file: str) -> str:
    from flowmetal.compiler.formatter import format_source

    return format_source(text, file)


def _standard_input(check: bool, diff: bool) -> None:
    before = read_standard_input()
    after = _formatted(before, "(standard input)").encode()
    if not check and not diff:
        sys.stdout.buffer.write(after)
        return
    if before != after:
        if diff:
            _show_difference(before, after, "(standard input)")
        raise typer.Exit(common.FAILED)


def _sources(paths: list[Path]) -> list[Path]:
    """The files that are meant: those given, and all `.fm` files in folders but hidden ones and `build`."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*.fm")) if not _skipped(one.relative_to(path))]
            found.update(dict.fromkeys(inside))
        else:
            found[path] = None
    return list(found)


def _skipped(path: Path) -> bool:
    return any(part.startswith(".") or part == "build" for part in path.parts[:-1])


def _show_difference(before: bytes, after: bytes, file: str) -> None:
    old, new = (text.decode(errors="replace").splitlines(keepends=True) for text in (before, after))
    for line in difflib.unified_diff(old, new, file, file):
        typer.echo(line.rstrip("\n"))


def _replace(file: Path, data: bytes) -> None:
    """Writes a file in one piece: who reads it sees the old text or the new one.  Its mode stays."""
    descriptor, temporary = tempfile.mkstemp(dir=file.resolve().parent, prefix=file.name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
        os.chmod(temporary, file.stat().st_mode & 0o7777)
        os.replace(temporary, file.resolve())
    except BaseException:
        os.unlink(temporary)
        raise


def _tell(changed: list[str], count: int, written: bool, as_json: bool) -> None:
    document = {"files": count, "changed": changed, "written": written}
    said = "formatted" if written else "would change"
    lines = [f"{said}: {name}" for name in changed]
    common.emit(
        document, as_json, lambda: "\n".join([*lines, f"{common.counted(count, 'file')}, {len(changed)} {said}"])
    )
