"""The rigs that the conformance suite runs over: memory, LMDB, and LMDB owned by another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.store import open_store
from tests.store.support import OwnerProcess, Rig, SharedClock


@pytest.fixture(scope="session")
def owner_process() -> Iterator[OwnerProcess]:
    owner = OwnerProcess()
    yield owner
    owner.close()


@pytest.fixture(params=["memory", "lmdb", "attached"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    clock = SharedClock(tmp_path / "clock")
    path = tmp_path / "store"
    owner = None
    if request.param == "attached":
        owner = request.getfixturevalue("owner_process")
        owner.own(path, clock.path)
    store = open_store("memory:" if request.param == "memory" else path, clock=clock)
    yield Rig(store, clock, request.param)
    store.close()
    if owner is not None:
        owner.disown(path)


@pytest.fixture
def memory(tmp_path: Path) -> Rig:
    clock = SharedClock(tmp_path / "clock")
    return Rig(open_store("memory:", clock=clock), clock)


@pytest.fixture
def lmdb_rig(tmp_path: Path) -> Iterator[Rig]:
    clock = SharedClock(tmp_path / "clock")
    store = open_store(tmp_path / "store", clock=clock)
    yield Rig(store, clock, "lmdb")
    store.close()
