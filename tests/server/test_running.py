"""Starting and stopping the server, ports, slow heads, and `serve` as a process of its own."""

from __future__ import annotations

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


class Service:
    def __init__(self, log: list[str], name: str, fails: bool = False) -> None:
        self.log, self.name, self.fails = log, name, fails

    def start(self) -> None:
        if self.fails:
            raise RuntimeError(self.name)
        self.log.append(f"+{self.name}")

    def stop(self) -> None:
        self.log.append(f"-{self.name}")


def test_services_start_in_order_and_stop_in_reverse() -> None:
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
    assert log == ["+a", "+b", "ready", "-b", "-a"]
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
