"""What commands do with files that are none, with input without an end, and with output that nobody can keep."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.cli import common
from flowmetal.cli.checking import check_files
from flowmetal.cli.forms import evaluate_lines, free_bounds
from flowmetal.diagnostics import FlowmetalError, render
from flowmetal.engine import files
from flowmetal.engine.build import build_artifact
from flowmetal.values import JsonError, json_value

START = "import sys\nfrom flowmetal.cli import start\nsys.exit(getattr(start, sys.argv.pop(1))())"


def run(folder: Path, *arguments: str, given: bytes = b"", to: str | None = None) -> tuple[int, str, str]:
    """A command as it is started from a shell -> exit code, standard output, standard error."""
    with open(to or os.devnull, "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", START, *arguments],
            cwd=folder,
            input=given,
            stdout=full if to else subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    error = done.stderr.decode()
    assert "Traceback" not in error and "U900" not in error and "Exception ignored" not in error, error
    return done.returncode, (done.stdout or b"").decode(), error


@pytest.mark.parametrize(
    "command",
    [
        ("flowc", "check"), ("flowc", "build"), ("flowc", "fmt", "--check"), ("flowc", "test"), ("flowc", "disasm"),
        ("flowvm", "run"), ("flowvm", "eval"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_only_regular_files_are_read(command: tuple[str, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fm")
    code, _, error = run(tmp_path, *command, "pipe.fm")
    assert (code, "[U111]" in error, "a pipe" in error) == (2, True, True), error


def test_devices_folders_and_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", files.READ_MAX + 1)
    (tmp_path / "link").symlink_to("/dev/zero")
    for path, code in (
        ("/dev/zero", "U111"), (tmp_path / "link", "U111"), (tmp_path, "U111"), (tmp_path / "none", "U101"),
        ("a\0b", "U101"), (tmp_path / "sparse", "U112"),
    ):  # fmt: skip
        with pytest.raises(FlowmetalError) as raised:
            files.read_file(path)
        assert raised.value.code == code
    (tmp_path / "ok").write_bytes(b"12345")
    assert files.read_file(tmp_path / "ok") == b"12345"
    with open("/dev/zero", "rb") as endless, pytest.raises(FlowmetalError) as raised:
        files.read_stream(endless, limit=1000)
    assert raised.value.code == "U112"


def test_standard_input_is_a_dash(tmp_path: Path) -> None:
    assert run(tmp_path, "flowc", "check", "-", given=b"(defn f [] 1)") == (0, "1 checked, no errors\n", "")
    code, _, error = run(tmp_path, "flowc", "check", "-", given=b"(defn f [] (g))")
    assert code == 1 and "<stdin>:1:13" in error and "(defn f [] (g))" in error
    assert run(tmp_path, "flowvm", "run", "-", given=b"(ns x) (defn main [] 42)") == (0, "42\n", "")
    artifact = build_artifact({"x.fm": "(ns x)\n(defn main [] 43)"}).data
    assert run(tmp_path, "flowvm", "run", "-", given=artifact) == (0, "43\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "command",
    [("flowvm", "run", "x.fmc"), ("flowvm", "eval", "-e", "1"), ("flowc", "--version"), ("flowc", "check", "x.fmc", "--json"),
     ("flowc", "explain")],
    ids=" ".join,
)  # fmt: skip
def test_a_full_disk_behind_standard_output(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "x.fmc").write_bytes(build_artifact({"x.fm": "(ns x)\n(defn main [] 43)"}).data)
    code, _, error = run(tmp_path, *command, to="/dev/full")
    assert code == 1 and "U113" in error and "No space left" in error, error


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bad.fm").write_bytes(b"(+ 1 \xff 2)\n")
    code, _, error = run(tmp_path, "flowvm", "eval", "bad.fm")
    assert code == 1 and "[R070]" in error and "R071" not in error


def test_nothing_to_evaluate(tmp_path: Path) -> None:
    code, _, error = run(tmp_path, "flowvm", "eval")
    assert code == 2 and "[U114]" in error and "flowvm eval -e '(+ 1 2)'" in error


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    lines = [b"{", b"\xff", b"[" * 100_000, b'{"src": 1}', b'{"src": "1"} x', b"1" * 5000, b'{"a": "\\x"}', b"NaN"]
    code, out, _ = run(tmp_path, "flowvm", "eval", "--jsonl", given=b"\n".join(lines))
    answers = [json.loads(line)["error"] for line in out.splitlines()]
    assert code == 0 and len(answers) == len(lines) and {one["code"] for one in answers} == {"U121"}
    for one in answers:
        for leaked in ("char ", "codec", "Expecting", "Error", "str'", "int_max", "delimiter"):
            assert leaked not in one["message"]
    assert "a key in double quotes is missing at line 1, column 2" in answers[0]["message"]


def test_json_that_is_wrong_is_told_in_our_words() -> None:
    for text, words in (
        ("", "a value is missing at line 1, column 1"),
        ('{"a" 1}', "a `:` is missing at line 1, column 6"),
        ("[1 2]", "a `,` is missing at line 1, column 4"),
        ("1 2", "there is more after the value at line 1, column 3"),
        ('"\\q"', "a string has an escape that is none at line 1, column 2"),
        ("1" * 5000, "it has an integer of too many digits"),
        ("NaN", "NaN is not a JSON number"),
    ):
        with pytest.raises(JsonError) as raised:
            json_value(text)
        assert str(raised.value) == words


@pytest.mark.parametrize(
    ("asked", "named", "not_named"),
    [("A999", "A9", "hello"), ("unkown", "A101 (unknown name)", "H101"), ("module", "unknown module", "H101"),
     ("zzzzqqq", "`flowc explain` lists;", "perhaps")],
)  # fmt: skip
def test_explaining_what_is_no_code(asked: str, named: str, not_named: str, tmp_path: Path) -> None:
    code, _, error = run(tmp_path, "flowc", "explain", asked)
    said = " ".join(error.split())
    assert code == 2 and not_named not in said.replace(f"`{asked}`", "")
    assert named in said or asked in ("A999", "zzzzqqq")


def test_one_file_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.fm").write_text("(ns a)\n")
    assert run(tmp_path, "flowc", "fmt", "--check", "a.fm")[1] == "1 file, 0 would change\n"


def test_a_result_while_nobody_serves(tmp_path: Path) -> None:
    (tmp_path / "x.fmc").write_bytes(build_artifact({"x.fm": "(ns x)\n(defn main [] 43)"}).data)
    assert run(tmp_path, "flowvm", "deploy", "x.fmc", "--store", "s")[0] == 0
    assert run(tmp_path, "flowvm", "start", "x/main", "--store", "s")[0] == 0
    code, _, error = run(tmp_path, "flowvm", "result", "1", "--store", "s")
    assert code == 7 and "[U115]" in error and "flowvm serve --store" in error, error


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="the system has no /dev/zero")
def test_a_prompt_reads_no_line_without_an_end(tmp_path: Path) -> None:
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            [sys.executable, "-c", START, "flowvm", "repl"],
            cwd=tmp_path, stdin=endless, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, b"[U112]" in done.stderr) == (2, True), done.stderr


def test_the_cause_of_an_error_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.fm").write_text("""(ns t)
(defn inner [x] (let [y 2] (+ x y)))
(defn main []
  (try (+ 1 (inner nil))
    (catch _ e (throw (error :my/kind "outer" nil e)))))
