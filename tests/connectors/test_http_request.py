"""The http/request connector, over a memory store and real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from driver import Driver, eventually, running
from fake_site import TLS, Site

from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.http_request import HttpRequestConnector
from flowmetal.connectors.http_request.response import response_value
from flowmetal.values import Duration, ErrorValue, Map, Vector, from_python, keyword

SECOND = 10**9


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def world(site: Site) -> Iterator[Driver]:
    driver = Driver()
    settings = HttpSettings(allow=(f"127.0.0.1:{site.port}",), max_bytes=4096, timeout_seconds=60.0)
    with running(HttpRequestConnector(driver.store, settings)):
        yield driver
    driver.store.close()


def k(text: str) -> Any:
    return keyword(text)


def payload(**fields: Any) -> Map:
    return Map.of([(k(name.replace("_", "-")), value) for name, value in fields.items()])


def perform(world: Driver, value: Any, options: Any = None) -> tuple[bool, Any]:
    return world.answer(world.request("http/request", value, options))


def answered(world: Driver, **fields: Any) -> Map:
    ok, value = perform(world, payload(**fields))
    assert ok, value.message
    assert isinstance(value, Map)
    return value


def failed(world: Driver, kind: str, options: Any = None, **fields: Any) -> ErrorValue:
    ok, value = perform(world, payload(**fields), options)
    assert not ok
    assert isinstance(value, ErrorValue)
    assert value.kind.text == kind, value.message
    return value


# ---- what is sent ------------------------------------------------------------------------------------------------


def test_get(world: Driver, site: Site) -> None:
    value = answered(world, url=site.url + "/hello")
    assert value.get(k("status")) == 200
    assert value.get(k("body")) == "grüß"
    assert value.get(k("url")) == site.url + "/hello"
    headers = value.get(k("headers"))
    assert headers.get("x-thing") == "a"
    seen = site.seen[-1]
    assert (seen.method, seen.body) == ("GET", b"")
    assert "idempotency-key" not in seen.headers
    assert "cookie" not in seen.headers


def test_cookies_are_not_kept(world: Driver, site: Site) -> None:
    answered(world, url=site.url + "/hello")
    answered(world, url=site.url + "/hello")
    assert "cookie" not in site.seen[-1].headers


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_unsafe_methods_carry_the_idempotency_key(world: Driver, site: Site, method: str) -> None:
    answered(world, url=site.url + "/hello", method=k(method))
    assert site.seen[-1].method == method.upper()
    assert site.seen[-1].headers["idempotency-key"] == "key-1"


def test_a_program_may_set_its_own_key(world: Driver, site: Site) -> None:
    answered(world, url=site.url + "/hello", method=k("post"), headers=Map.of([("Idempotency-Key", "mine")]))
    assert site.seen[-1].headers["idempotency-key"] == "mine"


@pytest.mark.parametrize(
    ("fields", "body", "content_type"),
    [
        ({"body": "text ü"}, "text ü".encode(), "text/plain; charset=utf-8"),
        ({"body": b"\x00\xff"}, b"\x00\xff", "application/octet-stream"),
        ({"json": from_python({"a": [1, None, "ü"]})}, '{"a":[1,null,"ü"]}'.encode(), "application/json"),
        ({"json": None}, b"null", "application/json"),
        (
            {"form": Map.of([("a", "1 2"), (keyword("b"), Vector.of(["x", 3]))])},
            b"a=1+2&b=x&b=3",
            "application/x-www-form-urlencoded",
        ),
    ],
)
def test_bodies(world: Driver, site: Site, fields: dict[str, Any], body: bytes, content_type: str) -> None:
    answered(world, url=site.url + "/hello", method="POST", **fields)
    assert site.seen[-1].body == body
    assert site.seen[-1].headers["content-type"] == content_type


def test_query_and_headers(world: Driver, site: Site) -> None:
    answered(
        world,
        url=site.url + "/hello?a=1",
        query=Map.of([("b", "ü&"), (keyword("c"), True), ("d", Vector.of([1, 2])), ("e", None)]),
        headers=Map.of([(keyword("x-one"), 1), ("X-Two", Vector.of(["a", "b"])), ("Content-Type", "text/x")]),
    )
    assert site.seen[-1].query == "a=1&b=%C3%BC%26&c=true&d=1&d=2"
    assert site.seen[-1].headers["x-one"] == "1"
    assert site.seen[-1].headers["content-type"] == "text/x"


# ---- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "read_as", "body"),
    [
        ("/json", "json", from_python({"n": 1, "a b": [True, None]})),
        ("/json", "bytes", b'{"n": 1, "a b": [true, null]}'),
        ("/latin", "text", "grüß"),
        ("/odd-charset", "text", "\\ud800 ok"),
        ("/gzip", "text", "packed"),
        ("/gzips", "text", "packed twice"),
        ("/status/204", "json", None),
        ("/status/404", "text", "said"),
    ],
)
def test_bodies_are_read_as_asked(world: Driver, site: Site, path: str, read_as: str, body: Any) -> None:
    value = answered(world, url=site.url + path, **{"as": k(read_as)})
    assert value.get(k("body")) == body


def test_an_unpacked_body_has_no_headers_of_the_packed_one(world: Driver, site: Site) -> None:
    headers = answered(world, url=site.url + "/gzip").get(k("headers"))
    assert headers.get("content-encoding") is None
    assert headers.get("content-length") is None


@pytest.mark.parametrize("status", [200, 302, 404, 408, 429, 500, 503])
def test_without_retry_every_status_is_an_answer(world: Driver, site: Site, status: int) -> None:
    assert answered(world, url=f"{site.url}/status/{status}").get(k("status")) == status


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_with_retry_some_statuses_are_failed_attempts(world: Driver, site: Site, status: int) -> None:
    options = Map.of([(k("retry"), Map.of([(k("max"), 3)]))])
    error = failed(world, "http/status", options, url=f"{site.url}/status/{status}")
    assert error.data.get(k("status")) == status
    assert error.data.get(k("body")) == "said"
    assert error.data.get(k("attempt")) == 1
    assert error.data.get(k("url")) == f"{site.url}/status/{status}"
    assert error.data.get(k("retry-after")) == (Duration(7 * SECOND) if status in (429, 503) else None)


@pytest.mark.parametrize("status", [200, 201, 301, 400, 404, 409])
def test_with_retry_other_statuses_are_answers(world: Driver, site: Site, status: int) -> None:
    ok, _ = perform(world, payload(url=f"{site.url}/status/{status}"), Map.of([(k("retry"), True)]))
    assert ok


def test_retry_off_is_no_retry(world: Driver, site: Site) -> None:
    for off in (None, False):
        ok, _ = perform(world, payload(url=f"{site.url}/status/500"), Map.of([(k("retry"), off)]))
        assert ok


# ---- redirects ---------------------------------------------------------------------------------------------------


def test_redirects_are_off_unless_asked_for(world: Driver, site: Site) -> None:
    assert answered(world, url=site.url + "/redirect?to=/hello").get(k("status")) == 302
    value = answered(world, url=site.url + "/redirect?to=/hello", redirects=1)
    assert (value.get(k("status")), value.get(k("url"))) == (200, site.url + "/hello")
    assert "more than 3 redirects" in failed(world, "http/protocol", url=site.url + "/loop", redirects=3).message


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "file:///etc/passwd",
        "http://localhost/",
    ],
)
def test_redirects_pass_the_guard_as_well(world: Driver, site: Site, target: str) -> None:
    failed(world, "http/blocked", url=f"{site.url}/redirect?to={target}", redirects=5)


# ---- what fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/garbage", "http/protocol"),
        ("/hang-up", "http/protocol"),
        ("/short", "http/protocol"),
        ("/bad-gzip", "http/protocol"),
        ("/cut-gzip", "http/protocol"),
        ("/cut-gzips", "http/protocol"),
        ("/members", "http/too-large"),
        ("/large", "http/too-large"),
        ("/chunks", "http/too-large"),
        ("/bomb", "http/too-large"),
    ],
)
def test_bad_manners(world: Driver, site: Site, path: str, kind: str) -> None:
    error = failed(world, kind, url=site.url + path)
    assert error.data.get(k("url")) == site.url + path
    assert error.data.get(k("attempt")) == 1


def test_a_body_that_is_not_json(world: Driver, site: Site) -> None:
    failed(world, "http/protocol", url=site.url + "/hello", **{"as": k("json")})


def test_the_limit_can_be_raised(world: Driver, site: Site) -> None:
    assert len(answered(world, url=site.url + "/large", max_bytes=5000).get(k("body"))) == 5000


def test_deadline(world: Driver, site: Site) -> None:
    error = failed(world, "http/timeout", url=site.url + "/slow", timeout=Duration(SECOND // 20))
    assert "0.05 s" in error.message


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://127.0.0.1:1/", "http://user:pass@169.254.169.254/x", "http://2130706433/"]
)
def test_inner_addresses_are_blocked_and_passwords_not_repeated(world: Driver, url: str) -> None:
    error = failed(world, "http/blocked", url=url)
    assert "pass" not in error.data.get(k("url"))


def test_nobody_listens(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = Driver()
    with running(HttpRequestConnector(driver.store, HttpSettings(allow=("127.0.0.1",)))):
        failed(driver, "http/connect", url=f"http://127.0.0.1:{port}/")
    driver.store.close()


def test_a_name_without_address_is_a_connect_error() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError(2, "Name or service not known")

    driver = Driver()
    with running(HttpRequestConnector(driver.store, resolve=resolve)):
        assert "not known" in failed(driver, "http/connect", url="http://nowhere.example/").message
    driver.store.close()


def test_the_checked_address_is_the_one_connected_to(site: Site) -> None:
    """A resolver that gives another address each time is asked once, and what it gave first is connected to."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    driver = Driver()
    with running(HttpRequestConnector(driver.store, HttpSettings(allow=("site.inner",)), resolve=resolve)):
        answered(driver, url=f"http://site.inner:{site.port}/hello")
        assert asked == ["site.inner"]
        assert site.seen[-1].headers["host"] == f"site.inner:{site.port}"
    driver.store.close()


