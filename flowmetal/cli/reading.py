"""Reads what a command is given: sources, artifacts, projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowmetal.cli import common

if TYPE_CHECKING:
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


def read_program(path: Path) -> Built:
    """A program to run or deploy: an artifact as it is; a source file, or a folder of them, compiled."""
    if path.is_dir():
        from flowmetal.cli import projects

        manifest = projects.manifest_of([path])
        if manifest is not None:
            return projects.compile_project(manifest)
    if path.suffix == ".fm" or path.is_dir():
        from flowmetal.engine.build import build_artifact

        return build_artifact(read_sources([path]))
    from flowmetal.engine.opening import read_artifact

    return read_artifact(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """A file's bytes, or U101."""
    try:
        return path.read_bytes()
    except OSError as problem:
        common.usage("U101", path=str(path), problem=problem.strerror or str(problem))
