"""A line of a soak: a store with interpreters and clients at a steady pace, which are killed, or not.

Each process of a line runs the mixed load of tests/crash, and *probes*: small processes of which it measures how long
they take from the start to the end that a client sees.  Retention removes what ended a while ago.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.engine.events import Started, decode_event
from flowmetal.engine.retention import Policy, Retention
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, Start, Store
from flowmetal.store.owner_lock import OWNER_FILE
from flowmetal.values import Vector, decode_value, encode_value
from tests.crash import mixed_load
from tests.crash.forks import Acknowledged, Forked, fork, run
from tests.crash.mixed_check import all_processes, result_of

#: A client gives this many commands a second.
COMMANDS_PER_SECOND = 40
PROBES_PER_SECOND = 10
PROBE_PATIENCE_SECONDS = 60.0
#: Ended processes are kept for so long, by how long the soak is.
KEPT_SHARE = 0.02
KEPT_SECONDS = (1.0, 30.0)
LOG_KEPT = 500


def retention(seconds: float) -> Retention:
    """What goes, in a soak of so many seconds."""
    kept = min(max(seconds * KEPT_SHARE, KEPT_SECONDS[0]), KEPT_SECONDS[1])
    policy = Policy(older_than_ns=int(kept * 1e9), log_keep=LOG_KEPT)
    return Retention(usual=policy, every_seconds=kept / 4)


def live(path: Path, life: str, folder: Path, seed: int, seconds: float) -> None:
    """Runs a store at a steady pace until the file `stop` is there, then brings everything to its end."""
    store = open_store(path, create=False)
    running = mixed_load.interpreter(store, retention(seconds))
    running.start()
    prober = threading.Thread(target=probe, args=(store, folder, life), daemon=True)
    prober.start()
    acknowledged = Acknowledged(folder / "acknowledged")
    client = mixed_load.Client(store, life, acknowledged, random.Random(seed), 1.0 / COMMANDS_PER_SECOND)
    client.run((folder / "stop").exists)
    prober.join(PROBE_PATIENCE_SECONDS)
    mixed_load.end_all(store, client, 120)
    assert running.stop(), "the interpreter did not stop"
    store.close()


def probe(store: Store, folder: Path, life: str) -> None:
    """Starts a small process now and then, and notes when that was and how long it took until its end was seen."""
    times = os.open(folder / "probes", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    changed = threading.Event()
    store.watch(lambda hints: changed.set() if any(kind == "process" for kind, _ in hints) else None)
    while not (folder / "stop").exists():
        began = time.monotonic()
        command = Start("mixed/chain", encode_value(Vector.of([1])), name="mixed")
        [(pid, _)] = store.submit([command]).result(PROBE_PATIENCE_SECONDS)
        while True:
            changed.clear()
            record = store.process(pid)
            if record is None or record.status in FINAL_STATUSES:
                break
            changed.wait(0.05)
            if time.monotonic() - began > PROBE_PATIENCE_SECONDS:
                os._exit(3)  # which the soak takes for a failure
        took = time.monotonic() - began
        os.write(times, json.dumps([began, took, life]).encode() + b"\n")
        time.sleep(max(0.0, 1.0 / PROBES_PER_SECOND - took))


class Line:
    """A store and what runs it."""

    def __init__(
        self, folder: Path, artifact: bytes, seed: int, seconds: float, together: int, *, fresh: bool = False
    ) -> None:
        """`fresh`: the processes are no forks, whose memory grows as they touch what they have of their parent."""
        self.folder = folder
        folder.mkdir()
        self.path = folder / "store"
        self.log = folder / "log"
        self.chance = random.Random(seed)
        self.seconds = seconds
        self.together = together
        self.fresh = fresh
        self.lives = self.kills = self.owners_killed = 0
        self.living: list[Forked] = []
        self.memory: list[tuple[float, float]] = []  # (seconds, MB) of the first that runs
        self.disk: list[tuple[float, float]] = []  # (seconds, MB in use)
        run(partial(mixed_load.make, self.path, artifact), self.log)
        self.began = time.monotonic()
        self.fill()

    def fill(self) -> None:
        """Starts what is missing."""
        while len(self.living) < self.together:
            self.lives += 1
            seed = self.chance.randrange(1 << 32)
            facts = (self.path, f"life{self.lives}", self.folder, seed, self.seconds)
            self.living.append(started(self.log, *facts) if self.fresh else fork(partial(live, *facts), self.log))

    def check(self) -> None:
        """None may have ended by itself."""
        for one in self.living:
            one.check_alive()

    def kill(self) -> None:
        """Kills one, mostly that which commits, and starts another."""
        self.check()
        try:
            owner = int(json.loads((self.path / OWNER_FILE).read_bytes())["pid"])
        except (OSError, ValueError, KeyError):
            owner = 0
        victims = [one for one in self.living if one.pid == owner]
        victim = victims[0] if victims and self.chance.random() < 0.7 else self.chance.choice(self.living)
        self.owners_killed += victim.pid == owner
        victim.kill()
        self.living.remove(victim)
        self.kills += 1
        self.fill()

    def measure(self) -> None:
        """Memory of the first that runs, and the pages of the store that are in use."""
        now = time.monotonic() - self.began
        memory = anonymous_mb(self.living[0].pid)
        if memory:
            self.memory.append((now, memory))
        self.disk.append((now, (self.path / "data.mdb").stat().st_size / 1e6))

    def probes(self) -> list[tuple[float, float]]:
        """(seconds since the beginning, seconds that it took) of each probe."""
        text = (self.folder / "probes").read_text() if (self.folder / "probes").exists() else ""
        rows = [json.loads(line) for line in text.splitlines()]
        return [(began - self.began, took) for began, took, _ in rows]

    def end(self) -> dict[str, Any]:
        """Brings everything to its end and looks: what is wrong, and counts."""
        for one in self.living[1:]:
            one.kill()
        (self.folder / "stop").touch()
        code = self.living[0].wait()
        if code != 0:
            raise AssertionError(f"the last of a line ended with {code}\n{self.living[0].tail()}")
        found: dict[str, Any] = run(partial(look, self.path, self.folder), self.log)
        return found

    def close(self) -> None:
        """Removes the store."""
        shutil.rmtree(self.folder)


def started(log: Path, *facts: object) -> Forked:
    """A new Python process that does `live`."""
    out = [(os.POSIX_SPAWN_OPEN, to, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for to in (1, 2)]
    command = [sys.executable, "-m", "tests.soak", "--live", *map(str, facts)]
    return Forked(os.posix_spawn(sys.executable, command, os.environ, file_actions=out), log)


def anonymous_mb(pid: int) -> float:
    """The memory that a process has to itself; what of the store's file is mapped is the system's to give and take."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def look(path: Path, folder: Path) -> dict[str, Any]:
    """After the end: what is stuck, failed or lost, as far as retention has left it."""
    store = open_store(path, create=False)
    wrong: list[str] = []
    processes = 0
    for record in all_processes(store):
        processes += 1
        if record.status not in FINAL_STATUSES:
            wrong.append(f"process {record.pid} is stuck: {record}")
        elif record.status == "failed":
            wrong.append(f"process {record.pid} has failed: {record.error}")
        elif record.status == "done" and record.pid != mixed_load.SINK:
            result, kind = store.result(record.pid), record.function.partition("/")[2]
            arguments = arguments_of(store, record.pid)
            if arguments is not None and kind != "hook" and result is not None:
                value, wanted = decode_value(result), result_of(kind, arguments)
                if value != wanted:
                    wrong.append(f"process {record.pid}: {kind} of {arguments} gave {value}, not {wanted}")
    acknowledged = Acknowledged(folder / "acknowledged").all()
    wrong += lost(store, acknowledged)
    entries = store.stats()["entries"]
    store.close()
    return {"wrong": wrong[:20], "left": processes, "acknowledged": len(acknowledged), "entries": entries["log"]}


