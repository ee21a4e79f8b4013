"""One run: a store, interpreters that are killed, clients that note what they did, and the look at all of it."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.engine.build import build_artifact
from tests.crash.forks import Forked, fork, killed_at_end
from tests.crash.forks import run as run_child
from tests.history import clients, model
from tests.history.model import NEVER, Operation

#: Processes of clients, each with THREADS clients, and of interpreters.
CLIENTS, INTERPRETERS = 4, 2

#: Clients' processes that are killed in a run; the others are interpreters.
CLIENT_KILLS = 3

#: How long a run may take.
SECONDS_MAX = 300.0


@dataclass
class Seen:
    """What came of a run."""

    operations: list[Operation]
    end: dict[str, Any]
    kills: int
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def play(operations: int, seed: int) -> Seen:
    """Plays a run, and checks it."""
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="history-"))
    try:
        seen = _play(folder, operations, random.Random(f"history {seed}"), seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seen.problems = check(seen.operations, seen.end)
    seen.seconds = time.monotonic() - begun
    return seen


def _play(folder: Path, operations: int, chance: random.Random, seed: int) -> Seen:
    path, log = folder / "store", folder / "log"
    source = (Path(__file__).parent / "history.fm").read_text()
    run_child(partial(clients.prepare, path, build_artifact({"history.fm": source}).data), log)
    files: list[Path] = []
    children: list[Forked] = []

    def client(slot: int, life: int, left: int) -> Forked:
        file = folder / f"notes-{slot}-{life}"
        files.append(file)
        child = fork(partial(clients.work, path, file, f"client-{slot}-{life}", left, seed), log)
        children.append(child)
        return child

    def interpreter() -> Forked:
        child = fork(partial(clients.interpret, path), log)
        children.append(child)
        return child

    share = operations // CLIENTS
    kills = client_kills = 0
    with killed_at_end(children):
        running = [interpreter() for _ in range(INTERPRETERS)]
        working = {slot: (client(slot, 0, share), 0, share) for slot in range(CLIENTS)}
        give_up = time.monotonic() + SECONDS_MAX
        next_kill = time.monotonic() + chance.uniform(0.2, 0.6)
        while working:
            for slot, (child, _, _) in list(working.items()):
                code = child.poll()
                if code is not None:
                    assert code == 0, f"a client ended with {code}\n{child.tail()}"
                    del working[slot]
            for child in running:
                child.check_alive()
            assert time.monotonic() < give_up, f"a run does not end\n{log.read_text()[-2000:] if log.exists() else ''}"
            if time.monotonic() >= next_kill and working:
                next_kill = time.monotonic() + chance.uniform(0.05, 0.5)
                kills += 1
                if client_kills < CLIENT_KILLS and chance.random() < 0.2:
                    client_kills += 1
                    slot = chance.choice(sorted(working))
                    child, life, left = working[slot]
                    child.kill()
                    done = sum(b'"begin"' in line for line in _lines(files, slot, life))
                    left = max(clients.THREADS, left - done)
                    working[slot] = (client(slot, life + 1, left), life + 1, left)
                else:
                    victim = chance.randrange(INTERPRETERS)
                    running[victim].kill()
                    running[victim] = interpreter()
            time.sleep(0.005)
        end = run_child(partial(clients.finish, path), log, SECONDS_MAX)
    return Seen(operations_of([file.read_bytes() for file in files if file.exists()]), end, kills)


def _lines(files: list[Path], slot: int, life: int) -> list[bytes]:
    file = next(file for file in files if file.name == f"notes-{slot}-{life}")
    return file.read_bytes().splitlines() if file.exists() else []


def operations_of(files: list[bytes]) -> list[Operation]:
    """The operations that clients noted."""
    found = []
    for data in files:
        begun: dict[tuple[str, int], tuple[int, str, str, tuple[Any, ...]]] = {}
        for line in data.splitlines():
            client, number, what, at, *rest = json.loads(line)
            if what == "begin":
                begun[client, number] = (at, rest[0], rest[1], tuple(rest[2]))
                continue
            begin, kind, object, arguments = begun.pop((client, number))
            if what == "end":
                found.append(Operation(client, begin, at, kind, object, arguments, rest[0]))
            else:
                found.append(Operation(client, begin, NEVER, kind, object, arguments, rest[0], known=False))
        for (client, _), (begin, kind, object, arguments) in begun.items():  # it was killed
            found.append(Operation(client, begin, NEVER, kind, object, arguments, None, known=False))
    return found


def check(operations: list[Operation], end: dict[str, Any]) -> list[str]:
    """All that is wrong with a history."""
    problems = list(end["stuck"])
    by_object: dict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        by_object[one.object].append(one)
    at = end["begin"]
    for object in sorted(by_object):
        of_it = by_object[object]
        if object.startswith("register/"):
            last = Operation("the end", at, at, "get", object, (), end["kept"][object])
            if not model.linearizable([*of_it, last], model.register):
                problems.append(f"{object} is not linearizable: {_shown(of_it)}")
        elif object.startswith("counter/"):
            last = Operation("the end", at, at, "get", object, (), end["kept"][object])
            if not model.linearizable([*of_it, last], model.counter):
                problems.append(f"{object} is not linearizable: {_shown(of_it)}")
        elif object.startswith("collector-"):
            problems += model.messages(of_it, end["collected"][object] or [])
        elif object == "echo":
            wrong = [one for one in of_it if one.known and one.result != [one.arguments[0], one.arguments[0] + 1]]
            problems += [f"echo of {one.arguments} gave {one.result}" for one in wrong]
        else:
            problems += _check_process(object, of_it, end)
    return problems


def _check_process(id: str, operations: list[Operation], end: dict[str, Any]) -> list[str]:
    """An id and its process: started once, and what was seen of it is never taken back."""
    found = []
    at = end["begin"]
    there = end["idle"].get(id, [])
    if len(there) > 1:
        found.append(f"{id} stands for {there}")
    pid = there[0][0] if there else None
    starts = [
        Operation(
            one.client, one.begin, one.end, "start" if one.kind == "start" else "find", id, (), one.result, one.known
        )
        for one in operations
        if one.kind in ("start", "find")
    ]
    looks = [one for one in operations if one.kind == "look" and one.known]
    starts += [
        Operation(one.client, one.begin, one.end, "find", id, (), one.result[0] if one.result else None)
        for one in looks
    ]
    starts.append(Operation("the end", at, at, "find", id, (), pid))
    if any(one.result not in (None, pid) for one in starts if one.known):
        found.append(f"{id} was another process than {pid}: {_shown(starts)}")
    if not model.linearizable(starts, _started(pid)):
        found.append(f"{id} is not linearizable: {_shown(starts)}")
    seen = [
        Operation(one.client, one.begin, one.end, "look", id, (), (one.result[1], one.result[2]))
        for one in looks
        if one.result
    ]
    if there:
        final = end["ended"][id] if end["ended"][id] in ("done", "failed", "cancelled") else ""
        seen.append(Operation("the end", at, at, "look", id, (), (there[0][1], final)))
    found.append(model.never_back(seen))
    alive = [
        Operation(one.client, one.begin, one.end, one.kind, id, (), one.result is True, one.known)
        for one in operations
        if one.kind in ("pause", "resume", "cancel", "stop")
    ]
    alive += [
        Operation(one.client, one.begin, one.end, "look", id, (), one.result[1] == "") for one in seen[: len(looks)]
    ]
    found.append(model.alive_then_ended(alive))
    asked = any(one.kind in ("cancel", "stop") and one.known and one.result is True for one in operations)
    if asked and end["ended"].get(id) not in ("done", "cancelled"):
        found.append(f"{id} was told to end and is {end['ended'].get(id)}")
    return [problem for problem in found if problem]


def _started(pid: int | None) -> model.Step:
    """`started` for a process whose pid the end tells: a start of which nobody knows made that one, or none."""

    def step(state: Any, operation: Operation) -> tuple[Any] | None:
        if operation.kind == "start" and not operation.known:
            return (pid,)
        return model.started(state, operation)

    return step


def _shown(operations: list[Operation]) -> str:
    rows = sorted(operations, key=lambda one: one.begin)[:60]
    return "; ".join(
        f"{one.client} {one.kind}{list(one.arguments)}={one.result if one.known else '?'} {one.begin}-{one.end}"
        for one in rows
    )
