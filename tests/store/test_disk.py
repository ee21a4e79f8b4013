"""Full maps, full disks, failed writes, damage: a clear error, and nothing lost that was acknowledged."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import lmdb
import pytest

from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Fire, Post, PutArtifact, Start
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.memory import MemoryStore
from tests.store.support import HASH, Rig, reap, run_child

KILOBYTE = b"x" * 1000
LARGE = b"x" * 20_000
TAIL_BYTES = 256 << 10


def small_store(path: Path, *, size: int, limit: int, fault: Any = None) -> LmdbStore:
    store = LmdbStore(path, LmdbOptions(map_size=size, map_limit=limit), time.time_ns, create=True, fault=fault)
    store.submit([PutArtifact(HASH, b"code", "p"), Start("f", b"", name="p")]).result(60)
    return store


def fill(store: LmdbStore, count: int) -> tuple[int, str]:
    """Posts until it fails: (how many, with which code)."""
    for number in range(count):
        error = store.submit([Post(1, "message", LARGE)]).exception(60)
        if error is not None:
            assert isinstance(error, StoreError) and str(error)
            return number, error.code
    return count, ""


def test_the_map_grows(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", size=1 << 20, limit=1 << 30)
    futures = [store.submit([Post(1, "message", KILOBYTE)]) for _ in range(3000)]
    assert [future.result(20) for future in futures] == [[True]] * 3000
    assert store.stats()["map_bytes"] > 1 << 20
    assert len(store.inbox(1, 10_000)) == 3001
    store.close()


def test_the_map_grows_under_a_reader_of_another_process(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", size=1 << 20, limit=1 << 30)
    child = run_child("reader_process", tmp_path / "store")
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "1\n"
    assert fill(store, 100) == (100, "")
    child.stdin.write("again\n")
    child.stdin.flush()
    assert child.stdout.readline() == "101\n"
    child.stdin.close()
    assert child.wait(60) == 0
    child.stdout.close()
    store.close()


def test_a_store_at_its_limit(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", size=1 << 20, limit=4 << 20)
    written, code = fill(store, 10_000)
    assert code == "S302" and written > 100
    assert len(store.inbox(1, 10_000)) == written + 1
    with pytest.raises(StoreError) as caught:
        store.submit([Start("f", b"", name="p")]).result(60)
    assert caught.value.code in ("S304", "S302")
    store.close()
    larger = LmdbStore(tmp_path / "store", LmdbOptions(map_limit=64 << 20), time.time_ns, create=False)
    assert fill(larger, 50) == (50, "")
    assert len(larger.inbox(1, 10_000)) == written + 51
    larger.close()


def test_new_processes_are_refused_before_the_store_is_full(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", size=1 << 20, limit=1 << 20)
    refusal = None
    while refusal is None:
        assert store.submit([Post(1, "message", KILOBYTE * 4)]).result(60) == [True]
        refusal = store.submit([Start("f", b"", name="p")]).exception(60)
    assert isinstance(refusal, StoreError) and refusal.code == "S304"
    assert store.submit([Post(1, "message", KILOBYTE * 4)]).result(60) == [True]
    store.close()


def test_one_list_that_is_too_large_does_not_fail_the_others(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", size=4 << 20, limit=4 << 20)
    futures = [
        store.submit([Post(1, "message", b"1")]),
        store.submit([Post(1, "message", b"x" * (8 << 20))]),
        store.submit([Post(1, "message", b"2")]),
    ]
    assert futures[0].result(60) == futures[2].result(60) == [True]
    error = futures[1].exception(60)
    assert isinstance(error, StoreError) and error.code == "S302"
    assert [event.data for event in store.inbox(1)] == [b"", b"1", b"2"]
    store.close()


def test_a_full_disk(tmp_path: Path) -> None:
    child = run_child("disk_process", tmp_path / "store")
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    code, again, written = out.split()
    assert (code, again) == ("S301", "S301") and int(written) > 10


def test_after_a_failed_sync_the_store_refuses_all_writes(tmp_path: Path) -> None:
    failing = False

    def fault(point: str) -> None:
        if failing and point == "before commit":
            raise lmdb.Error("mdb_txn_commit", errno.EIO)

    store = small_store(tmp_path / "store", size=1 << 24, limit=1 << 24, fault=fault)
    failing = True
    assert fill(store, 5) == (0, "S330")
    failing = False
    assert fill(store, 5) == (0, "S330")
    assert store.submit([Start("f", b"", name="p")]).exception(60).code == "S330"  # type: ignore[union-attr]
    assert [event.kind for event in store.inbox(1)] == ["start"]
    child = run_child("put_process", tmp_path / "store")  # the store is free for another process
    assert child.communicate(timeout=60)[0] == "fine\n"
    reap(child)
    assert [event.kind for event in store.inbox(1)] == ["start"]  # reading goes on
    store.close()
    again = open_store(tmp_path / "store")
    assert again.submit([Post(1, "message")]).result(60) == [True]
    again.close()


def test_a_fault_in_memory(memory: Rig) -> None:
    assert isinstance(memory.store, MemoryStore)
    pid = memory.start()

    def fault(point: str) -> None:
        raise StoreError("S305", point=point)

    memory.store.fault = fault
    error = memory.store.submit([Post(pid, "message")]).exception()
    assert isinstance(error, StoreError) and error.code == "S305"
    assert memory.one(Fire()) == 0  # nothing to write, nothing to fail
    memory.store.fault = None
    assert memory.kinds(pid) == ["start"]
    assert memory.one(Post(pid, "message")) is True


# ---- damage ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something in it, closed.

    Its last pages are of one large artifact: LMDB looks for the items of a damaged page up to 64 KB behind it, and what
    is behind the end of the file kills whoever reads it.
    """
    path = tmp_path_factory.mktemp("healthy") / "store"
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code" * 5000, "p")]).result(60)
    store.submit([Start("f", b"", name="p", id=f"id{n}") for n in range(300)]).result(60)
    store.submit([PutArtifact(b"tail", bytes(TAIL_BYTES))]).result(60)
    store.close()
    return path


