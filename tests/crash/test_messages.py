"""A small share of what `python -m tests.crash.messages` does at full size."""

from __future__ import annotations

from pathlib import Path

from tests.crash.messages import run


def test_messages_under_kills(tmp_path: Path) -> None:
    figures = run(messages=4000, processes=40, kills=3, seed=1, folder=tmp_path, seconds=120)
    assert (figures.messages, figures.kills) == (4000, 3)