def test_tls_verifies_the_name_of_the_url_at_the_checked_address() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    site = Site(tls=True)
    driver = Driver()
    settings = HttpSettings(allow=("site.inner", "other.inner"))
    trusting = ssl.create_default_context(cafile=TLS / "site.pem")
    with running(HttpRequestConnector(driver.store, settings, tls=trusting, resolve=resolve)):
        assert answered(driver, url=f"https://site.inner:{site.port}/hello").get(k("status")) == 200
        error = failed(driver, "http/connect", url=f"https://other.inner:{site.port}/hello")
        assert "CERTIFICATE_VERIFY_FAILED" in error.message
    with running(HttpRequestConnector(driver.store, settings, resolve=resolve)):
        failed(driver, "http/connect", url=f"https://site.inner:{site.port}/hello")
    driver.store.close()
    site.close()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "must be a map"),
        ("http://x/", "must be a map"),
        (payload(), ":url must be a string"),
        (payload(url=1), ":url must be a string"),
        (payload(url="ftp://x/"), "http://"),
        (payload(url="/path"), "http://"),
        (payload(url="http://"), ""),
        (payload(url="http:///x"), "no host"),
        (payload(url="http://x/ y"), "a space"),
        (payload(url="http://x/\r\nA: b"), "a space"),
        (payload(url="http://x:99999/"), ":url"),
        (payload(url="http://x/", methd="GET"), "did you mean :method"),
        (payload(url="http://x/", method="BREW"), "must be one of"),
        (payload(url="http://x/", method="CONNECT"), "must be one of"),
        (payload(url="http://x/", method="GET\r\nA: b"), "must be one of"),
        (payload(url="http://x/", method=1), "must be one of"),
        (payload(url="http://x/", headers=1), ":headers must be a map"),
        (payload(url="http://x/", headers=Map.of([("A", "b\r\nC: d")])), "cannot carry"),
        (payload(url="http://x/", headers=Map.of([("A", "ü")])), "cannot carry"),
        (payload(url="http://x/", headers=Map.of([("A: b\r\nC", "d")])), "not the name"),
        (payload(url="http://x/", headers=Map.of([("", "d")])), "not the name"),
        (payload(url="http://x/", headers=Map.of([("Host", "y")])), "set by the connector"),
        (payload(url="http://x/", headers=Map.of([("Content-Length", 3)])), "set by the connector"),
        (payload(url="http://x/", headers=Map.of([("A", Map.of([]))])), "must be a string"),
        (payload(url="http://x/", headers=Map.of([("A", "x" * 70_000)])), "more than"),
        (payload(url="http://x/" + "y" * 20_000), "more than"),
        (payload(url="http://x/", method="POST", body=1), ":body must be"),
        (payload(url="http://x/", method="POST", body="x", json=1), "not both"),
        (payload(url="http://x/", body="x"), "no body"),
        (payload(url="http://x/", method="POST", form=1), ":form must be a map"),
        (payload(url="http://x/", query=Vector.of([])), ":query must be a map"),
        (payload(url="http://x/", timeout=30), "a duration"),
        (payload(url="http://x/", timeout=Duration(0)), "a duration"),
        (payload(url="http://x/", redirects=21), "from 0 to 20"),
        (payload(url="http://x/", redirects=True), "from 0 to 20"),
        (payload(url="http://x/", max_bytes=10**12), ":max-bytes"),
        (payload(url="http://x/", **{"as": k("xml")}), ":as must be"),
    ],
)
def test_a_malformed_payload_is_an_error_answer(world: Driver, value: Any, words: str) -> None:
    ok, error = perform(world, value)
    assert not ok
    assert error.kind.text == "http/bad-request"
    assert words in error.message