""")
    code, _, error = run(tmp_path, "flowvm", "run", "t.fm")
    assert code == 8
    assert error.splitlines() == [
        "failed: :my/kind outer",
        "  at t/main t.fm:5",
        "  caused by :type `+` needs numbers, not nil",
        "  at t/inner t.fm:2",
        "  at t/main t.fm:4",
    ]


def test_a_line_without_an_end_is_answered_once() -> None:
    source, to = EndlessZeros(), io.BytesIO()
    assert evaluate_lines(source, to, free_bounds()) == common.FAILED  # type: ignore[arg-type]
    (answer,) = to.getvalue().splitlines()
    assert json.loads(answer)["error"]["code"] == "U121"


class EndlessZeros:
    def readline(self, size: int) -> bytes:
        return bytes(size)


def test_a_folder_is_checked_beyond_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.fm").write_text("(ns a)\n(defn main [] (nope))")
    os.mkfifo(tmp_path / "b.fm")
    (tmp_path / "c.fm").symlink_to("/proc/self/mem")
    assert check_files([str(tmp_path)], strict=False, as_json=False) == common.USAGE
    told = capsys.readouterr().err
    assert [code for code in ("[U111]", "[U118]", "[A101]") if code in told] == ["[U111]", "[U118]", "[A101]"]
    with pytest.raises(FlowmetalError) as raised:
        check_files(["/proc/self/mem"], strict=False, as_json=False)
    assert raised.value.code == "U118"


def test_the_hint_for_a_pipe_and_none_for_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FlowmetalError) as raised:
        files.read_file(tmp_path / "pipe")
    assert "read as `-`" in render(raised.value.diagnostic, {}, False)
    with pytest.raises(FlowmetalError) as raised:
        files.read_file(tmp_path)
    assert "read as" not in render(raised.value.diagnostic, {}, False)