def damaged(healthy: Path, tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(healthy, tmp_path / "store")
    return tmp_path / "store", tmp_path / "store" / "data.mdb"


@pytest.mark.parametrize("size", [0, 1, 100, 4095, 4096, 8192, 20_000, -4096])
def test_truncated_stores_are_refused(healthy: Path, tmp_path: Path, size: int) -> None:
    path, file = damaged(healthy, tmp_path)
    os.truncate(file, size if size >= 0 else file.stat().st_size + size)
    with pytest.raises(StoreError) as caught:
        open_store(path)
    assert caught.value.code == "S108"
    assert str(caught.value)


@pytest.mark.parametrize("place", [0, 16, 20, 4096 + 16])
def test_overwritten_heads_are_refused(healthy: Path, tmp_path: Path, place: int) -> None:
    path, file = damaged(healthy, tmp_path)
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"\xa5" * 64)
    with pytest.raises(StoreError) as caught:
        open_store(path)
    assert caught.value.code == "S108"


def test_overwritten_pages_give_errors_not_crashes(healthy: Path, tmp_path: Path) -> None:
    """In another process, since a crash is what it looks for."""
    path, file = damaged(healthy, tmp_path)
    data = file.read_bytes()
    pages = (len(data) - TAIL_BYTES) // 4096
    for seed in range(3):
        file.write_bytes(data)
        child = run_child("damage_process", path, seed, pages)
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0, f"seed {seed}"
        assert out.startswith("fine"), out


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a store" * 1000)
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert caught.value.code == "S108"


def test_what_a_broken_owner_did_not_answer_is_done_by_the_next_one(tmp_path: Path) -> None:
    """Those who are attached are not told: their process becomes the owner, and does it."""
    failing = False

    def fault(point: str) -> None:
        if failing and point == "before commit":
            raise lmdb.Error("mdb_txn_commit", errno.EIO)

    store = small_store(tmp_path / "store", size=1 << 24, limit=1 << 24, fault=fault)
    failing = True
    child = run_child("put_process", tmp_path / "store")
    assert child.communicate(timeout=60)[0] == "fine\n"
    reap(child)
    assert len(store.deployed()) == 2
    store.close()


@pytest.mark.parametrize("fault", [MemoryError, RuntimeError])
def test_what_fails_after_a_commit_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    """A caller who is told that it failed, with a code that may pass, would do again what is durable."""
    store = open_store(tmp_path / "s")
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)

    def fail(*arguments: object) -> None:
        raise fault

    committer = store.store._committer  # type: ignore[attr-defined]
    monkeypatch.setattr("flowmetal.store.cache.Cache.trim", fail)
    monkeypatch.setattr(committer, "_on_hints", fail)
    with committer._committing:
        futures = [store.submit([Start("f", b"", name="p")]) for _ in range(3)]
    assert [future.result(10)[0][0] for future in futures] == [1, 2, 3]
    assert store.process(3) is not None and store.process(4) is None
    store.close()


def failing_store(path: Path, error: lmdb.Error) -> tuple[LmdbStore, list[bool]]:
    """A store, and a list: while there is something in it commits fail."""
    failing: list[bool] = []

    def fault(point: str) -> None:
        if failing and point == "before commit":
            raise error

    return small_store(path, size=1 << 24, limit=1 << 24, fault=fault), failing


@pytest.mark.parametrize(
    "error",
    [
        lmdb.ReadonlyError("mdb_txn_commit"),
        lmdb.BadTxnError("mdb_txn_commit"),
        # A disk with space says that it has none: that was no write, it was a sync.
        lmdb.DiskError("mdb_txn_commit"),
    ],
)
def test_whatever_does_not_pass_gives_the_store_to_another_process(tmp_path: Path, error: lmdb.Error) -> None:
    store, failing = failing_store(tmp_path / "store", error)
    failing.append(True)
    assert fill(store, 3) == (0, "S330")
    failing.clear()
    assert fill(store, 3) == (0, "S330")
    child = run_child("put_process", tmp_path / "store")
    assert child.communicate(timeout=60)[0] == "fine\n"
    reap(child)
    store.close()


