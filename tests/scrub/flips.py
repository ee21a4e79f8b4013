"""Bit flips: in the records of a store, through LMDB, and in its file, page heads and pointers included.

A record is damaged in a write transaction that is taken back, and read within it by the code that reads it always.  The
file is damaged in a copy, which a forked process then scrubs, and another one opens and reads as a served store would be:
what that comes to is counted, being killed by a signal too.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Operate, Post, Start, Take
from flowmetal.store.keys import KeySource
from flowmetal.store.layout import META, SPACE_NAMES
from flowmetal.store.lmdb_copies import encrypt
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_files import check_about, page_damage
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.scrub import Report, scrub
from flowmetal.store.sealing import ABOUT, SEAL, UNSEALED, decode_seal
from flowmetal.values import Vector, encode_value

SOURCE = """
(ns a)
(defn main [n] (log n) (perform :mail/send {:n n}) (receive))
(defn timed [n] (sleep 1h) n)
(defn long [n] [(apply str (map (fn [i] "0123456789") (range 200))) (receive)])
"""
#: What a forked process may take.
HANG_SECONDS = 30

Dump = dict[tuple[str, bytes], bytes]


def make_store(path: Path, key: Path | None = None, count: int = 30) -> LmdbOptions:
    """A store with a bit of everything; encrypted where there is a key."""
    store = open_store(path)
    deploy(store, build_artifact({"a.fm": SOURCE}).data, "a")
    starts = [
        Start(f"a/{name}", encode_value(Vector.of([n])), name="a", id=f"{name}{n}", attributes={"n": n})
        for name in ("main", "timed", "long")
        for n in range(count)
    ]
    store.submit(starts).result(60)
    interpreter = Interpreter(store, Config())
    end = time.monotonic() + 30
    while time.monotonic() < end and len(store.processes(statuses=("waiting",), limit=1000)) < 3 * count:
        interpreter.step()
    store.submit([Take(("mail/send",), "worker", count // 2, 3_600_000)]).result(60)
    store.submit([Post(pid, "message", encode_value("m")) for pid in range(1, count, 3)]).result(60)
    payload = encode_value(Vector.of(["name", encode_value(1)]))
    store.submit([Operate("kv/put", payload)]).result(60)
    interpreter.stop()
    store.close()
    if key is None:
        return LmdbOptions()
    key.touch(0o600)
    key.write_text("7f" * 32)
    source = KeySource("file", str(key))
    encrypt(path, LmdbOptions(), source)
    return LmdbOptions(key=source)


# ---- records ---------------------------------------------------------------------------------------------------------


def damage(chance: random.Random, key: bytes, stored: bytes) -> tuple[str, bytes, bytes]:
    """(what was done, key, stored): mostly one bit of what is stored, or of its key; else a few, or a part of it."""
    kind = chance.choices(("bit", "key", "bits", "zeros", "cut"), (80, 8, 6, 3, 3))[0]
    if kind == "key" and key not in UNSEALED:
        return kind, flip(key, chance.randrange(8 * len(key))), stored
    if kind == "bits":
        for bit in chance.sample(range(8 * len(stored)), chance.randrange(2, 9)):  # none twice, which changes nothing
            stored = flip(stored, bit)
        return kind, key, stored
    if kind == "zeros" and any(stored):
        at = chance.randrange(len(stored))
        zeroed = stored[:at] + bytes(len(stored[at : at + 512])) + stored[at + 512 :]
        if zeroed != stored:
            return kind, key, zeroed
    if kind == "cut" and len(stored) > 1:
        return kind, key, stored[: chance.randrange(1, len(stored))]
    return "bit", key, flip(stored, chance.randrange(8 * len(stored)))


def flip(data: bytes, bit: int) -> bytes:
    """The bytes with one bit turned."""
    found = bytearray(data)
    found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def flip_records(
    path: Path,
    options: LmdbOptions,
    count: int,
    chance: random.Random,
    reader: Callable[[Any, str, bytes], object] | None = None,
) -> tuple[Counter[str], list[str]]:
    """Damages records one after the other: how many of each kind, and those that were not found.

    `reader` reads a record, for a test that has to see this fail.
    """
    read = reader or (lambda transaction, space, key: transaction.get(space, key))
    engine = LmdbEngine(path, options, create=False)
    counts: Counter[str] = Counter()
    missed: list[str] = []
    try:
        engine.become_writer()
        records: list[tuple[str, bytes, bytes]] = []
        with engine.reading() as reading:
            for space in SPACE_NAMES:
                records += [(space, key, stored) for key, stored in reading.stored(space, b"", 1 << 30, 1 << 40)]
            for key in (ABOUT, SEAL):
                found = reading.get_meta(key)
                if found is not None:
                    records.append((META, key, found))
        with engine.writing() as transaction:
            while counts.total() < count:
                space, key, stored = chance.choice(records)
                kind, other, spoiled = damage(chance, key, stored)
                raw, handle = transaction._transaction, engine.handles[space]
                if other != key and raw.get(other, db=handle) is not None:
                    continue  # another record has that key
                raw.put(other, spoiled, db=handle)
                counts[kind] += 1
                assert (other, spoiled) != (key, stored)
                try:
                    if key in UNSEALED:
                        _read_unsealed(transaction, key, path)
                    else:
                        read(transaction, space, other)
                    missed.append(f"{kind} of {space} {key.hex()}: {spoiled[:40].hex()}")
                except StoreError as error:
                    assert error.code in ("S310", "S108", "S103", "S104"), error
                if other != key:
                    raw.delete(other, db=handle)
                else:
                    raw.put(key, stored, db=handle)
    finally:
        engine.close()
    return counts, missed


def _read_unsealed(transaction: Any, key: bytes, path: Path) -> None:
    if key == SEAL:
        decode_seal(transaction.get_meta(SEAL))
    else:
        check_about(path, transaction.get_meta(ABOUT))


# ---- the file --------------------------------------------------------------------------------------------------------


def dump(path: Path, options: LmdbOptions) -> Dump:
    """All records as they are read."""
    engine = LmdbEngine(path, options, create=False)
    found: Dump = {}
    try:
        for space in SPACE_NAMES:
            with engine.reading() as transaction:
                for key, value in transaction.scan(space):
                    found[space, key] = hashlib.sha256(value).digest()
    finally:
        engine.close()
    return found


def in_child(work: Callable[[], str]) -> str:
    """What `work` gives in a forked process; "killed by ..." or "hangs" where that does not end by itself."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(HANG_SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            text = work()
        except BaseException as error:
            text = f"traceback {type(error).__name__}: {error}"
        os.write(write_end, text.encode()[:60_000])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return "hangs" if name == "SIGALRM" else f"killed by {name}"
    return said


