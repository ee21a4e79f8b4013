"""What is done to a store while its writes are traced, and what must be found in it after a power cut.

A workload runs in the traced process.  It says what it was told is durable, a line of JSON each, written at once:

    {"open": true}                         the store was made or opened
    {"started": [id, pid]}                 a start was answered
    {"posted": [pid, n]}                   message n of a process was answered
    {"turn": [pid, sequence]}              a turn was committed
    {"run": [id, pid, number, steps]}      a process of the program below was started
    {"act": [pid, number, step]}           an effect reached the outside
    {"result": [pid, value]}               a result was read
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lmdb

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.functions import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store, rekeying, resealing
from flowmetal.store.codec import encode_about
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Command, Join, Post, PutArtifact, Rekey, Start, Store, Turn
from flowmetal.store.keys import KEY_VARIABLE, KeySource
from flowmetal.store.layout import SPACE_NAMES
from flowmetal.store.lmdb_copies import backup, encrypt, restore
from flowmetal.store.lmdb_files import ENGINE
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.lmdb_store import LmdbStore
from flowmetal.values import Vector, decode_value, encode_value

Say = Callable[..., None]

PROGRAM = """
(ns steps)
(defn child [n] (perform :probe/act [n 0]))
(defn main [n steps]
  (loop [i 0 total 0]
    (if (= i steps)
      (do (sleep 3ms) total)
      (do (log "step" i)
          (recur (inc i) (+ total (perform :probe/act [n i])))))))
"""
HASH = b"\x01" * 32
#: What a store of format 2 was made with.
SPACES_OF_FORMAT_2 = frozenset(
    [
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
    ]
)
#: Until something has happened in a workload, which takes milliseconds.
PATIENCE_SECONDS = 30.0


def sayer(descriptor: int) -> Say:
    """Says things on a descriptor."""

    def say(**what: Any) -> None:
        os.write(descriptor, json.dumps(what).encode() + b"\n")

    return say


def expected_result(number: int, steps: int) -> int:
    """What `main` of the program returns."""
    return sum(act_result(number, step) for step in range(steps))


def act_result(number: int, step: int) -> int:
    """What the outside answers."""
    return number * 1000 + step


_built: list[bytes] = []


def program() -> bytes:
    """The artifact of the program, built once."""
    if not _built:
        _built.append(build_artifact({"steps.fm": PROGRAM}).data)
    return _built[0]


def small_options(**more: Any) -> LmdbOptions:
    """A small map, so that opening it costs little."""
    return replace(LmdbOptions(map_size=64 << 20), **more)


# ---- the workloads -------------------------------------------------------------------------------------------------


def post_some(store: Store, say: Say, name: str, count: int, size: int = 300) -> None:
    """Starts a process and sends it numbered messages, some at a time."""
    pid = store.submit([Start("f", b"", name="p", id=name)]).result(60)[0][0]
    say(started=[name, pid])
    number = 0
    while number < count:
        some = min(3, count - number)
        futures = [
            store.submit([Post(pid, "message", b"%d " % n + b"x" * size)]) for n in range(number + 1, number + some + 1)
        ]
        for future in futures:
            number += 1
            future.result(60)
            say(posted=[pid, number])


def take_turns(store: Store, say: Say, name: str, count: int) -> None:
    """Turns of one process, each of which takes its inbox and adds to its log, as an interpreter's do."""
    claim = store.submit([Join("turns", 3_600_000)]).result(60)[0]
    pid = store.submit([Start("f", b"", name="p", id=name)]).result(60)[0][0]
    say(started=[name, pid])
    for _ in range(count):
        record = store.process(pid)
        assert record is not None
        taken = tuple(event.key for event in store.inbox(pid))
        turn = Turn(
            pid, claim.epochs[pid % 64], record.sequence, "waiting",
            ((record.sequence, 0, b"event", b"segment" * 40),), record.sequence + 1, taken=taken,
        )  # fmt: skip
        commands: list[Command] = [turn, Post(pid, "message", b"-" * 100)]
        assert store.submit(commands).result(60)[0] is True
        say(turn=[pid, record.sequence + 1])


def creation(folder: Path, say: Say) -> None:
    """A store is made, two folders deep, and used a little."""
    store = open_store(folder / "deep" / "er" / "store")
    say(open=True)
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    post_some(store, say, "one", 4)
    store.close()


