"""Operations: what the store answers itself, over every engine."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store.interface import Ask, Complete, Fire, Operate, Query, Start
from flowmetal.values import Duration, Map, Vector, encode_value, keyword
from tests.store.asking import ask, operate, refused
from tests.store.support import HASH, SECOND, Rig, code_of, request

# ---- asking ------------------------------------------------------------------------------------------------------


def test_an_operation_is_answered_in_the_commit_of_the_turn(rig: Rig) -> None:
    pid = rig.start()
    assert ask(rig, pid, "kv/put", "a", 1) is None
    assert operate(rig, "kv/get", "a") == 1
    assert rig.ready() == [pid]
    assert ask(rig, pid, "kv/get", "a") == 1
    assert not rig.one(Complete(pid, 3, 0, True, b""))  # it has its answer


def test_a_refusal_is_the_answer_and_the_turn_is_committed(rig: Rig) -> None:
    pid = rig.start()
    error = ask(rig, pid, "kv/get", 7)
    assert error.kind.text == "argument"
    record = rig.store.process(pid)
    assert record is not None and record.sequence == 1
    assert ask(rig, pid, "no/such").kind.text == "store/refused"
    assert ask(rig, pid, "spawn").kind.text == "argument"  # without a start


def test_a_stale_turn_asks_for_nothing(rig: Rig) -> None:
    pid = rig.start()
    payload = encode_value(Vector.of(["a", 1]))
    requests = (request(pid, 1, "kv/put", queued=False),)
    assert not rig.turn(pid, epoch=rig.epoch(pid) + 1, requests=requests, asks=(Ask(1, "kv/put", payload),))
    assert operate(rig, "kv/get", "a") is None


def test_what_was_asked_for_before_the_end_is_done(rig: Rig) -> None:
    pid = rig.start()
    assert ask(rig, pid, "kv/put", "a", 1, status="done") is None
    assert operate(rig, "kv/get", "a") == 1


def test_a_child(rig: Rig) -> None:
    pid = rig.start()
    child = ask(rig, pid, "spawn", payload=None, start=Start("deploy/child", b"c", name="deploy"))
    record = rig.store.process(child.number)
    assert record is not None and (record.parent, record.function) == (pid, "deploy/child")
    missing = ask(rig, pid, "spawn", payload=None, start=Start("deploy/child", b"c", name="nobody"))
    assert missing.kind.text == "no-program"


def test_a_child_belongs_to_the_program_of_its_parent(rig: Rig) -> None:
    """By its deployed name, whatever module its function is in; what it may perform is what it was started with."""
    pid = rig.start(grants=("store",))
    child = ask(rig, pid, "spawn", payload=None, start=Start("shop.main/part", b"c", artifact=HASH, grants=("log",)))
    grandchild = ask(rig, child.number, "spawn", payload=None, start=Start("x/y", b"c", artifact=HASH))
    for number, grants in ((child.number, ("log",)), (grandchild.number, None)):
        record = rig.store.process(number)
        assert record is not None and (record.program, record.named, record.grants) == ("deploy", True, grants)
    found = rig.store.processes(where=Query(program="deploy"), limit=10)
    assert [record.pid for record in found] == [pid, child.number, grandchild.number]


def test_clients_ask_for_what_is_for_them(rig: Rig) -> None:
    nil = encode_value(None)
    assert code_of(rig, Operate("spawn", nil)) == "S210"
    assert code_of(rig, Operate("nothing", nil)) == "S210"
    assert code_of(rig, Operate("kv/get", b"\xff\xff")) == "S206"
    # Nothing of a list is done where one of it is refused.
    put = Operate("kv/put", encode_value(Vector.of(["a", 1])))
    assert code_of(rig, put, Operate("kv/get", nil)) == "S211"
    assert operate(rig, "kv/get", "a") is None


# ---- the key-value table -----------------------------------------------------------------------------------------


def test_kv_put_get_delete(rig: Rig) -> None:
    assert operate(rig, "kv/get", "a", "default") == "default"
    assert operate(rig, "kv/put", "a", {"x": [1, 2]}) is None
    assert operate(rig, "kv/get", "a") == {"x": [1, 2]}
    assert operate(rig, "kv/put", "a", 2) is None
    assert operate(rig, "kv/delete", "a") is True
    assert operate(rig, "kv/delete", "a") is False
    assert operate(rig, "kv/get", "a") is None


def test_kv_compare_and_set(rig: Rig) -> None:
    assert operate(rig, "kv/compare-and-set", "a", None, [1])
    assert not operate(rig, "kv/compare-and-set", "a", None, [2])
    assert not operate(rig, "kv/compare-and-set", "a", [2], [3])
    assert operate(rig, "kv/compare-and-set", "a", [1], [3])
    assert operate(rig, "kv/get", "a") == [3]


def test_kv_expiry(rig: Rig) -> None:
    hour = Map.of([(keyword("expires"), Duration(3600 * SECOND))])
    for key in ("a", "b", "c"):
        operate(rig, "kv/put", key, key, hour)
    operate(rig, "kv/put", "b", "stays")  # without a time now
    rig.clock.forward(3599)
    assert operate(rig, "kv/get", "a") == "a"
    operate(rig, "kv/put", "c", "later", hour)
    rig.clock.forward(1)
    assert operate(rig, "kv/get", "a") is None
    assert operate(rig, "kv/list", "") == [["b", "stays"], ["c", "later"]]
    assert operate(rig, "kv/delete", "a") is False
    operate(rig, "kv/put", "d", 1, hour)
    rig.clock.forward(3600)
    assert operate(rig, "kv/compare-and-set", "d", None, 2)
    rig.one(Fire(0))
    entries = rig.store.stats()["entries"]
    assert (entries["kv"], entries["kv_expiry"]) == (2, 0)
    assert operate(rig, "kv/list", "") == [["b", "stays"], ["d", 2]]


def test_kv_expired_keys_are_something_to_do(rig: Rig) -> None:
    """Also in a store in which nothing else happens; before, nobody has to wake for them."""
    operate(rig, "kv/put", "a", 1, Map.of([(keyword("expires"), Duration(SECOND))]))
    assert rig.store.next_due() is None
    rig.clock.forward(1)
    due = rig.store.next_due()
    assert due is not None and due <= rig.store.now()
    rig.one(Fire())
    assert rig.store.next_due() is None and rig.store.stats()["entries"]["kv"] == 0


def test_kv_expired_keys_go_in_portions(memory: Rig) -> None:
    soon = Map.of([(keyword("expires"), Duration(SECOND))])
    for number in range(1500):
        operate(memory, "kv/put", f"k{number}", number, soon)
    memory.clock.forward(1)
    memory.one(Fire(0))
    assert memory.store.stats()["entries"]["kv"] == 500
    memory.one(Fire(0))
    assert memory.store.stats()["entries"]["kv"] == 0


def test_kv_list(rig: Rig) -> None:
    for number in range(250):
        operate(rig, "kv/put", f"n/{number:03}", number)
    operate(rig, "kv/put", "m", 1)
    operate(rig, "kv/put", "o", 1)
    assert operate(rig, "kv/list", "m") == [["m", 1]]
    assert [key for key, _ in operate(rig, "kv/list", "n/")] == [f"n/{number:03}" for number in range(100)]
    seen: list[int] = []
    after = None
    while page := operate(rig, "kv/list", "n/", {"limit": 40} | ({"after": after} if after else {})):
        seen += [number for _, number in page]
        after = page[-1][0]
    assert seen == list(range(250))
    assert len(operate(rig, "kv/list", None, {"limit": 1000})) == 252


def test_kv_list_is_bounded_in_bytes(memory: Rig) -> None:
    for number in range(5):
        operate(memory, "kv/put", f"k{number}", "x" * (3 << 20))
    assert len(operate(memory, "kv/list", "")) == 1
    assert [key for key, _ in operate(memory, "kv/list", "", {"after": "k3"})] == ["k4"]


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("kv/get", (), "argument"),
        ("kv/get", ("a", 1, 2), "argument"),
        ("kv/get", ("",), "argument"),
        ("kv/get", ("x" * 401,), "argument"),
        ("kv/get", (1,), "argument"),
        ("kv/put", ("a",), "argument"),
        ("kv/put", ("a", 1, {"expires": -1}), "argument"),
        ("kv/put", ("a", 1, {"expires": "soon"}), "argument"),
        ("kv/put", ("a", 1, {"until": 1}), "argument"),
        ("kv/put", ("a", 1, [1]), "argument"),
        ("kv/put", ("a", "x" * (16 << 20)), "limit"),
        ("kv/list", ("a", {"limit": 0}), "argument"),
        ("kv/list", ("a", {"limit": 1001}), "argument"),
        ("kv/list", ("a", {"after": 3}), "argument"),
    ],
)
def test_kv_refusals(memory: Rig, name: str, arguments: tuple[Any, ...], kind: str) -> None:
    assert refused(memory, name, *arguments) == kind
    assert memory.store.stats()["entries"]["kv"] == 0


def test_kv_the_longest_key_in_every_engine(rig: Rig) -> None:
    key = "x" * 400
    operate(rig, "kv/put", key, 1, {"expires": "PT1H"})
    assert operate(rig, "kv/list", "x") == [[key, 1]]
