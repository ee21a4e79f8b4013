"""A site for crash tests: interpreter, build service and worker as processes of their own around one store.

The example's own files run: deploy.fm with its port replaced and its waits shortened, build_service.py with a small
pace, worker.py with a short lease.  `check` is what must hold at the end, whatever was killed on the way.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowmetal.engine.events import (
    Answered,
    AnsweredError,
    Finished,
    LocalDone,
    Requested,
    Started,
    TimerFired,
    decode_event,
)
from flowmetal.inspect import history
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES, Store
from flowmetal.values import decode_value, to_python

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "deploy"
SECRET = "crash-secret"
COMMIT = "4b3c2f67d1e8a09b5c6d7e8f90a1b2c3d4e5f607"
PACE = 0.05
#: A run that takes longer has lost something.
RUN_SECONDS = 60.0
#: Outside effects and the steps that have them.
EFFECTS = {"/builds": 3, "notify/send": 5, "/approvals": 8, "/deploys": 10}
#: What the program does, in order; a step's request number is its place, from 1.
STEPS = [
    *("http/callback", "http/callback-url", "http/request", "sleep", "notify/send"),
    *("http/callback", "http/callback-url", "http/request", "sleep", "http/request"),
]
RESULT = {
    "commit": COMMIT,
    "deployed": True,
    "artifact": f"registry/app:{COMMIT[:7]}",
    "approved-by": "ada",
    "deploy": "deploy-1",
}

_taken_ports: set[int] = set()
_ports_lock = threading.Lock()


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections: it stays free while
    the interpreter is down."""
    chance = random.Random()
    while True:
        port = chance.randrange(15_000, 32_000)
        with _ports_lock, socket.socket() as probe:
            if port in _taken_ports:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _taken_ports.add(port)
            return port


def environment(**more: str) -> dict[str, str]:
    """The environment of the processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWMETAL_")}
    return {**kept, "DEPLOY_GITHUB_SECRET": SECRET, "PYTHONUNBUFFERED": "1", **more}


def until(
    what: str, check: Callable[[], Any], seconds: float = RUN_SECONDS, details: Callable[[], str] = lambda: ""
) -> Any:
    """What `check` gives once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}\n{details()}"
        time.sleep(0.01)


class Launcher:
    """The process that forks the others; see launcher.py.  For one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.launcher"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: dict[str, Any]) -> Any:
        """Sends an order and gives the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def start(
        self,
        *command: str,
        folder: Path,
        log: Path,
        env: dict[str, str],
        out: Path | None = None,
        file_bytes: int | None = None,
    ) -> Child:
        """Starts a process: `flowvm ...`, `flowc ...`, or a script; see launcher.py."""
        order = {"start": list(command), "folder": str(folder), "environment": env, "log": str(log)}
        more = {"out": None if out is None else str(out), "file_bytes": file_bytes}
        return Child(self, self.ask({**order, **more}), log)

    def close(self) -> None:
        """Ends the launcher; what it started must be over."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass
class Child:
    """A process that runs or ran.  `code` once it is over."""

    launcher: Launcher
    pid: int
    log: Path
    code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.code is None:
            self.code = self.launcher.ask({"poll": self.pid})
        return self.code

    def send(self, number: int) -> None:
        """A signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code."""
        until(f"process {self.pid} ends", lambda: self.poll() is not None, seconds)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.send(signal.SIGKILL)
        self.wait()


class Site:
    """Ports, a compiled program and a store with it, of which each run gets a fresh copy."""

    def __init__(self, folder: Path, program: str | None = None, name: str = "deploy") -> None:
        """`program`: source of another program than the example's, whose function main the endpoint starts."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.launcher = Launcher()
        self.port, self.service_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.source = folder / f"{name}.fm"
        self.source.write_text(self._program() if program is None else program)
        self.config = folder / "flowmetal.toml"
        self.config.write_text(self._settings())
        self.worker_script = folder / "worker.py"
        self.worker_script.write_text(
            replaced((EXAMPLE / "worker.py").read_text(), 'name="notifier"', 'name="notifier", lease_seconds=0.6')
        )
        self.template = folder / "template"
        flowvm("deploy", str(self.source), "--store", str(self.template), folder=folder)

    def _program(self) -> str:
        text = replaced((EXAMPLE / "deploy.fm").read_text(), "127.0.0.1:8701", f"127.0.0.1:{self.service_port}")
        text, sleeps = re.subn(r"\(sleep \d+s\)", "(sleep 80ms)", text)
        assert sleeps == 2
        text = replaced(text, ":backoff 200ms", ":backoff 40ms")
        return replaced(replaced(text, ":max-delay 2s", ":max-delay 300ms"), ":timeout 20s", ":timeout 2m")

    def _settings(self) -> str:
        text = (EXAMPLE / "flowmetal.toml").read_text()
        text = replaced(text, "8700", str(self.port))
        text = replaced(text, "8701", str(self.service_port))
        text = replaced(text, "deploy/main", f"{self.name}/main")
        return replaced(text, "[http]\n", "[http]\nlease_seconds = 0.6\n")

    def close(self) -> None:
        """Ends the launcher."""
        self.launcher.close()


