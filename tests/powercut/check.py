"""Opens what a disk could hold after a power cut, and looks whether everything that was acknowledged is there.

The check runs in a forked child, since a damaged store may kill whoever opens it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from flowmetal.engine.config import Config
from flowmetal.engine.events import Finished, decode_event
from flowmetal.engine.functions import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import Post, PutArtifact, Rekey, Start, Store
from flowmetal.store.lmdb_copies import PIDS_LEFT_OUT
from flowmetal.store.scrub import Report, scrub
from flowmetal.values import decode_value
from tests.powercut.workloads import HASH, act_result, expected_result

CHECK_SECONDS = 60.0
FINAL = ("done", "failed", "cancelled")


@dataclass
class Expected:
    """What a store must hold, from the lines that were said until the power went."""

    opened: bool = False
    started: dict[str, int] = field(default_factory=dict)
    posted: dict[int, int] = field(default_factory=dict)
    turns: dict[int, int] = field(default_factory=dict)
    runs: dict[int, tuple[int, int]] = field(default_factory=dict)
    acts: dict[int, int] = field(default_factory=dict)
    results: dict[int, object] = field(default_factory=dict)
    acknowledged: int = 0

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Expected:
        """From the lines, in order."""
        found = cls(acknowledged=len(lines))
        for line in lines:
            ((what, value),) = json.loads(line).items()
            if what == "open":
                found.opened = True
            elif what == "started":
                found.started[value[0]] = value[1]
            elif what == "posted":
                found.posted[value[0]] = max(value[1], found.posted.get(value[0], 0))
            elif what == "turn":
                found.turns[value[0]] = value[1]
            elif what == "run":
                found.started[value[0]] = value[1]
                found.runs[value[1]] = (value[2], value[3])
            elif what == "act":
                found.acts[value[0]] = max(value[2] + 1, found.acts.get(value[0], 0))
            elif what == "result":
                found.results[value[0]] = value[1]
        return found


def check_image(path: Path, expected: Expected, resume: bool) -> str:
    """What is wrong with the store at `path`, in a child of this process; "" where nothing is."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            found = "\n".join(problems(path, expected, resume))
        except BaseException as error:
            found = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exc().splitlines(True)[-6:])
        try:
            os.write(writing, ("." + found[:4000]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], CHECK_SECONDS)
        said = os.read(reading, 8000) if ready else b""
        if not said:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(reading)
    if not said:
        return f"it hung, or ended with {os.waitstatus_to_exitcode(status)}" if not ready else "opening it is a crash"
    return said[1:].decode()


def problems(path: Path, expected: Expected, resume: bool) -> list[str]:
    """What is wrong with a store."""
    if expected.opened and not (path / "data.mdb").exists():
        return ["the store is gone"]
    store = open_store(path)
    found = missing(store, expected)
    if not found:
        found = use(store, expected)
    if not found:
        found = rekeyed(store)
    if not found and resume:
        found = finish(store, expected)
    store.close()
    return found


def rekeyed(store: Store) -> list[str]:
    """Whether all records of an encrypted store can be decrypted, and a change of its data key goes on to its end."""
    engine = store.store.engine  # type: ignore[attr-defined]
    for again in (False, True):
        report = Report()
        scrub(engine, report, lambda space, start: None)
        if report.found:
            return [f"{'after' if again else 'before'} the keys were changed: {report.findings[:3]}"]
        if again or not report.encrypted:
            return []
        while not store.submit([Rekey("go-on")]).result(30)[0][2]:
            pass
    return []


