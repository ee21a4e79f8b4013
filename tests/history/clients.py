"""What the processes of a run do: interpreters, clients that note each operation before and after it, and the end."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowmetal.client import connect
from flowmetal.client.base import Client
from flowmetal.client.errors import NotFinished, NotFound, ProcessCancelled
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES

#: Objects of a run.
REGISTERS, COUNTERS, COLLECTORS, IDLERS, IDS = 120, 4, 6, 40, 60

#: Threads of a client's process.
THREADS = 2

#: How long a client waits for a process that it calls.
CALL_SECONDS = 60.0

#: What clients do, and how often.
KINDS = {
    "get": 22, "put": 12, "cas": 20, "delete": 4, "start": 7, "find": 7, "send": 12, "look": 8, "pause": 1, "resume": 2,
    "cancel": 1, "stop": 1, "bump": 1, "echo": 2,
}  # fmt: skip


def interpret(path: Path) -> None:
    """Runs processes until it is killed."""
    store = open_store(path)
    Interpreter(store, Config(lease_ms=5000)).start()
    while True:
        time.sleep(60)


def prepare(path: Path, artifact: bytes) -> None:
    """Deploys the program, and starts the processes that all clients use."""
    client = connect(str(path), create=True)
    client.deploy("history", artifact)
    for number in range(COLLECTORS):
        client.start("history/collect", id=f"collector-{number}")
    client.close()


class Notes:
    """A file of operations: a line when one begins, another one when it has ended.  Each line is one write."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *facts: Any) -> None:
        """A line."""
        os.write(self._descriptor, json.dumps(facts).encode() + b"\n")