def arguments_of(store: Store, pid: int) -> tuple[Any, ...] | None:
    """What a process was called with; None where its log is gone."""
    for entry in store.log(pid, 0, 1):
        event = decode_event(entry.event)
        if isinstance(event, Started):
            return tuple(decode_value(event.arguments))
    return None


def lost(store: Store, acknowledged: list[list[Any]]) -> list[str]:
    """Of what clients were told, what is not there, or was told twice."""
    wrong = []
    result = store.result(mixed_load.SINK)
    counts = dict(decode_value(result).items()) if result is not None else {}
    deliveries: set[int] = set()
    completions: set[tuple[int, int]] = set()
    posted: dict[str, int] = {}
    for what, *facts in acknowledged:
        if what == "post":
            posted[facts[0]] = max(posted.get(facts[0], 0), facts[1])
        elif what == "deliver" and facts[2] == "accepted":
            if facts[0] in deliveries:
                wrong.append(f"process {facts[0]}: two deliveries were accepted")
            deliveries.add(facts[0])
        elif what == "complete":
            if (facts[0], facts[1]) in completions:
                wrong.append(f"process {facts[0]}: two answers to step {facts[1]} were accepted")
            completions.add((facts[0], facts[1]))
    for life, number in posted.items():
        if counts.get(life, 0) < number:
            wrong.append(f"client {life}: {number} messages were acknowledged, and {counts.get(life, 0)} were taken")
    return wrong
