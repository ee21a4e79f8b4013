"""An operation on many processes whose command is killed at each of its commits: given again, it does nothing twice."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import PutArtifact, Start
from flowmetal.values import Vector, encode_value

#: Pieces of two processes; the command as it is started from a shell.
COMMAND = """
import sys
from flowmetal.client import steering
steering.PIECE_MAX = 2
from flowmetal.cli.start import flowvm
sys.exit(flowvm())
"""
PROCESSES = 5
PIECES = 3


def command(folder: Path, *arguments: str, **environment: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments, "--store", "store", "--yes", "--operation", "once"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize("point", ["BEFORE", "AFTER"])
@pytest.mark.parametrize(
    "commit", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(PIECES, marks=pytest.mark.slow)]
)
def test_a_command_that_is_killed_is_given_again(tmp_path: Path, point: str, commit: int) -> None:
    arguments = encode_value(Vector.of([]))
    with contextlib.closing(open_store(tmp_path / "store")) as store:
        start = Start("p/main", arguments, name="p")
        store.submit([PutArtifact(b"h" * 32, b"x", "p"), *([start] * PROCESSES)]).result(60)
    send = ("send", "--program", "p", '"hello"')
    assert command(tmp_path, *send, **{f"FLOWMETAL_KILL_{point}_COMMIT": str(commit)}) == -9
    assert command(tmp_path, *send) == 0
    with contextlib.closing(open_store(tmp_path / "store")) as store:
        inboxes = [[event.kind for event in store.inbox(pid)] for pid in range(1, PROCESSES + 1)]
    assert inboxes == [["start", "message"]] * PROCESSES
