"""`flowvm ps` with filters, and the commands that steer processes: by number, by id, and all that filters select."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowmetal.cli import listing
from flowmetal.cli.listing import plain_ps
from flowmetal.cli.start import flowvm as start_flowvm
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.interface import FINAL_STATUSES
from tests.cli.shell import PROGRAM, Done, Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWMETAL_STORE", "store")
    monkeypatch.setattr("flowmetal.client.steering.getpass.getuser", lambda: "tester")
    (tmp_path / "hello.fm").write_text(PROGRAM)
    made = Shell(monkeypatch, capsys)
    assert made("flowvm", "deploy", "hello.fm").code == 0
    for number in range(4):
        found = made(
            "flowvm", "start", "hello/main", "-a", str(number), "--id", f"h-{number}", "--attribute", f"n={number}"
        )
        assert found.out == f"{number + 1}\n"
    return made


def pids(done: Done) -> list[int]:
    return [one["pid"] for one in done.json()["processes"]]


FILTERS = [
    ([], [1, 2, 3, 4]),
    (["--program", "hello"], [1, 2, 3, 4]),
    (["--program", "none"], []),
    (["--function", "hello/main", "--newest", "--limit", "2"], [4, 3]),
    (["--attribute", "n=2"], [3]),
    (["--id-prefix", "h-1"], [2]),
    (["--younger", "1h", "--after", "3"], [4]),
    (["--older", "1h"], []),
    (["--status", "done"], [1]),
    (["--status=done,ready", "--limit=1"], [1]),
    (["--waits", "nothing"], []),
    (["--error", "nothing"], []),
    (["--parent", "1"], []),
]


def test_ps_filters_the_same_with_and_without_the_parser(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("flowvm", "kill", "1").code == 0
    assert shell("flowvm", "restart", "1").out == "5\n"
    assert shell("flowvm", "kill", "5").code == 0
    assert shell("flowvm", "ps", "--status", "cancelled", "--error", "flowmetal/killed", "--count").out == "2\n"
    for arguments, wanted in FILTERS[:-1]:
        if "done" in str(arguments):
            continue
        wanted = [*wanted, 5] if wanted == [1, 2, 3, 4] else wanted
        if arguments[:1] == ["--function"]:
            wanted = [5, 4]
        if arguments[:1] == ["--younger"]:
            wanted = [4, 5]
        assert pids(shell("flowvm", "ps", "--json", *arguments)) == wanted, arguments
        asked = plain_ps(["ps", "--json", *arguments])
        assert asked is not None
        capsys.readouterr()
        assert listing.list_folder(asked) == 0
        assert [one["pid"] for one in json.loads(capsys.readouterr().out)["processes"]] == wanted, arguments


@pytest.mark.parametrize(
    ("arguments", "is_plain"),
    [
        (["ps"], True),
        (["ps", "-s", "x", "--status", "done", "--limit", "5"], True),
        (["ps", "--status=done"], True),
        (["ps", "--limit", "x"], False),
        (["ps", "--limit", "0"], False),
        (["ps", "--limit"], False),
        (["ps", "--status", "--json"], False),
        (["ps", "--odd"], False),
        (["ps", "5"], False),
        (["ps", "-s", "http://x"], False),
        (["ps", "--help"], False),
        (["ps", "-s=x"], False),
    ],
)
def test_plain_ps(arguments: list[str], is_plain: bool) -> None:
    assert (plain_ps(arguments) is not None) == is_plain


def test_ps_loads_neither_the_parser_nor_what_writes(shell: Shell) -> None:
    script = (
        "import sys; sys.argv = ['flowvm', 'ps', '--program', 'hello', '--attribute', 'n=3']\n"
        "import os; os._exit = lambda code: sys.exit(code)\n"
        "from flowmetal.cli.start import flowvm\n"
        "try:\n    flowvm()\nfinally:\n"
        "    heavy = {'typer', 'flowmetal.values', 'flowmetal.store.lmdb_store', 'flowmetal.engine', 'asyncio'}\n"
        "    print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("4 ")
    assert done.stdout.splitlines()[-1] == "[]"
    assert callable(start_flowvm)


REFUSED = [
    (["cancel"], "U117"),
    (["cancel", "1", "--all"], "U119"),
    (["cancel", "--all"], "U116"),
    (["cancel", "none"], "U104"),
    (["cancel", "99"], "H504"),
    (["send", "1"], "U117"),
    (["send", "1", "{"], "U102"),
    (["send"], "U103"),
    (["answer", "1", "5"], "U117"),
    (["answer", "1", "0", "5"], "U103"),
    (["answer", "1", "9", "5"], "H516"),
    (["answer", "1", "paused", "5"], "H516"),
    (["fail", "1", "9", "no kind", "text"], "H513"),
    (["fail", "1", "9", "a/b", "text", "--data", "{"], "U102"),
    (["restart", "1"], "H515"),
    (["retry", "1", "--request", "x"], "U103"),
    (["pause", "--older", "soon", "-y"], "U103"),
    (["pause", "--status", "odd", "-y"], "U103"),
    (["pause", "--attribute", "odd", "-y"], "U103"),
    (["pause", "--parent", "x", "-y"], "U103"),
    (["pause", "--program", "", "-y"], "U103"),
    (["pause", "1", "--as", "a\nb"], "H513"),
    (["kill", "1", "--operation", "a\nb"], "S204"),
    (["restart", "--all", "-y", "--id", "x"], "H513"),
]


def test_what_cannot_be_done_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for arguments, code in REFUSED:
        done = shell("flowvm", *arguments, "--json")
        assert done.error()["code"] == code, arguments
        assert done.code in (1, 2, 3)
        assert done.out == ""
    with contextlib.closing(open_store("store")) as store:
        assert [len(store.inbox(pid)) for pid in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_one_and_several(shell: Shell) -> None:
    assert shell("flowvm", "pause", "h-1").out == "process 2 paused\n"
    assert shell("flowvm", "send", "1", "h-2", '{"a": 1}').out == "send: 2 processes done\n"
    assert shell("flowvm", "kill", "1", "--reason", "why", "--json").json() == {"pid": 1, "posted": "kill"}
    done = shell("flowvm", "kill", "1", "2", "h-2")
    assert (done.code, done.out) == (1, "kill: 2 processes done\nrefused 1 process (1): it has ended\n")
    done = shell("flowvm", "cancel", "1")
    assert (done.code, "[U106]" in done.err) == (1, True)
    assert shell("flowvm", "restart", "1", "--json").json() == {"pid": 5, "restarted_from": 1}
    history = shell("flowvm", "history", "1").out
    assert "kill by tester" in history


def test_all_that_filters_select(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    done = shell("flowvm", "kill", "--id-prefix", "h-", "--dry-run")
    assert done.out.startswith("kill would steer 4 processes\nPID  ID")
    assert shell("flowvm", "kill", "--attribute", "n=2", "-n", "--json").json()["count"] == 1
    assert shell("flowvm", "kill", "--attribute", "n=77", "-y").out == "kill: 0 processes done\n"
    assert shell("flowvm", "kill", "--attribute", "n=2", "-y", "--as", "anna").out == "kill: 1 process done\n"

    class Terminal:
        def __init__(self, line: str) -> None:
            self.line = line

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.line

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    done = shell("flowvm", "kill", "--all")
    assert (done.code, done.out, "kill 3 processes? [y/N]" in done.err) == (1, "", True)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert shell("flowvm", "kill", "--all").out == "kill: 3 processes done\n"
    done = shell("flowvm", "restart", "--all", "-y", "--operation", "again")
    assert done.out.splitlines()[0] == "restart: 4 processes done"
    assert shell("flowvm", "restart", "--all", "-y", "--operation", "again").out == "restart: 0 processes done\n"
    done = shell("flowvm", "restart", "--program", "hello", "-y", "--operation", "again")
    assert (done.code, "[H517]" in done.err) == (4, True)


def test_call_starts_and_waits(shell: Shell) -> None:
    done = shell("flowvm", "call", "hello/main", "-a", "7", "--wait", "0.05")
    assert (done.code, "[U115]" in done.err) == (7, True)
    store = open_store("store")
    interpreter = Interpreter(store)
    interpreter.start()
    try:
        assert shell("flowvm", "call", "hello/main", "-a", "7", "--id", "c").out == '{\n "n": 7\n}\n'
        assert shell("flowvm", "call", "hello/main", "-a", "7", "--id", "c", "--json").json()["pid"] == 6
        assert shell("flowvm", "call", "hello/main", "-a", "8", "--id", "c").code == 4
        assert shell("flowvm", "call", "hello/fails").code == 8
        end = time.monotonic() + 60
        while any(one.status not in FINAL_STATUSES for one in store.processes()) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        interpreter.stop()
        store.close()


@pytest.mark.parametrize(
    "arguments", [["ps", "--after", "-1"], ["start", "a/b", "--wait", "-1"], ["nothing"], ["ps", "--no-such"]]
)
def test_mistakes_in_the_command_line_are_json_where_it_is_wanted(shell: Shell, arguments: list[str]) -> None:
    done = shell("flowvm", *arguments, "--json")
    assert done.code == 2 and done.error()["code"] == "U215"
    assert shell("flowvm", "ps", "--count").out == "4\n"  # nothing was started


def test_trees_and_limits(shell: Shell) -> None:
    assert pids(shell("flowvm", "ps", "--tree", "2", "--json")) == [2]
    assert shell("flowvm", "start", "hello/main", "--limit", "fuel=1_000", "--limit", "children=2").out == "5\n"
    for wrong in ("fuel", "fuel=x", "=1", "fuel=0"):
        assert shell("flowvm", "start", "hello/main", "--limit", wrong, "--json").error()["code"] in ("U103", "H513")
    assert shell("flowvm", "start", "hello/main", "--limit", "fool=1", "--json").error()["code"] == "H513"
    done = shell("flowvm", "kill", "--tree", "3", "--yes", "--json").json()
    assert (done["done"], done["found"]) == (1, 1)


def test_a_program_that_is_not_there(shell: Shell) -> None:
    done = shell("flowvm", "ps", "--program", "helo")
    assert done.code == 0 and "did you mean hello?" in done.err
    assert shell("flowvm", "ps", "--program", "hello", "--status", "failed").err == ""


def test_an_id_that_another_process_has(shell: Shell) -> None:
    assert shell("flowvm", "kill", "1").code == 0
    done = shell("flowvm", "restart", "1", "--id", "h-2")
    assert done.code == 1 and "another process has that id" in done.err


def test_a_schedule_of_a_function_that_is_not_there(shell: Shell) -> None:
    put = ["flowvm", "schedule", "put", "x", "--every", "1h", "--program", "hello", "--function"]
    assert shell(*put, "maim", "--json").error()["code"] == "B014"
    assert shell(*put, "main").code == 0
