"""A damaged record of one process stops that process, and no other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flowmetal.client import connect
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.retention import Policy, Retention, Sweep
from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Start
from flowmetal.store.layout import INBOX, LOG, READY, STATES, pid_key
from flowmetal.values import Vector, encode_value
from tests.store.test_sealing import Raw

SOURCE = '(ns a) (defn main [n] (log "begun") (+ n (receive)))'
COUNT = 8


@pytest.mark.parametrize("space", [STATES, LOG, INBOX, READY])
def test_the_others_go_on(tmp_path: Path, space: str) -> None:
    path = tmp_path / "store"
    store = open_store(path)
    deploy(store, build_artifact({"a.fm": SOURCE}).data, "a")
    arguments = encode_value(Vector.of([1]))
    pids = [pid for pid, _ in store.submit([Start("a/main", arguments, name="a") for _ in range(COUNT)]).result(60)]
    interpreter = Interpreter(store)
    give_up = time.monotonic() + 30
    while len(store.processes(statuses=("waiting",))) < COUNT and time.monotonic() < give_up:
        interpreter.step()
    client = connect(store)
    for pid in pids:
        client.send(pid, 2)
    interpreter.stop()
    store.close()
    with Raw(path) as raw:
        found = [key for key, _ in raw.items(space) if space == READY or key.startswith(pid_key(3))]
        assert found, space
        raw.flip(space, found[0])

    store = open_store(path)
    interpreter = Interpreter(store)
    ended: set[int] = set()
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        interpreter.step()
        ended = {record.pid for record in store.processes(statuses=("done",))}
        if len(ended) >= COUNT - 1:
            break
    assert len(ended) == COUNT - 1
    if space != READY:
        assert ended == set(pids) - {3}
        (left,) = (record for record in store.processes() if record.pid not in ended)
        assert left.status in ("paused", "ready", "waiting"), left
    if space == STATES:
        with pytest.raises(StoreError) as caught:
            store.process(3)
        assert caught.value.code == "S310"
    interpreter.stop()
    store.close()


@pytest.mark.parametrize("space", [STATES, LOG, "processes"])
def test_a_sweep_leaves_what_is_damaged_and_removes_the_rest(tmp_path: Path, space: str) -> None:
    path = tmp_path / "store"
    store = open_store(path)
    deploy(store, build_artifact({"a.fm": '(ns a) (defn main [n] (log "x") n)'}).data, "a")
    arguments = encode_value(Vector.of([1]))
    store.submit([Start("a/main", arguments, name="a") for _ in range(COUNT)]).result(60)
    interpreter = Interpreter(store)
    give_up = time.monotonic() + 30
    while len(store.processes(statuses=("done",))) < COUNT and time.monotonic() < give_up:
        interpreter.step()
    interpreter.stop()
    store.close()
    with Raw(path) as raw:
        raw.flip(space, next(key for key, _ in raw.items(space) if key.startswith(pid_key(3))))
    store = open_store(path)
    time.sleep(0.01)
    Sweep(store, Retention(usual=Policy(older_than_ns=0))).run()
    left = [record.pid for record in store.processes()]
    assert left == ([] if space == LOG else [3])
    assert len(store.deployed()) == 1
    store.close()
