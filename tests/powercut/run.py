"""Traces workloads and checks images of what a disk could hold at each moment of them."""

from __future__ import annotations

import gc
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flowmetal.store.keys import KEY_VARIABLE
from tests.powercut.check import Expected, check_image, problems
from tests.powercut.workloads import Workload, interpreting, program, sayer
from tests.tracing.disk import MODES, Disk, moments, write_image
from tests.tracing.ptrace import Tracer
from tests.tracing.recorder import CALLS, Recorder, Said

#: Of the images of a workload with an interpreter, those whose processes are run to their ends.
RESUME_EVERY = 4
#: Images from one trace: a new trace has other batches.
IMAGES_PER_TRACE = 250
#: Where a machine has one, files here are in memory, and cost no disk.
MEMORY = Path("/dev/shm")


@dataclass
class Report:
    """What was seen."""

    images: int = 0
    traces: int = 0
    events: int = 0
    acknowledged: int = 0
    required: int = 0  # acknowledgements that images were checked for
    absent: int = 0  # images in which there was no store yet
    resumed: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for stores and images, in memory where that can be."""
    return tempfile.TemporaryDirectory(prefix="powercut-", dir=MEMORY if MEMORY.is_dir() else None)


def trace(workload: Workload, folder: Path) -> Recorder:
    """Runs a workload; what it did to the disk."""
    root, said = folder / "disk", folder / "said"
    root.mkdir(parents=True)
    if workload.before is not None:
        child = os.fork()  # a store of this process would have threads, which no fork takes along
        if child == 0:
            code = 1
            try:
                workload.before(root)
                code = 0
            finally:
                os._exit(code)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"{workload.name} could not be prepared")
    recorder = Recorder(root, said)

    def work() -> None:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        workload.work(root, sayer(descriptor))

    code = Tracer(work, CALLS, recorder.before, recorder.after, lost=recorder.lost).run()
    if code:
        raise RuntimeError(f"{workload.name} ended with {code} while it was traced")
    return recorder


def warm_up() -> None:
    """Does everything once, so that the children of this process find it imported and built."""
    program()
    with temporary_folder() as folder:
        path = Path(folder)
        interpreting(path, lambda **_: None)
        problems(path / "store", Expected(), True)
    gc.collect()
    gc.freeze()


def check_trace(
    workload: Workload, recorder: Recorder, folder: Path, count: int, chance: random.Random, report: Report,
    *, ignore_syncs: bool = False,
) -> None:  # fmt: skip
    """Checks `count` images, spread over all moments of a trace."""
    events = recorder.events
    report.traces += 1
    report.events += len(events)
    report.acknowledged += sum(isinstance(event, Said) for event in events)
    total = moments(events)
    wanted = Counter(chance.randrange(total) for _ in range(count))
    disk = Disk(recorder.tree, recorder.begin, ignore_syncs=ignore_syncs)
    for moment in range(total):
        if moment:
            disk.advance(events[moment - 1])
        for _ in range(wanted[moment]):
            mode = chance.choice(MODES)
            number = report.images
            report.images += 1
            report.modes[mode] += 1
            lines = disk.said[: len(disk.said) - workload.spare] if workload.spare else disk.said
            expected = Expected.of(lines)
            report.required += expected.acknowledged
            image = folder / f"image{number}"
            write_image(disk.image(mode, chance), image)
            path = image / workload.path
            report.absent += not (path / "data.mdb").exists()
            resume = bool(expected.runs) and number % RESUME_EVERY == 0
            report.resumed += resume
            found = check_image(path, expected, resume)
            if found:
                report.wrong.append(f"{workload.name}, image {number}, event {moment} of {total - 1}, {mode}: {found}")
            shutil.rmtree(image, ignore_errors=True)


def run(
    workloads: Sequence[Workload], images: int, seed: int, *, ignore_syncs: bool = False,
    say: Callable[[str], None] = print, stop_at: int = 20,
) -> Report:  # fmt: skip
    """`images` images of all workloads, by their shares."""
    begun = time.monotonic()
    warm_up()
    os.environ[KEY_VARIABLE] = "ab" * 32  # of the store that gets encrypted; others do not ask for it
    report = Report()
    shares = sum(workload.share for workload in workloads)
    for workload in workloads:
        left = max(1, images * workload.share // shares)
        if workload is workloads[-1]:
            left = max(1, images - report.images)
        turn = 0
        while left > 0 and len(report.wrong) < stop_at:
            # Each trace with its own seed, so that one can be repeated.
            chance = random.Random(f"{seed} {workload.name} {turn}")
            count = min(left, IMAGES_PER_TRACE)
            with temporary_folder() as folder:
                recorder = trace(workload, Path(folder))
                check_trace(workload, recorder, Path(folder), count, chance, report, ignore_syncs=ignore_syncs)
            left -= count
            turn += 1
        say(f"{workload.name}: {report.images} images so far, {len(report.wrong)} wrong")
    report.seconds = time.monotonic() - begun
    return report


quiet = partial(run, say=lambda _: None)
