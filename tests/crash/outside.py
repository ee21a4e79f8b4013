"""kill -9 around what programs do outside: HTTP requests, foreign functions, commands.

    python -m tests.crash.outside --kills 5000 --seed 1

An interpreter with its connectors is one operating system process, a worker with foreign functions another; both share
an LMDB store, and one of them, or both, are killed with SIGKILL again and again.  A server lives through all of it.  It
honours idempotency keys, as a careful service does: a key that it has seen has no second effect, and it counts such
repeats.  What says :when-unknown :fail or :ask it must never see a second time.

Looked at in the end, key by key: each request that a log has as answered had exactly one effect; nothing had an effect
that no log knows of (a step that is not committed has none outside); what was tried at most once was.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import random
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.client import Worker
from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.http_request import HttpRequestConnector
from flowmetal.connectors.shell import ShellConnector
from flowmetal.connectors.shell.settings import ShellSettings
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.events import Answered, AnsweredError, Requested, decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import entries_from
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, Start, Store
from flowmetal.values import Vector, decode_value, encode_value
from tests.crash.campaign import command, counted, in_lines, until_grown
from tests.crash.forks import Acknowledged, Forked, fork, killed_at_end, run
from tests.crash.mixed_check import all_processes

PROGRAM = """
(ns outside (:require [http] [shell]))

(def patience {:max 100000 :backoff 1ms :max-delay 10ms})

(defn kept
  "Requests whose receiver honours the key."
  [site n]
  (loop [i 0]
    (if (= i n)
      n
      (do (http/post (str site "/keep") {:json i} :retry patience :when-unknown :retry)
          (recur (inc i))))))

(defn foreign
  "The same by a function of a worker."
  [site n]
  (loop [i 0]
    (if (= i n)
      n
      (do (perform :foreign/keep site {:retry patience :when-unknown :retry})
          (recur (inc i))))))

(defn once
  "A request that is not tried again where nobody knows what became of it."
  [site _]
  (try
    (do (http/post (str site "/once") {:json 1} :when-unknown :fail) :done)
    (catch :lost _ :lost)))

(defn foreign-once [site _]
  (try
    (do (perform :foreign/once site {:when-unknown :fail}) :done)
    (catch :lost _ :lost)))

(defn command
  "Commands: what they do for a key they do once."
  [site n]
  (loop [i 0]
    (if (= i n)
      n
      (do (shell/run ["sh" "act.sh"] :retry patience :when-unknown :retry)
          (recur (inc i))))))

(defn command-once [site _]
  (try
    (do (shell/run ["sh" "act.sh"] :when-unknown :fail) :done)
    (catch :lost _ :lost)))

(defn asking
  "Where nobody knows, a person is to decide."
  [site _]
  (do (http/post (str site "/once") {:json 1} :when-unknown :ask) :done))
