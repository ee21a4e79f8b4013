"""Timers over deaths and steps of the clock: each fires once, none early, and hardly any late.

    python -m tests.crash.timers --timers 100000 --kills 20 --seed 1

Two interpreters run one store on disk, each an operating system process.  Every timer is a process that sleeps until its
own instant.  While they fire, interpreters are killed with SIGKILL and started again, sometimes both at once, and the
time of day is set back by an hour and forward again, and at the end forward by a day, which makes a share of the timers
due at once.  The clock of the store is the usual one, over a time of day that a file shifts.

What is counted: a timer fires early if its event is at an earlier time of the store's clock than it was set for, or if
its process went on before that clock can have reached its instant.  It is late by the real time between that and the
moment in which its process went on, after the commit of the timer.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.events import Finished, TimerFired, decode_event
from flowmetal.engine.functions import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.clock import SteadyClock
from flowmetal.store.interface import Start, Store
from flowmetal.values import Instant, Vector, decode_value, encode_value

SECOND = 1_000_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND

PROGRAM = """
(ns alarm)
(defn main [instant] (sleep instant) (perform :probe/now nil))
"""

#: Processes that begin in a second, by which the first timers are set late enough.
BEGINNING_RATE = 900
#: The time of day and the monotonic clock are read one after the other.
READING_NS = 2_000_000
#: Timers that are due in a second.  Each is two turns of a process that has to be loaded from the store.
RATE = 500
#: Of the timers, those that the jump by a day makes due at once.
JUMPED_SHARE = 0.01


class TimeOfDay:
    """The machine's time of day and what a file adds to it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def shift(self) -> int:
        return int.from_bytes(self._map[:8], "little", signed=True)

    def step(self, nanoseconds: int) -> None:
        self._map[:8] = (self.shift + nanoseconds).to_bytes(8, "little", signed=True)

    def __call__(self) -> int:
        return time.time_ns() + self.shift


@dataclass
class Report:
    """What was seen.  Times in seconds."""

    timers: int
    kills: int
    steps: int
    done: int = 0
    wrong: list[str] = field(default_factory=list)
    early: int = 0
    set_late: int = 0  # timers whose process began after their instant; they do not count as late
    late: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0  # of the interpreters

    def percentile(self, share: float) -> float:
        """The lateness that this share of the timers does not exceed."""
        return self.late[min(len(self.late) - 1, int(share * len(self.late)))] if self.late else 0.0

    def text(self) -> str:
        p50, p99, p999 = (self.percentile(share) for share in (0.5, 0.99, 0.999))
        return (
            f"{self.timers} timers, {self.kills} kills, {self.steps} steps of the clock, {self.seconds:.0f} s, "
            f"{self.cpu:.0f} s of processors: "
            f"{self.done} done, {len(self.wrong)} wrong, {self.early} early, {self.set_late} set too late to count; "
            f"late by p50 {p50:.3f} s, p99 {p99:.3f} s, p99.9 {p999:.3f} s, at most {self.percentile(1.0):.3f} s"
        )


