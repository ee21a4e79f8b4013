"""What comes in from outside holds no value of a secret: callbacks, endpoints, and all of the HTTP API."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from driver import DEADLINE_SECONDS, Driver

from flowmetal.connectors.secrets import Redactor, Secrets
from flowmetal.connectors.secrets.inlet import cleaned
from flowmetal.server import HttpServer, read_config
from flowmetal.store.interface import Bulk, Complete, PutArtifact, Settle, Start, Take
from flowmetal.values import Secret, Vector, decode_value, encode_value, from_python

VALUE = "S3cr3t/+v\u00e4lue%4711"
OTHER = "another-secret-value"
TOKEN = "t0"


class World:
    def __init__(self) -> None:
        self.driver = Driver()
        config = read_config(
            {
                "serve": {"port": 0, "stop_seconds": DEADLINE_SECONDS},
                "endpoints": {"open": {"scheme": "none", "insecure": True, "start": "deploy/main"}},
                "secrets": {"api": {"env": "A"}, "other": {"env": "B"}},
            }
        )
        environment = {"A": VALUE, "B": OTHER}
        secrets = Secrets(config.secrets, environment)
        secrets.know()
        self.server = HttpServer(self.driver.store, config, environment=environment, secrets=secrets)
        self.server.start()
        self.http = httpx2.Client(base_url=self.server.url, trust_env=False, timeout=DEADLINE_SECONDS)
        self._tokens = iter(range(10**6))

    def delivered(self, **sent: Any) -> Any:
        """What a process gets that waits for a delivery."""
        token = f"t{next(self._tokens):031d}"
        pid = self.driver.callback(token)
        assert self.http.post(f"/callbacks/{token}", **sent).status_code == 202
        return self.driver.plain_answer(pid)[1]

    def post(self, path: str, document: Any) -> Any:
        response = self.http.post(f"/v1{path}", json=document)
        assert response.is_success, response.text
        return response.json()

    def kept(self, pid: int) -> str:
        """All that the store has of a process."""
        store = self.driver.store
        record = store.process(pid)
        parts = [repr(record)]
        parts += [repr(entry.event) + entry.event.decode("utf-8", "replace") for entry in store.log(pid)]
        parts += [repr(event.data) + event.data.decode("utf-8", "replace") for event in store.inbox(pid)]
        return "\n".join(parts)

    def holds_none(self, pid: int, name: str = "api") -> None:
        kept = self.kept(pid)
        assert VALUE not in kept and OTHER not in kept and "4711" not in kept, kept
        assert f"#secret[{name}]" in kept, kept


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.http.close()
    assert world.server.stop()
    world.driver.store.close()


SENT = {
    "json": ({"json": {"a": [VALUE, {VALUE: 1}]}}, {"a": ["#secret[api]", {"#secret[api]": 1}]}),
    "text": ({"content": f"<{VALUE}>".encode()}, {"body": "<#secret[api]>"}),
    "form": ({"data": {"x": VALUE}}, {"body": "x=#secret[api]"}),
    "base64": ({"content": base64.b64encode(b"x" + OTHER.encode())}, {"body": "e#secret[other]"}),
    "latin-1": ({"content": f"<{VALUE}>".encode("latin-1")}, b"<#secret[api]>"),
    "UTF-16": ({"content": f"<{VALUE}>".encode("utf-16-le")}, b"<#secret[api]>"),
    "a wrong charset": (
        {"content": VALUE.encode(), "headers": {"content-type": "text/plain; charset=utf-16-le"}},
        {"body": "#secret[api]"},
    ),
    "large": ({"json": [VALUE + " " * 100_000]}, ["#secret[api]" + " " * 100_000]),
}


@pytest.mark.parametrize("name", SENT)
def test_callbacks(world: World, name: str) -> None:
    sent, expected = SENT[name]
    found = world.delivered(**sent)
    if name in ("latin-1", "UTF-16"):  # bytes
        found = base64.b64decode(found["body"]).replace(b"\0", b"")
    assert found == expected


def test_endpoints(world: World) -> None:
    headers = {
        "x-back": VALUE.encode("latin-1"), "x-utf8": VALUE.encode(), "x-coded": base64.b64encode(OTHER.encode()),
        "x-delivery-id": OTHER, "content-type": "application/json", f"x-{OTHER.upper()}": "1",
    }  # fmt: skip
    sent = {"headers": headers, "content": json.dumps({"a": VALUE}).encode()}
    pid = world.http.post("/endpoints/open", **sent).json()["process"]
    world.holds_none(pid)
    record = world.driver.store.process(pid)
    assert record is not None and record.id == "endpoint:open:" + "#secret[other]"
    # The same delivery again is known by the id that it has here.
    assert world.http.post("/endpoints/open", **sent).json() == {"status": "duplicate", "process": pid}


def test_the_api(world: World) -> None:
    started = {
        "function": "deploy/main",
        "args": [VALUE],
        "id": f"id-{OTHER}",
        "attributes": {"a": [VALUE, {VALUE: 1}]},
    }
    pid = world.post("/processes", started)["pid"]
    assert world.post("/processes", started) == {"pid": pid, "created": False}
    assert [
        one["pid"] for one in world.http.get("/v1/processes", params={"id": f"id-{OTHER}"}).json()["processes"]
    ] == [pid]
    world.post(f"/processes/{pid}/messages", {"value": {"x": VALUE}})
    world.post(f"/processes/{pid}/cancel", {"reason": f"as {VALUE}"})
    world.holds_none(pid)
    world.post("/operations/kv/put", {"payload": ["k", [VALUE]]})
    assert world.post("/operations/kv/get", {"payload": ["k"]}) == {"value": ["#secret[api]"]}


def test_answers_of_workers(world: World) -> None:
    for document in ({"value": [VALUE]}, {"error": {"kind": "w/bad", "message": VALUE, "data": {"v": VALUE}}}):
        pid = world.driver.request("w/do")
        taken = world.driver.submit(Take(("w/do",), "w", 1, 60_000))
        world.post(f"/requests/{pid}/1/complete", {"attempt": taken[0].attempt, **document})
        world.holds_none(pid)


def test_operations_on_many(world: World) -> None:
    where = {"pids": [world.driver.request("w/answered")]}
    order = {"action": "answer", "where": where, "request": 1, "value": VALUE, "by": f"{OTHER}"}
    assert world.post("/processes/steer", order)["done"]
    world.holds_none(where["pids"][0])
    where = {"pids": [world.driver.start()]}
    for action in ("send", "kill"):
        order = {"action": action, "where": where, "value": VALUE, "reason": VALUE, "by": OTHER}
        assert world.post("/processes/steer", order)["done"]
        world.holds_none(where["pids"][0], "other" if action == "kill" else "api")


def test_commands() -> None:
    redactor = Redactor()
    redactor.add("api", VALUE)
    data, clean = (
        encode_value(Vector.of([VALUE, Secret.named("api")])),
        Vector.of(["#secret[api]", Secret.named("api")]),
    )
    harmless = Complete(1, 1, 1, True, encode_value("x"))
    assert cleaned(harmless, redactor) is harmless
    (settle,) = cleaned(Bulk([Settle(1, data)]), redactor).commands  # type: ignore[union-attr]
    assert decode_value(settle.data) == clean
    start = Start("m/f", data, register=VALUE, queue=("q", VALUE, 0, 0, VALUE), name="m")
    found = cleaned(start, redactor)
    assert isinstance(found, Start)
    assert (found.register, found.queue) == ("#secret[api]", ("q", "#secret[api]", 0, 0, "#secret[api]"))
    assert decode_value(found.arguments) == clean
    redactor.add("pin", "12345678")
    numbers = cleaned(Complete(1, 1, 1, True, encode_value(from_python({"n": 12345678}))), redactor)
    assert decode_value(numbers.data) == from_python({"n": "#secret[pin]"})  # type: ignore[union-attr]
    deployed = cleaned(PutArtifact(b"h", b"data", OTHER + VALUE, (f"secret={VALUE}",)), redactor)
    assert isinstance(deployed, PutArtifact)
    assert (deployed.name, deployed.grants) == (f"{OTHER}#secret[api]", ("secret=#secret[api]",))
