"""Writes what a command makes."""

from __future__ import annotations

from pathlib import Path

from flowmetal.cli import common


def write_artifact(target: Path, data: bytes) -> None:
    """Writes an artifact in one piece, so that nobody sees half of it; U108 where that is not possible."""
    from flowmetal.engine.cache import write_whole

    try:
        write_whole(target, data)
    except OSError as problem:
        common.usage("U108", path=str(target), problem=problem.strerror or str(problem))
