"""A share of the kills under a mixed load, and that its checker finds what is wrong."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store import open_store
from flowmetal.store.layout import KV, LOG, PROCESSES
from flowmetal.store.lmdb_transaction import LmdbTransaction
from tests.crash import mixed_load
from tests.crash.forks import Acknowledged, run
from tests.crash.mixed import campaign
from tests.crash.mixed_check import check, wrong_counts

KILLS = 200


def test_killed_under_a_mixed_load(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    total = campaign(KILLS, seed, tmp_path)
    print(total)
    assert total["kills"] >= KILLS and total["acknowledged"] > KILLS and total["messages"] > KILLS


# ---- the checker can fail ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a store in which a load ran to its end, and what its client was told."""
    folder = tmp_path_factory.mktemp("ended")
    artifact = mixed_load.build()
    acknowledged = Acknowledged(folder / "acknowledged")

    def load() -> None:
        mixed_load.make(folder / "store", artifact)
        store = open_store(folder / "store")
        running = mixed_load.interpreter(store)
        running.start()
        client = mixed_load.Client(store, "life", acknowledged, random.Random(1))
        end = time.monotonic() + 0.5
        client.run(lambda: time.monotonic() > end)
        mixed_load.end_all(store, client, 60)
        running.stop()
        store.close()

    run(load, folder / "log")
    yield folder
    acknowledged.close()


def found(folder: Path, more: list[list[Any]], damage: Callable[[LmdbTransaction], None] | None) -> list[str]:
    """What the checker says of a store that is damaged, and with more that is said to be acknowledged."""

    def look() -> list[str]:
        store = open_store(folder / "store", create=False)
        engine = store.store.engine  # type: ignore[attr-defined]
        if damage is not None:
            engine.become_writer()
            with engine.writing() as transaction:
                damage(transaction)
                transaction.commit()
        acknowledged = Acknowledged(folder / "acknowledged").all()
        return check(store, [*acknowledged, *more], ended=True).wrong

    result: list[str] = run(look, folder / "log")
    return result


def drop_last(space: Any, transaction: LmdbTransaction) -> None:
    transaction.delete(space, transaction.scan(space)[-1][0])


def double_log(transaction: LmdbTransaction) -> None:
    """The second record of a log once more in the place of the third."""
    rows = transaction.scan(LOG)
    for (_, one), (key, two), (third, _) in zip(rows, rows[1:], rows[2:], strict=False):
        if key[:5] == third[:5] and len(two) > 20 and one != two:
            transaction.put(LOG, third, two)
            return
    raise AssertionError("no log of three records")


def count_once_more(transaction: LmdbTransaction) -> None:
    key, value = transaction.scan(KV)[0]
    transaction.put(KV, key, value[:-1] + bytes([value[-1] + 1]))


def test_nothing_is_wrong(ended: Path) -> None:
    assert found(ended, [], None) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (partial(drop_last, LOG), "its log has entries"),
        (partial(drop_last, PROCESSES), "children and parents differ"),
        (double_log, "process"),
        (count_once_more, "the key-value table has"),
    ],
)
def test_damage_is_found(ended: Path, tmp_path: Path, damage: Callable[[LmdbTransaction], None], said: str) -> None:
    shutil.copytree(ended, tmp_path / "copy")
    wrong = found(tmp_path / "copy", [], damage)
    assert any(said in line for line in wrong), wrong


@pytest.mark.parametrize(
    ("stored", "raised", "cut_off", "problems"),
    [
        (3, [2, 0, 1], [], 0),
        (3, [2, 0], [1], 0),  # done, and its process had no time to be told
        (3, [2, 0, 1], [3, 1], 0),  # not done: somebody else was first
        (3, [0, 1], [1], 1),  # by nobody
        (3, [0, 1, 1, 2], [], 1),  # by two
        (2, [0, 1, 2], [], 1),  # lost
        (3, [0, 1], [], 1),
    ],
)
def test_counters(stored: int, raised: list[int], cut_off: list[int], problems: int) -> None:
    assert len(wrong_counts(stored, raised, cut_off)) == problems


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["post", "life", 1_000_000], "1000000 messages were acknowledged"),
        (["post", "nobody", 1], "client nobody: 1 messages were acknowledged, and 0 are there"),
        (["start", "none", 9999, "chain", 3], "start none of chain was acknowledged"),
        (["deliver", 2, "never", "accepted"], "delivery never was accepted"),
        (["complete", 2, 77, 1], "an answer to step 77 was acknowledged"),
        (["cancel", 1, True], "process 1 was told to end"),
    ],
)
def test_a_loss_is_found(ended: Path, more: list[Any], said: str) -> None:
    wrong = found(ended, [more], None)
    assert any(said in line for line in wrong), wrong
