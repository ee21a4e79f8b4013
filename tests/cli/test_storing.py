"""flowvm scrub, backup, restore and store, as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store.layout import ARTIFACTS, DEPLOYED, META, PROCESSES, READY, STATUSES, pid_key
from tests.cli.shell import Shell
from tests.store.test_sealing import Raw, make_store

Flowvm = Callable[..., Any]


@pytest.fixture
def flowvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flowvm:
    monkeypatch.chdir(tmp_path)
    command = Shell(monkeypatch, capsys)

    def run(*words: str, **variables: str) -> Any:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return command("flowvm", *words)

    return run


def test_scrub_backup_restore(tmp_path: Path, flowvm: Flowvm) -> None:
    make_store(tmp_path / "s").close()
    found = flowvm("scrub", "--store", "s", "--json")
    report = json.loads(found.out)
    assert found.code == 0 and report["processes"] == 6 and report["found"] == 0
    assert flowvm("backup", "s", "b").code == 0
    again = flowvm("backup", "s", "b")
    assert again.code == 4 and "S318" in again.err
    with Raw(tmp_path / "s") as raw:
        raw.flip(PROCESSES, pid_key(2))
    found = flowvm("scrub", "--store", "s")
    assert found.code == 1
    assert "damaged: processes 0000000002: its checksum is wrong" in found.out
    assert "1 damaged or inconsistent" in found.out
    refused = flowvm("backup", "s", "other", "--json")
    error = json.loads(refused.err)["error"]
    assert refused.code == 1 and f"`flowvm scrub --store {tmp_path / 's'}`" in json.dumps(error)
    restored = flowvm("restore", "b", "r", "--json")
    assert restored.code == 0 and json.loads(restored.out)["processes"] == 6
    assert "6 processes" in flowvm("scrub", "--store", "r").out
    assert flowvm("scrub", "--store", "none").code == 6
    assert flowvm("scrub", "--store", "http://localhost:1").code == 1


def test_a_backup_is_neither_served_nor_pruned(tmp_path: Path, flowvm: Flowvm) -> None:
    make_store(tmp_path / "s").close()
    assert flowvm("backup", "s", "b").code == 0
    for words in (("serve", "--port", "0"), ("prune", "--keep", "1")):
        done = flowvm(*words, "--store", "b")
        assert done.code == 6 and "S317" in done.err and "flowvm restore" in done.err, words
    assert flowvm("prune", "--keep", "1", "--dry-run", "--store", "b").code == 0


def test_repair(tmp_path: Path, flowvm: Flowvm) -> None:
    make_store(tmp_path / "s").close()
    with Raw(tmp_path / "s") as raw:
        raw.flip(STATUSES, raw.items(STATUSES)[0][0])
        raw.flip(READY, raw.items(READY)[1][0])
    assert flowvm("scrub", "--store", "s").code == 1
    mended = flowvm("scrub", "--repair", "--store", "s", "--json")
    report = json.loads(mended.out)
    assert mended.code == 0 and report["mended"] == 2 and report["found"] == 0
    assert "0 entries of indexes made whole" in flowvm("scrub", "--repair", "--store", "s").out


def test_deploying_again_mends_what_a_deploy_writes(shell: Shell, tmp_path: Path) -> None:
    """The artifact, the library and what points at it, the name, and its grants."""
    assert shell("flowvm", "deploy", "hello.fm", "--store", "s").code == 0
    count = 0
    with Raw(tmp_path / "s") as raw:
        for space, prefix in ((ARTIFACTS, b""), (DEPLOYED, b""), (META, b"grants")):
            for key, _ in raw.items(space):
                if key.startswith(prefix):
                    raw.flip(space, key)
                    count += 1
    assert count >= 4
    found = shell("flowvm", "scrub", "--store", "s", "--json").json()
    assert found["found"] >= count
    assert shell("flowvm", "deploy", "hello.fm", "--store", "s").code == 0
    assert shell("flowvm", "scrub", "--store", "s", "--json").json()["found"] == 0


def test_keys(tmp_path: Path, flowvm: Flowvm) -> None:
    pytest.importorskip("cryptography")
    make_store(tmp_path / "s").close()
    for name in ("k1", "k2"):
        made = flowvm("store", "key")
        assert made.code == 0 and len(bytes.fromhex(made.out.strip())) == 32
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(made.out)
    assert flowvm("store", "encrypt", "--store", "s").code == 2
    assert flowvm("store", "encrypt", "--store", "s", "--key-file", "k1").code == 0
    assert "S312" in flowvm("ps", "--store", "s").err
    assert flowvm("ps", "--store", "s", FLOWMETAL_STORE_KEY_FILE="k1").out.count("f") >= 6
    (tmp_path / "flowmetal.toml").write_text('[store]\nkey = {file = "k1"}\n')
    assert flowvm("ps", "--store", "s").code == 0
    for words in (["queue", "list"], ["schedule", "list"], ["programs"], ["prune", "--dry-run", "--keep", "1"]):
        assert flowvm(*words, "--store", "s").code == 0, words
    rotated = flowvm("store", "rotate-key", "--store", "s", "--json")
    assert rotated.code == 0 and json.loads(rotated.out)["generation"] == 2
    assert flowvm("store", "rewrap", "--store", "s").code == 2
    assert flowvm("store", "rewrap", "--store", "s", "--new-key-file", "k2").code == 0
    assert "S313" in flowvm("inspect", "1", "--store", "s").err
    (tmp_path / "flowmetal.toml").write_text('[store]\nkey = {command = ["cat", "k2"]}\n')
    assert flowvm("inspect", "1", "--store", "s").code == 0
    assert "encrypted)" in flowvm("scrub", "--store", "s").out
    assert flowvm("store", "nothing").code == 2
    for settings in ('[store]\nkee = {file = "k"}', '[store]\nkey = "k1"', "store = 3"):
        (tmp_path / "flowmetal.toml").write_text(settings)
        assert flowvm("ps", "--store", "s").code == 2
