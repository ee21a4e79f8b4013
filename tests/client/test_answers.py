"""What a server answers is checked: whatever listens at an address, a client says so, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import flowmetal
from flowmetal.client import Client, NotAuthorized, Refused, Unreachable, Where, Worker
from flowmetal.client.answers import _error
from flowmetal.client.shapes import OPERATIONS, Reply, fits
from flowmetal.diagnostics import FlowmetalError
from flowmetal.store.errors import StoreError


class Stranger:
    """A server that answers everything alike."""

    def __init__(self) -> None:
        stranger = self
        self.status, self.body, self.asked = 200, b"{}", 0

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                stranger.asked += 1
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(stranger.status)
                self.send_header("content-length", str(len(stranger.body)))
                self.end_headers()
                self.wfile.write(stranger.body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    found = Stranger()
    yield found
    found.close()


CALLS: list[tuple[str, Callable[[Client], Any]]] = [
    ("start", lambda client: client.start("a/b")),
    ("outcome", lambda client: client.outcome(1, 0)),
    ("get", lambda client: client.get(1)),
    ("find", lambda client: client.find("x")),
    ("list", lambda client: client.list()),
    ("count", lambda client: client.count()),
    ("history", lambda client: client.history(1)),
    ("mailbox", lambda client: client.mailbox(1)),
    ("prune", lambda client: client.prune(keep=1)),
    ("send", lambda client: client.send(1, 2)),
    ("kill", lambda client: client.kill(1)),
    ("restart", lambda client: client.restart(1)),
    ("steer", lambda client: client.steer("pause", Where())),
    ("deploy", lambda client: client.deploy("x", b"data")),
    ("programs", lambda client: client.programs()),
    *((name, lambda client, name=name: client.operate(name, "x")) for name in OPERATIONS),
]

#: Every field that an answer has, with something else in it.
FIELDS = [
    "pid",
    "ended",
    "status",
    "processes",
    "count",
    "steps",
    "messages",
    "waiting",
    "after",
    "accepted",
    "value",
    "hash",
    "programs",
    "action",
    "found",
    "done",
    "refused",
    "refusals",
    "started",
    "end",
    "more",
    "by_program",
    "pids",
    "dry_run",
    "held",
    "requests",
]

WRONG: list[Any] = [-1, "x", 1.5, [1], [{}], {"a": []}, None, [[]], [["x"]]]

BODIES: list[Any] = [
    {}, {"ok": True}, {"error": None}, {"error": {"message": "x"}},
    *(dict.fromkeys(FIELDS, wrong) for wrong in WRONG),
]  # fmt: skip


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
def test_a_server_that_is_another(stranger: Stranger, call: Callable[[Client], Any]) -> None:
    with flowmetal.connect(stranger.url) as client:
        for body in [b"", b"null", b"[1]", b"<html>", b"\xff", b"[" * 100_000, b'{"value": "\\ud800"}']:
            stranger.status, stranger.body = 200, body
            with pytest.raises(Unreachable) as raised:
                call(client)
            assert raised.value.code == "H512"
            assert stranger.url in str(raised.value)
        for number, document in enumerate(BODIES):
            stranger.body = json.dumps(document).encode()
            try:
                call(client)
                assert number > 3, document  # some say what could be
            except Unreachable as error:
                assert error.code == "H512", document
        stranger.status = 500
        for document in [{}, {"error": 1}, {"error": {"message": 1}}, {"detail": "no"}]:
            stranger.body = json.dumps(document).encode()
            with pytest.raises(Unreachable):
                call(client)


def test_a_worker_says_what_answers(stranger: Stranger, caplog: pytest.LogCaptureFixture) -> None:
    stranger.status, stranger.body, stranger.asked = 200, b"{}", 0
    worker = Worker(stranger.url)
    worker.function("a/b")(lambda payload, context: None)
    worker.start()
    while stranger.asked < 2:
        threading.Event().wait(0.01)
    assert worker.stop(10)
    assert "something that is not this API: it has no `requests`" in caplog.text


def test_a_worker_with_a_wrong_token_ends(stranger: Stranger) -> None:
    stranger.status, stranger.body = 401, b'{"error": {"code": "H303", "message": "no"}}'
    worker = Worker(stranger.url, token="wrong")
    worker.function("a/b")(lambda payload, context: None)
    with pytest.raises(NotAuthorized):
        worker.run()


def error(code: Any, of_store: bool = False, **facts: Any) -> FlowmetalError:
    return _error(400, {"code": code, "message": "words", "hint": 5, "facts": facts}, "http://x", None, of_store)


def test_errors_of_a_server() -> None:
    known = error("S222", True, what="rate", expected="a number", found="x", span="evil", labels="evil")
    assert (known.__class__, known.code, known.diagnostic.text) == (StoreError, "S222", "rate must be a number, not x.")
    assert known.facts == {"what": "rate", "expected": "a number", "found": "x"}
    assert error("S222", what="rate", expected="a number", found="x").__class__ is Refused
    # What is not told whole, or by a newer server, is told in its own words.
    for told in (error("S222", True, what="rate"), error("S999"), error(5), error("H305", field="x", expected="y")):
        assert (told.__class__, told.code) == (Refused, "H506")
        assert told.diagnostic.text.startswith("words")


def test_shapes() -> None:
    assert fits([1, "5m"], tuple[int, str] | None)
    assert not fits([1], tuple[int, str] | None)
    assert not fits(True, int)
    assert not fits(1 << 63, int)
    assert fits({"a": [1]}, dict[str, list[int]])
    assert not fits({"a": ["1"]}, dict[str, list[int]])
    assert fits(None, ({"a": int}, None))
    assert not fits({}, ({"a": int}, None))
    assert Reply({"programs": {}}, "u").texts("programs") == {}
