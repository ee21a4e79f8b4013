"""Callbacks and endpoints over a memory store, served by the real server on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from driver import DEADLINE_SECONDS, Driver, running

from flowmetal import values
from flowmetal.client.connecting import deploy_artifact
from flowmetal.connectors.http_callback.app import Callbacks
from flowmetal.connectors.http_callback.replays import Replays
from flowmetal.engine.build import build_artifact
from flowmetal.server import HttpServer, read_config
from flowmetal.values import decode_value, to_python

TOKEN = "a" * 32
SECRET = "s3cret"

CONFIG: dict[str, Any] = {
    "serve": {"port": 0, "max_body_bytes": 100_000, "stop_seconds": DEADLINE_SECONDS},
    "endpoints": {
        "github": {"scheme": "github", "secret_env": "GH", "start": "deploy/main", "events": ["push"]},
        "stripe": {"scheme": "stripe", "secret_env": "GH", "start": "deploy/main"},
        "slack": {"scheme": "slack", "secret_env": "GH", "start": "deploy/main"},
        "signed": {"scheme": "hmac", "secret_env": "GH", "start": "deploy/main"},
        "open": {"scheme": "none", "insecure": True, "start": "deploy/main"},
        "undeployed": {"scheme": "none", "insecure": True, "start": "missing/main"},
    },
}


class World:
    def __init__(self, **serve: Any) -> None:
        self.driver = Driver()
        config = read_config({**CONFIG, "serve": {**CONFIG["serve"], **serve}})
        self.server = HttpServer(self.driver.store, config, environment={"GH": SECRET})
        self.server.start()
        self.http = httpx2.Client(base_url=self.server.url, trust_env=False, timeout=DEADLINE_SECONDS)

    def close(self) -> None:
        self.http.close()
        assert self.server.stop()
        self.driver.store.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


_counter = iter(range(10**6))


def new_token() -> str:
    return f"t{next(_counter):031d}"


def delivered(world: World, **sent: Any) -> Any:
    """What a waiting process gets from a delivery."""
    token = new_token()
    pid = world.driver.callback(token)
    response = world.http.post(f"/callbacks/{token}", **sent)
    assert response.status_code == 202, response.text
    assert response.json() == {"status": "accepted"}
    return world.driver.plain_answer(pid)[1]


# ---- callbacks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": [1, null, "\xc3\xbc"]}', "application/json", {"a": [1, None, "ü"]}),
        (b"3", "application/json; charset=utf-8", 3),
        (b'{"x": true}', "application/vnd.x+json", {"x": True}),
        (b"", "application/json", None),
        (b"", "", None),
        (b"a=1", "application/x-www-form-urlencoded", {"body": "a=1"}),
        (b"plain", "", {"body": "plain"}),
        (b"\xff\x00", "application/octet-stream", {"body": "/wA="}),
    ],
)
def test_what_is_delivered(world: World, body: bytes, content_type: str, value: Any) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert delivered(world, content=body, headers=headers) == value


def test_a_second_delivery_is_a_duplicate(world: World) -> None:
    token = new_token()
    world.driver.callback(token)
    assert world.http.post(f"/callbacks/{token}", json={"n": 1}).status_code == 202
    again = world.http.post(f"/callbacks/{token}", json={"n": 2})
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})


@pytest.mark.parametrize("token", ["b" * 32, "x", "%00", "a%2Fb", "é" * 20, "a" * 5000, "..%2f..", "0" * 32])
def test_unknown_tokens_are_404_however_they_look(world: World, token: str) -> None:
    response = world.http.post(f"/callbacks/{token}", json=1)
    assert response.status_code == 404
    assert response.json()["error"]["code"] in ("H401", "H304")


def test_unknown_tokens_take_the_same_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token is looked up in the store, whether or not it could be one."""
    asked: list[str] = []
    look = world.driver.store.token

    def watched(token: str) -> Any:
        asked.append(token)
        return look(token)

    monkeypatch.setattr(world.driver.store, "token", watched)
    for token in ("c" * 32, "x", "%00"):
        world.http.post(f"/callbacks/{token}", json=1)
    assert asked == ["c" * 32, "0" * 32, "0" * 32]