"""
#: The command: it says that it runs, and does what it does for a key once.
COMMAND = """
printf '["/shell", "%s", false]\\n' "$FLOWMETAL_IDEMPOTENCY_KEY" >> arrived
mkdir "effects/$FLOWMETAL_IDEMPOTENCY_KEY" 2> /dev/null || true
"""
KINDS = {"kept": 4, "foreign": 4, "command": 3, "once": 2, "foreign-once": 2, "command-once": 1, "asking": 1}
REPEATABLE = frozenset({"kept", "foreign", "command"})
OUTSIDE = frozenset({"http/request", "foreign/keep", "foreign/once", "shell/run"})
KILLS_OF_STORE = 100
LIVING_MAX = 16
LEASE_SECONDS = 0.1
WINDOW_SECONDS = 0.04
#: The server takes up to so long before an effect, and after it before its answer.
SLOW_SECONDS = 0.008
PATIENCE_SECONDS = 15.0
KEY = "idempotency-key"
#: What a command has done, beside the lines that say that one ran: a folder named by its key, which is made once.
DONE, EFFECTS = "/done", "effects"


# ---- the server ------------------------------------------------------------------------------------------------------


class Effects:
    """What a server did, by path and key, kept in a file: one line of JSON for each request that arrived."""

    def __init__(self, path: Path) -> None:
        self.file = Acknowledged(path)
        self.seen: set[str] = set()
        self.lock = threading.Lock()

    def arrived(self, path: str, key: str) -> bool:
        """Whether this had an effect: it has none where the path honours keys and the key is known."""
        with self.lock:
            effect = path != "/keep" or key not in self.seen
            self.seen.add(key)
            self.file.note(path, key, effect)
            return effect


def serve(listener: socket.socket, path: Path) -> None:
    """The server, until it is killed."""
    effects = Effects(path)
    chance = random.Random(str(path))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            time.sleep(chance.uniform(0, SLOW_SECONDS))
            effects.arrived(self.path, self.headers.get(KEY, ""))
            time.sleep(chance.uniform(0, SLOW_SECONDS))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # whoever asked was killed
                super().handle()

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    server = Server(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


# ---- what is killed --------------------------------------------------------------------------------------------------


def interpret(
    path: Path, site: str, tls: ssl.SSLContext, seed: int | None, lease_seconds: float = LEASE_SECONDS
) -> tuple[Store, Callable[[], None]]:
    """An interpreter with its connectors, and with a seed a client that starts processes -> what stops it."""
    store = open_store(path, create=False)
    interpreter = Interpreter(store, Config(lease_ms=2000))
    interpreter.start()
    settings = HttpSettings(allow=("127.0.0.1",), lease_seconds=lease_seconds)
    connector = HttpRequestConnector(store, settings, tls=tls)
    connector.start()
    commands = ShellSettings(commands=("sh",), directories=(str(path.parent),), lease_seconds=lease_seconds)
    shell = ShellConnector(store, commands)
    shell.start()
    if seed is not None:
        begin(store, site, random.Random(seed))

    def stop() -> None:
        connector.stop()
        shell.stop()
        interpreter.stop()
        store.close()

    return store, stop


def begin(store: Store, site: str, chance: random.Random) -> None:
    """Starts processes for ever, so that some live at any time."""
    kinds = [kind for kind, weight in KINDS.items() for _ in range(weight)]
    while True:
        if store.living() < LIVING_MAX + store.stats()["processes"]["paused"]:
            arguments = encode_value(Vector.of([site, chance.randint(1, 3)]))
            store.submit([Start(f"outside/{chance.choice(kinds)}", arguments, name="outside")]).result(60)
        else:
            time.sleep(0.002)


def work(path: Path) -> None:
    """A worker with foreign functions, until it is killed."""
    worker = Worker(f"lmdb://{path}", lease_seconds=LEASE_SECONDS)

    def ask(where: str, site: str, context: Any) -> None:
        host, _, port = site.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("POST", where, b"", {KEY: context.idempotency_key})
        connection.getresponse().read()
        connection.close()

    @worker.function("foreign/keep")
    def keep(payload: Any, context: Any) -> None:
        ask("/keep", payload, context)

    @worker.function("foreign/once")
    def once(payload: Any, context: Any) -> None:
        ask("/once", payload, context)

    worker.start()
    signal.pause()


def finish(path: Path, site: str, tls: ssl.SSLContext, seconds: float = 60.0) -> None:
    """Goes on without kills until everything has ended, or waits for a person."""
    # Leases are short so that what a kill took is soon tried again; on a busy machine such a short one always runs out.
    store, stop = interpret(path, site, tls, None, PATIENCE_SECONDS)
    give_up = time.monotonic() + seconds
    while living := store.processes(limit=1000, statuses=("ready", "waiting")):
        assert time.monotonic() < give_up, f"{len(living)} processes are stuck: {living[:3]}"
        time.sleep(0.01)
    stop()


# ---- what must hold --------------------------------------------------------------------------------------------------


def check(store: Store, arrived: list[list[Any]], ended: bool) -> dict[str, Any]:
    """What is wrong, and counts.  `arrived`: the lines of Effects."""
    wrong: list[str] = []
    effects: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for path, key, effect in arrived:
        requests[key] += path != DONE
        effects[key] += effect
    known: set[str] = set()
    counts: Counter[str] = Counter()
    for record in all_processes(store):
        kind = record.function.partition("/")[2]
        keys: dict[int, str] = {}
        answered: dict[int, bool] = {}
        for entry in entries_from(store, record.pid, 0):
            event = decode_event(entry.event) if entry.part == 0 else None
            if isinstance(event, Requested) and event.effect in OUTSIDE:
                counts[event.effect.partition("/")[0]] += 1
                keys[event.number] = event.key or f"{store.id}-{record.pid}-{event.number}"
            elif isinstance(event, (Answered, AnsweredError)) and event.number in keys:
                answered[event.number] = isinstance(event, Answered)
        for number, key in keys.items():
            if key in known:
                wrong.append(f"process {record.pid}: the key {key} was used before")
            known.add(key)
            counts["keys"] += 1
            most = 1
            least = int(answered.get(number, False))
            if not least <= effects[key] <= most:
                wrong.append(f"process {record.pid}, {kind}: {key} had {effects[key]} effects, not {least} to {most}")
            if kind not in REPEATABLE and requests[key] > 1:
                wrong.append(f"process {record.pid}, {kind}: {key} was tried {requests[key]} times")
            counts["repeats"] += max(0, requests[key] - 1)
        if not ended:
            continue
        if record.status == "paused":
            counts["asked"] += 1
            if kind != "asking":
                wrong.append(f"process {record.pid}, {kind}, is paused: {record.error}")
        elif record.status != "done" or record.status not in FINAL_STATUSES:
            wrong.append(f"process {record.pid}, {kind}, is {record.status}: {record.error}")
        else:
            result = store.result(record.pid)
            counts["lost"] += kind not in REPEATABLE and result is not None and str(decode_value(result)) == ":lost"
    wrong += [f"{key} had an effect, and no log knows of it" for key in effects.keys() - known]
    counts["effects"] += sum(effects.values())
    return {"wrong": wrong[:20], **counts}


def arrivals(folder: Path) -> list[list[Any]]:
    """What arrived at the server, and the effects of commands."""
    lines = [json.loads(line) for line in (folder / "arrived").read_bytes().splitlines()]
    return [*lines, *([DONE, one.name, True] for one in (folder / EFFECTS).iterdir())]


# ---- the campaign ----------------------------------------------------------------------------------------------------


class Stage:
    """One store, its server, and those that are killed."""

    def __init__(self, folder: Path, artifact: bytes, tls: ssl.SSLContext, chance: random.Random, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.path, self.log = self.folder / "store", self.folder / "log"
        self.arrived = Acknowledged(self.folder / "arrived")
        self.chance, self.tls = chance, tls
        self.kills: Counter[str] = Counter()
        run(partial(make, self.path, artifact), self.log)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.site = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = fork(partial(serve, listener, self.folder / "arrived"), self.log)
        listener.close()
        self.living: dict[str, Forked] = {}
        self.children = [self.server]

    def fill(self) -> None:
        """Starts what is missing."""
        for name in ("interpreter", "worker"):
            if name not in self.living:
                self.living[name] = fork(partial(self._live, name, self.chance.randrange(1 << 32)), self.log)
                self.children.append(self.living[name])

    def _live(self, name: str, seed: int) -> None:
        if name == "worker":
            work(self.path)
        else:
            interpret(self.path, self.site, self.tls, seed)

    def disturb(self) -> None:
        """One kill, or one of both."""
        self.fill()
        if self.chance.random() < 0.7:
            self.wait()
        time.sleep(self.chance.uniform(0, WINDOW_SECONDS))
        for name in self.chance.choice((["interpreter"], ["interpreter"], ["worker"], ["worker", "interpreter"])):
            self.kill(name)

    def wait(self) -> None:
        """Until something more has arrived at the server."""
        until_grown(self.arrived, (*self.living.values(), self.server), PATIENCE_SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        child = self.living.pop(name)
        child.check_alive()
        child.kill()
        self.children.remove(child)
        self.kills[name] += 1

    def finish(self) -> dict[str, int]:
        """Goes on without kills to the end, and looks; AssertionError where something is wrong."""
        self.fill()
        self.living.pop("interpreter").kill()
        run(partial(finish, self.path, self.site, self.tls), self.log)
        self.living.pop("worker").kill()

        def look() -> dict[str, Any]:
            store = open_store(self.path, create=False)
            found = check(store, arrivals(self.folder), ended=True)
            store.close()
            return found

        found = counted(run(look, self.log))
        self.server.kill()
        self.arrived.close()
        shutil.rmtree(self.folder)
        return found


def make(path: Path, artifact: bytes) -> None:
    """A store with the program."""
    (path.parent / EFFECTS).mkdir()
    (path.parent / "act.sh").write_text(COMMAND)
    store = open_store(path)
    deploy(store, artifact, "outside")
    store.close()


def campaign(kills: int, seed: int, folder: Path, jobs: int = 2) -> Counter[str]:
    """The figures of a run with `jobs` stores at a time; AssertionError where anything that must hold does not."""
    artifact = build_artifact({"outside.fm": PROGRAM}).data
    tls = ssl.create_default_context()  # made once, as reading the system's certificates takes long
    return in_lines(partial(use, seed, folder, artifact, tls), "kills", kills, folder, jobs)


def use(seed: int, folder: Path, artifact: bytes, tls: ssl.SSLContext, number: int, most: int) -> Counter[str]:
    """The kills of one store, which has a seed of its own."""
    stage = Stage(folder, artifact, tls, random.Random(f"{seed}/{number}"), f"store{number}")
    with killed_at_end(stage.children):
        while stage.kills.total() < min(KILLS_OF_STORE, most):
            stage.disturb()
        total = Counter(stage.finish())
    total["kills"] = stage.kills.total()
    total.update(stage.kills)
    return total


def figures(total: Counter[str]) -> str:
    """One line."""
    return (
        f"{total['kills']:,} kills ({total['interpreter']:,} of interpreter and connector, {total['worker']:,} of a "
        f"worker), {total['keys']:,} idempotency keys ({total['http']:,} HTTP requests, {total['foreign']:,} foreign "
        f"functions, {total['shell']:,} commands): each had one effect; {total['repeats']:,} repeats, which the "
        f"receiver knew by their key; {total['lost']:,} unknown outcomes given as :lost and {total['asked']:,} to a "
        f"person, none of them tried twice; no effect without a log"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    def run_all(kills: int, seed: int, folder: Path, jobs: int) -> str:
        return figures(campaign(kills, seed, folder, jobs))

    text = "kill -9 around what programs do outside."
    return command("tests.crash.outside", text, "kills", 5_000, run_all, arguments, jobs=2)


if __name__ == "__main__":
    sys.exit(main())
