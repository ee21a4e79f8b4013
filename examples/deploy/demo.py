"""`make demo`: a push is built, approved and deployed while the interpreter is killed three times.

Real parts only: `flowvm serve` in a process of its own, a build service and a worker in others, curl as the sender of
a signed webhook.  The interpreter gets SIGKILL while the program waits for the build, while it sleeps, and between
approval and deploy; it is started again each time.  At the end: a timeline, the result, and what the build service saw.
"""

import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
SECRET = "demo-secret"
COMMIT = "4b3c2f67d1e8a09b5c6d7e8f90a1b2c3d4e5f607"
PORTS = (8700, 8701)
DEADLINE_SECONDS = 85


class Demo:
    """The processes of the demo and what happened to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "store")
        self.journal = folder / "journal.jsonl"
        self.journal.touch()
        self.started = time.time()
        self.interpreter: subprocess.Popen[bytes] | None = None
        self.children: list[subprocess.Popen[bytes]] = []
        self.notes: list[tuple[float, str, str]] = []
        self.environment = {**os.environ, "DEPLOY_GITHUB_SECRET": SECRET, "PYTHONUNBUFFERED": "1"}

    def note(self, who: str, text: str, at: float | None = None) -> None:
        """A line of the timeline, printed at once too."""
        moment = time.time() if at is None else at
        self.notes.append((moment, who, text))
        print(f"  {moment - self.started:6.2f}s  {text}", flush=True)

    def background(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{Path(command[1]).stem}.log").open("ab")
        # In a session of its own: Ctrl-C comes to this process alone, which ends the others.
        child = subprocess.Popen(
            command, cwd=HERE, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        self.children.append(child)
        return child

    def flowvm(self, *arguments: str) -> str:
        """Runs `flowvm` against the store and gives what it prints."""
        command = [str(BIN / "flowvm"), *arguments, "--store", self.store]
        done = subprocess.run(command, cwd=HERE, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"demo: {' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stdout

    def serve(self) -> None:
        """Starts the interpreter and waits until it answers."""
        self.interpreter = self.background(str(BIN / "flowvm"), "serve", "--store", self.store)
        self.until("the interpreter answers", self.healthy)

    def healthy(self) -> bool:
        assert self.interpreter is not None
        if self.interpreter.poll() is not None:
            raise SystemExit(f"demo: flowvm serve ended; see {self.folder / 'serve.log'}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORTS[0]}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self, why: str) -> None:
        """SIGKILL, a moment of silence, and a new interpreter."""
        assert self.interpreter is not None
        self.interpreter.send_signal(signal.SIGKILL)
        self.interpreter.wait()
        self.note("demo", f"kill -9 of the interpreter {why}")
        time.sleep(0.5)
        self.serve()
        self.note("demo", "the interpreter is back")

    def until(self, what: str, check: Callable[[], Any]) -> Any:
        """Waits for something to hold and gives it."""
        while time.time() - self.started < DEADLINE_SECONDS:
            found = check()
            if found:
                return found
            time.sleep(0.02)
        raise SystemExit(f"demo: waited too long until {what}; logs are in {self.folder}")

    def seen(self, **wanted: str) -> list[dict[str, Any]]:
        """Lines of the journal that have these fields."""
        lines = [json.loads(line) for line in self.journal.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]

    def close(self) -> None:
        """Ends every process that was started; one that does not end when it is asked to is killed."""
        for process in self.children:
            if process.poll() is None:
                process.terminate()
        for process in self.children:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Interrupted(BaseException):
    """SIGINT or SIGTERM came; `code` is how the demo ends then."""

    def __init__(self, code: int) -> None:
        self.code = code


def interrupt(number: int, frame: Any) -> None:
    """Handler of both signals: the first interrupts, and what comes while everything is ended is ignored."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(128 + number)


