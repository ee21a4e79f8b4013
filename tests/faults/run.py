"""Runs scenarios with the n-th call of a kind failing, for every n, and checks what is left of the store."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.scenarios import SCENARIOS
from tests.powercut.check import Expected, check_image
from tests.powercut.run import temporary_folder, warm_up
from tests.powercut.workloads import sayer
from tests.tracing.disk import MODES, Disk, moments, write_image
from tests.tracing.ptrace import Answer, Call, Change, Fail, Pretend, Tracer
from tests.tracing.recorder import CALLS, SYNCS, WRITES, Recorder, Said, Sync, Write

SOCKETS = (
    "socket", "socketpair", "bind", "listen", "accept4", "accept", "connect", "sendto", "recvfrom", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait",
)  # fmt: skip
MEMORY = ("mmap-all", "mremap", "brk")
#: How many calls fail, one after the other, where a disk is full for a while.
FULL_FOR = 6
#: Images of what the disk could hold that are checked of one run with a fault.
IMAGES = 3


@dataclass(frozen=True)
class Fault:
    """What happens to `count` calls of a kind from the n-th on."""

    kind: str
    name: str
    code: int = 0
    how: str = "fail"
    count: int = 1


FAULTS = (
    Fault("write", "EIO", errno.EIO),
    Fault("write", "EIO, though written", errno.EIO, "pretend"),
    Fault("write", "ENOSPC", errno.ENOSPC),
    Fault("write", "ENOSPC for a while", errno.ENOSPC, count=FULL_FOR),
    Fault("write", "cut short", 0, "short"),
    Fault("write", "EINTR", errno.EINTR),
    Fault("sync", "EIO", errno.EIO),
    Fault("sync", "EIO, though synced", errno.EIO, "pretend"),
    Fault("sync", "ENOSPC", errno.ENOSPC),
    Fault("open", "EMFILE", errno.EMFILE),
    Fault("open", "ENOSPC", errno.ENOSPC),
    Fault("entry", "EIO", errno.EIO),
    Fault("entry", "ENOSPC", errno.ENOSPC),
    Fault("memory", "ENOMEM", errno.ENOMEM),
    Fault("memory", "ENOMEM for a while", errno.ENOMEM, count=FULL_FOR),
    Fault("socket", "EMFILE", errno.EMFILE),
    Fault("socket", "ECONNRESET", errno.ECONNRESET),
)
SCENARIOS_OF = {
    "write": ("posting", "serving"), "sync": ("posting", "serving"), "open": ("posting",), "entry": ("posting",),
    "memory": ("posting", "serving"), "socket": ("attached",),
}  # fmt: skip


def kind_of(name: str) -> str:
    """The kind of a call."""
    if name in WRITES:
        return "write"
    if name in SYNCS:
        return "sync"
    if name in ("open", "openat", "creat"):
        return "open"
    if name in SOCKETS:
        return "socket"
    return "memory" if f"{name}-all" in MEMORY or name in MEMORY else "entry"


def is_main_thread(thread: int) -> bool:
    """Whether a thread is the first of its process."""
    try:
        status = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return f"\nTgid:\t{thread}\n" in status


@dataclass
class Report:
    """What was seen."""

    runs: int = 0
    images: int = 0
    ended: int = 0
    crashed: int = 0
    acknowledged: int = 0
    reached: Counter[str] = field(default_factory=Counter)  # by kind: up to which n
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Injector:
    """Counts the calls of a kind, and has some fail."""

    def __init__(self, fault: Fault | None, kind: str, number: int) -> None:
        self.fault = fault
        self.kind = kind
        self.number = number
        self.seen = 0
        self.hit: list[str] = []

    def decide(self, call: Call, path: str) -> Answer:
        """What happens to a call."""
        if kind_of(call.name) != self.kind or (self._is_file(call.name) and path.endswith("/lock.mdb")):
            return None
        self.seen += 1
        fault = self.fault
        if fault is None or not self.number <= self.seen < self.number + fault.count:
            return None
        self.hit.append(f"{call.name} {Path(path).name}".strip())
        if fault.how == "pretend":
            return Pretend(fault.code)
        if fault.how == "short":
            if call.name in ("write", "pwrite64"):
                return Change(2, call.arguments[2] // 2)
            return Change(2, call.arguments[2] // 2) if call.arguments[2] > 1 else None
        return Fail(fault.code)

    @staticmethod
    def _is_file(name: str) -> bool:
        return name not in SOCKETS

    def before(self, call: Call, recorder: Recorder) -> Answer:
        """Those that are not of files are decided here."""
        kind = kind_of(call.name)
        if kind == "memory" and self.kind == "memory":
            # A thread that has no memory for its first steps makes whoever started it wait for ever, in Python itself.
            started = any(isinstance(event, Said) for event in recorder.events)
            return self.decide(call, "") if started or is_main_thread(call.thread) else None
        if kind == "socket":
            return self.decide(call, "")
        return recorder.before(call)


def one(
    scenario: str, fault: Fault | None, number: int, folder: Path, chance: random.Random, report: Report, kind: str = ""
) -> Injector:
    """One run with a fault at the n-th call, and the checks of what it leaves."""
    root, said = folder / "disk", folder / "said"
    root.mkdir(parents=True)
    injector = Injector(fault, fault.kind if fault is not None else kind, number)
    recorder = Recorder(root, said, injector.decide)
    names = list(CALLS)
    if injector.kind == "socket":
        names += SOCKETS
    elif injector.kind == "memory":
        names = [name for name in names if name != "mmap"] + list(MEMORY)

    def work() -> None:
        logging.disable()
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        SCENARIOS[scenario](root, sayer(descriptor))

    begun = time.monotonic()
    code = Tracer(
        work, names, lambda call: injector.before(call, recorder), recorder.after, lost=recorder.lost
    ).run()  # fmt: skip
    report.runs += 1
    lines = [event.line for event in recorder.events if isinstance(event, Said)]
    for line in look(lines, code, injector, recorder):
        report.wrong.append(f"{_label(scenario, fault, number, injector)}: {line}")
    report.acknowledged += len(lines)
    for line in lines:
        found = json.loads(line)
        report.refused.update([found["refused"]] if "refused" in found else [])
        report.ended += "ended" in found
        report.crashed += "crashed" in found
    path = root / "store"
    found_wrong = check_image(path, Expected.of(lines), scenario == "serving") if path.exists() else ""
    if found_wrong:
        report.wrong.append(f"{_label(scenario, fault, number, injector)}: afterwards {found_wrong}")
    if injector.hit:
        _check_images(scenario, recorder, folder, chance, report, _label(scenario, fault, number, injector))
    if time.monotonic() - begun > 30:
        report.wrong.append(f"{_label(scenario, fault, number, injector)}: it took {time.monotonic() - begun:.0f} s")
    return injector


def look(lines: Sequence[bytes], code: int, injector: Injector, recorder: Recorder) -> Iterator[str]:
    """What is wrong with what was said."""
    if code:
        yield f"it ended with {code}"
    said = [json.loads(line) for line in lines]
    for one in said:
        if "trouble" in one:
            yield str(one["trouble"])
        if "crashed" in one and injector.kind != "memory":  # msgpack's own code ends so where it gets no memory
            yield f"a process ended with signal {one['crashed']}"
    if not any("finished" in one for one in said):
        yield "it was not finished"
    if injector.fault is not None and injector.fault.code == errno.EIO and goes_on_after_a_failed_sync(recorder):
        yield "a process whose sync had failed went on committing"


def goes_on_after_a_failed_sync(recorder: Recorder) -> bool:
    """Whether something was synced to the store's file between a sync that failed and the end of that process."""
    store = recorder.tree.entries.get("store")
    data = store.entries.get("data.mdb") if store is not None else None
    failed = False
    for event in recorder.events:
        if isinstance(event, Said):
            failed = failed and b'"ended"' not in event.line
        elif (isinstance(event, Sync) or (isinstance(event, Write) and event.durable)) and event.inode is data:
            if failed and not event.failed:
                return True
            failed |= event.failed
    return False


