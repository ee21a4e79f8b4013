"""Opens a store of the corpus with today's code, gives its processes what they wait for, and looks at what they return."""

from __future__ import annotations

import json
import tarfile
import time
from pathlib import Path
from typing import Any

from flowmetal.bytecode.link import verify_artifact
from flowmetal.engine.artifacts import Programs
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import Store, open_store
from flowmetal.store.interface import FINAL_STATUSES, Complete, Deliver, Post, Take
from flowmetal.store.layout import FORMAT
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.scrubbing import scrub_store
from flowmetal.values import Vector, decode_value, encode_value, from_python, keyword, print_string
from flowmetal.vm.builtins.registry import builtin_arity

CORPUS = Path(__file__).parent / "corpus.tar.xz"
#: How long all processes of a store may take.
PATIENCE_SECONDS = 60.0
#: A store of the first hour of format 2, whose layout changed before the number did: refused.
FIRST_LAYOUT = "d7aa6e4"
HOUR_NS = 3600 * 1_000_000_000

#: What each process of old.fm returns for 3, given what `answer` gives it.
EXPECTED = {
    "sleeper": "6",
    "receiver": '["first" "second" "now"]',
    "asker": "6",
    "fibers": '["now" 14 [:begun :slow]]',
    "handled": "[4 5 6]",
    "state": '[3 3 "value 7" true 1 501 3000 "now" 1.5 :key sym 123456789012345678901234567890]',
    "timed": ":late",
    "called": "4",
}


def unpack(folder: Path) -> list[Path]:
    """The folders of the corpus, one a version."""
    with tarfile.open(CORPUS, "r:xz") as archive:
        archive.extractall(folder, filter="data")
    return sorted(one for one in folder.iterdir() if one.name != FIRST_LAYOUT)


class Clock:
    """A clock that is moved."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def answer(store: Store, sent: set[int]) -> None:
    """Gives processes what they wait for: a message, answers to requests, a delivery."""
    for record in store.processes(statuses=("waiting",)):
        if record.id in ("receiver", "fibers", "state") and record.pid not in sent:
            sent.add(record.pid)
            store.submit([Post(record.pid, "message", encode_value("now"))]).result(60)
    for request in store.submit([Take(("corpus/add",), "today", 10, 60_000)]).result(60)[0]:
        payload = decode_value(request.payload)
        payload = payload[0] if payload.__class__ is Vector else payload
        done = encode_value(payload.get(keyword("n")) + 1)
        store.submit([Complete(request.pid, request.number, request.attempt, True, done)]).result(60)


def deliver(store: Any) -> None:
    """Calls the address that `called` waits at."""
    with store.store.engine.reading() as transaction:
        tokens = [key.decode() for key, _ in transaction.scan("tokens", values=False)]
    event = encode_value(from_python({"method": "POST", "a": 1, "b": 2, "c": 3}))
    for token in tokens:
        store.submit([Deliver(token, event)]).result(60)


def resume(folder: Path) -> dict[str, str]:
    """Has a version's processes go on until all have ended; what each returned, as text."""
    facts = json.loads((folder / "facts.json").read_text())
    path = folder / "store"
    clock = Clock(facts["clock"])
    store = open_store(path, create=False, clock=clock)
    programs = Programs(store)  # the library of the time is in the store, and not in this installation
    artifact = verify_artifact((folder / "old.fmc").read_bytes(), builtin_arity, programs._library_module)
    assert artifact.hash in store.deployed("old").values()
    interpreter = Interpreter(store, Config(base_url="http://127.0.0.1:1"))
    sent: set[int] = set()
    end = time.monotonic() + PATIENCE_SECONDS
    delivered = False
    try:
        while time.monotonic() < end:
            if not interpreter.step():
                answer(store, sent)
                clock.at += HOUR_NS // 4
                interpreter.look_now()
                time.sleep(0.002)
                if not delivered:
                    delivered = True
                    deliver(store)
            records = store.processes()
            if all(record.status in FINAL_STATUSES for record in records):
                break
        found = {}
        for record in store.processes():
            data = store.result(record.pid)
            text = print_string(decode_value(data)) if record.status == "done" and data else record.error
            found[str(record.id)] = text if record.status == "done" else f"{record.status}: {text or record.waits}"
        assert store.stats()["format"] == FORMAT
    finally:
        interpreter.stop()
        store.close()
    report = scrub_store(path, LmdbOptions())
    assert report.found == 0 and report.unsealed == 0, report
    return found
