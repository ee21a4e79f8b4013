"""Writes what a command makes."""

from __future__ import annotations

import errno
from pathlib import Path

from flowmetal.cli import common


def write_artifact(target: Path, data: bytes, *, folders: bool = False) -> None:
    """Writes an artifact in one piece, so that nobody sees half of it; U108 where that is not possible.

    `folders`: those above it are made.  A path that somebody typed is not guessed at.
    """
    from flowmetal.engine.cache import write_whole

    try:
        if not folders and not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}")
        write_whole(target, data)
    except OSError as problem:
        common.usage("U108", path=str(target), problem=problem.strerror or str(problem))
