"""A process that a damaged page has ended is not followed by another one that it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.store import StoreError, open_store
from flowmetal.store.crashes import CRASH_FILE, check, watch
from flowmetal.store.interface import Post, PutArtifact, Start
from flowmetal.store.owner_lock import OwnerLock
from tests.store.support import HASH

ENDED = """
import os, signal, sys
from pathlib import Path
from flowmetal.store.crashes import watch
watch(Path(sys.argv[1]))
os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


def end(path: Path, signal: str) -> bytes:
    """What is noted of a process that is ended by a signal."""
    subprocess.run([sys.executable, "-c", ENDED, str(path), signal], timeout=60, check=False)
    return (path / CRASH_FILE).read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "store")
    starts = [Start("f", b"x" * 500, name="p") for _ in range(200)]
    store.submit([PutArtifact(HASH, b"code", "p"), *starts]).result(60)
    store.close()
    return tmp_path / "store"


def damage_pages(path: Path) -> None:
    with (path / "data.mdb").open("r+b") as file:
        for page in range(2, os.path.getsize(path / "data.mdb") // 4096):
            file.seek(page * 4096 + 16)
            file.write(b"\xff" * 32)


@pytest.mark.parametrize("signal", ["SIGBUS", "SIGSEGV", "SIGABRT"])
def test_damaged_pages_are_refused_after_a_fault(path: Path, signal: str) -> None:
    assert end(path, signal).startswith(b"Fatal Python error: ")
    damage_pages(path)
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            open_store(path)
        assert caught.value.code == "S108" and "was ended (Fatal Python error" in str(caught.value)
    assert (path / CRASH_FILE).stat().st_size


def test_a_fault_that_no_page_made_is_forgotten(path: Path) -> None:
    assert end(path, "SIGBUS")
    store = open_store(path)
    assert store.submit([Post(1, "message")]).result(60) == [True]
    store.close()
    assert (path / CRASH_FILE).read_bytes() == b""
    assert end(path, "SIGKILL") == end(path, "SIGTERM") == b""


def test_an_open_store_is_looked_at_before_it_is_written(path: Path) -> None:
    """A process that has it open takes over from the one that was ended."""
    store = open_store(path)
    assert len(store.processes()) == 100
    assert end(path, "SIGBUS")
    damage_pages(path)
    error = store.submit([Post(1, "message")]).exception(60)
    assert isinstance(error, StoreError) and error.code == "S108" and "was ended" in str(error)
    lock = OwnerLock(path)
    assert lock.try_acquire()  # it was given back
    lock.release()
    store.close()


def test_nothing_is_looked_at_beside_an_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert end(path, "SIGBUS")
    monkeypatch.setattr("flowmetal.store.crashes.page_damage", lambda folder: ["a page that is being written"])
    lock = OwnerLock(path)
    assert lock.try_acquire()
    check(path)
    lock.release()
    with pytest.raises(StoreError):
        check(path)


def test_backups_and_folders_without_a_store_are_not_written(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(path, backup)
    (backup / "backup.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for folder in (backup, tmp_path / "empty", tmp_path / "none"):
        watch(folder)
        check(folder)
        assert not (folder / CRASH_FILE).exists()
