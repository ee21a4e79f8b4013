"""Mailboxes, retention and figures: over the store and over HTTP alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowmetal.client import Client, Refused, connect
from flowmetal.client.errors import ClientError, NotFound
from flowmetal.engine.build import build_artifact
from flowmetal.engine.mailboxes import MESSAGE_BYTES
from flowmetal.engine.simulate import Simulation
from flowmetal.server import HttpServer, read_config
from flowmetal.values import decode_value, print_string

SOURCE = """
(ns deploy)
(defn main [n] n)
(defn broken [] (throw {:kind :no}))
(defn waits [] (receive :go :gone))
(defn parent [] (spawn main 1) (sleep 1h))
"""
ARTIFACT = build_artifact({"deploy.fm": SOURCE}).data


class World:
    """A simulated store with a client over it, directly or through a server."""

    def __init__(self, how: str, **retention: Any) -> None:
        self.simulation = Simulation(seed=1)
        self.simulation.deploy(ARTIFACT, "deploy")
        self.server: HttpServer | None = None
        if how == "http":
            self.server = HttpServer(self.simulation.store, read_config({"serve": {"port": 0}, "retention": retention}))
            self.server.start()
            self.client: Client = connect(self.server.url)
        else:
            self.client = connect(self.simulation.store)

    def close(self) -> None:
        self.client.close()
        if self.server is not None:
            assert self.server.stop()


@pytest.fixture(params=["store", "http"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(request.param)
    yield made
    made.close()


def test_a_mailbox_is_looked_at_page_by_page(world: World) -> None:
    pid = world.client.start("deploy/waits")
    world.simulation.settle()
    for number in range(7):
        world.client.send(pid, {"n": number})
    first = world.client.mailbox(pid, limit=3)
    assert (first.waiting, len(first.messages)) == (7, 3)
    assert first.after == first.messages[-1].number
    rest = world.client.mailbox(pid, after=first.after or 0, limit=100)
    texts = [one.text for one in [*first.messages, *rest.messages]]
    assert texts == [f"{{:n {number}}}" for number in range(7)]
    assert rest.after is None
    with pytest.raises(NotFound):
        world.client.mailbox(999)
    with pytest.raises(Refused):
        world.client.mailbox(pid, limit=0)


def test_large_messages_are_told_and_not_read(world: World) -> None:
    pid = world.client.start("deploy/waits")
    world.simulation.settle()
    for _ in range(3):
        world.client.send(pid, "x" * (2 * MESSAGE_BYTES))
    page = world.client.mailbox(pid)
    assert [re.fullmatch(r"<\d+ bytes>", one.text) is not None for one in page.messages] == [True] * 3


def test_what_has_ended_is_removed(world: World) -> None:
    client = world.client
    done = [client.start("deploy/main", number) for number in range(40)]
    failed = client.start("deploy/broken")
    lives = client.start("deploy/parent")
    world.simulation.settle()
    would = client.prune(keep=5, keep_failed=True, dry_run=True)
    assert (would.processes, would.dry_run, would.by_program) == (
        36,
        True,
        {"deploy": 36},
    )  # the child is one of the newest
    assert client.get(done[0]).ended
    gone = client.prune(keep=5, keep_failed=True)
    assert (gone.processes, gone.more) == (36, False)
    left = [info.pid for info in client.list()]
    assert left == [*done[36:], failed, lives, lives + 1]
    assert client.prune(older_than="0s", program="another").processes == 0
    assert client.prune(older_than="0s").processes == 5
    assert client.prune(older_than="0s", keep_children=False).processes == 1


@pytest.mark.parametrize(
    "given", [{"older_than": "soon"}, {"keep": -1}, {"keep": True}, {"log_keep": "3"}, {"older_than": "1d" * 50},
              {"keep": 1, "program": ""}, {"keep": 1, "keep_failed": 3}]
)  # fmt: skip
def test_what_cannot_be_is_refused(world: World, given: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        world.client.prune(**given)
    assert "H513" in (caught.value.code, str(caught.value))


def test_nothing_says_what_is_to_go(world: World) -> None:
    for given in ({}, {"keep_failed": True}):
        with pytest.raises(Refused) as caught:
            world.client.prune(**given)
        assert caught.value.code == "H555"


def test_a_server_prunes_by_its_settings_where_nothing_is_said() -> None:
    world = World("http", keep=2)
    try:
        for number in range(5):
            world.client.start("deploy/main", number)
        world.simulation.settle()
        assert world.client.prune(dry_run=True).processes == 3
        assert world.client.prune().processes == 3
    finally:
        world.close()


def test_a_sweep_in_pieces_counts_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowmetal.server.upkeep.PIECE_SECONDS", 0.0)
    world = World("http")
    try:
        for number in range(50):
            world.client.start("deploy/main", number)
        world.simulation.settle()
        report = world.client.prune(older_than="0s")
        assert (report.processes, sorted(report.pids), report.more) == (50, list(range(1, 51)), False)
        assert world.client.list() == []
    finally:
        world.close()


def test_figures_for_a_monitor() -> None:
    world = World("http")
    try:
        assert world.server is not None
        world.server.measure(lambda: {"turns_total": world.simulation.interpreter.turns})
        world.client.start("deploy/waits")
        world.client.start("deploy/main", 1)
        world.simulation.settle()
        answer = httpx2.get(f"{world.server.url}/metrics")
        assert answer.status_code == 200
        lines = answer.text.splitlines()
        assert 'flowmetal_processes{status="waiting"} 1' in lines
        assert 'flowmetal_processes{status="done"} 1' in lines
        assert "# TYPE flowmetal_turns_total counter" in lines
        assert all(re.fullmatch(r'# TYPE \w+ (gauge|counter)|\w+(\{status="\w+"\})? [0-9.e+]+', line) for line in lines)
        assert int(next(line for line in lines if line.startswith("flowmetal_turns_total")).split()[1]) >= 2
    finally:
        world.close()


def test_figures_are_behind_the_token(tmp_path: Path) -> None:
    simulation = Simulation(seed=1)
    settings = read_config({"serve": {"port": 0, "token_env": "T"}})
    server = HttpServer(simulation.store, settings, environment={"T": "a-token-of-some-length"})
    server.start()
    try:
        assert httpx2.get(f"{server.url}/metrics").status_code == 401
        allowed = httpx2.get(f"{server.url}/metrics", headers={"authorization": "Bearer a-token-of-some-length"})
        assert allowed.status_code == 200
    finally:
        assert server.stop()


def test_texts_of_the_language_cross(world: World) -> None:
    """What JSON cannot say goes as a text: keywords, sets; a pattern that wants a keyword fits."""
    pid = world.client.start("deploy/waits")
    world.simulation.settle()
    world.client.send(pid, "go")
    world.client.send(pid, {"$edn": ":go"})
    world.simulation.settle()
    assert world.client.result(pid, wait=0) == "gone"
    pid = world.client.start("deploy/main", {"$edn": "{:set #{1} :list (a b)}"})
    world.simulation.settle()
    found = world.simulation.store.result(pid)
    assert found is not None
    assert print_string(decode_value(found)) == "{:set #{1}, :list (a b)}"


@pytest.mark.parametrize("text", ["", "(", "1 2", "#unknown 3", 7, '#secret "x"', "((" * 5000])
def test_texts_that_are_no_data(world: World, text: Any) -> None:
    pid = world.client.start("deploy/waits")
    for send in (
        lambda: world.client.send(pid, {"$edn": text}),
        lambda: world.client.start("deploy/main", {"$edn": text}),
    ):
        with pytest.raises(ClientError) as caught:
            send()
        assert "H510" in (caught.value.code, str(caught.value)) or "[H510]" in str(caught.value)
