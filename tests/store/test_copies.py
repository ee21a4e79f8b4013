"""Backups of stores that are written meanwhile, by processes that are killed; and stores made of them."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.codec import decode_number
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Complete, Join, Post, PutArtifact, Request, Start, Take, Turn
from flowmetal.store.layout import MAX_NUMBER, META, PROCESSES, STATES, pid_key
from flowmetal.store.lives import LIVES, decode_lives, life_of
from flowmetal.store.lmdb_copies import YOUNG_SECONDS, _begin_life, backup, restore
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.reader import StoreReader
from flowmetal.store.rows import usual_key
from flowmetal.store.scrubbing import is_in_use, scrub_store
from flowmetal.values import Vector, encode_value
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
    # No pid that the old life may have given since.
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


def test_two_restores_of_one_backup_have_nothing_in_common(tmp_path: Path) -> None:
    """Within one second: neither pids nor ids of their lives; what was in the backup keeps its keys in both."""
    make(tmp_path / "store")
    backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
    pids, lives = [], []
    for name in ("a", "b"):
        restore(tmp_path / "backup", OPTIONS, tmp_path / name)
        store = open_store(tmp_path / name)
        pids.append(store.submit([Start("f", b"", name="p")]).result(60)[0][0])
        lives.append(store.lives())
        begins = [life_of(store.id, store.lives(), pid) for pid in (3, pids[-1])]
        assert begins == [store.id, store.lives()[0][1]] and pids[-1] == store.lives()[0][0]
        store.close()
    assert pids[0] != pids[1] and lives[0][0][1] != lives[1][0][1]
    # A life after that: processes of the one before keep its id.
    backup(tmp_path / "a", OPTIONS, tmp_path / "of-a")
    restore(tmp_path / "of-a", OPTIONS, tmp_path / "c")
    store = open_store(tmp_path / "c")
    assert store.lives()[0] == lives[0][0] and len(store.lives()) == 2
    assert life_of(store.id, store.lives(), pids[0]) == lives[0][0][1]
    pid = store.submit([Start("f", b"", name="p")]).result(60)[0][0]
    assert life_of(store.id, store.lives(), pid) == store.lives()[1][1]
    store.close()
    assert not scrub_store(tmp_path / "c", OPTIONS).found


def test_numbers_last_however_old_a_backup_is(tmp_path: Path) -> None:
    """A hundred restores of backups that are ten years old leave pids for a hundred more."""
    make(tmp_path / "store")
    engine = LmdbEngine(tmp_path / "store", OPTIONS, create=False)
    engine.become_writer()
    with engine.writing() as transaction:
        for _ in range(100):
            _begin_life(transaction, 10 * 365 * 86_400)
        assert decode_number(transaction.get(META, b"counter:pid") or b"") < MAX_NUMBER // 2
        assert decode_number(transaction.get(META, b"counter:arrivals") or b"") < 1 << 60
        lives = decode_lives(transaction.get(META, LIVES))
    assert [first for first, _ in lives] == sorted({first for first, _ in lives})
    engine.close()


def test_a_damaged_record_does_not_stop_backups(tmp_path: Path) -> None:
    """It stays damaged in the copy and is listed, so that its process does not begin anew; the others go on."""
    path = tmp_path / "store"
    make(path)
    store = open_store(path)
    store.submit([Join("me", 60_000), *(Post(pid, "message", b"m") for pid in (1, 2, 3))]).result(60)
    store.close()
    with Raw(path) as raw:
        raw.flip(STATES, pid_key(2))
        raw.flip("partitions", raw.items("partitions")[7][0])
        for name in (b"counter:pid", b"counter:arrivals"):
            raw.flip(META, name)
    assert code_of(lambda: backup(path, OPTIONS, tmp_path / "backup")) == "S319"
    found = backup(path, OPTIONS, tmp_path / "backup", even_damaged=True).report
    assert {one.space for one in found.findings if one.kind == "damaged"} == {STATES, "partitions", META}
    assert json.loads((tmp_path / "backup" / "backup.json").read_text())["damaged"] == found.found
    assert code_of(lambda: restore(tmp_path / "backup", OPTIONS, tmp_path / "again")) == "S319"
    assert restore(tmp_path / "backup", OPTIONS, tmp_path / "again", even_damaged=True).report.found == found.found
    store = open_store(tmp_path / "again")
    assert code_of(lambda: store.process(2)) == "S310"
    assert [event.data for event in store.inbox(3)] == [b"", b"m"]
    assert store.submit([Post(3, "message", b"n")]).result(60) == [True]
    assert [event.data for event in store.inbox(3)] == [b"", b"m", b"n"]
    assert store.submit([Start("f", b"", name="p")]).result(60)[0][0] > 1_000_000
    assert store.submit([Join("other", 60_000)]).result(60)[0].epochs[7] > 0
    store.close()


def test_damaged_pages_are_in_no_copy(tmp_path: Path) -> None:
    make(tmp_path / "store", count=300)
    backup(tmp_path / "store", OPTIONS, tmp_path / "backup")
    with (tmp_path / "backup" / "data.mdb").open("r+b") as file:
        for page in range(2, 12):
            file.seek(page * 4096)
            file.write(bytes(16))
    for even in (False, True):
        again = tmp_path / "again"
        assert code_of(
            lambda even=even, again=again: restore(tmp_path / "backup", OPTIONS, again, even_damaged=even)
        ) in (
            "S319",
            "S108",
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_what_copies_that_were_killed_have_left_is_removed(tmp_path: Path) -> None:
    make(tmp_path / "store")
    old = time.time() - 2 * YOUNG_SECONDS
    nobodys, young, held, other = (
        tmp_path / name for name in (".b.backing-up-1", ".b.backing-up-2", ".b.backing-up-3", ".[b].backing-up-4")
    )
    for folder in (nobodys, young, held, other):
        (folder / "interpreters").mkdir(parents=True)
        (folder / "data.mdb").write_bytes(b"x")
        if folder != young:
            os.utime(folder, (old, old))
    with locked(held):
        backup(tmp_path / "store", OPTIONS, tmp_path / "b")
    assert [one.exists() for one in (nobodys, young, held, other)] == [False, True, True, True]


def test_keys_of_requests_after_a_restore(tmp_path: Path) -> None:
    """A process of the backup goes on with the keys it had; a new one, whatever its number, has others."""
    source = "(ns a)\n(defn main [n] (perform :mail/send {:n n}) (perform :mail/send {:n n}) n)"
    path = tmp_path / "store"
    store = open_store(path)
    deploy(store, build_artifact({"a.fm": source}).data, "a")
    start = Start("a/main", encode_value(Vector.of([1])), name="a")
    old = store.submit([start]).result(60)[0][0]
    interpreter = Interpreter(store, Config())
    assert eventually_taken(interpreter, old).idempotency_key == usual_key(store.id, old, 1)
    interpreter.stop()
    store.close()
    backup(path, OPTIONS, tmp_path / "backup")
    restore(tmp_path / "backup", OPTIONS, tmp_path / "again")
    store = open_store(tmp_path / "again")
    assert store.open_requests(old)[0].idempotency_key == usual_key(store.id, old, 1)
    new = store.submit([start]).result(60)[0][0]
    taken = store.open_requests(old)[0]
    store.submit([Complete(old, 1, taken.attempt, True, encode_value(1))]).result(60)
    interpreter = Interpreter(store, Config())
    assert eventually_taken(interpreter, old).idempotency_key == usual_key(store.id, old, 2)
    assert eventually_taken(interpreter, new).idempotency_key == usual_key(store.lives()[0][1], new, 1)
    interpreter.stop()
    store.close()
    store = open_store(tmp_path / "again")
    assert store.open_requests(new)[0].idempotency_key == usual_key(store.lives()[0][1], new, 1)
    store.close()


def eventually_taken(interpreter: Interpreter, pid: int) -> Request:
    """The open request of a process, taken by a worker."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        interpreter.step()
        interpreter.store.submit([Take(("mail/send",), "worker", 10, 600_000)]).result(60)
        found = [one for one in interpreter.store.open_requests(pid) if one.state == "taken"]
        if found:
            return found[0]
    raise AssertionError("it asks for nothing")
