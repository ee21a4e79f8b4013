"""A share of the faults (`make faults` does all), and that the checker sees a store that believes a failed sync."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_TRACED = 3


def faults(*arguments: str, module: str = "tests.faults") -> tuple[int, str]:
    """In a process of its own: it forks, and waits for all its children."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode == NOT_TRACED:
        pytest.skip(done.stdout.strip())
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kinds", ["write sync", "open entry memory socket"])
def test_faults(kinds: str) -> None:
    code, said = faults("--every", "45", "--memory-every", "1", "--seed", "5", "--kinds", *kinds.split())
    assert code == 0 and " 0 wrong" in said, said


def test_the_checker_sees_a_store_that_goes_on_after_a_failed_sync() -> None:
    code, said = faults("--every", "16", "--seed", "1", "--kinds", "sync", "--believe-failed-syncs")
    assert code == 1 and "went on committing" in said and "again: python -m tests.faults" in said, said


def test_no_room_and_room_again(tmp_path: Path) -> None:
    code, said = faults("5", "8", str(tmp_path), module="tests.faults.rooms")
    assert code == 0 and " 0 wrong" in said, said


def test_a_server_ends_with_its_disk(tmp_path: Path) -> None:
    code, said = faults(str(tmp_path), module="tests.faults.serving")
    if "skipped:" in said:
        pytest.skip(said)
    assert code == 0 and "S330 True\n" in said and "ended with 0\n" in said, said