# ---- leases ------------------------------------------------------------------------------------------------------


def test_a_request_that_is_no_longer_wanted_is_aborted_and_a_long_one_is_kept(site: Site) -> None:
    driver = Driver()
    site.release.clear()
    connector = HttpRequestConnector(driver.store, HttpSettings(allow=("127.0.0.1",), lease_seconds=0.3))
    with running(connector):
        kept, dropped = (driver.request("http/request", payload(url=f"{site.url}/slow/{n}")) for n in "ab")
        eventually(lambda: {"/slow/a", "/slow/b"} <= {seen.path for seen in site.seen})
        running_now = connector._serving._running  # type: ignore[union-attr]
        driver.close_request(dropped)
        eventually(lambda: len(running_now) == 1)
        lease = driver.store.open_requests(kept)[0].lease_until
        eventually(lambda: driver.store.open_requests(kept)[0].lease_until > lease)
        site.release.set()
        assert driver.answer(kept)[0]
        assert not driver.events(dropped, "answer", "error")
    driver.store.close()


def test_bodies_are_worked_on_beside_the_loop(world: Driver, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    monkeypatch.setattr("flowmetal.client.background.INLINE_BYTES_MAX", 0)

    def watched(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return response_value(*given)

    monkeypatch.setattr("flowmetal.connectors.http_request.connector.response_value", watched)
    assert answered(world, url=site.url + "/json", **{"as": k("json")}).get(k("status")) == 200
    assert threads == ["function"]


def test_half_a_surrogate_pair_is_no_json(world: Driver, site: Site) -> None:
    error = failed(world, "http/protocol", url=site.url + "/half-pair", **{"as": k("json")})
    assert "surrogate" in error.message


def test_many_at_once(world: Driver, site: Site) -> None:
    pids = [world.request("http/request", payload(url=f"{site.url}/hello?{n}")) for n in range(200)]
    assert all(world.answer(pid)[0] for pid in pids)


def test_stop_does_not_wait_for_slow_answers(site: Site) -> None:
    driver = Driver()
    site.release.clear()
    connector = HttpRequestConnector(driver.store, HttpSettings(allow=("127.0.0.1",)))
    connector.start()
    driver.request("http/request", payload(url=f"{site.url}/slow/stop"))
    eventually(lambda: "/slow/stop" in [seen.path for seen in site.seen])
    assert connector.stop(0.2)
    site.release.set()
    driver.store.close()
