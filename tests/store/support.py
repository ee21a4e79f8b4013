"""What the tests of the store share: a clock that is moved by hand, also in another process; a rig around a store."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import (
    Claim,
    Command,
    Hint,
    Join,
    PutArtifact,
    Request,
    Start,
    Store,
    Timer,
    Turn,
)

SECOND = 1_000_000_000
HASH = b"\x01" * 32
ROOT = Path(__file__).resolve().parents[2]


class SharedClock:
    """Nanoseconds in a file, so that a process that owns a store sees the time that the test sets."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes((1000 * SECOND).to_bytes(8, "little"))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self.path = path

    def __call__(self) -> int:
        return int.from_bytes(self._map[:8], "little")

    def forward(self, seconds: float) -> None:
        self._map[:8] = (self() + int(seconds * SECOND)).to_bytes(8, "little")


class OwnerProcess:
    """Another process that owns stores: `own` makes it the owner of one."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.owner_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _say(self, *words: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def own(self, path: Path, clock: Path) -> None:
        self._say("own", path, clock)

    def disown(self, path: Path) -> None:
        self._say("disown", path)

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()  # it closes its stores and ends
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Rig:
    """A store with a clock, and short ways to say things."""

    def __init__(self, store: Store, clock: Any, kind: str = "memory") -> None:
        self.store = store
        self.clock = clock
        self.kind = kind
        self.claim: Claim | None = None

    def do(self, *commands: Command) -> list[Any]:
        return self.store.submit(list(commands)).result(60)

    def one(self, command: Command) -> Any:
        return self.do(command)[0]

    def deploy(self, name: str = "deploy", hash: bytes = HASH) -> None:
        self.one(PutArtifact(hash, b"code", name))

    def start(self, id: str | None = None, arguments: bytes = b"args", **more: Any) -> int:
        """A process of "deploy", deployed and joined where that was not done."""
        if not self.store.deployed("deploy"):
            self.deploy()
        if self.claim is None:
            self.claim = self.one(Join("interpreter", 60_000))
        pid: int = self.one(Start("deploy/main", arguments, name="deploy", id=id, **more))[0]
        return pid

    def epoch(self, pid: int) -> int:
        assert self.claim is not None
        return self.claim.epochs[pid % 64]

    def turn(self, pid: int, status: str = "waiting", *, take: bool = True, **more: Any) -> bool:
        """A turn that takes the whole inbox and adds one log entry, unless told otherwise."""
        record = self.store.process(pid)
        assert record is not None
        base = more.pop("base_sequence", record.sequence)
        values: dict[str, Any] = {
            "pid": pid,
            "epoch": self.epoch(pid),
            "base_sequence": base,
            "status": status,
            "entries": ((base, 0, b"event%d" % base, b"segment%d" % base),),
            "next_sequence": base + 1,
            "taken": tuple(event.key for event in self.store.inbox(pid)) if take else (),
        }
        done: bool = self.one(Turn(**{**values, **more}))
        return done

    def ready(self) -> list[int]:
        return self.store.ready(range(64), 100)

    def kinds(self, pid: int) -> list[str]:
        return [event.kind for event in self.store.inbox(pid)]


def request(pid: int, number: int, effect: str = "http/request", **more: Any) -> Request:
    return Request(pid, number, effect, b"payload", b"options", f"key-{pid}-{number}", **more)


def timer(clock: Callable[[], int], seconds: float, number: int, kind: str = "timeout") -> Timer:
    return Timer(clock() + int(seconds * SECOND), number, kind)


def code_of(rig: Rig, *commands: Any) -> str:
    """The code with which commands are refused."""
    with pytest.raises(StoreError) as caught:
        rig.do(*commands)
    assert str(caught.value)
    return caught.value.code


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `look` gives once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def watched(store: Store) -> list[Hint]:
    """A list that fills with the hints of the store."""
    hints: list[Hint] = []
    store.watch(hints.extend)
    return hints


def run_child(script: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process with a script of this folder."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.store.{script}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        **options,
    )


def freeze(child: subprocess.Popen[str]) -> None:
    """Stops a child, with all its threads, until it gets SIGCONT."""
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)


def reap(child: subprocess.Popen[str]) -> None:
    """Kills a child, waits for it and closes its pipes."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def is_root() -> bool:
    return os.geteuid() == 0
