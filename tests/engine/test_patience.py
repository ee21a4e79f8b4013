"""An interpreter that waits for the store waits, however long the store takes: it does not look again and again."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter, _Sent
from flowmetal.engine.simulate import Clock
from flowmetal.store.memory import MemoryStore

SECOND = 10**9


class Silent(MemoryStore):
    """A store whose owner is stopped: it answers nothing."""

    def submit(self, commands: Any, here: bool = False) -> Any:
        return Future()


def test_a_join_without_an_answer_is_waited_for() -> None:
    clock = Clock()
    interpreter = Interpreter(Silent(clock), Config(lease_ms=15_000, fallback_seconds=1.0))
    interpreter.step()
    assert interpreter._claims.joining
    clock.advance(20 * SECOND)
    interpreter.step()
    assert interpreter._patience() == 1.0
    interpreter._in_trouble(RuntimeError("full"))
    assert 0.4 < interpreter._patience() <= 0.5


def test_who_was_cut_waits_for_the_commit_under_way() -> None:
    interpreter = Interpreter(MemoryStore(Clock()), Config(fallback_seconds=1.0))
    interpreter.step()
    interpreter.step()
    interpreter._signals.timers = False
    interpreter._queue.cut(1)
    assert interpreter._patience() == 0.0
    interpreter._sent.append(_Sent([], Future()))
    assert interpreter._patience() == 1.0
