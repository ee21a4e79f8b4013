"""Names, links, monitors, leashes and groups, over every engine: what they do, and that nothing of them is left."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store import bonds, changes
from flowmetal.store.interface import Operate, Post, Start
from flowmetal.store.limits import MAX_PUBLISH_BYTES
from flowmetal.store.operations import groups, names
from flowmetal.values import ErrorValue, Map, Pid, Vector, decode_value, encode_value, keyword
from tests.store.asking import ask, operate, refused
from tests.store.support import Rig, code_of

BROKEN = ErrorValue(keyword("broken"), "it broke", None)
SPACES = ("bonds", "names", "groups")


def pids(rig: Rig, count: int) -> list[int]:
    """Processes that wait for messages."""
    started = [rig.start() for _ in range(count)]
    for pid in started:
        rig.turn(pid)
    return started


def end(rig: Rig, pid: int, status: str = "failed", error: ErrorValue = BROKEN) -> None:
    result = encode_value(Vector.of([])) if status == "done" else encode_value(error)
    assert rig.turn(pid, status, result=result, error="why")


def messages(rig: Rig, pid: int) -> list[Any]:
    return [decode_value(event.data) for event in rig.store.inbox(pid) if event.kind == "message"]


def downs(rig: Rig, pid: int) -> list[tuple[Any, Any, str, str | None]]:
    """(monitor, pid, status, kind of the error) of the messages about ends."""
    found = []
    for message in messages(rig, pid):
        if message.__class__ is Map and message.get(keyword("type")) is keyword("down"):
            ref, target, status, error = (message.get(keyword(name)) for name in ("ref", "pid", "status", "error"))
            kind = None if error is None else error.kind.text
            found.append((ref, target.number if target.__class__ is Pid else target, status.text, kind))
    return found


def nothing_left(rig: Rig) -> bool:
    entries = rig.store.stats()["entries"]
    return [entries[space] for space in SPACES] == [0, 0, 0]


# ---- names -------------------------------------------------------------------------------------------------------


def test_a_name_is_of_one_process_while_it_lives(rig: Rig) -> None:
    one, two = pids(rig, 2)
    assert operate(rig, "process/whereis", "cart") is None
    assert ask(rig, one, "process/register", keyword("cart")) is True
    assert ask(rig, one, "process/register", "cart") is True
    assert operate(rig, "process/whereis", "cart") == one
    taken = ask(rig, two, "process/register", "cart")
    assert taken.kind.text == "name-taken" and taken.data.get(keyword("pid")) == Pid(one)
    assert ask(rig, two, "process/whereis", "cart") == Pid(one)
    end(rig, one, "done")
    assert operate(rig, "process/whereis", "cart") is None and nothing_left(rig)
    assert operate(rig, "process/register", "cart", two) is True
    assert operate(rig, "process/register", "second", two) is True
    assert operate(rig, "process/unregister", "cart") is True
    assert operate(rig, "process/unregister", "cart") is False
    assert refused(rig, "process/register", "x", one) == "no-process"
    end(rig, two)
    assert nothing_left(rig)


def test_names_have_a_limit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = pids(rig, 1)
    for number in range(100):
        operate(rig, "process/register", f"n{number}", one)
    assert refused(rig, "process/register", "more", one) == "limit"
    assert operate(rig, "process/register", "n7", one) is True


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 7, None, [1]])
def test_bad_names(memory: Rig, name: Any) -> None:
    for operation in ("process/register", "process/whereis", "process/unregister", "group/members"):
        assert refused(memory, operation, name) == "argument"
    assert refused(memory, "process/register", "x", "y") == "argument"
    assert refused(memory, "process/register", "x") == "argument"


def test_messages_by_name(rig: Rig) -> None:
    one, two = pids(rig, 2)
    assert ask(rig, one, "send", "nobody", 1).kind.text == "no-process"
    operate(rig, "process/register", "two", two)
    # By pid, then by name, in one turn: in this order.
    assert ask(rig, one, "send", "two", "second", posts=(Post(two, "message", encode_value("first")),)) is None
    operate(rig, "send", "two", "third")
    operate(rig, "send", two, "fourth")
    assert messages(rig, two) == ["first", "second", "third", "fourth"]
    end(rig, two)
    assert refused(rig, "send", "two", 1) == "no-process"
    assert operate(rig, "send", two, 1) is None  # dropped


def test_a_start_with_a_name(rig: Rig) -> None:
    rig.start()
    again = Start("deploy/main", b"args", name="deploy", register="cart")
    pid, created = rig.one(again)
    assert created and operate(rig, "process/whereis", "cart") == pid
    assert rig.one(again) == (pid, False)
    assert rig.one(Start("deploy/other", b"else", name="deploy", register="cart")) == (pid, False)
    end(rig, pid)
    other, created = rig.one(again)
    assert created and other != pid
    # Two in one list: the second sees the first.
    fresh = Start("deploy/main", b"args", name="deploy", register="new")
    (first, _), second = rig.do(fresh, fresh)
    assert second == (first, False)


def test_cancelling(rig: Rig) -> None:
    one, two = pids(rig, 2)
    operate(rig, "process/register", "two", two)
    assert ask(rig, one, "process/cancel", "two", "enough") is True
    assert [(event.kind, decode_value(event.data)) for event in rig.store.inbox(two)] == [("cancel", "enough")]
    assert ask(rig, one, "process/cancel", Pid(999)) is False
    assert ask(rig, one, "process/cancel", "nobody").kind.text == "no-process"
    assert ask(rig, one, "process/cancel", Pid(two), 7).kind.text == "argument"


# ---- monitors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "killed"])
def test_a_monitor_tells_of_the_end(rig: Rig, status: str) -> None:
    watcher, other = pids(rig, 2)
    assert ask(rig, watcher, "process/monitor", Pid(other)) == 1
    rig.turn(watcher)
    rig.turn(other, "paused")
    rig.one(Post(other, "resume"))
    assert downs(rig, watcher) == []
    killed = ErrorValue(keyword("flowmetal/killed"), "killed", None)
    posts = (Post(watcher, "message", encode_value("last")),)
    error = killed if status == "killed" else BROKEN
    result = encode_value(None if status == "done" else error)
    rig.turn(other, "cancelled" if status == "killed" else status, result=result, posts=posts)
    kind = None if status == "done" else error.kind.text
    assert messages(rig, watcher)[0] == "last"  # the news comes after all of its messages
    assert downs(rig, watcher) == [(1, other, status, kind)]
    assert nothing_left(rig)
    # Of one that has ended, and of ones that there are not, it comes at once; with a number of its own.
    rig.turn(watcher)
    assert ask(rig, watcher, "process/monitor", Pid(other)) == 2
    assert downs(rig, watcher) == [(2, other, status, kind)]
    assert ask(rig, watcher, "process/monitor", Pid(12345)) == 3
    assert downs(rig, watcher) == [(3, 12345, "none", None)]
    assert ask(rig, watcher, "process/monitor", "nobody") == 4
    assert downs(rig, watcher) == [(4, "nobody", "none", None)]
    end(rig, watcher)
    assert nothing_left(rig)


def test_monitors_end(rig: Rig) -> None:
    watcher, other = pids(rig, 2)
    refs = [ask(rig, watcher, "process/monitor", Pid(other)) for _ in range(3)]
    assert refs == [1, 2, 3]
    assert ask(rig, watcher, "process/demonitor", 2) is True
    assert ask(rig, watcher, "process/demonitor", 2) is False
    assert ask(rig, watcher, "process/demonitor", "2").kind.text == "argument"
    assert ask(rig, other, "process/demonitor", 1) is False  # another's
    end(rig, other)
    assert [down[0] for down in downs(rig, watcher)] == [1, 3]
    assert nothing_left(rig)


def test_a_watcher_that_ends_leaves_nothing(rig: Rig) -> None:
    watcher, other = pids(rig, 2)
    ask(rig, watcher, "process/monitor", Pid(other))
    ask(rig, other, "process/monitor", Pid(watcher))
    ask(rig, watcher, "process/monitor", Pid(watcher))
    end(rig, watcher, "done")
    assert rig.store.stats()["entries"]["bonds"] == 0
    assert downs(rig, other) == [(1, watcher, "done", None)]
    end(rig, other)


def test_the_news_of_an_end_gets_into_a_full_inbox(memory: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_MESSAGES", 3)
    monkeypatch.setattr(names, "MAX_MESSAGES", 3)
    watcher, other = pids(memory, 2)
    ask(memory, watcher, "process/monitor", Pid(other))
    memory.do(*[Post(watcher, "message", encode_value(1))] * 3)
    assert code_of(memory, Post(watcher, "message", encode_value(1))) == "S208"
    assert ask(memory, other, "send", Pid(watcher), 1).kind.text == "limit"
    end(memory, other)
    assert messages(memory, watcher)[:3] == [1, 1, 1] and downs(memory, watcher) == [(1, other, "failed", "broken")]


def test_a_large_error_is_told_in_short(rig: Rig) -> None:
    watcher, other = pids(rig, 2)
    ask(rig, watcher, "process/monitor", Pid(other))
    rig.turn(watcher)
    end(rig, other, error=ErrorValue(keyword("large"), "m" * 100_000, Vector.of(["d" * 100_000])))
    (event,) = rig.store.inbox(watcher)
    assert len(event.data) < 5000 and downs(rig, watcher) == [(1, other, "failed", "large")]


# ---- links and leashes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_links(rig: Rig, status: str) -> None:
    one, two, three = pids(rig, 3)
    assert ask(rig, one, "process/link", Pid(two)) is True
    assert ask(rig, two, "process/link", Pid(one)) is True  # the same link
    assert ask(rig, two, "process/link", Pid(three)) is True
    assert ask(rig, one, "process/link", Pid(one)) is True  # nothing
    assert rig.store.stats()["entries"]["bonds"] == 4
    rig.turn(one)
    end(rig, two, status)
    for pid in (one, three):
        linked = [decode_value(event.data) for event in rig.store.inbox(pid) if event.kind == "linked"]
        assert len(linked) == (status != "done")
        if linked:
            assert linked[0].kind.text == "flowmetal/linked"
            assert linked[0].data.get(keyword("pid")) == Pid(two)
            assert linked[0].data.get(keyword("error")) == BROKEN
            assert pid in rig.ready()
    assert nothing_left(rig)


def test_links_to_those_that_have_ended(rig: Rig) -> None:
    one, well, badly = pids(rig, 3)
    end(rig, well, "done")
    end(rig, badly)
    assert ask(rig, one, "process/link", Pid(well)) is False
    assert "linked" not in rig.kinds(one)
    assert ask(rig, one, "process/link", Pid(badly)) is False
    assert "linked" in rig.kinds(one)
    assert ask(rig, one, "process/link", Pid(777)).kind.text == "no-process"
    assert ask(rig, one, "process/link", "nobody").kind.text == "no-process"


def test_a_paused_process_wakes_for_a_link(rig: Rig) -> None:
    one, two = pids(rig, 2)
    ask(rig, one, "process/link", Pid(two))
    rig.turn(one, "paused")
    end(rig, two)
    assert rig.ready() == [one]


def test_unlinking(rig: Rig) -> None:
    one, two = pids(rig, 2)
    ask(rig, one, "process/link", Pid(two))
    assert ask(rig, two, "process/unlink", Pid(one)) is True
    assert ask(rig, two, "process/unlink", Pid(one)) is False
    assert nothing_left(rig)
    end(rig, two)
    assert "linked" not in rig.kinds(one)


def spawn(rig: Rig, pid: int, register: str | None = None, id: str | None = None, **options: bool) -> Any:
    payload = Map.of([(keyword(name), value) for name, value in options.items()])
    child = Start("deploy/child", b"c", name="deploy", register=register, id=id)
    found = ask(rig, pid, "spawn", payload=payload, start=child)
    rig.turn(pid)
    return found


def test_children_with_ties(rig: Rig) -> None:
    (pid,) = pids(rig, 1)
    child, ref = spawn(rig, pid, link=True, monitor=True, leash=True)
    assert ref == 1 and rig.store.stats()["entries"]["bonds"] == 6
    end(rig, child.number)
    assert downs(rig, pid) == [(1, child.number, "failed", "broken")]
    assert "linked" in rig.kinds(pid)
    assert nothing_left(rig)


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_a_leash_ends_the_child_however_its_parent_ends(rig: Rig, status: str) -> None:
    (pid,) = pids(rig, 1)
    children = [spawn(rig, pid, leash=True).number for _ in range(3)]
    rig.turn(children[0], "done", result=encode_value(None))
    end(rig, pid, status)
    assert [rig.kinds(child) for child in children] == [[], ["start", "cancel"], ["start", "cancel"]]
    assert nothing_left(rig)


def test_get_or_start(rig: Rig) -> None:
    one, two = pids(rig, 2)
    cart = spawn(rig, one, register="cart")
    assert spawn(rig, two, register="cart") == cart
    assert spawn(rig, two, register="cart", monitor=True) == Vector.of([cart, 1])
    record = rig.store.process(cart.number)
    assert record is not None and record.parent == one
    rig.turn(cart.number)
    end(rig, cart.number)
    assert downs(rig, two) == [(1, cart.number, "failed", "broken")]
    assert spawn(rig, two, register="cart") != cart
    # By an id it is found also after its end.
    worker = spawn(rig, one, id="worker")
    end(rig, worker.number, "done")
    rig.turn(one)
    assert spawn(rig, one, id="worker", monitor=True, link=True, leash=True) == Vector.of([worker, 1])
    end(rig, one)
    end(rig, two)


def test_what_is_refused_leaves_no_child(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    (pid,) = pids(rig, 1)
    before = len(rig.store.processes())
    assert ask(rig, pid, "spawn", payload=Map.of([(keyword("x"), 1)]), start=Start("a/b", b"c", name="deploy")).kind
    assert len(rig.store.processes()) == before


def test_limits_of_bonds(memory: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonds, "LIMITS", {kind: (name, 2) for kind, (name, _) in bonds.LIMITS.items()})
    monkeypatch.setattr(bonds, "MAX_GROUP_MEMBERS", 2)
    one, *others = pids(memory, 4)
    for other in others[:2]:
        for name in ("process/link", "process/monitor"):
            assert ask(memory, one, name, Pid(other)).__class__ is not ErrorValue
    for name in ("process/link", "process/monitor"):
        error = ask(memory, one, name, Pid(others[2]))
        assert error.kind.text == "limit" and error.data.get(keyword("max")) == 2
        assert ask(memory, others[2], name, Pid(one)).__class__ is (ErrorValue if name.endswith("link") else int)
    before = len(memory.store.processes())
    assert spawn(memory, one, link=True).kind.text == "limit"
    assert spawn(memory, one, monitor=True).kind.text == "limit"
    assert len(memory.store.processes()) == before
    spawn(memory, one, leash=True)
    spawn(memory, one, leash=True)
    assert spawn(memory, one, leash=True).kind.text == "limit"
    for pid in (one, others[0]):
        assert ask(memory, pid, "group/join", "g") is True
    assert ask(memory, others[1], "group/join", "g").kind.text == "limit"
    assert ask(memory, one, "group/join", "h") is True
    assert ask(memory, one, "group/join", "i").kind.text == "limit"


# ---- groups ------------------------------------------------------------------------------------------------------


def test_groups(rig: Rig) -> None:
    one, two, three = pids(rig, 3)
    assert ask(rig, one, "group/join", "workers") is True
    assert ask(rig, one, "group/join", keyword("workers")) is False
    assert ask(rig, three, "group/join", "workers") is True
    assert ask(rig, two, "group/join", "workers2") is True
    assert operate(rig, "group/members", "workers") == [one, three]
    rig.turn(one)
    assert ask(rig, two, "group/publish", "workers", "hello") == 2
    assert messages(rig, one) == ["hello"] and messages(rig, three) == ["hello"] and messages(rig, two) == []
    assert operate(rig, "group/publish", "nobody", 1) == 0
    assert ask(rig, one, "group/leave", "workers") is True
    assert ask(rig, one, "group/leave", "workers") is False
    end(rig, three)
    assert operate(rig, "group/members", "workers") == []
    end(rig, two)
    assert nothing_left(rig)


def test_a_member_whose_inbox_is_full_is_left_out(memory: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = pids(memory, 2)
    for pid in (one, two):
        ask(memory, pid, "group/join", "g")
        memory.turn(pid)
    monkeypatch.setattr(groups, "MAX_MESSAGES", 1)
    assert operate(memory, "group/publish", "g", 1) == 2
    memory.turn(one)
    assert operate(memory, "group/publish", "g", 2) == 1
    assert messages(memory, one) == [2] and messages(memory, two) == [1]
    monkeypatch.setattr(names, "MAX_MESSAGES", 1)
    assert refused(memory, "send", two, 3) == "limit"


def test_a_large_message_to_many_is_refused(memory: Rig) -> None:
    members = pids(memory, 5)
    for pid in members:
        assert ask(memory, pid, "group/join", "g") is True
    size = MAX_PUBLISH_BYTES // 5
    assert refused(memory, "group/publish", "g", "x" * size) == "limit"
    assert all(memory.store.messages(pid) == 0 for pid in members)
    assert operate(memory, "group/publish", "g", "x" * (size - 100)) == 5


def test_these_are_for_programs(memory: Rig) -> None:
    for name in ("process/link", "process/unlink", "process/monitor", "process/demonitor", "group/join", "group/leave"):
        assert code_of(memory, Operate(name, encode_value(Vector.of([1])))) == "S210"