def test_nothing_is_worked_out_for_who_knows_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is read as JSON only behind a token that is open, and then not in the loop's thread."""
    read: list[str] = []

    def json_value(body: bytes) -> Any:
        read.append(threading.current_thread().name)
        return values.json_value(body)

    monkeypatch.setattr("flowmetal.connectors.http_callback.app.json_value", json_value)
    large = {"json": ["x" * 100] * 100}
    assert world.http.post("/callbacks/" + "d" * 32, **large).status_code == 404
    token = new_token()
    world.driver.callback(token)
    assert read == []
    assert world.http.post(f"/callbacks/{token}", **large).status_code == 202
    assert world.http.post(f"/callbacks/{token}", **large).status_code == 200
    assert world.http.post("/endpoints/github", **github(b'"wrong"', "d-0") | {"content": b"[]"}).status_code == 401
    assert read == ["function"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b"1e999",
        b"\xff",
        b'"\\ud800"',
        b"[" * 600 + b"]" * 600,
        b"[" * 50_000,
        b"1" * 5000,
        b"\xef\xbb\xbf1",
        b" ",
    ],
)
def test_bad_json_is_refused_and_nothing_delivered(world: World, body: bytes) -> None:
    token = new_token()
    pid = world.driver.callback(token)
    response = world.http.post(f"/callbacks/{token}", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "H301"
    assert not world.driver.events(pid)
    assert world.http.post(f"/callbacks/{token}", json=1).status_code == 202


def test_other_methods_are_not_allowed(world: World) -> None:
    response = world.http.get(f"/callbacks/{TOKEN}")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["code"] == "H310"


def raw(world: World, *parts: bytes, pause: float = 0.0) -> bytes:
    """Sends bytes as they are, and gives all that comes back."""
    with socket.create_connection(("127.0.0.1", world.server.port), timeout=DEADLINE_SECONDS) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            pass
        received = b""
        try:
            while data := connection.recv(65_536):
                received += data
        except ConnectionError:
            pass
        return received


def test_body_limit_by_length_and_by_count(world: World) -> None:
    token = new_token()
    pid = world.driver.callback(token)
    assert world.http.post(f"/callbacks/{token}", content=b"x" * 100_001).status_code == 413
    head = f"POST /callbacks/{token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = raw(world, head, *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 200)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert not world.driver.events(pid)
    assert world.http.post(f"/callbacks/{token}", content=b"x" * 100_000).status_code == 202


def test_slow_bodies_have_a_deadline() -> None:
    world = World(body_seconds=0.3)
    token = new_token()
    world.driver.callback(token)
    answer = raw(world, f"POST /callbacks/{token} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx".encode())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"H307" in answer
    world.close()


def test_a_store_that_fails_is_no_2xx(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_token()
    pid = world.driver.callback(token)

    def fault(point: str) -> None:
        from flowmetal.store import StoreError

        raise StoreError("S305", point=point)

    monkeypatch.setattr(world.driver.store, "fault", fault)
    response = world.http.post(f"/callbacks/{token}", json=1)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "S305"
    monkeypatch.setattr(world.driver.store, "fault", None)
    assert not world.driver.events(pid)
    assert world.http.post(f"/callbacks/{token}", json=1).status_code == 202


# ---- endpoints ---------------------------------------------------------------------------------------------------


def github(body: bytes, delivery: str, event: str = "push", **more: str) -> dict[str, Any]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "x-hub-signature-256": f"sha256={signature}",
        "x-github-delivery": delivery,
        "x-github-event": event,
        "content-type": "application/json",
        "authorization": "Bearer secret",
        **more,
    }
    return {"content": body, "headers": headers}


def started(world: World, pid: int) -> dict[str, Any]:
    """The argument a process was started with."""
    (event,) = world.driver.events(pid, "start")
    (argument,) = to_python(decode_value(event.data))
    return dict(argument)


def test_a_delivery_starts_a_process(world: World) -> None:
    response = world.http.post("/endpoints/github", **github(b'{"ref": "main"}', "d-1"))
    assert response.status_code == 202
    pid = response.json()["process"]
    record = world.driver.store.process(pid)
    assert record is not None
    assert (record.id, record.function) == ("endpoint:github:d-1", "deploy/main")
    given = started(world, pid)
    assert given["endpoint"] == "github"
    assert given["delivery"] == "d-1"
    assert given["event"] == "push"
    assert given["body"] == {"ref": "main"}
    assert given["headers"]["x-github-event"] == "push"
    assert "authorization" not in given["headers"]


def test_replays_make_one_process(world: World) -> None:
    def deliver(n: int) -> httpx2.Response:
        # Another trace header each time: still the same delivery.
        return world.http.post("/endpoints/github", **github(b'{"n": 1}', "d-replay", traceparent=str(n)))

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(deliver, range(100)))
    assert sorted({r.status_code for r in responses}) == [200, 202]
    assert [r.status_code for r in responses].count(202) == 1
    assert len({r.json()["process"] for r in responses}) == 1


