"""Seals on every record: what is damaged is noticed, and hurts only who needs it."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import lmdb
import pytest

from flowmetal.store import StoreError, open_store
from flowmetal.store.codec import decode_about, encode_about
from flowmetal.store.interface import (
    Complete,
    Fire,
    Join,
    Kill,
    Post,
    PutArtifact,
    Request,
    Start,
    Store,
    Take,
    Timer,
    Turn,
)
from flowmetal.store.layout import DUE, KEY_BYTES, META, PROCESSES, QUEUE, READY, SPACE_NAMES, STATES, pid_key
from flowmetal.store.lmdb_copies import restore
from flowmetal.store.lmdb_files import ENGINE
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.lmdb_transaction import _whole as whole_keys
from flowmetal.store.reader import StoreReader
from flowmetal.store.rekeying import CHUNK_RECORDS, FIRST
from flowmetal.store.scrubbing import scrub_store
from flowmetal.store.sealing import LARGE_BYTES, SealRecord, Seals, decode_seal, encode_seal
from tests.store.support import HASH, run_child

SECOND = 1_000_000_000
WEEK_MS = 7 * 24 * 3600 * 1000


class Raw:
    """What stands in a store that nobody has open."""

    def __init__(self, path: Path) -> None:
        self._environment = lmdb.open(str(path), max_dbs=100, map_size=1 << 26, lib_version=0)
        self.handles = {name: self._environment.open_db(name.encode(), create=False) for name in SPACE_NAMES}

    def __enter__(self) -> Raw:
        self.transaction = self._environment.begin(write=True)
        return self

    def __exit__(self, *error: object) -> None:
        self.transaction.commit()
        self._environment.close()

    def items(self, space: str) -> list[tuple[bytes, bytes]]:
        return [(bytes(key), bytes(value)) for key, value in self.transaction.cursor(self.handles[space])]

    def put(self, space: str, key: bytes, value: bytes) -> None:
        self.transaction.put(key, value, db=self.handles[space])

    def flip(self, space: str, key: bytes, bit: int = 3) -> None:
        stored = bytearray(self.transaction.get(key, db=self.handles[space]))
        stored[bit // 8] ^= 1 << bit % 8
        self.put(space, key, bytes(stored))


def code_of(work: object) -> str:
    with pytest.raises(StoreError) as caught:
        work()  # type: ignore[operator]
    assert str(caught.value)
    return caught.value.code


def test_what_is_sealed_opens_and_nothing_else_does() -> None:
    seals = Seals()
    for value in (b"", b"\x00", b"value", bytes(1000), bytes(LARGE_BYTES), bytes(LARGE_BYTES + 1)):
        stored = seals.seal(STATES, b"key", value)
        assert seals.open(STATES, b"key", stored) == value
        assert seals.seal_all(STATES, [(b"key", value)]) == [(b"key", stored)]
        assert seals.open_all(STATES, [(b"key", stored)]) == [(b"key", value)]
        assert code_of(lambda stored=stored: seals.open(PROCESSES, b"key", stored)) == "S310"
        assert code_of(lambda stored=stored: seals.open(STATES, b"kez", stored)) == "S310"
        for bit in range(min(8 * len(stored), 400)):
            flipped = bytearray(stored)
            flipped[bit // 8] ^= 1 << bit % 8
            assert code_of(lambda flipped=flipped: seals.open(STATES, b"key", bytes(flipped))) == "S310"
            assert code_of(lambda flipped=flipped: seals.open_all(STATES, [(b"key", bytes(flipped))])) == "S310"
    for short in (b"", b"1", b"1234", b"12345"):
        assert code_of(lambda short=short: seals.open(STATES, b"key", short)) == "S310"


def test_the_seal_record() -> None:
    record = SealRecord(("states", b"k"), ((3, b"wrapped", 5),), 3, ("log", b""))
    assert decode_seal(encode_seal(record)) == record
    assert decode_seal(None) == SealRecord()
    assert code_of(lambda: decode_seal(encode_seal(record)[:-1] + b"\x00")) == "S310"


def make_store(path: Path, count: int = 6) -> Store:
    store = open_store(path)
    starts = [Start("f", b"", name="p", id=f"id{number}") for number in range(count)]
    store.submit([PutArtifact(HASH, b"code", "p"), *starts, Join("me", 60_000)]).result(60)
    return store


def test_one_damaged_process_hurts_no_other(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = make_store(path)
    store.submit([Post(pid, "message", b"m") for pid in range(1, 7)]).result(60)  # so that each has a state
    store.close()
    with Raw(path) as raw:
        raw.flip(STATES, pid_key(3))
    store = open_store(path)
    assert code_of(lambda: store.process(3)) == "S310"
    assert code_of(store.submit([Post(3, "message", b"")]).result) == "S310"
    listed = store.processes()
    assert [record.pid for record in listed] == [1, 2, 3, 4, 5, 6]
    assert [record.status for record in listed] == ["ready"] * 2 + ["paused"] + ["ready"] * 3
    assert listed[2].error.startswith("S310")
    assert store.submit([Post(4, "message", b"")]).result(60) == [True]
    store.close()


def test_a_damaged_mark_timer_or_place_in_a_queue_stops_only_its_own(tmp_path: Path) -> None:
    now = [1_000 * SECOND]
    path = tmp_path / "store"
    store = open_store(path, clock=lambda: now[0])
    starts = [Start("f", b"", name="p") for _ in range(6)]
    store.submit([PutArtifact(HASH, b"code", "p"), *starts]).result(60)
    claim = store.submit([Join("me", WEEK_MS)]).result(60)[0]
    for pid in range(1, 7):
        request = Request(pid, 1, "mail", b"payload", b"", f"key{pid}", 0, 0, "queued", queued=True)
        timers = (Timer((2_000 + pid) * SECOND, 1, "sleep"),)
        turn = Turn(pid, claim.epochs[pid % 64], 0, "waiting", ((0, 0, b"e", b""),), 1, (), (request,), timers=timers)
        assert store.submit([turn]).result(60) == [True]
    store.submit([Post(pid, "message", b"") for pid in range(1, 7)]).result(60)
    store.close()
    with Raw(path) as raw:
        raw.flip(READY, raw.items(READY)[1][0])
        raw.flip(QUEUE, raw.items(QUEUE)[0][0])
        raw.flip(STATES, pid_key(4))
        for key, _ in raw.items(DUE):
            if key[12] == 5:
                raw.flip(DUE, key)
    store = open_store(path, clock=lambda: now[0])
    assert len(store.ready(range(64), 100)) == 5
    taken = store.submit([Take(("mail",), "w", 100, 1000)]).result(60)[0]
    assert [request.pid for request in taken] == [2, 3, 5, 6]  # 1 is queued by a damaged record, 4 has one
    now[0] = 3_000 * SECOND
    # Four leases have ended as well; the timer of 4 is put off.
    assert store.submit([Fire(limit=100)]).result(60) == [10]
    kinds = {pid: [event.kind for event in store.inbox(pid)] for pid in (1, 2, 3, 5, 6)}
    assert all("lost" in found or "timer" in found for found in kinds.values()), kinds
    due = store.next_due()
    assert due is not None and due > now[0]
    assert store.submit([Fire(limit=100)]).result(60) == [0]
    store.close()


def test_the_claims_survive_damage_with_greater_epochs(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = make_store(path)
    before = store.submit([Join("me", 60_000)]).result(60)[0].epochs
    store.close()
    with Raw(path) as raw:
        raw.flip("partitions", raw.items("partitions")[5][0])
        raw.flip("interpreters", raw.items("interpreters")[0][0])
    store = open_store(path)
    assert store.submit([Fire(limit=10)]).result(60) == [0]
    after = store.submit([Join("me", 60_000)]).result(60)[0].epochs
    assert set(after) == set(before) and all(after[one] > before[one] for one in after)
    assert after[5] > 1 << 40
    store.close()


# ---- older formats ---------------------------------------------------------------------------------------------------


def unsealed(path: Path, format: int = 3) -> None:
    """A store as format 3 had it."""
    with Raw(path) as raw:
        for space in SPACE_NAMES:
            for key, stored in raw.items(space):
                if (space, key) == (META, b"about"):
                    raw.put(META, key, encode_about(format, ENGINE, "id", 5))
                else:
                    raw.put(space, key, stored[:-5])


def test_a_store_without_seals_is_sealed_by_its_owner_and_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_store(path, count=CHUNK_RECORDS).close()
    unsealed(path)
    reader = StoreReader(str(path))
    assert [record.pid for record in reader.processes(limit=3)] == [1, 2, 3]
    assert reader.process_by_id("id9") is not None
    reader.close()
    with Raw(path) as raw:
        assert raw.items(PROCESSES)[0][1][-1:] != b""
        assert len(raw.transaction.get(b"about", db=raw.handles[META])) < 60
    store = open_store(path)
    assert store.submit([Post(1, "message", b"")]).result(60) == [True]
    assert len(store.processes(limit=10_000)) == CHUNK_RECORDS
    store.close()
    with Raw(path) as raw:
        for space in SPACE_NAMES:
            for key, stored in raw.items(space):
                if key != b"about":
                    Seals().open(space, key, stored)
        assert raw.transaction.get(b"about", db=raw.handles[META])[1] == 4


def test_sealing_goes_on_after_a_crash_and_readers_see_through_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_store(path).close()
    unsealed(path)
    with Raw(path) as raw:  # as a process leaves it that was killed between two transactions
        raw.put(META, b"about", encode_about(4, ENGINE, "id", 5))
        raw.put(META, b"seal", encode_seal(SealRecord(done=(PROCESSES, pid_key(3)))))
        for space in SPACE_NAMES[: SPACE_NAMES.index(PROCESSES) + 1]:
            for key, stored in raw.items(space):
                if key not in (b"about", b"seal") and (space != PROCESSES or key <= pid_key(3)):
                    raw.put(space, key, Seals().seal(space, key, stored))
    reader = StoreReader(str(path))
    assert len(reader.processes()) == 6
    reader.close()
    child = run_child("reader_process", path)
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "1\n"
    store = open_store(path)
    assert store.submit([Complete(1, 1, 1, True, b"")]).result(60) == [False]
    assert len(store.processes()) == 6
    assert store.submit([Post(1, "message", b"")]).result(60) == [True]
    child.stdin.write("again\n")
    child.stdin.flush()
    assert child.stdout.readline() == "2\n"
    child.stdin.close()
    assert child.wait(60) == 0
    child.stdout.close()
    store.close()
    with Raw(path) as raw:
        assert decode_seal(raw.transaction.get(b"seal", db=raw.handles[META])).is_whole
        for space in SPACE_NAMES:
            for key, stored in raw.items(space):
                if key not in (b"about", b"seal"):
                    Seals().open(space, key, stored)


def test_an_upgrade_that_is_killed_again_and_again_under_readers(tmp_path: Path) -> None:
    path = tmp_path / "store"
    count = 6000
    make_store(path, count).close()
    unsealed(path)
    with Raw(path) as raw:  # sealing has begun, so that processes of an older version are gone
        raw.put(META, b"about", encode_about(4, ENGINE, "id", 5))
        raw.put(META, b"seal", encode_seal(SealRecord(done=FIRST)))
    reader = run_child("upgrade_process", path, "read", count)
    assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
    chance = random.Random(4)
    kills = 0
    while kills < 6:
        writer = run_child("upgrade_process", path, "write")
        try:
            out, _ = writer.communicate(timeout=0.3 + chance.random() * 0.25)
            assert out == "up\n", out
            break
        except subprocess.TimeoutExpired:
            writer.kill()
            writer.communicate()
            kills += 1
    else:
        out, _ = run_child("upgrade_process", path, "write").communicate(timeout=60)
        assert out == "up\n"
    out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0 and int(out) > 0
    assert not scrub_store(path, LmdbOptions()).found


def test_a_damaged_root_keeps_nobody_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code", "p"), Start("f", b"", name="p")]).result(60)
    for parent in (1, 2):
        store.submit([Start("f", b"", name="p", parent=parent, family=(9, 9, 9))]).result(60)
    store.close()
    with Raw(path) as raw:
        raw.flip(STATES, pid_key(1))
    store = open_store(path)
    store.submit([Kill(3, (b"e",), b"r", "x")]).result(60)
    ended = store.process(3)
    assert ended is not None and ended.status == "cancelled"
    store.close()


def test_a_store_is_not_brought_up_while_another_process_has_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an older version would read what is sealed as it is, and might write the store later."""
    monkeypatch.setattr("flowmetal.store.lmdb_engine.OTHERS_SECONDS", 0.3)
    path = tmp_path / "store"
    make_store(path).close()
    unsealed(path)
    child = run_child("reader_process", path)
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "1\n"
    store = open_store(path)
    error = store.submit([Post(1, "message", b"")]).exception(60)
    assert isinstance(error, StoreError) and error.code == "S345" and f"({child.pid})" in str(error)
    assert len(store.processes()) == 6 and len(store.inbox(1)) == 1
    child.stdin.write("again\n")
    child.stdin.flush()
    assert child.stdout.readline() == "1\n"
    with store.store.engine.reading() as transaction:  # type: ignore[attr-defined]
        assert decode_about(transaction.get_meta(b"about"))[0] == 3
    child.stdin.close()
    assert child.wait(60) == 0
    child.stdout.close()
    assert store.submit([Post(1, "message", b"")]).result(60) == [True]
    store.close()
    assert not scrub_store(path, LmdbOptions()).found


