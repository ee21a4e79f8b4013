"""Messages between many processes while interpreters are killed: none is lost, doubled or out of order.

    python -m tests.crash.messages --messages 1000000 --processes 1000 --kills 40 --seed 1

Every process sends to some others, by turns, and receives from as many, with a selective `receive` in between.  Two
interpreters, operating system processes of their own, share one LMDB store; one of them, the one that owns the store or
the other, is killed with SIGKILL at random points of the run, and another one is started.  What was sent and received
is taken from the logs of the processes at the end: of each pair, every number once and in order.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.events import LocalDone, MessageReceived, decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import entries_from
from flowmetal.store import open_store
from flowmetal.store.interface import Post, Start, Store
from flowmetal.values import Pid, Vector, decode_value, encode_value

PROGRAM = """
(ns messages)

(defn- took [seen from n]
  (let [wanted (get seen from 0)]
    (when (not= n wanted)
      (throw (error :out-of-order (str "from " (pr-str from) " came " n " instead of " wanted))))
    (assoc seen from (inc n))))

(defn- take-all
  "Takes what has come; every now and then only what one of the others has sent, so that the rest is kept."
  [seen chosen]
  (loop [seen (receive [(= chosen) ?n] (took seen chosen ?n) (after 0s seen))]
    (receive
      [?from ?n] (recur (took seen ?from ?n))
      (after 0s seen))))

(defn main
  "Sends `each` numbers to each of `targets`, `burst` rounds at a time, and receives as many from each of `sources`."
  [targets sources each burst]
  (let [me (self) total (* each (count sources))]
    (loop [n 0 seen {}]
      (if (< n each)
        (let [end (min each (+ n burst))]
          (doseq [i (range n end) to targets]
            (send to [me i]))
          (recur end (take-all seen (nth sources (mod n (count sources))))))
        (loop [seen seen]
          (if (= total (reduce + 0 (vals seen)))
            seen
            (recur (receive [?from ?n] (took seen ?from ?n)))))))))
"""

#: Others that a process sends to.
FAN = 10
INTERPRETERS = 2
LEASE_MS = 2_000
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a run."""

    messages: int
    kills: int
    owners_killed: int
    seconds: float
    resumed: int  # processes that were paused since three interpreters in a row died in their turns


def interpret(path: str, seconds: float) -> None:
    """An interpreter on a store, until it is killed or the time is over."""
    store = open_store(path, create=False)
    Interpreter(store, Config(lease_ms=LEASE_MS)).start()
    time.sleep(seconds)
    os._exit(0)


