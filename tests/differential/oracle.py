"""Clojure's answers: one JVM that evaluates expressions one after another; see oracle.clj for the protocol.

A development tool.  Nothing in the default test run starts a JVM.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

PROGRAM = Path(__file__).with_name("oracle.clj")
JAR = os.environ.get("CLOJURE_JAR", "/usr/share/java/clojure-1.11.jar")


def available() -> bool:
    """Whether Clojure can be run here."""
    return shutil.which("java") is not None and Path(JAR).exists()


def ask(expressions: Sequence[str]) -> list[str]:
    """An answer for each expression: `VALUE`, `!Class message`, or `timeout`."""
    command = [
        "java",
        "-Xmx1500m",
        "-XX:+UseSerialGC",
        "-Dfile.encoding=UTF-8",
        "-cp",
        JAR,
        "clojure.main",
        str(PROGRAM),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        writer = threading.Thread(target=_write, args=(process.stdin, expressions))
        writer.start()
        answers = [_answer(line) for line in process.stdout]
        writer.join()
    if len(answers) != len(expressions):
        raise RuntimeError(f"the JVM answered {len(answers)} of {len(expressions)} expressions")
    return answers


def _write(stream: IO[str], expressions: Iterable[str]) -> None:
    with stream:
        for expression in expressions:
            stream.write(expression + "\n")


_ESCAPED = re.compile(r"\\(.)")


def _answer(line: str) -> str:
    text = _ESCAPED.sub(lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), line.rstrip("\n"))
    if text.startswith("E"):
        return "!" + text[1:]
    return text[1:] if text.startswith("V") else "timeout"
