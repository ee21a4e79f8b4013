"""Makes the store of one version for the corpus: run by that version's code, from a folder with its sources.

    git archive COMMIT | tar x -C OLD && cd OLD && PYTHONPATH=. python .../tests/formats/make.py OUT.tar.xz

It uses only what every version since format 2 has.  Every process of old.fm is started and run until all of them wait.
The store's clock stands at CLOCK; the archive holds the store, the artifact and what was made.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import Complete, Post, Start, Take
from flowmetal.values import Vector, decode_value, encode_value, keyword

SOURCE = Path(__file__).parent / "old.fm"
CLOCK = 1_800_000_000_000_000_000
FUNCTIONS = ("sleeper", "receiver", "asker", "fibers", "handled", "state", "timed", "called")


def main() -> None:
    out = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        artifact = build_artifact({"old.fm": SOURCE.read_text()}).data
        (Path(folder) / "old.fmc").write_bytes(artifact)
        store = open_store(path, clock=lambda: CLOCK)
        deploy(store, artifact, "old")
        arguments = encode_value(Vector.of([3]))
        starts = [Start(f"old/{name}", arguments, name="old", id=name, attributes={"kind": name}) for name in FUNCTIONS]
        pids = [pid for pid, _ in store.submit(starts).result(60)]
        interpreter = Interpreter(store, Config(base_url="http://127.0.0.1:1"))
        settle(store, interpreter)
        # Some of what they wait for has come: a message, and two answers; and an answer lies in an inbox untaken.
        store.submit([Post(pids[1], "message", encode_value("first"))]).result(60)
        for _ in range(2):
            settle(store, interpreter)
            for request in store.submit([Take(("corpus/add",), "maker", 1, 60_000)]).result(60)[0]:
                n = decode_value(request.payload)
                n = n[0] if n.__class__ is Vector else n
                answer = encode_value(n.get(keyword("n")) + 1)
                store.submit([Complete(request.pid, request.number, request.attempt, True, answer)]).result(60)
        settle(store, interpreter)
        interpreter.stop()
        store.submit([Post(pids[1], "message", encode_value("second"))]).result(60)
        statuses = {record.id: record.status for record in store.processes()}
        print(out.name, statuses)
        assert not {"failed", "done", "paused"} & set(statuses.values()), statuses
        store.close()
        facts = {"format": store_format(path), "functions": FUNCTIONS, "clock": CLOCK, "statuses": statuses}
        (Path(folder) / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        with tarfile.open(out, "w:xz", preset=9) as archive:
            for name in ("facts.json", "old.fmc", "store/data.mdb"):
                archive.add(Path(folder) / name, name, filter=anonymous)
    print(out, os.path.getsize(out))


def settle(store: object, interpreter: Interpreter) -> None:
    """Runs until nothing is to do for a while."""
    quiet = 0
    while quiet < 20:
        quiet = 0 if interpreter.step() else quiet + 1
        time.sleep(0.01)


def store_format(path: Path) -> int:
    """The format that a store says it has."""
    import lmdb
    import msgpack

    environment = lmdb.open(str(path), max_dbs=100, readonly=True, lib_version=0)
    with environment.begin() as transaction:
        about = transaction.get(b"about", db=environment.open_db(b"meta", transaction, create=False))
    environment.close()
    return int(msgpack.unpackb(about)[0])


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it and when."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


if __name__ == "__main__":
    main()
