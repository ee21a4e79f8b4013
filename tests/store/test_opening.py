"""Opening: addresses, making a store whole or not at all, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import lmdb
import pytest

from flowmetal.store import StoreError, committer, lmdb_files, open_store
from flowmetal.store.codec import encode_about
from flowmetal.store.interface import Fire, Operate, Post, PutArtifact, Start
from flowmetal.store.layout import FORMAT, SPACE_NAMES
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_files import ENGINE, file_system_of
from flowmetal.store.lmdb_options import DURABILITIES
from flowmetal.store.opening import StoreHandle, parse_address
from flowmetal.values import Vector, encode_value
from tests.store.support import HASH, ROOT, eventually, is_root, run_child


def refused(*arguments: object, **more: object) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(*arguments, **more)  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    "address, path, options",
    [
        ("lmdb:///a/b", "/a/b", {}),
        ("lmdb:/a/b", "/a/b", {}),
        ("/a/./b/../c", "/a/c", {}),
        (Path("/a/memory:"), "/a/memory:", {}),
        ("/a:b/c", "/a:b/c", {}),
        ("lmdb:///a%20b?map_limit=10000000", "/a b", {"map_limit": 10_000_000}),
        ("lmdb:///a?network=allow", "/a", {"allow_network": True}),
    ],
)
def test_addresses(address: str, path: str, options: dict[str, object]) -> None:
    found, settings = parse_address(address)
    assert str(found) == path
    for name, value in options.items():
        assert getattr(settings, name) == value


@pytest.mark.parametrize(
    "address",
    [
        "",
        "\x00",
        "postgresql://x/y",
        "http://x",
        "http:",
        "htp:x",
        "memory:x",
        "lmdb:",
        "lmdb://",
        "lmdb://host/a",
        "lmdb:///a#b",
        "lmdb:///a?x=1",
        "lmdb:///a?map_limit=-5",
        "lmdb:///a?map_limit=10",
        "lmdb:///a?network=yes",
        "lmdb:///a?durability=none",
    ],
)
def test_bad_addresses(address: str) -> None:
    assert refused(address) == "S109"


@pytest.mark.parametrize("durability", list(DURABILITIES))
def test_durabilities_keep_what_was_written(tmp_path: Path, durability: str) -> None:
    url = f"lmdb://{tmp_path}/store?durability={durability}"
    for number in range(3):
        store = open_store(url)
        assert store.stats()["durability"] == durability
        assert len(store.deployed()) == number
        store.submit([PutArtifact(HASH, b"x", f"p{number}")], here=number % 2 == 0).result(60)
        store.close()


def test_the_safest_durability_is_the_default(tmp_path: Path) -> None:
    assert parse_address("lmdb:///a")[1].durability == parse_address(tmp_path)[1].durability == "every-commit"


def test_a_safer_durability_than_there_is_is_refused(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}/store?durability=lose-store-on-power-loss"
    store = open_store(url)
    store.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "store")
    assert caught.value.code == "S117"
    other = run_child("put_process", tmp_path / "store")
    assert other.communicate(timeout=60)[0] == "S117\n"
    same = run_child("put_process", url)
    assert same.communicate(timeout=60)[0] == "fine\n"
    store.close()
    safe = open_store(tmp_path / "store")
    safe.submit([Fire(0)]).result(60)
    less = run_child("put_process", url)  # asks for less than it gets
    assert less.communicate(timeout=60)[0] == "fine\n"
    assert len(safe.deployed()) == 3  # the first one, and two of other processes
    safe.close()


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("store")[0] == tmp_path / "store"


def test_a_store_keeps_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "store"
    store = open_store(path)
    identity, url = store.id, store.url
    assert store.stats()["role"] == "reader"  # it has not written
    store.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    assert store.stats()["role"] == "owner"
    store.close()
    again = open_store(url, create=False)
    assert (again.id, again.deployed()) == (identity, {"p": HASH})
    again.close()
    assert sorted(os.listdir(path.parent)) == ["store"]  # nothing is left of making it
    assert os.stat(path).st_mode & 0o077 == 0 and os.stat(path / "data.mdb").st_mode & 0o077 == 0


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    assert (tmp_path / "data.mdb").exists()


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "none", create=False) == "S101"
    assert refused(tmp_path, create=False) == "S101"
    assert not (tmp_path / "none").exists()


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(tmp_path) == "S102"
    assert refused(tmp_path, create=False) == "S101"
    assert refused(tmp_path / "notes.txt") == "S106"
    assert refused(tmp_path / "notes.txt" / "store") == "S106"
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.skipif(is_root(), reason="root may do everything")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert refused(tmp_path / "store") == "S107"
    tmp_path.chmod(0o700)


def test_a_file_system_that_cannot_be_written() -> None:
    assert refused("/proc/flowmetal-store") in ("S107", "S111")


def rewrite_about(path: Path, about: bytes | None) -> None:
    environment = lmdb.open(str(path), max_dbs=32, map_size=1 << 24, lib_version=0)
    meta = environment.open_db(b"meta")
    with environment.begin(write=True) as transaction:
        if about is None:
            transaction.delete(b"about", db=meta)
        else:
            transaction.put(b"about", about, db=meta)
    environment.close()


@pytest.mark.parametrize(
    "about, code",
    [
        (encode_about(FORMAT + 1, ENGINE, "id", 1), "S103"),
        (encode_about(0, ENGINE, "id", 1), "S103"),
        (b"\x91\x07", "S103"),
        (encode_about(FORMAT, "lmdb 1.0", "id", 1), "S104"),
        (encode_about(FORMAT, ENGINE, "id", 1)[:-1] + b"\x00", "S108"),
        (b"\xc1", "S108"),
        (b"\x90", "S108"),
        (None, "S108"),
    ],
)
def test_other_formats_are_refused_and_left_alone(tmp_path: Path, about: bytes | None, code: str) -> None:
    path = tmp_path / "store"
    open_store(path).close()
    rewrite_about(path, about)
    before = (path / "data.mdb").read_bytes()
    assert refused(path) == code
    assert (path / "data.mdb").read_bytes() == before


def test_an_environment_without_our_key_spaces(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path), lib_version=0).close()
    assert refused(tmp_path) == "S108"


def test_network_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_system_of(tmp_path) not in ("", "nfs")
    assert file_system_of(Path("/proc/self")) == "proc"
    monkeypatch.setattr(lmdb_files, "file_system_of", lambda path: "nfs4")
    assert refused(tmp_path / "store") == "S105"
    store = open_store(f"lmdb://{tmp_path}/store?network=allow")
    assert store.submit([Fire()]).result(60) == [0]
    store.close()


def test_making_at_the_same_time(tmp_path: Path) -> None:
    """Several threads stand for several processes: making does not know of others."""
    path = tmp_path / "store"
    threads = [threading.Thread(target=lmdb_files.make_store, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store(path, create=False)
    assert store.stats()["format"] == FORMAT
    store.close()
    assert os.listdir(tmp_path) == ["store"]


def test_what_a_killed_maker_left_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".store.making-1", tmp_path / ".store.making-2"
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    open_store(tmp_path / "store").close()
    assert not old.exists() and new.exists()


def test_two_openings_in_one_process_share_a_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # another test's store may be open still
    first, second = open_store(tmp_path / "store"), open_store(f"lmdb://{tmp_path}/store")
    assert isinstance(first, StoreHandle) and isinstance(second, StoreHandle)
    assert first.store is second.store
    seen: list[object] = []
    second.watch(seen.extend)
    first.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    assert second.deployed() == {"p": HASH}
    second.close()
    second.close()
    with pytest.raises(StoreError) as caught:
        second.deployed()
    assert caught.value.code == "S114"
    assert first.deployed() == {"p": HASH}
    first.close()
    third = open_store(tmp_path / "store")
    assert isinstance(third, StoreHandle) and third.store is not first.store
    third.close()

    def left() -> list[str]:
        begun = set(threading.enumerate()) - before
        return sorted(thread.name for thread in begun if thread.name.startswith("flowmetal-"))

    end = time.monotonic() + 10
    while left():
        assert time.monotonic() < end, left()
        time.sleep(0.01)


def test_the_end_of_a_program_closes_its_stores(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom flowmetal.store import open_store\nfrom flowmetal.store.interface import PutArtifact\n"
        "store = open_store(sys.argv[1])\nstore.submit([PutArtifact(b'h', b'x', 'p')])\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], check=True, cwd=ROOT, timeout=30)
    store = open_store(tmp_path / "store", create=False)
    assert store.deployed() == {"p": b"h"}
    assert (tmp_path / "store" / "owner.lock").read_bytes() == b""  # it left in order, and its socket is gone
    store.close()


def test_after_a_sync_that_failed_nothing_more_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commits are in the store and their pages may be gone: a second sync would say yes without writing them."""
    monkeypatch.setattr(committer, "SYNC_SECONDS", 0.0)
    store = open_store(f"lmdb://{tmp_path}/store?durability=lose-last-commit-on-power-loss")

    def fail(engine: LmdbEngine) -> None:
        raise lmdb.DiskError("mdb_env_sync: No space left on device")

    monkeypatch.setattr(LmdbEngine, "sync", fail)
    with suppress(StoreError):  # opening writes too, so that the sync may have failed already
        store.submit([PutArtifact(HASH, b"x", "p")]).result(60)

    def refused() -> bool:
        try:
            store.submit([PutArtifact(HASH, b"x", "q")]).result(60)
        except StoreError as error:
            return error.code in ("S301", "S330", "S305")
        return False

    eventually(refused)
    store.close()


