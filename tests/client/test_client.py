"""The client: the same calls and the same errors over a store and over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import DEADLINE_SECONDS, Driver, only_hints_wake

import flowmetal
from flowmetal.client import (
    BadAddress,
    Client,
    Conflict,
    NotAuthorized,
    NotFinished,
    NotFound,
    NotPlain,
    ProcessCancelled,
    ProcessFailed,
    Refused,
    Unreachable,
)
from flowmetal.client.connecting import deploy_artifact
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.build import build_artifact
from flowmetal.server import HttpServer, read_config
from flowmetal.store import Store, StoreError
from flowmetal.store.interface import PutArtifact
from flowmetal.values import BuiltinFn, ErrorValue, Map, Vector, decode_value, keyword, to_python


def deploy(store: Store, name: str, data: bytes, grants: object = None) -> bytes:
    if data != b"good":
        raise FlowmetalError("B001", reason="magic")
    store.submit([PutArtifact(b"\x02" * 32, data, name)]).result()
    return b"\x02" * 32


class World:
    def __init__(self, way: str) -> None:
        self.driver = Driver()
        self.server: HttpServer | None = None
        if way == "http":
            config = read_config({"serve": {"port": 0, "token_env": "T", "stop_seconds": DEADLINE_SECONDS}})
            self.server = HttpServer(self.driver.store, config, deploy=deploy, environment={"T": "tok"})
            self.server.start()
            self.client = flowmetal.connect(self.server.url, token="tok")
        else:
            self.client = flowmetal.connect(self.driver.store, deploy=deploy)

    def close(self) -> None:
        self.client.close()
        if self.server is not None:
            assert self.server.stop()
        self.driver.store.close()


@pytest.fixture(scope="module", params=["store", "http"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()


def test_start_and_look(world: World) -> None:
    client = world.client
    pid = client.start("deploy/main", 1, "two", {"three": [None, True]}, attributes={"team": "a"})
    info = client.get(pid)
    assert (info.pid, info.function, info.status, info.ended) == (pid, "deploy/main", "ready", False)
    assert info.attributes == {"team": "a"}
    (event,) = world.driver.events(pid)
    assert to_python(decode_value(event.data)) == [1, "two", {"three": [None, True]}]
    assert client.history(pid) == []
    assert pid in [info.pid for info in client.list(statuses=["ready"], limit=1000)]
    assert client.list(newest_first=True, limit=1)[0].pid == pid


def test_ids(world: World) -> None:
    client = world.client
    pid = client.start("deploy/main", 1, id="a/b c?&#")
    assert client.start("deploy/main", 1, id="a/b c?&#") == pid
    with pytest.raises(Conflict) as raised:
        client.start("deploy/main", 2, id="a/b c?&#")
    assert raised.value.facts == {"id": "a/b c?&#", "pid": pid, "what": "arguments"}
    assert f"process {pid}, which was started otherwise: not the same arguments" in str(raised.value)
    found = client.find("a/b c?&#")
    assert found is not None
    assert found.pid == pid
    assert client.find("other") is None


def test_results(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    only_hints_wake(monkeypatch)
    pid = world.client.start("deploy/main")
    with pytest.raises(NotFinished) as raised:
        world.client.result(pid, wait=0.05)
    assert isinstance(raised.value, TimeoutError)
    timer = threading.Timer(0.1, world.driver.finish, (pid, "done", Map.of([(keyword("a"), 1)])))
    before = time.monotonic()
    timer.start()
    assert world.client.result(pid) == {"a": 1}
    assert time.monotonic() - before < DEADLINE_SECONDS
    assert world.client.result(pid, wait=0) == {"a": 1}
    timer.join()


def test_call(world: World) -> None:
    def finish() -> None:
        time.sleep(0.05)
        world.driver.finish(world.client.list(newest_first=True, limit=1)[0].pid, "done", 5)

    thread = threading.Thread(target=finish)
    thread.start()
    assert world.client.call("deploy/main", wait=5) == 5
    thread.join()


def test_failures(world: World) -> None:
    pid = world.client.start("deploy/main")
    world.driver.finish(pid, "failed", ErrorValue(keyword("a/b"), "said", Vector.of([1])))
    with pytest.raises(ProcessFailed) as raised:
        world.client.result(pid)
    error = raised.value
    assert (error.pid, error.kind, error.message, error.data) == (pid, "a/b", "said", [1])
    assert "a/b: said" in str(error)
    pid = world.client.start("deploy/main")
    world.driver.finish(pid, "failed", ErrorValue(keyword("x"), "y", BuiltinFn(1, "first")))
    with pytest.raises(ProcessFailed) as raised:
        world.client.result(pid)
    assert raised.value.data.startswith("#fn")
    pid = world.client.start("deploy/main")
    world.driver.finish(pid, "cancelled", None)
    with pytest.raises(ProcessCancelled):
        world.client.result(pid)


def test_a_result_without_plain_form(world: World) -> None:
    pid = world.client.start("deploy/main")
    world.driver.finish(pid, "done", BuiltinFn(1, "first"))
    with pytest.raises(NotPlain) as raised:
        world.client.result(pid)
    assert raised.value.facts["printed"].startswith("#fn")


def test_events(world: World) -> None:
    pid = world.client.start("deploy/main")
    assert world.client.send(pid, {"x": 1}) is True
    assert world.client.cancel(pid, "enough") is True
    assert world.client.pause(pid) is True
    assert world.client.resume(pid) is True
    assert world.client.retry(pid) is True
    with pytest.raises(Refused) as refused:
        world.client.retry(pid, 3)
    assert (refused.value.code, "retries are used up" in str(refused.value)) == ("H516", True)
    events = world.driver.events(pid)
    # What steers a process comes before its messages.
    assert [event.kind for event in events] == ["start", "cancel", "pause", "resume", "retry", "message"]
    assert events[4].number == 0
    assert decode_value(events[1].data) == "enough"
    world.driver.finish(pid, "done", None)
    assert world.client.cancel(pid) is False
    assert world.client.send(pid, 1) is False


def test_what_does_not_exist(world: World) -> None:
    client = world.client
    for call in (client.get, client.result, client.history, client.cancel, client.pause):
        with pytest.raises(NotFound) as raised:
            call(10**6)  # type: ignore[operator]
        assert raised.value.code == "H504"
    with pytest.raises(NotFound) as raised:
        client.start("deplay/main")
    assert raised.value.facts["name"] == "deplay"
    assert raised.value.facts["suggestion"] == "deploy"


@pytest.mark.parametrize("function", ["", "main", "/main", "deploy/", "a b/c"])
def test_bad_functions(world: World, function: str) -> None:
    with pytest.raises(Refused):
        world.client.start(function)


@pytest.mark.parametrize("argument", [object(), {1: 2}, float("nan"), {"a": {"b": set()}}, "\ud800", 1j])
def test_arguments_that_cannot_cross(world: World, argument: Any) -> None:
    with pytest.raises(NotPlain) as raised:
        world.client.start("deploy/main", 0, argument)
    assert raised.value.facts["what"] == "argument 2"


def test_deploy(world: World, tmp_path: Path) -> None:
    path = tmp_path / "x.fmc"
    path.write_bytes(b"good")
    assert world.client.deploy("fresh", path) == "02" * 32
    assert world.client.deploy("fresh two/x" if world.server is None else "fresh two", b"good") == "02" * 32
    assert world.client.programs()["fresh"] == "02" * 32
    assert world.client.start("deploy/main", program="fresh") > 0
    with pytest.raises(Refused):
        world.client.deploy("fresh", tmp_path / "missing.fmc")
    for grants in ("all", b"all", 5):
        with pytest.raises(Refused) as refused:
            world.client.deploy("fresh", b"good", grants=grants)  # type: ignore[arg-type]
        assert refused.value.code == "U203"
    with pytest.raises(FlowmetalError) as raised:
        world.client.deploy("fresh", b"bad")
    assert "B001" in f"{raised.value.code} {raised.value}"


def test_operate(world: World) -> None:
    assert world.client.operate("kv/put", ["color", {"hue": [1, "x"]}]) is None
    assert world.client.operate("kv/get", ["color"]) == {"hue": [1, "x"]}
    for name, payload, code in (("kv/get", None, "S211"), ("spawn", None, "S210"), ("no/such", [1], "S210")):
        with pytest.raises(FlowmetalError) as raised:
            world.client.operate(name, payload)
        assert code in f"{raised.value.code} {raised.value}"
    with pytest.raises(NotPlain):
        world.client.operate("kv/put", ["color", object()])


def test_starts_and_messages_by_name(world: World) -> None:
    cart = world.client.start("deploy/main", register="cart")
    assert world.client.start("deploy/main", register="cart") == cart
    assert world.client.operate("process/whereis", ["cart"]) == cart
    assert world.client.operate("send", ["cart", {"add": "pen"}]) is None
    with pytest.raises(FlowmetalError) as raised:
        world.client.operate("send", ["nobody", 1])
    assert "S211" in f"{raised.value.code} {raised.value}" and "no process is registered as nobody" in str(raised.value)
    for target in (cart, {"$pid": cart}):
        assert world.client.operate("send", [target, "by number"]) is None
    assert world.client.operate("process/register", ["basket", {"$pid": cart}]) is True
    assert len(world.driver.store.inbox(cart)) == 4
    for wrong in ({"$pid": 0}, {"$pid": "1"}, {"$pid": 1, "x": 1}, {"$pid": 1 << 70}, {"$pid": True}):
        with pytest.raises(StoreError) as refused:
            world.client.operate("send", [wrong, 1])
        assert refused.value.code == "S211"
    world.driver.finish(cart, "done", None)
    assert world.client.start("deploy/main", register="cart") != cart
    for name in ("", "x" * 300):
        with pytest.raises(FlowmetalError):
            world.client.start("deploy/main", register=name)


def test_a_client_is_a_context_and_serves_several_threads(world: World) -> None:
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(world.client.start("deploy/main"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 16
    with flowmetal.connect(world.driver.store) as client:
        assert isinstance(client, Client)
        client.get(pids[0])
    assert world.driver.store.process(pids[0]) is not None  # a store that was handed in stays open


def test_wrong_token_and_wrong_address() -> None:
    world = World("http")
    assert world.server is not None
    for token in (None, "wrong"):
        with flowmetal.connect(world.server.url, token=token) as client, pytest.raises(NotAuthorized):
            client.list()
    url = world.server.url
    with flowmetal.connect(url + "/elsewhere", token="tok") as client, pytest.raises(FlowmetalError):
        client.list()
    world.close()
    with flowmetal.connect(url) as client, pytest.raises(Unreachable) as raised:
        client.list()
    assert raised.value.code == "H501"
    for bad in ("", "ftp://x", "http:", "http://", "htp://x"):
        with pytest.raises(BadAddress):
            flowmetal.connect(bad)


def test_a_store_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    for address in (str(tmp_path / "typo"), f"lmdb://{tmp_path}/typo"):
        with pytest.raises(StoreError) as raised:
            flowmetal.connect(address)
        assert raised.value.code == "S101"
    assert list(tmp_path.iterdir()) == []
    flowmetal.connect(str(tmp_path / "store"), create=True).close()
    with flowmetal.connect(str(tmp_path / "store")) as client:
        assert client.list() == []


PROGRAM = """
(ns shop)
(defn main ([] 0) ([order] order))
(defn more [a & b] [a b])
(defn- hidden [] 1)
(def table 5)
(defmacro unless [a] a)
"""


def test_what_cannot_be_started_is_refused_before_anything_starts(world: World) -> None:
    built = build_artifact({"shop.fm": PROGRAM})
    deploy_artifact(world.driver.store, "shop", built.data)
    client, before = world.client, len(world.client.list(limit=1000))
    for function, arguments, message in [
        ("shop/mian", (), "did you mean `main`?"),
        ("shop/zzz", (), "it has: main, more."),
        ("shop/hidden", (), "`hidden` is private"),
        ("shop/table", (), "it has: main, more."),
        ("shop/unless", (1,), "it has: main, more."),
    ]:
        with pytest.raises(NotFound) as missing:
            client.start(function, *arguments, id="new")
        assert missing.value.code == "B014"
        assert message in missing.value.diagnostic.hint.lower()
    with pytest.raises(NotFound) as elsewhere:
        client.start("shopp/main", program="shop")
    assert (elsewhere.value.code, elsewhere.value.diagnostic.hint) == ("B014", "Did you mean `shop/main`?")
    for function, arguments in [("shop/main", (1, 2)), ("shop/more", ())]:
        with pytest.raises(Refused) as refused:
            client.start(function, *arguments)
        assert refused.value.code == "B016"
    assert len(client.list(limit=1000)) == before
    pid = client.start("shop/main", {"n": 1}, id="order-1")
    client.start("shop/more", 1, 2, 3)
    # A start that has happened is the same start also when the program no longer has the function.
    deploy_artifact(world.driver.store, "shop", build_artifact({"shop.fm": "(ns shop) (defn other [] 1)"}).data)
    assert client.start("shop/main", {"n": 1}, id="order-1") == pid
    with pytest.raises(NotFound):
        client.start("shop/main", {"n": 1}, id="order-2")


def test_an_answer_that_is_not_the_api() -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with flowmetal.connect(f"http://127.0.0.1:{server.server_port}") as client, pytest.raises(Unreachable) as raised:
        client.list()
    assert raised.value.code == "H512"
    server.shutdown()
    server.server_close()
    thread.join()


def test_import_is_light() -> None:
    code = (
        "import sys, flowmetal; flowmetal.__version__; "
        "print([m for m in ('httpx2', 'asyncio', 'lmdb', 'msgpack', 'starlette') if m in sys.modules]); "
        "print(sorted(flowmetal.__all__) == dir(flowmetal)); "
        "print([getattr(flowmetal, name).__name__ for name in flowmetal.__all__ if name != '__version__'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light, members, names = done.stdout.splitlines()
    assert (light, members) == ("[]", "True")
    assert names == "['Client', 'Context', 'FlowmetalError', 'Worker', 'WorkerError', 'connect']"
    with pytest.raises(AttributeError):
        flowmetal.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_every_http_code_has_words() -> None:
    from flowmetal.diagnostics.codes.http import CODES

    for code, entry in CODES.items():
        assert code[0] == "H" and code[1:].isdigit()
        assert entry.title and entry.text.rstrip("}").endswith((".", "{message")), code
