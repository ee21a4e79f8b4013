"""What a store sets for the threads of the Python process that writes to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import Fire
from flowmetal.store.lmdb_store import SWITCH_SECONDS


@pytest.fixture(autouse=True)
def own_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("before, after", [(0.005, SWITCH_SECONDS), (0.0001, 0.0001)])
def test_who_writes_has_threads_changed_sooner(tmp_path: Path, before: float, after: float) -> None:
    sys.setswitchinterval(before)
    store = open_store(str(tmp_path / "store"))
    try:
        store.submit([Fire()]).result()
        assert sys.getswitchinterval() == pytest.approx(after, abs=5e-6)
    finally:
        store.close()
