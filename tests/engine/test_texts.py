"""A conversation that grows is stored as what grows."""

from __future__ import annotations

from typing import Any

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import Simulation
from flowmetal.store.layout import CHECKPOINTS, LOG, TEXTS
from flowmetal.values import Vector, encode_value

SOURCE = """
(ns talk)
(defn main [n] (loop [i 0 told []] (if (< i n) (recur (inc i) (conj told (perform :say told))) told)))
"""
SIZE = 5_000


def test_a_conversation_is_kept_once() -> None:
    steps = 30
    world = Simulation(functions={"say": lambda call: f"{len(call.payload):05}" * (SIZE // 5)})
    pid = world.start(world.deploy(build_artifact({"talk.fm": SOURCE}).data), "talk/main", [steps])
    world.run(pid, crash_each_step=True)
    ran = world.outcome(pid)
    assert world.crashes > steps
    expected = Vector.of([f"{number:05}" * (SIZE // 5) for number in range(steps)])
    assert encode_value(ran.value) == encode_value(expected)
    tables: Any = world.store
    kept, others, checkpoints = (
        sum(len(value) for _, value in tables._tables[space].from_key(b"")) for space in (TEXTS, LOG, CHECKPOINTS)
    )
    print(f"{kept} bytes of texts, {others} of log, {checkpoints} of checkpoints")
    assert kept == steps * SIZE
    assert others < steps * SIZE and checkpoints < steps * SIZE  # the payloads hold references, and so do images