def missing(store: Store, expected: Expected) -> list[str]:
    """What was acknowledged and is not there, and logs with gaps."""
    found = []
    store.stats()
    for name, pid in expected.started.items():
        record = store.process_by_id(name)
        if record is None or record.pid != pid:
            found.append(f"the start of {name} as process {pid} is lost: {record}")
    pids = []
    while page := store.processes(after=pids[-1] if pids else 0, limit=1000):
        pids += [record.pid for record in page]
    for before, after in pairwise([0, *pids, store.last_pid() + 1]):
        if after - before <= PIDS_LEFT_OUT:  # those that a restore leaves out are more than any run starts
            found += [f"process {pid} is missing in between" for pid in range(before + 1, after)]
    for pid in pids:
        record = store.process(pid)
        if record is None:
            found.append(f"process {pid} is missing in between")
            continue
        sequences = [entry.sequence for entry in store.log(pid, 0, 10_000) if not entry.part]
        if sequences != list(range(len(sequences))) or record.sequence < len(sequences):
            found.append(f"the log of process {pid} has entries {sequences}, and its record says {record.sequence}")
        events = [event for event in store.inbox(pid, 10_000) if event.kind == "message"]
        numbers = [int(word) for event in events if (word := event.data.split(b" ")[0]).isdigit()]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"process {pid} has the messages {numbers}")
        if len(numbers) < expected.posted.get(pid, 0):
            found.append(f"process {pid} has {len(numbers)} messages, {expected.posted[pid]} were acknowledged")
        if record.sequence < expected.turns.get(pid, 0):
            found.append(f"process {pid} is at {record.sequence}, {expected.turns[pid]} was acknowledged")
        if pid in expected.acts:
            asked = sum(_is_act(entry.event) for entry in store.log(pid, 0, 10_000) if not entry.part)
            if asked < expected.acts[pid]:
                found.append(f"process {pid} has {asked} steps, {expected.acts[pid]} reached the outside")
        if pid in expected.results:
            data = store.result(pid)
            if data is None or decode_value(data) != expected.results[pid]:
                found.append(f"the result of process {pid} is lost")
    return found


def _is_act(event: bytes) -> bool:
    decoded = decode_event(event) if event and event != b"event" else None
    return getattr(decoded, "effect", "") == "probe/act"


def use(store: Store, expected: Expected) -> list[str]:
    """Whether the store takes more."""
    store.submit([PutArtifact(HASH, b"code", "p")]).result(30)
    pid = store.submit([Start("f", b"", name="p", id="after the cut")]).result(30)[0][0]
    store.submit([Post(pid, "message", b"x")]).result(30)
    kinds = [event.kind for event in store.inbox(pid)]
    return [] if kinds == ["start", "message"] else [f"after it, a new process has {kinds}"]


def finish(store: Store, expected: Expected) -> list[str]:
    """Whether the processes of the program go on to their right ends, each step once."""
    interpreter = Interpreter(store, Config(name="after", fallback_seconds=0.005, lease_ms=60_000))
    interpreter.register("probe/act", _act, inline=True)
    runs = [record for record in store.processes(limit=1000) if record.program == "steps"]
    give_up = time.monotonic() + CHECK_SECONDS / 2
    waiting = {record.pid for record in runs}
    while waiting:
        if not interpreter.step():
            time.sleep(0.001)
        waiting = {pid for pid in waiting if (row := store.process(pid)) is not None and row.status not in FINAL}
        if time.monotonic() > give_up:
            return [f"processes {sorted(waiting)} do not go on: {[store.process(pid) for pid in waiting]}"]
    found = []
    for record in runs:
        number = int((record.id or "run0")[3:])
        steps = 2 + number
        data = store.result(record.pid)
        if data is None or decode_value(data) != expected_result(number, steps):
            found.append(f"process {record.pid} has the result {data!r}, not {expected_result(number, steps)}")
        events = [entry.event for entry in store.log(record.pid, 0, 10_000) if not entry.part]
        asked = sum(map(_is_act, events))
        ends = sum(isinstance(decode_event(event), Finished) for event in events if event)
        if (asked, ends) != (steps, 1):
            found.append(f"process {record.pid} has {asked} steps of {steps}, and {ends} ends")
    interpreter.stop(5)
    return found


def _act(call: Call) -> int:
    number, step = call.payload
    return act_result(number, step)
