"""P14: what well-behaved processes notice of a program that runs away, each kind beside the same well-behaved ones.

Twenty processes take two steps one after the other, some 20 times a second; how long the second takes is measured
inside the interpreter, from the call of the one to the call of the next, commit included, in time of the processor
(which other work on the machine does not change) and by the clock.  In one run the runaway is paused and resumed in
turns; the ratio is the median of those of the 99th percentiles of neighbours.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from statistics import median
from typing import Any

from benchmarks.driving import TITLES, Sides
from benchmarks.rows import Outcome, percentile
from benchmarks.scales import Scale
from flowmetal.client import connect
from flowmetal.client.where import Where
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES

#: Well-behaved processes.
STEADY = 20

#: Seconds after a change that belong to neither side.
SETTLING = 0.3

SOURCE = """
(ns run)
(defn steady [id] (loop [] (perform :tick id) (perform :tick id) (sleep 50ms) (recur)))

(defn spin [] (loop [n 0] (recur (inc n))))
(defn spin-in-frames [] (loop [n 0] (recur (+ n (count (map (fn [x] (vector x n)) [1 2 3]))))))
(defn endless-list [] (count (doall (map vector (range)))))
(defn deep [] (inc (deep)))
(defn deep-everywhere [] (inc (reduce + (map (fn [x] (deep-everywhere)) [1 2]))))
(defn sleeper [] (sleep 1h))
(defn bomb [] (spawn bomb) (spawn bomb) (sleep 1h))
(defn bomb-wide [] (loop [] (spawn sleeper) (recur)))
(defn flood [] (let [to (spawn sleeper)] (loop [] (perform :send [to :more]) (recur))))
(defn string [] (loop [s "long"] (recur (str s s))))
(defn string-again [] (loop [] (try (string) (catch :limit _ nil)) (recur)))
(defn string-held [] (loop [all [] n 0] (recur (conj all (apply str n (repeat 1000000 "x"))) (inc n))))
(defn regex [] (let [s (apply str (repeat 1000000 "a"))] (loop [] (re-find #"(a|aa)*b" s) (recur))))
(defn number [] (loop [n 3] (recur (* n n))))
(defn number-again [] (loop [] (try (number) (catch :limit _ nil)) (recur)))
(defn number-text [] (let [n (apply *' (repeat 600000 3N))] (loop [] (str n) (recur))))
(defn sorting [] (let [v (vec (range 500000 0 -1))] (loop [] (sort v) (recur))))
(defn joining [] (let [v (vec (range 1000000))] (loop [] (apply str v) (recur))))
(defn printing [] (let [v (vec (range 1000000))] (loop [] (pr-str v) (recur))))
(defn hashing [] (loop [n 0] (hash (vec (range 1000000))) (recur (inc n))))
(defn equals [] (let [a (vec (range 1000000))] (loop [] (= a (vec (range 1000000))) (recur))))
(defn nesting [] (loop [v []] (recur [v])))
(defn logging [] (loop [] (log "again") (recur)))
(defn big-values []
  (let [s (apply str (repeat 8000000 "x"))] (loop [n 0] (perform :tick-off (str n s)) (recur (inc n)))))
(defn big-state [] (loop [v [] n 0] (perform :tick-off n) (recur (into v (range n (+ n 100000))) (+ n 100000))))
(defn fibers [] (loop [] (async (sleep 1h)) (recur)))
(defn requests [] (loop [n 0] (request :nobody n) (recur (inc n))))
"""

#: Runaways in the order in which they are shown.
RUNAWAYS = (
    "spin", "spin-in-frames", "endless-list", "deep", "deep-everywhere", "bomb", "bomb-wide", "flood", "string",
    "string-again", "string-held", "regex", "number-again", "sorting", "joining", "printing", "hashing", "equals",
    "nesting", "logging", "big-values", "big-state", "fibers", "requests",
)  # fmt: skip


class Beside:
    """A store in a new folder with an interpreter and the well-behaved processes."""

    def __init__(self, **settings: Any) -> None:
        self.folder = tempfile.mkdtemp(prefix="runaway")
        self.store = open_store(self.folder + "/store")
        self.client = connect(self.store)
        artifact = build_artifact({"run.fm": SOURCE}).data
        self.client.deploy("run", artifact)
        self.client.deploy("steady", artifact)
        self._began: dict[int, tuple[float, float]] = {}
        self._took: list[tuple[float, float]] = []
        self.interpreter = Interpreter(self.store, Config(**settings))
        self.interpreter.register("tick", self._tick, inline=True)
        self.interpreter.register("tick-off", lambda call: None, inline=True)
        self.interpreter.start()
        for number in range(STEADY):
            self.client.start("run/steady", number, program="steady")

    def _tick(self, call: Any) -> Any:
        now = (time.process_time(), time.perf_counter())
        before = self._began.pop(call.payload, None)
        if before is None:
            self._began[call.payload] = now
        else:
            self._took.append((now[0] - before[0], now[1] - before[1]))

    def sample(self, seconds: float) -> tuple[list[float], list[float]]:
        """What steps took, of the processor and by the clock, those included that have not ended."""
        self._took = []
        time.sleep(seconds)
        now = (time.process_time(), time.perf_counter())
        found = self._took + [(now[0] - one[0], now[1] - one[1]) for one in list(self._began.values())]
        if not found:  # nobody took a step: each took at least as long as this
            found = [(seconds, seconds)]
        return [one for one, _ in found], [one for _, one in found]

    def run(self, function: str) -> int:
        """Starts a runaway."""
        return self.client.start(f"run/{function}", program="run")

    def still(self, pid: int) -> None:
        """Pauses it, and all that came from it."""
        self.client.steer("pause", Where(tree=pid, statuses=("ready", "waiting")))
        time.sleep(SETTLING)

    def go_on(self, pid: int) -> None:
        """Lets them go on."""
        self.client.steer("resume", Where(tree=pid, statuses=("paused",)))
        time.sleep(SETTLING)

    def how(self, pid: int) -> str:
        """How it ended, or that it goes on."""
        record = self.store.process(pid)
        if record is None or record.status not in FINAL_STATUSES:
            return "goes on"
        return record.error or record.status

    def close(self) -> None:
        self.interpreter.stop(3)
        self.client.close()
        self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(sides: Sides, scale: Scale) -> Outcome:
    """Beside each runaway: windows in which it runs, and windows in which it and all that came from it are paused."""
    outcome = Outcome()
    seconds, rounds = {"tiny": (0.2, 1), "quick": (1.0, 3)}.get(scale.name, (2.0, 5))
    for name in ("spin", "flood") if scale.name == "tiny" else RUNAWAYS:
        beside = Beside()
        shares: list[float] = []
        clocks: list[float] = []
        found: list[float] = []
        try:
            time.sleep(min(0.5, seconds))
            pid = beside.run(name)
            time.sleep(min(1.0, seconds))  # in which its code is loaded, and it is found out
            for _ in range(rounds):
                beside.still(pid)
                alone, alone_clock = (percentile(one, 0.99) for one in beside.sample(seconds))
                beside.go_on(pid)
                loaded, loaded_clock = (percentile(one, 0.99) for one in beside.sample(seconds))
                found.append(loaded * 1000)
                shares.append(loaded / alone)
                clocks.append(loaded_clock / alone_clock)
            ended = beside.how(pid)
        finally:
            beside.close()
        outcome.row(
            f"P14 step beside `{name}`, p99 of the processor",
            TITLES["flowmetal"],
            found,
            "ms",
            note=f"{median(shares):.2f} times as long as alone, {median(clocks):.2f} by the clock; {ended}",
        )
        outcome.verdict("P14", f"p99 of steps beside `{name}` over alone", [median(shares)], 2.0, at_least=False)
    return outcome