def replaced(text: str, old: str, new: str) -> str:
    """`text` with `old` replaced, which must be there."""
    assert old in text, f"the example has no {old!r} any more"
    return text.replace(old, new)


def flowvm(*arguments: str, folder: Path) -> str:
    """Runs the real command and gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "flowmetal.cli.flowvm", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"flowvm {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def push(url: str, delivery: str, timeout: float = 10.0, size: int = 0) -> tuple[int, dict[str, Any]]:
    """Sends one signed push to an interpreter: (status, document); status 0 where no answer came.

    `size`: bytes that the body has more than it needs.
    """
    body = json.dumps(
        {"ref": "refs/heads/main", "after": COMMIT, "repository": {"full_name": "example/app"}, "more": "x" * size}
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/endpoints/github", body, headers), timeout=timeout
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        problem.close()
        return problem.code, {}
    except (OSError, ValueError, EOFError):
        return 0, {}
    except Exception as problem:  # http.client's own errors: the answer was cut
        assert type(problem).__module__ == "http.client", problem
        return 0, {}


@dataclass
class Run:
    """One run of the program on a fresh store: processes, the sender, and what they saw."""

    site: Site
    name: str
    worker_at: str = "store"  # "store": the worker opens the folder, and may come to own it; "server": by HTTP
    delivery: str = ""
    folder: Path = field(init=False)
    store_path: Path = field(init=False)
    journal: Path = field(init=False)
    children: dict[str, Child] = field(default_factory=dict)
    attempts: list[int] = field(default_factory=list)  # statuses that the sender got, in order
    accepted: int = 0  # the process that the first 2xx named
    kills: dict[str, int] = field(default_factory=lambda: {"interpreter": 0, "worker": 0})
    at_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        self.folder = self.site.folder / self.name
        self.folder.mkdir()
        self.store_path = self.folder / "store"
        shutil.copytree(self.site.template, self.store_path)
        self.journal = self.folder / "journal.jsonl"
        self.journal.touch()
        self.delivery = self.delivery or f"delivery-{self.name}"
        self._stop = threading.Event()
        self._sender: threading.Thread | None = None

    # ---- processes

    def background(self, *command: str, log: str, **more: str) -> Child:
        """Starts a process of this run."""
        return self.site.launcher.start(
            *command, folder=self.site.folder, log=self.folder / f"{log}.log", env=environment(**more)
        )

    def start(self, name: str, **more: str) -> Child:
        """Starts "interpreter", "worker" or "service"; does not wait for it.  `more`: environment variables."""
        old = self.children.get(name)
        assert old is None or old.code is not None
        at = str(self.store_path) if self.worker_at == "store" else self.site.url
        command = {
            "interpreter": ("flowvm", "serve", "--store", str(self.store_path)),
            "worker": (str(self.site.worker_script), at, str(self.journal)),
            "service": (str(EXAMPLE / "build_service.py"), str(self.site.service_port), str(self.journal), str(PACE)),
        }[name]
        self.children[name] = self.background(*command, log=name, **more)
        return self.children[name]

    def start_all(self, **more: str) -> None:
        """Interpreter (with these environment variables), build service, worker and sender."""
        self.start("interpreter", **more)
        self.start("service")
        self.start("worker")
        self.start_sender()

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.children[name].kill()
        self.kills[name] += 1

    def owner(self) -> str:
        """Who owns the store: the name of a process, or "" where nobody seems to."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = json.loads((self.store_path / "owner.lock").read_text())["pid"]
            return next(
                (name for name, child in self.children.items() if child.pid == pid and child.poll() is None), ""
            )
        return ""

    def start_sender(self) -> None:
        """Sends the push, the same delivery again and again until it is accepted, in a thread."""
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def _send(self) -> None:
        while not self._stop.is_set():
            status, document = push(self.site.url, self.delivery)
            self.attempts.append(status)
            if 200 <= status < 300:
                self.accepted = int(document["process"])
                return
            self._stop.wait(0.02)

    # ---- looking

    def open(self) -> contextlib.closing[Store]:
        """The store, for reading."""
        return contextlib.closing(open_store(self.store_path, create=False))

    def facts(self) -> list[dict[str, Any]]:
        """The journal of build service and worker."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def over(self, store: Store) -> bool:
        """Whether the push was accepted and its process has come to an end."""
        records = store.processes(limit=2)
        return bool(self.accepted) and bool(records) and records[0].status in (*FINAL_STATUSES, "paused")

    def revive(self, start: Callable[[str], object] | None = None) -> None:
        """Starts again, by `start`, what fail points have killed; anything else that has ended is a failure."""
        for name, child in list(self.children.items()):
            code = child.poll()
            if code is not None:
                assert code == -signal.SIGKILL and name in self.kills, f"{name} ended with {code}; {self.tail()}"
                self.kills[name] += 1
                (start or self.start)(name)

    def until_done(self, start: Callable[[str], object] | None = None, seconds: float = RUN_SECONDS) -> None:
        """Waits until the process is over, reviving."""
        with self.open() as store:

            def look() -> bool:
                self.revive(start)
                return self.over(store)

            until(f"run {self.name} is over", look, seconds, self.tail)

    def tail(self) -> str:
        """How far it has come, and the end of the logs."""
        parts = [f"attempts {self.attempts[-5:]}, kills {self.kills}"]
        with self.open() as store:
            for record in store.processes():
                parts += [str(record), history(store, record.pid).to_text(), str(store.open_requests(record.pid))]
        parts += [f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log"))]
        return "\n".join([*parts, self.journal.read_text()])

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Kills what runs; removes the folder if all went well."""
        self._stop.set()
        self.at_end.close()
        for child in self.children.values():
            child.kill()
        if self._sender is not None:
            self._sender.join(15)
        if kind is None:
            shutil.rmtree(self.folder)

    # ---- what must hold

    def check(self) -> None:
        """The promises: result, log, steps, effects, sender.  The interpreter runs."""
        try:
            self._check()
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.tail()}") from failed

    def _check(self) -> None:
        # The sender repeats a delivery that was accepted: it is known, and starts nothing.
        assert until("a delivery is known", self._push_again, 60) == self.accepted
        with self.open() as store:
            records = store.processes()
            assert len(records) == 1, f"{len(records)} processes of one delivery"
            record = records[0]
            assert record.pid == self.accepted
            assert record.id == f"endpoint:github:{self.delivery}"
            assert record.status == "done", f"{record.status}: {record.error}"
            said = store.result(record.pid)
            assert said is not None and to_python(decode_value(said)) == RESULT
            check_log(store, record.pid, record.sequence)
            assert store.open_requests(record.pid) == [] and store.inbox(record.pid) == []
            check_effects(self.facts(), store, record.pid)
        assert all(status in (0, 503) or 200 <= status < 300 for status in self.attempts), self.attempts

    def _push_again(self) -> int:
        """The process of the delivery; 0 where nobody answers (a fail point may be met this late)."""
        self.revive()
        status, document = push(self.site.url, self.delivery)
        assert status in (0, 200), f"a known delivery got {status}"
        return int(document["process"]) if status == 200 else 0


