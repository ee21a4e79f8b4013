"""The mixed load of the crash and soak harnesses: one program, and an operating system process that runs it.

`live` is such a process: an interpreter, and a client in a thread that starts processes of every kind, posts numbered
messages, delivers to callbacks, takes and completes requests as a worker does, and cancels.  What it was told is
durable it notes at once; it lives until it is killed.  `finish` brings everything to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from flowmetal.connectors.http_callback import Callbacks
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.retention import Retention
from flowmetal.store import open_store
from flowmetal.store.interface import (
    FINAL_STATUSES,
    Command,
    Complete,
    Deliver,
    Post,
    ProcessRecord,
    Start,
    Store,
    Take,
)
from flowmetal.values import Map, Vector, decode_value, encode_value, keyword
from tests.crash.forks import Acknowledged

PROGRAM = """
(ns mixed (:require [kv] [http]))

(defn- count-up [key] (kv/update key (fn [n] (inc (or n 0)))))

(defn chain
  "Steps of every kind that needs nobody else, and of a function of the interpreter; the sum of its answers."
  [n]
  (loop [i 0 sum 0]
    (if (= i n)
      sum
      (do
        (case (mod i 5)
          0 (random 1000)
          1 (sleep 2ms)
          2 (count-up "steps")
          3 (log i)
          4 (sleep 0ms))
        (recur (inc i) (+ sum (perform :probe/double i)))))))

(defn child [parent n]
  (sleep 1ms)
  (send parent [:child n (perform :probe/double n)]))

(defn fan
  "A fan-out: children, each of which says what it made of its number."
  [n]
  (let [me (self)]
    (doseq [i (range n)] (spawn child me i))
    (loop [left n sum 0]
      (if (= left 0) sum (recur (dec left) (receive [:child _ ?made] (+ sum ?made)))))))

(defn timers
  "Sleeps one after the other and at the same time."
  [n]
  (loop [i 0]
    (when (< i n)
      (all [(async (sleep 3ms)) (async (sleep 1ms)) (async (sleep 5ms))])
      (recur (inc i))))
  (* 3 n))

(defn pong [n]
  (loop [i 0]
    (when (< i n)
      (receive [?from ?number]
        (do (when (not= i ?number) (throw (error :out-of-order (str ?number " instead of " i))))
            (send ?from [(self) ?number])
            (recur (inc i)))))))

(defn ping
  "Numbers to another process, three at a time, each of which comes back."
  [n]
  (let [other (spawn pong n) me (self)]
    (loop [i 0]
      (if (= i n)
        n
        (let [end (min n (+ i 3))]
          (doseq [k (range i end)] (send other [me k]))
          (doseq [k (range i end)]
            (receive [(= other) ?number]
              (when (not= k ?number) (throw (error :out-of-order (str ?number " instead of " k))))))
          (recur end))))))

(defn hook
  "Waits for one delivery from outside."
  []
  (let [callback (http/callback)]
    (annotate! {:url (:url callback)})
    (await (:promise callback))))

(defn work
  "Requests that a worker answers, tried again for as long as workers die."
  [n]
  (loop [i 0 sum 0]
    (if (= i n)
      sum
      (recur (inc i)
             (+ sum (perform :work/job i {:when-unknown :retry :retry {:max 100000 :backoff 1ms :max-delay 5ms}}))))))

(defn victim
  "Waits until it is cancelled, and tidies up once."
  []
  (try (sleep 1h) (finally (count-up "tidied"))))

(defn sink
  "Takes numbered messages of clients; how many of each there were."
  [seen]
  (receive
    [:post ?life ?n]
    (let [last (get seen ?life 0)]
      (when (not= ?n (inc last)) (throw (error :out-of-order (str ?life ": " ?n " after " last))))
      (recur (assoc seen ?life ?n)))
    :end seen))
"""

#: Kinds of processes that a client starts, how often, and the largest number that it gives them.
KINDS: dict[str, tuple[int, int]] = {
    "chain": (6, 12), "fan": (3, 6), "timers": (3, 3), "ping": (3, 9), "hook": (4, 0), "work": (4, 4), "victim": (2, 0),
}  # fmt: skip
NUMBERED = frozenset({"chain", "fan", "timers", "ping", "work"})
#: Lists of commands that a client has on their way.
WINDOW = 16
#: Processes that may live before a client starts no more.
LIVING_MAX = 60
LEASE_MS = 2_000
#: A client with a pace has many on their way, and answers the later.
JOB_LEASE_MS, SLOW_JOB_LEASE_MS = 40, 3_000
JOB = "work/job"
URL = "url"


def build() -> bytes:
    """The program's artifact; to be built before anything forks."""
    return build_artifact({"mixed.fm": PROGRAM}).data


