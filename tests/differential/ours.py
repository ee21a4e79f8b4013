"""Our answers: `flowvm eval --jsonl`, run as anyone runs it, a program a line, in a few OS processes at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from flowmetal.engine.library import standard_library

FUEL = 300_000  # calls and loop turns; what takes more is taken for endless
PROCESSES = 2
COMMAND = [sys.executable, "-m", "flowmetal.cli.flowvm", "eval", "--jsonl", "--fuel", str(FUEL)]

#: Clojure catches a class where we catch a kind: the one part of an expression that is written in two ways.
CATCHES = {
    "Throwable": "_",
    "ArithmeticException": ":arithmetic",
    "ClassCastException": ":type",
    "IndexOutOfBoundsException": ":index",
    "clojure.lang.ArityException": ":arity",
    "clojure.lang.ExceptionInfo": ":error",
    "AssertionError": ":assertion",
}
_CATCH = re.compile(r"\(catch ([\w.]+) ")

#: Between a value and what was printed before it; see oracle.clj.
PRINTED = " ;prints: "


def written(expression: str) -> str:
    """The expression as this language writes it."""
    return _CATCH.sub(lambda found: f"(catch {CATCHES[found[1]]} ", expression)


def ask(expressions: Sequence[str], processes: int = PROCESSES) -> list[str]:
    """An answer for each expression: `VALUE`, `!kind message`, or `timeout`."""
    answers = [""] * len(expressions)
    with ThreadPoolExecutor(processes) as pool:
        parts = list(pool.map(_ask, [expressions[at::processes] for at in range(processes)]))
    for at, part in enumerate(parts):
        answers[at::processes] = part
    return answers


def _ask(expressions: Sequence[str]) -> list[str]:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdin is not None and process.stdout is not None
        writer = threading.Thread(target=_write, args=(process.stdin, expressions))
        writer.start()
        answers = [_answer(json.loads(line)) for line in process.stdout]
        writer.join()
    if len(answers) != len(expressions) or process.returncode != 0:
        raise RuntimeError(f"flowvm answered {len(answers)} of {len(expressions)} and ended with {process.returncode}")
    return answers


def _write(stream: IO[str], expressions: Sequence[str]) -> None:
    with stream:
        for expression in expressions:
            stream.write(json.dumps({"src": written(expression)}) + "\n")


def _answer(document: dict[str, Any]) -> str:
    error = document.get("error")
    if error is None:
        printed = document.get("out", "").rstrip("\n")
        return document["value"] + (PRINTED + printed if printed else "")
    code, message = error["code"].removeprefix(":"), error["message"]
    if code == "U122" or (code == "flowmetal/limit" and message.startswith("the form took more")):
        return "timeout"
    return f"!{code} {message}"


def names() -> frozenset[str]:
    """What programs here can name, as signatures.txt writes it."""
    return frozenset(
        found.name if module.name.startswith("flowmetal.core") else f"{module.name}/{found.name}"
        for module in standard_library().modules.values()
        for found in module.globals.values()
        if not found.private
    )
