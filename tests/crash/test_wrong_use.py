"""Wrong use and bad surroundings: a message of the catalogue, the right exit code, no traceback, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowmetal import Worker, connect
from flowmetal.cli import common
from flowmetal.client.base import Client
from flowmetal.engine.events import LocalDone, decode_event
from flowmetal.store import open_store
from flowmetal.store.codec import encode_about
from flowmetal.store.interface import Post
from flowmetal.store.layout import FORMAT
from flowmetal.store.lmdb_files import ENGINE
from flowmetal.values import decode_value
from tests.crash.site import ROOT, Child, Launcher, environment, free_port, push, until
from tests.store.test_opening import rewrite_about

PROGRAM = """
(ns p)
(defeffect odd/job "Answers oddly." [what])
(defn main [push] (:delivery push))
(defn add [a b] (+ a b))
(defn addition [a b] (+ a b))
(defn function [] (fn [x] x))
(defn broken [] (throw (error :p/broken "it broke")))
(defn odd [what] (odd/job what))
(defn wait []
  (let [callback (http/callback)]
    (log (:url callback))
    (await (:promise callback))))
"""
SETTINGS = """
[serve]
port = {port}
[endpoints.github]
scheme = "github"
secret_env = "DEPLOY_GITHUB_SECRET"
start = "p/main"
"""


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: str
    error: str


class Desk:
    """A folder with a program and a store, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = Launcher()
        self.running: list[Child] = []
        self.clients: list[Client] = []
        (folder / "p.fm").write_text(PROGRAM)
        assert self.run("flowc", "build", "p.fm").code == 0
        assert self.run("flowvm", "deploy", "p.fmc", "--grant", "all", "--store", "store").code == 0
        self.artifact = (folder / "p.fmc").read_bytes()

    def run(self, *command: str, **more: Any) -> Ended:
        """Runs `flowvm ...` or `flowc ...` to its end; there must be no traceback."""
        out, error = self.folder / "out", self.folder / "error"
        error.unlink(missing_ok=True)
        child = self.launcher.start(*command, folder=self.folder, log=error, out=out, env=environment(), **more)
        code = child.wait(60)
        ended = Ended(code, out.read_text(), error.read_text())
        assert "Traceback" not in ended.error + ended.out, ended
        return ended

    def refused(self, code: str, exit_code: int, *command: str, **more: Any) -> Ended:
        """Runs a command that must end with this code of the catalogue, and this exit code, and say nothing else."""
        ended = self.run(*command, **more)
        assert re.findall(r"-- [A-Z ,]+ -+ \[([A-Z]\d+)\]", ended.error) == [code], ended
        assert ended.code == exit_code and ended.out == "", ended
        return ended

    def serve(self, store: str = "store", **more: Any) -> str:
        """Starts `flowvm serve`; its address."""
        port = free_port()
        (self.folder / "serve.toml").write_text(SETTINGS.format(port=port))
        child = self.launcher.start(
            *("flowvm", "serve", "--store", store, "--config", "serve.toml"),
            folder=self.folder, log=self.folder / "serve.log", env=environment(), **more,
        )  # fmt: skip
        self.running.append(child)
        url = f"http://127.0.0.1:{port}"

        def healthy() -> bool:
            assert child.poll() is None, (self.folder / "serve.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
            return False

        until("it serves", healthy, 60)
        return url

    def client(self, url: str) -> Client:
        """A client of what serves."""
        self.clients.append(connect(url))
        return self.clients[-1]

    def stop(self) -> None:
        """SIGTERM to what serves; it must end well and have had no traceback."""
        while self.clients:
            self.clients.pop().close()
        while self.running:
            child = self.running.pop()
            child.send(15)
            assert child.wait() == 0
            assert "Traceback" not in child.log.read_text(), child.log.read_text()

    def close(self) -> None:
        for child in self.running:
            child.kill()
        self.launcher.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("wrong"))
    yield made
    made.close()


@pytest.fixture
def fresh(desk: Desk, tmp_path: Path) -> Path:
    """A copy of the store."""
    shutil.copytree(desk.folder / "store", tmp_path / "store")
    return tmp_path / "store"


