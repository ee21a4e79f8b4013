"""Backups of stores that are written meanwhile, by processes that are killed; and stores made of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowmetal.store import open_store
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Join, Post, PutArtifact, Start, Turn
from flowmetal.store.layout import PROCESSES, STATES, pid_key
from flowmetal.store.lmdb_copies import backup, restore
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.reader import StoreReader
from flowmetal.store.rows import usual_key
from flowmetal.store.scrubbing import is_in_use, scrub_store
from tests.store.support import HASH
from tests.store.test_sealing import Raw, code_of

OPTIONS = LmdbOptions()

WRITER = """
import sys
from flowmetal.store import open_store
from flowmetal.store.interface import Post
store = open_store(sys.argv[1])
number = len(store.inbox(1, 10_000, True)) - 1
while number < 9000:
    assert store.submit([Post(1, "message", b"%d" % number)]).result(60) == [True]
    number += 1
    print(number, flush=True)
"""


def make(path: Path, count: int = 3) -> str:
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code", "p"), *(Start("f", b"", name="p") for _ in range(count))]).result(60)
    store_id = store.id
    store.close()
    return store_id


def kill_writers(path: Path, stop: threading.Event, acknowledged: list[int], chance: random.Random) -> None:
    """Writers one after the other, each killed after a while."""
    while not stop.is_set():
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        end = time.monotonic() + 0.3 + chance.random() * 0.4
        for line in writer.stdout:
            acknowledged[0] = int(line)
            if time.monotonic() > end:
                break
        writer.kill()
        writer.stdout.close()
        writer.wait()


def test_backups_under_writers_that_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store_id = make(path)
    acknowledged, stop = [0], threading.Event()
    thread = threading.Thread(target=kill_writers, args=(path, stop, acknowledged, random.Random(1)))
    thread.start()
    backups = []
    try:
        while acknowledged[0] < 20:
            time.sleep(0.01)
        for number in range(2):
            before = acknowledged[0]
            place = tmp_path / f"backup{number}"
            copied = backup(path, OPTIONS, place)
            assert copied.store == store_id and copied.report.found == 0
            backups.append((place, before))
    finally:
        stop.set()
        thread.join()
    for place, before in backups:
        restored = tmp_path / ("restored-" + place.name)
        assert restore(place, OPTIONS, restored).store == store_id
        store = open_store(restored)
        messages = [int(event.data) for event in store.inbox(1, 10_000)[1:]]
        assert messages == list(range(len(messages)))
        assert len(messages) >= before  # more may be there: what a killed writer had said and nobody had read yet
        assert store.submit([Post(1, "message", b"on")]).result(60) == [True]
        store.close()
    assert sorted(one for one in os.listdir(tmp_path) if one.startswith(".")) == []
    assert not scrub_store(path, OPTIONS).found


def test_a_backup_is_read_and_not_written(tmp_path: Path) -> None:
    make(tmp_path / "store")
    backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
    reader = StoreReader(str(tmp_path / "backup"))
    assert len(reader.processes()) == 3
    reader.close()
    store = open_store(tmp_path / "backup")
    assert code_of(lambda: store.submit([Post(1, "message", b"")]).result(60)) == "S317"
    assert code_of(lambda: store.submit([Post(1, "message", b"")]).result(60)) == "S317"
    store.close()


def test_who_opens_to_write_is_told_of_a_backup_at_once(tmp_path: Path) -> None:
    make(tmp_path / "store")
    backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
    assert code_of(lambda: open_store(tmp_path / "backup", to_write=True)) == "S317"
    open_store(tmp_path / "store", to_write=True).close()
    open_store(tmp_path / "new", to_write=True).close()


def test_copies_are_for_their_owner_only(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        make(tmp_path / "store")
        backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
        reader = StoreReader(str(tmp_path / "backup"))
        assert len(reader.processes()) == 3
        reader.close()
        restore(tmp_path / "backup", OPTIONS, tmp_path / "again")
        store = open_store(tmp_path / "again")
        store.submit([Post(1, "message", b"")]).result(60)
        store.close()
    finally:
        os.umask(umask)
    for place in ("store", "backup", "again"):
        for one in (tmp_path / place, *(tmp_path / place).rglob("*")):
            assert one.stat().st_mode & 0o777 == (0o700 if one.is_dir() else 0o600), one


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path: Path) -> None:
    make(tmp_path / "store")
    backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
    assert code_of(lambda: backup(tmp_path / "store", OPTIONS, tmp_path / "backup")) == "S318"
    assert code_of(lambda: restore(tmp_path / "backup", OPTIONS, tmp_path / "store")) == "S318"
    assert code_of(lambda: backup(tmp_path / "none", OPTIONS, tmp_path / "other")) == "S101"
    assert code_of(lambda: restore(tmp_path / "none", OPTIONS, tmp_path / "other")) == "S101"
    with Raw(tmp_path / "backup") as raw:
        raw.flip(PROCESSES, pid_key(2))
    (tmp_path / "store" / "keep").write_bytes(b"")
    assert code_of(lambda: restore(tmp_path / "backup", OPTIONS, tmp_path / "other")) == "S319"
    with Raw(tmp_path / "store") as raw:
        raw.flip(STATES if raw.items(STATES) else PROCESSES, raw.items(PROCESSES)[0][0])
    assert code_of(lambda: backup(tmp_path / "store", OPTIONS, tmp_path / "other")) == "S319"
    assert sorted(os.listdir(tmp_path)) == ["backup", "store"]


def test_an_interpreter_of_the_old_store_can_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store_id = make(path)
    backup(path, OPTIONS, tmp_path / "backup")
    store = open_store(path)
    old = store.submit([Join("old", 600_000)]).result(60)[0].epochs
    for _ in range(5):  # the epochs of the lost store rose after the backup
        store.submit([Join("other", 600_000)]).result(60)
    turn = Turn(1, old[1], 0, "waiting", ((0, 0, b"event", b""),), 1)
    assert store.process(1) is not None
    store.close()
    restore(tmp_path / "backup", OPTIONS, tmp_path / "again")
    store = open_store(tmp_path / "again")
    assert store.id == store_id and usual_key(store.id, 1, 2) == usual_key(store_id, 1, 2)
    assert store.submit([turn]).result(60) == [False]
    # No pid that the old life may have given since, of which its idempotency keys were made.
    assert store.submit([Start("f", b"", name="p")]).result(60)[0][0] > 1_000_000
    new = store.submit([Join("old", 600_000)]).result(60)[0].epochs
    assert min(new.values()) > max(old.values()) + 1_000_000
    assert store.submit([turn]).result(60) == [False]
    assert store.submit([Turn(1, new[1], 0, "waiting", ((0, 0, b"event", b""),), 1)]).result(60) == [True]
    store.close()


def test_a_copy_of_an_encrypted_store(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from flowmetal.store.keys import KeySource
    from flowmetal.store.lmdb_copies import encrypt

    make(tmp_path / "store")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("ab" * 32)
    source = KeySource("file", str(tmp_path / "key"))
    encrypt(tmp_path / "store", OPTIONS, source)
    with_key = LmdbOptions(key=source)
    assert code_of(lambda: backup(tmp_path / "store", OPTIONS, tmp_path / "backup")) == "S312"
    assert backup(tmp_path / "store", with_key, tmp_path / "backup").report.plain == 0
    assert restore(tmp_path / "backup", with_key, tmp_path / "again").report.encrypted > 0
    assert not scrub_store(tmp_path / "again", with_key).found


def test_what_an_encryption_that_was_killed_has_left_is_removed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from flowmetal.store.keys import KeySource
    from flowmetal.store.lmdb_copies import encrypt

    path = tmp_path / "store"
    make(path)
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("ab" * 32)
    source = KeySource("file", str(tmp_path / "key"))
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom flowmetal.store import lmdb_copies\n"
        "from flowmetal.store.keys import KeySource\nfrom flowmetal.store.lmdb_options import LmdbOptions\n"
        "lmdb_copies._looked_through = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "lmdb_copies.encrypt(Path(sys.argv[1]), LmdbOptions(), KeySource('file', sys.argv[2]))\n"
    )
    killed = [sys.executable, "-c", script, str(path), str(tmp_path / "key")]
    for _ in range(2):  # the second removes what the first has left
        assert subprocess.run(killed, check=False, timeout=60).returncode == -9
        (left,) = path.glob(".encrypting-*")
        assert (left / "data.mdb").is_file()
    reader = StoreReader(str(path))
    assert len(reader.processes()) == 3
    reader.close()
    assert left.exists()  # a reader knows nothing of who is encrypting
    store = open_store(path)
    store.submit([Post(1, "message", b"")]).result(60)
    store.close()
    assert not list(path.glob(".encrypting-*"))
    assert subprocess.run(killed, check=False, timeout=60).returncode == -9
    assert encrypt(path, OPTIONS, source).report.plain == 0
    assert not list(path.glob(".encrypting-*"))


def test_encrypting_what_is_in_use(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from flowmetal.store.keys import KeySource
    from flowmetal.store.lmdb_copies import encrypt

    make(tmp_path / "store")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("ab" * 32)
    source = KeySource("file", str(tmp_path / "key"))
    script = "import sys\nfrom flowmetal.store.reader import StoreReader\nstore = StoreReader(sys.argv[1])\nprint(len(store.processes()), flush=True)\nsys.stdin.read()\n"
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "3\n"
    assert code_of(lambda: encrypt(tmp_path / "store", OPTIONS, source)) == "S320"
    reader.communicate()
    store = open_store(tmp_path / "store")
    store.submit([Post(1, "message", b"")]).result(60)
    assert is_in_use(tmp_path / "store") == os.getpid()
    assert code_of(lambda: encrypt(tmp_path / "store", OPTIONS, source)) == "S320"
    store.close()
    assert encrypt(tmp_path / "store", OPTIONS, source).report.plain == 0


def test_a_store_in_use_is_no_backup(tmp_path: Path) -> None:
    """What is copied while it is written is not the state of one moment."""
    make(tmp_path / "store")
    store = open_store(tmp_path / "store")
    store.submit([Post(1, "message", b"")]).result(60)
    with pytest.raises(StoreError) as caught:
        restore(tmp_path / "store", OPTIONS, tmp_path / "again")
    assert caught.value.code == "S320" and not (tmp_path / "again").exists()
    store.close()
    restore(tmp_path / "store", OPTIONS, tmp_path / "again")  # a copy that was made of a store at rest will do
