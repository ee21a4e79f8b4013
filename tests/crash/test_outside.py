"""A share of the kills around outside effects, and that its checker finds what is wrong."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.store import open_store
from flowmetal.store.interface import Start
from flowmetal.values import Vector, encode_value
from tests.crash import outside
from tests.crash.forks import Acknowledged, fork, killed_at_end, run

KILLS = 40


def test_killed_around_effects(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    total = outside.campaign(KILLS, seed, tmp_path)
    print(total)
    assert total["kills"] >= KILLS and total["keys"] > 5


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a store in which one process of each kind ran to its end, and with what its server saw."""
    folder = tmp_path_factory.mktemp("ended")
    artifact = build_artifact({"outside.fm": outside.PROGRAM}).data
    tls = ssl.create_default_context()
    listener = socket.create_server(("127.0.0.1", 0))
    site = f"http://127.0.0.1:{listener.getsockname()[1]}"
    arrived = Acknowledged(folder / "arrived")

    def begin() -> None:
        outside.make(folder / "store", artifact)
        store = open_store(folder / "store")
        arguments = encode_value(Vector.of([site, 2]))
        store.submit([Start(f"outside/{kind}", arguments, name="outside") for kind in outside.KINDS]).result(60)
        store.close()

    run(begin, folder / "log")
    server = fork(partial(outside.serve, listener, folder / "arrived"), folder / "log")
    worker = fork(partial(outside.work, folder / "store"), folder / "log")
    with killed_at_end([server, worker]):
        run(partial(outside.finish, folder / "store", site, tls), folder / "log")
    listener.close()
    yield folder
    arrived.close()


def found(folder: Path, change: Any) -> list[str]:
    """What the checker says where something else arrived at the server."""

    def look() -> list[str]:
        store = open_store(folder / "store", create=False)
        result: list[str] = outside.check(store, change(outside.arrivals(folder)), ended=True)["wrong"]
        return result

    wrong: list[str] = run(look, folder / "log")
    return wrong


def first_effect(arrived: list[list[Any]]) -> list[Any]:
    """The first line that says of an effect."""
    return next(line for line in arrived if line[2])


def test_nothing_is_wrong(ended: Path) -> None:
    assert found(ended, lambda arrived: arrived) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrived: [one for one in arrived if one != first_effect(arrived)], "had 0 effects, not 1 to 1"),
        (lambda arrived: [*arrived, first_effect(arrived)], "had 2 effects, not 1 to 1"),
        (lambda arrived: [*arrived, ["/keep", "somebody-9-9", True]], "somebody-9-9 had an effect, and no log knows"),
        (lambda arrived: [*arrived, *([[path, key, False] for path, key, _ in arrived if path == "/once"])],
         "was tried 2 times"),
    ],
)  # fmt: skip
def test_a_wrong_effect_is_found(ended: Path, change: Any, said: str) -> None:
    wrong = found(ended, change)
    assert any(said in line for line in wrong), wrong