def check_log(store: Store, pid: int, length: int) -> None:
    """Numbers 0 to length - 1 without gap or double; each step of the program once and answered once; one end."""
    entries = [entry for entry in store.log(pid, 0, 100_000) if entry.part == 0]
    assert [entry.sequence for entry in entries] == list(range(length))
    events = [decode_event(entry.event) for entry in entries]
    steps = [(event.number, event.effect) for event in events if isinstance(event, (Requested, LocalDone))]
    assert steps == list(enumerate(STEPS, 1)), steps
    settled = [event.number for event in events if isinstance(event, (Answered, AnsweredError, LocalDone, TimerFired))]
    assert sorted(settled) == list(range(1, len(STEPS) + 1)), f"answered: {settled}"
    assert [isinstance(event, Started) for event in events] == [True] + [False] * (length - 1)
    assert [isinstance(event, Finished) for event in events] == [False] * (length - 1) + [True]


def check_effects(facts: list[dict[str, Any]], store: Store, pid: int) -> None:
    """The four effects that the program has, each once, under the one key of its step."""
    wanted = {path: f"{store.id}-{pid}-{number}" for path, number in EFFECTS.items()}
    asked = [(fact["path"], fact["key"]) for fact in facts if "key" in fact]
    assert set(asked) == set(wanted.items()), asked
    effects = [(fact["path"], fact["key"]) for fact in facts if fact["kind"] == "effect"]
    assert sorted(effects) == sorted(wanted.items()), f"an effect twice, or none: {Counter(effects)}"
