"""Schedules over deaths: interpreters that are killed while runs are due, and a clock that is set back and forward."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.store.interface import Operate
from flowmetal.values import decode_value, encode_value, from_python, parse_instant, to_python
from tests.crash.timers import HOUR, SECOND, Machine

PROGRAM = "(ns tick) (defn main [run] (sleep 100ms) (:planned run))"
SCHEDULES = {"a": {"every": "1s"}, "b": {"every": "1s", "jitter": "700ms"}, "c": {"every": "2s", "overlap": "queue"}}


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(4))
def test_each_planned_instant_has_one_run(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    machine = Machine(tmp_path)

    def put() -> None:
        store = machine.open()
        deploy(store, build_artifact({"tick.fm": PROGRAM}).data, "tick")
        for name, options in SCHEDULES.items():
            payload = {"name": name, "program": "tick", "overlap": "allow", "pass-run": True, **options}
            store.submit([Operate("schedule/put", encode_value(from_python(payload)))]).result()
        store.close()

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        assert os.waitpid(machine.fork(put), 0)[1] == 0
        machine.interpreter()
        machine.interpreter()
        for number in range(12):
            time.sleep(chance.uniform(0.1, 1.2))
            machine.kill(chance.randrange(2))
            machine.interpreter()
            if number in (3, 8):
                machine.step(-HOUR if number == 3 else HOUR)
        time.sleep(3)
    finally:
        while machine.living:
            machine.kill(0, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    store = machine.open()
    records = store.processes(limit=1000)
    for name, options in SCHEDULES.items():
        step = 2 if options["every"] == "2s" else 1
        shown = to_python(decode_value(store.submit([Operate("schedule/show", encode_value(name))]).result()[0]))
        planned = [
            parse_instant(record.attributes["planned"]).ns // SECOND
            for record in records
            if record.attributes["schedule"] == name
        ]
        assert len(planned) == shown["runs"] > 8 // step
        assert shown["skipped"] == shown["missed"] == 0
        assert sorted(planned) == [min(planned) + step * n for n in range(len(planned))]  # none lost, none twice
    for record in records:
        assert record.created_at >= parse_instant(record.attributes["planned"]).ns  # none early
        if record.status == "done":
            data = store.result(record.pid)
            assert data is not None and to_python(decode_value(data)) == record.attributes["planned"]
    assert sum(record.status == "done" for record in records) >= len(records) - 8
    store.close()
