"""Processes that share a store where something goes wrong: callers, clients and owners that stop, lie or lack room."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import selectors
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flowmetal.client.hints import Hints
from flowmetal.store import StoreError, committer, open_store
from flowmetal.store import channel as channel_module
from flowmetal.store import link as link_module
from flowmetal.store.channel import Channel, ChannelClosed, Waker
from flowmetal.store.clock import SteadyClock
from flowmetal.store.committer import Committer, Unit, commands_unit
from flowmetal.store.futures import make_future, settle
from flowmetal.store.interface import Command, Fire, Post, PutArtifact, Start, Turn
from flowmetal.store.lmdb_store import EVERYTHING
from flowmetal.store.memory import MemoryStore
from flowmetal.store.owner_lock import InterpreterLocks, OwnerInfo, OwnerLock
from flowmetal.store.server import FOLDER_PREFIX
from flowmetal.store.wire_codec import BYE, DONE, HELLO, PROTOCOL, SUBMIT, WATCH, frame
from tests.store.support import HASH, SECOND, OwnerProcess, Rig, SharedClock, eventually, freeze, run_child, watched
from tests.store.test_sharing import inner, owner_info


@pytest.fixture
def own_process(tmp_path: Path) -> Iterator[tuple[OwnerProcess, Path, SharedClock]]:
    """A process that owns a store, for this test to stop or to kill."""
    clock = SharedClock(tmp_path / "clock")
    owner = OwnerProcess()
    owner.own(tmp_path / "store", clock.path)
    yield owner, tmp_path / "store", clock
    owner.process.kill()
    owner.process.wait()
    for pipe in (owner.process.stdin, owner.process.stdout):
        if pipe is not None:
            pipe.close()


# ---- callers that do not wait ------------------------------------------------------------------------------------


def test_a_cancelled_task_changes_nothing(rig: Rig) -> None:
    rig.deploy()

    async def give_up() -> None:
        task = asyncio.ensure_future(asyncio.wrap_future(rig.store.submit([Start("f", b"", name="deploy", id="x")])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if rig.kind == "memory":
        assert not rig.store.submit([Fire()]).cancel()
    else:
        asyncio.run(give_up())
        eventually(lambda: rig.store.process_by_id("x"))  # what was submitted is done
    assert rig.one(Fire()) == rig.one(Fire()) == 0


def test_a_future_is_settled_once() -> None:
    future = make_future()
    assert not future.cancel()
    settle(future, [1])
    settle(future, [2])
    settle(future, None, StoreError("S114", path="x"))
    assert future.result(0) == [1]
    cancelled: Future[Any] = Future()
    cancelled.cancel()
    settle(cancelled, [1])


# ---- owners ------------------------------------------------------------------------------------------------------


def test_an_owner_that_is_stopped(
    own_process: tuple[OwnerProcess, Path, SharedClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, path, clock = own_process
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 0.5)
    rig = Rig(open_store(path, clock=clock), clock)
    pid = rig.start()
    freeze(owner.process)
    try:
        started = time.monotonic()
        for _ in range(2):  # connected, and while it cannot be connected
            error = rig.store.submit([Post(pid, "message", b"lost?")]).exception(60)
            assert isinstance(error, StoreError) and error.code == "S110"
            assert error.facts["pid"] == owner.process.pid
        assert 0.9 < time.monotonic() - started < 30
        monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 60.0)
        kept = rig.store.submit([Post(pid, "message", b"kept")])
    finally:
        os.kill(owner.process.pid, signal.SIGCONT)
    assert kept.result(60) == [True]
    assert rig.one(Post(pid, "message", b"last"))
    assert [event.data for event in rig.store.inbox(pid)][-2:] == [b"kept", b"last"]
    assert rig.store.stats()["role"] == "attached"
    rig.store.close()


def test_a_batch_that_is_young_survives_one_that_is_late(
    own_process: tuple[OwnerProcess, Path, SharedClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, path, clock = own_process
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 2.0)
    store = open_store(path, clock=clock)
    store.submit([Fire()]).result(60)
    freeze(owner.process)
    try:
        late = store.submit([Fire()])
        late.add_done_callback(lambda _: monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 60.0))
        time.sleep(1.8)
        young = store.submit([Fire()])
        assert isinstance(late.exception(60), StoreError)
        assert not young.done()
    finally:
        os.kill(owner.process.pid, signal.SIGCONT)
    assert young.result(60) == [0]
    store.close()


def test_an_owner_that_hangs_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with too many clients does: that is no sign of life, and no reason to try without a pause."""
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 0.3)
    open_store(tmp_path / "store").close()
    lock = OwnerLock(tmp_path / "store")
    assert lock.try_acquire()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/s")
        listener.listen()
        lock.write_info(OwnerInfo(os.getpid(), 0, folder + "/s", "every-commit"))
        accepted = 0

        def hang_up() -> None:
            nonlocal accepted
            try:
                while True:
                    listener.accept()[0].close()
                    accepted += 1
            except OSError:
                pass

        thread = threading.Thread(target=hang_up)
        thread.start()
        store = open_store(tmp_path / "store")
        error = store.submit([Fire()]).exception(60)
        assert isinstance(error, StoreError) and error.code == "S110"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        assert 0 < accepted < 100
    lock.release()
    assert store.submit([Fire()]).result(60) == [0]
    store.close()


