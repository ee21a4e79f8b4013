"""An interpreter that waits for the store waits, however long the store takes: it does not look again and again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.sending import Sent
from flowmetal.engine.simulate import Clock
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Join, Post, PutArtifact, Start, Turn
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Vector, decode_value, encode_value, keyword
from tests.engine.kit import Scripts

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
    interpreter._sending.sent.append(Sent([], Future()))
    assert interpreter._patience() == 1.0


class Stopped(MemoryStore):
    """A store whose owner can be stopped: what is submitted then waits, is given up, and may be applied later."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.stopped = False
        self.waiting: list[tuple[Any, Future[Any]]] = []

    def submit(self, commands: Any, here: bool = False) -> Any:
        if not self.stopped:
            return super().submit(commands, here)
        self.waiting.append((tuple(commands), Future()))
        return self.waiting[-1][1]

    def give_up(self) -> None:
        for _, future in self.waiting:
            if not future.done():
                future.set_exception(StoreError("S110", path="x", pid=1, reason="it is stopped"))

    def wake(self) -> None:
        self.stopped = False
        for commands, future in self.waiting:
            results = super().submit(commands).result()
            if not future.done():
                future.set_result(results)
        self.waiting.clear()


#: Counts up to its argument.
COUNTING = """
.code "t/main"
.parameters 1
.registers 4
  integer r3 0
again:
  loop
  less r2 r3 r0
  jump_if_false r2 out
  add_integer r3 r3 1
  jump_back again
out:
  return r3
"""


def test_nothing_is_run_before_it_is_known_what_became_of_a_turn() -> None:
    # Turns that only save a cut have no number of their own that the store could compare.
    clock = Clock()
    store = Stopped(clock)
    scripts = Scripts()
    hash = scripts.add(COUNTING)
    store.submit([PutArtifact(hash, b"assembled", "t")])
    interpreter = Interpreter(store, Config(fuel=50, turn_seconds=0.0), programs=scripts)
    interpreter._setting = replace(interpreter._setting, cut_slices=1)
    start = Start("t/main", encode_value(Vector.of([500])), artifact=hash)
    pid = store.submit([start]).result()[0][0]
    while not any(entry.part for entry in store.log(pid)):
        interpreter.step()
    parts = [(entry.sequence, entry.part) for entry in store.log(pid)]
    store.stopped = True
    while not any(isinstance(command, Turn) for commands, _ in store.waiting for command in commands):
        interpreter.step()
    sent = len(store.waiting)
    store.give_up()
    for _ in range(5):
        interpreter._trouble.until = 0.0
        interpreter.step()
    interpreter._queue.cut(pid)
    interpreter._trouble.until = 0.0
    assert interpreter._patience() > 0.5
    later = [command for commands, _ in store.waiting[sent:] for command in commands]
    assert [type(command) for command in later] == [Join]
    assert [(entry.sequence, entry.part) for entry in store.log(pid)] == parts
    store.wake()
    for _ in range(100):
        interpreter._trouble.until = 0.0
        interpreter.look_now()
        interpreter.step()
    record = store.process(pid)
    assert record is not None
    assert (record.status, record.error) == ("done", "")
    assert decode_value(store.result(pid) or b"") == 500


def test_who_stands_in_two_lines_has_one_turn_in_a_batch() -> None:
    """What its first turn has taken is in the store's inbox until that is committed: a second would take it again."""
    store = MemoryStore()
    source = "(ns t) (defn main [] (loop [got []] (receive :stop got ?m (recur (conj got ?m)))))"
    hash = deploy(store, build_artifact({"t.fm": source.encode()}).data, "t")
    nothing = encode_value(Vector.of([]))
    pids = [store.submit([Start("t/main", nothing, artifact=hash)]).result()[0][0] for _ in range(5)]
    interpreter = Interpreter(store, Config())
    step_until(interpreter, lambda: {record.status for record in store.processes()} == {"waiting"})
    for pid in pids:
        store.submit([Post(pid, "message", encode_value(number)) for number in (1, 2, 3)]).result()
        interpreter._drop(pid)
        interpreter._queue.found(pid)  # as one whose ready mark was read
        interpreter._queue[pid] = True  # as one of whom something is recovered
    step_until(interpreter, lambda: not any(store.inbox(pid) for pid in pids))
    store.submit([Post(pid, "message", encode_value(keyword("stop"))) for pid in pids]).result()
    step_until(interpreter, lambda: {record.status for record in store.processes()} == {"done"})
    assert [list(decode_value(store.result(pid) or b"")) for pid in pids] == [[1, 2, 3]] * 5


def step_until(interpreter: Interpreter, done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        interpreter.step()
    raise AssertionError("it did not come to that")