class Interpreters:
    """Those that run, and killing them."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        self.log = (path.parent / "interpreters.log").open("ab")
        self.running: list[subprocess.Popen[bytes]] = []

    def fill(self) -> None:
        """Starts what is missing."""
        while len(self.running) < INTERPRETERS:
            command = [sys.executable, "-m", "tests.crash.messages", "--interpret", str(self.path)]
            command += ["--seconds", str(self.seconds)]
            self.running.append(subprocess.Popen(command, stdout=self.log, stderr=self.log))

    def check(self) -> None:
        """None may have ended by itself."""
        for one in self.running:
            if one.poll() is not None:
                text = Path(self.log.name).read_text(errors="replace")
                raise AssertionError(f"an interpreter ended by itself: {one.returncode}\n{text[-2000:]}")

    def owner(self) -> int:
        """The operating system's number of the one that commits; 0 for nobody."""
        try:
            return int(json.loads((self.path / "owner.lock").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return 0

    def kill(self, chosen: random.Random) -> bool:
        """Kills one; whether it was the owner of the store."""
        victim = self.running.pop(chosen.randrange(len(self.running)))
        owned = victim.pid == self.owner()
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        return owned

    def close(self) -> None:
        """Kills all."""
        for one in self.running:
            one.kill()
            one.wait()
        self.log.close()


def start_all(path: Path, processes: int, count: int, burst: int, chosen: random.Random) -> None:
    """A store with the processes, each with whom it sends to and whom it hears from."""
    fan = min(FAN, processes - 1)
    shifts = chosen.sample(range(1, processes), fan)
    with contextlib.closing(open_store(path)) as store:
        artifact = deploy(store, build_artifact({"messages.fm": PROGRAM}).data)
        starts = []
        for pid in range(1, processes + 1):
            targets = Vector.of([Pid((pid - 1 + shift) % processes + 1) for shift in shifts])
            sources = Vector.of([Pid((pid - 1 - shift) % processes + 1) for shift in shifts])
            arguments = encode_value(Vector.of([targets, sources, count, burst]))
            starts.append(Start(function="messages/main", arguments=arguments, artifact=artifact))
        pids = [pid for pid, _ in store.submit(starts).result(120)]
        assert pids == list(range(1, processes + 1)), "the pids of a new store begin with 1"


def entries_of(store: Store) -> tuple[int, list[int]]:
    """How many log entries there are, and which processes are paused; raises where one has failed."""
    total, paused, after = 0, [], 0
    while True:
        page = store.processes(after=after, limit=1000)
        for record in page:
            assert record.status not in ("failed", "cancelled"), f"process {record.pid}: {record.error}"
            total += record.sequence
            if record.status == "paused":
                paused.append(record.pid)
        if len(page) < 1000:
            return total, paused
        after = page[-1].pid


def check_logs(store: Store, processes: int, count: int) -> int:
    """What was sent and received, pair by pair; the number of messages."""
    sent: dict[tuple[int, int], int] = {}
    received: dict[tuple[int, int], int] = {}
    for pid in range(1, processes + 1):
        for entry in entries_from(store, pid, 0):
            if entry.part:
                continue
            event = decode_event(entry.event)
            if isinstance(event, LocalDone) and event.effect == "send":
                to, message = decode_value(event.payload)
                _next(sent, (pid, to.number), message.get(1))
            elif isinstance(event, MessageReceived):
                for sender, number in decode_value(event.value):
                    _next(received, (sender.number, pid), number)
    assert sent == received
    assert set(sent.values()) == {count}
    return sum(received.values())


def _next(seen: dict[tuple[int, int], int], pair: tuple[int, int], number: int) -> None:
    assert number == seen.get(pair, 0), f"from {pair[0]} to {pair[1]}: {number} instead of {seen.get(pair, 0)}"
    seen[pair] = number + 1


def run(
    messages: int, processes: int, kills: int, seed: int, folder: Path, seconds: float = 3600.0, tell: bool = False
) -> Figures:
    """One run; AssertionError where a message was lost, doubled or out of order, or the time is over."""
    chosen = random.Random(seed)
    fan = min(FAN, processes - 1)
    count = max(1, messages // (processes * fan))
    path = folder / "store"
    start_all(path, processes, count, max(1, 60 // fan), chosen)
    expected = processes * fan * count  # entries of those that send; there are more
    at = sorted(chosen.uniform(0.0, 0.95) for _ in range(kills))
    interpreters = Interpreters(path, seconds)
    began = time.monotonic()
    done, owners, resumed, told = 0, 0, 0, 0.0
    try:
        interpreters.fill()
        with contextlib.closing(open_store(path, create=False)) as store:
            while True:
                time.sleep(POLL_SECONDS)
                interpreters.check()
                entries, paused = entries_of(store)
                for pid in paused:
                    resumed += 1
                    store.submit([Post(pid, "resume", b"", 0)]).result(60)
                if store.stats()["processes"]["done"] == processes:
                    break
                if done < len(at) and entries / expected >= at[done]:
                    done += 1
                    owners += interpreters.kill(chosen)
                    interpreters.fill()
                now = time.monotonic() - began
                assert now < seconds, f"not done after {now:.0f} s: {entries} entries, {store.stats()['processes']}"
                if tell and now - told >= 15:
                    told = now
                    print(f"{now:6.0f} s: {entries:,} entries, {done} kills, {store.stats()['processes']}", flush=True)
            took = time.monotonic() - began
            interpreters.close()
            total = check_logs(store, processes, count)
    finally:
        if not interpreters.log.closed:
            interpreters.close()
    return Figures(total, done, owners, took, resumed)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Messages between many processes while interpreters are killed.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600.0, help="give up after so long")
    parser.add_argument("--interpret", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.interpret:
        interpret(given.interpret, given.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = run(given.messages, given.processes, given.kills, given.seed, Path(folder), given.seconds, tell=True)
    print(
        f"{figures.messages:,} messages between {given.processes:,} processes in {figures.seconds:.0f} s, "
        f"{figures.kills} interpreters killed ({figures.owners_killed} owned the store), {figures.resumed} resumed: "
        "each arrived once and in order"
    )


if __name__ == "__main__":
    main()
