"""A read of the store that fails in the middle of a round costs a delay, and nothing else."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Vector, encode_value

ROUNDS_MAX = 100_000


class Failing(MemoryStore):
    """A store whose inbox cannot be read as often as `failures` says."""

    failures = 0

    def inbox(self, *arguments: Any, **options: Any) -> Any:
        """As in every store, or S301."""
        if self.failures:
            self.failures -= 1
            raise StoreError("S301", path="memory", reason="a test")
        return super().inbox(*arguments, **options)


def test_an_answer_that_waits_in_memory_is_not_lost() -> None:
    store = Failing()
    deploy(store, build_artifact({"b.fm": "(ns b) (defn main [] (+ 1 (perform :b/one 1)))"}).data, "b")
    may_answer = threading.Event()
    calls: list[int] = []

    def one(call: Any) -> int:
        calls.append(call.number)
        may_answer.wait(30)
        return 5

    interpreter = Interpreter(store, Config())
    interpreter.register("b/one", one)
    pid = store.submit([Start("b/main", encode_value(Vector.of([])), name="b")]).result()[0][0]
    for _ in range(ROUNDS_MAX):
        interpreter.step()
        if calls:
            break
    may_answer.set()
    # The answer has come, and at the same time something in the store says that the process is to be looked at.
    for _ in range(ROUNDS_MAX):
        if interpreter._take_answers():
            break
    interpreter._queue[pid] = True
    store.failures = 1
    with pytest.raises(StoreError):
        interpreter.step()
    for _ in range(ROUNDS_MAX):
        interpreter.step()
        record = store.process(pid)
        assert record is not None
        if record.status == "done":
            break
    assert (record.status, store.failures, len(calls)) == ("done", 0, 1)
    interpreter.stop()
