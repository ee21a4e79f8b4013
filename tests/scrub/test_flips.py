"""A share of the flips; and that the harness notices a flip that nobody finds."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scrub.flips import flip, flip_records, make_store

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_share_of_the_flips() -> None:
    pytest.importorskip("cryptography")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.scrub", "--count", "1000", "--pages", "8", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "in plain records, 0 missed" in ran.stdout and "in encrypted records, 0 missed" in ran.stdout


def test_a_reader_that_does_not_look_at_the_checksum_is_seen(tmp_path: Path) -> None:
    options = make_store(tmp_path / "store", count=2)

    def careless(transaction: Any, space: str, key: bytes) -> bytes:
        stored: bytes = transaction._transaction.get(key, db=transaction._handles[space])
        return stored[:-5]

    counts, missed = flip_records(tmp_path / "store", options, 50, random.Random(1), careless)
    assert len(missed) > 30 and counts.total() == 50
    assert flip(b"\x00\x00", 9) == b"\x00\x02"


def backups(code: str) -> subprocess.CompletedProcess[str]:
    """Runs it in a process that has no threads, since it forks."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


HEAD = "import sys\nfrom pathlib import Path\nfrom tests.scrub.backups import campaign\n"


def test_a_backup_under_kills(tmp_path: Path) -> None:
    ran = backups(f"{HEAD}print(campaign(1, 3, Path({str(tmp_path)!r}))['backups'])")
    assert ran.stdout == "1\n", ran.stderr


@pytest.mark.slow
def test_a_backup_that_lost_something_is_seen(tmp_path: Path) -> None:
    spoil = "lambda told: [*told, ['start', 'never', 100000, *told[-1][3:5]]] if told[-1][0] == 'start' else "
    spoil += "[*told, ['post', 'never', 5]]"
    ran = backups(f"{HEAD}campaign(1, 3, Path({str(tmp_path)!r}), {spoil})")
    assert ran.returncode == 1 and "never" in ran.stderr, ran.stderr[-2000:]
