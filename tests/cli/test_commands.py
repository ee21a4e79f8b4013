"""The commands, called as from a shell but in this process: what they write where, and how they end."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowmetal.cli import flowc, flowvm
from flowmetal.diagnostics import Diagnostic, Span
from flowmetal.engine import build
from flowmetal.engine.interpreter import Config, Interpreter
from flowmetal.store import open_store
from flowmetal.values import ErrorValue, LanguageError, keyword

PROGRAM = """
(ns hello)
(defn main ([] {:n 1}) ([n] {:n n}))
(defn function [] [(fn [x] x)])
(defn fails [] (throw (error :own "no" {:f (fn [x] x)})))
(defn- hidden [] 1)
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    def error(self) -> Any:
        """The error of a command with --json."""
        return json.loads(self.err)["error"]


class Shell:
    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, command: str, *arguments: str) -> Done:
        self._patch.setattr("sys.argv", [command, *arguments])
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            (flowc if command == "flowc" else flowvm).main()
        out, err = self._capture.readouterr()
        assert "Traceback" not in err
        return Done(int(ended.value.code or 0), out, err)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.fm").write_text(PROGRAM)
    return Shell(monkeypatch, capsys)


def test_run_writes_one_document(shell: Shell) -> None:
    assert shell("flowvm", "run", "hello.fm", "--json").json() == {"status": "done", "result": {"n": 1}}
    failed = shell("flowvm", "run", "hello.fm", "fails", "--json")
    assert failed.code == 8
    error = failed.json()["error"]
    assert (error["kind"], error["message"], error["data"][:5]) == ("own", "no", "{:f #")


def test_warnings_are_inside_the_document(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = Diagnostic("A101", Span("hello.fm", 2, 1, 2, 5), {"name": "x"}, level="warning")
    plain = build.build_artifact

    def warned(*arguments: Any, **named: Any) -> build.Built:
        built = plain(*arguments, **named)
        return build.Built(built.name, built.data, built.hash, (warning,))

    monkeypatch.setattr("flowmetal.engine.build.build_artifact", warned)
    for arguments in (("flowvm", "run", "hello.fm", "--json"), ("flowc", "build", "hello.fm", "--json")):
        done = shell(*arguments)
        assert [one["code"] for one in done.json()["warnings"]] == ["A101"]
        assert done.err == ""
    done = shell("flowc", "build", "hello.fm")
    assert "A101" in done.err
    assert done.out.startswith("hello.fmc")
    checked = shell("flowc", "check", "hello.fm")
    assert (checked.code, "A101" in checked.err, checked.out) == (0, True, "1 checked, no errors\n")


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
    assert (built["artifact"], built["name"]) == ("zhop.fmc", "zhop")
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
