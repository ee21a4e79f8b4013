"""One process of the determinism harness: compiles and runs programs, and prints a line of hashes for each.

`python -m tests.determinism.work FIRST COUNT`.  The hashes are of the artifact; of the log's events and of the image's
segments and checkpoints, in order, with a turn and an image for every single step; and of what else the store holds.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Any

from flowmetal.diagnostics import CompileFailed
from flowmetal.engine.artifacts import Programs, deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.live import load
from flowmetal.engine.simulate import Simulation
from flowmetal.store.layout import ARTIFACTS, CHECKPOINTS, LOG, META, SPACE_NAMES
from flowmetal.store.memory import MemoryStore, MemoryTransaction
from flowmetal.values import ErrorValue, LanguageError, Map, keyword
from tests.determinism.programs import program

#: Spaces whose bytes are compared beside log and image.
REST = tuple(name for name in SPACE_NAMES if name not in (ARTIFACTS, CHECKPOINTS, LOG, META))


class _Flaky:
    """Fails as often as it is told for each payload."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}

    def __call__(self, payload: Any) -> Any:
        key = str((payload.get(0), payload.get(1)))
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.calls[key] <= payload.get(1):
            raise LanguageError(ErrorValue(keyword("svc/busy"), "busy", None))
        return payload.get(0)


def _refuse(payload: Any) -> Any:
    raise LanguageError(ErrorValue(keyword("svc/refused"), "no", Map.of([(keyword("x"), payload)])))


def hashes(number: int) -> tuple[str, ...]:
    """The hashes of one program, or what the compiler said."""
    try:
        artifact = build_artifact({"generated.fm": program(number)}).data
    except CompileFailed as failed:
        said = sha256("\n".join(map(str, failed.diagnostics)).encode())
        return ("refused", said.hexdigest()[:16])
    scratch = MemoryStore()
    loaded = Programs(scratch).get(deploy(scratch, artifact))
    simulation = Simulation(
        {"svc/double": lambda x: 2 * x, "svc/flaky": _Flaky(), "svc/refuse": _refuse},
        functions={"svc/inline": lambda call: call.payload + 10},
        programs=lambda hash: loaded,
        config=Config(batch_seconds=0.0, fallback_seconds=0.0),
        seed=number,
        short_turns=True,
    )
    pid = simulation.start(simulation.deploy(artifact), "generated/main")
    simulation.run()
    store = simulation.store
    log, image, rest = sha256(), sha256(), sha256()
    steps = 0
    for record in store.processes(limit=1000):
        for entry in store.log(record.pid, 0, 100_000):
            log.update(entry.event)
            image.update(entry.segment)
            steps += bool(entry.segment)
        if record.status in ("ready", "waiting"):
            process = load(store, record, lambda hash: loaded).process
            if process is not None:
                image.update(process.image.checkpoint())
    transaction = MemoryTransaction(store._tables)
    for key, value in transaction.scan(CHECKPOINTS):
        image.update(key + value)
    for space in REST:
        for key, value in transaction.scan(space):
            rest.update(key + value)
    record = store.process(pid)
    status = record.status if record is not None else "none"
    return (
        sha256(artifact).hexdigest()[:16], log.hexdigest()[:16], image.hexdigest()[:16], rest.hexdigest()[:16], str(steps),
        status,
    )  # fmt: skip


def main() -> None:
    """Prints the lines."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for number in range(first, first + count):
        print(number, *hashes(number), flush=False)


if __name__ == "__main__":
    main()