def make(path: Path, artifact: bytes) -> None:
    """A store with the program and the process that takes messages, whose pid is 1."""
    store = open_store(path)
    deploy(store, artifact, "mixed")
    [(pid, _)] = store.submit([_start("sink", Vector.of([Map.of([])]), None)]).result(60)
    assert pid == SINK
    store.close()


SINK = 1


def _start(kind: str, arguments: Vector, id: str | None) -> Start:
    return Start(f"mixed/{kind}", encode_value(arguments), name="mixed", id=id)


def double(call: Call) -> int:
    """What the function of the interpreter answers."""
    return 2 * int(call.payload)


def interpreter(store: Store, retention: Retention | None = None, lease_ms: int = LEASE_MS) -> Interpreter:
    """One for this load."""
    config = Config(lease_ms=lease_ms, retention=retention or Retention())
    made = Interpreter(store, config)
    made.register("probe/double", double, inline=True)
    return made


def live(
    path: Path, life: str, acknowledged: Acknowledged, seed: int, beside: Callable[[Store], None] | None = None
) -> None:
    """Runs and disturbs a store until it is killed; `beside` is done in a thread of its own."""
    store = open_store(path, create=False)
    if beside is not None:
        threading.Thread(target=beside, args=(store,), daemon=True).start()
    running = interpreter(store)
    running.start()
    Client(store, life, acknowledged, random.Random(seed)).run(lambda: False)


class Client:
    """Does everything that can be done to a store from outside, some at a time, and notes what was acknowledged.

    `pace`: seconds between two rounds, for a load that is steady rather than as much as goes.
    """

    def __init__(
        self, store: Store, life: str, acknowledged: Acknowledged, chance: random.Random, pace: float = 0.0
    ) -> None:
        self.store = store
        self.life = life
        self.acknowledged = acknowledged
        self.chance = chance
        self.pace = pace
        self.posted = self.started = self.delivered = 0
        self.waiting: deque[tuple[Future[list[Any]], Callable[[list[Any]], None]]] = deque()
        self.kinds = [kind for kind, (weight, _) in KINDS.items() for _ in range(weight)]

    def run(self, stopping: Callable[[], bool]) -> None:
        """Goes on until it is told to stop, then waits for what is on its way."""
        while not stopping():
            while len(self.waiting) < WINDOW:
                self.disturb()
            self.take_one()
            if self.pace:
                time.sleep(self.pace)
        while self.waiting:
            self.take_one()

    def take_one(self) -> None:
        """Waits for the oldest list of commands, and notes what was acknowledged."""
        future, noted = self.waiting.popleft()
        noted(future.result(60))

    def disturb(self) -> None:
        """One more list of commands."""
        drawn = self.chance.random()
        if drawn < 0.35:
            self.post()
        elif drawn < 0.6:
            self.start()
        elif drawn < 0.75:
            self.work()
        elif drawn < 0.95:
            self.deliver()
        else:
            self.cancel()

    def submit(self, command: Command, noted: Callable[[Any], None]) -> None:
        """Sends a command; `noted` gets its result."""
        self.waiting.append((self.store.submit([command]), lambda results: noted(results[0])))

    def post(self) -> None:
        """The next number of this client."""
        self.posted += 1
        number = self.posted

        def noted(arrived: bool) -> None:
            assert arrived, "the process that takes messages is gone"
            self.acknowledged.note("post", self.life, number)

        message = Vector.of([keyword("post"), self.life, number])
        self.submit(Post(SINK, "message", encode_value(message)), noted)

    def start(self) -> None:
        """A process of some kind, under an id that is not used again."""
        if self.store.living() >= LIVING_MAX:
            return self.post()
        self.started += 1
        kind = self.chance.choice(self.kinds)
        number = self.chance.randint(1, KINDS[kind][1]) if kind in NUMBERED else None
        id = f"{self.life}-{self.started}"

        def noted(result: tuple[int, bool]) -> None:
            assert result[1], f"the id {id} was taken"
            self.acknowledged.note("start", id, result[0], kind, number)

        self.submit(_start(kind, Vector.of([] if number is None else [number]), id), noted)

    def deliver(self) -> None:
        """A delivery to a callback that waits."""
        found = self.some("waiting", lambda record: URL in record.attributes)
        if found is None:
            return self.post()
        self.delivered += 1
        value = f"{self.life}/{self.delivered}"
        if self.chance.random() < 0.3:
            status = asyncio.run(posted(self.store, token_of(found), value))
            self.acknowledged.note("deliver", found.pid, value, {202: "accepted", 200: "duplicate"}[status])
            return
        self.submit(
            Deliver(token_of(found), encode_value(value)),
            lambda outcome: self.acknowledged.note("deliver", found.pid, value, outcome),
        )

    def cancel(self) -> None:
        """A cancellation of one that waits for it."""
        found = self.some("waiting", lambda record: record.function == "mixed/victim")
        if found is None:
            return self.post()
        pid = found.pid
        self.submit(
            Post(pid, "cancel", encode_value(None)), lambda posted: self.acknowledged.note("cancel", pid, posted)
        )

    def some(self, status: str, wanted: Callable[[ProcessRecord], bool]) -> ProcessRecord | None:
        """One of the newest processes of a status that is wanted."""
        page = self.store.processes(limit=40, statuses=(status,), newest_first=True)
        found = [record for record in page if wanted(record)]
        return self.chance.choice(found) if found else None

    def work(self) -> None:
        """Takes some requests, and answers them once they are taken."""

        def noted(taken: list[Any]) -> None:
            for request in taken:
                pid, number, attempt = request.pid, request.number, request.attempt
                data = encode_value(2 * decode_value(request.payload))

                def completed(done: bool, facts: tuple[int, int, int] = (pid, number, attempt)) -> None:
                    if done:
                        self.acknowledged.note("complete", *facts)

                self.submit(Complete(pid, number, attempt, True, data), completed)

        self.submit(Take((JOB,), self.life, 4, SLOW_JOB_LEASE_MS if self.pace else JOB_LEASE_MS), noted)


