"""Secrets in requests: where they may stand, what they become on the wire, and that redirects do not carry them off."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import httpx2
import pytest
from driver import Driver, running
from fake_site import Seen, Site

from flowmetal.connectors.base import Connector, Result, Task
from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.http_request import HttpRequestConnector
from flowmetal.connectors.http_request.response import response_value
from flowmetal.connectors.secrets import Redactor, Secrets, read_secrets
from flowmetal.values import ErrorValue, Map, Secret, Set, Vector, decode_value, from_python, keyword, secret_text

VALUE = "s3cr3t/?#&=+%x y"
API = Secret.named("api")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def world(site: Site) -> Iterator[Driver]:
    driver = Driver()
    settings = HttpSettings(allow=(f"127.0.0.1:{site.port}", f"localhost:{site.port}"), timeout_seconds=60.0)
    table = {
        "api": {"env": "A"},
        "far": {"env": "A", "hosts": ["a.example"]},
        "command": {"command": ["printf", "%s", VALUE]},
    }
    secrets = Secrets(read_secrets(table), {"A": VALUE, "PATH": "/usr/bin:/bin"})
    with running(HttpRequestConnector(driver.store, settings, secrets=secrets)):
        yield driver
    driver.store.close()


def perform(world: Driver, **fields: Any) -> tuple[bool, Any]:
    payload = Map.of([(keyword(name.replace("_", "-")), value) for name, value in fields.items()])
    return world.answer(world.request("http/request", payload))


def sent(world: Driver, site: Site, **fields: Any) -> Seen:
    ok, value = perform(world, **{"url": f"{site.url}/hello", **fields})
    assert ok, value.message
    return site.seen[-1]


def failed(world: Driver, kind: str, **fields: Any) -> ErrorValue:
    ok, value = perform(world, **fields)
    assert not ok, value
    assert value.kind is keyword(kind), value.message
    assert VALUE not in repr(value)
    return value  # type: ignore[no-any-return]


def test_places(world: Driver, site: Site) -> None:
    post = {"method": keyword("post")}
    bearer = secret_text(["Bearer ", API])
    assert sent(world, site, headers=from_python({"x": 1}).assoc("y", bearer)).headers["y"] == f"Bearer {VALUE}"
    assert sent(world, site, query=Map.of([("q", API)])).query == "q=s3cr3t%2F%3F%23%26%3D%2B%25x+y"
    assert sent(world, site, form=Map.of([("q", API)]), **post).body == b"q=s3cr3t%2F%3F%23%26%3D%2B%25x+y"
    assert sent(world, site, body=secret_text(["<", API, ">"]), **post).body == f"<{VALUE}>".encode()
    body = sent(world, site, json=Map.of([("a", Vector.of([API, 1]))]), **post).body
    assert json.loads(body) == {"a": [VALUE, 1]}
    header = sent(world, site, basic_auth=Vector.of(["me", API])).headers["authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == f"me:{VALUE}"
    assert (
        sent(world, site, url=secret_text([f"{site.url}/hello/", API, "/x"])).path
        == "/hello/s3cr3t/%3F%23&=+%25x%20y/x"
    )
    assert sent(world, site, headers=Map.of([("x", Secret.named("command"))])).headers["x"] == VALUE


def test_the_address_of_the_answer(world: Driver, site: Site) -> None:
    ok, value = perform(world, url=secret_text([f"{site.url}/hello/", API]))
    assert ok and value.get(keyword("url")) == f"{site.url}/hello/#secret[api]"


@pytest.mark.parametrize(
    "fields",
    [
        {"url": secret_text(["http://", API, "/"])},
        {"url": API},
        {"url": secret_text(["http://127.0.0.1:", API])},
        {"url": secret_text(["http://127.0.0.1?", API])},
        {"url": secret_text(["http://me:", API, "@127.0.0.1/"])},
        {"method": API},
        {"headers": Map.of([(API, "x")])},
        {"headers": API},
        {"headers": Map.of([("x", "Bearer #secret[api]")])},
        {"query": Map.of([(API, "x")])},
        {"json": Map.of([(API, "x")]), "method": keyword("post")},
        {"json": Set.of([API]), "method": keyword("post")},
        {"timeout": API},
        {"as": API},
        {"basic_auth": API},
        {"basic_auth": Vector.of(["a:b", API])},
        {"basic_auth": Vector.of(["a", API]), "headers": Map.of([("authorization", "x")])},
    ],
)
def test_where_none_may_stand(world: Driver, site: Site, fields: dict[str, Any]) -> None:
    failed(world, "http/bad-request", **{"url": f"{site.url}/hello", **fields})


def test_redirects(world: Driver, site: Site) -> None:
    headers, hops = Map.of([("x", API)]), {"redirects": 5}
    ok, value = perform(world, url=f"{site.url}/redirect?to=/hello", headers=headers, **hops)
    assert ok and value.get(keyword("status")) == 200
    for goal in (f"http://localhost:{site.port}/hello", f"https://127.0.0.1:{site.port}/hello", "http://127.0.0.1:1/"):
        before = len(site.seen)
        error = failed(world, "secret/refused", url=f"{site.url}/redirect?to={goal}", headers=headers, **hops)
        assert "`api`" in error.message
        assert len(site.seen) == before + 1
    goal = f"{site.url}/redirect?to=http://localhost:{site.port}/hello"
    ok, value = perform(world, url=goal, **hops)  # without a secret it goes there
    assert ok and value.get(keyword("status")) == 200


def test_hosts(world: Driver, site: Site) -> None:
    before = len(site.seen)
    error = failed(world, "secret/refused", url=f"{site.url}/hello", headers=Map.of([("x", Secret.named("far"))]))
    assert "127.0.0.1" in error.message
    assert (
        failed(world, "secret/missing", url=f"{site.url}/hello", body=Secret.named("none")).data.get(keyword("secret"))
        == "none"
    )
    failed(world, "secret/refused", url="http://example.com/", body=API)
    assert len(site.seen) == before


class _Broken(Connector):
    EFFECT: ClassVar[str] = "test/broken"
    BAD_REQUEST: ClassVar[str] = "test/bad"
    BROKEN: ClassVar[str] = "test/broken"

    async def perform(self, task: Task) -> Result:
        values = await self.values(task)
        raise RuntimeError(f"it broke at {values['api']} and {values['api'].encode().hex()}")

    def facts(self, payload: Any) -> Iterable[tuple[Any, Any]]:
        return ()


def test_exceptions_and_their_traces(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver()
    secrets = Secrets(read_secrets({"api": {"env": "A", "effects": ["http/request"]}}), {"A": VALUE})
    secrets.check = lambda names, effect: None  # type: ignore[method-assign]
    broken = _Broken(driver.store, secrets, None, concurrency=1, lease_seconds=15.0)
    with running(broken), caplog.at_level(logging.DEBUG):
        ok, error = driver.answer(driver.request("test/broken", API))
    driver.store.close()
    assert not ok and error.message == "RuntimeError: it broke at #secret[api] and #secret[api]"
    assert "it broke at #secret[api] and #secret[api]" in caplog.text
    assert "Traceback" in caplog.text and VALUE not in caplog.text


# ---- what comes back, before and after it is read as text -----------------------------------------------------------

CLEAN = Redactor()
CLEAN.add("api", "S3cr3t-v\u00e4lue/4711")


@pytest.mark.parametrize("sent", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize(
    "named", ["utf-8", "iso-8859-1", "utf-16-le", "utf-16", "utf-16-be", "shift_jis", "koi8-r", None]
)
@pytest.mark.parametrize("read_as", ["text", "bytes"])
def test_a_charset_hides_nothing(sent: str, named: str | None, read_as: str) -> None:
    """The sender names the charset; a wrong one makes another text of the bytes, from which the value can be made."""
    body = "<S3cr3t-v\u00e4lue/4711>".encode(sent)
    kind = "text/plain" + (f"; charset={named}" if named else "")
    headers = [(b"content-type", kind.encode()), (b"x-back", body), (b"X-S3cr3t-v\xe4lue/4711", b"1")]
    if "16" in sent:
        del headers[1]  # no header has a zero byte
    response = httpx2.Response(200, headers=headers, request=httpx2.Request("GET", "https://a.example/"))
    value = decode_value(CLEAN.encoded(response_value(response, body, False, read_as, CLEAN.octets)))
    for text in texts_of(value):
        for charset in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "cp1252", "shift_jis", "koi8-r"):
            raw = text if isinstance(text, bytes) else text.encode(charset, "replace")
            assert b"S3cr3t" not in raw.replace(b"\0", b"") and b"s3cr3t" not in raw, (charset, raw)
            assert b"4711" not in raw.replace(b"\0", b""), (charset, raw)


def texts_of(value: Any) -> Iterator[Any]:
    if isinstance(value, Map):
        for key, item in value.items():
            yield from texts_of(key)
            yield from texts_of(item)
    elif isinstance(value, (str, bytes)):
        yield value


def test_json_with_a_secret_stays_json() -> None:
    """Bytes of JSON are not changed before they are read: a number, or an escape, would be broken."""
    redactor = Redactor()
    redactor.add("pin", "12345678")
    redactor.add("word", "passwordpassword")
    inner = base64.b64encode(b"passwordpassword").decode()
    body = json.dumps({"n": 12345678, "s": f"\n{inner}", "t": "passwordpassword"}).encode()
    response = httpx2.Response(200, request=httpx2.Request("GET", "https://a.example/"))
    value = decode_value(redactor.encoded(response_value(response, body, False, "json", redactor.octets)))
    found = value.get(keyword("body"))
    assert found == from_python({"n": "#secret[pin]", "s": "\n#secret[word]==", "t": "#secret[word]"})
