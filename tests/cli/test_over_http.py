"""Commands over a server: the errors and exit codes of a folder; and what is said of a server that is another."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowmetal.cli import flowvm
from flowmetal.cli.common import NO_STORE, NOT_FOUND, USAGE
from flowmetal.client import connect
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.trust import Trust
from flowmetal.server import HttpServer
from flowmetal.server.config import read_config
from flowmetal.store import open_store
from tests.cli.shell import Shell

REFUSED = [
    ("queue define orders --rate lots", USAGE, "S222", 'rate must be a number from 1 to 100000 and a duration'),
    ("queue show nosuch", NOT_FOUND, "S220", "There is no queue `nosuch`."),
    ("queue remove nosuch", NOT_FOUND, "S220", "Define it: `flowvm queue define nosuch`"),
    ("schedule run nosuch", NOT_FOUND, "S228", "There is no schedule `nosuch`."),
    ("schedule put x --cron *** --program hello", USAGE, "S225", "is wrong at character"),
    ("schedule put x --every soon --program hello", USAGE, "S227", "every must be"),
    ("schedule put x --cron 0_0_*_*_* --zone Nowhere --program hello", USAGE, "S226", "no time zone `Nowhere`"),
    ("start hello/mian", NOT_FOUND, "B014", "Did you mean `main`?"),
    ("start hello/main -a 1 -a 2", USAGE, "B016", "takes 0 or 1 arguments"),
    ("start nosuch/main", NOT_FOUND, "H511", "No program is deployed as `nosuch`."),
    ("start hello/main --queue nosuch", NOT_FOUND, "S220", "There is no queue `nosuch`."),
    ("history 77", NOT_FOUND, "", "There is no process 77"),
    ("result 77", NOT_FOUND, "H504", "There is no process 77"),
]  # fmt: skip


def test_errors_are_those_of_a_folder(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    lines = [[word.replace("_", " ") for word in line.split()] for line, _, _, _ in REFUSED]
    folder = [shell("flowvm", *line, "--store", "store") for line in lines]
    with contextlib.closing(open_store("store", create=False)) as opened:
        server = HttpServer(opened, read_config({"serve": {"port": 0}}))
        server.start()
        over = [shell("flowvm", *line, "--store", server.url) for line in lines]
        server.stop()
    for (line, code, letter, words), one, other in zip(REFUSED, folder, over, strict=True):
        assert (one.code, other.code) == (code, code), (line, one.err, other.err)
        assert words in one.err and words in other.err, (line, one.err, other.err)
        if letter:
            assert f"[{letter}]" in one.err and one.err == other.err, (line, one.err, other.err)


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"value": 5, "processes": 5, "programs": [], "steps": 5}'])
def test_a_server_that_is_another(shell: Shell, body: bytes) -> None:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        for line in (
            "ps", "ps --count", "programs", "queue list", "queue show x", "schedule list", "schedule show x",
            "schedule next x", "schedule run x", "history 1", "result 1", "start hello/main", "deploy hello.fm",
            "cancel 1", "kill 1", "send 1 5", "mailbox 1", "restart 1", "prune --keep 1",
        ):  # fmt: skip
            done = shell("flowvm", *line.split(), "--store", f"http://127.0.0.1:{server.server_port}")
            assert (done.code, "[H512]" in done.err) == (NO_STORE, True), (line, done.code, done.err)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_debug_wherever_it_stands(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **named: Any) -> Any:
        raise KeyError("boom")

    monkeypatch.setattr("flowmetal.client.connect", broken)
    assert "FLOWMETAL_DEBUG=1" in shell("flowvm", "ps").err
    for line in (["ps", "--debug"], ["--debug", "ps"]):
        with pytest.raises(KeyError):
            monkeypatch.setattr("sys.argv", ["flowvm", *line])
            flowvm.main()


def test_words(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "main.fm").write_text("(ns shop.main) (defn order [] 1) (defn cleanup [] 2)")
    assert shell("flowvm", "deploy", "shop/main.fm", "--name", "shop", "--store", "store").code == 0
    done = shell("flowvm", "start", "shop/order", "--store", "store")
    assert "Did you mean `shop.main/order`?" in done.err and "add `--program shop`" in done.err, done.err
    put = ("schedule", "put", "s", "--every", "1h", "--program", "shop", "--function", "cleanup")
    assert shell("flowvm", *put, "--store", "store").code == 0
    assert shell("flowvm", "schedule", "run", "s", "--store", "store").out == "process 1 was started\n"
    found = shell("flowvm", "ps", "--function", "shop.main/cleanup", "--json", "--store", "store").json()["processes"]
    assert [(one["pid"], one["function"]) for one in found] == [(1, "shop.main/cleanup")]
    assert shell("flowvm", "kill", "1", "--reason", "not today", "--store", "store").code == 0
    done = shell("flowvm", "result", "1", "--store", "store")
    assert (done.code, "The reason: not today" in done.err) == (8, True), done.err
    done = shell("flowvm", "queue", "define", "orders", "--store", "store")
    assert "queue orders has none now" in done.err
    done = shell("flowvm", "schedule", "put", "s", "--store", "store")
    assert "must be" in done.err
    done = shell("flowc", "build", "hello.fm", "--output", "nowhere/dir/x.fmc")
    assert (done.code, "[U108]" in done.err, (tmp_path / "nowhere").exists()) == (1, True, False), done.err


def test_what_is_no_artifact_is_not_called_unsigned() -> None:
    trust = Trust(require_signed=True, keys={bytes(32): "k"})
    for data in (b"", b"hello", b"FMC"):
        with pytest.raises(FlowmetalError) as raised:
            trust.check(data)
        assert raised.value.code == "B001"


def test_a_process_by_its_registered_name(shell: Shell) -> None:
    assert shell("flowvm", "deploy", "hello.fm", "--name", "h", "--store", "store").code == 0
    with connect("store") as client:
        client.start("hello/main", {"n": 1}, program="h", register="customer/ann", id="one")
        client.start("hello/main", program="h", id="customer/bob")
    shown = shell("flowvm", "inspect", "customer/ann", "--store", "store", "--json").json()
    assert (shown["deployed"], shown["names"], shown["grants"]) == ("h", ["customer/ann"], [])
    assert "h  " in shell("flowvm", "inspect", "1", "--store", "store").out
    with contextlib.closing(open_store("store", create=False)) as opened:
        server = HttpServer(opened, read_config({"serve": {"port": 0}}))
        server.start()
        over = shell("flowvm", "send", "customer/ann", "5", "--store", server.url)
        missing = shell("flowvm", "send", "customer/cid", "5", "--store", server.url)
        server.stop()
    assert (over.code, missing.code) == (0, NOT_FOUND), (over.err, missing.err)
    assert shell("flowvm", "send", "customer/ann", "6", "--store", "store").code == 0
    assert "2 messages in all" in shell("flowvm", "mailbox", "customer/ann", "--store", "store").out
    assert shell("flowvm", "kill", "customer/bob", "--store", "store").code == 0  # an id goes first
    assert "[U104]" in shell("flowvm", "inspect", "customer/cid", "--store", "store").err
    assert shell("flowvm", "kill", "customer/ann", "--store", "store").code == 0
    assert shell("flowvm", "inspect", "1", "--store", "store", "--json").json()["arguments"] == ["{:n 1}"]
