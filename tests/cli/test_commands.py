"""The commands, called as from a shell but in this process: what they write where, and how they end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowmetal
from flowmetal.cli import looking
from flowmetal.cli.start import plain_check, plain_eval, plain_run
from flowmetal.client.errors import Unreachable
from flowmetal.diagnostics import all_codes
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.server import HttpServer
from flowmetal.server.config import read_config
from flowmetal.store import open_store
from flowmetal.values import ErrorValue, LanguageError, keyword
from tests.cli.shell import Done, Shell


def test_run_writes_one_document(shell: Shell) -> None:
    assert shell("flowvm", "run", "hello.fm", "--json").json() == {"status": "done", "result": {"n": 1}}
    failed = shell("flowvm", "run", "hello.fm", "fails", "--json")
    assert failed.code == 8
    error = failed.json()["error"]
    assert (error["kind"], error["message"], error["data"][:5]) == ("own", "no", "{:f #")


def test_warnings_are_inside_the_document(shell: Shell) -> None:
    Path("warned.fm").write_text("(ns warned)\n(defn main [] (let [x 1] 2))\n")
    run = ("flowvm", "run", "warned.fm", "--json")
    for arguments in (run, run, ("flowc", "build", "warned.fm", "--json")):
        done = shell(*arguments)
        assert [one["code"] for one in done.json()["warnings"]] == ["W101"]
        assert done.err == ""
    done = shell("flowc", "build", "warned.fm")
    assert "W101" in done.err
    assert done.out.startswith("warned.fmc")
    checked = shell("flowc", "check", "warned.fm")
    assert (checked.code, "W101" in checked.err, checked.out) == (0, True, "1 checked, no errors\n")


def test_a_result_that_holds_a_function(shell: Shell) -> None:
    done = shell("flowvm", "run", "hello.fm", "function")
    assert (done.code, done.out) == (0, "[#fn hello/function/fn@4]\n")
    done = shell("flowvm", "run", "hello.fm", "function", "--json")
    assert (done.code, done.out, done.error()["code"]) == (1, "", "H510")


@pytest.mark.parametrize(
    ("function", "arguments", "exit", "code", "hint"),
    [
        ("mian", (), 3, "B014", "Did you mean `main`?"),
        ("hello/mian", (), 3, "B014", "Did you mean `main`?"),
        ("hidden", (), 3, "B014", "`hidden` is private"),
        ("nowhere/main", (), 3, "B014", "Did you mean `hello/main`?"),
        ("main", ("1", "2"), 2, "B016", "Its parameters: [] or [n]."),
    ],
)
def test_what_cannot_be_started(
    shell: Shell, function: str, arguments: tuple[str, ...], exit: int, code: str, hint: str
) -> None:
    given = [part for argument in arguments for part in ("--arg", argument)]
    done = shell("flowvm", "run", "hello.fm", function, *given, "--json")
    assert (done.code, done.out, done.error()["code"]) == (exit, "", code)
    assert hint in shell("flowvm", "run", "hello.fm", function, *given).err
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    name = function if "/" in function else f"hello/{function}"
    done = shell("flowvm", "start", name, "--program", "hello", "--store", "store", *given, "--json")
    assert (done.code, done.out, done.error()["code"]) == (exit, "", code)
    assert shell("flowvm", "ps", "--store", "store", "--json").json() == {"processes": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("ps",),
        ("result", "1"),
        ("inspect", "1"),
        ("history", "1"),
        ("programs",),
        ("cancel", "1"),
        ("send", "1", "2"),
        ("pause", "1"),
        ("resume", "1"),
        ("start", "hello/main"),
    ],
)
def test_only_serve_and_deploy_make_a_store(shell: Shell, arguments: tuple[str, ...]) -> None:
    done = shell("flowvm", *arguments, "--store", "typo", "--json")
    assert (done.code, done.error()["code"]) == (6, "S101")
    assert not Path("typo").exists()


RETRIES = """
(ns r)
(defn main []
  [(perform :odd/job 1 {:retry 0}) (perform :odd/job 2)])