def test_a_store_of_format_2_is_brought_up(tmp_path: Path) -> None:
    """A store as format 2 has it: without the key spaces that came after, and with a child's pid in an inbox."""
    path = tmp_path / "store"
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code", "deploy"), Start("deploy/main", b"args", name="deploy", id="old")]).result(
        60
    )
    store.submit([Post(1, "spawned", b"7", 3)]).result(60)
    store_id = store.id
    store.close()
    environment = lmdb.open(str(path), max_dbs=100, map_size=1 << 24)
    meta = environment.open_db(b"meta", create=False)
    with environment.begin(write=True) as transaction:
        for space in SPACE_NAMES:
            if space not in SPACES_OF_FORMAT_2:
                transaction.drop(environment.open_db(space.encode(), transaction, create=False))
                continue
            handle = environment.open_db(space.encode(), transaction, create=False)
            for key, stored in list(transaction.cursor(handle)):  # without seals, as it was
                transaction.put(key, stored[:-5], db=handle)
        transaction.put(b"about", encode_about(2, ENGINE, store_id, 5), db=meta)
    environment.close()

    for create in (False, True):  # the second time there is nothing left to do
        store = open_store(path, create=create)
        assert (store.id, store.stats()["format"], store.stats()["made_at"]) == (store_id, FORMAT, 5)
        assert set(store.stats()["entries"]) == set(SPACE_NAMES)
        record = store.process_by_id("old")
        assert record is not None and (record.pid, record.status) == (1, "ready")
        assert [(event.kind, event.data) for event in store.inbox(1)] == [("start", b"args"), ("spawned", b"7")]
        payload = encode_value(Vector.of(["key", create]))
        assert store.submit([Operate("kv/put", payload)]).result(60) == [encode_value(None)]
        store.close()


#: What a store of format 2 was made with.
SPACES_OF_FORMAT_2 = frozenset(
    {
        "meta",
        "artifacts",
        "deployed",
        "processes",
        "origins",
        "states",
        "attributes",
        "ids",
        "statuses",
        "calls",
        "log",
        "checkpoints",
        "texts",
        "results",
        "inbox",
        "ready",
        "requests",
        "queue",
        "timers",
        "due",
        "tokens",
        "forget",
        "interpreters",
        "partitions",
        "clients",
    }
)


def test_a_transaction_that_cannot_be_made_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else closing would wait for it for ever."""
    store = open_store(tmp_path / "s")
    store.submit([Fire(0)]).result(60)
    engine = store.store.engine  # type: ignore[attr-defined]

    def fail(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("flowmetal.store.lmdb_transaction.LmdbTransaction.__init__", fail)
        for block in (engine.reading, engine.writing):
            with pytest.raises(MemoryError), block():
                pass
            assert engine._transactions == 0
    assert store.submit([Fire(0)]).result(60) is not None
    store.close()