def main() -> None:
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise SystemExit(f"demo: port {port} is in use; the demo needs {PORTS[0]} and {PORTS[1]}") from None
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-demo-"))
    demo = Demo(folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    code = 0
    try:
        run(demo)
    except Interrupted as interrupted:
        code = interrupted.code
    finally:
        demo.close()
    shutil.rmtree(folder)
    if code:
        print("demo: interrupted; everything is ended", file=sys.stderr)
        sys.exit(code)


def run(demo: Demo) -> None:
    artifact = demo.folder / "deploy.fmc"
    subprocess.run([str(BIN / "flowc"), "build", "deploy.fm", "-o", str(artifact)], cwd=HERE, check=True)
    demo.flowvm("deploy", str(artifact))
    print("\nWhat happens:\n")
    demo.note("demo", "deploy.fm is compiled to deploy.fmc and put into the store")
    demo.background(sys.executable, "build_service.py", str(PORTS[1]), str(demo.journal))
    demo.background(sys.executable, "worker.py", demo.store, str(demo.journal))
    demo.serve()
    demo.note("demo", "interpreter, build service and worker run, each in a process of its own")

    answer = push()
    pid = str(answer["process"])
    demo.note("curl", f"curl sent a signed push; the answer was 202, process {pid}")

    demo.until("the build is asked for", lambda: demo.seen(kind="effect", path="/builds"))
    waiting_for(demo, pid, "http/callback")
    demo.kill("while the program waits for the build")
    print(f"\n    $ flowvm inspect {pid}\n{indent(demo.flowvm('inspect', pid))}")
    waiting_for(demo, pid, "sleep")
    demo.kill("while the program sleeps")
    demo.until("the approval is given", lambda: approved(demo))
    demo.kill("between approval and deploy")

    result = demo.flowvm("result", pid, "--wait", "60")
    demo.note("demo", "the program has ended")
    timeline(demo, pid)
    print(f"\nResult of process {pid}:\n\n{indent(result)}")
    effects(demo)


def approved(demo: Demo) -> bool:
    """Whether the callback with the approval was accepted."""
    return any("approved" in line["body"] for line in demo.seen(kind="callback"))


def waiting_for(demo: Demo, pid: str, what: str) -> None:
    """Waits until the program waits for `what`, as the HTTP API says."""

    def check() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORTS[0]}/v1/processes/{pid}", timeout=5) as answer:
                return str(json.load(answer)["waits"]).startswith(what)
        except OSError:
            return False

    demo.until(f"the program waits for {what}", check)


def push() -> dict[str, Any]:
    """Sends the push as GitHub does: the raw body signed with the shared secret.  With curl where there is one."""
    body = json.dumps({"ref": "refs/heads/main", "after": COMMIT, "repository": {"full_name": "example/app"}}).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    url = f"http://127.0.0.1:{PORTS[0]}/endpoints/github"
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": signature,
    }
    curl = shutil.which("curl")
    if curl is None:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return dict(json.load(answer))
    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [curl, "-sS", "--fail-with-body", "-X", "POST", url, *lines, "--data-binary", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"demo: the push was refused: {done.stdout.decode()} {done.stderr.decode()}")
    return dict(json.loads(done.stdout))


def timeline(demo: Demo, pid: str) -> None:
    """Everything in one order: the program's log, the build service's journal, and the kills."""
    lines = [(moment, who, text) for moment, who, text in demo.notes]
    for event in json.loads(demo.flowvm("history", pid, "--json"))["events"]:
        lines.append((datetime.fromisoformat(event["time"]).timestamp(), "program", event["text"]))
    for fact in demo.seen():
        words = {
            "failed": "answers 503 to {path}",
            "effect": "does {path} (key {key})",
            "repeated": "is asked for {path} again (key {key}) and does nothing",
            "callback": "calls back: {status}",
            "callback-refused": "calls back and is refused: {status}",
        }[fact["kind"]]
        who = "worker" if fact.get("path") == "notify/send" else "service"
        lines.append((fact["time"], who, words.format(**fact)))
    print("\nTimeline:\n")
    for moment, who, text in sorted(lines, key=lambda line: line[0]):
        print(f"  {moment - demo.started:6.2f}s  {who:8s} {text if len(text) <= 110 else text[:109] + '…'}")


def effects(demo: Demo) -> None:
    """Checks that each outside effect was seen once per idempotency key."""
    print("\nOutside effects, by idempotency key:\n")
    seen: dict[tuple[str, str], int] = {}
    for fact in demo.seen(kind="effect"):
        seen[fact["path"], fact["key"]] = seen.get((fact["path"], fact["key"]), 0) + 1
    for (path, key), count in seen.items():
        again = len(demo.seen(kind="repeated", path=path, key=key))
        print(f"  {path:12s} {key:46s} done {count} time{'s' if count != 1 else ''}, asked again {again} times")
    paths = sorted(path for path, _ in seen)
    if paths != ["/approvals", "/builds", "/deploys", "notify/send"] or any(
        count != 1 for (path, _), count in seen.items() if path != "notify/send"
    ):
        raise SystemExit("demo: FAILED: an effect is missing, or was done twice")
    print(
        "\nThe build service did everything once.  "
        "notify/send is at least once: a worker that dies in the middle is replaced."
    )
    print(f"{time.time() - demo.started:.0f} seconds.")


def indent(text: str) -> str:
    return "\n".join("    " + line for line in text.rstrip().splitlines()) + "\n"


if __name__ == "__main__":
    main()
