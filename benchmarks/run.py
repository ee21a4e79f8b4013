"""Measures everything: `make bench`, or `python -m benchmarks.run [--quick] [--only NAME,...] [--no-peers]`.

Writes the tables (Markdown) and all figures (JSON) into build/bench, under the time of the run, and prints the tables.
Every commit is synced.  Machines drift, so sides that are compared take turns, and ratios are medians of the ratios of
neighbours.  Peers are measured where `make bench-peers` has put them.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.driving import PEER_NAMES, Sides
from benchmarks.environments import ROOT
from benchmarks.report import report
from benchmarks.rows import Outcome, document
from benchmarks.scales import FULL, QUICK, TINY, Scale

#: In the order in which they run.  Those that need the peers come one after the other, so that the peers are started
#: once, and what measures small differences comes when they have ended.
WORKLOADS = (
    "limits", "chain", "fan", "queues", "latency", "resume", "park", "state", "scaling", "runaway", "cold", "pure",
    "compiling",
)  # fmt: skip
WITH_PEERS = frozenset({"chain", "fan", "latency", "resume", "park"})
#: Not part of the quick share.
SLOW = frozenset({"compiling", "runaway"})
SCALES = {scale.name: scale for scale in (FULL, QUICK, TINY)}
MILLION = 1_000_000


def measure(names: tuple[str, ...], sides: Sides, scale: Scale) -> tuple[dict[str, Outcome], dict[str, float]]:
    """The outcomes of workloads, and the seconds that each took.  One that fails is told and left out."""
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, float] = {}
    for name in names:
        if name not in WITH_PEERS:
            sides.release(PEER_NAMES)
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        module = importlib.import_module(f"benchmarks.workloads.{name}")
        outcomes[name] = module.measure(sides, scale)
        seconds[name] = time.perf_counter() - began
    return outcomes, seconds


def surroundings(scale: Scale) -> dict[str, Any]:
    """Where and when this was."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "scale": scale.name,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a share that takes two to three minutes")
    parser.add_argument("--scale", choices=SCALES, help="how much; `tiny` shows only that it works")
    parser.add_argument("--only", help=f"workloads, with commas between: {', '.join(WORKLOADS)}")
    parser.add_argument("--no-peers", action="store_true", help="measure Flowmetal and the limits alone")
    parser.add_argument("--peers", help=f"peers, with commas between: {', '.join(PEER_NAMES)}")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run all sides with SCHED_RR, for a machine with other work (needs the right to)",
    )
    parser.add_argument("--million", action="store_true", help="also park a million processes")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="folder for tables and JSON")
    options = parser.parse_args()
    scale = SCALES[options.scale or ("quick" if options.quick else "full")]
    if options.million:
        scale = dataclasses.replace(scale, parked=(*scale.parked, MILLION))
    names = tuple(options.only.split(",")) if options.only else WORKLOADS
    if scale is QUICK and not options.only:
        names = tuple(name for name in names if name not in SLOW)
    peers = tuple(options.peers.split(",")) if options.peers else PEER_NAMES
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that all that was started is ended
    if options.realtime:
        # What all sides are started from has it, so that they inherit it, database and servers included.  Else each
        # wake-up after a sync waits for a time slice of what else runs, and the scheduler is what is measured.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    options.output = options.output.resolve()  # sides run in folders of their own
    options.output.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=os.environ.get("BENCH_FOLDER") or options.output))
    where = surroundings(scale) | {"scheduling": "SCHED_RR" if options.realtime else "normal"}
    try:
        with Sides(folder, () if options.no_peers else peers) as sides:
            outcomes, seconds = measure(names, sides, scale)
            reasons = sides.reasons
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    where["load_average_after"] = os.getloadavg()[0]
    stamp = time.strftime("%Y%m%d-%H%M%S")
    found = {"where": where, "seconds": seconds, "absent": reasons, "workloads": document(outcomes)}
    text = report([found])
    print(text)
    (options.output / f"{stamp}.md").write_text(text + "\n")
    (options.output / f"{stamp}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nwritten: {options.output}/{stamp}.md and .json", file=sys.stderr)


if __name__ == "__main__":
    main()
