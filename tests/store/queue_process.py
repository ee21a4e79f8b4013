"""Starts processes in a queue and ends them, `PATH SEED`, until it is killed; see test_queue_crash.py."""

from __future__ import annotations

import random
import sys

from flowmetal.store import open_store
from flowmetal.store.interface import Fire, Join, Post, Start, Store, Turn


def turns(store: Store, interpreter: str, drawn: random.Random, *, ending: float) -> int:
    """A turn for some of those that have something to do; how many there were."""
    claim = store.submit([Join(interpreter, 3_600_000)]).result(60)[0]
    commands = []
    for pid in store.ready(range(64), 20):
        record = store.process(pid)
        if record is None:
            continue
        inbox = store.inbox(pid)
        status = "waiting"
        if any(event.kind == "cancel" for event in inbox):
            status = "cancelled"
        elif any(event.kind == "pause" for event in inbox):
            status = "paused"
        elif record.sequence and drawn.random() < ending:
            status = drawn.choice(["done", "failed"])
        commands.append(
            Turn(
                pid,
                claim.epochs.get(pid % 64, 0),
                record.sequence,
                "ready" if status == "waiting" and any(event.kind == "start" for event in inbox) else status,
                ((record.sequence, 0, b"e", b"s"),),
                record.sequence + 1,
                taken=tuple(event.key for event in inbox),
                receives=False,
                result=b"" if status not in ("waiting", "paused") else None,
            )
        )
    # A process that runs and has nothing to do is woken, so that it ends.
    return sum(store.submit(commands).result(60)) if commands else 0


def main() -> None:
    drawn = random.Random(int(sys.argv[2]))
    store = open_store(sys.argv[1])
    print("open", flush=True)
    while True:
        commands: list[Start | Post | Fire] = [Fire()]
        for _ in range(drawn.randrange(6)):
            key = drawn.choice([None, "a", "b", "c"])
            delay = drawn.choice([0, 0, 0, 5_000_000])
            place = ("q", key, drawn.randrange(-1, 2), delay, drawn.choice([None, None, str(drawn.randrange(50))]))
            commands.append(Start("f", b"", name="p", queue=place))
        newest = store.processes(limit=30, newest_first=True)
        for record in drawn.sample(newest, min(2, len(newest))):
            commands.append(Post(record.pid, drawn.choice(["cancel", "pause", "resume", "resume"])))
        store.submit(commands)
        turns(store, "crashing", drawn, ending=0.7)


if __name__ == "__main__":
    main()
