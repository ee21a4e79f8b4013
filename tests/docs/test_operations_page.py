"""docs/operations.md: its examples are run against a store with an interpreter."""

from __future__ import annotations

import contextlib
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import DOCS, of_language

from flowmetal.client.steering import ACTIONS
from flowmetal.client.worker import Worker, WorkerError
from flowmetal.engine.build import build_artifact
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store

PAGE = DOCS / "operations.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = of_language(PAGE, "clojure")
    store = open_store("./store")
    names: dict[str, Any] = {"__name__": "page"}

    def wait_for(pid: int, status: str) -> None:
        end = time.monotonic() + 60
        while store.process(pid).status != status and time.monotonic() < end:  # type: ignore[union-attr]
            time.sleep(0.01)

    names["wait_for"] = wait_for
    interpreter = Interpreter(store)
    interpreter.start()
    worker = Worker(store)

    @worker.function("pay/charge")
    def charge(order: Any, context: Any) -> Any:
        raise WorkerError("pay/down", "no answer")

    worker.start()
    try:
        from flowmetal.client import connect

        connect(store).deploy("orders", build_artifact({"orders.fm": program.text}).data)
        for block in of_language(PAGE, "python"):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, str(block), "exec"), names)
            assert printed.getvalue().splitlines() == re.findall(r"# => (.*)", block.text), str(block)
    finally:
        if "client" in names:
            names["client"].close()
        worker.stop(5.0)
        interpreter.stop()
        store.close()


def test_every_action_is_described() -> None:
    table = TEXT[TEXT.index("| operation | what it does |") : TEXT.index("**Requests that used up")]
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert described - {"start"} == set(ACTIONS)
