"""`flowc` and `flowvm` on hostile files: the commands themselves, in this process, on artifacts, sources and settings.

A command ends with a documented exit code, and says why where that is not 0; what no one foresaw is U900 and counts as
found.  Sources run with nothing granted, as artifacts do.  A program may run or wait for as long as it likes: Ctrl-C
comes after a while and has to end it with 130.
"""

from __future__ import annotations

import atexit
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.hostile import artifacts, corpus
from tests.hostile.running import Found

ROOT = Path(__file__).parents[2]
_KEPT = ROOT / "tests" / "fuzz" / "corpus"

#: Until Ctrl-C, on the clock.
PATIENCE = 0.4

PROJECT = """[project]
name = "shop"
main = "shop.main"
source = ["src"]
test = ["test"]
output = "build/shop.fmc"

[trust]
require_signed = false

[grants]
shop = ["http/request=api.example.com", "store"]

[queues.slow]
concurrency = 2
rate = "100/1m"

[schedules.nightly]
cron = "0 3 * * *"
program = "shop"
function = "shop.main/main"

[secrets.api]
env = "API"
hosts = ["api.example.com"]
"""

KINDS = ("fmc", "fm", "toml")
_ARTIFACT = (
    ("flowc", "check", "x.fmc"), ("flowc", "effects", "x.fmc"), ("flowc", "effects", "--all", "x.fmc", "--json"),
    ("flowc", "disasm", "x.fmc"), ("flowc", "disasm", "x.fmc", "--json"), ("flowc", "verify", "x.fmc", "--key", "x.pub"),
    ("flowvm", "run", "x.fmc"), ("flowvm", "run", "x.fmc", "--json"), ("flowvm", "run", "x.fmc", "--grant", "kv/putt"),
    ("flowvm", "deploy", "x.fmc", "--store", "store"),
    ("flowvm", "deploy", "x.fmc", "--store", "store", "--json", "--grant", "htp/request"),
)  # fmt: skip
_SOURCE = (
    ("flowc", "check", "x.fm"), ("flowc", "check", "x.fm", "--json", "-W"), ("flowc", "effects", "x.fm"),
    ("flowc", "disasm", "x.fm"), ("flowc", "build", "x.fm", "-o", "out.fmc"),
    ("flowc", "build", "x.fm", "-o", "out.fmc", "--json", "--strip"), ("flowvm", "run", "x.fm", "--grant", "none"),
    ("flowvm", "deploy", "x.fm", "--store", "store", "--grant", "none"),
)  # fmt: skip
_SETTINGS = (
    ("flowc", "check", "p"), ("flowc", "build", "p", "-o", "out.fmc", "--json"), ("flowc", "effects", "p"),
    ("flowvm", "run", "p", "--grant", "none"),
    ("flowvm", "deploy", "plain.fmc", "--store", "store", "--config", "p/flowmetal.toml"),
)  # fmt: skip
COMMANDS = {"fmc": _ARTIFACT, "fm": _SOURCE, "toml": _SETTINGS}

_NEVER = re.compile(r"Traceback \(most recent call last\)|\[U900\]|\"code\": \"U900\"")


@cache
def documented() -> frozenset[int]:
    """The exit codes of docs/cli.md."""
    text = (ROOT / "docs" / "cli.md").read_text()
    return frozenset(
        int(one) for one in re.findall(r"^\| (\d+) \| ", text.split("## Exit codes")[1].split("\n## ")[0], re.M)
    )


@cache
def originals(kind: str) -> list[bytes]:
    """What is changed, and what the fuzzers kept."""
    if kind == "fmc":
        return [*corpus.artifacts(), *_kept("artifact"), *_kept("signatures")]
    if kind == "fm":
        golden = (ROOT / "tests" / "golden" / "programs").rglob("*.fm")
        return [*(one.read_bytes() for one in sorted(golden) if one.stat().st_size < 8_000), *_kept("reader")]
    return [PROJECT.encode(), *_kept("config")]


def _kept(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((_KEPT / target).iterdir())]


