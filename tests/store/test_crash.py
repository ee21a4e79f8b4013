"""kill -9: what was acknowledged is there, once; also when the process that owns the store dies under the others."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.store.support import run_child


def run(mode: str, path: Path, count: int) -> dict[str, int]:
    seed = random.randrange(1 << 32)
    print(f"{mode}: seed {seed}")
    child = run_child("crash_process", mode, path, seed, count)
    out, _ = child.communicate(timeout=300)
    assert child.returncode == 0, f"{mode} with seed {seed}"
    result: dict[str, int] = json.loads(out.splitlines()[-1])
    print(result)
    return result


def test_killed_writers(tmp_path: Path) -> None:
    result = run("writer", tmp_path / "store", 60)
    assert result["kills"] == 60 and result["found"] > 0


def test_killed_owners(tmp_path: Path) -> None:
    result = run("takeover", tmp_path / "store", 25)
    assert result["kills"] == 25 and result["found"] > 0


@pytest.mark.crash
@pytest.mark.slow
def test_killed_many_times(tmp_path: Path) -> None:
    assert run("writer", tmp_path / "a" / "store", 1000)["kills"] == 1000
    assert run("takeover", tmp_path / "b" / "store", 300)["kills"] == 300