def test_a_damaged_page_hurts_who_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its group are committed, and the process goes on; where nothing else comes of it, it gives up."""
    monkeypatch.setattr("flowmetal.store.committer.MAX_DAMAGED_COMMITS", 3)
    store = small_store(tmp_path / "store", size=1 << 24, limit=1 << 24)
    put = LmdbTransaction.put

    def damaged(self: LmdbTransaction, space: str, key: bytes, value: bytes) -> None:
        if b"damaged" in value:
            raise lmdb.PageNotFoundError("mdb_put")
        put(self, space, key, value)

    monkeypatch.setattr(LmdbTransaction, "put", damaged)
    for _ in range(3):
        assert store._committer is not None
        with store._committer._committing:
            futures = [store.submit([Post(1, "message", data)]) for data in (b"a", b"damaged", b"b")]
        assert [future.exception(60) for future in (futures[0], futures[2])] == [None, None]
        error = futures[1].exception(60)
        assert isinstance(error, StoreError) and error.code == "S108"
    codes = [store.submit([Post(1, "message", b"damaged")]).exception(60).code for _ in range(4)]  # type: ignore[union-attr]
    assert codes == ["S108", "S108", "S330", "S330"]
    assert [event.data for event in store.inbox(1)] == [b"", *(b"a", b"b") * 3]
    store.close()


def test_no_memory_to_open_the_store_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed disk, or to become the owner: reading goes on once there is memory."""
    store, failing = failing_store(tmp_path / "store", lmdb.Error("mdb_txn_commit", errno.EIO))
    opened = LmdbEngine._open
    refusals = [True]

    def without_memory(self: LmdbEngine, *, readonly: bool) -> Any:
        if refusals:
            raise lmdb.MemoryError("mdb_env_open")
        return opened(self, readonly=readonly)

    monkeypatch.setattr(LmdbEngine, "_open", without_memory)
    failing.append(True)
    assert fill(store, 1) == (0, "S330")
    assert store._committer is not None
    with store._committer._committing:  # by now it has given the store up
        pass
    for read in (lambda: store.inbox(1), store.stats):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.code == "S331"
    refusals.clear()
    assert [event.kind for event in store.inbox(1)] == ["start"]
    store.close()

    again = LmdbStore(tmp_path / "store", LmdbOptions(), time.time_ns, create=False)
    refusals.append(True)
    assert again.submit([Post(1, "message")]).exception(60).code == "S331"  # type: ignore[union-attr]
    refusals.clear()
    assert len(again.inbox(1)) == 1
    assert again.submit([Post(1, "message")]).result(60) == [True]
    again.close()


def test_housekeeping_after_the_environment_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner looks for dead readers in the environment that it has then."""
    store = small_store(tmp_path / "store", size=1 << 20, limit=1 << 30)
    engine = store.engine

    class Environment:
        def __init__(self, real: Any) -> None:
            self.real = real

        def set_mapsize(self, size: int) -> None:
            raise lmdb.MemoryError("mdb_env_set_mapsize")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    engine.environment = Environment(engine.environment)
    _, code = fill(store, 1000)
    assert code == "S331"
    assert store._server is not None and store._committer is not None
    store._server.housekeeping()
    assert store.submit([Post(1, "message")]).result(60) == [True]
    assert store._committer.broken is None
    store.close()


def test_housekeeping_waits_for_nobody_who_waits_for_its_transaction(tmp_path: Path) -> None:
    engine = small_store(tmp_path / "store", size=1 << 20, limit=1 << 30).engine
    looked = threading.Event()

    def alone() -> None:
        with engine._alone():
            pass

    def commit() -> None:
        with engine.writing():
            other.start()
            while not engine._resizing:
                time.sleep(0.001)
            engine.check_readers()
            looked.set()

    other = threading.Thread(target=alone, daemon=True)
    committer = threading.Thread(target=commit, daemon=True)
    committer.start()
    assert looked.wait(20)
    committer.join(20)
    other.join(20)
    assert not committer.is_alive() and not other.is_alive()


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_a_fault_between_a_commit_and_its_answers_is_no_refusal(tmp_path: Path, error: type[Exception]) -> None:
    """Whatever fails then, those whose commit is durable are told so."""
    faults: list[bool] = []

    def fault(point: str) -> None:
        if faults and point == "after commit":
            faults.clear()
            raise error

    store = small_store(tmp_path / "store", size=1 << 24, limit=1 << 24, fault=fault)
    faults.append(True)
    assert store.submit([Start("f", b"", name="p")]).result(60) == [(2, True)] and not faults
    assert store.submit([Start("f", b"", name="p")]).result(60) == [(3, True)]
    store.close()