"""


def test_a_paused_process_is_seen_and_tried_again(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "r.fm").write_text(RETRIES)
    assert shell("flowvm", "deploy", "r.fm", "--store", "store").code == 0
    assert shell("flowvm", "start", "r/main", "--store", "store").out == "1\n"
    fails = [True]

    def odd(call: Any) -> Any:
        if fails.pop():
            fails.append(False)
            raise LanguageError(ErrorValue(keyword("odd/broken"), "not now", None))
        fails.append(False)
        return call.payload

    store = open_store(tmp_path / "store", create=False)
    interpreter = Interpreter(store, Config(fallback_seconds=0.05), {"odd/job": odd})
    interpreter.start()
    try:
        until(lambda: store.process(1).status == "paused")
        shown = shell("flowvm", "inspect", "1", "--store", "store")
        assert "request #1 odd/job  exhausted" in shown.out
        assert shell("flowvm", "retry", "1", "--request", "1", "--store", "store").out == "process 1 tries again\n"
        done = shell("flowvm", "result", "1", "--wait", "30", "--store", "store")
        assert json.loads(done.out) == [1, 2]
    finally:
        interpreter.stop()
        store.close()
    history = shell("flowvm", "history", "1", "--store", "store").out
    assert "paused at #1" in history
    assert "resumed, #1 tried again" in history
    assert "  result     [1 2]" in shell("flowvm", "inspect", "1", "--store", "store").out
    ended = shell("flowvm", "retry", "1", "--store", "store", "--json")
    assert (ended.code, ended.error()["code"]) == (1, "U106")


def test_history_is_cut_unless_all_is_asked_for(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    long = json.dumps("x" * 500)
    assert shell("flowvm", "start", "hello/main", "--arg", long, "--id", "a", "--store", "store").code == 0
    with contextlib.closing(open_store("store", create=False)) as store:
        interpreter = Interpreter(store, Config(fallback_seconds=0.05))
        interpreter.start()
        until(lambda: store.process(1).status == "done")
        interpreter.stop()
    lines = shell("flowvm", "history", "1", "--store", "store").out.splitlines()
    assert [len(line) for line in lines] == [160, 160]
    assert "x" * 500 in shell("flowvm", "history", "1", "--full", "--store", "store").out
    assert "x" * 500 in shell("flowvm", "history", "a", "--json", "--store", "store").json()["events"][0]["text"]


def until(look: Callable[[], bool]) -> None:
    """Waits for what an interpreter does."""
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_folder_is_a_program(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "lib").mkdir(parents=True)
    (folder / "flowmetal.toml").write_text('[project]\nname = "shop"\n')
    (folder / "lib" / "prices.fm").write_text("(ns prices)\n(defn price [n] (* 2 n))\n")
    (folder / "zhop.fm").write_text("(ns zhop (:require [prices :as p]))\n(defn main [] (p/price 4))\n")
    built = shell("flowc", "build", "project", "--json").json()
    assert (built["artifact"], built["name"]) == ("project/build/zhop.fmc", "zhop")
    assert shell("flowc", "build", "project", "--name", "prices", "--json").json()["name"] == "prices"
    assert shell("flowvm", "run", "project").out == "8\n"
    assert shell("flowvm", "run", "project", "prices/price", "--arg", "5").out == "10\n"
    assert shell("flowvm", "deploy", "project", "--store", "store").code == 0
    (folder / "again.fm").write_text("(ns prices)")
    assert "The module `prices` is also in" in shell("flowc", "check", "project").err
    (folder / "again.fm").write_text("(ns again (:require [gone :as g]))\n(defn f [] (g/two))\n")
    missing = shell("flowc", "build", "project", "--json")
    assert missing.code == 1
    assert [one["code"] for one in missing.json()["diagnostics"]] == ["A131"]
    assert (shell("flowc", "build", "nowhere").code, shell("flowc", "build", "store").code) == (3, 3)


#: Arguments, and whether they are so plain that `flowvm run` starts without the parser of arguments.
PLAIN = [
    (["run", "hello.fm"], True),
    (["run", "hello.fm", "main", "--json"], True),
    (["run", "--json", "-a", "1", "hello.fm", "--arg", "-2"], True),
    (["run", "--arg", "--json", "hello.fm"], True),
    (["run"], False),
    (["run", "hello.fm", "main", "more"], False),
    (["run", "hello.fm", "--arg"], False),
    (["run", "hello.fm", "--arg=1"], False),
    (["run", "hello.fm", "--debug"], False),
    (["run", "--help"], False),
    (["run", "."], False),
    (["run", "", "main"], False),
    (["--version"], False),
    ([], False),
]


@pytest.mark.parametrize(("arguments", "plain"), PLAIN)
def test_what_starts_at_once(shell: Shell, arguments: list[str], plain: bool) -> None:
    assert (plain_run(arguments) is not None) is plain


def test_what_else_starts_at_once(shell: Shell) -> None:
    assert plain_check(["check", "hello.fm", "-", "x.fmc"]) == ["hello.fm", "-", "x.fmc"]
    for arguments in (["check"], ["check", "."], ["check", "hello.fm", "-W"], ["check", ""], ["build", "hello.fm"], []):
        assert plain_check(arguments) is None
    assert plain_eval(["eval", "hello.fm"]) == ("hello.fm", True) and plain_eval(["eval", "-"]) == ("-", True)
    assert plain_eval(["eval", "-e", "-1"]) == ("-1", False) and plain_eval(["eval", "--expr", ""]) == ("", False)
    for arguments in (
        ["eval"],
        ["eval", "-e"],
        ["eval", "--jsonl"],
        ["eval", ""],
        ["eval", "-e", "1", "-e", "2"],
        ["run", "x"],
    ):
        assert plain_eval(arguments) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("flowc", "check", "hello.fm"), ("flowc", "check", "hello.fm", "odd.fm"), ("flowc", "check", "gone.fm"),
        ("flowvm", "eval", "-e", "(+ 1 2)"), ("flowvm", "eval", "-e", "(throw (error :a/b \"c\" nil))"),
        ("flowvm", "eval", "odd.fm"), ("flowvm", "eval", "-e", "(do (println 1) (sleep 1ms) (random 1))"),
    ],
)  # fmt: skip
def test_a_command_that_starts_at_once_is_like_any_other(
    shell: Shell, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "odd.fm").write_text("(ns odd)\n(defn f [] (g))\n")
    code = f"import sys; from flowmetal.cli.start import {arguments[0]}; sys.argv[0] = 'x'; {arguments[0]}()"
    done = subprocess.run([sys.executable, "-c", code, *arguments[1:]], capture_output=True, text=True, check=False)
    usual = shell(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (usual.code, usual.out, usual.err)


def test_a_run_that_starts_at_once_is_like_any_other(shell: Shell, tmp_path: Path) -> None:
    for arguments in (
        ["run", "hello.fm"],
        ["run", "hello.fm", "--json"],
        ["run", "hello.fm", "fails", "--json"],
        ["run", "hello.fm", "fails"],
        ["run", "gone.fm"],
        ["run", "hello.fm", "-a", "{"],
        ["run", "hello.fm", "nothing", "--json"],
    ):
        code = "import sys; from flowmetal.cli.start import flowvm; sys.argv[0] = 'flowvm'; flowvm()"
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        usual = shell("flowvm", *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (usual.code, usual.out, usual.err), arguments


def test_a_new_project_builds_and_runs(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shell("flowc", "new", "shop", "--json").json()
    assert sorted(made["files"]) == sorted(str(path) for path in Path("shop").rglob("*") if path.is_file())
    assert shell("flowc", "new", "shop").code == 4
    assert [shell("flowc", "new", name).code for name in ("a/b", "..", "1", "", "x" * 200)] == [2] * 5
    assert shell("flowc", "build").code == 3  # no project here
    monkeypatch.chdir("shop/src/shop")
    built = shell("flowc", "build", "--json").json()
    assert (built["name"], built["project"], built["modules"], built["compiled"]) == ("shop.main", "shop", 1, 1)
    assert Path(built["artifact"]) == tmp_path / "shop" / "build" / "shop.main.fmc"
    assert shell("flowc", "build").out.endswith("0 of 1 modules compiled\n")
    assert shell("flowc", "check").out == "2 checked, no errors\n"
    monkeypatch.chdir("../..")
    assert shell("flowvm", "run", "build/shop.main.fmc").out == '"Hello, world!"\n'
    assert shell("flowvm", "run", ".").out == '"Hello, world!"\n'
    Path("src/shop/odd.fm").write_text("(ns shop.odd)\n(gone)")
    failed = shell("flowc", "build")
    assert failed.code == 1
    assert "2 | (gone)" in failed.err
    Path("flowmetal.toml").write_text('[project]\nname = "shop"\nmian = "x"\n')
    wrong = shell("flowc", "check")
    assert (wrong.code, "Did you mean `main`?" in wrong.err, "3 | mian" in wrong.err) == (2, True, True)


@pytest.mark.parametrize("port", ["99999", "-5"])
def test_a_port_that_is_none(shell: Shell, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setattr("flowmetal.cli.common.end_on_sigterm", lambda: None)
    done = shell("flowvm", "serve", "--port", port, "--store", "store")
    assert (done.code, "[H202]" in done.err) == (2, True)
    assert not Path("store").exists()


@pytest.mark.parametrize("more", [(), ("--no-http",)])
def test_a_sigterm_during_the_start(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Whenever it comes, `serve` ends with 0; here while the store is opened, and as soon as modules are imported."""
    script = (
        "import os, signal, sys\n"
        "from flowmetal.cli import flowvm, serving\n"
        "plain = serving.open_store\n"
        "def opened(url, **more):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return plain(url, **more)\n"
        "serving.open_store = opened\n"
        "flowvm.main()\n"
    )
    command = [sys.executable, "-c", script, "serve", "--port", "0", "--store", str(tmp_path / "store"), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "stopped" in done.stderr


def test_versions(shell: Shell) -> None:
    for command in ("flowc", "flowvm"):
        assert shell(command, "--version") == Done(0, f"{flowmetal.__version__}\n", "")


def test_a_function_that_is_not_there_cannot_be_shown(shell: Shell) -> None:
    assert shell("flowc", "disasm", "hello.fm", "main").code == 0
    done = shell("flowc", "disasm", "hello.fm", "mian", "--json")
    assert (done.code, done.out, done.error()["code"]) == (3, "", "B014")
    assert "Did you mean `hello/main`?" in shell("flowc", "disasm", "hello.fm", "mian").err


def test_codes_are_listed_and_near_ones_named(shell: Shell) -> None:
    lines = shell("flowc", "explain").out.splitlines()
    assert "A101  unknown name" in lines
    assert len(lines) == len(all_codes())
    assert shell("flowc", "explain", "[a101]").out.startswith("A101: unknown name")
    done = shell("flowc", "explain", "A11")
    assert done.code == 2
    assert "A101" in done.err


def test_start_says_the_number_before_it_waits(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    done = shell("flowvm", "start", "hello/main", "--wait", "0.1", "--store", "store")
    assert (done.code, done.out) == (7, "")
    assert done.err.startswith("process 1\n")
    assert shell("flowvm", "start", "hello", "--store", "store").code == 2
    assert shell("flowvm", "start", "hello", "--store", "http://127.0.0.1:9", "--json").error()["code"] == "H513"


def test_a_server_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "AWAY_SECONDS", 0.01)
    answers: list[Any] = [
        Unreachable("H501", url="u", reason="r"),
        Unreachable("H501", url="u", reason="r"),
        (None, "ready"),
    ]

    class Away:
        def outcome(self, pid: int, wait: float) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    client: Any = Away()
    assert looking.outcome_of(client, 1, 60.0) == (None, "ready")
    answers.append(Unreachable("H501", url="u", reason="r"))
    with pytest.raises(Unreachable):
        looking.outcome_of(client, 1, 0.0)
    answers.append(Unreachable("H512", url="u", reason="r"))
    with pytest.raises(Unreachable):
        looking.outcome_of(client, 1, 60.0)


def test_what_is_paused_says_so(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    assert shell("flowvm", "start", "hello/main", "--store", "store").out == "1\n"
    assert shell("flowvm", "pause", "1", "--store", "store").code == 0
    with contextlib.closing(open_store("store", create=False)) as store:
        interpreter = Interpreter(store, Config(fallback_seconds=0.05))
        interpreter.start()
        until(lambda: store.process(1).status == "paused")
        interpreter.stop()
    done = shell("flowvm", "result", "1", "--store", "store")
    assert done.code == 7
    assert "Process 1 is paused" in done.err
    assert "flowvm resume 1" in done.err
    assert "a person (flowvm resume 1)" in shell("flowvm", "ps", "--store", "store").out


def test_steps_that_are_not_there(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    assert shell("flowvm", "start", "hello/main", "--store", "store").code == 0
    assert shell("flowvm", "start", "hello/main", "--store", "store").code == 0
    done = shell("flowvm", "inspect", "1@99", "--store", "store", "--json")
    assert (done.code, done.error()["code"]) == (3, "U107")
    done = shell("flowvm", "history", "1", "--start", "99", "--store", "store")
    assert done == Done(0, "", "no events from step 99 on\n")
    pids = [row["pid"] for row in shell("flowvm", "ps", "--newest", "--store", "store", "--json").json()["processes"]]
    assert pids == [2, 1]


def test_history_over_http(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    assert shell("flowvm", "start", "hello/main", "--arg", "5", "--store", "store").code == 0
    with contextlib.closing(open_store("store", create=False)) as store:
        interpreter = Interpreter(store, Config(fallback_seconds=0.05))
        server = HttpServer(store, read_config({"serve": {"port": 0}}))
        interpreter.start()
        server.start()
        until(lambda: store.process(1).status == "done")
        over = shell("flowvm", "history", "1", "--store", server.url)
        cut = shell("flowvm", "history", "1", "--limit", "1", "--store", server.url, "--json").json()
        inspected = shell("flowvm", "inspect", "1", "--store", server.url, "--json")
        server.stop()
        interpreter.stop()
    assert over.out == shell("flowvm", "history", "1", "--store", "store").out
    assert (len(cut["events"]), cut["more"]) == (1, True)
    assert inspected.error()["code"] == "U109"


def test_the_hint_for_a_message_that_is_no_json(shell: Shell) -> None:
    done = shell("flowvm", "send", "4", "nojson", "--store", "store")
    assert done.code == 2
    assert "--arg" not in done.err


def test_warnings_of_the_compiler(shell: Shell) -> None:
    Path("doubtful.fm").write_text("(ns doubtful)\n(defn main [] (let [x 1] 2))\n")
    checked = shell("flowc", "check", "doubtful.fm")
    assert (checked.code, checked.out) == (0, "1 checked, no errors\n")
    assert "[W101]" in checked.err and "2 | (defn main [] (let [x 1] 2))" in checked.err
    assert [one["level"] for one in shell("flowc", "check", "doubtful.fm", "--json").json()["diagnostics"]] == [
        "warning"
    ]
    assert shell("flowc", "check", "-W", "doubtful.fm").code == 1
    refused = shell("flowc", "build", "--warnings-as-errors", "doubtful.fm")
    assert (refused.code, Path("doubtful.fmc").exists()) == (1, False)
    assert shell("flowc", "build", "doubtful.fm").code == 0
    explained = shell("flowc", "explain", "W101")
    assert "^:flowmetal/ignore" in explained.out


def test_a_spawned_process_is_listed_as_a_child(shell: Shell) -> None:
    Path("hello.fm").write_text("(ns hello)\n(defn child [n] n)\n(defn main [] (spawn child 3) (perform :receive))\n")
    assert shell("flowc", "build", "hello.fm", "-o", "hello.fmc").code == 0
    assert shell("flowvm", "deploy", "hello.fmc", "--grant", "spawn", "--store", "store").code == 0
    assert shell("flowvm", "start", "hello/main", "--id", "order-1", "--store", "store").code == 0
    with contextlib.closing(open_store("store", create=False)) as store:
        interpreter = Interpreter(store, Config(fallback_seconds=0.05))
        interpreter.start()
        until(lambda: store.process(2) is not None and store.process(2).status == "done")
        interpreter.stop()
    listed = shell("flowvm", "ps", "--store", "store").out
    assert "order-1" in listed
    assert "child of 1" in listed
    rows = shell("flowvm", "ps", "--store", "store", "--json").json()["processes"]
    assert [row["parent"] for row in rows] == [None, 1]
    seen = shell("flowvm", "inspect", "2", "--store", "store").out
    assert "spawned by 1 (order-1)" in seen
    assert "arguments  [3]" in seen


NEEDS = """
(ns needs (:require http kv))
(defn main [] (try [(kv/put "a" 1) (http/get "https://a.example" {:headers {"x" (secret "api")}})] (catch _ e 1)))
(defn quiet [] 1)
"""


def _notes(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("note:")]


def test_a_grant_that_nothing_can_use_is_noted(shell: Shell) -> None:
    Path("needs.fm").write_text(NEEDS)
    assert shell("flowc", "build", "needs.fm").code == 0
    needed = ("http/request=a.example", "kv/*=a", "kv/put", "store", "secret=api", "secret=other,api", "all", "none")
    mistyped = {
        "htp/request": "; near it: http/request",
        "kv/putt": "; near it: kv/put",
        "secret=apo": "; near it: secret=api",
        "queue/*": "",
        "shell/run": "",
    }
    for command in (
        ("run", "needs.fmc", "quiet"),
        ("run", "needs.fm", "quiet"),
        ("deploy", "needs.fmc", "--store", "s"),
    ):
        for grant in needed:
            assert not _notes(shell("flowvm", *command, "--grant", grant).err), grant
        for grant, more in mistyped.items():
            found = shell("flowvm", *command, "--grant", grant, "--grant", "kv/put")
            assert found.code == 0
            shown = grant if grant != "queue/*" else "'queue/*'"
            assert _notes(found.err) == [f"note: --grant {shown} is not needed: nothing of it is performed{more}"], (
                found.err
            )


def test_where_names_are_computed_any_grant_may_be_needed(shell: Shell) -> None:
    Path("any.fm").write_text("(ns any)\n(defn main [x s] (perform (keyword x) 1) (secret s))\n(defn quiet [] 1)\n")
    for grant in ("shell/run", "secret=api"):
        assert not _notes(shell("flowvm", "run", "any.fm", "quiet", "--grant", grant).err)


COMMANDS = """
(ns visitor (:require shell))
(defn tried [command] (try (:out (shell/run command)) (catch _ e [(:kind e) (:message e)])))
(defn main []
  [(tried ["pwd"]) (tried ["id" "-u"]) (tried {:command ["pwd"] :directory "/"})
   (tried {:command ["pwd"] :env {"LD_PRELOAD" "x"}}) (tried {:command ["env"] :env {"TOLD" "1"}})])
"""


def test_a_narrowed_run_runs_what_is_named_where_it_is(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "visitor.fm").write_text(COMMANDS)
    assert shell("flowc", "build", "visitor.fm").code == 0
    here = f"{tmp_path.resolve()}\n"
    found = shell("flowvm", "run", "visitor.fmc", "--grant", "shell/run=pwd", "--json").json()["result"]
    assert found[0] == here
    assert [one[0] for one in found[1:]] == [
        "flowmetal/not-granted", "shell/not-allowed", "shell/not-allowed", "flowmetal/not-granted",
    ]  # fmt: skip
    (tmp_path / "flowmetal.toml").write_text('[shell]\nenvironment = ["TOLD"]\n')
    grants = ("--grant", "shell/run=env,pwd", "--json")
    assert "TOLD=1\n" in shell("flowvm", "run", "visitor.fmc", *grants).json()["result"][4]
    # A source is the person's own: any command, anywhere, with any variable; but if told so, not.
    found = shell("flowvm", "run", "visitor.fm", "--json").json()["result"]
    assert found[2] == "/\n" and "TOLD=1\n" in found[4] and found[3] == here
    found = shell("flowvm", "run", "visitor.fm", "--grant", "shell/run=pwd", "--json").json()["result"]
    assert (found[0], found[2][0]) == (here, "shell/not-allowed")