def deliver(url: str, body: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.load(problem)


# ---- artifacts -------------------------------------------------------------------------------------------------------


def damaged(data: bytes) -> dict[str, tuple[str, bytes]]:
    """Files that are no good: what is wrong -> (code, bytes)."""
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    return {
        "truncated": ("B004", data[: len(data) // 2]),
        "flipped": ("B004", bytes(flipped)),
        "longer": ("B004", data + b"x"),
        "empty": ("B001", b""),
        "text": ("B001", b"(ns p)\n" * 20),
        "other-format": ("B002", data[:4] + bytes([data[4] + 1]) + data[5:]),
    }


@pytest.mark.parametrize("what", ["truncated", "flipped", "longer", "empty", "text", "other-format"])
def test_a_bad_artifact(desk: Desk, what: str) -> None:
    code, data = damaged(desk.artifact)[what]
    (desk.folder / "bad.fmc").write_bytes(data)
    desk.refused(code, common.FAILED, "flowvm", "deploy", "bad.fmc", "--store", "store")
    desk.refused(code, common.FAILED, "flowc", "check", "bad.fmc")
    desk.refused(code, common.FAILED, "flowc", "disasm", "bad.fmc")
    desk.refused(code, common.FAILED, "flowvm", "run", "bad.fmc")
    listed = desk.run("flowvm", "programs", "--store", "store", "--json")
    assert list(json.loads(listed.out)["programs"]) == ["p"]


def test_an_artifact_that_is_not_there(desk: Desk) -> None:
    desk.refused("U101", common.NOT_FOUND, "flowvm", "deploy", "nothing.fmc", "--store", "store")
    desk.refused("U101", common.NOT_FOUND, "flowc", "check", "nothing.fmc")


def test_bad_source(desk: Desk) -> None:
    (desk.folder / "bad.fm").write_text("(ns bad)\n(defn main [] (prinln 1 2)\n")
    for command in (("flowc", "build"), ("flowc", "check"), ("flowvm", "deploy"), ("flowvm", "run")):
        ended = desk.run(*command, "bad.fm", *(("--store", "store") if command[1] == "deploy" else ()))
        assert ended.code == common.FAILED and re.search(r"\[[RA]\d+\]", ended.error), ended
    assert not (desk.folder / "bad.fmc").exists() or (desk.folder / "bad.fmc").read_bytes() != desk.artifact


# ---- starting --------------------------------------------------------------------------------------------------------


def test_a_function_that_is_not_there(desk: Desk) -> None:
    ended = desk.refused("B014", common.NOT_FOUND, "flowvm", "start", "p/ad", "--store", "store")
    assert "Did you mean `add`?" in ended.error
    desk.refused("H511", common.NOT_FOUND, "flowvm", "start", "q/main", "--store", "store")
    desk.refused("B016", common.USAGE, "flowvm", "start", "p/add", "-a", "1", "--store", "store")
    desk.refused("H513", common.USAGE, "flowvm", "start", "main", "--store", "store")
    with closing(open_store(desk.folder / "store", create=False)) as store:
        assert store.processes() == []


def test_a_function_that_is_not_there_over_http(desk: Desk) -> None:
    url = desk.serve()
    desk.refused("B014", common.NOT_FOUND, "flowvm", "start", "p/ad", "--store", url)
    assert deliver(f"{url}/v1/processes", b'{"function": "p/ad", "args": []}')[0] == 404
    desk.refused("H511", common.NOT_FOUND, "flowvm", "start", "q/main", "--store", url)
    desk.stop()


def test_a_start_that_is_repeated_after_its_function_went(desk: Desk, fresh: Path, tmp_path: Path) -> None:
    """The same id again is the same process, whatever is deployed by now."""
    first = desk.run("flowvm", "start", "p/add", "-a", "1", "-a", "2", "--id", "one", "--store", str(fresh))
    (tmp_path / "p.fm").write_text("(ns p)\n(defn other [] 1)\n")
    assert desk.run("flowvm", "deploy", str(tmp_path / "p.fm"), "--store", str(fresh)).code == 0
    again = desk.run("flowvm", "start", "p/add", "-a", "1", "-a", "2", "--id", "one", "--store", str(fresh))
    assert (again.code, again.out) == (0, first.out)
    desk.refused("H505", common.CONFLICT, "flowvm", "start", "p/other", "--id", "one", "--store", str(fresh))
    desk.refused("B014", common.NOT_FOUND, "flowvm", "start", "p/add", "--id", "two", "--store", str(fresh))


@pytest.mark.parametrize("text", ["{", "NaN", "'x'", "", "[" * 5000 + "]" * 5000, '"\\ud800"'])
def test_arguments_that_are_not_json(desk: Desk, text: str) -> None:
    desk.refused("U102", common.USAGE, "flowvm", "start", "p/add", "-a", "1", "-a", text, "--store", "store")
    desk.refused("U102", common.USAGE, "flowvm", "run", "p.fmc", "add", "-a", text, "-a", "1")


def test_a_process_that_is_not_there(desk: Desk) -> None:
    for command in ("inspect", "history", "result", "cancel", "pause", "resume"):
        for pid, code in (("99", None), ("nobody", "U104")):
            ended = desk.run("flowvm", command, pid, "--store", "store")
            assert ended.code == common.NOT_FOUND and ended.out == "", ended
            assert re.search(r"\[(U104|H504)\]" if code is None else rf"\[{code}\]", ended.error), ended


def test_a_process_that_fails(desk: Desk, fresh: Path) -> None:
    url = desk.serve(str(fresh))
    pid = desk.run("flowvm", "start", "p/broken", "--store", url).out.strip()
    desk.refused("H508", common.PROGRAM_FAILED, "flowvm", "result", pid, "--wait", "60", "--store", url)
    ended = desk.run("flowvm", "result", pid, "--store", url, "--json")
    assert ended.code == common.PROGRAM_FAILED and json.loads(ended.out)["error"]["kind"] == "p/broken"
    desk.refused("U106", common.FAILED, "flowvm", "cancel", pid, "--store", url)
    waiting = desk.run("flowvm", "start", "p/wait", "--store", url).out.strip()
    desk.refused("U105", common.TIMED_OUT, "flowvm", "result", waiting, "--store", url)
    assert desk.run("flowvm", "cancel", waiting, "--store", url).code == 0
    desk.refused("H509", common.PROGRAM_FAILED, "flowvm", "result", waiting, "--wait", "60", "--store", url)
    desk.stop()


# ---- stores ----------------------------------------------------------------------------------------------------------

COMMANDS = tuple(
    tuple(command.split()) for command in ("ps", "programs", "start p/function", "result 1", "inspect 1", "cancel 1")
)


def refused_by_all(desk: Desk, code: str, store: str, *more: tuple[str, ...]) -> None:
    for command in (*COMMANDS, *more):
        desk.refused(code, common.NO_STORE, "flowvm", *command, "--store", store)


def test_no_store(desk: Desk, tmp_path: Path) -> None:
    refused_by_all(desk, "S101", str(tmp_path / "nothing"))
    assert os.listdir(tmp_path) == []  # looking makes nothing


def test_a_folder_that_is_not_a_store(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for command in (("deploy", str(desk.folder / "p.fmc")), ("serve",)):
        desk.refused("S102", common.NO_STORE, "flowvm", *command, "--store", str(tmp_path))
    desk.refused("S101", common.NO_STORE, "flowvm", "ps", "--store", str(tmp_path))
    desk.refused("S106", common.NO_STORE, "flowvm", "serve", "--store", str(tmp_path / "notes.txt"))
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_store_of_another_format(desk: Desk, fresh: Path) -> None:
    rewrite_about(fresh, encode_about(FORMAT + 1, ENGINE, "id", 1))
    before = (fresh / "data.mdb").read_bytes()
    refused_by_all(desk, "S103", str(fresh), ("serve",), ("deploy", "p.fmc"))
    assert (fresh / "data.mdb").read_bytes() == before


def test_a_store_cut_short(desk: Desk, fresh: Path) -> None:
    os.truncate(fresh / "data.mdb", 5000)
    refused_by_all(desk, "S108", str(fresh), ("serve",), ("deploy", "p.fmc"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_that_cannot_be_written(desk: Desk, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    desk.refused("S107", common.NO_STORE, "flowvm", "deploy", "p.fmc", "--store", str(tmp_path / "store"))
    tmp_path.chmod(0o700)


# ---- serving ---------------------------------------------------------------------------------------------------------


def test_a_port_in_use(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        desk.refused("H101", common.FAILED, "flowvm", "serve", "--store", "store", "--port", port)
    desk.refused("H202", common.USAGE, "flowvm", "serve", "--store", "store", "--port", "99999")
    assert desk.run("flowvm", "programs", "--store", "store").out.count("\n") == 2  # it was let go


def test_bad_settings(desk: Desk) -> None:
    (desk.folder / "bad.toml").write_text("[serve]\nprot = 1\n")
    desk.refused("H201", common.USAGE, "flowvm", "serve", "--store", "store", "--config", "bad.toml")
    (desk.folder / "bad.toml").write_text("[serve\n")
    desk.refused("H205", common.USAGE, "flowvm", "serve", "--store", "store", "--config", "bad.toml")
    desk.refused("H103", common.REFUSED, "flowvm", "serve", "--store", "store", "--host", "0.0.0.0")


def test_callbacks(desk: Desk, fresh: Path) -> None:
    """Twice: the first counts.  Unknown or malformed: the same 404.  Not JSON: 400, and the callback waits on."""
    url = desk.serve(str(fresh))
    client = desk.client(url)
    pid = client.start("p/wait")
    with closing(open_store(fresh, create=False)) as store:

        def logged() -> str:
            for entry in store.log(pid):
                event = decode_event(entry.event) if entry.event else None
                if isinstance(event, LocalDone) and event.effect == "log":
                    return str(decode_value(event.payload))
            return ""

        address = until("the address is logged", logged, 60)
        for unknown in ("x" * 32, "x", "x" * 500):
            status, document = deliver(f"{url}/callbacks/{unknown}", b"{}")
            assert (status, document["error"]["code"]) == (404, "H401")
        for bad in (b"{", b"\xff", b"NaN", b"[" * 100_000):
            status, document = deliver(address, bad)
            assert (status, document["error"]["code"]) == (400, "H301")
        assert deliver(address, b'{"n": 1}') == (202, {"status": "accepted"})
        assert deliver(address, b'{"n": 2}') == (200, {"status": "duplicate"})
        assert client.result(pid, wait=60) == {"n": 1}
        assert deliver(address, b'{"n": 3}') == (200, {"status": "duplicate"})
    desk.stop()


def test_a_worker_with_a_result_that_is_no_data(desk: Desk, fresh: Path) -> None:
    url = desk.serve(str(fresh))
    client = desk.client(url)
    worker = Worker(desk.client(url), name="odd", lease_seconds=1)
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    results = {"object": object(), "nan": float("nan"), "set": {1}, "cycle": cyclic, "surrogate": "\ud800"}
    worker.function("odd/job")(lambda what, context: results[what])
    worker.start()
    for what in results:
        pid = client.start("p/odd", what)
        ended = desk.run("flowvm", "result", str(pid), "--wait", "60", "--store", url)
        if ended.code != 0:  # what has a form as JSON may cross
            assert ended.code == common.PROGRAM_FAILED, ended
            assert "[H508]" in ended.error and "worker/bad-result" in ended.error, ended
        else:
            assert what in ("nan", "set"), ended
    assert worker.stop(60)
    pid = client.start("p/function")
    ended = desk.run("flowvm", "result", str(pid), "--wait", "60", "--store", url)
    assert ended.code == common.FAILED and "[H510]" in ended.error, ended
    desk.stop()


# ---- full ------------------------------------------------------------------------------------------------------------


def fill(url: str, first: int, limit: int) -> tuple[dict[str, int], int]:
    """Delivers until one is refused: (accepted deliveries with their processes, the status of the refusal)."""
    accepted: dict[str, int] = {}
    for number in range(first, first + limit):
        status, document = push(url, f"full-{number}", size=3000)
        if not 200 <= status < 300:
            return accepted, status
        accepted[f"full-{number}"] = int(document["process"])
    return accepted, 0


def refused_in_the_end(desk: Desk, code: str, store: str) -> None:
    """Starts processes with a large argument until one is refused: what ended has left some room."""
    argument = json.dumps("x" * 120_000)
    for _ in range(100):
        ended = desk.run("flowvm", "start", "p/main", "-a", argument, "--store", store)
        if ended.code:
            break
    assert re.search(rf"\[{code}\]", ended.error.replace("\n", "")), ended
    assert ended.code == common.NO_STORE and not ended.out, ended


def check_all(path: Path, accepted: dict[str, int]) -> None:
    """Every delivery that was accepted is done, with its own result."""
    with closing(open_store(path, create=False)) as store:
        until("all are done", lambda: store.stats()["processes"]["done"] >= len(accepted))
        for delivery, pid in accepted.items():
            result = store.result(pid)
            assert result is not None and decode_value(result) == delivery


def test_a_full_disk(desk: Desk, fresh: Path) -> None:
    """A limit on the size of files fails writes as a full disk does; when there is room again, it goes on by itself."""
    size = (fresh / "data.mdb").stat().st_size
    # A store that has hardly been used takes some 100 KB at its first commits, once: a page of each key space, twice.
    url = desk.serve(str(fresh), file_bytes=size + 400_000)
    accepted, status = fill(url, 0, 2000)
    assert status == 503 and len(accepted) > 10
    refused_in_the_end(desk, "S301", str(fresh))
    refused_in_the_end(desk, "S301", url)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(desk.running[0].pid, resource.RLIMIT_FSIZE, unlimited)
    more, status = fill(url, 5000, 30)
    assert status == 0
    check_all(fresh, {**accepted, **more})
    desk.stop()


def test_a_command_on_a_full_disk(desk: Desk, fresh: Path) -> None:
    """The command itself owns the store."""
    with closing(open_store(fresh)) as store:
        for _ in range(3):  # so that the file has no free pages
            store.submit([Post(1, "message", b"x")]).result(10)
    size = (fresh / "data.mdb").stat().st_size
    big = str(fresh.parent / "big.fm")
    Path(big).write_text('(ns big)\n(def text "' + "x" * 500_000 + '")\n(defn main [] text)\n')
    desk.refused("S301", common.NO_STORE, "flowvm", "deploy", big, "--store", str(fresh), file_bytes=size)
    assert list(json.loads(desk.run("flowvm", "programs", "--store", str(fresh), "--json").out)["programs"]) == ["p"]
    assert desk.run("flowvm", "deploy", big, "--store", str(fresh)).code == 0


def test_a_store_at_its_limit(desk: Desk, fresh: Path) -> None:
    url = desk.serve(f"lmdb://{fresh}?map_limit=1100000")
    accepted, status = fill(url, 0, 3000)
    assert status == 503 and len(accepted) > 10
    refused_in_the_end(desk, "S30[24]", str(fresh))
    refused_in_the_end(desk, "S30[24]", url)
    desk.stop()
    url = desk.serve(str(fresh))
    more, status = fill(url, 5000, 30)
    assert status == 0
    check_all(fresh, {**accepted, **more})
    desk.stop()


def test_output_that_nobody_reads(desk: Desk) -> None:
    """`flowc disasm long.fm | head -c 1`, with more than a pipe holds: the reader has gone, and that is no error."""
    functions = "\n".join(f"(defn f{n} [x] (str x {n} (inc x)))" for n in range(2000))
    (desk.folder / "long.fm").write_text(f"(ns long)\n{functions}\n")
    command = f"{sys.executable} -m flowmetal.cli.flowc disasm long.fm | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=desk.folder, env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
