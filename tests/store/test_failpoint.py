"""Fail points: off without their variables, and refused where their value makes no sense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.store import StoreError, failpoint, open_store
from flowmetal.store.failpoint import VARIABLES, fail_point
from flowmetal.store.interface import PutArtifact
from tests.store.support import ROOT

PUT_THREE = """
import sys
from flowmetal.store import open_store
from flowmetal.store.interface import PutArtifact
store = open_store(sys.argv[1])
for number in range(3):
    store.submit([PutArtifact(b"h", b"x", f"p{number}")]).result(10)
    print(number, flush=True)
"""


def test_off() -> None:
    assert fail_point({}) is None
    assert fail_point({"FLOWMETAL_KILL_AFTER_COMMIT": ""}) is None


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "²"])
def test_no_number(text: str) -> None:
    for variable in VARIABLES:
        with pytest.raises(StoreError) as caught:
            fail_point({variable: text})
        assert caught.value.code == "S206"


@pytest.mark.parametrize(
    ("variable", "kept"), [("FLOWMETAL_KILL_BEFORE_COMMIT", 1), ("FLOWMETAL_KILL_AFTER_COMMIT", 2)]
)
def test_kills_at_the_commit_and_before_the_answer(tmp_path: Path, variable: str, kept: int) -> None:
    """What is there: all that was acknowledged, and the commit itself where it is killed after that."""
    for number in (2, 3):
        path = tmp_path / str(number)
        done = subprocess.run(
            [sys.executable, "-c", PUT_THREE, str(path)],
            cwd=ROOT, env={**os.environ, variable: str(number)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL
        acknowledged = len(done.stdout.split())
        store = open_store(path, create=False)
        found = len(store.deployed())
        store.close()
        assert found == acknowledged + (kept - 1), (found, acknowledged)


def test_a_named_point_kills_at_its_pass(tmp_path: Path) -> None:
    path = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", PUT_THREE, str(path)],
        cwd=ROOT, env={**os.environ, "FLOWMETAL_FAIL_POINT": "commit/after:2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL and done.stdout.split() == ["0"]


@pytest.mark.parametrize("text", ["commit/after", "commit/after:x", "commit/never:1", "commit/after:1:sing", ":"])
def test_no_point(text: str) -> None:
    with pytest.raises(StoreError) as caught:
        failpoint.arm({"FLOWMETAL_FAIL_POINT": text})
    assert caught.value.code == "S206" and failpoint.hook is None


def test_an_error_that_nobody_has_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the caller's answer, nothing of its list is there, and the store goes on."""
    monkeypatch.setattr(failpoint, "hook", None)
    store = open_store(tmp_path / "store")
    for point in ("commit/begin", "commit/before"):  # after an error within a unit the group is applied once more
        for number in range(20):
            failpoint.arm_at(point, 1, raises=True)
            try:
                store.submit([PutArtifact(b"h", b"x", f"{point}{number}")]).result(10)
            except StoreError as error:
                assert error.code == "S307"
                assert f"{point}{number}" not in store.deployed()
                break
        else:
            raise AssertionError(f"{point} never raised")  # the store's own housekeeping may meet it, at times
    store.submit([PutArtifact(b"h", b"x", "p")]).result(10)
    assert store.deployed("p") == {"p": b"h"}
    store.close()
