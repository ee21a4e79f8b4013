"""`flowvm eval`, run as a person or a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FLOWVM = [sys.executable, "-m", "flowmetal.cli.flowvm"]


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run([*FLOWVM, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_expressions_files_and_standard_input(tmp_path: Path) -> None:
    assert run("eval", "-e", '(println "hi") (def x 2)', "-e", "(* x 3)") == (0, "hi\n6\n", "")
    assert run("eval", "-", stdin=b'(str "a" \\b)') == (0, '"ab"\n', "")
    source = tmp_path / "forms.fm"
    source.write_text("(defn f [x] (inc x))\n(f :a)\n")
    code, out, err = run("eval", str(source))
    assert (code, out) == (1, "")
    assert "[U120]" in err and ":type" in err and "user/f" in err and "forms.fm:1" in err


def test_errors_are_rendered() -> None:
    code, out, err = run("eval", "-e", "(shcedule 1)")
    assert (code, out) == (1, "")
    assert "[A101]" in err and "^^^^^^^^" in err
    assert run("eval", "-e", "(range)")[0] == 1
    code, _, err = run("eval", "-e", "(perform :nobody/serves 1)")
    assert code == 1 and "nobody here serves nobody/serves" in err
    assert run("eval")[0] == 2


def test_a_program_a_line() -> None:
    lines = [
        b'{"src": "(def x 1) (println x) (inc x)"}',
        b'{"src": "x"}',
        b'{"src": "(throw (ex-info \\"no\\" {}))"}',
        b"{bad",
        b"",
        b"\xff\xfe",
        b'{"src": "\\ud800"}',
        b'{"src": 1}',
        b"[" * 100_000,
        b"x" * 2_000_000,
        b'{"src": "(loop [s \\"ab\\"] (recur (str s s)))"}',
        b'{"src": "(repeat 1)"}',
        b'{"src": "(loop [] (recur))"}',
        b'{"src": "(defn f [n] (inc (f n))) (f 1)"}',
        b'{"src": "' + b"(" * 50_000 + b'"}',
        '{"src": "[1/2 \\"é\\" :k]"}'.encode(),
    ]
    code, out, err = run("eval", "--jsonl", "--fuel", "300000", stdin=b"\n".join(lines) + b"\n")
    answers = [json.loads(line) for line in out.splitlines()]
    found = [one.get("value") or one["error"]["code"] for one in answers]
    assert found == [
        "2", "A101", ":error", "U121", "U121", "U121", "R071", "U121", "U121", "U121", ":limit", "U122",
        ":flowmetal/limit", ":flowmetal/limit", "R001", '[1/2 "é" :k]',
    ]  # fmt: skip
    assert answers[0]["out"] == "1\n"
    assert (code, err) == (0, "")


def test_evaluating_loads_no_server() -> None:
    code = (
        "import sys\nsys.argv = ['flowvm', 'eval', '-e', '1']\n"
        "from flowmetal.cli.flowvm import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'lmdb', 'pydantic', 'asyncio', 'httpx2', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
