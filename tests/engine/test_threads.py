"""What an interpreter sets for the threads of its Python process."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from flowmetal.engine.config import SWITCH_SECONDS, Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store.memory import MemoryStore


@pytest.fixture(autouse=True)
def own_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("before, after", [(0.005, SWITCH_SECONDS), (0.0001, 0.0001)])
def test_an_interpreter_has_threads_changed_sooner(before: float, after: float) -> None:
    sys.setswitchinterval(before)
    interpreter = Interpreter(MemoryStore(), Config())
    interpreter.start()
    try:
        assert sys.getswitchinterval() == pytest.approx(after)
    finally:
        assert interpreter.stop()
