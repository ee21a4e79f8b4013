"""Encryption at rest: keys and where they come from, what is refused, rotation while the store is written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from zlib import crc32

import pytest

from flowmetal.store import StoreError, open_store
from flowmetal.store.addresses import parse_address
from flowmetal.store.encryption import NONCE_BYTES, DataCipher
from flowmetal.store.interface import Post, PutArtifact, Rekey, Start, Store
from flowmetal.store.keys import KeySource, find_source, key_setting
from flowmetal.store.layout import PROCESSES, SPACE_NAMES, STATES, pid_key
from flowmetal.store.lmdb_copies import backup, encrypt, restore, wrapped_anew
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.memory import MemoryStore
from flowmetal.store.scrubbing import scrub_store
from flowmetal.store.sealing import TRAILER_BYTES, Seals
from tests.store.support import HASH, run_child
from tests.store.test_sealing import Raw, code_of

pytest.importorskip("cryptography")

SECRET = b"this is what nobody is to read"


def key_file(path: Path, byte: int = 1) -> Path:
    path.touch(0o600)
    path.write_text(bytes([byte] * 32).hex() + "\n")
    return path


def address(path: Path, key: Path) -> str:
    return f"lmdb://{path}?key_file={key}"


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[Path, Path]:
    path, key = tmp_path / "store", key_file(tmp_path / "key")
    store = open_store(path)
    starts = [Start("f", SECRET, name="p", id=f"id{number}") for number in range(50)]
    store.submit([PutArtifact(HASH, b"code", "p"), *starts]).result(60)
    store.close()
    report = encrypt(path, LmdbOptions(), KeySource("file", str(key))).report
    assert report.plain == 0 and report.encrypted == report.records > 150
    return path, key


def test_nothing_of_the_values_is_in_the_file(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    assert SECRET not in (path / "data.mdb").read_bytes()
    store = open_store(address(path, key))
    assert store.inbox(7)[0].data == SECRET
    assert store.submit([Post(7, "message", SECRET[::-1])]).result(60) == [True]
    store.close()
    data = (path / "data.mdb").read_bytes()
    assert SECRET not in data and SECRET[::-1] not in data
    assert sorted(os.listdir(path)) == ["clock", "data.mdb", "interpreters", "lock.mdb", "owner.lock"]


def test_wrong_and_missing_keys(encrypted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = encrypted
    before = (path / "data.mdb").read_bytes()
    other = key_file(tmp_path / "other", 2)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert code_of(lambda: open_store(path)) == "S312"
    assert code_of(lambda: open_store(address(path, other))) == "S313"
    assert code_of(lambda: open_store(address(path, empty))) == "S311"
    assert code_of(lambda: open_store(address(path, tmp_path / "none"))) == "S311"
    assert code_of(lambda: open_store(f"lmdb://{path}?key_env=NOT_SET_ANYWHERE")) == "S311"
    assert code_of(lambda: open_store(f"lmdb://{path}?key_file={key}&key_env=X")) == "S109"
    assert code_of(lambda: encrypt(path, LmdbOptions(), KeySource("file", str(key)))) == "S316"
    assert (path / "data.mdb").read_bytes() == before
    for variable, value in (
        ("FLOWMETAL_STORE_KEY_FILE", str(key)),
        ("FLOWMETAL_STORE_KEY", key.read_text()),
        ("FLOWMETAL_STORE_KEY_COMMAND", f"cat '{key}'"),
    ):
        monkeypatch.setenv(variable, value)
        store = open_store(path)
        assert store.process(3) is not None
        store.close()
        monkeypatch.delenv(variable)
    plain = tmp_path / "plain"
    open_store(plain).close()
    assert code_of(lambda: open_store(address(plain, key))) == "S315"


@pytest.mark.parametrize(
    "source",
    [
        KeySource("command", ("false",)),
        KeySource("command", ("/does/not/exist",)),
        KeySource("command", ("echo", "no key")),
        KeySource("command", ("echo", "00" * 31)),
        KeySource("file", "/proc/self/mem"),
        KeySource("env", "A=B"),
    ],
)
def test_sources_without_a_key(source: KeySource) -> None:
    error = code_of(source.fetch)
    assert error == "S311"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    key = key_file(tmp_path / "key")
    source = KeySource("file", str(key))
    for fine in (0o600, 0o400, 0o440, 0o640):
        key.chmod(fine)
        assert source.fetch() == b"\x01" * 32
    key.chmod(mode)
    with pytest.raises(StoreError) as caught:
        source.fetch()
    assert caught.value.code == "S311" and f"{mode:04o}" in str(caught.value) and "chmod 600" in str(caught.value)


def test_settings_of_keys() -> None:
    assert key_setting({"file": "k"}) == KeySource("file", "k")
    assert key_setting({"command": ["a", "b"]}) == KeySource("command", ("a", "b"))
    for wrong in ({}, {"file": ""}, {"file": "a", "env": "b"}, {"command": "a b"}, {"command": []}, "k", {"kms": "x"}):
        assert key_setting(wrong) is None
    assert find_source(KeySource("env", "X")) == KeySource("env", "X")


def test_without_the_library(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    script = (
        "import sys\nfor name in ('cryptography', 'cryptography.exceptions'): sys.modules[name] = None\n"
        "from flowmetal.store import StoreError, open_store\n"
        f"try: open_store({address(path, key)!r})\nexcept StoreError as error: print(error.code, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.startswith("S314"), ran


def test_a_plain_program_does_not_load_it() -> None:
    script = (
        "import sys\nimport flowmetal.store.lmdb_engine, flowmetal.store.opening\nprint('cryptography' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"


def test_records_cannot_stand_in_for_others(encrypted: tuple[Path, Path]) -> None:
    """Not in another place, not from another store, not from before, not without encryption."""
    path, key = encrypted
    with Raw(path) as raw:
        inbox = dict(raw.items("inbox"))
        first, second = list(inbox)[:2]
        raw.put("inbox", first, restamped("inbox", first, inbox[second]))
        raw.put("processes", pid_key(5), Seals().seal("processes", pid_key(5), b"plain"))
        stored = dict(raw.items("processes"))[pid_key(6)]
        raw.put("processes", pid_key(6), restamped("processes", pid_key(6), stored[:-TRAILER_BYTES], kind=9))
    store = open_store(address(path, key))
    for read in (lambda: store.inbox(1), lambda: store.process(5), lambda: store.process(6)):
        assert code_of(read) == "S310"
    assert store.process(7) is not None
    store.close()
    report = scrub_store(*parse_address(address(path, key)))
    assert (report.found, {finding.kind for finding in report.findings}) == (3, {"damaged"})


def restamped(space: str, key: bytes, stored: bytes, kind: int | None = None) -> bytes:
    """With a checksum that is right, as somebody can make who has no key."""
    body = stored[:-4] if kind is None else stored + bytes((kind,))
    plain = Seals().seal(space, key, body[:-1])
    seed = crc32(key, crc32(space.encode()))
    assert plain[-4:] == crc32(body[:-1] + b"\x00", seed).to_bytes(4, "little")
    return body + crc32(body, seed).to_bytes(4, "little")


def test_every_flip_is_found_and_nonces_differ() -> None:
    seals = Seals(DataCipher("id", {1: bytes(32), 2: b"2" * 32}, 2))
    for value in (b"", b"\x00", b"value" * 20):
        stored = seals.seal(STATES, b"key", value)
        assert seals.open(STATES, b"key", stored) == value
        for bit in range(8 * len(stored)):
            flipped = bytearray(stored)
            flipped[bit // 8] ^= 1 << bit % 8
            assert code_of(lambda flipped=flipped: seals.open(STATES, b"key", bytes(flipped))) == "S310"
    nonces = {seals.seal(STATES, b"key", b"")[:NONCE_BYTES] for _ in range(20_000)}
    assert len(nonces) == 20_000
    other = Seals(DataCipher("other", {2: b"2" * 32}, 2))
    assert code_of(lambda: other.open(STATES, b"key", seals.seal(STATES, b"key", b"v"))) == "S310"


def generations(path: Path) -> set[int]:
    with Raw(path) as raw:
        return {
            stored[-TRAILER_BYTES]
            for space in SPACE_NAMES
            for key, stored in raw.items(space)
            if key not in (b"about", b"seal")
        }


def rotate(store: Store) -> tuple[int, int]:
    """(generation, records)."""
    generation = store.submit([Rekey("begin")]).result(60)[0][0]
    count = 0
    while True:
        current, records, done = store.submit([Rekey("go-on")]).result(60)[0]
        count += records
        assert current == generation
        if done:
            return generation, count


def test_rotation_under_writes_and_readers(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    assert generations(path) == {1}
    store = open_store(address(path, key))
    child = run_child("reader_process", address(path, key))
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "1\n"
    stop = threading.Event()
    written = []

    def write() -> None:
        while not stop.is_set():
            written.append(store.submit([Post(1, "message", b"m%d" % len(written))]).result(60))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [rotate(store)[0] for _ in range(3)] == [2, 3, 4]
    finally:
        stop.set()
        writer.join()
    child.stdin.write("again\n")
    child.stdin.flush()
    assert child.stdout.readline() == f"{len(written) + 1}\n"
    child.stdin.close()
    assert child.wait(60) == 0
    child.stdout.close()
    assert [event.data for event in store.inbox(1, 10_000)][1:] == [b"m%d" % n for n in range(len(written))]
    store.close()
    assert generations(path) == {4}
    assert not scrub_store(*parse_address(address(path, key))).found


def test_a_rotation_that_was_cut_goes_on(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    store = open_store(address(path, key))
    assert store.submit([Rekey("begin")]).result(60) == [(2, 0, False)]
    store.submit([Post(1, "message", b"old key")]).result(60)
    store.close()
    store = open_store(address(path, key))
    store.submit([Post(1, "message", b"new key")]).result(60)
    assert rotate(store)[0] == 2
    assert [event.data for event in store.inbox(1)][1:] == [b"old key", b"new key"]
    store.close()
    assert generations(path) == {2}


def test_rotation_through_the_owner(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    script = (
        "import sys\nfrom flowmetal.store import open_store\nfrom flowmetal.store.interface import Fire\n"
        f"store = open_store({address(path, key)!r})\nstore.submit([Fire(0)]).result(60)\n"
        "print(store.stats()['role'], flush=True)\nsys.stdin.read()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owner\n"
        store = open_store(address(path, key), create=False)
        assert rotate(store)[0] == 2
        assert store.process(9) is not None and store.stats()["role"] == "attached"
        store.close()
    finally:
        owner.kill()
        owner.communicate()
    assert generations(path) == {2}


def test_messages_about_keys_name_what_is_wrong(
    encrypted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = encrypted
    other = tmp_path / "other-key"
    other.touch(0o600)
    other.write_text("cd" * 32)
    with_key, with_other = (LmdbOptions(key=KeySource("file", str(one))) for one in (key, other))
    # Encrypted already, whatever key is given or in the environment.
    for one in (key, other):
        with pytest.raises(StoreError, match="encrypted already") as caught:
            encrypt(path, LmdbOptions(), KeySource("file", str(one)))
        assert caught.value.code == "S316"
        monkeypatch.setenv("FLOWMETAL_STORE_KEY_FILE", str(other))
    monkeypatch.delenv("FLOWMETAL_STORE_KEY_FILE")
    # A backup with another key: named as it is, not as what was to be made of it.
    backup(path, with_key, tmp_path / "backup")
    with pytest.raises(StoreError) as caught:
        restore(tmp_path / "backup", with_other, tmp_path / "again")
    assert (caught.value.code, caught.value.facts["path"]) == ("S313", str(tmp_path / "backup"))
    # Whoever writes has the key from before a rewrap.
    store = open_store(address(path, key))
    wrapped, seen = wrapped_anew(store, bytes.fromhex("cd" * 32))
    store.submit([Rekey("wrap", tuple(wrapped), seen)]).result(60)
    with pytest.raises(StoreError, match=rf"\({os.getpid()}\) still has the key from before") as caught:
        store.submit([Rekey("begin")]).result(60)
    assert caught.value.code == "S316"
    store.close()
    store = open_store(address(path, other))
    assert rotate(store)[0] == 2
    store.close()


def test_what_has_no_keys(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    assert code_of(lambda: store.submit([Rekey("begin")]).result(60)) == "S316"
    store.close()
    assert code_of(lambda: MemoryStore().submit([Rekey("begin")]).result()) == "S316"
    assert code_of(lambda: encrypt(tmp_path / "none", LmdbOptions(), KeySource("env", "PATH"))) == "S311"


def test_the_next_owner_after_a_rewrap_fetches_the_key_again(encrypted: tuple[Path, Path]) -> None:
    """One that was attached all the time opened the store with the key that wraps nothing any more."""
    path, key = encrypted
    script = (
        "import sys\nfrom flowmetal.store import open_store\nfrom flowmetal.store.interface import Fire\n"
        f"store = open_store({address(path, key)!r})\nstore.submit([Fire(0)]).result(60)\n"
        "print(store.stats()['role'], flush=True)\nsys.stdin.read()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    store = None
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owner\n"
        store = open_store(address(path, key), create=False)
        wrapped, seen = wrapped_anew(store, bytes([2] * 32))
        store.submit([Rekey("wrap", tuple(wrapped), seen)]).result(60)
        key_file(key, 2)
        owner.kill()
        owner.wait()
        assert store.submit([Post(7, "message", b"after")]).result(60) == [True]
        assert store.stats()["role"] == "owner" and store.process(9) is not None
        assert rotate(store)[0] == 2
    finally:
        owner.kill()
        owner.communicate()
        if store is not None:
            store.close()


def test_a_key_of_the_settings_asks_for_an_encrypted_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain"
    open_store(path).close()
    source = KeySource("file", str(key_file(tmp_path / "key")))
    monkeypatch.setattr("flowmetal.store.keys.fallbacks", [lambda: source])
    assert code_of(lambda: open_store(path)) == "S315"
    assert code_of(lambda: open_store(tmp_path / "new")) == "S315"


def test_a_data_key_that_is_taken_back_seals_nothing(encrypted: tuple[Path, Path]) -> None:
    """A list of commands begins a rotation and is then refused: what others wrote in the same commit can be read."""
    path, key = encrypted
    store = open_store(address(path, key))
    store.submit([Post(1, "message")]).result(60)
    refused_too_late = [Rekey("begin"), Rekey("go-on"), Start("f", b"", name="not deployed")]
    with store.store._committer._committing:  # type: ignore[attr-defined]
        futures = [
            store.submit([Start("f", b"1", name="p")]),
            store.submit([Rekey("begin"), Rekey("go-on")]),
            store.submit(refused_too_late),
            store.submit([Start("f", b"2", name="p")]),
        ]
    error = futures[2].exception(60)
    assert isinstance(error, StoreError) and error.code == "S202"
    with store.store._committer._committing:  # type: ignore[attr-defined]
        more = [store.submit([Start("f", b"3", name="p")]), store.submit(refused_too_late)]
    pids = [future.result(60)[0][0] for future in (futures[0], futures[3], more[0])]
    store.close()
    store = open_store(address(path, key))
    assert [store.inbox(pid)[0].data for pid in pids] == [b"1", b"2", b"3"]
    assert rotate(store)[0] == 2
    store.close()
    assert generations(path) == {2}


def test_a_rotation_that_is_refused_leaves_no_key_behind(encrypted: tuple[Path, Path]) -> None:
    path, key = encrypted
    store = open_store(address(path, key))
    store.submit([Post(1, "message")]).result(60)
    with store.store._committer._committing:  # type: ignore[attr-defined]
        futures = [
            store.submit([Start("f", b"1", name="p")]),
            store.submit([Rekey("begin"), Rekey("go-on"), Start("f", b"", name="not deployed")]),
        ]
    assert futures[1].exception(60) is not None
    pid = futures[0].result(60)[0][0]
    after = store.submit([Start("f", b"2", name="p")]).result(60)[0][0]
    store.close()
    assert generations(path) == {1}
    store = open_store(address(path, key))
    assert [store.inbox(one)[0].data for one in (pid, after)] == [b"1", b"2"]
    store.close()


def test_a_reader_of_an_old_state_takes_no_key_from_the_writer(encrypted: tuple[Path, Path]) -> None:
    """It looks its keys up in the state that it sees, which has the old ones only; what is written has the new one."""
    path, key = encrypted
    store = open_store(address(path, key))
    store.submit([Post(1, "message")]).result(60)
    engine = store.store.engine  # type: ignore[attr-defined]
    with engine.reading() as old:
        assert rotate(store)[0] == 2
        with engine.reading() as new:
            assert new.get(PROCESSES, pid_key(1)) is not None
        seals = engine.seals
        assert old.get(PROCESSES, pid_key(2)) is not None
        with engine.reading() as late:  # what it learned was of an older state
            assert engine.seals is seals and late.get(PROCESSES, pid_key(2)) is not None
        engine.learn_keys(old._transaction)
        store.submit([Start("f", b"", name="p", id="late")]).result(60)
    store.close()
    assert generations(path) == {2}
    store = open_store(address(path, key))
    assert store.process_by_id("late") is not None
    store.close()
