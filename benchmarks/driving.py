"""Starts sides, asks them, measures what they use, and kills them.

Every side is a process that answers lines of JSON (peers/answering.py).  Processor seconds are those of all processes
of the side: its own, the servers it started, the database.  `noise` is the share of the machine's processors that
others took meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.environments import HOME, ROOT, python_of, reasons, restate_server
from benchmarks.meters import busy_seconds, memory_bytes, processor_seconds, tree
from benchmarks.peers.postgres import Cluster, programs

PEERS = ROOT / "benchmarks" / "peers"

#: Sides, in the order of the tables, and what they are called there.
TITLES = {
    "flowmetal": "Flowmetal",
    "raw": "raw LMDB commits, two puts",
    "dbos-sqlite": "DBOS, SQLite",
    "dbos-postgres": "DBOS, PostgreSQL",
    "restate-typescript": "Restate, TypeScript SDK",
    "restate-python": "Restate, Python SDK",
    "absurd": "Absurd, PostgreSQL",
}
PEER_NAMES = tuple(TITLES)[2:]
ON_POSTGRES = frozenset({"dbos-postgres", "absurd"})

#: Milliseconds for which is waited that a process that was killed is gone.
GONE_PATIENCE = 5_000


class SideFailed(Exception):
    """A side answered with an error, or ended."""


def missing(name: str) -> str:
    """Why a side cannot be run on this machine, or ""."""
    if name in ("flowmetal", "raw"):
        return ""
    environment = name.partition("-")[0]
    module = {"dbos": "dbos", "restate": "restate", "absurd": "absurd_sdk"}[environment]
    if python_of(environment, module) is None:
        return f"not installed: {reasons().get(environment, 'make bench-peers has not been run')}"
    if environment == "restate" and restate_server() is None:
        return f"not installed: {reasons().get('node', 'its server is not there; make bench-peers has not been run')}"
    if name == "restate-typescript" and shutil.which("node") is None:
        return "not installed: there is no Node on this machine"
    if name in ON_POSTGRES and programs() is None:
        return "not installed: PostgreSQL is not on this machine"
    return ""


class Side:
    """A side that runs, in a folder of its own."""

    def __init__(self, name: str, folder: Path, cluster: Cluster | None = None) -> None:
        self.name = name
        self.folder = folder
        self._cluster = cluster
        self.start()

    def start(self) -> None:
        """Starts it; again after a kill, on what it left behind.  `started_in`: seconds until it could be asked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        self._log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment(),
            cwd=self.folder,
        )
        self.pids: list[int] = [self._process.pid]
        self.pids = self._read()["pids"]
        self.started_in = time.perf_counter() - began

    def _command(self) -> list[str]:
        script = {"flowmetal": "flowmetal_side.py", "raw": "raw_side.py"}.get(self.name)
        if script is not None:
            return [sys.executable, str(PEERS / script), str(self.folder)]
        kind, _, how = self.name.partition("-")
        command = [str(HOME / kind / "bin" / "python"), str(PEERS / f"{kind}_side.py"), str(self.folder)]
        return [*command, how] if kind == "restate" else command

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        if self.name in ("flowmetal", "raw"):
            environment["PYTHONPATH"] = str(ROOT)
        else:
            environment.pop("PYTHONPATH", None)
        if self.name in ON_POSTGRES:
            assert self._cluster is not None
            environment["DATABASE"] = self._cluster.url
        if self.name.startswith("restate"):
            environment |= {"RESTATE_SERVER": str(restate_server()), "NODE_PACKAGES": str(HOME / "node")}
        return environment

    @property
    def metered(self) -> list[int]:
        """The processes whose use counts as this side's."""
        on_postgres = self.name in ON_POSTGRES and self._cluster is not None
        return [*self.pids, self._cluster.pid] if on_postgres and self._cluster is not None else self.pids

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """What it answers, with `cpu`, processor seconds, and `noise`.  Raises SideFailed."""
        busy, used, began = busy_seconds(), processor_seconds(self.metered), time.perf_counter()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideFailed(f"{self.name} has ended") from None
        answer = self._read()
        wall = time.perf_counter() - began
        used = processor_seconds(self.metered) - used
        noise = max(0.0, busy_seconds() - busy - used) / (wall * (os.cpu_count() or 1))
        return {"cpu": used, "noise": noise, **answer}

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise SideFailed(f"{self.name} ended with {self._process.returncode}; see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideFailed(f"{self.name}: {answer['error']}")
        return answer

    def memory(self) -> int:
        return memory_bytes(self.metered)

    def processor(self) -> float:
        return processor_seconds(self.metered)

    def kill(self) -> None:
        """kill -9 to it and to what it started."""
        everything = tree(self.pids)
        for pid in everything:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._log.close()
        for pid in everything - {self._process.pid}:  # what it started is not ours to wait for, but has to be gone
            for _ in range(GONE_PATIENCE):
                if not _alive(pid):
                    break
                time.sleep(0.001)


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Sides:
    """The sides of one run: started when they are first asked for, kept until the end."""

    def __init__(self, folder: Path, peers: tuple[str, ...] = PEER_NAMES) -> None:
        self.folder = folder
        self.reasons = {name: missing(name) for name in peers}
        self.peers = tuple(name for name in peers if not self.reasons[name])
        self._kept: dict[str, Side] = {}
        self._made: list[Side] = []
        self._cluster: Cluster | None = None
        self._folders = 0

    def get(self, name: str) -> Side:
        """A side that workloads share."""
        if name not in self._kept:
            self._kept[name] = self.fresh(name)
        return self._kept[name]

    def fresh(self, name: str) -> Side:
        """A side with a store of its own, or, on PostgreSQL, one that shares the database."""
        if name in ON_POSTGRES and self._cluster is None:
            self._cluster = Cluster(self.folder).__enter__()
        self._folders += 1
        side = Side(name, self.folder / f"{self._folders:03}-{name}", self._cluster)
        self._made.append(side)
        return side

    def ask(self, name: str, do: str, **arguments: Any) -> dict[str, Any]:
        """What a shared side answers.  Raises SideFailed."""
        return self.get(name).ask(do, **arguments)

    def release(self, names: tuple[str, ...]) -> None:
        """Ends sides that are not needed any more, so that they use nothing while others are measured."""
        for name in names:
            side = self._kept.pop(name, None)
            if side is not None:
                self.end(side)

    def end(self, side: Side) -> None:
        self._made.remove(side)
        side.kill()

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            for side in self._made:
                with suppress(Exception):  # whatever one does, the others are to be ended too
                    side.kill()
        finally:
            if self._cluster is not None:
                self._cluster.__exit__(None, None, None)


def in_turns(rounds: int, calls: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Makes all calls once a round, every other round backwards; a call that fails once is not made again.

    What it gives has only those that never failed; the others are told on standard error.
    """
    found: dict[str, list[Any]] = {name: [] for name in calls}
    for index in range(rounds):
        for name in list(found) if index % 2 == 0 else list(found)[::-1]:
            try:
                found[name].append(calls[name]())
            except SideFailed as problem:
                print(f"left out: {problem}", file=sys.stderr, flush=True)
                del found[name]
    return found
