"""Many mutants in child processes: each under limits of time and memory, so that whatever happens is told by number.

A mutant follows from its seed and number alone.  A child takes a run of numbers and writes into shared memory where it
is; a child that dies, or does not move, is the fault of the number it was at.
"""

from __future__ import annotations

import mmap
import os
import random
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.hostile import artifacts, commands, corpus, images
from tests.hostile.running import WATCH, Found, examine_artifact, examine_image

SECONDS = 1.0  # of processor time for one mutant
MEMORY = 1 << 30  # of address space beyond what a child begins with
COMMANDS_MEMORY = 2 << 30  # of data of a child that runs commands
GROWTH = 128 << 10  # kilobytes by which one mutant may raise the peak
RUN = 1_000  # mutants of one child
STUCK_SECONDS = 120  # without a move, on the clock: the child is ended

_PLACE = struct.Struct("<QQ")


class _Hang(BaseException):
    """The time of one mutant is over."""


def _over(number: int, frame: object) -> None:
    raise _Hang


@dataclass
class Tally:
    """What a campaign saw."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_kb: int = 0
    slowest: float = 0.0
    slowest_number: int = 0

    def add(self, other: Tally) -> None:
        """Takes in what one child saw."""
        self.ends += other.ends
        self.failures += other.failures
        self.peak_kb = max(self.peak_kb, other.peak_kb)
        if other.slowest > self.slowest:
            self.slowest, self.slowest_number = other.slowest, other.slowest_number


def repeat_line(kind: str, seed: int, number: int) -> str:
    """The command that does one mutant again."""
    return f"python -m tests.hostile --{kind} 1 --first {number} --seed {seed}"


def one(kind: str, seed: int, number: int) -> str:
    """Makes and examines one mutant; how it ended.  `Found` for what must not be."""
    dice = random.Random(f"{seed} {kind} {number}")
    if kind == "commands":
        return commands.one(dice, number)
    if kind == "artifacts":
        found = corpus.artifacts()
        # Small ones more often: what can be changed in them is the same, and takes less time.
        data = found[min(dice.randrange(len(found)), dice.randrange(len(found)))]
        return examine_artifact(artifacts.mutant(data, dice), dice)
    program, segments = images.mutant(dice)
    return examine_image(*corpus.linked(program), segments, dice)


def examine(kind: str, seed: int, number: int, tally: Tally) -> None:
    """One mutant, and what came of it into the tally."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    WATCH.events.clear()
    WATCH.listening = kind != "commands"  # which read and write files
    problem = ""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        tally.ends[one(kind, seed, number)] += 1
    except Found as found:
        problem = str(found)
    except _Hang:
        problem = f"takes more than {SECONDS} s: {traceback.format_exc()[-1500:]}"
    except Exception as error:
        problem = f"raises {type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        WATCH.listening = False
    after = resource.getrusage(resource.RUSAGE_SELF)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not problem and WATCH.events:
        problem = f"touches the system: {WATCH.events[0]}"
    if not problem and after.ru_maxrss - before.ru_maxrss > GROWTH:
        problem = f"takes {(after.ru_maxrss - before.ru_maxrss) >> 10} MB"
    if taken > tally.slowest:
        tally.slowest, tally.slowest_number = taken, number
    tally.peak_kb = max(tally.peak_kb, after.ru_maxrss)
    if problem:
        tally.failures.append(f"{repeat_line(kind, seed, number)}\n  {problem}")


def prepare(kind: str) -> None:
    """Makes all that mutants are made of, so that children have it, and that nothing is imported later."""
    if kind == "commands":
        commands.prepare()
        return
    WATCH.install()
    corpus.artifacts()
    if kind == "images":
        for number in range(len(corpus.sources())):
            corpus.images(number)
    for number in range(len(corpus.artifacts()) if kind == "artifacts" else 0):
        examine_artifact(corpus.artifacts()[number], random.Random(number))


def settle_down(kind: str) -> None:
    """What a process does before it examines mutants: limits, the timer, the hook."""
    signal.signal(signal.SIGPROF, _over)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if kind == "commands":  # stores are mapped as large as they may become: what is shared with a file does not count
        resource.setrlimit(resource.RLIMIT_DATA, (COMMANDS_MEMORY, COMMANDS_MEMORY))
        commands.enter()
        return
    sys.addaudithook(WATCH.hear)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _child(kind: str, seed: int, first: int, count: int, place: mmap.mmap, pipe: int) -> None:
    settle_down(kind)
    tally = Tally()
    for number in range(first, first + count):
        place[: _PLACE.size] = _PLACE.pack(number, 1)
        examine(kind, seed, number, tally)
    place[: _PLACE.size] = _PLACE.pack(first + count, 2)
    with os.fdopen(pipe, "wb") as file:
        file.write(
            repr((dict(tally.ends), tally.failures, tally.peak_kb, tally.slowest, tally.slowest_number)).encode()
        )


class _Running:
    """A child at work."""

    def __init__(self, kind: str, seed: int, first: int, count: int) -> None:
        self.kind, self.seed, self.first, self.count = kind, seed, first, count
        self.place = mmap.mmap(-1, mmap.PAGESIZE)
        self.place[: _PLACE.size] = _PLACE.pack(first, 0)
        self.output = b""
        self.moved = (first, time.monotonic())
        self.pipe, write = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.pipe)
                _child(kind, seed, first, count, self.place, write)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)

    def at(self) -> int:
        """The number that it is at."""
        return int(_PLACE.unpack(self.place[: _PLACE.size])[0])

    def look(self) -> None:
        """Ends a child that does not move."""
        at, now = self.at(), time.monotonic()
        if at != self.moved[0]:
            self.moved = (at, now)
        elif now - self.moved[1] > STUCK_SECONDS:
            os.kill(self.pid, signal.SIGKILL)

    def end(self, tally: Tally) -> tuple[int, int] | None:
        """Takes in what it saw; the numbers that are left where it died."""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.pipe)
        if status == 0 and self.output:
            ends, failures, peak, slowest, at = eval(self.output.decode(), {"__builtins__": {}}, {})  # our own child's
            tally.add(Tally(Counter(ends), failures, peak, slowest, at))
            return None
        at = self.at()
        tally.failures.append(f"{repeat_line(self.kind, self.seed, at)}\n  ends the process: status {status}")
        left = self.first + self.count - at - 1
        return (at + 1, left) if left > 0 else None


def campaign(kind: str, seed: int, first: int, count: int, jobs: int = 2, failures_max: int = 20) -> Tally:
    """Examines `count` mutants from number `first` on."""
    prepare(kind)
    tally = Tally()
    waiting = [(start, min(RUN, first + count - start)) for start in range(first, first + count, RUN)][::-1]
    at_work: dict[int, _Running] = {}
    told = time.monotonic()
    while waiting or at_work:
        while waiting and len(at_work) < jobs and len(tally.failures) < failures_max:
            made = _Running(kind, seed, *waiting.pop())
            at_work[made.pipe] = made
        if not at_work:
            break
        for pipe in select.select(list(at_work), [], [], 5)[0]:
            part = os.read(pipe, 1 << 16)
            if part:
                at_work[pipe].output += part
                continue
            left = at_work.pop(pipe).end(tally)
            if left is not None:
                waiting.append(left)
        for made in at_work.values():
            made.look()
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"  {sum(tally.ends.values()):,} {kind}, {len(tally.failures)} failures", flush=True)
    return tally
