"""Several processes on one folder: who owns it, how others take over, and how the dead are noticed."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store import StoreError, open_store
from flowmetal.store import link as link_module
from flowmetal.store.interface import Fire, Join, Post, PutArtifact, Start, Take, Turn
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.store.opening import StoreHandle
from flowmetal.store.owner_lock import InterpreterLocks, OwnerInfo, OwnerLock
from tests.store.support import (
    HASH,
    OwnerProcess,
    Rig,
    SharedClock,
    eventually,
    freeze,
    reap,
    request,
    run_child,
    watched,
)


def owner_info(path: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((path / "owner.lock").read_text())
    return info


def inner(store: object) -> LmdbStore:
    assert isinstance(store, StoreHandle)
    return store.store


@pytest.fixture
def owned(tmp_path: Path, owner_process: OwnerProcess) -> Any:
    """A store that another process owns, and this one has open."""
    clock = SharedClock(tmp_path / "clock")
    owner_process.own(tmp_path / "store", clock.path)
    rig = Rig(open_store(tmp_path / "store", clock=clock), clock, "attached")
    yield rig, owner_process, tmp_path / "store"
    rig.store.close()
    owner_process.disown(tmp_path / "store")


def test_the_owner_says_who_it_is(owned: Any) -> None:
    rig, owner, path = owned
    pid = rig.start()
    assert rig.store.stats()["role"] == "attached"
    info = owner_info(path)
    assert info["pid"] == owner.process.pid and info["started"] > 0
    assert len(info["socket"]) < 100
    assert os.stat(os.path.dirname(info["socket"])).st_mode & 0o077 == 0
    assert rig.store.process(pid).pid == pid


def test_an_owner_that_leaves_hands_over(owned: Any) -> None:
    rig, owner, path = owned
    pid = rig.start()
    hints = watched(rig.store)
    socket_path = owner_info(path)["socket"]
    futures = [rig.store.submit([Post(pid, "message", b"%d" % n)]) for n in range(200)]
    owner.disown(path)
    more = [rig.store.submit([Post(pid, "message", b"%d" % n)]) for n in range(200, 400)]
    assert [future.result(60) for future in futures + more] == [[True]] * 400
    assert [event.data for event in rig.store.inbox(pid)[1:]] == [b"%d" % n for n in range(400)]
    assert rig.store.stats()["role"] == "owner" and owner_info(path)["pid"] == os.getpid()
    assert ("timer", 0) in hints  # whoever waits is told to look again
    assert not os.path.exists(os.path.dirname(socket_path))
    owner.own(path, rig.clock.path)  # it comes back, attached to us
    rig.turn(pid)
    owner.disown(path)


def test_an_owner_that_is_killed(tmp_path: Path) -> None:
    clock = SharedClock(tmp_path / "clock")
    owner = OwnerProcess()
    try:
        owner.own(tmp_path / "store", clock.path)
        rig = Rig(open_store(tmp_path / "store", clock=clock), clock)
        pid = rig.start()
        socket_path = owner_info(tmp_path / "store")["socket"]
        owner.process.kill()
        started = time.monotonic()
        assert rig.one(Post(pid, "message")) is True
        assert time.monotonic() - started < link_module.PATIENCE_SECONDS
        assert rig.store.stats()["role"] == "owner"
        eventually(lambda: not os.path.exists(os.path.dirname(socket_path)))
        rig.store.close()
    finally:
        owner.close()


def test_a_batch_that_is_sent_again_is_not_applied_again(owned: Any) -> None:
    """The same numbered batch over two connections, as after an owner that committed and died before it answered."""
    rig, _, _ = owned
    pid = rig.start()
    link = inner(rig.store)._link
    assert link is not None
    sent: list[bytes] = []
    real = link._channel.send  # type: ignore[union-attr]
    link._channel.send = lambda data: (sent.append(data), real(data))[1]  # type: ignore[union-attr,method-assign]
    assert rig.one(Post(pid, "message", b"once")) is True
    assert rig.one(Start("deploy/main", b"", name="deploy")) == (pid + 1, True)
    for data in sent:
        real(data)
    assert rig.one(Post(pid, "message", b"last")) is True
    assert [event.data for event in rig.store.inbox(pid)[1:]] == [b"once", b"last"]
    assert rig.store.process(pid + 2) is None


def test_batches_are_forgotten(owned: Any) -> None:
    rig, _, path = owned
    pid = rig.start()
    for _ in range(50):
        rig.one(Post(pid, "message"))
    assert rig.store.stats()["entries"]["clients"] <= 3  # the head, the last, and the one before
    rig.store.close()
    reader = open_store(path)
    eventually(lambda: reader.stats()["entries"]["clients"] == 0)
    reader.close()


def test_errors_cross_the_socket(owned: Any) -> None:
    rig, _, _ = owned
    rig.start(id="x")
    with pytest.raises(StoreError) as caught:
        rig.one(Start("other", b"", name="deploy", id="x"))
    assert (caught.value.code, caught.value.facts) == (
        "S201",
        {"id": "x", "pid": 1, "what": "function and arguments"},
    )


def test_hints_cross_the_socket(owned: Any) -> None:
    rig, _, _ = owned
    hints = watched(rig.store)
    pid = rig.start()
    rig.turn(pid, requests=(request(pid, 1, "é/x"),))
    eventually(lambda: ("request", "é/x") in hints)


def test_who_begins_to_watch_looks_once(owned: Any) -> None:
    """What was committed before the owner heard of the watcher, it tells nobody of."""
    rig, _, _ = owned
    rig.start()  # it is connected
    hints = watched(rig.store)
    eventually(lambda: ("everything", 0) in hints, 10)


def test_readers_do_not_become_owners(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    store.close()
    reader = open_store(tmp_path / "store", create=False)
    assert reader.deployed() == {"p": HASH} and reader.stats()["role"] == "reader"
    lock = OwnerLock(tmp_path / "store")
    assert lock.try_acquire()
    lock.release()
    reader.close()


def test_a_client_that_speaks_nonsense_is_cut_off(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.submit([Fire()]).result(60)
    address = owner_info(tmp_path / "store")["socket"]
    for junk in (b"\xff" * 100, b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x02\x91\x02", b"\x00\x00\x00\x01\x90", b""):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(60)
            assert connection.recv(100) == b""
    assert store.submit([Fire()]).result(60) == [0]
    store.close()


def test_an_owner_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 0.2)
    open_store(tmp_path / "store").close()
    lock = OwnerLock(tmp_path / "store")
    assert lock.try_acquire()
    lock.write_info(OwnerInfo(os.getpid(), 0, str(tmp_path / "none"), "every-commit"))
    store = open_store(tmp_path / "store")
    error = store.submit([Fire()]).exception(60)
    assert isinstance(error, StoreError) and error.code == "S110"
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 60.0)
    future = store.submit([Fire()])
    lock.release()
    assert future.result(60) == [0]
    store.close()


def test_an_owner_of_another_version(owned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, path = owned
    child = run_child("protocol_process", path)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (0, ["S116", "S116"])


def test_a_stopped_process_holds_up_nobody_else(tmp_path: Path) -> None:
    """A client that takes no answers (SIGSTOP) must not stop the committer."""
    store = open_store(tmp_path / "store")
    store.submit([PutArtifact(HASH, b"x", "p"), Start("f", b"", name="p")]).result(60)
    child = run_child("claim_process", tmp_path / "store", "stopped")
    assert child.stdout is not None and child.stdout.readline() == "joined 64\n"
    freeze(child)
    for n in range(50):
        assert store.submit([Post(1, "message", b"%d" % n)]).result(60) == [True]
    reap(child)
    store.close()


# ---- interpreters ------------------------------------------------------------------------------------------------


def test_a_killed_interpreter_is_noticed_before_its_lease_ends(tmp_path: Path) -> None:
    rig = Rig(open_store(tmp_path / "store"), time.time_ns)
    hints = watched(rig.store)
    rig.deploy()
    child = run_child("claim_process", tmp_path / "store", "other")
    assert child.stdout is not None and child.stdout.readline() == "joined 64\n"
    rig.claim = rig.one(Join("mine", 3_600_000))
    assert len(rig.claim.epochs) == 32
    pids = [rig.one(Start("f", b"", name="deploy"))[0] for _ in range(2)]
    hints.clear()
    child.kill()
    eventually(lambda: ("claims", 0) in hints)  # the owner saw its connection end
    rig.claim = rig.one(Join("mine", 3_600_000))
    assert len(rig.claim.epochs) == 64
    assert all(rig.turn(pid) for pid in pids)
    reap(child)
    rig.store.close()


def test_the_dead_owner_was_an_interpreter(tmp_path: Path) -> None:
    child = run_child("claim_process", tmp_path / "store", "first")
    assert child.stdout is not None and child.stdout.readline() == "joined 64\n"
    rig = Rig(open_store(tmp_path / "store"), time.time_ns)
    rig.claim = rig.one(Join("second", 3_600_000))
    assert len(rig.claim.epochs) == 32
    child.kill()
    eventually(lambda: len(rig.one(Join("second", 3_600_000)).epochs) == 64)
    reap(child)
    rig.store.close()


def test_one_interpreter_id_for_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(open_store(tmp_path / "store"), time.time_ns)
    child = run_child("claim_process", tmp_path / "store", "same")
    assert child.stdout is not None and child.stdout.readline() == "joined 64\n"
    monkeypatch.setattr("flowmetal.store.owner_lock.INTERPRETER_PATIENCE_SECONDS", 0.05)
    with pytest.raises(StoreError) as caught:
        rig.one(Join("same", 1000))
    assert caught.value.code == "S112"
    reap(child)
    assert len(eventually(lambda: rig.one(Join("same", 1000)).epochs)) == 64
    rig.store.close()


def test_two_interpreters_share_the_work(tmp_path: Path) -> None:
    """Both commit turns of what they claim, through one store; no turn is done twice, none is left."""
    rig = Rig(open_store(tmp_path / "store"), time.time_ns)
    rig.deploy()
    children = [run_child("turns_process", tmp_path / "store", name) for name in ("a", "b")]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "joined\n"
    rig.do(*(Start("f", b"", name="deploy") for _ in range(200)))
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    done = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(done) == 400 and min(done) > 0  # two turns each
    assert rig.store.stats()["processes"]["done"] == 200
    assert rig.store.stats()["entries"]["log"] == 400
    rig.store.close()


def test_interpreter_locks(tmp_path: Path) -> None:
    locks, others = InterpreterLocks(tmp_path), InterpreterLocks(tmp_path)
    assert not others.alive("x")
    locks.hold("x")
    locks.hold("x")
    assert others.alive("x") and locks.alive("x")
    joins = locks.joins("x")
    locks.hold("x")
    locks.drop("x", joins)  # it has joined again since
    assert others.alive("x")
    locks.drop("x", locks.joins("x"))
    assert not others.alive("x")
    locks.hold("y")
    locks.release()
    assert not others.alive("y")


def test_a_fork_does_not_take_the_store_along(tmp_path: Path) -> None:
    child = run_child("fork_process", tmp_path / "store")
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out.split()) == (0, ["S113", "S113", "parent", "fine"])


def test_turns_of_a_batch_are_independent(owned: Any) -> None:
    rig, _, _ = owned
    first, second = rig.start(), rig.start()
    entries = ((0, 0, b"e", b""),)
    results = rig.do(
        Turn(first, rig.epoch(first), 0, "waiting", entries, 1),
        Turn(second, rig.epoch(second) + 5, 0, "waiting", entries, 1),
        Take(("none",), "w", 1, 1000),
    )
    assert results == [True, False, []]
