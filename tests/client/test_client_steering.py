"""Operations on processes through a client: the same over a store and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from driver import Driver
from test_client import World

from flowmetal.client import Conflict, NotFound, NotPlain, Refused, Where, connect
from flowmetal.client.errors import BadAddress
from flowmetal.client.where import attribute_of, seconds_of
from flowmetal.store.interface import Request
from flowmetal.store.limits import NEVER
from flowmetal.values import decode_value, encode_value, to_python


@pytest.fixture(params=["store", "http"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()


def settled(driver: Driver, pid: int, kind: str = "settled") -> Any:
    (event,) = driver.events(pid, kind)
    return event.number, decode_value(event.data)


def test_answers_by_hand(world: World) -> None:
    client, driver = world.client, world.driver
    pid = driver.request("mail/send")
    assert client.answer(pid, {"sent": True}, "mail/send", by="anna")
    number, (by, ok, value) = settled(driver, pid)
    assert (number, by, ok, to_python(value)) == (1, "anna", True, {"sent": True})
    with pytest.raises(Refused) as raised:
        client.answer(pid, 1, 1)
    assert (raised.value.code, str(raised.value).count("answer already")) == ("H516", 1)
    with pytest.raises(Refused) as raised:
        client.fail(pid, "a/b", "no")
    assert "no such open request" in str(raised.value)
    for bad in ("", "a b", ":x y", "x" * 300):
        with pytest.raises(Refused):
            client.fail(pid, bad, "no")
    with pytest.raises(NotPlain):
        client.answer(pid, object())
    for request in (0, -1, 1 << 41, "", "x" * 201, 1.5, True):
        with pytest.raises(Refused):
            client.answer(pid, 1, request)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        client.answer(77, 1)
    driver.finish(pid, "done", None)
    assert not client.answer(pid, 1, 1)


def test_what_used_up_its_retries_fails_by_hand(world: World) -> None:
    client, driver = world.client, world.driver
    pid = driver.start()
    held = Request(pid, 3, "charge", encode_value(None), b"", "k", not_before=NEVER, state="held")
    assert driver.turn(pid, status="paused", requests=(held,), error=":http/status 503")
    assert client.fail(pid, "pay/declined", "no", {"sum": 1}, by="anna")
    number, (by, ok, error) = settled(driver, pid, "decided")
    assert (number, by, ok, error.kind.text, error.message, to_python(error.data)) == (
        3, "anna", False, "pay/declined", "no", {"sum": 1},
    )  # fmt: skip


def test_kill_and_restart(world: World) -> None:
    client, driver = world.client, world.driver
    pid = client.start("deploy/main", 1, "two", id="first", attributes={"team": "a"})
    with pytest.raises(Refused) as raised:
        client.restart(pid)
    assert (raised.value.code, "has not ended" in str(raised.value)) == ("H515", True)
    assert client.kill(pid, "why", by="anna")
    assert not client.kill(pid)
    info = client.get(pid)
    assert (info.status, info.error) == ("cancelled", ":flowmetal/killed the process was killed by anna")
    assert [step.text for step in client.history(pid)][:2] == ['start deploy/main [1 "two"]', "kill by anna"]
    new = client.restart(pid, id="second")
    (event,) = driver.events(new)
    assert to_python(decode_value(event.data)) == [1, "two"]
    info = client.get(new)
    assert (info.id, info.attributes) == ("second", {"team": "a", "restarted-from": pid})
    assert client.get(client.restart(pid, latest=True)).function == "deploy/main"
    for call in (client.kill, client.restart):
        with pytest.raises(NotFound):
            call(999)


def test_who_it_was_goes_with_it(world: World) -> None:
    client, driver = world.client, world.driver
    pid = driver.start()
    assert client.cancel(pid, "enough", by="anna")
    assert client.pause(pid, by="anna")
    assert client.resume(pid, by="berta")
    assert client.retry(pid, by="berta")
    found = [(event.kind, event.number, to_python(decode_value(event.data))) for event in driver.events(pid)][1:]
    assert found == [
        ("cancel", 0, ["enough", "anna"]),
        ("pause", 0, "anna"),
        ("resume", 0, "berta"),
        ("retry", 0, "berta"),
    ]
    for bad in ("x" * 201, "a\nb"):
        with pytest.raises(Refused):
            client.pause(pid, by=bad)


def test_filters(world: World) -> None:
    client, driver = world.client, world.driver
    pids = [client.start("deploy/main", n, id=f"o-{n}", attributes={"n": n, "city": "Bern"}) for n in range(5)]
    driver.turn(pids[0], waits="mail/send #1")
    driver.turn(pids[1], status="failed", error=":a/b broken", result=encode_value(None))

    def found(**said: Any) -> list[int]:
        return [info.pid for info in client.list(where=Where(**said))]

    assert found(waits="mail/send") == [pids[0]]
    assert found(error="broken", statuses=("failed",)) == [pids[1]]
    assert found(attributes={"n": 3}) == [pids[3]]
    assert found(attribute_texts=("n=3", "city=Bern")) == [pids[3]]
    assert found(attributes={"n": "3"}) == []
    assert found(id_prefix="o-4") == [pids[4]]
    assert found(program="deploy", pids=(pids[2], 99)) == [pids[2]]
    assert found(younger=3600) == pids
    assert found(older=3600) == []
    assert found(parent=1) == []
    assert client.count(Where(program="deploy", statuses=("ready", "waiting"))) == 4
    assert client.count() == 5
    assert [info.pid for info in client.list(where=Where(program="deploy"), limit=2, newest_first=True)] == pids[:2:-1]
    for bad in (
        {"statuses": ("odd",)}, {"program": ""}, {"waits": "x" * 1001}, {"parent": 0}, {"older": -1}, {"older": 1e300},
        {"attribute_texts": ("noequals",)}, {"pids": (0,)}, {"program": 7}, {"older": True},
    ):  # fmt: skip
        with pytest.raises(Refused):
            found(**bad)


def test_many_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowmetal.client.steering.PIECE_MAX", 3)
    client, driver = world.client, world.driver
    pids = [driver.start() for _ in range(8)]
    driver.finish(pids[2], "done", None)
    where = Where(program="deploy")
    counted = client.steer("send", where, value="m", dry_run=True)
    assert (counted.found, counted.done, counted.dry_run) == (7, 0, True)
    told: list[int] = []
    report = client.steer("send", where, value="m", name="hello", told=lambda so_far: told.append(so_far.done))
    assert (report.found, report.done, report.refused, told) == (7, 7, {}, [3, 6, 7])
    assert client.steer("send", where, value="m", name="hello").done == 0
    with pytest.raises(Conflict) as raised:
        client.steer("send", where, value="other", name="hello")
    assert raised.value.code == "H517"
    report = client.steer("kill", Where(pids=(*pids, 99)))
    assert (report.done, report.refused) == (7, {"ended": 1, "unknown": 1})
    assert sorted(map(tuple, report.refusals)) == [(pids[2], "ended"), (99, "unknown")]
    report = client.steer("restart", where)
    assert report.done == 7  # and not those that it started
    assert [old for old, _ in report.started] == [pid for pid in pids if pid != pids[2]]
    with pytest.raises(Refused):
        client.steer("explode", where)
    with pytest.raises(Refused):
        client.steer("restart", where, id="one for many")


def test_ages_and_attributes_as_text() -> None:
    assert [seconds_of(text) for text in ("90", "1.5s", "5m", "2h", "7d", "1w")] == [90, 1.5, 300, 7200, 604800, 604800]
    assert [seconds_of(text) for text in ("", "x", "-1s", "1y", "9" * 40, "1e9", "٣s", "999999999999w")] == [None] * 8
    assert attribute_of("a=b=c") == ("a", ("b=c",))
    assert attribute_of('a="x"') == ("a", ('"x"', "x"))
    assert attribute_of("a=" + "[" * 900) == ("a", ("[" * 900,))
    assert attribute_of("a=NaN") == ("a", ("NaN",))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"action": "explode"},
        {"action": 5},
        {"action": "cancel", "where": []},
        {"action": "cancel", "where": {"odd": 1}},
        {"action": "cancel", "where": {"pids": "12"}},
        {"action": "cancel", "where": {"pids": [True]}},
        {"action": "cancel", "where": {"attributes": [1]}},
        {"action": "cancel", "where": {"statuses": [["ready"]]}},
        {"action": "cancel", "where": {"older": "1"}},
        {"action": "cancel", "reason": 5},
        {"action": "cancel", "by": ["x"]},
        {"action": "cancel", "limit": 0},
        {"action": "cancel", "dry_run": "yes"},
        {"action": "cancel", "name": 7},
        {"action": "cancel", "name": "a\nb"},
        {"action": "cancel", "after": -1},
        {"action": "fail"},
        {"action": "fail", "kind": 1},
        {"action": "restart", "latest": "x"},
        {"action": "restart", "id": 7, "where": {"pids": [1]}},
        {"action": "answer", "request": {}},
        {"action": "cancel", "extra": 1},
    ],
)
def test_odd_orders_over_http(document: Any) -> None:
    world = World("http")
    try:
        world.driver.start()
        response = httpx2.post(
            f"{world.client.url}/v1/processes/steer", json=document, headers={"authorization": "Bearer tok"}
        )
        assert response.status_code == 400, response.text
        assert response.json()["error"]["code"] in ("H305", "H513", "S204", "S206")
        assert len(world.driver.events(1)) == 1
    finally:
        world.close()


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("get", ("x",), {}),
    ("get", (True,), {}),
    ("get", (0,), {}),
    ("outcome", (1.0,), {}),
    ("outcome", (1, "x"), {}),
    ("result", (1, -1), {}),
    ("history", ("x",), {}),
    ("history", (1, -1), {}),
    ("start", (5,), {}),
    ("start", ("a/b",), {"program": 5}),
    ("start", ("a/b",), {"id": b"x"}),
    ("start", ("a/b",), {"register": 1}),
    ("start", ("a/b",), {"attributes": [1]}),
    ("start", ("a/b",), {"limits": "fuel"}),
    ("send", ("x", 1), {}),
    ("cancel", ([],), {}),
    ("steer", ("cancel", "x"), {}),
    ("steer", (["cancel"], Where()), {}),
    ("steer", ("cancel", Where()), {"wish": 1}),
    ("list", (), {"statuses": "done"}),
    ("list", (), {"statuses": ["gone"]}),
    ("list", (), {"statuses": 5}),
    ("list", (), {"limit": -1}),
    ("list", (), {"limit": 0}),
    ("list", (), {"limit": "5"}),
    ("list", (), {"after": -1}),
    ("list", (), {"where": Where(tree="x")}),  # type: ignore[arg-type]
    ("deploy", ("x", 5), {}),
]


@pytest.mark.parametrize(("method", "arguments", "named"), WRONG)
def test_what_cannot_be_meant_is_refused(
    world: World, method: str, arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as raised:
        getattr(world.client, method)(*arguments, **named)
    assert raised.value.code in ("H513", "H506")


def test_addresses_that_are_none() -> None:
    for address in (5, None, b"store", ["store"]):
        with pytest.raises(BadAddress):
            connect(address)  # type: ignore[arg-type]
