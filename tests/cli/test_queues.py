"""`flowvm queue` and `flowvm start --queue`, over a folder and over a server; the settings of a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.cli.serving import define_queues
from flowmetal.client import connect
from flowmetal.client.errors import NotFound, Refused
from flowmetal.diagnostics import FlowmetalError
from flowmetal.server import HttpServer
from flowmetal.server.config import read_config
from flowmetal.store import open_store
from tests.cli.shell import PROGRAM, Shell
from tests.store.queue_kit import check_queues, operate


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.fm").write_text(PROGRAM)
    found = Shell(monkeypatch, capsys)
    assert found("flowvm", "deploy", "hello.fm", "--store", "store").code == 0
    return found


@pytest.fixture(params=["folder", "server"])
def store(request: pytest.FixtureRequest, shell: Shell) -> Iterator[str]:
    if request.param == "folder":
        yield "store"
        return
    with contextlib.closing(open_store("store", create=False)) as opened:
        server = HttpServer(opened, read_config({"serve": {"port": 0}}))
        server.start()
        yield server.url
        server.stop()


def test_a_queue_from_the_command_line(shell: Shell, store: str) -> None:
    def flowvm(*arguments: str) -> str:
        done = shell("flowvm", *arguments, "--store", store)
        assert (done.code, done.err) == (0, ""), done.err
        return done.out

    assert flowvm("queue", "list").split() == ["NAME", "STATE", "RUNNING", "WAITING", "DELAYED", "HELD", "LIMITS"]
    shown = flowvm("queue", "define", "mail", "--concurrency", "1", "--rate", "100/1m", "--window", "1h")
    assert "concurrency        1" in shown and "rate               100 in PT1M" in shown
    start = ("start", "hello/main", "--queue", "mail")
    assert flowvm(*start, "--key", "ada", "--priority", "2", "--dedup", "d") == "1\n"
    assert flowvm(*start, "--dedup", "d") == "1\n"
    assert flowvm(*start) == "2\n"
    assert flowvm(*start, "--delay", "1h") == "3\n"
    listed = flowvm("ps")
    assert "queue mail, place ~1" in listed and "queue mail, not before 20" in listed
    assert "mail  open   1        1        1        0     concurrency 1, rate 100 in PT1M" in flowvm("queue", "list")
    assert "paused             yes" in flowvm("queue", "pause", "mail")
    assert "paused             no" in flowvm("queue", "resume", "mail")
    assert '"waiting": 1' in flowvm("queue", "show", "mail", "--json")
    unlimited = shell("flowvm", "queue", "define", "other", "--store", store)
    assert unlimited.code == 0 and "no limits were given" in unlimited.err
    assert flowvm("queue", "remove", "other") == "queue other removed\n"


def test_what_is_refused(shell: Shell, store: str) -> None:
    def refused(*arguments: str) -> tuple[int, str]:
        done = shell("flowvm", *arguments, "--store", store, "--json")
        assert done.out == ""
        return done.code, done.error()["code"]

    assert shell("flowvm", "queue", "define", "mail", "--max-waiting", "1", "--store", store).code == 0
    assert shell("flowvm", "queue", "pause", "mail", "--store", store).code == 0
    start = ("start", "hello/main")
    assert refused(*start, "--queue", "mial") == (3, "S220")
    assert "`mail`" in shell("flowvm", *start, "--queue", "mial", "--store", store).err
    assert refused(*start, "--key", "a") == (2, "H513")
    assert refused(*start, "--queue", "mail", "--delay", "soon") == (2, "U103")
    assert refused(*start, "--queue", "mail", "--key", "x" * 201)[0] in (1, 2)
    assert shell("flowvm", *start, "--queue", "mail", "--store", store).code == 0
    assert refused(*start, "--queue", "mail") == (1, "S221")
    assert refused("queue", "remove", "mail") == (1, "S223")
    assert refused("queue", "show", "none") == (3, "S220")
    assert refused("queue", "show") == (2, "U131")
    assert refused("queue", "list", "mail") == (2, "U131")
    assert refused("queue", "show", "mail", "--rate", "1/1s") == (2, "U130")
    assert refused("queue", "frob", "mail") == (2, "U103")
    assert refused("queue", "define", "mail", "--concurrency", "0") == (2, "U103")
    assert refused("queue", "define", "mail", "--rate", "fast") == (2, "S222")


def test_clients(store: str) -> None:
    with connect(store) as client:
        client.operate("queue/define", {"name": "q", "concurrency": 1})
        first = client.start("hello/main", queue="q", key="k", priority=-3, delay=0.5, dedup="d")
        assert client.start("hello/main", 5, queue="q", dedup="d") == first
        assert client.get(first).waits.startswith("queue q, not before")
        assert client.operate("queue/stats", "q")["delayed"] == 1
        with pytest.raises(NotFound):
            client.start("hello/main", queue="p")
        for bad in ({"priority": 10}, {"delay": -1}, {"key": ""}, {"dedup": ""}, {"delay": float("nan")}):
            with pytest.raises(Refused):
                client.start("hello/main", queue="q", **bad)  # type: ignore[arg-type]


SETTINGS = {"queues": {"mail": {"concurrency": 2, "rate": "5/1s", "paused_keeps_slot": False}, "free": {}}}


def test_the_settings_of_a_server(shell: Shell) -> None:
    with contextlib.closing(open_store("store", create=False)) as opened:
        define_queues(opened, read_config(SETTINGS))
        define_queues(opened, read_config(SETTINGS))
        assert [one["name"] for one in operate(opened, "queue/list", None)] == ["free", "mail"]
        shown = operate(opened, "queue/stats", "mail")
        assert (shown["concurrency"], shown["rate"], shown["paused-keeps-slot"]) == (2, [5, "PT1S"], False)
        check_queues(opened)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"mail": {"concurency": 1}}, "`concurency` in [queues.mail] is not"),
        ({"mail": {"concurrency": 0}}, "`concurrency` in [queues.mail] is 0"),
        ({"mail": {"concurrency": "1"}}, "`concurrency` in [queues.mail] is '1'"),
        ({"mail": {"rate": "fast"}}, "`rate` in [queues.mail]"),
        ({"mail": {"window": "90d"}}, "`window` in [queues.mail]"),
        ({"": {}}, "[queues.]"),
        ({"x" * 201: {}}, "[queues.xxx"),
        ({"mail": 1}, "queues.mail"),
        (1, "queues"),
    ],
)
def test_bad_settings(table: object, words: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        read_config({"queues": table})
    assert raised.value.code in ("H201", "H202")
    assert words in str(raised.value)
