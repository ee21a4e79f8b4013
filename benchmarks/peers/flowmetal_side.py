"""Flowmetal as a side: a store in a folder and one interpreter in this process, every commit synced.

`flowmetal_side.py FOLDER`.  Steps are answered by a function inside the interpreter; `outside` by a worker thread
that takes them from the store.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from benchmarks.peers.answering import Answer, folder_bytes, serve, tenths
from flowmetal.client import Worker
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, PARTITIONS, Hint, Operate, Post, Start
from flowmetal.values import Vector, decode_value, encode_value, from_python, to_python

PROGRAM = """
(ns bench "What the benchmarks run.  The shapes are those of the peers: a step adds one, and its result is kept.")

(defn chain [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum (perform :bench/one i))) sum)))

(defn outside [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum (perform :bench/outside i))) sum)))

(defn hold
  "So many steps; then a step for each message, until one that ends it."
  [n]
  (let [sum (chain n)]
    (loop [message (perform :receive)]
      (if (= message "go")
        (str message sum)
        (do (perform :bench/one 0) (recur (perform :receive)))))))

(defn wait [] (perform :receive))

(defn big
  "One entry of a large map and of a large vector changes in each step."
  [n entries items]
  (loop [i 0 m (into {} (map (fn [k] [k k]) (range entries))) v (vec (range items))]
    (if (< i n)
      (let [one (perform :bench/one i)]
        (recur (inc i) (assoc m (mod (* i 7919) entries) one) (assoc v (mod (* i 7919) items) one)))
      (+ (count m) (count v)))))

(defn deep
  "Steps at the bottom of so many frames."
  [n frames]
  (if (= frames 0) (chain n) (+ 1 (deep n (dec frames)))))

(defn talk
  "A conversation that grows by one answer a step."
  [n size]
  (loop [i 0 told []] (if (< i n) (recur (inc i) (conj told (perform :bench/text size))) (count told))))

(defn count-down [n] (if (= n 0) 0 (recur (dec n))))

(defn compute
  "Work of a processor between steps."
  [n turns]
  (loop [i 0] (if (< i n) (do (count-down turns) (perform :bench/one i) (recur (inc i))) i)))