def prepare() -> None:
    """A folder for all of it, and every command once, so that nothing is imported or made later."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    enter(folder / "first")
    for kind, rows in COMMANDS.items():
        write(kind, originals(kind)[0])
        for row in rows:
            run(*row)


def enter(folder: Path | None = None) -> None:
    """Goes on in a folder where nothing is yet but what commands need; without one, in one for this process."""
    folder = folder or Path.cwd().parent / f"process-{os.getpid()}"
    folder.mkdir()
    os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = str(folder)
    os.chdir(folder)
    (folder / "p" / "src" / "shop").mkdir(parents=True)
    (folder / "p" / "test").mkdir()
    (folder / "p" / "src" / "shop" / "main.fm").write_text("(ns shop.main)\n(defn main [] 1)\n")
    (folder / "plain.fmc").write_bytes(corpus.artifacts()[0])
    run("flowc", "keygen", "x")


def write(kind: str, data: bytes) -> None:
    """Puts an input where commands look for it."""
    Path("p/flowmetal.toml" if kind == "toml" else f"x.{kind}").write_bytes(data)


def one(dice: random.Random, number: int) -> str:
    """Makes one input and gives it to one command; how it ended.  What was kept comes first, as it is."""
    kind = KINDS[number % len(KINDS)]
    found = originals(kind)
    at = number // len(KINDS)
    if at < len(found) and number % 2:
        data = found[at]
    elif kind == "fmc":
        data = artifacts.mutant(found[min(dice.randrange(len(corpus.artifacts())), dice.randrange(len(found)))], dice)
    else:
        data = changed(dice.choice(found), found, dice)
    write(kind, data)
    row = dice.choice(COMMANDS[kind])
    code, out, err = run(*row)
    problem = judged(row, code, out, err)
    if problem:
        raise Found(f"{' '.join(row)}: {problem}\n{err[-1500:]}\n  input: {data[:300]!r}")
    return f"{kind} {code}"


def judged(row: tuple[str, ...], code: Any, out: str, err: str) -> str:
    """What is wrong with how a command ended; nothing, if nothing is."""
    if code not in documented():
        return f"exit code {code!r}, which is not documented"
    if code == 130 and row[:2] != ("flowvm", "run"):
        return "does not end by itself"
    if _NEVER.search(out) or _NEVER.search(err):
        return "an error that is not catalogued"
    if code not in (0, 130) and not (out + err).strip():
        return f"ends with {code} and says nothing"
    return ""


def run(command: str, *arguments: str) -> tuple[Any, str, str]:
    """Runs a command here: exit code, standard output, standard error."""
    from flowmetal.cli import flowc, flowvm

    main: Callable[[], Any] = flowc.main if command == "flowc" else flowvm.main
    kept = sys.argv, sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    sys.argv, sys.stdout, sys.stderr = [command, *arguments], out, err
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    code: Any = None
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE if arguments[0] == "run" else 0)
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.argv, sys.stdin, sys.stdout, sys.stderr = kept
    return code, *(stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))  # type: ignore[attr-defined]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


# ---- changes of texts --------------------------------------------------------------------------------------------

_PIECES = (
    b"(", b")", b"[", b"]", b"{", b"}", b"#{", b"'", b"`", b"~@", b"#(", b'"', b"\\", b"^", b":", b"@", b"\x00", b"\xff", b"\xed\xa0\x80",
    b"\n", b"=", b"1e999999999", b"9" * 5000, b"-0.0", b"1/0", b"(" * 3000, b"[" * 3000, b"'" * 3000, b"#inst \"9\"", b"\x1b[2J", b"(defmacro l [] (loop [] (recur))) (l)", b"(perform :a/b 1)", b"(ns \"\")",
    b"(def x (vec (range 1000000000)))", b"nil", b"true", b"[[a]]", b"x.y.z = 1", b"[project]", b"''' ", b"2026-01-01", b"inf",
    b"\"../../../../etc/passwd\"", b"\"*\"", b"a = {b = {c = [" + b"[" * 500, b"#_", b"&", b"(fn [] ", b"(let [", b"(handle ", b"(quote ",
)  # fmt: skip
_WORD = re.compile(rb"[^\s()\[\]{}\"]+|\S")


def changed(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """A text with some of its bytes, words or lines in another way."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        data = dice.choice(_CHANGES)(data, dice, others)
    return data


def _insert(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(_PIECES) + data[at:]


def _byte(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]


def _word(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    """Puts a word of a text, or a piece, in place of another word."""
    found = list(_WORD.finditer(data))
    if not found:
        return data
    place = dice.choice(found)
    words = _WORD.findall(dice.choice(others)) or [b""]
    return data[: place.start()] + dice.choice([dice.choice(words), dice.choice(_PIECES), b""]) + data[place.end() :]


def _cut(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    start, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    return data[:start] + data[min(end, start + dice.choice((1, 20, 10**6))) :]


def _again(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    lines = data.split(b"\n")
    at = dice.randrange(len(lines))
    return b"\n".join([*lines[:at], *[lines[at]] * dice.choice((2, 3, 50)), *lines[at + 1 :]])


def _mixed(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    other = dice.choice(others)
    return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]


_CHANGES = (_insert, _insert, _byte, _word, _word, _word, _cut, _again, _mixed)
