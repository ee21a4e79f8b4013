"""Reads what a command is given: sources, artifacts, projects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowmetal.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from flowmetal.engine.opening import Built


def read_sources(paths: list[Path]) -> dict[str, bytes]:
    """The text of source files by path, folders searched for .fm files in order of name."""
    found: dict[str, bytes] = {}
    for path in paths:
        files = sorted(path.rglob("*.fm")) if path.is_dir() else [path]
        for file in files:
            found[str(file)] = read_bytes(file)
    if not found:
        common.usage("U101", path=str(paths[0]), problem="no .fm file is in it")
    return found


def read_program(path: str | os.PathLike[str]) -> Built:
    """A program to run or deploy: an artifact as it is; a source file, or a folder of them, compiled."""
    folder = os.path.isdir(path)
    if folder or os.path.splitext(path)[1] == ".fm":
        from pathlib import Path

        from flowmetal.cli import projects
        from flowmetal.engine.build import build_artifact

        manifest = projects.manifest_of([Path(path)]) if folder else None
        if manifest is not None:
            return projects.compile_project(manifest)
        return build_artifact(read_sources([Path(path)]))
    from flowmetal.engine.opening import read_artifact

    return read_artifact(read_bytes(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes, or U101."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as problem:
        common.usage("U101", path=str(path), problem=problem.strerror or str(problem))
