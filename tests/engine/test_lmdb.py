"""Interpreters in operating system processes of their own over one LMDB folder, killed and sharing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import Store, open_store
from flowmetal.store.interface import Command, Complete, Start, Take, Turn
from flowmetal.values import Vector, decode_value, encode_value

ROOT = Path(__file__).resolve().parent.parent.parent

SOURCE = """
(ns count)
(defeffect count/next "The number after n." [n])
(defn main [n]
  (loop [i 0]
    (if (< i n) (recur (count/next i)) i)))
"""

SERVE = """
import sys, time
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
store = open_store(sys.argv[1])
interpreter = Interpreter(store, Config(lease_ms=1500, fallback_seconds=0.2))
interpreter.start()
while not interpreter.partitions:
    time.sleep(0.005)
print("serving", flush=True)
sys.stdin.read()
interpreter.stop()
print("turns", interpreter.turns, flush=True)
store.close()
"""


class Child:
    """An interpreter in a process of its own; it stops when its standard input ends."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "serving\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)

    def stop(self) -> int:
        """The turns it has taken."""
        out, _ = self.process.communicate("", timeout=60)
        return int(out.rpartition("turns ")[2])


def start(store: Store, count: int, steps: int) -> list[int]:
    hash = deploy(store, build_artifact({"count.fm": SOURCE}).data)
    arguments = encode_value(Vector.of([steps]))
    started = store.submit([Start("count/main", arguments, artifact=hash) for _ in range(count)]).result()
    return [pid for pid, _ in started]


def answer(store: Store) -> int:
    requests = store.submit([Take(("count/next",), "worker", 100, 60_000)]).result()[0]
    for request in requests:
        value = encode_value(decode_value(request.payload) + 1)
        store.submit([Complete(request.pid, request.number, request.attempt, True, value)]).result()
    return len(requests)


def statuses(store: Store, pids: list[int]) -> list[str]:
    return [record.status for record in map(store.process, pids) if record is not None]


@pytest.mark.parametrize("kills", [3])
def test_killed_and_gone_on(tmp_path: Path, kills: int) -> None:
    store = open_store(str(tmp_path / "store"))
    steps = 12
    (pid,) = start(store, 1, steps)
    child = Child(tmp_path / "store")
    answered = 0
    deadline = time.monotonic() + 120
    while statuses(store, [pid]) != ["done"]:
        assert time.monotonic() < deadline
        if kills and answered and answered % (steps // kills) == 0:
            kills -= 1
            child.kill()
            child = Child(tmp_path / "store")
        answered += answer(store)
        time.sleep(0.01)
    child.stop()
    result = store.result(pid)
    assert result is not None
    assert decode_value(result) == steps
    assert answered == steps
    record = store.process(pid)
    assert record is not None
    assert record.sequence == 2 * steps + 2
    store.close()


def test_two_share_the_work(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    first, second = Child(tmp_path / "store"), Child(tmp_path / "store")
    pids = start(store, 40, 3)
    deadline = time.monotonic() + 120
    while set(statuses(store, pids)) != {"done"}:
        assert time.monotonic() < deadline
        if not answer(store):
            time.sleep(0.01)
    assert first.stop() >= 40
    assert second.stop() >= 40
    store.close()


def test_turns_are_committed_where_they_are_made(tmp_path: Path) -> None:
    """And elsewhere while another thread commits, which is over at some time."""
    store = open_store(str(tmp_path / "store"))
    interpreter = Interpreter(store, functions={"count/next": lambda call: call.payload + 1})
    interpreter.functions.inline.add("count/next")
    threads: list[str] = []
    busy = threading.Event()
    submit = store.submit

    def noting(commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        if isinstance(commands[0], Turn):
            threads.append("here" if here and not busy.is_set() else "there")
        return submit(commands, here=here and not busy.is_set())

    store.submit = noting  # type: ignore[method-assign]
    interpreter.start()
    for kind in ("here", "there", "here"):
        busy.set() if kind == "there" else busy.clear()
        threads.clear()
        pids = start(store, 30, 10)
        deadline = time.monotonic() + 60
        while set(statuses(store, pids)) != {"done"}:
            interpreter._sending.here_at = (
                0.0  # it is time; its thread may just have written another one after a commit
            )
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert threads.count(kind) > len(threads) // 2
    interpreter.stop()
    store.close()