def work(path: Path, notes: Path, name: str, operations: int, seed: int) -> None:
    """A client's process: some threads, each with its own operations, over one store."""
    client = connect(str(path))
    file = Notes(notes)
    failures: list[BaseException] = []

    def thread(number: int) -> None:
        try:
            One(client, file, f"{name}.{number}", random.Random(f"{seed} {name} {number}")).run(operations // THREADS)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if failures:
        raise failures[0]


class One:
    """One client."""

    def __init__(self, client: Client, notes: Notes, name: str, chance: random.Random) -> None:
        self.client = client
        self.notes = notes
        self.name = name
        self.chance = chance
        self.number = 0
        self.sent: dict[str, int] = {}
        self.values: dict[str, Any] = {}  # what it saw last in each register

    def run(self, operations: int) -> None:
        """So many operations, one after the other."""
        kinds = self.chance.choices(tuple(KINDS), tuple(KINDS.values()), k=operations)
        for kind in kinds:
            getattr(self, kind)()

    def _do(self, kind: str, object: str, arguments: list[Any], do: Callable[[], Any]) -> Any:
        self.number += 1
        begin = time.monotonic_ns()
        self.notes.note(self.name, self.number, "begin", begin, kind, object, arguments)
        try:
            result = do()
        except FlowmetalError as error:
            self.notes.note(self.name, self.number, "unknown", time.monotonic_ns(), f"{error.code} {error}"[:200])
            return None
        self.notes.note(self.name, self.number, "end", time.monotonic_ns(), result)
        return result

    # ---- the key-value table

    def _register(self) -> str:
        return f"register/{self.chance.randrange(REGISTERS)}"

    def _value(self) -> str:
        return f"{self.name}:{self.number}"

    def get(self) -> None:
        key = self._register()
        self.values[key] = self._do("get", key, [], lambda: self.client.operate("kv/get", [key]))

    def put(self) -> None:
        key, value = self._register(), self._value()
        self._do("put", key, [value], lambda: self.client.operate("kv/put", [key, value]))
        self.values[key] = value

    def cas(self) -> None:
        key, value = self._register(), self._value()
        if self.values and self.chance.random() < 0.7:
            key = self.chance.choice(tuple(self.values))
        old = self.values.get(key)
        do = self._do("cas", key, [old, value], lambda: self.client.operate("kv/compare-and-set", [key, old, value]))
        if do:
            self.values[key] = value

    def delete(self) -> None:
        key = self._register()
        self._do("delete", key, [], lambda: self.client.operate("kv/delete", [key]))

    # ---- processes

    def start(self) -> None:
        id = self._id()
        self._do("start", id, [], lambda: self.client.start("history/idle", id=id))

    def find(self) -> None:
        id = self._id()
        self._do("find", id, [], lambda: getattr(self.client.find(id), "pid", None))

    def _id(self) -> str:
        return (
            f"id-{self.chance.randrange(IDS)}"
            if self.chance.random() < 0.5
            else f"idle-{self.chance.randrange(IDLERS)}"
        )

    def send(self) -> None:
        id = f"collector-{self.chance.randrange(COLLECTORS)}"
        number = self.sent[id] = self.sent.get(id, 0) + 1
        pid = self.client.find(id).pid  # type: ignore[union-attr]
        self._do("send", id, [self.name, number], lambda: self.client.send(pid, [self.name, number]))

    def look(self) -> None:
        id = f"idle-{self.chance.randrange(IDLERS)}"

        def seen() -> Any:
            found = self.client.find(id)
            if found is None:
                return None
            return [found.pid, found.sequence, found.status if found.status in FINAL_STATUSES else ""]

        self._do("look", id, [], seen)

    def _post(self, kind: str, act: Callable[[int], bool]) -> None:
        id = f"idle-{self.chance.randrange(IDLERS)}"
        found = self.client.find(id)
        if found is not None:
            self._do(kind, id, [], lambda: act(found.pid))

    def pause(self) -> None:
        self._post("pause", self.client.pause)

    def resume(self) -> None:
        self._post("resume", self.client.resume)

    def cancel(self) -> None:
        self._post("cancel", self.client.cancel)

    def stop(self) -> None:
        self._post("stop", lambda pid: self.client.send(pid, "stop"))

    # ---- calls

    def bump(self) -> None:
        key = f"counter/{self.chance.randrange(COUNTERS)}"
        self._do("bump", key, [], lambda: self.client.call("history/bump", key, wait=CALL_SECONDS))

    def echo(self) -> None:
        x = self.chance.randrange(1000)
        self._do("echo", "echo", [x], lambda: self.client.call("history/echo", x, wait=CALL_SECONDS))


def finish(path: Path) -> dict[str, Any]:
    """Brings all to its end and tells what there is."""
    client = connect(str(path))
    begin = time.monotonic_ns()
    stuck: list[str] = []

    def wait(pid: int, what: str) -> Any:
        try:
            return client.result(pid, 60.0)
        except NotFinished:
            stuck.append(f"{what}, process {pid}, is {client.get(pid).status}")
        except (ProcessCancelled, NotFound):
            pass
        return None

    for info in client.list(statuses=("paused",), limit=1000):
        client.resume(info.pid)
    collected = {}
    for number in range(COLLECTORS):
        info = client.find(f"collector-{number}")
        assert info is not None
        client.send(info.pid, "end")
        collected[f"collector-{number}"] = wait(info.pid, f"collector-{number}")
    for info in client.list(statuses=("ready", "waiting"), limit=10_000):
        if info.function in ("history/bump", "history/echo"):
            wait(info.pid, info.function)
    idle: dict[str, Any] = {}
    for info in client.list(limit=10_000):
        if info.id is not None and info.function == "history/idle":
            idle.setdefault(info.id, []).append([info.pid, info.sequence, info.status])
    kept = {f"register/{n}": client.operate("kv/get", [f"register/{n}"]) for n in range(REGISTERS)}
    kept |= {f"counter/{n}": client.operate("kv/get", [f"counter/{n}"]) for n in range(COUNTERS)}
    ended = {id: _settled(client, found[0][0]) for id, found in idle.items()}
    return {"begin": begin, "collected": collected, "idle": idle, "ended": ended, "kept": kept, "stuck": stuck}


def _settled(client: Client, pid: int) -> str:
    """The status of a process once nothing is in its inbox that would change it."""
    for _ in range(2000):
        info = client.get(pid)
        if info.status != "ready":
            return info.status
        time.sleep(0.005)
    return "ready"