"""

#: A process is waited for so long.
PATIENCE_SECONDS = 600.0
#: Starts in one list of commands.
STARTS_AT_ONCE = 500


class Side:
    """The store, the interpreter, and what the commands do with them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.marks: list[float] = []
        self.ended: set[int] = set()
        self.news = threading.Condition()
        self.store = open_store(folder)
        if "bench" not in self.store.deployed():
            deploy(self.store, build_artifact({"bench.fm": PROGRAM}).data, "bench")
        self.store.watch(self.hinted)
        self.interpreter = Interpreter(self.store, Config())
        self.interpreter.register("bench/one", self.one, inline=True)
        self.interpreter.register("bench/text", self.text, inline=True)
        self.interpreter.start()
        self.worker: Worker | None = None

    def one(self, call: Call) -> Any:
        """The step: it adds one, and notes when."""
        self.marks.append(time.perf_counter())
        return call.payload + 1

    def text(self, call: Call) -> Any:
        """An answer of so many characters, another one each time."""
        mark = f"{call.pid}-{call.number} "
        size: int = call.payload
        return (mark * (size // len(mark) + 1))[:size]

    def hinted(self, hints: frozenset[Hint]) -> None:
        ended = [what for kind, what in hints if kind == "process"]
        if ended:
            with self.news:
                self.ended.update(ended)
                self.news.notify_all()

    def start(self, function: str, arguments: list[Any], count: int = 1, queue: str | None = None) -> list[int]:
        place = None if queue is None else (queue, None, 0, 0, None)
        start = Start(f"bench/{function}", encode_value(Vector.of(arguments)), name="bench", queue=place)
        futures = [
            self.store.submit([start] * min(STARTS_AT_ONCE, count - done)) for done in range(0, count, STARTS_AT_ONCE)
        ]
        return [pid for future in futures for pid, _ in future.result()]

    def finish(self, pids: list[int]) -> None:
        """Waits until processes have ended."""
        waiting = set(pids)
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.news:
                waiting -= self.ended
                if not waiting:
                    return
                if self.news.wait(1.0):
                    continue
            if time.monotonic() > end:
                raise TimeoutError(f"{len(waiting)} processes have not ended")
            for pid in list(waiting):  # hints may be lost
                record = self.store.process(pid)
                if record is None or record.status in FINAL_STATUSES | {"paused"}:
                    waiting.discard(pid)

    def result(self, pid: int) -> Any:
        record, data = self.store.process(pid), self.store.result(pid)
        if record is None or record.status != "done" or data is None:
            raise RuntimeError(
                f"process {pid} is {record.status if record else 'gone'}: {record.error if record else ''}"
            )
        return to_python(decode_value(data))

    def run(self, function: str, arguments: list[Any], count: int = 1, queue: str | None = None) -> Answer:
        """Runs processes to their end -> wall, seconds between two steps, the tenths, the result of the last."""
        self.marks.clear()
        began = time.perf_counter()
        pids = self.start(function, arguments, count, queue)
        self.finish(pids)
        wall = time.perf_counter() - began
        answer = {"wall": wall, "pid": pids[-1], **(tenths(self.marks) if count == 1 else {})}
        if count == 1 and len(self.marks) > 1:
            answer["between"] = (self.marks[-1] - self.marks[0]) / (len(self.marks) - 1)
        self.ended.clear()
        return answer | {"result": self.result(pids[-1])}

    def chain(self, steps: int) -> Answer:
        return expect(self.run("chain", [steps]), steps * (steps + 1) // 2)

    def fan(self, count: int, steps: int) -> Answer:
        return expect(self.run("chain", [steps], count), steps * (steps + 1) // 2)

    def apart(self, count: int, steps: int) -> Answer:
        """As fan, each process started by itself when the start of the one before is durable, as those of DBOS are."""
        began = time.perf_counter()
        pids = [self.start("chain", [steps])[0] for _ in range(count)]
        started = time.perf_counter() - began
        self.finish(pids)
        answer = {"wall": time.perf_counter() - began, "started": started, "result": self.result(pids[-1])}
        self.ended.clear()
        return expect(answer, steps * (steps + 1) // 2)

    def queued(self, count: int, steps: int, concurrency: int = 0) -> Answer:
        """As fan, in a queue; 0: without a limit."""
        limits = from_python({"name": "bench", **({"concurrency": concurrency} if concurrency else {})})
        self.store.submit([Operate("queue/define", encode_value(limits))]).result()
        return expect(self.run("chain", [steps], count, "bench"), steps * (steps + 1) // 2)

    def outside(self, steps: int) -> Answer:
        """As chain, each step taken and answered by a worker over the store."""
        if self.worker is None:
            self.worker = Worker(self.store, name="bench")
            self.worker.function("bench/outside")(lambda payload, context: payload + 1)
            self.worker.start()
        return expect(self.run("outside", [steps]), steps * (steps + 1) // 2)

    def wait_for(self, pids: list[int]) -> None:
        """Waits until processes wait for a message, durably."""
        left = set(pids)
        end = time.monotonic() + PATIENCE_SECONDS
        while left and time.monotonic() < end:
            left = {pid for pid in left if not self.waits(pid)}
            if left:
                time.sleep(0.001 if len(left) < 100 else 0.02)

    def waits(self, pid: int) -> bool:
        record = self.store.process(pid)
        # One that waits for an answer of a function is "waiting" too, and has steps to come.
        return record is not None and record.status == "waiting" and record.waits.startswith("receive")

    def latency(self, count: int, pause: float = 0.005) -> Answer:
        found = []
        message = encode_value("x")
        for _ in range(count):
            pids = self.start("wait", [])
            self.wait_for(pids)
            time.sleep(pause)
            began = time.perf_counter()
            self.store.submit([Post(pids[0], "message", message)])
            self.finish(pids)
            found.append((time.perf_counter() - began) * 1e3)
            if self.result(pids[0]) != "x":
                raise RuntimeError("a process got another message than it was sent")
            self.ended.clear()
        return {"ms": found}

    def park(self, count: int) -> Answer:
        before = self.waiting()
        began = time.perf_counter()
        first = self.start("wait", [], count)
        accepted = time.perf_counter() - began
        # Counting them all takes as long as there are many; that none is ready is seen at once.
        while self.store.ready(range(PARTITIONS), 1):
            time.sleep(0.01)
        wall = time.perf_counter() - began
        if self.waiting() != before + count:
            raise RuntimeError("not all processes wait")
        return {"wall": wall, "accepted": accepted, "first": first[0], "last": first[-1]}

    def waiting(self) -> int:
        count: int = self.store.stats()["processes"].get("waiting", 0)
        return count

    def hold(self, steps: int, key: str) -> Answer:
        start = Start("bench/hold", encode_value(Vector.of([steps])), name="bench", id=key)
        [(pid, _)] = self.store.submit([start]).result()
        while not any(request.effect == "receive" for request in self.store.open_requests(pid)):
            time.sleep(0.01)
        return {"pid": pid}

    def nudge(self, key: str) -> Answer:
        """Sends a message to a process that holds, and waits until it takes a step for it."""
        record = self.store.process_by_id(key)
        assert record is not None
        self.marks.clear()
        self.store.submit([Post(record.pid, "message", encode_value("on"))]).result()
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.marks and time.monotonic() < end:
            time.sleep(0.0005)
        return {"steps": len(self.marks)}

    def wake(self, key: str | None = None, pid: int | None = None) -> Answer:
        """Sends a message to a process that waits, and waits for its end."""
        if pid is None:
            record = self.store.process_by_id(str(key))
            assert record is not None
            pid = record.pid
        began = time.perf_counter()
        self.store.submit([Post(pid, "message", encode_value("go"))]).result()
        self.finish([pid])
        return {"wall": time.perf_counter() - began, "result": self.result(pid)}

    def stored(self, pid: int) -> Answer:
        """Bytes of events and of image segments in a process's log, and of its checkpoint."""
        events = segments = at = count = 0
        while entries := self.store.log(pid, at, 1000):
            events += sum(len(entry.event) for entry in entries)
            segments += sum(len(entry.segment) for entry in entries)
            count += len(entries)
            at = entries[-1].sequence + 1
        checkpoint = self.store.checkpoint(pid)
        return {
            "events": events,
            "segments": segments,
            "entries": count,
            "checkpoint": len(checkpoint[1]) if checkpoint is not None else 0,
        }

    def bytes(self) -> Answer:
        return {"bytes": folder_bytes(self.folder), "pages": self.store.stats().get("file_bytes", 0)}

    def settle(self, partitions: int) -> Answer:
        """Waits until the interpreter has so many partitions: until another one has its share, or is found dead."""
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.interpreter.partitions) != partitions and time.monotonic() < end:
            time.sleep(0.01)
        return {"partitions": len(self.interpreter.partitions)}

    def stats(self) -> Answer:
        return {"commits": self.interpreter.commits, "turns": self.interpreter.turns}


def expect(answer: Answer, result: Any) -> Answer:
    """The answer, if its result is the right one."""
    if answer["result"] != result:
        raise RuntimeError(f"the result is {answer['result']!r}, not {result!r}")
    return answer


def main() -> None:
    side = Side(sys.argv[1])
    names = "run chain fan apart queued outside latency park hold nudge wake stored bytes settle stats"
    serve({name: getattr(side, name) for name in names.split()}, pids=[os.getpid()])


if __name__ == "__main__":
    main()
