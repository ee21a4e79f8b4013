"""A read of the store that fails in the middle of a round costs a delay, and nothing else."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Start, Turn
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


class Refusing(MemoryStore):
    """A store that refuses the first turn, and whose process records cannot be read as often as `failures` says."""

    refusals = 1
    failures = 0

    def submit(self, commands: Any, here: bool = False) -> Any:
        """As in every store, or S206 for a turn."""
        if self.refusals and any(isinstance(command, Turn) for command in commands):
            self.refusals -= 1
            self.failures = 1
            future: Future[Any] = Future()
            future.set_exception(StoreError("S206", reason="a test"))
            return future
        return super().submit(commands, here)

    def process(self, pid: int) -> Any:
        """As in every store, or S301."""
        if self.failures:
            self.failures -= 1
            raise StoreError("S301", path="memory", reason="a test")
        return super().process(pid)


def test_a_process_whose_turn_was_refused_does_not_wait_for_a_restart() -> None:
    store = Refusing()
    deploy(store, build_artifact({"b.fm": "(ns b) (defn main [] (log 1) 5)"}).data, "b")
    interpreter = Interpreter(store, Config())
    pid = store.submit([Start("b/main", encode_value(Vector.of([])), name="b")]).result()[0][0]
    failed = 0
    for _ in range(ROUNDS_MAX):
        try:
            interpreter.step()
        except StoreError:
            failed += 1
        interpreter._trouble.accepted()
        store.failures = 1 if store.refusals == 0 and not failed else 0
        if MemoryStore.process(store, pid).status not in ("ready", "waiting"):
            break
    assert (MemoryStore.process(store, pid).status, failed) == ("done", 1)
    interpreter.stop()
