"""`flowvm prune`, and what the other commands say of what it removed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from flowmetal.client import connect
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from tests.cli.shell import Shell


@pytest.fixture
def ended(shell: Shell, tmp_path: Path) -> Path:
    """A store with three processes that have ended, the second with an id."""
    assert shell("flowvm", "deploy", "hello.fm", "--store", "s").code == 0
    store = open_store(tmp_path / "s")
    interpreter = Interpreter(store, Config())
    interpreter.start()
    with connect(store) as client:
        for id in (None, "mine", None):
            client.result(client.start("hello/main", id=id), 30)
    interpreter.stop()
    store.close()
    return tmp_path / "s"


def test_prune(shell: Shell, ended: Path) -> None:
    assert shell("flowvm", "prune", "--store", "s").code == 2  # told nothing
    assert shell("flowvm", "prune", "--store", "s", "--older-than", "soon").code == 2
    assert shell("flowvm", "prune", "--store", "s", "--keep", "-1").code == 2
    found = shell("flowvm", "prune", "--store", "s", "--keep", "1", "--dry-run", "--json").json()
    assert (found["processes"], found["by_program"], found["pids"]) == (2, {"hello": 2}, [2, 1])
    assert (
        shell("flowvm", "prune", "--store", "s", "--keep", "1", "--program", "other", "--json").json()["processes"] == 0
    )
    assert shell("flowvm", "prune", "--store", "s", "--older-than", "1d", "--json").json()["processes"] == 0
    done = shell("flowvm", "prune", "--store", "s", "--keep", "1")
    assert done.code == 0 and done.out.startswith("2 ended processes removed")
    for command in ("history", "inspect", "result"):
        gone = shell("flowvm", command, "1", "--store", "s", "--json")
        assert gone.code == 3 and gone.error()["code"] == "S308", command
    assert shell("flowvm", "history", "mine", "--store", "s", "--json").error()["code"] == "U104"
    assert shell("flowvm", "history", "9", "--store", "s", "--json").error()["code"] == "U104"
    assert [one["pid"] for one in shell("flowvm", "ps", "--store", "s", "--json").json()["processes"]] == [3]


def test_prune_by_the_settings(shell: Shell, ended: Path) -> None:
    (ended.parent / "flowmetal.toml").write_text("[retention.programs.hello]\nkeep = 2\n")
    assert shell("flowvm", "prune", "--store", "s", "--json").json()["pids"] == [1]
    (ended.parent / "flowmetal.toml").write_text('[retention]\nolder_than = "x"\n')
    assert shell("flowvm", "prune", "--store", "s").code == 2


def test_times_are_written_as_for_ps(shell: Shell, ended: Path) -> None:
    assert shell("flowvm", "prune", "--store", "s", "--older-than", "90", "--json").json()["processes"] == 0
    assert shell("flowvm", "prune", "--store", "s", "--older-than", "1w", "--json").json()["processes"] == 0
    wrong = shell("flowvm", "prune", "--store", "s", "--older-than", "7x")
    assert wrong.code == 2 and "`7x`" in wrong.err
    with closing(open_store(ended)) as store, connect(store) as client:
        for _ in range(25):
            pid = client.start("hello/main")
            client.kill(pid)
    told = shell("flowvm", "prune", "--store", "s", "--keep", "1", "--dry-run").out
    assert "and 7 more" in told and max(map(len, told.splitlines())) < 120


def test_a_mailbox_is_shown(shell: Shell, tmp_path: Path) -> None:
    """`flowvm mailbox` page by page; data of the language is sent with --edn."""
    Path(tmp_path / "waits.fm").write_text("(ns waits) (defn main [] (receive :go :gone))")
    assert shell("flowvm", "deploy", "waits.fm", "--store", "s").code == 0
    pid = shell("flowvm", "start", "waits/main", "--store", "s").out.strip()
    assert shell("flowvm", "send", pid, '{"n": 1}', "--store", "s").code == 0
    assert shell("flowvm", "send", pid, "--edn", "[:a #{1}]", "--store", "s").code == 0
    assert shell("flowvm", "send", pid, "--edn", "[:a", "--store", "s").code != 0
    found = shell("flowvm", "mailbox", pid, "--store", "s", "--json").json()
    assert (found["waiting"], [one["text"] for one in found["messages"]]) == (2, ["{:n 1}", "[:a #{1}]"])
    first = shell("flowvm", "mailbox", pid, "--store", "s", "--limit", "1")
    assert "2 messages in all" in first.out and "more with --after" in first.out
    assert "mailbox: 2 messages" in shell("flowvm", "inspect", pid, "--store", "s").out
    assert shell("flowvm", "mailbox", "99", "--store", "s").code == 3
