"""`flowvm schedule`, as from a shell: making, showing, pausing, running, and what is refused with which words."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from flowmetal.cli import flowvm
from flowmetal.client import connect
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.server import HttpServer
from flowmetal.server.config import read_config
from flowmetal.store import open_store


class Shell:
    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._patch.setattr("sys.argv", ["flowvm", *arguments])
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            flowvm.main()
        out, err = self._capture.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(monkeypatch, capsys)


def test_a_schedule_from_the_shell(shell: Shell) -> None:
    Path("tick.fm").write_text("(ns tick)\n(defn main [n run] [n (:number run)])\n")
    assert shell("deploy", "tick.fm", "-s", "st")[0] == 0
    code, out, _ = shell(
        "schedule", "put", "t", "--every", "1s", "--program", "tick", "--arg", '{"a": 1}', "--pass-run", "-s", "st"
    )
    assert code == 0 and out.startswith("schedule t: next run 20")
    shell(
        "schedule", "put", "nightly", "--cron", "0 3 * * *", "--zone", "Europe/Berlin", "--program", "tick", "-s", "st",
        "--arg", "1", "--arg", "2",
    )  # fmt: skip
    with closing(open_store("st")) as store:
        interpreter = Interpreter(store, Config())
        interpreter.start()
        try:
            give_up = time.monotonic() + 20
            while not store.processes(statuses=["done"]) and time.monotonic() < give_up:
                time.sleep(0.05)
        finally:
            interpreter.stop()
        code, out, _ = shell("schedule", "show", "t", "--json", "-s", "st")
        shown = json.loads(out)
        assert shown["runs"] >= 1 and len(shown["coming"]) == 5
        first = shown["recent"][-1]
        assert first["outcome"] == "started"
        code, out, _ = shell("result", str(first["pid"]), "-s", "st")
        assert json.loads(out) == [{"a": 1}, 1]
    code, out, _ = shell("schedule", "list", "-s", "st")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "nightly", "t"]
    code, out, _ = shell("schedule", "next", "nightly", "--next", "3", "-s", "st")
    assert len(out.splitlines()) == 3 and all(line[11:16] in ("01:00", "02:00") for line in out.splitlines())
    assert shell("schedule", "pause", "t", "-s", "st")[1] == "schedule t paused\n"
    assert "paused" in shell("schedule", "list", "-s", "st")[1]
    assert shell("schedule", "resume", "t", "-s", "st")[1] == "schedule t goes on\n"
    code, out, _ = shell("schedule", "run", "t", "--force", "-s", "st")
    assert code == 0 and "was started" in out
    code, out, _ = shell("schedule", "show", "t", "-s", "st")
    assert code == 0 and "COMING" in out and "started" in out
    assert shell("schedule", "delete", "t", "-s", "st")[1] == "schedule t removed\n"
    assert json.loads(shell("schedule", "list", "--json", "-s", "st")[1])["schedules"][0]["name"] == "nightly"


REFUSED = [
    (("put", "x", "--cron", "0 25 * * *", "--program", "p"), "S225", "character 3"),
    (("put", "x", "--cron", "0 3 * * *", "--zone", "Europe/Berln", "--program", "p"), "S226", "Europe/Berlin"),
    (("put", "x", "--every", "soon", "--program", "p"), "S227", "a duration"),
    (("put", "x", "--every", "1h"), "S227", "program"),
    (("put", "x", "--every", "1h", "--program", "p", "--arg", "{"), "", "argument 1"),
    (("put", "x", "--every", "1h", "--catch-up-max", "many", "--program", "p"), "U103", "--catch-up-max"),
    (("show", "dayly"), "S228", "daily"),
    (("show",), "U136", "the name of a schedule"),
    (("list", "x"), "U136", "no name"),
    (("pause", "daily", "--cron", "* * * * *"), "U135", "put"),
    (("next", "daily", "--force"), "U135", "run"),
    (("next", "daily", "--next", "0"), "U103", "--next"),
    (("strat", "daily"), "U103", "list, put"),
]


@pytest.mark.parametrize(("arguments", "code", "part"), REFUSED, ids=[" ".join(row[0])[:40] for row in REFUSED])
def test_what_is_refused(shell: Shell, arguments: tuple[str, ...], code: str, part: str) -> None:
    open_store("st").close()
    assert shell("schedule", "put", "daily", "--cron", "@daily", "--program", "p", "-s", "st")[0] == 0
    exit_code, out, err = shell("schedule", *arguments, "-s", "st")
    assert exit_code not in (0, 1) and out == ""
    assert code in err and part in err, err


def test_the_same_over_http(shell: Shell, tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "st")) as store:
        server = HttpServer(store, read_config({"serve": {"port": 0}}))
        server.start()
        try:
            code, out, _ = shell("schedule", "put", "d", "--cron", "@daily", "--program", "p", "-s", server.url)
            assert code == 0 and out.startswith("schedule d: next run 20")
            assert "@daily UTC" in shell("schedule", "list", "-s", server.url)[1]
            code, _, err = shell("schedule", "put", "d", "--cron", "0 3 * * 9", "--program", "p", "-s", server.url)
            assert code != 0 and "character 9" in err
            with connect(server.url) as client:
                assert len(client.operate("schedule/next", {"name": "d", "count": 2})) == 2
        finally:
            server.stop()
