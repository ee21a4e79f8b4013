"""Kills processes that write a store, for test_crash.py: `writer PATH SEED ROUNDS` and `takeover PATH SEED KILLS`.

It runs apart from the tests because it forks: this process never opens the store, its children do, each anew.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.store import open_store
from flowmetal.store.codec import decode_inbox
from flowmetal.store.interface import Post, PutArtifact, Start

WINDOW = 16


def in_child(work: Callable[[], None]) -> int:
    """Forks a child that does `work` and leaves; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def make(path: Path) -> None:
    store = open_store(path)
    store.submit([PutArtifact(b"h", b"code", "p"), Start("f", b"", name="p")]).result(60)
    store.close()


def post_numbers(path: Path, name: str, acknowledgements: int, stopping: Callable[[], bool]) -> None:
    """Posts 1, 2, 3, ... under a name, some at a time, and writes each number once it is acknowledged.

    To a process of its own: an inbox takes so many messages only.
    """
    store = open_store(path)
    to = store.submit([Start("f", b"", name="p")]).result(60)[0][0]
    waiting: deque[tuple[int, Any]] = deque()
    number = 0
    while not stopping() or waiting:
        while not stopping() and len(waiting) < WINDOW:
            number += 1
            waiting.append((number, store.submit([Post(to, "message", f"{name} {number}".encode() + b" " * 300)])))
        done, future = waiting.popleft()
        assert future.result(60) == [True]
        os.write(acknowledgements, b"%s %d\n" % (name.encode(), done))
    os.write(acknowledgements, b"%s end %d\n" % (name.encode(), number))
    store.close()


def found_numbers(path: Path) -> dict[str, list[int]]:
    """The numbers in the store by name, in order."""
    found: dict[str, list[int]] = {}
    store = open_store(path, create=False)
    with store._reading() as transaction:  # type: ignore[attr-defined]  # all of them, not a page
        for key, value in transaction.scan("inbox"):
            event = decode_inbox(key, value)
            if event.kind == "message":
                name, number = event.data.split()[:2]
                found.setdefault(name.decode(), []).append(int(number))
    store.close()
    return found


class Acknowledged:
    """What children have been told is durable, read from a file that they append to."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._path = path

    def wait_for_more(self) -> None:
        """Until something more is acknowledged, for a while: on a busy machine a child needs long to begin."""
        size, give_up = os.fstat(self.descriptor).st_size, time.monotonic() + 5
        while os.fstat(self.descriptor).st_size == size and time.monotonic() < give_up:
            time.sleep(0.001)

    def read(self) -> tuple[dict[str, int], dict[str, int]]:
        """(last acknowledged, last submitted where the child ended well) by name."""
        last: dict[str, int] = {}
        ended: dict[str, int] = {}
        for line in self._path.read_text().splitlines():
            words = line.split()
            if words[1] == "end":
                ended[words[0]] = int(words[2])
            else:
                last[words[0]] = int(words[1])
        return last, ended


def check(path: Path, acknowledged: Acknowledged) -> dict[str, int]:
    """In a child: every name has 1, 2, 3, ... without gap or double, at least as far as was acknowledged."""
    last, ended = acknowledged.read()
    found = found_numbers(path)
    for name, numbers in found.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{name}: {numbers}"
    for name, number in last.items():
        assert len(found.get(name, [])) >= number, f"{name}: {number} acknowledged, {len(found.get(name, []))} found"
    for name, number in ended.items():
        assert len(found.get(name, [])) == number, f"{name}: {number} submitted, {len(found.get(name, []))} found"
    return {"names": len(found), "acknowledged": sum(last.values()), "found": sum(map(len, found.values()))}


def report(path: Path, acknowledged: Acknowledged, **more: int) -> None:
    assert wait_for(in_child(lambda: print(json.dumps({**check(path, acknowledged), **more}), flush=True))) == 0


def writer(path: Path, seed: int, rounds: int) -> None:
    """Kills an owner at random moments."""
    chance = random.Random(seed)
    acknowledged = Acknowledged(path.parent / "acknowledged")
    for turn in range(rounds):
        child = in_child(partial(post_numbers, path, f"writer{turn}", acknowledged.descriptor, lambda: False))
        if turn % 2:
            acknowledged.wait_for_more()
        time.sleep(chance.uniform(0, 0.08))
        os.kill(child, signal.SIGKILL)
        wait_for(child)
        if turn % 10 == 9:
            assert wait_for(in_child(lambda: void(check(path, acknowledged)))) == 0
    report(path, acknowledged, kills=rounds)


def takeover(path: Path, seed: int, kills: int) -> None:
    """Three processes post; whoever owns the store is killed and replaced, over and over."""
    chance = random.Random(seed)
    acknowledged = Acknowledged(path.parent / "acknowledged")
    stop = path.parent / "stop"
    children: set[int] = set()
    count = killed = 0

    def launch() -> None:
        nonlocal count
        count += 1
        children.add(in_child(partial(post_numbers, path, f"worker{count}", acknowledged.descriptor, stop.exists)))

    for _ in range(3):
        launch()
    while killed < kills:
        if killed % 2:
            acknowledged.wait_for_more()
        time.sleep(chance.uniform(0, 0.06))
        try:
            owner = json.loads((path / "owner.lock").read_text())["pid"]
        except ValueError:
            continue
        if owner in children:
            os.kill(owner, signal.SIGKILL)
            wait_for(owner)
            children.discard(owner)
            killed += 1
            launch()
    stop.touch()
    assert [wait_for(child) for child in sorted(children)] == [0, 0, 0]
    report(path, acknowledged, kills=killed)


def void(_: object) -> None:
    return None


def main() -> None:
    mode, folder, seed, count = sys.argv[1:]
    path = Path(folder)
    assert wait_for(in_child(lambda: make(path))) == 0
    (writer if mode == "writer" else takeover)(path, int(seed), int(count))


if __name__ == "__main__":
    main()