def test_other_events_are_ignored(world: World) -> None:
    response = world.http.post("/endpoints/github", **github(b"{}", "d-2", event="ping"))
    assert (response.status_code, response.json()) == (202, {"status": "ignored", "event": "ping"})
    assert world.driver.store.process_by_id("endpoint:github:d-2") is None


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha256=" + "0" * 64, "sha1=abc", "é", "x" * 10_000])
def test_bad_signatures_are_401(world: World, signature: str | None) -> None:
    sent = github(b"{}", "d-bad")
    del sent["headers"]["x-hub-signature-256"]
    if signature is not None:
        sent["headers"]["x-hub-signature-256"] = signature.encode("utf-8")
    response = world.http.post("/endpoints/github", **sent)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "H402"
    assert world.driver.store.process_by_id("endpoint:github:d-bad") is None


def test_unknown_endpoints_are_404(world: World) -> None:
    assert world.http.post("/endpoints/nothing", json=1).json()["error"]["code"] == "H403"


@pytest.mark.parametrize("delivery", ["x" * 500, "ü ö", "a/b c", "-", "💥" * 30])
def test_odd_delivery_ids(world: World, delivery: str) -> None:
    sent = github(b'{"odd": 1}', delivery)
    sent["headers"] = {name: value.encode("utf-8") for name, value in sent["headers"].items()}
    first, again = (world.http.post("/endpoints/github", **sent) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200), first.text
    assert first.json()["process"] == again.json()["process"]


def test_stripe_and_slack_take_the_id_from_the_signed_body(world: World) -> None:
    now = int(time.time())
    body = b'{"id": "evt_9", "type": "invoice.paid"}'
    signature = hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={now},v1={signature}", "content-type": "application/json"}
    pid = world.http.post("/endpoints/stripe", content=body, headers=headers).json()["process"]
    assert (started(world, pid)["delivery"], started(world, pid)["event"]) == ("evt_9", "invoice.paid")
    body = b'{"event_id": "Ev1", "type": "event_callback", "event": {"type": "app_mention"}}'
    signature = hmac.new(SECRET.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "x-slack-signature": f"v0={signature}",
        "x-slack-request-timestamp": str(now),
        "content-type": "application/json",
    }
    pid = world.http.post("/endpoints/slack", content=body, headers=headers).json()["process"]
    assert (started(world, pid)["delivery"], started(world, pid)["event"]) == ("Ev1", "app_mention")


def signed(body: bytes, delivery: str, time: int) -> dict[str, Any]:
    signature = hmac.new(SECRET.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "content": body,
        "headers": {"x-timestamp": str(time), "x-signature": signature, "x-delivery-id": delivery},
    }


