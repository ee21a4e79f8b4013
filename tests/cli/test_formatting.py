"""`flowc fmt` as a command: what it writes where, how it ends, what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowmetal.cli import formatting
from flowmetal.cli.flowc import app
from flowmetal.diagnostics import FlowmetalError

ROUGH, SMOOTH = b"(a\nb  )", b"(a\n b)\n"


def fmt(*arguments: object, text: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["fmt", *map(str, arguments)], input=text)


def test_files_are_written_with_their_mode_and_through_links(tmp_path: Path) -> None:
    file, link = tmp_path / "a.fm", tmp_path / "l.fm"
    file.write_bytes(ROUGH)
    file.chmod(0o640)
    link.symlink_to(file)
    assert fmt(link).exit_code == 0
    assert file.read_bytes() == SMOOTH
    assert file.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["a.fm", "l.fm"]


def test_check_and_diff_write_nothing(tmp_path: Path) -> None:
    rough = tmp_path / "rough.fm"
    rough.write_bytes(ROUGH)
    (tmp_path / "smooth.fm").write_bytes(SMOOTH)
    checked, shown = fmt(tmp_path, "--check"), fmt(tmp_path, "--diff")
    assert checked.exit_code == shown.exit_code == 1
    assert str(rough) in checked.stdout and "smooth.fm" not in checked.stdout
    assert "+ b)" in shown.stdout
    assert rough.read_bytes() == ROUGH
    assert fmt(tmp_path).exit_code == fmt(tmp_path, "--check").exit_code == 0


def test_standard_input() -> None:
    done = fmt("-", text=ROUGH)
    assert (done.exit_code, done.stdout_bytes) == (0, SMOOTH)
    assert fmt("-", "--check", text=ROUGH).exit_code == 1
    assert fmt("-", "--check", text=SMOOTH).exit_code == 0
    shown = fmt("-", "--diff", text=ROUGH)
    assert shown.exit_code == 1 and "+ b)" in shown.stdout
    assert fmt("-", "--diff", text=SMOOTH).stdout == ""


def test_a_file_with_errors_is_left_alone_and_the_others_are_written(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.fm", tmp_path / "good.fm"
    bad.write_bytes(b"\xff (")
    good.write_bytes(ROUGH)
    done = fmt(tmp_path)
    assert done.exit_code == 1
    assert (bad.read_bytes(), good.read_bytes()) == (b"\xff (", SMOOTH)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.fm"
    file.write_bytes(ROUGH)

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(formatting.tempfile, "mkstemp", refuse)
    done = fmt(file)
    assert isinstance(done.exception, FlowmetalError) and done.exception.code == "U108"
    assert file.read_bytes() == ROUGH


def test_the_library_and_the_examples_are_formatted() -> None:
    root = Path(__file__).parents[2]
    done = fmt(root / "stdlib", root / "examples", "--check")
    assert done.exit_code == 0, done.stdout
