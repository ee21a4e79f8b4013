"""flowvm scrub, backup, restore and store, as people type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from flowmetal.store.layout import PROCESSES, READY, STATUSES, pid_key
from tests.store.test_sealing import Raw, make_store

ROOT = Path(__file__).resolve().parent.parent.parent


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def flowvm(folder: Path, *words: str, **variables: str) -> Ran:
    ran = subprocess.run(
        [sys.executable, "-c", "from flowmetal.cli.start import flowvm; flowvm()", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_scrub_backup_restore(tmp_path: Path) -> None:
    make_store(tmp_path / "s").close()
    found = flowvm(tmp_path, "scrub", "--store", "s", "--json")
    report = json.loads(found.out)
    assert found.code == 0 and report["processes"] == 6 and report["found"] == 0
    assert flowvm(tmp_path, "backup", "s", "b").code == 0
    again = flowvm(tmp_path, "backup", "s", "b")
    assert again.code == 4 and "S318" in again.err
    with Raw(tmp_path / "s") as raw:
        raw.flip(PROCESSES, pid_key(2))
    found = flowvm(tmp_path, "scrub", "--store", "s")
    assert found.code == 1
    assert "damaged: processes 0000000002: its checksum is wrong" in found.out
    assert "1 damaged or inconsistent" in found.out
    assert flowvm(tmp_path, "backup", "s", "other").code == 1
    restored = flowvm(tmp_path, "restore", "b", "r", "--json")
    assert restored.code == 0 and json.loads(restored.out)["processes"] == 6
    assert "6 processes" in flowvm(tmp_path, "scrub", "--store", "r").out
    assert flowvm(tmp_path, "scrub", "--store", "none").code == 6
    assert flowvm(tmp_path, "scrub", "--store", "http://localhost:1").code == 1


def test_repair(tmp_path: Path) -> None:
    make_store(tmp_path / "s").close()
    with Raw(tmp_path / "s") as raw:
        raw.flip(STATUSES, raw.items(STATUSES)[0][0])
        raw.flip(READY, raw.items(READY)[1][0])
    assert flowvm(tmp_path, "scrub", "--store", "s").code == 1
    mended = flowvm(tmp_path, "scrub", "--repair", "--store", "s", "--json")
    report = json.loads(mended.out)
    assert mended.code == 0 and report["mended"] == 2 and report["found"] == 0
    assert "0 entries of indexes made whole" in flowvm(tmp_path, "scrub", "--repair", "--store", "s").out


def test_keys(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    make_store(tmp_path / "s").close()
    for name in ("k1", "k2"):
        made = flowvm(tmp_path, "store", "key")
        assert made.code == 0 and len(bytes.fromhex(made.out.strip())) == 32
        (tmp_path / name).write_text(made.out)
    assert flowvm(tmp_path, "store", "encrypt", "--store", "s").code == 2
    assert flowvm(tmp_path, "store", "encrypt", "--store", "s", "--key-file", "k1").code == 0
    assert "S312" in flowvm(tmp_path, "ps", "--store", "s").err
    assert flowvm(tmp_path, "ps", "--store", "s", FLOWMETAL_STORE_KEY_FILE="k1").out.count("f") >= 6
    (tmp_path / "flowmetal.toml").write_text('[store]\nkey = {file = "k1"}\n')
    assert flowvm(tmp_path, "ps", "--store", "s").code == 0
    rotated = flowvm(tmp_path, "store", "rotate-key", "--store", "s", "--json")
    assert rotated.code == 0 and json.loads(rotated.out)["generation"] == 2
    assert flowvm(tmp_path, "store", "rewrap", "--store", "s").code == 2
    assert flowvm(tmp_path, "store", "rewrap", "--store", "s", "--new-key-file", "k2").code == 0
    assert "S313" in flowvm(tmp_path, "inspect", "1", "--store", "s").err
    (tmp_path / "flowmetal.toml").write_text('[store]\nkey = {command = ["cat", "k2"]}\n')
    assert flowvm(tmp_path, "inspect", "1", "--store", "s").code == 0
    assert "encrypted)" in flowvm(tmp_path, "scrub", "--store", "s").out
    assert flowvm(tmp_path, "store", "nothing").code == 2
    for settings in ('[store]\nkee = {file = "k"}', '[store]\nkey = "k1"', "store = 3"):
        (tmp_path / "flowmetal.toml").write_text(settings)
        assert flowvm(tmp_path, "ps", "--store", "s").code == 2
