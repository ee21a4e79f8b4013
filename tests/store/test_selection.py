"""Selecting processes: what the bytes of records leave out is what reading all of them leaves out."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from flowmetal.store import open_store
from flowmetal.store.interface import Join, ProcessRecord, PutArtifact, Request, Start, Store, Turn
from flowmetal.store.query import Query
from flowmetal.store.reader import StoreReader
from flowmetal.store.selection import fits
from tests.store.support import HASH, SECOND

NUMBER = 700
PROGRAMS = ("orders", "mail", None)
CITIES = ("Bern", "Zürich", "", 7, 7.0, True, None, ["a"], {"a": 1, "b": 2})


@pytest.fixture(scope="module", params=["memory", "lmdb"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store with processes of all sorts, and what each is."""
    chance = random.Random(7)
    time_of = [1_700_000_000 * SECOND]
    where = "memory:" if request.param == "memory" else tmp_path_factory.mktemp("selection") / "store"
    store = open_store(where, clock=lambda: time_of[0])
    store.submit([PutArtifact(HASH, b"x", name) for name in ("orders", "mail")]).result(60)
    (claim,) = store.submit([Join("i", 600_000)]).result(60)
    for pid in range(1, NUMBER + 1):
        time_of[0] += chance.choice((0, SECOND, 3600 * SECOND))
        program = chance.choice(PROGRAMS)
        start = Start(
            f"{program or 'plain'}/{chance.choice(('main', 'other'))}",
            b"args",
            artifact=HASH,
            name=program,
            id=chance.choice((None, f"order-{pid}", f"mail-{pid}")),
            parent=chance.choice((None, chance.randrange(1, pid + 1), 1)),
            attributes=chance.choice(({}, {"city": chance.choice(CITIES), "n": pid})),
        )
        store.submit([start]).result(60)
        status = chance.choice(("ready", "waiting", "waiting", "paused", "done", "failed", "new"))
        if status == "new":
            continue
        effect = chance.choice(("http/callback", "sleep", "größe"))
        error = chance.choice((":http/timeout no answer", ":billing/declined no money", ""))
        turn = Turn(
            pid, claim.epochs[pid % 64], 0, status, ((0, 0, b"e", b""),), 1,
            taken=[event.key for event in store.inbox(pid)],
            requests=(Request(pid, 1, effect, b"", b"", "k", state="held", queued=False),) if status == "waiting" else (),
            waits=f"{effect} #{pid % 3}" if status == "waiting" else "",
            error=error if status in ("paused", "failed") else "",
        )  # fmt: skip
        store.submit([turn]).result(60)
    yield store
    store.close()


def queries(chance: random.Random, records: list[ProcessRecord]) -> tuple[Query, tuple[str, ...]]:
    some = chance.choice(records)
    values: dict[str, Any] = {}
    choices = {
        "program": (some.program, "none"),
        "function": (some.function, "none/such"),
        "waits": ("http/callback", "sleep #1", "größe", "none", ""),
        "error": ("no answer", ":billing/declined", "none"),
        "attributes": (
            (("n", (some.pid,)),),
            (("city", (chance.choice(CITIES),)),),
            (("city", ("7", 7)), ("n", (some.pid, str(some.pid)))),
            (("none", (1,)),),
        ),
        "id_prefix": ("order-", f"mail-{chance.randrange(10)}", "zzz"),
        "parent": (1, 1, some.parent or 5, 1 << 45),
        "started_before": (some.created_at, some.created_at, 0, 1 << 63),
        "started_after": (some.created_at, some.created_at, 0, 1 << 62),
        "pids": (tuple(chance.sample(range(1, NUMBER + 10), 9)), ()),
    }
    for name in chance.sample(sorted(choices), chance.randrange(1, 4)):
        values[name] = chance.choice(choices[name])
    statuses = chance.choice(((), (), ("ready",), ("waiting", "ready"), ("failed", "paused"), ("cancelled",)))
    return Query(**values), statuses


def test_what_is_selected_is_what_fits(filled: Store) -> None:
    records = filled.processes(limit=10_000)
    assert len(records) == NUMBER
    chance = random.Random(3)
    found_some = 0
    for _ in range(400):
        query, statuses = queries(chance, records)
        wanted = [
            one.pid
            for one in records
            if (not statuses or one.status in statuses) and fits(query, one) and query.program in (None, one.program)
        ]
        newest = chance.random() < 0.5
        if newest:
            wanted.reverse()
        limit = chance.choice((1, 7, 10_000))
        got: list[int] = []
        after = 0
        while True:
            page = filled.processes(after=after, limit=limit, statuses=statuses, newest_first=newest, where=query)
            got += [one.pid for one in page]
            if len(page) < limit:
                break
            after = page[-1].pid
        assert got == wanted, (query, statuses, newest, limit)
        found_some += bool(wanted)
    assert found_some > 50


def test_a_reader_of_its_own_sees_the_same(tmp_path: Path) -> None:
    with_store = open_store(tmp_path / "store")
    with_store.submit([PutArtifact(HASH, b"x", "p"), Start("p/main", b"a", name="p", attributes={"a": 1})]).result(60)
    expected = with_store.processes()
    with_store.close()
    reader = StoreReader(str(tmp_path / "store"))
    assert reader.processes() == expected
    assert reader.processes(where=Query(attributes=(("a", (1,)),))) == expected
    assert reader.now() - time.time_ns() < SECOND
    reader.close()


def test_records_of_two_times_of_origins(tmp_path: Path) -> None:
    """The time of a start is found behind origins of every length."""
    time_of = [5 * SECOND]
    store = open_store("memory:", clock=lambda: time_of[0])
    for number in range(300):
        store.submit([PutArtifact(HASH, b"x"), Start(f"m/f{number}", b"", artifact=HASH)]).result(60)
        time_of[0] += SECOND
    assert [one.pid for one in store.processes(where=Query(started_before=8 * SECOND))] == [1, 2, 3]
    assert [one.pid for one in store.processes(where=Query(started_after=302 * SECOND))] == [299, 300]
    assert [one.pid for one in store.processes(where=Query(function="m/f299"))] == [300]
    assert [one.pid for one in store.processes(where=Query(function="m/f12"))] == [13]
