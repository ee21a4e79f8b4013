"""docs/python.md: its examples are run against a store with an interpreter, its tables compared with the code."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import DOCS, of_language

import flowmetal.client
from flowmetal.client import Client, ClientError, Context
from flowmetal.engine.build import build_artifact
from flowmetal.engine.interpreter import Interpreter
from flowmetal.reading.data import read_data
from flowmetal.store import open_store
from flowmetal.values import to_python

PAGE = DOCS / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's block first, since the client's waits for it; what `print` gives is in the comment behind it."""
    monkeypatch.chdir(tmp_path)
    (program,) = of_language(PAGE, "clojure")
    Path("orders.fmc").write_bytes(build_artifact({"orders.fm": program.text}).data)
    client_block, worker_block, errors_block = of_language(PAGE, "python")
    names: dict[str, Any] = {"__name__": "page"}
    store = open_store("./store")
    interpreter = Interpreter(store)
    interpreter.start()
    try:
        exec(compile(worker_block.text, str(worker_block), "exec"), names)
        names["worker"].start()
        for block in (client_block, errors_block):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, str(block), "exec"), names)
            assert printed.getvalue().splitlines() == re.findall(r"# => (.*)", block.text), str(block)
    finally:
        if "client" in names:
            names["client"].close()
        names["worker"].stop(5.0)
        interpreter.stop()
        store.close()


def test_values() -> None:
    """Each row's values, and what they are in Python."""
    section = TEXT[TEXT.index("| in the program | in Python |") : TEXT.index("An error is `{")]
    count = 0
    for row in re.findall(r"^\| (`.*) \| (.*) \|$", section, re.MULTILINE):
        values = [to_python(read_data(text)) for text in re.findall(r"`([^`]+)`", row[0])]
        assert values == list(ast.literal_eval(f"[{row[1]}]"))
        count += len(values)
    assert count > 15


def test_methods_of_the_client() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")} - {"url", "post", "put_program", "source"}
    section = TEXT[TEXT.index("| method | what it does |") : TEXT.index("A client starts and waits.")]
    assert set(re.findall(r"`(\w+)\(", "\n".join(line.split(" | ")[0] for line in section.split("\n")))) == public


def test_exceptions_of_the_client() -> None:
    classes = {
        name
        for name in flowmetal.client.__all__
        if isinstance(made := getattr(flowmetal.client, name), type)
        and issubclass(made, ClientError)
        and made is not ClientError
    }
    section = TEXT[TEXT.index("| class | when |") : TEXT.index("## Values")]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == classes


def test_context() -> None:
    line = TEXT[TEXT.index("`context` has") :].partition("\n\n")[0]
    public = {name for name in Context.__dict__ if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)(?:\(\))?`", line)) - {"context"} == public