def test_a_backup_of_an_older_format_is_not_written_by_opening_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_store(path).close()
    unsealed(path, format=2)
    backup = tmp_path / "backup"
    shutil.copytree(path, backup)
    (backup / "backup.json").write_text("{}")
    before = (backup / "data.mdb").read_bytes()
    assert code_of(lambda: StoreReader(str(backup))) == "S346"
    assert code_of(lambda: open_store(backup)) == "S346"
    assert (backup / "data.mdb").read_bytes() == before
    restore(backup, LmdbOptions(), tmp_path / "restored")
    store = open_store(tmp_path / "restored")
    assert len(store.processes()) == 6
    store.close()
    open_store(path).close()  # one that is no backup is brought up


def test_keys_that_are_read_without_values_are_looked_at(tmp_path: Path) -> None:
    """A checksum is over key and value, so who reads keys alone looks at what they can tell: length and order."""
    for space in ("processes", "statuses", "ready", "due", "calls", "checkpoints", "texts"):
        assert KEY_BYTES[space] == {"processes": 5, "calls": 5, "statuses": 6, "due": 19, "texts": 37}.get(space, 10)
    assert not KEY_BYTES.keys() & {"log", "queues", "kv", "queue", "tokens"}
    path = tmp_path / "store"
    make_store(path).close()
    with Raw(path) as raw:
        raw.put(PROCESSES, pid_key(2) + b"x", Seals().seal(PROCESSES, pid_key(2) + b"x", b""))
    store = open_store(path)
    with store.store._reading() as transaction:  # type: ignore[attr-defined]
        for reverse in (False, True):
            assert code_of(lambda reverse=reverse: transaction.scan(PROCESSES, values=False, reverse=reverse)) == "S310"
        assert len(transaction.scan(PROCESSES, limit=2, values=False)) == 2
    store.close()
    for step, keys in ((1, [b"a", b"c", b"b"]), (1, [b"a", b"a"]), (-1, [b"c", b"a", b"b"])):
        assert code_of(lambda keys=keys, step=step: list(whole_keys("kv", keys, step))) == "S310"
    assert list(whole_keys("kv", [b"c", b"b"], -1)) == [(b"c", b""), (b"b", b"")]


def test_a_damaged_root_keeps_nobody_from_spawning(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = make_store(path, count=1)
    child = store.submit([Start("f", b"", name="p", parent=1, family=(10, 10, 10))]).result(60)[0][0]
    store.close()
    with Raw(path) as raw:
        raw.flip(STATES, pid_key(1))
    store = open_store(path)
    start = Start("f", b"", name="p", parent=child, family=(10, 10, 10))
    assert store.submit([start]).result(60)[0][1]
    store.close()