class Machine:
    """The folder, its clock, and the operating system processes on it."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder / "store")
        self.clock_path = folder / "shift"
        self.log = folder / "log"
        self.time_of_day = TimeOfDay(self.clock_path)
        #: (monotonic time, time of day at it), from each step to the next.
        self.steps = [self._clocks()]
        self.living: list[int] = []
        self.cpu = 0.0  # seconds that interpreters have used

    def step(self, nanoseconds: int) -> None:
        self.time_of_day.step(nanoseconds)
        self.steps.append(self._clocks())

    def _clocks(self) -> tuple[int, int]:
        """The monotonic time and the time of day, as close to each other as they can be read."""
        reads = [(time.monotonic_ns(), self.time_of_day(), time.monotonic_ns()) for _ in range(20)]
        before, shown, after = min(reads, key=lambda one: one[2] - one[0])
        return (before + after) // 2, shown

    def fork(self, run: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 2)
            run()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def open(self) -> Store:
        return open_store(self.url, clock=SteadyClock(TimeOfDay(self.clock_path)))

    def interpreter(self) -> None:
        """Starts one more."""
        number = len(self.living)
        self.living.append(self.fork(lambda: self._interpret(number)))

    def _interpret(self, number: int) -> None:
        store = self.open()
        interpreter = Interpreter(store, Config(lease_ms=5000))
        interpreter.register("probe/now", _now, inline=True)
        interpreter.start()
        signal.sigwait([signal.SIGTERM])
        interpreter.stop()
        store.close()

    def kill(self, index: int, by: int = signal.SIGKILL) -> None:
        pid = self.living.pop(index)
        os.kill(pid, by)
        _, _, used = os.wait4(pid, 0)
        self.cpu += used.ru_utime + used.ru_stime

    def due_at(self, instant: int) -> int:
        """The monotonic time at which the store's clock reaches an instant.

        That clock follows the time of day forward, and goes on where it is set back.
        """
        base, reached = -(1 << 62), 0
        for begin, shown in self.steps:
            if base + begin >= instant:
                break  # reached before this step
            base = max(base, shown - begin)
            reached = max(begin, instant - base)
        return reached


def _now(call: Call) -> int:
    return time.monotonic_ns()


def run(
    timers: int, kills: int, seed: int, folder: Path, rate: int = RATE, say: Callable[[str], None] = print
) -> Report:
    """One run, with `rate` timers in a second; what was seen of it."""
    chance = random.Random(seed)
    machine = Machine(folder)
    window = max(3.0, timers / rate)
    begun = time.monotonic()
    setup = timers / BEGINNING_RATE + 2.0
    first = machine.time_of_day() + int(setup * SECOND)
    last = first + int(window * SECOND)
    jumped = int(timers * JUMPED_SHARE)
    dues = [chance.randrange(first, last) for _ in range(timers - jumped)]
    dues += [last + HOUR + chance.randrange(20 * HOUR) for _ in range(jumped)]
    chance.shuffle(dues)

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    starter = machine.fork(lambda: _start_all(machine, dues))
    machine.interpreter()
    machine.interpreter()
    report = Report(timers, kills, 0)
    try:
        _, status = os.waitpid(starter, 0)
        if status:
            raise RuntimeError(machine.log.read_text())
        say(f"{timers} processes were started within {time.monotonic() - begun:.0f} s")
        _disturb(machine, chance, kills, begun + setup, window, report)
        machine.step(DAY)
        report.steps += 1
        store = machine.open()
        give_up = time.monotonic() + 60 + timers / 200
        while store.stats()["processes"].get("done", 0) < timers and time.monotonic() < give_up:
            time.sleep(0.2)
    finally:
        while machine.living:
            machine.kill(0, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    _look(store, machine, dues, report)
    store.close()
    report.seconds, report.cpu = time.monotonic() - begun, machine.cpu
    return report


def _start_all(machine: Machine, dues: list[int]) -> None:
    store = machine.open()
    hash = deploy(store, build_artifact({"alarm.fm": PROGRAM}).data, "alarm")
    for begin in range(0, len(dues), 500):
        batch = dues[begin : begin + 500]
        store.submit(
            [Start("main", encode_value(Vector.of([Instant(due)])), artifact=hash, name="alarm") for due in batch]
        ).result()
    store.close()


def _disturb(machine: Machine, chance: random.Random, kills: int, begin: float, window: float, report: Report) -> None:
    """Kills, and steps of an hour back and forth, spread over the time in which timers fire and the time before."""
    moments = sorted((begin - 0.2 * window + chance.random() * 1.1 * window, "kill") for _ in range(kills))
    back = begin + 0.3 * window
    moments += [(back, "back"), (back + 0.3 * window, "forward")]
    for moment, what in sorted(moments):
        time.sleep(max(0.0, moment - time.monotonic()))
        if what == "kill":
            both = chance.random() < 0.2
            machine.kill(chance.randrange(len(machine.living)))
            if both:
                machine.kill(0)
                machine.interpreter()
            machine.interpreter()
        else:
            machine.step(-HOUR if what == "back" else HOUR)
            report.steps += 1
    time.sleep(max(0.0, begin + window + 1.0 - time.monotonic()))


def _look(store: Store, machine: Machine, dues: list[int], report: Report) -> None:
    """Looks at every process, its log and its result."""
    late = []
    for pid, due in enumerate(dues, 1):
        record = store.process(pid)
        if record is None or record.status != "done":
            report.wrong.append(f"process {pid} is {record and record.status}, {record and record.waits}")
            continue
        report.done += 1
        events = [decode_event(entry.event) for entry in store.log(pid) if not entry.part]
        fired = [event for event in events if isinstance(event, TimerFired)]
        ended = [event for event in events if isinstance(event, Finished)]
        if len(fired) != 1 or len(ended) != 1:
            report.wrong.append(f"process {pid} has {len(fired)} timers and {len(ended)} ends in its log")
            continue
        report.early += fired[0].time < due
        if events[0].time >= due:
            report.set_late += 1
            continue
        data = store.result(pid)
        assert data is not None
        waited = decode_value(data) - machine.due_at(due)
        report.early += waited < -READING_NS
        late.append(waited / SECOND)
    report.late = sorted(late)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timers", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=RATE, help="timers that are due in a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(given.timers, given.kills, given.seed, Path(folder), given.rate)
        log = Path(folder, "log")
        if log.exists() and log.stat().st_size:
            print(log.read_text()[-3000:])
    print(report.text())
    for line in report.wrong[:20]:
        print("wrong:", line)
    return int(bool(report.wrong or report.early or report.percentile(0.99) >= 1.0))


if __name__ == "__main__":
    sys.exit(main())