def _check_images(
    scenario: str, recorder: Recorder, folder: Path, chance: random.Random, report: Report, label: str
) -> None:
    """The power goes as well: at some moments, of which one is the last."""
    total = moments(recorder.events)
    at = sorted({total - 1, *(chance.randrange(total) for _ in range(IMAGES - 1))})
    disk = Disk(recorder.tree, recorder.begin)
    for moment in range(total):
        if moment:
            disk.advance(recorder.events[moment - 1])
        if moment not in at:
            continue
        mode = chance.choice(MODES)
        image = folder / f"image{moment}"
        write_image(disk.image(mode, chance), image)
        report.images += 1
        found = check_image(image / "store", Expected.of(disk.said), scenario == "serving")
        if found:
            report.wrong.append(f"{label}: after a power cut at event {moment} of {total - 1}, {mode}: {found}")
        shutil.rmtree(image, ignore_errors=True)


def _label(scenario: str, fault: Fault | None, number: int, injector: Injector) -> str:
    what = f"{fault.kind} {number} {fault.name}" if fault is not None else "no fault"
    return f"{scenario}, {what} ({', '.join(injector.hit[:3])})"


def run(
    seed: int, *, kinds: Sequence[str] = (), every: int = 1, memory_every: int = 1,
    say: Callable[[str], None] = print, stop_at: int = 20,
) -> Report:  # fmt: skip
    """Every fault at every n until a run passes without it.  `every`: only each so many-th n, from a random one on."""
    begun = time.monotonic()
    warm_up()
    report = Report()
    for fault in FAULTS:
        if kinds and fault.kind not in kinds:
            continue
        for scenario in SCENARIOS_OF[fault.kind]:
            chance = random.Random(f"{seed} {scenario} {fault.kind} {fault.name}")
            step = every * (memory_every if fault.kind == "memory" else 1)
            number = chance.randrange(step) + 1
            while len(report.wrong) < stop_at:
                with temporary_folder() as folder:
                    injector = one(scenario, fault, number, Path(folder), chance, report)
                if not injector.hit:
                    break  # it passed: there is no n-th call
                key = f"{scenario} {fault.kind}"
                report.reached[key] = max(report.reached[key], number)
                number += 1 + (chance.randrange(2 * step - 1) if step > 1 else 0)
        say(f"{fault.kind}, {fault.name}: {report.runs} runs so far, {len(report.wrong)} wrong")
    report.seconds = time.monotonic() - begun
    return report
