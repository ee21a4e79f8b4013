"""Measures steps, bytes and resumes on this machine: `python benchmarks/run.py [--quick] [--json FILE]`.

Every commit is synced.  The baseline is raw LMDB on the same disk in the same run: one synced commit with two puts of
200 bytes.  Machines drift, so sides that are compared take turns, and what is quoted is the median of the ratios of
neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

from benchmarks.compiling import measure_compiling
from flowmetal.client import Worker
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import load
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, Hint, Start, Store
from flowmetal.values import Vector, encode_value

PROGRAM = """
(ns bench)
(defn chain [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum (perform :bench/echo i))) sum)))
(defn outside [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum (perform :bench/outside i))) sum)))
(defn park [n] (loop [i 0] (if (< i n) (do (perform :bench/echo i) (recur (inc i))) (perform :bench/never i))))
"""


class World:
    """A store with an interpreter that answers :bench/echo in its own process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = open_store(str(folder))
        deploy(self.store, build_artifact({"bench.fm": PROGRAM}).data, "bench")
        self.interpreter = self.interpret()

    def interpret(self) -> Interpreter:
        interpreter = Interpreter(self.store, Config())
        interpreter.register("bench/echo", echo, inline=True)
        interpreter.start()
        return interpreter

    def run(self, function: str, count: int, steps: int) -> float:
        """Starts `count` processes of `steps` steps, waits for all, and gives the seconds."""
        ended: set[int] = set()
        arguments = encode_value(Vector.of([steps]))
        news = threading.Condition()

        def hinted(hints: frozenset[Hint]) -> None:
            with news:
                ended.update(what for kind, what in hints if kind == "process")
                news.notify_all()

        unwatch = self.store.watch(hinted)
        started = time.perf_counter()
        starts = [Start(f"bench/{function}", arguments, name="bench") for _ in range(count)]
        pids = {pid for pid, _ in self.store.submit(starts).result()}
        with news:
            while not pids <= ended:
                news.wait(1.0)
                ended |= {pid for pid in pids - ended if self.status(pid) in FINAL_STATUSES}
        seconds = time.perf_counter() - started
        unwatch()
        self.pids = sorted(pids)
        return seconds

    def status(self, pid: int) -> str:
        record = self.store.process(pid)
        return record.status if record is not None else "gone"

    def stored(self, pid: int) -> tuple[int, int]:
        """Bytes of events and of image segments in a process's log."""
        events = segments = at = 0
        while True:
            entries = self.store.log(pid, at, 1000)
            if not entries:
                return events, segments
            events += sum(len(entry.event) for entry in entries)
            segments += sum(len(entry.segment) for entry in entries)
            at = entries[-1].sequence + 1

    def close(self) -> None:
        self.interpreter.stop()
        self.store.close()


def echo(call: Call) -> Any:
    """Answers with the payload."""
    return call.payload


def raw_commits(folder: Path, count: int) -> float:
    """Seconds for synced commits of two puts of 200 bytes."""
    environment = lmdb.open(str(folder), map_size=1 << 32, max_dbs=2, lib_version=0)
    database = environment.open_db(b"log")
    number = int(time.time_ns())
    started = time.perf_counter()
    for _ in range(count):
        with environment.begin(write=True, db=database) as transaction:
            for _ in range(2):
                number += 1
                transaction.put(number.to_bytes(8, "big"), b"x" * 200)
    seconds = time.perf_counter() - started
    environment.close()
    return seconds


def measure_steps(folder: Path, rounds: int, steps: int, processes: int) -> dict[str, Any]:
    """Chain and fan-out, taking turns with the baseline; ratios are of neighbours, and the median of them is given.

    A step of `chain` and `wide` is answered by a function inside the interpreter: one commit.  A step of `worker` is
    taken and answered by a Worker thread over the store interface: three commits (request, take, answer).
    """
    world = World(folder / "store")
    worker = Worker(world.store, name="bench")
    worker.function("bench/outside")(lambda payload, context: payload)
    worker.start()
    rows: dict[str, list[float]] = {name: [] for name in ("raw", "chain", "wide", "worker", "cpu", "c/r", "w/r")}
    world.run("chain", 1, 50)  # warm
    for index in range(rounds):
        raw = 500 / raw_commits(folder / f"raw-{index}", 500)
        chain = steps / world.run("chain", 1, steps)
        pid = world.pids[0]
        before = time.process_time()
        wide = processes * 10 / world.run("chain", processes, 10)
        rows["cpu"].append((time.process_time() - before) / (processes * 10) * 1e6)
        rows["worker"].append(200 / world.run("outside", 1, 200))
        raw = (raw + 500 / raw_commits(folder / f"raw-{index}b", 500)) / 2
        for name, value in (("raw", raw), ("chain", chain), ("wide", wide), ("c/r", chain / raw), ("w/r", wide / raw)):
            rows[name].append(value)
    events, segments = world.stored(pid)
    worker.stop()
    world.close()
    median = {name: statistics.median(values) for name, values in rows.items()}
    return {
        "raw_commits_per_second": median["raw"],
        "chain_steps_per_second": median["chain"],
        "chain_over_raw": median["c/r"],
        "wide_steps_per_second": median["wide"],
        "wide_over_raw": median["w/r"],
        "wide_cpu_us_per_step": median["cpu"],
        "worker_steps_per_second": median["worker"],
        "event_bytes_per_step": events / steps,
        "segment_bytes_per_step": segments / steps,
    }


def measure_resume(folder: Path, long: int) -> dict[str, Any]:
    """Time to load a process's image after few and after many steps, taking turns."""
    world = World(folder / "resume")
    found: dict[int, int] = {}
    arguments: Callable[[int], bytes] = lambda steps: encode_value(Vector.of([steps]))  # noqa: E731
    for steps in (10, long):
        [(pid, _)] = world.store.submit([Start("bench/park", arguments(steps), name="bench")]).result()
        while not any(one.effect == "bench/never" for one in world.store.open_requests(pid)):
            time.sleep(0.02)
        found[steps] = pid
    programs = world.interpreter.programs
    times: dict[int, list[float]] = {steps: [] for steps in found}
    for _ in range(30):
        for steps, pid in found.items():
            record = world.store.process(pid)
            assert record is not None
            started = time.perf_counter()
            load(world.store, record, programs)
            times[steps].append(time.perf_counter() - started)
    world.close()
    few, many = (statistics.median(times[steps]) * 1e3 for steps in found)
    return {"resume_ms_after_10": few, f"resume_ms_after_{long}": many, "resume_ratio": many / few}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    rounds = 3 if options.quick else 5
    with tempfile.TemporaryDirectory(prefix="flowmetal-bench-", dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = Path(name)
        figures: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
        figures |= measure_steps(folder, rounds, 1000, 1000)
        figures |= measure_resume(folder, 10_000)
        figures |= measure_compiling(folder / "compiling", options.quick)
    for key, value in figures.items():
        print(f"{key:32} {value:,.2f}" if isinstance(value, float) else f"{key:32} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
