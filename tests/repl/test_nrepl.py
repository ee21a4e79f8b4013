"""The nREPL server over real sockets: a client's session, interrupts, isolation, and bytes that are no messages."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.session import Bounds, Session
from flowmetal.repl.bencode import BencodeError, read_message, write_message
from flowmetal.repl.nrepl import NreplServer
from flowmetal.values import LanguageError


class Client:
    """A client such as an editor has."""

    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.stream = self.link.makefile("rb")
        self.count = 0
        self.seen: dict[str, list[dict[str, Any]]] = {}

    def close(self) -> None:
        self.stream.close()
        self.link.close()

    def send(self, **message: Any) -> str:
        self.count += 1
        self.link.sendall(write_message({"id": str(self.count), **message}))
        return str(self.count)

    def receive(self) -> dict[str, Any]:
        answer = read_message(self.stream.read)
        assert isinstance(answer, dict)
        return answer

    def until_done(self, number: str) -> list[dict[str, Any]]:
        while True:
            found = self.seen.get(number, [])
            if found and "done" in found[-1].get("status", ()):
                return found
            answer = self.receive()
            self.seen.setdefault(answer["id"], []).append(answer)

    def ask(self, **message: Any) -> list[dict[str, Any]]:
        return self.until_done(self.send(**message))

    def clone(self) -> str:
        return str(self.ask(op="clone")[0]["new-session"])

    def values(self, code: str, **more: Any) -> list[str]:
        return [one["value"] for one in self.ask(op="eval", code=code, **more) if "value" in one]


Connect = Callable[[], Client]


@pytest.fixture
def connect(server: NreplServer) -> Iterator[Connect]:
    made: list[Client] = []

    def connect() -> Client:
        made.append(Client(server.port))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NreplServer]:
    made = NreplServer(0, lambda: None, port_file=tmp_path / ".nrepl-port")
    made.start()
    yield made
    made.stop()


def test_a_session(server: NreplServer, connect: Connect, tmp_path: Path) -> None:
    assert (tmp_path / ".nrepl-port").read_text() == str(server.port)
    client = connect()
    described = client.ask(op="describe")[0]
    assert {"eval", "clone", "interrupt", "load-file", "completions", "lookup"} <= set(described["ops"])
    one, two = client.clone(), client.clone()
    assert client.values("(def x 1) (+ x 1)", session=one) == ["user/x", "2"]
    failed = client.ask(op="eval", code="x", session=two)
    assert any(answer.get("ex") == "A101" for answer in failed)
    assert set(client.ask(op="ls-sessions")[0]["sessions"]) == {one, two}
    printed = client.ask(op="eval", code='(println "hi") :v', session=one)
    assert [answer.get("out") or answer.get("value") for answer in printed[:3]] == ["hi\n", "nil", ":v"]
    thrown = client.ask(op="eval", code='(throw (ex-info "no" {}))', session=one)
    assert "eval-error" in thrown[1]["status"] and "no" in thrown[0]["err"]
    loaded = client.ask(
        **{"op": "load-file", "file": '(ns shop) (defn f "Doc." [a] a) (f 3)', "file-path": "shop.fm", "session": one}
    )
    assert loaded[0]["value"] == "3"
    assert client.values("(f 4)", session=one, ns="shop") == ["4"]
    found = client.ask(op="completions", prefix="f", session=one)[0]["completions"]
    assert {"candidate": "f", "type": "function", "ns": "shop"} in found
    info = client.ask(op="lookup", sym="f", session=one)[0]["info"]
    assert (info["doc"], info["arglists-str"], info["file"], info["line"]) == ("Doc.", "[a]", "shop.fm", 1)
    assert client.ask(op="eldoc", sym="f", session=one)[0]["eldoc"] == [["a"]]
    assert "session-closed" in client.ask(op="close", session=one)[0]["status"]
    assert "unknown-session" in client.ask(op="eval", code="1", session=one)[0]["status"]
    assert "unknown-op" in client.ask(op="nonsense")[0]["status"]
    assert client.values("(+ 1 1)") == ["2"]


def test_interrupting_keeps_the_session(connect: Connect) -> None:
    client = connect()
    session = client.clone()
    client.values("(def x 1)", session=session)
    number = client.send(op="eval", code="(loop [] (recur))", session=session)
    deadline = time.monotonic() + 20
    while "session-idle" in client.ask(op="interrupt", session=session)[0]["status"]:
        assert time.monotonic() < deadline
    assert "interrupted" in client.until_done(number)[-1]["status"]
    assert client.values("x", session=session) == ["1"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"d2:op" + b"l" * 5000,
        b"i" + b"9" * 100 + b"e",
        b"999999999999:x",
        b"99999999999999999999999999:",
        b"di1ei2ee",
        b"le",
        b"i--5e",
        b"d2:op4:eval4:code",
        b"\xff\xfe\x00",
    ],
)
def test_bytes_that_are_no_message_end_their_connection(server: NreplServer, connect: Connect, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(100) == b""
    assert connect().values("(+ 1 2)") == ["3"]


def test_messages_with_odd_fields_are_answered(connect: Connect) -> None:
    client = connect()
    for odd in ([], {}, 5, "", "\x00"):
        for field in ("code", "session", "ns", "op", "prefix"):
            message = {"op": "eval", "code": "1", field: odd}
            assert "done" in client.ask(**message)[-1]["status"]
        assert "done" in client.ask(op="complete", prefix=odd)[-1]["status"]
        assert "done" in client.ask(op="info", sym=odd)[-1]["status"]
    client.link.sendall(write_message({"op": "eval", "code": "1", "id": [1]}))
    assert client.receive()["value"] == "1"


def test_a_port_that_is_taken(server: NreplServer) -> None:
    with pytest.raises(FlowmetalError) as raised:
        NreplServer(server.port, lambda: None)
    assert raised.value.code == "U123"


MESSAGES = st.recursive(
    st.text(max_size=20) | st.integers(-(10**15), 10**15),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def reader(data: bytes) -> Any:
    left = [data]

    def read(count: int) -> bytes:
        taken, left[0] = left[0][:count], left[0][count:]
        return taken

    return read


@given(MESSAGES)
@settings(max_examples=100, deadline=None)
def test_messages_read_back(message: Any) -> None:
    assert read_message(reader(write_message(message))) == message


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_message(reader(data))
    except (BencodeError, EOFError):
        pass


def test_a_closed_session_begins_no_form() -> None:
    """What stops a session may come between the message and the form."""
    session = Session(lambda line: None, Bounds())
    session.close()
    with pytest.raises(LanguageError, match="interrupted"):
        list(session.evaluate("(loop [] (recur))"))


def test_stopping_ends_what_runs() -> None:
    made = NreplServer(0, lambda: None)
    made.start()
    client = Client(made.port)
    client.send(op="eval", code="(loop [] (recur))")
    client.ask(op="describe")
    made.stop()
    client.close()
    deadline = time.monotonic() + 10
    while any(thread.name == "flowmetal-nrepl-session" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