async def posted(store: Store, token: str, value: str) -> int:
    """Delivers as the server does that callbacks arrive at; the status of its answer."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(value).encode(), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    path = f"/callbacks/{token}"
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "http_version": "1.1", "scheme": "http", "root_path": ""}  # fmt: skip
    await Callbacks(store).app()(scope, receive, send)
    return statuses[0]


def token_of(record: ProcessRecord) -> str:
    """The token of the callback that a process waits for."""
    return str(record.attributes[URL]).rpartition("/")[2]


def finish(path: Path, acknowledged: Acknowledged, seconds: float = 60.0) -> None:
    """Brings all processes of a store to their ends, and ends; AssertionError where one is stuck."""
    store = open_store(path, create=False)
    running = interpreter(store)
    running.start()
    client = Client(store, f"finish-{os.getpid()}", acknowledged, random.Random(0))
    end_all(store, client, seconds)
    assert running.stop(), "the interpreter did not stop"
    store.close()


def end_all(store: Store, client: Client, seconds: float) -> None:
    """Delivers, works and cancels until nothing but the process that takes messages is left, and ends that."""
    give_up = time.monotonic() + seconds
    changed = threading.Event()
    unwatch = store.watch(lambda hints: changed.set())
    while True:
        living = [r for r in store.processes(limit=10_000, statuses=("ready", "waiting", "paused")) if r.pid != SINK]
        if not living:
            break
        assert time.monotonic() < give_up, f"{len(living)} processes are stuck: {living[:5]}"
        for record in living:
            assert record.status != "paused", f"process {record.pid} is paused: {record.error}"
            if record.function == "mixed/hook" and URL in record.attributes:
                client.delivered += 1
                value = f"{client.life}/{client.delivered}"
                store_delivery(client, record, value)
            elif record.function == "mixed/victim" and record.status == "waiting" and "cancel" not in record.waits:
                client.submit(Post(record.pid, "cancel", encode_value(None)), _noted_cancel(client, record.pid))
        client.work()
        while client.waiting:
            client.take_one()
        changed.clear()
        changed.wait(0.02)
    client.submit(Post(SINK, "message", encode_value(keyword("end"))), lambda arrived: None)
    client.take_one()
    while (sink := store.process(SINK)) is not None and sink.status not in FINAL_STATUSES:
        assert time.monotonic() < give_up, f"the process that takes messages is stuck: {sink}"
        changed.clear()
        changed.wait(0.02)
    unwatch()


def store_delivery(client: Client, record: ProcessRecord, value: str) -> None:
    """One delivery, noted with what came of it."""
    client.submit(
        Deliver(token_of(record), encode_value(value)),
        lambda outcome: client.acknowledged.note("deliver", record.pid, value, outcome),
    )


def _noted_cancel(client: Client, pid: int) -> Callable[[bool], None]:
    return lambda posted: client.acknowledged.note("cancel", pid, posted)