def test_an_id_that_is_not_signed_does_not_make_another_delivery(world: World) -> None:
    now = int(time.time())

    def sent(http: httpx2.Client, *what: Any) -> tuple[int, int]:
        response = http.post("/endpoints/signed", **signed(*what))
        return response.status_code, response.json()["process"]

    status, pid = sent(world.http, b"one", "d-1", now)
    assert status == 202
    assert sent(world.http, b"one", "d-1", now) == (200, pid)  # as it was
    assert sent(world.http, b"one", "d-1", now - 1) == (200, pid)  # sent again by the sender: signed again
    assert sent(world.http, b"one", "d-2", now) == (200, pid)  # sent again by another, under another id
    assert sent(world.http, b"two", "d-3", now)[0] == 202
    server = HttpServer(world.driver.store, read_config(CONFIG), environment={"GH": SECRET})
    with running(server), httpx2.Client(base_url=server.url, trust_env=False, timeout=DEADLINE_SECONDS) as http:
        assert sent(http, b"one", "d-4", now) == (200, pid)  # also by a server that was started since
        assert sent(http, b"one", "d-4", now + 1)[0] == 202


def test_signatures_are_forgotten_once_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = Replays(10)
    assert [replays.first("s", name, now) for name, now in (("a", 0), ("b", 9), ("c", 11))] == ["a", "a", "c"]
    monkeypatch.setattr("flowmetal.connectors.http_callback.replays.SIGNATURES_MAX", 3)
    for number in range(10):
        replays.first(str(number), "x", 12)
    assert len(replays._seen) == 3


def test_a_body_that_is_not_json_reaches_the_program_as_text(world: World) -> None:
    response = world.http.post("/endpoints/open", content=b"{broken", headers={"content-type": "application/json"})
    assert started(world, response.json()["process"])["body"] == "{broken"


def test_a_program_that_is_not_deployed_is_no_2xx(world: World) -> None:
    response = world.http.post("/endpoints/undeployed", json=1)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "H404"


def test_a_function_that_cannot_be_started_is_no_2xx_and_is_told_at_the_start() -> None:
    program = "(ns shop) (defn main [push] push) (defn none [] 1)"
    endpoints = {
        name: {"scheme": "none", "insecure": True, "start": f"shop/{name}"} for name in ("main", "mian", "none")
    }
    endpoints["undeployed"] = {"scheme": "none", "insecure": True, "start": "missing/main"}
    driver = Driver()
    deploy_artifact(driver.store, "shop", build_artifact({"shop.fm": program}).data)
    callbacks = Callbacks(driver.store, read_config({"endpoints": endpoints}).callbacks, environment={})
    assert callbacks.not_startable() == {
        "mian": "`shop` has no function `mian`.",
        "none": "`shop/none` takes 0 arguments, and is given 1 argument.",
        "undeployed": "No program is deployed as `missing`.",
    }
    server = HttpServer(driver.store, read_config({**CONFIG, "endpoints": endpoints}), environment={})
    server.start()
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=DEADLINE_SECONDS) as http:
        for name in ("mian", "none"):
            response = http.post(f"/endpoints/{name}", json=1)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "H404")
        assert driver.store.processes() == []
        assert http.post("/endpoints/main", json=1).status_code == 202
    assert server.stop()
    driver.store.close()


def test_health(world: World) -> None:
    response = world.http.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_mutated_deliveries_never_pass_and_never_break_anything(world: World) -> None:
    good = github(json.dumps({"n": 1}).encode(), "d-mutant")
    for index in range(300):
        body = bytearray(good["content"])
        headers = dict(good["headers"])
        if index % 2:
            body[index % len(body)] ^= 1 << (index % 7)
        else:
            text = headers["x-hub-signature-256"]
            place = 7 + index // 2 % 64
            headers["x-hub-signature-256"] = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        response = world.http.post("/endpoints/github", content=bytes(body), headers=headers)
        assert response.status_code == 401
    assert world.driver.store.process_by_id("endpoint:github:d-mutant") is None
