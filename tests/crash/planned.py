"""Schedules, and operations on many processes, while whoever does them is killed; for fail points (grounds.py).

Each process that takes messages gets one of each operation, in order, however often an operation is begun again under
its name.  Each planned instant of a schedule has one run, or is said to be left out where one runs and one waits.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.client.steering import Order, piece
from flowmetal.client.where import Where
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, Operate, Post, Start, Store
from flowmetal.values import Vector, decode_value, encode_value, from_python, keyword, parse_instant, to_python
from tests.crash.forks import Acknowledged
from tests.crash.mixed_check import all_processes

PROGRAM = """
(ns planned)

(defn tick "A run of a schedule; gives the instant that it was planned for." [run]
  (sleep 30ms)
  (:planned run))

(defn tally "Takes the messages of operations; how many there were." [seen]
  (receive
    ["operation" ?n]
    (do (when (not= ?n (inc seen)) (throw (error :out-of-order (str ?n " after " seen))))
        (recur ?n))
    :end seen))
"""
#: Processes that take messages, and how many of them make up a piece of an operation.
TALLIES = 9
PIECE = 2
SECOND = 1_000_000_000
SCHEDULES: dict[str, dict[str, Any]] = {
    "often": {"every": "1s", "overlap": "allow"},
    "jittered": {"every": "1s", "jitter": "500ms", "overlap": "allow"},
    "queued": {"every": "1s", "overlap": "queue"},
}
#: No run counts as missed: a machine that is busy may stand still for long.
USUAL = {"program": "planned", "function": "planned/tick", "pass-run": True, "grace": "1h", "catch-up": "all"}


@dataclass(frozen=True)
class Place:
    """Where the store is, its log, and what was said to be done."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "store"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def acknowledged(self) -> Acknowledged:
        """The operations that have come to their ends, by their numbers."""
        return Acknowledged(self.folder / "acknowledged")


def build() -> bytes:
    """The program's artifact; to be built before anything forks."""
    return build_artifact({"planned.fm": PROGRAM}).data


def make(place: Place, artifact: bytes) -> None:
    """A store with the processes that take messages, and the schedules."""
    store = open_store(place.path)
    deploy(store, artifact, "planned")
    store.submit([Start("planned/tally", encode_value(Vector.of([0])), name="planned")] * TALLIES).result(60)
    for name, options in SCHEDULES.items():
        store.submit([Operate("schedule/put", encode_value(from_python({"name": name, **USUAL, **options})))]).result(
            60
        )
    store.close()


def operate(store: Store, number: int) -> None:
    """Sends a number to all that take messages, as one operation, from where it was left."""
    order = Order("send", Where(function="planned/tally"), value=["operation", number])
    after, end = 0, 0
    while True:
        report = piece(store, order, after, size=PIECE, name=f"operation-{number}", end=end)
        after, end = report.after, report.end
        if not report.more:
            return


def live(place: Place) -> None:
    """Runs the store, and does one operation after the other until it is killed."""
    store = open_store(place.path, create=False)
    Interpreter(store, Config(lease_ms=2000)).start()
    acknowledged = place.acknowledged()
    done = len(acknowledged.all())
    chance = random.Random(done)
    while True:
        done += 1
        operate(store, done)
        acknowledged.note(done)
        time.sleep(chance.uniform(0, 0.02))


def finish(place: Place, seconds: float = 60.0) -> None:
    """Does the last operation to its end, ends the schedules, and has everything come to its end."""
    store = open_store(place.path, create=False)
    running = Interpreter(store, Config(lease_ms=2000))
    running.start()
    acknowledged = place.acknowledged()
    number = len(acknowledged.all()) + 1
    operate(store, number)
    acknowledged.note(number)
    for name in SCHEDULES:
        store.submit([Operate("schedule/pause", encode_value(name))]).result(60)
    store.submit([Post(pid + 1, "message", encode_value(keyword("end"))) for pid in range(TALLIES)]).result(60)
    give_up = time.monotonic() + seconds
    while living := store.processes(limit=10, statuses=("ready", "waiting", "paused")):
        assert time.monotonic() < give_up, f"processes are stuck: {living[:3]}"
        time.sleep(0.01)
    assert running.stop(), "the interpreter did not stop"
    store.close()


def look(place: Place) -> dict[str, Any]:
    """What is wrong, and counts."""
    store = open_store(place.path, create=False)
    wrong: list[str] = []
    operations = len(place.acknowledged().all())
    planned: dict[str, list[int]] = {name: [] for name in SCHEDULES}
    for record in all_processes(store):
        data = store.result(record.pid)
        result = None if data is None else to_python(decode_value(data))
        if record.status not in FINAL_STATUSES or record.status != "done":
            wrong.append(f"process {record.pid} is {record.status}: {record.error}")
        elif record.pid <= TALLIES:
            if result != operations:
                wrong.append(f"process {record.pid} got {result} messages of {operations} operations")
        else:
            name, instant = record.attributes["schedule"], record.attributes["planned"]
            planned[name].append(parse_instant(instant).ns)
            if result != instant:
                wrong.append(f"process {record.pid}: the run of {instant} gave {result}")
    for name, instants in planned.items():
        shown = to_python(decode_value(store.submit([Operate("schedule/show", encode_value(name))]).result(60)[0]))
        seconds = (max(instants) - min(instants)) // SECOND + 1 if instants else 0
        if len(instants) != len(set(instants)) or len(instants) != shown["runs"]:
            wrong.append(f"schedule {name} says {shown['runs']} runs, and had {sorted(instants)}")
        left_out = shown["skipped"] if SCHEDULES[name]["overlap"] == "queue" else 0  # while one runs and one waits
        if shown["missed"] or shown["skipped"] != left_out or len(instants) + left_out < seconds:
            wrong.append(f"schedule {name} ran {len(instants)} times in {seconds} s, and says {shown}")
    store.close()
    return {"wrong": wrong[:20], "operations": operations, "runs": sum(map(len, planned.values()))}
