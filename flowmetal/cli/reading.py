"""Reads what a command is given: sources, artifacts, projects."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from flowmetal.bytecode.layout import MAGIC
from flowmetal.cli import common
from flowmetal.dataclass import replace
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowmetal.engine.opening import Built


#: Standard input as an argument, and what its text is called in messages.
STANDARD_INPUT = "-"
STDIN_NAME = "<stdin>"


def read_sources(
    paths: Sequence[str | os.PathLike[str]], unread: list[FlowmetalError] | None = None
) -> dict[str, bytes]:
    """The text of source files by path, folders searched for .fm files in order of name; - is standard input.

    Where `unread` is given, it takes the errors of files that cannot be read; without it the first is raised.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        text = os.fspath(path)
        if text == STANDARD_INPUT:
            found[STDIN_NAME] = read_standard_input()
        elif not os.path.isdir(path):
            _add(found, text, unread)
        else:
            from pathlib import Path

            for file in sorted(Path(path).rglob("*.fm")):
                _add(found, str(file), unread)
    if not found and not unread:
        common.usage("U101", path=str(paths[0]), problem="no .fm file is in it")
    return found


def _add(found: dict[str, bytes], path: str, unread: list[FlowmetalError] | None) -> None:
    try:
        found[path] = read_bytes(path)
    except FlowmetalError as problem:
        if unread is None:
            raise
        unread.append(problem)


def read_program(path: str | os.PathLike[str]) -> Built:
    """A program to run or deploy: an artifact as it is; a source file, or a folder of them, compiled; - from input."""
    from flowmetal.engine.opening import read_artifact

    text = os.fspath(path)
    folder = os.path.isdir(path)
    if folder or os.path.splitext(text)[1] == ".fm":
        if folder:
            from pathlib import Path

            from flowmetal.cli import projects

            manifest = projects.manifest_of([Path(path)])
            if manifest is not None:
                return replace(projects.compile_project(manifest), own=True)
        from flowmetal.engine.kept_programs import built_once

        return replace(built_once(read_sources([path])), own=True)
    if text != STANDARD_INPUT:
        return read_artifact(read_bytes(path))
    data = read_standard_input()
    if data.startswith(MAGIC):
        return read_artifact(data)
    from flowmetal.engine.kept_programs import built_once

    return replace(built_once({STDIN_NAME: data}), own=True)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file; U101, U111, U112, U118."""
    return files.read_file(path)


def read_standard_input() -> bytes:
    """What comes through standard input; excerpts of it can be shown."""
    data = files.read_stream(sys.stdin.buffer)
    common.TEXTS[STDIN_NAME] = data.decode("utf-8", "replace")
    return data
