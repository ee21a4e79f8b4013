"""Starting and stopping the server, ports, slow heads, and `serve` as a process of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx2
import pytest
from driver import DEADLINE_SECONDS, Driver, eventually

from flowmetal.cli.serving import announce
from flowmetal.diagnostics import FlowmetalError
from flowmetal.server import HttpServer, ServerConfig, read_config, serve
from flowmetal.server.protocol import DeadlineProtocol


def config(**serve: Any) -> ServerConfig:
    return read_config({"serve": {"port": 0, "stop_seconds": 2 * DEADLINE_SECONDS, **serve}})


def test_a_port_in_use_is_an_error_of_the_start() -> None:
    driver = Driver()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FlowmetalError) as raised:
            HttpServer(driver.store, config(port=port))
        assert raised.value.code == "H101"
        assert str(port) in str(raised.value)
    server = HttpServer(driver.store, config(port=port))  # free again
    with pytest.raises(FlowmetalError) as raised:
        HttpServer(driver.store, config(port=port))
    assert raised.value.code == "H101"
    server.start()
    server.stop()


@pytest.mark.parametrize("host", ["203.0.113.77", "not a host"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        HttpServer(Driver().store, config(host=host, token_env="T"), environment={"T": "x"})
    assert raised.value.code == "H102"


def test_an_open_address_without_token_is_refused() -> None:
    with pytest.raises(FlowmetalError) as raised:
        HttpServer(Driver().store, config(host="0.0.0.0"))
    assert raised.value.code == "H103"


def test_the_start_says_once_where_it_serves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = HttpServer(Driver().store, config())
    server.start()
    announce(server)
    server.stop()
    assert [record.getMessage() for record in caplog.records if server.url in record.getMessage()] == [
        f"flowvm serves at {server.url}; callbacks arrive at {server.base_url}"
    ]


def test_urls() -> None:
    server = HttpServer(Driver().store, config())
    assert server.url == server.base_url == f"http://127.0.0.1:{server.port}"
    server.start()
    server.stop()


def test_idle_connections_do_not_delay_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowmetal.server.running.KEEP_ALIVE_SECONDS", 2 * DEADLINE_SECONDS)
    server = HttpServer(Driver().store, config())
    server.start()
    with (
        httpx2.Client(base_url=server.url, trust_env=False) as http,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        assert http.get("/health").status_code == 200
        before = time.monotonic()
        assert server.stop()
        assert time.monotonic() - before < DEADLINE_SECONDS


def test_heads_have_a_deadline_and_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeadlineProtocol, "head_seconds", 1.0)
    server = HttpServer(Driver().store, config())
    server.start()
    try:
        silent, slow, large, kept = (socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(4))
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        large.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000)
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HT")
        assert silent.recv(100) == b""
        assert slow.recv(100) == b""
        assert large.recv(1000).startswith(b"HTTP/1.1 400")
        received = b""
        while data := kept.recv(1000):
            received += data
        assert received.startswith(b"HTTP/1.1 200") and received.count(b"HTTP/1.1") == 1
        for connection in (silent, slow, large, kept):
            connection.close()
        assert httpx2.get(server.url + "/health", trust_env=False, timeout=60).status_code == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    "endless",
    [
        b"1\r\na\r\n0\r\n" + b"x: y\r\n" * 100_000,  # trailers
        b"1\r\na\r\n0\r\nx: " + b"y" * 600_000,  # one trailer
        b"1;" + b"x" * 600_000,  # an extension of a chunk
        b"1\r\na\r\n" * 9 + b"0\r\n" + b"x: y\r\n" * 100_000,
    ],
)
def test_what_follows_a_body_has_a_limit(endless: bytes) -> None:
    server = HttpServer(Driver().store, config(body_seconds=10 * DEADLINE_SECONDS))
    server.start()
    try:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
        connection.sendall(b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # it hangs up while we send
            connection.sendall(endless)
            while connection.recv(1000):
                pass
        connection.close()
    finally:
        server.stop()


def test_large_bodies_and_short_trailers_pass() -> None:
    server = HttpServer(Driver().store, config())
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as connection:
            head = b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            body = (b"1000\r\n" + b"a" * 4096 + b"\r\n") * 100 + b"0\r\nx: y\r\n\r\n"
            with connection.makefile("rb") as answers:
                for _ in range(2):
                    connection.sendall(head + body)
                    assert answers.readline().startswith(b"HTTP/1.1 404")
                    fields = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
                    answers.read(int(fields[b"content-length"]))
    finally:
        server.stop()


def test_connections_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowmetal.server.running.CONNECTIONS_MAX", 3)
    server = HttpServer(Driver().store, config())
    server.start()
    try:
        open_ones = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        eventually(lambda: len(server._uvicorn.server_state.connections) == 3)
        assert httpx2.get(server.url + "/health", trust_env=False, timeout=60).status_code == 503
        for connection in open_ones:
            connection.close()
        eventually(lambda: httpx2.get(server.url + "/health", trust_env=False, timeout=60).status_code == 200)
    finally:
        server.stop()


class Service:
    def __init__(self, log: list[str], name: str, fails: bool = False) -> None:
        self.log, self.name, self.fails = log, name, fails

    def start(self) -> None:
        if self.fails:
            raise RuntimeError(self.name)
        self.log.append(f"+{self.name}")

    def stop(self) -> None:
        self.log.append(f"-{self.name}")


def test_services_start_in_order_and_stop() -> None:
    log: list[str] = []
    stop = threading.Event()
    addresses: list[str] = []

    def ready(server: HttpServer) -> None:
        assert httpx2.get(server.url + "/health", trust_env=False, timeout=60).status_code == 200
        log.append("ready")
        stop.set()

    def services(server: HttpServer) -> list[Service]:
        addresses.append(server.base_url)
        return [Service(log, "a"), Service(log, "b")]

    serve(Driver().store, config(), services=services, ready=ready, stop=stop)
    assert log[:3] == ["+a", "+b", "ready"]
    assert sorted(log[3:]) == ["-a", "-b"]
    assert addresses[0].startswith("http://127.0.0.1:")


def test_a_service_that_does_not_start_stops_the_others() -> None:
    log: list[str] = []
    with pytest.raises(RuntimeError):
        serve(Driver().store, config(), services=lambda _: [Service(log, "a"), Service(log, "b", fails=True)])
    assert log == ["+a", "-a"]


SCRIPT = """
from flowmetal.server import serve, read_config
from flowmetal.store import open_store
serve(open_store("memory:"), read_config({"serve": {"port": 0, "stop_seconds": 120}}), ready=lambda s: print(s.url, flush=True))
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_a_process_that_serves(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx2.get(url + "/health", trust_env=False, timeout=60).status_code == 200
        before = time.monotonic()
        os.kill(process.pid, number)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(DEADLINE_SECONDS) == 0
        assert time.monotonic() - before < DEADLINE_SECONDS
    eventually(lambda: process.returncode is not None)


class Hanging(Service):
    def stop(self) -> None:
        super().stop()
        threading.Event().wait(10 * DEADLINE_SECONDS)


def test_what_hangs_at_the_stop_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One deadline for all parts: a request that is never answered, and two services that do not end."""
    monkeypatch.setattr("flowmetal.server.running.STOP_SECONDS", 1.5)
    log: list[str] = []
    stop = threading.Event()
    asked: list[socket.socket] = []
    ended: list[float] = []

    def ready(server: HttpServer) -> None:
        asked.append(socket.create_connection(("127.0.0.1", server.port)))
        asked[0].sendall(b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        eventually(lambda: server._uvicorn.server_state.tasks)
        stop.set()
        ended.append(time.monotonic())

    services = [Hanging(log, "a"), Service(log, "b"), Hanging(log, "c")]
    serve(Driver().store, config(body_seconds=600), services=lambda _: services, ready=ready, stop=stop)
    assert time.monotonic() - ended[0] < DEADLINE_SECONDS / 2
    assert sorted(log) == ["+a", "+b", "+c", "-a", "-b", "-c"]
    assert "left behind: HttpServer, Hanging, Hanging" in caplog.text
    asked[0].close()


HANGING = """
import asyncio, logging, sys, threading
from flowmetal.server import running, serve, read_config
from flowmetal.store import open_store
running.STOP_SECONDS, running.EXIT_SECONDS = 0.5, 1.0
logging.basicConfig(stream=sys.stdout)
threading.Thread(target=threading.Event().wait).start()
serve(open_store("memory:"), read_config({"serve": {"port": 0}}), ready=lambda s: print(s.url, flush=True), ends_process=True)
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 1
        assert "the process is ended" in process.stdout.read()
