"""A small history in the default run; the checker against histories made by hand, and against a store that is broken."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store import commands, processes
from flowmetal.store.interface import Post
from flowmetal.store.operations import OPERATIONS, kv, table
from flowmetal.values import Vector
from tests.history import model
from tests.history.model import NEVER, Operation
from tests.history.run import check, operations_of, play


def op(begin: int, end: int, kind: str, *arguments: Any, gives: Any = None, known: bool = True) -> Operation:
    return Operation(f"c{begin}", begin, end, kind, "x", arguments, gives, known)


REGISTERS: list[tuple[bool, list[Operation]]] = [
    (True, [op(1, 2, "put", "a"), op(3, 4, "get", gives="a")]),
    (False, [op(1, 2, "put", "a"), op(3, 4, "get", gives=None)]),
    (True, [op(1, 5, "put", "a"), op(2, 3, "get", gives=None), op(4, 6, "get", gives="a")]),
    (False, [op(1, 9, "put", "a"), op(2, 3, "get", gives="a"), op(4, 5, "get", gives=None)]),
    (False, [op(1, 2, "put", "a"), op(3, 4, "cas", "b", "c", gives=True)]),
    (True, [op(1, 9, "cas", None, "a", gives=True), op(2, 8, "cas", None, "b", gives=False)]),
    (False, [op(1, 9, "cas", None, "a", gives=True), op(2, 8, "cas", None, "b", gives=True)]),
    (True, [op(1, NEVER, "put", "a", known=False), op(5, 6, "get", gives=None), op(7, 8, "get", gives="a")]),
    (True, [op(1, NEVER, "put", "a", known=False), op(5, 6, "get", gives=None)]),
    (False, [op(4, NEVER, "put", "a", known=False), op(1, 2, "get", gives="a")]),
    (False, [op(1, 2, "put", "a"), op(3, 4, "delete", gives=False)]),
    (True, [op(1, 2, "put", "a"), op(3, 4, "delete", gives=True), op(5, 6, "get", gives=None)]),
]


@pytest.mark.parametrize(("fits", "history"), REGISTERS)
def test_registers(fits: bool, history: list[Operation]) -> None:
    assert model.linearizable(history, model.register) == fits


def test_a_long_history_with_much_at_once_is_checked() -> None:
    history = []
    for round in range(300):
        at = 100 * round
        history += [op(at + n, at + 90, "put", f"{round}.{n}") for n in range(6)]
        history.append(op(at + 95, at + 99, "get", gives=f"{round}.3"))
    assert model.linearizable(history, model.register)
    assert not model.linearizable([*history, op(100 * 300, 100 * 300 + 1, "get", gives="0.1")], model.register)


def test_counters_count_every_one_once() -> None:
    assert model.linearizable([op(1, 5, "bump", gives=2), op(2, 4, "bump", gives=1)], model.counter)
    assert not model.linearizable([op(1, 2, "bump", gives=2), op(3, 4, "bump", gives=1)], model.counter)
    assert not model.linearizable([op(1, 5, "bump", gives=1), op(2, 4, "bump", gives=1)], model.counter)
    lost = op(1, NEVER, "bump", known=False)
    assert model.linearizable([lost, op(3, 4, "bump", gives=2)], model.counter)
    assert model.linearizable([lost, op(3, 4, "bump", gives=1)], model.counter)


def test_a_process_that_ended_stays_ended() -> None:
    alive, ended = op(3, 4, "pause", gives=True), op(1, 2, "look", gives=False)
    assert model.alive_then_ended([alive, ended])
    assert not model.alive_then_ended([alive, op(1, 3, "look", gives=False)])
    assert model.never_back([op(1, 2, "look", gives=(5, "")), op(3, 4, "look", gives=(4, ""))])
    assert model.never_back([op(1, 2, "look", gives=(5, "done")), op(3, 4, "look", gives=(5, ""))])
    assert not model.never_back([op(1, 3, "look", gives=(5, "")), op(2, 4, "look", gives=(4, ""))])


def test_messages_come_once_in_order() -> None:
    sent = [op(n, n + 1, "send", "s", n, gives=True) for n in (1, 2)] + [op(3, NEVER, "send", "s", 3, known=False)]
    assert not model.messages(sent, [("s", 1), ("s", 2)])
    assert not model.messages(sent, [("s", 1), ("s", 2), ("s", 3)])
    assert model.messages(sent, [("s", 2), ("s", 1)])
    assert model.messages(sent, [("s", 1)])
    assert model.messages(sent, [("s", 1), ("s", 2), ("s", 2)])
    assert model.messages(sent, [("s", 1), ("s", 2), ("s", 4)])


def test_notes_of_a_client_that_was_killed() -> None:
    notes = b'["c", 1, "begin", 5, "put", "x", ["a"]]\n["c", 1, "end", 6, null]\n["c", 2, "begin", 7, "get", "x", []]\n'
    first, second = operations_of([notes])
    assert (first.known, first.end, second.known, second.end) == (True, 6, False, NEVER)


def test_a_history_of_a_real_store() -> None:
    seen = play(2400, 1)
    assert not seen.problems
    assert seen.kills
    assert len(seen.operations) > 2000


def _swapped_always(changes: Any, asker: int, payload: Any) -> Any:
    kv.put(changes, asker, Vector.of([payload.get(0), payload.get(2)]))
    return True


def test_a_compare_and_set_that_always_swaps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "kv/compare-and-set", table.Operation(_swapped_always))
    assert any("is not linearizable" in problem for problem in play(400, 2).problems)


def test_messages_that_are_put_twice_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(changes: Any, command: Post) -> bool:
        return processes.post(changes, command) and processes.post(changes, command)

    monkeypatch.setitem(commands._APPLY, Post, twice)
    assert any("came twice" in problem for problem in play(400, 3).problems)


def test_check_sees_what_the_end_says() -> None:
    end = {
        "begin": 100,
        "collected": {},
        "idle": {"id-1": [[7, 2, "waiting"]]},
        "ended": {"id-1": "waiting"},
        "stuck": [],
    }
    start = Operation("c", 1, 2, "start", "id-1", (), 7)
    assert not check([start], end)
    assert check([Operation("c", 1, 2, "start", "id-1", (), 8)], end)
    assert check([start, Operation("c", 3, 4, "find", "id-1", (), None)], end)
    assert check([start, Operation("c", 3, 4, "cancel", "id-1", (), True)], end)
    assert check([start, Operation("c", 3, 4, "look", "id-1", (), [7, 5, ""])], end)