@pytest.mark.parametrize("place", ["mkdtemp", "write_info"])
def test_a_take_over_that_fails_is_tried_again(
    own_process: tuple[OwnerProcess, Path, SharedClock], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    owner, path, clock = own_process
    rig = Rig(open_store(path, clock=clock), clock)
    pid = rig.start()
    target: Any = tempfile if place == "mkdtemp" else OwnerLock
    real, failures = getattr(target, place), []
    threads = threading.enumerate()
    folders = set(Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"))

    def full(*args: Any, **options: Any) -> Any:
        if len(failures) < 3:
            failures.append(1)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **options)

    monkeypatch.setattr(target, place, full)
    owner.process.kill()
    owner.process.wait()
    assert rig.one(Post(pid, "message", b"x")) is True
    assert len(failures) == 3
    assert rig.one(Post(pid, "message", b"y")) is True
    assert rig.store.stats()["role"] == "owner"
    assert [event.data for event in rig.store.inbox(pid)][-2:] == [b"x", b"y"]
    names = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert names.count("flowmetal-owner") == names.count("flowmetal-committer") == 1
    assert len(set(Path(tempfile.gettempdir()).glob(FOLDER_PREFIX + "*")) - folders) <= 1 + 8  # those of other tests
    rig.store.close()


def test_a_take_over_that_goes_on_failing(
    own_process: tuple[OwnerProcess, Path, SharedClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, path, clock = own_process
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 0.3)
    store = open_store(path, clock=clock)
    store.submit([Fire()]).result(60)

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", full)
        owner.process.kill()
        owner.process.wait()
        error = store.submit([Fire()]).exception(60)
        assert isinstance(error, StoreError) and error.code == "S332" and "No space" in str(error)
    monkeypatch.setattr(link_module, "PATIENCE_SECONDS", 60.0)
    assert store.submit([Fire()]).result(60) == [0]
    store.close()


def test_whoever_waits_looks_after_an_owner_change(own_process: tuple[OwnerProcess, Path, SharedClock]) -> None:
    owner, path, clock = own_process
    store = open_store(path, clock=clock)
    store.submit([Fire()]).result(60)
    hints, heard = Hints(store), {name: threading.Event() for name in ("request", "process")}
    hints.listen([("request", "http/request")], heard["request"].set)
    hints.listen([("process", 7)], heard["process"].set)
    all_hints = watched(store)
    time.sleep(0.1)
    for event in heard.values():
        event.clear()
    all_hints.clear()
    owner.process.kill()
    assert all(event.wait(60) for event in heard.values())
    assert set(all_hints) >= EVERYTHING
    hints.close()
    store.close()


# ---- interpreters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [True, False])
def test_an_interpreter_that_leaves_and_joins_while_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    mine, others = InterpreterLocks(tmp_path), InterpreterLocks(tmp_path)
    mine.hold("x")
    real, looks = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not looks:
            looks.append(1)
            mine.drop("x", mine.joins("x"))
            if again:
                mine.hold("x")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert others.alive("x") is again
    assert others.alive("x") is again
    mine.release()
    assert not others.alive("x")


# ---- clients that speak nonsense ---------------------------------------------------------------------------------


def test_nonsense_ends_only_the_connection_it_came_by(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.submit([Fire()]).result(60)
    address = owner_info(tmp_path / "store")["socket"]
    client = b"c" * 16
    hello = frame(HELLO, PROTOCOL, store.id, client, 1)
    nonsense = [
        frame(HELLO),
        frame(HELLO, None, store.id, client, 1),
        frame(HELLO, PROTOCOL, store.id, dict.fromkeys(range(16), 0), 1),
        frame(HELLO, PROTOCOL, store.id, [0] * 16, 1),
        frame(HELLO, PROTOCOL, store.id, "c" * 16, 1),
        frame(HELLO, PROTOCOL, store.id, b"c", 1),
        frame(HELLO, PROTOCOL, [store.id], client, 1),
        frame(HELLO, PROTOCOL, store.id, client, "1"),
        frame(HELLO, PROTOCOL, store.id, client, 1, 1),
        (1 << 20).to_bytes(4, "big"),  # too large for a greeting
        frame(99),
        frame(BYE),
        hello + hello,
        hello + frame(SUBMIT),
        hello + frame(SUBMIT, None, 0, b""),
        hello + frame(SUBMIT, True, 0, b""),
        hello + frame(SUBMIT, 1.5, 0, b""),
        hello + frame(SUBMIT, 1, 1, b""),
        hello + frame(SUBMIT, 1, {}, b""),
        hello + frame(SUBMIT, 1 << 63, 0, b""),
        hello + frame(SUBMIT, 1, 0, "text"),
        hello + frame(WATCH),
        hello + frame(WATCH, [1]),
        hello + frame(BYE, 1),
        hello + frame({}),
        hello + frame(-1),
    ]
    for data in nonsense:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(address)
            connection.sendall(data)
            while connection.recv(4096):
                pass
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(address)
        connection.sendall(hello + frame(SUBMIT, 1, 0, b"\xff"))  # refused, not cut off
        answer = b""
        while b"S206" not in answer:
            answer += connection.recv(4096)
    assert store.submit([Fire()]).result(60) == [0]
    store.close()


def test_an_owner_survives_faults_of_its_own(
    own_process: tuple[OwnerProcess, Path, SharedClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "other")
    store.submit([Fire()]).result(60)
    server = inner(store)._server
    assert server is not None
    failed = []

    def fail() -> float:
        if len(failed) < 2:
            failed.append(1)
            raise RuntimeError("a fault of ours")
        return 0.1

    monkeypatch.setattr(server, "_look", fail)
    server._waker.wake()
    eventually(lambda: len(failed) == 2)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(server.path)
        connection.sendall(frame(HELLO, PROTOCOL, store.id, b"c" * 16, 1))
        assert connection.recv(100)
    store.close()


# ---- bounds ------------------------------------------------------------------------------------------------------


def test_queued_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "MAX_QUEUED_BYTES", 1 << 20)
    store = open_store(tmp_path / "store")
    store.submit([PutArtifact(HASH, b"x", "p"), Start("f", b"", name="p")]).result(60)
    owned = inner(store)._committer
    assert isinstance(owned, Committer)
    go, at_it = threading.Event(), threading.Event()

    def hold_up(_: object) -> None:
        at_it.set()
        assert go.wait(60)

    owned.submit(Unit(hold_up, lambda results, error: None))
    assert at_it.wait(60)
    taken = [store.submit([Post(1, "message", bytes(700_000))]) for _ in range(2)]
    error = store.submit([Post(1, "message", b"x")]).exception(60)
    assert isinstance(error, StoreError) and error.code == "S207" and "1 MiB" in str(error)
    known: list[object] = []
    owned.submit(Unit(lambda changes: 1, lambda results, error: known.append(results)), again=True)
    go.set()
    assert [future.result(60) for future in taken] == [[True]] * 2
    eventually(lambda: known == [1])
    assert store.submit([Post(1, "message", b"x")]).result(60) == [True]
    assert owned._bytes == 0
    store.close()


def test_pending_bytes_are_bounded(
    own_process: tuple[OwnerProcess, Path, SharedClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, path, clock = own_process
    monkeypatch.setattr(link_module, "MAX_PENDING_BYTES", 1 << 20)
    rig = Rig(open_store(path, clock=clock), clock)
    pid = rig.start()
    freeze(owner.process)
    try:
        taken = [rig.store.submit([Post(pid, "message", bytes(700_000))]) for _ in range(2)]
        error = rig.store.submit([Post(pid, "message", b"x")]).exception(60)
        assert isinstance(error, StoreError) and error.code == "S207" and "1 MiB" in str(error)
    finally:
        os.kill(owner.process.pid, signal.SIGCONT)
    assert [future.result(60) for future in taken] == [[True]] * 2
    assert rig.one(Post(pid, "message", b"x")) is True
    rig.store.close()


def test_the_size_of_commands() -> None:
    turn = Turn(
        1, 1, 0, "done", ((0, 0, b"12", b"345"),), 1, posts=(Post(2, "message", b"6"),), result=b"78", checkpoint=b"9"
    )
    commands: list[Command] = [turn, Start("f", b"12"), PutArtifact(HASH, b"123"), Fire()]
    unit = commands_unit(commands, lambda results, error: None)
    assert unit.measure is not None and unit.measure() == 9 + 2 + 3
    broken: Any = Post(1, "message", 5)  # type: ignore[arg-type]
    unit = commands_unit([broken, None], lambda results, error: None)  # type: ignore[list-item]
    assert unit.measure is not None and unit.measure() == 0


def test_a_flood_of_one_client_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_READ_BYTES", 1024)
    monkeypatch.setattr(channel_module, "_CHUNK", 256)
    ours, theirs = socket.socketpair()
    waker = Waker()
    channel = Channel(ours, waker, max_message=2048)
    message = frame(1, b"x" * 1000)
    theirs.sendall(message * 20)
    first = list(channel.receive())
    assert len(first) < 3 and len(channel._in) <= 1024
    rest = []
    while len(first) + len(rest) < 20:
        rest += channel.receive()
    theirs.sendall(frame(1, b"x" * 3000))
    with pytest.raises(ChannelClosed):
        list(channel.receive())
    channel.close()
    theirs.close()
    waker.close()


# ---- the clock ---------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_goes_on() -> None:
    wall, elapsed = 1000 * SECOND, 5 * SECOND
    clock = SteadyClock(lambda: wall, lambda: elapsed)
    assert clock() == 1000 * SECOND
    wall, elapsed = wall + 10 * SECOND, elapsed + 10 * SECOND
    assert clock() == 1010 * SECOND
    wall -= 3600 * SECOND  # set back
    assert clock() == 1010 * SECOND
    wall, elapsed = wall + 7 * SECOND, elapsed + 7 * SECOND
    assert clock() == 1017 * SECOND  # and does not stand still for an hour
    wall += 3600 * SECOND  # set right
    assert clock() == 1017 * SECOND
    wall += 100 * SECOND  # set forward, or slept
    assert clock() == 1117 * SECOND
    wall, elapsed = wall - SECOND, elapsed + 2 * SECOND
    assert clock() == 1119 * SECOND


def test_stores_have_a_clock_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, folder = MemoryStore(), open_store(tmp_path / "store")
    clock = inner(folder)._clock
    assert isinstance(clock, SteadyClock) and isinstance(memory._clock, SteadyClock)
    assert abs(folder.now() - time.time_ns()) < 60 * SECOND
    before = folder.now()
    monkeypatch.setattr(clock, "_wall", lambda: before - 3600 * SECOND)
    eventually(lambda: folder.now() > before)
    folder.close()


def test_processes_share_a_clock_that_is_set_back(tmp_path: Path) -> None:
    wall, elapsed, path = 1000 * SECOND, 5 * SECOND, tmp_path / "clock"
    first = SteadyClock(lambda: wall, lambda: elapsed)
    first.share(path)
    wall -= 3600 * SECOND
    second = SteadyClock(lambda: wall, lambda: elapsed)
    assert second() == wall  # alone
    second.share(path)
    elapsed += SECOND
    assert first() == second() == 1001 * SECOND
    first.close()
    third = SteadyClock(lambda: wall, lambda: elapsed)
    third.share(path)
    assert third() == 1001 * SECOND  # also one that begins later
    wall += 3605 * SECOND
    assert (third(), second()) == (1005 * SECOND, 1005 * SECOND)
    assert (first.close(), first()) == (None, 1005 * SECOND)  # by its own, it goes on with the time of day


def test_a_clock_of_before_the_machine_started_is_not_shared(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    for found in (b"", b"x", b"another boot....", b"another boot...." + (1 << 62).to_bytes(8, "little")):
        path.write_bytes(found)
        clock = SteadyClock(lambda: 1000 * SECOND, lambda: 5 * SECOND)
        clock.share(path)
        assert clock() == 1000 * SECOND
        clock.close()
    clock = SteadyClock(lambda: 1000 * SECOND, lambda: 5 * SECOND)
    clock.share(tmp_path)  # a folder
    assert clock() == 1000 * SECOND


def test_a_look_that_takes_long_does_not_put_the_clock_ahead() -> None:
    moments = iter([0, 10, 3600, 3610])
    clock = SteadyClock(lambda: 1000 * SECOND + next(moments) * SECOND, lambda: next(moments) * SECOND)
    assert clock() <= 4610 * SECOND


def test_a_client_that_the_owner_cannot_watch_hurts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go, and connects again: the thread that serves all others does not stumble over it for ever."""
    store = open_store(tmp_path / "store")
    store.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    real, failures = selectors.DefaultSelector.register, [1, 1]

    def register(selector: object, file: object, events: int, data: object = None) -> object:
        if isinstance(file, Channel) and failures:
            failures.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(selector, file, events, data)  # type: ignore[arg-type]

    monkeypatch.setattr(selectors.DefaultSelector, "register", register)
    child = run_child("put_process", tmp_path / "store")
    assert child.communicate(timeout=25)[0] == "fine\n" and not failures
    store.close()


@pytest.mark.parametrize("fault", [MemoryError, RuntimeError])
def test_an_answer_that_cannot_be_sent_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    """The connection ends, the client comes back with its batch, and gets the answer that is kept for it."""
    store = open_store(tmp_path / "store")
    store.submit([PutArtifact(HASH, b"x", "p")]).result(60)
    faults: list[int] = []
    send = Channel.send

    def failing(self: Channel, data: bytes) -> None:
        if data[4:6] == frame(DONE, 1, b"")[4:6] and not faults:
            faults.append(1)
            raise fault
        send(self, data)

    monkeypatch.setattr(Channel, "send", failing)
    child = run_child("put_process", tmp_path / "store")
    assert child.communicate(timeout=25)[0] == "fine\n" and faults
    assert len(store.deployed()) == 2
    store.close()
