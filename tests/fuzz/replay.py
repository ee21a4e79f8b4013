"""Runs a target on given bytes within bounds of time and memory, without atheris."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).resolve().parent / "corpus"

#: Seconds of a processor that one input may take, and megabytes that all of a target may add to the process.
SECONDS = 1.0
MEGABYTES = 300


def inputs(name: str) -> list[tuple[str, bytes]]:
    """The seeds of a target and what was kept of its runs, each with a name."""
    kept = sorted((CORPUS / name).glob("*")) if (CORPUS / name).is_dir() else []
    seeds = [(f"seed {number}", data) for number, data in enumerate(TARGETS[name].seeds())]
    return seeds + [(path.name, path.read_bytes()) for path in kept]


def replay(name: str) -> int:
    """Runs all inputs of a target -> how many.  AssertionError for one that breaks a bound, or whatever comes out."""
    run = TARGETS[name].run
    found = inputs(name)
    run(found[0][1])  # what is loaded and compiled once does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for label, data in found:
        bounded(name, label, data)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert grown < MEGABYTES, f"{name}: {grown} MB"
    return len(found)


def bounded(name: str, label: str, data: bytes) -> None:
    """One input."""
    began = time.process_time()
    try:
        TARGETS[name].run(data)
    except Exception as problem:
        raise AssertionError(f"{name}, {label}: {problem!r}") from problem
    seconds = time.process_time() - began
    assert seconds < SECONDS, f"{name}, {label}: {seconds:.1f} s"