def scrubbed(path: Path, options: LmdbOptions, whole: Dump) -> str:
    """What a scrub, pages included, finds: "found", "same" where the flip is in no page that is read; or "missed"."""
    try:
        if page_damage(path):
            return "found"
        engine = LmdbEngine(path, options, create=False)
        try:
            report = Report()
            scrub(engine, report, lambda space, start: None)
        finally:
            engine.close()
        if report.found:
            return "found"
        return "same" if dump(path, options) == whole else "missed"
    except StoreError as error:
        return (
            "found" if error.code in ("S108", "S103", "S104", "S310", "S303", "S313", "S315") else f"bad {error.code}"
        )


def opened(path: Path, options: LmdbOptions, whole: Dump) -> str:
    """What opening and reading all of it comes to, as a store that is served is opened."""
    try:
        return "same" if dump(path, options) == whole else "missed"
    except StoreError as error:
        return error.code


def flip_file(
    path: Path, options: LmdbOptions, count: int, chance: random.Random, folder: Path, garbage: bool = False
) -> tuple[Counter[str], Counter[str], list[str]]:
    """Flips bits of the file: what scrubbing came to, what opening did, and the places that were missed.

    `garbage`: writes random bytes over parts of pages, or all of one, instead."""
    whole_text = in_child(lambda: repr(len(dump(path, options))))
    assert whole_text.isdecimal() and int(whole_text) > 100, whole_text
    whole = dump(path, options)
    data = (path / "data.mdb").read_bytes()
    copy = folder / "flipped"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    scrubs: Counter[str] = Counter()
    opens: Counter[str] = Counter()
    missed: list[str] = []
    for _ in range(count):
        # Half of them where it hurts most: the head of a page and its pointers.
        page = chance.randrange(len(data) // 4096)
        bit = page * 4096 * 8 + (chance.randrange(8 * 64) if chance.random() < 0.5 else chance.randrange(8 * 4096))
        spoiled = flip(data, bit)
        if garbage:
            size = chance.choice((8, 64, 512, 4096))
            at = page * 4096 + chance.randrange(0, 4097 - size)
            spoiled = data[:at] + chance.randbytes(size) + data[at + size :]
        (copy / "data.mdb").write_bytes(spoiled)
        found = in_child(lambda: scrubbed(copy, options, whole))
        scrubs[found] += 1
        if found not in ("found", "same"):
            missed.append(f"bit {bit} of the file, page {page}{', garbage' if garbage else ''}: {found}")
        (copy / "lock.mdb").unlink(missing_ok=True)
        opens[in_child(lambda: opened(copy, options, whole))] += 1
        (copy / "lock.mdb").unlink(missing_ok=True)
    shutil.rmtree(copy, ignore_errors=True)
    return scrubs, opens, missed
