"""A share of the interpreters that are stopped and woken, and that a write of an old epoch would be noticed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store.changes import Changes
from flowmetal.store.interface import PARTITIONS
from tests.crash.stopped import campaign

STOPS = 12


def test_stopped_and_woken(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    total = campaign(STOPS, seed, tmp_path, jobs=2)
    print(total)
    assert total["stops"] == STOPS and total["acknowledged"] > STOPS


def test_an_accepted_old_epoch_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store that does not compare them; the children are forks, which inherit that."""
    row_for_turn = Changes.row_for_turn

    def with_any_epoch(changes: Changes, pid: int, sequence: int, epoch: int) -> Any:
        return row_for_turn(changes, pid, sequence, changes.epoch_of(pid % PARTITIONS))

    monkeypatch.setattr(Changes, "row_for_turn", with_any_epoch)
    with pytest.raises(AssertionError, match="turns of an old epoch were accepted"):
        for seed in range(5):
            (tmp_path / str(seed)).mkdir()
            campaign(STOPS, seed, tmp_path / str(seed), jobs=2)