def killed_makers(folder: Path, say: Say) -> None:
    """Whoever makes a store is killed before it is synced: after a folder above it, after the store is in its place."""
    path = folder / "deep" / "er" / "store"
    for what in ("mkdir", "rename"):
        child = os.fork()
        if child == 0:
            real = getattr(os, what)

            def and_die(*given: Any, real: Callable[..., None] = real, **more: Any) -> None:
                real(*given, **more)
                if str(given[0]) == str(folder / "deep") or (len(given) > 1 and str(given[1]) == str(path)):
                    os._exit(0)

            setattr(os, what, and_die)
            open_store(path)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    say(open=True)
    post_some(store, say, "one", 4)
    store.close()


def batches(folder: Path, say: Say) -> None:
    """Several threads, whose batches share commits; pages are freed and used again."""
    store = open_store(folder / "store")
    say(open=True)
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    threads = [threading.Thread(target=post_some, args=(store, say, f"posts{n}", 18)) for n in range(2)]
    threads.append(threading.Thread(target=take_turns, args=(store, say, "turns", 20)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def growth(folder: Path, say: Say) -> None:
    """The map grows under large records, alone and in a batch."""
    path = folder / "store"
    store = LmdbStore(path, small_options(map_size=1 << 20), time.time_ns, create=True)
    say(open=True)
    store.submit([PutArtifact(HASH, b"code" * 40_000, "p")]).result(60)
    post_some(store, say, "large", 40, size=50_000)
    store.close()


def takeover(folder: Path, say: Say) -> None:
    """The owner dies while another process is attached, which goes on as the owner."""
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        store = open_store(folder / "store")
        store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
        say(open=True)
        threading.Thread(target=post_some, args=(store, say, "first", 500), daemon=True).start()
        os.write(writing, b"x")
        time.sleep(0.05)
        os._exit(0)  # as a kill: nothing is closed
    os.read(reading, 1)
    store = open_store(folder / "store")
    post_some(store, say, "second", 25)
    os.waitpid(first, 0)
    post_some(store, say, "third", 10)
    store.close()


def upgrade(folder: Path, say: Say) -> None:
    """A store of an older format is opened and used: key spaces are added, and records sealed in several commits."""
    resealing.CHUNK_RECORDS = 12
    store = open_store(folder / "store")
    say(open=True)
    post_some(store, say, "new", 6)
    store.close()


def old_store(folder: Path) -> None:
    """What `upgrade` begins with: a store of format 2, with something in it."""
    path = folder / "store"
    store = open_store(path)
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    post_some(store, lambda **_: None, "old", 10)
    store_id = store.id
    store.close()
    environment = lmdb.open(str(path), max_dbs=100, map_size=1 << 24)
    meta = environment.open_db(b"meta", create=False)
    with environment.begin(write=True) as transaction:
        for space in SPACE_NAMES:
            handle = environment.open_db(space.encode(), transaction, create=False)
            if space not in SPACES_OF_FORMAT_2:
                transaction.drop(handle)
                continue
            for key, stored in list(transaction.cursor(handle)):  # without seals, as it was
                transaction.put(key, stored[:-5], db=handle)
        transaction.put(b"about", encode_about(2, ENGINE, store_id, 5), db=meta)
    environment.close()
    for name in ("lock.mdb", "owner.lock", "clock"):
        (path / name).unlink(missing_ok=True)


def encryption(folder: Path, say: Say) -> None:
    """A store is encrypted, once by a process that is killed as the new file is in its place, and used."""
    path = folder / "store"
    child = os.fork()
    if child == 0:
        real = os.rename

        def and_die(*given: Any) -> None:
            real(*given)
            os._exit(0)

        os.rename = and_die  # type: ignore[assignment]
        encrypt(path, small_options(), KeySource("env", KEY_VARIABLE))
    assert os.waitpid(child, 0)[1] == 0
    store = open_store(path)
    say(open=True)
    post_some(store, say, "new", 6)
    store.close()


def rotation(folder: Path, say: Say) -> None:
    """The data key of an encrypted store is changed while it is written, and once more, begun by one owner and ended
    by the next.  Records are written anew in many commits."""
    rekeying.CHUNK_RECORDS = 9
    path = folder / "store"
    store = open_store(path)
    say(open=True)
    thread = threading.Thread(target=post_some, args=(store, say, "beside", 10))
    thread.start()
    rotate(store)
    thread.join()
    store.close()
    store = open_store(path)
    post_some(store, say, "between", 3)
    store.submit([Rekey("begin")]).result(60)
    store.submit([Rekey("go-on")]).result(60)
    store.close()
    store = open_store(path)
    rotate(store)
    post_some(store, say, "after", 3)
    store.close()


def rotate(store: Store) -> None:
    """Until no record is left that is encrypted with another data key."""
    assert store.submit([Rekey("begin")]).result(60)
    while not store.submit([Rekey("go-on")]).result(60)[0][2]:
        pass


def encrypted_store(folder: Path) -> None:
    """What `rotation` begins with."""
    key = os.environ[KEY_VARIABLE]
    plain_store(folder)
    os.environ[KEY_VARIABLE] = key
    encrypt(folder / "store", small_options(), KeySource("env", KEY_VARIABLE))
    for name in ("lock.mdb", "owner.lock", "clock"):
        (folder / "store" / name).unlink(missing_ok=True)


def copies(folder: Path, say: Say) -> None:
    """A backup is made while the store is written, restored, and the restored store used."""
    shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]  # what is copied so is not seen by the recorder
    # By another process, as the command does.
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        backup(folder / "store", small_options(), folder / "backup")
        os._exit(0)
    store = open_store(folder / "store")
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    post_some(store, lambda **_: None, "old", 9)
    os.write(writing, b"x")
    thread = threading.Thread(target=post_some, args=(store, lambda **_: None, "beside", 12))
    thread.start()
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    store.close()
    restore(folder / "backup", small_options(), folder / "restored")
    store = open_store(folder / "restored")
    record = store.process_by_id("old")
    assert record is not None
    say(open=True)
    say(started=["old", record.pid])
    say(posted=[record.pid, 9])
    post_some(store, say, "new", 6)
    store.close()


def plain_store(folder: Path) -> None:
    """What `encryption` begins with."""
    os.environ[KEY_VARIABLE] = ""
    store = open_store(folder / "store")
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    post_some(store, lambda **_: None, "old", 10)
    store.close()


def interpreting(folder: Path, say: Say) -> None:
    """An interpreter runs programs that perform effects, sleep and start others."""
    store = open_store(folder / "store")
    say(open=True)
    hash = deploy(store, program(), "steps")
    interpreter = Interpreter(store, Config(name="traced", fallback_seconds=0.01))

    def act(call: Call) -> int:
        number, step = call.payload
        say(act=[call.pid, number, step])
        return act_result(number, step)

    interpreter.register("probe/act", act, inline=True)
    interpreter.start()
    pids = []
    for number in range(6):
        steps = 2 + number
        arguments = encode_value(Vector.of([number, steps]))
        command = Start("main", arguments, artifact=hash, name="steps", id=f"run{number}")
        pid = store.submit([command]).result(60)[0][0]
        say(run=[f"run{number}", pid, number, steps])
        pids.append(pid)
    give_up = time.monotonic() + PATIENCE_SECONDS
    for pid in pids:
        while (data := store.result(pid)) is None:
            assert time.monotonic() < give_up
            time.sleep(0.002)
        say(result=[pid, decode_value(data)])
    interpreter.stop()
    store.close()


def one_by_one(folder: Path, say: Say, *, durability: str) -> None:
    """Posts, each in a commit of its own, with a weaker durability."""
    store = LmdbStore(folder / "store", small_options(durability=durability), time.time_ns, create=True)
    say(open=True)
    store.submit([PutArtifact(HASH, b"code", "p")]).result(60)
    pid = store.submit([Start("f", b"", name="p", id="one")]).result(60)[0][0]
    say(started=["one", pid])
    for number in range(1, 31):
        store.submit([Post(pid, "message", b"%d " % number + b"x" * 300)]).result(60)
        say(posted=[pid, number])
    store.close()


@dataclass(frozen=True)
class Workload:
    """`before`: makes what is there when the trace begins.  `spare`: how many of the last acknowledgements may be lost,
    by the durability that was asked for.  `share`: of the images, relative to the others."""

    name: str
    work: Callable[[Path, Say], None]
    before: Callable[[Path], None] | None = None
    path: str = "store"
    spare: int = 0
    share: int = 2


WORKLOADS = (
    Workload("creation", creation, path="deep/er/store", share=3),
    Workload("killed-makers", killed_makers, path="deep/er/store"),
    Workload("batches", batches, share=5),
    Workload("growth", growth, share=1),
    Workload("takeover", takeover, share=3),
    Workload("upgrade", upgrade, old_store),
    Workload("encryption", encryption, plain_store),
    Workload("rotation", rotation, encrypted_store),
    Workload("copies", copies, path="restored"),
    Workload("interpreting", interpreting, share=4),
    Workload("last-commit", partial(one_by_one, durability="lose-last-commit-on-power-loss"), spare=1),
)
#: Not part of the run: what it does is known to lose a store.
UNSAFE = Workload("unsafe", partial(one_by_one, durability="lose-store-on-power-loss"))


def refusal(work: Callable[[], object]) -> str:
    """The code that a store refuses with; "" where it does not."""
    try:
        work()
    except StoreError as error:
        return error.code
    return ""
