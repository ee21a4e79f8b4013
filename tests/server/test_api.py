"""The HTTP API as other languages see it: documents, statuses, errors, limits, access."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx2
import pytest
from driver import DEADLINE_SECONDS, Driver, eventually, only_hints_wake
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.diagnostics import FlowmetalError
from flowmetal.server import HttpServer, read_config
from flowmetal.store import Store
from flowmetal.store.interface import PutArtifact, Take
from flowmetal.store.operations import OPERATIONS
from flowmetal.values import BuiltinFn, ErrorValue, Map, Vector, keyword


def deploy(store: Store, name: str, data: bytes, grants: object = None) -> bytes:
    if not data.startswith(b"FMC"):
        raise FlowmetalError("B001", reason="magic")
    store.submit([PutArtifact(data[:32].ljust(32, b"."), data, name)]).result()
    return data[:32].ljust(32, b".")


class World:
    def __init__(self, token: str | None = None, **serve: Any) -> None:
        self.driver = Driver()
        serve = {"port": 0, "max_body_bytes": 50_000, "max_artifact_bytes": 60_000, **serve}
        serve["stop_seconds"] = DEADLINE_SECONDS
        if token is not None:
            serve["token_env"] = "T"
        environment = {} if token is None else {"T": token}
        config = read_config({"serve": serve})
        self.server = HttpServer(self.driver.store, config, deploy=deploy, environment=environment)
        self.server.start()
        self.http = httpx2.Client(base_url=self.server.url, trust_env=False, timeout=DEADLINE_SECONDS)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.http.get(f"/v1{path}", **more)

    def post(self, path: str, document: Any = None, **more: Any) -> httpx2.Response:
        return self.http.post(f"/v1{path}", json={} if document is None else document, **more)

    def start(self, **more: Any) -> int:
        return int(self.post("/processes", {"function": "deploy/main", **more}).json()["pid"])

    def close(self) -> None:
        self.http.close()
        assert self.server.stop()
        self.driver.store.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def error(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    shown = response.json()["error"]
    assert shown["code"] == code, shown
    assert shown["message"]
    assert "hint" in shown
    return dict(shown)


# ---- processes ---------------------------------------------------------------------------------------------------


def test_start_and_get(world: World) -> None:
    response = world.post(
        "/processes", {"program": "deploy", "function": "deploy/main", "args": [1, {"a": None}], "id": "one"}
    )
    assert response.status_code == 201
    assert response.json()["created"] is True
    pid = response.json()["pid"]
    info = world.get(f"/processes/{pid}").json()
    assert (info["pid"], info["id"], info["function"], info["status"]) == (pid, "one", "deploy/main", "ready")
    assert info["created_at"].endswith("Z")


def test_start_with_an_id_is_safe_to_repeat(world: World) -> None:
    document = {"function": "deploy/main", "args": [2], "id": "two"}
    first, again = world.post("/processes", document), world.post("/processes", document)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["pid"] == again.json()["pid"]
    refused = error(world.post("/processes", {**document, "args": [3]}), 409, "H505")
    assert refused["facts"] == {"id": "two", "pid": first.json()["pid"], "what": "arguments"}
    assert [p["id"] for p in world.get("/processes", params={"id": "two"}).json()["processes"]] == ["two"]
    assert world.get("/processes", params={"id": "none"}).json() == {"processes": []}


@pytest.mark.parametrize(
    ("document", "status", "code", "words"),
    [
        ({}, 400, "H305", "`function`"),
        ([], 400, "H305", "an object"),
        ({"function": 1}, 400, "H305", "a string"),
        ({"function": ""}, 400, "H305", "a string"),
        ({"function": "main"}, 400, "H513", "module/function"),
        ({"function": "a b/main"}, 400, "H513", "module/function"),
        ({"function": "deploy/main", "args": {}}, 400, "H305", "a list"),
        ({"function": "deploy/main", "argz": []}, 400, "H305", "Did you mean `args`?"),
        ({"function": "deploy/main", "id": ""}, 400, "H305", "a string"),
        ({"function": "deploy/main", "id": "x" * 300}, 400, "S204", ""),
        ({"function": "deploy/main", "id": "a\nb"}, 400, "S204", ""),
        ({"function": "deploy/main", "attributes": []}, 400, "H305", "an object"),
        ({"function": "deplay/main"}, 404, "H511", "Did you mean `deploy`?"),
        ({"function": "deploy/main", "program": "zzz"}, 404, "H511", "Deploy it first"),
    ],
)
def test_starts_that_are_refused(world: World, document: Any, status: int, code: str, words: str) -> None:
    shown = error(world.post("/processes", document), status, code)
    assert words in f"{shown['message']} {shown['hint']}"


def test_list(world: World) -> None:
    pids = [world.start() for _ in range(5)]
    world.driver.finish(pids[0], "done", None)
    listed = world.get(f"/processes?after={pids[0] - 1}&limit=2").json()["processes"]
    assert [p["pid"] for p in listed] == pids[:2]
    newest = world.get("/processes?newest_first=true&limit=1").json()["processes"]
    assert newest[0]["pid"] == pids[-1]
    done = world.get("/processes?status=done,failed").json()["processes"]
    assert pids[0] in [p["pid"] for p in done]
    assert {p["status"] for p in done} <= {"done", "failed"}
    for query in (
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=-1",
        "status=odd",
        "newest_first=1",
        "zz=1",
        "limit=" + "9" * 30,
    ):
        error(world.get(f"/processes?{query}"), 400, "H305")


def test_results(world: World) -> None:
    pid = world.start()
    response = world.get(f"/processes/{pid}/result")
    assert (response.status_code, response.json()["ended"]) == (202, False)
    world.driver.finish(pid, "done", Map.of([(keyword("a"), Vector.of([1]))]))
    response = world.get(f"/processes/{pid}/result?wait=5")
    assert response.json() == {"ended": True, "status": "done", "result": {"a": [1]}, "error": None}


def test_a_failed_and_a_cancelled_process(world: World) -> None:
    pid = world.start()
    world.driver.finish(pid, "failed", ErrorValue(keyword("a/b"), "said", Map.of([(keyword("n"), 1)])))
    answer = world.get(f"/processes/{pid}/result").json()
    assert answer["status"] == "failed"
    assert answer["error"] == {"kind": "a/b", "message": "said", "data": {"n": 1}}
    pid = world.start()
    world.driver.finish(pid, "cancelled", ErrorValue(keyword("x"), "y"))
    assert world.get(f"/processes/{pid}/result").json()["status"] == "cancelled"


def test_a_result_that_is_not_json_is_printed(world: World) -> None:
    pid = world.start()
    world.driver.finish(pid, "done", Vector.of([BuiltinFn(1, "first")]))
    shown = error(world.get(f"/processes/{pid}/result"), 422, "H309")
    assert "function" in shown["message"]
    assert shown["printed"].startswith("[#fn")


def test_long_poll_ends_with_the_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    only_hints_wake(monkeypatch)
    pid = world.start()
    timer = threading.Timer(0.1, world.driver.finish, (pid, "done", 7))
    before = time.monotonic()
    timer.start()
    assert world.get(f"/processes/{pid}/result?wait=50").json()["result"] == 7
    assert 0.05 < time.monotonic() - before < 49
    timer.join()


def test_history(world: World) -> None:
    pid = world.start()
    world.driver.turn(pid)
    steps = world.get(f"/processes/{pid}/history").json()["steps"]
    assert [(s["sequence"], s["kind"]) for s in steps] == [(0, "unknown")]  # the driver writes no real events
    assert world.get(f"/processes/{pid}/history?start=1").json() == {"steps": []}


def test_cancel_and_messages(world: World) -> None:
    pid = world.start()
    assert world.post(f"/processes/{pid}/messages", {"value": {"x": 1}}).json() == {"accepted": True}
    assert world.post(f"/processes/{pid}/cancel", {"reason": "enough"}).status_code == 202
    assert world.post(f"/processes/{pid}/cancel").status_code == 202
    assert world.post(f"/processes/{pid}/events", {"kind": "pause"}).status_code == 202
    assert [e.kind for e in world.driver.events(pid)] == ["start", "cancel", "cancel", "pause", "message"]
    for kind in ("answer", "start", "timer", "x"):
        error(world.post(f"/processes/{pid}/events", {"kind": kind}), 400, "H305")
    world.driver.finish(pid, "done", None)
    response = world.post(f"/processes/{pid}/cancel")
    assert (response.status_code, response.json()) == (200, {"accepted": False})


@pytest.mark.parametrize("pid", [0, 999_999, 2**63, 10**40])
def test_processes_that_do_not_exist(world: World, pid: int) -> None:
    for path in ("", "/result", "/history"):
        error(world.get(f"/processes/{pid}{path}"), 404, "H504")
    error(world.post(f"/processes/{pid}/cancel"), 404, "H504")
    error(world.post(f"/processes/{pid}/messages", {"value": 1}), 404, "H504")


# ---- operations --------------------------------------------------------------------------------------------------


def test_operations(world: World) -> None:
    response = world.post("/operations/kv/put", {"payload": ["color", "blue"]})
    assert (response.status_code, response.json()) == (200, {"value": None})
    assert world.post("/operations/kv/get", {"payload": ["color"]}).json() == {"value": "blue"}
    error(world.post("/operations/kv/get", {"payload": [1]}), 400, "S211")
    error(world.post("/operations/kv/get"), 400, "S211")
    error(world.post("/operations/queue/stats", {"payload": "none"}), 404, "S220")
    error(world.post("/operations/schedule/show", {"payload": "none"}), 404, "S228")
    error(
        world.post("/operations/schedule/put", {"payload": {"name": "x", "cron": "* * *", "program": "p"}}), 400, "S225"
    )
    error(world.post("/operations/process/cancel", {"payload": ["nobody"]}), 404, "S211")
    error(world.post("/operations/spawn", {"payload": None}), 404, "S210")
    error(world.post("/operations/" + "x" * 3000, {"payload": None}), 404, "S210")
    error(world.post("/operations/kv/get", {"load": 1}), 400, "H305")


# ---- programs ----------------------------------------------------------------------------------------------------


def test_deploy(world: World) -> None:
    response = world.http.put("/v1/programs/new", content=b"FMC" + b"x" * 40)
    assert response.status_code == 201
    digest = response.json()["hash"]
    assert world.get("/programs").json()["programs"]["new"] == digest
    assert world.start(program="new") > 0
    error(world.http.put("/v1/programs/new", content=b"garbage"), 422, "B001")
    error(world.http.put("/v1/programs/new", content=b"FMC" + b"x" * 60_000), 413, "H302")
    error(world.http.put("/v1/programs/" + "n" * 300, content=b"FMC"), 400, "S204")


# ---- requests ----------------------------------------------------------------------------------------------------


def take(world: World, *effects: str, **more: Any) -> list[dict[str, Any]]:
    response = world.post("/requests/take", {"effects": list(effects), "worker": "w", **more})
    assert response.status_code == 200, response.text
    return list(response.json()["requests"])


def test_take_and_complete(world: World) -> None:
    pid = world.driver.request("t/one", Map.of([(keyword("a"), 1)]), Map.of([(keyword("o"), 2)]))
    assert take(world, "t/other") == []
    (item,) = take(world, "t/other", "t/one")
    assert item == {
        "pid": pid,
        "number": 1,
        "attempt": 1,
        "effect": "t/one",
        "payload": {"a": 1},
        "options": {"o": 2},
        "idempotency_key": "key-1",
    }
    place = f"/requests/{pid}/1"
    assert world.post(place + "/extend", {"attempt": 1, "lease_ms": 1000}).json() == {"held": True}
    assert world.post(place + "/extend", {"attempt": 2}).json() == {"held": False}
    assert world.post(place + "/complete", {"attempt": 2, "value": 1}).json() == {"accepted": False}
    assert world.post(place + "/complete", {"attempt": 1, "value": {"x": [1]}}).json() == {"accepted": True}
    assert world.post(place + "/complete", {"attempt": 1, "value": 1}).json() == {"accepted": False}
    assert world.driver.plain_answer(pid) == (True, {"x": [1]})


def test_complete_with_an_error(world: World) -> None:
    pid = world.driver.request("t/two")
    take(world, "t/two")
    error_document = {"kind": "billing/declined", "message": "no", "data": {"n": 1}}
    assert world.post(f"/requests/{pid}/1/complete", {"attempt": 1, "error": error_document}).json()["accepted"]
    ok, value = world.driver.answer(pid)
    assert not ok
    assert value == ErrorValue(keyword("billing/declined"), "no", Map.of([(keyword("n"), 1)]))


@pytest.mark.parametrize(
    "document",
    [
        {"attempt": 1},
        {"attempt": 1, "value": 1, "error": {}},
        {"attempt": "x", "value": 1},
        {"attempt": True, "value": 1},
        {"attempt": -1, "value": 1},
        {"value": 1},
        {"attempt": 1, "error": "text"},
        {"attempt": 1, "error": {"kind": "a b"}},
        {"attempt": 1, "error": {"kindd": "a"}},
    ],
)
def test_completions_that_are_refused(world: World, document: dict[str, Any]) -> None:
    assert world.post("/requests/1/1/complete", document).status_code == 400


def test_take_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    only_hints_wake(monkeypatch)
    timer = threading.Timer(0.1, world.driver.request, ("t/three",))
    timer.start()
    before = time.monotonic()
    assert len(take(world, "t/three", wait=50)) == 1
    assert time.monotonic() - before < 49
    timer.join()


def test_a_payload_without_a_json_form_is_answered_with_an_error(world: World) -> None:
    pid = world.driver.request("t/four", BuiltinFn(1, "first"))
    assert take(world, "t/four") == []
    ok, value = world.driver.answer(pid)
    assert not ok
    assert value.kind.text == "worker/bad-payload"
    pid = world.driver.request("t/four", 10**5000)
    assert take(world, "t/four") == []
    assert not world.driver.answer(pid)[0]


def test_a_taker_that_left_takes_nothing(world: World) -> None:
    """A worker that hung up in its long-poll must not be given a request that would wait for its lease."""
    connections = world.server._uvicorn.server_state.connections
    others = set(connections)
    timeout = httpx2.Timeout(DEADLINE_SECONDS, read=0.1)
    with (
        httpx2.Client(base_url=world.server.url, trust_env=False, timeout=timeout) as http,
        pytest.raises(httpx2.ReadTimeout),
    ):
        http.post("/v1/requests/take", json={"effects": ["t/five"], "worker": "w", "wait": 50})
    eventually(lambda: connections <= others)
    pid = world.driver.request("t/five")
    time.sleep(0.1)
    assert world.driver.store.open_requests(pid)[0].state == "queued"


def test_what_a_taker_got_that_left_meanwhile_is_given_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = socket.create_connection(("127.0.0.1", world.server.port))
    connections = world.server._uvicorn.server_state.connections
    submit = world.driver.store.submit
    pid = world.driver.request("t/six")

    def hang_up_before(commands: Any) -> Any:
        taken = submit(commands)
        if isinstance(commands[0], Take):
            monkeypatch.setattr(world.driver.store, "submit", submit)
            answered: Future[Any] = Future()

            def later() -> None:
                number = len(connections)
                connection.close()
                eventually(lambda: len(connections) < number)
                answered.set_result(taken.result())

            threading.Thread(target=later, daemon=True).start()
            return answered
        return taken

    monkeypatch.setattr(world.driver.store, "submit", hang_up_before)
    document = b'{"effects": ["t/six"], "worker": "w", "lease_ms": 3600000}'
    head = "POST /v1/requests/take HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    connection.sendall(f"{head}{len(document)}\r\n\r\n".encode() + document)
    soon = world.driver.store.now() + 60_000_000_000
    eventually(lambda: [r for r in world.driver.store.open_requests(pid) if r.attempt and r.lease_until < soon])


# ---- limits and access -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 50_000, b'{"function": NaN}', b'{"function": "a/b", "args": [1e999]}']
)
def test_bodies_that_are_not_json(world: World, body: bytes) -> None:
    response = world.http.post("/v1/processes", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("H301", "H510")


def test_a_post_without_a_body_needs_no_type(world: World) -> None:
    pid = world.start()
    assert world.http.post(f"/v1/processes/{pid}/cancel").status_code == 202
    for header in ({"content-type": "text/plain"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "same-site"}):
        error(world.http.post(f"/v1/processes/{pid}/cancel", headers=header), 415, "H306")


def test_content_type_and_size(world: World) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = world.http.post("/v1/processes", content=b"{}", headers={"content-type": kind})
        error(response, 415, "H306")
    large = b'{"function": "' + b"x" * 60_000 + b'"}'
    response = world.http.post("/v1/processes", content=large, headers={"content-type": "application/json"})
    error(response, 413, "H302")


def test_unknown_routes_and_methods(world: World) -> None:
    error(world.get("/nothing"), 404, "H304")
    error(world.http.get("/"), 404, "H304")
    error(world.http.delete("/v1/processes"), 405, "H310")
    error(world.get("/processes/abc"), 404, "H304")


def test_without_a_token_strange_host_names_are_refused(world: World) -> None:
    for host in ("evil.example", "evil.example:80", "", "127.0.0.1.evil.example"):
        error(world.get("/processes", headers={"host": host}), 403, "H308")
    for host in ("localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:8080"):
        assert world.get("/processes", headers={"host": host}).status_code == 200


def test_token() -> None:
    world = World(token="tok-ü")
    try:
        good = {"authorization": "Bearer tok-ü".encode()}
        for headers in (
            {},
            {"authorization": "Bearer x"},
            {"authorization": "Basic dG9r"},
            {"authorization": "Bearer"},
        ):
            error(world.get("/processes", headers=headers), 401, "H303")
            error(world.post("/processes", {"function": "deploy/main"}, headers=headers), 401, "H303")
        assert world.get("/processes", headers=good).status_code == 200
        assert world.get("/processes", headers={**good, "host": "flow.example"}).status_code == 200
        assert world.http.get("/health").status_code == 200
        assert world.http.post("/callbacks/xyz", json=1).status_code == 404
    finally:
        world.close()


SURROGATE = "\\ud800"


@pytest.mark.parametrize(
    "body",
    [
        '{"function": "deploy/main", "args": ["%s"]}',
        '{"function": "deploy/%s"}',
        '{"function": "deploy/main", "id": "%s"}',
        '{"function": "deploy/main", "attributes": {"a": "%s"}}',
        '{"function": "deploy/main", "program": "%s"}',
    ],
)
def test_half_characters_are_refused(world: World, body: str) -> None:
    sent = {"content": (body % SURROGATE).encode(), "headers": {"content-type": "application/json"}}
    error(world.http.post("/v1/processes", **sent), 400, "H301")


@pytest.mark.parametrize("value", [10**30, -(10**30), {"a": {"b": [10**30]}}, [[[[]]]], "x" * 100_000, 1.5, True])
def test_odd_attributes(world: World, value: Any) -> None:
    response = world.post("/processes", {"function": "deploy/main", "attributes": {"a": value}})
    assert response.status_code in (201, 400, 413)
    if response.status_code == 201:
        assert world.get(f"/processes/{response.json()['pid']}").json()["attributes"] == {"a": value}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "function",
            "args",
            "id",
            "program",
            "effects",
            "worker",
            "limit",
            "lease_ms",
            "attempt",
            "value",
            "error",
            "kind",
        ),
        JSON,
    ),
)


@given(
    path=st.sampled_from(
        ["/processes", "/processes/1/cancel", "/processes/1/events", "/requests/take", "/requests/1/1/complete"]
    ),
    document=DOCUMENTS,
)
def test_no_document_breaks_the_server(world: World, path: str, document: Any) -> None:
    try:
        response = world.post(path, document)
    except ValueError:
        return  # the test's own client cannot write this as JSON
    assert response.status_code < 500, response.text


@given(path=st.text(min_size=1, max_size=20), method=st.sampled_from(["GET", "POST", "PUT"]))
def test_no_path_breaks_the_server(world: World, path: str, method: str) -> None:
    try:
        response = world.http.request(method, "/v1/" + path)
    except (httpx2.InvalidURL, UnicodeEncodeError):
        return
    assert response.status_code < 500


def test_stop_ends_long_polls() -> None:
    world = World()
    pid = world.start()
    answers: list[httpx2.Response] = []
    thread = threading.Thread(target=lambda: answers.append(world.get(f"/processes/{pid}/result?wait=50")))
    thread.start()
    eventually(lambda: world.server._uvicorn.server_state.tasks)
    before = time.monotonic()
    assert world.server.stop()
    thread.join(DEADLINE_SECONDS)
    assert time.monotonic() - before < 40
    world.close()
    assert answers[0].status_code == 202


def test_the_page_tells_what_every_operation_takes() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z-]+(?:/[a-z-]+)?)`", row)}
    assert {name for name, one in OPERATIONS.items() if one.outside} <= told
