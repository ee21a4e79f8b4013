"""Overwrites pages of a store one after the other, and reads and writes it: `PATH SEED PAGES`."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Post


def use(path: Path) -> str:
    """What comes of using the store: "fine" or a code.  Anything but a StoreError is a failure of the test."""
    try:
        store = open_store(path)
        try:
            store.processes(limit=1000)
            store.process_by_id("id7")
            store.stats()
            for name in store.deployed():
                store.artifact(store.deployed(name)[name])
            for pid in range(1, 300, 20):
                store.inbox(pid)
            store.submit([Post(5, "message", b"x" * 500)]).result(60)
        finally:
            store.close()
    except StoreError as error:
        assert str(error)
        return error.code
    return "fine"


def main() -> None:
    path, seed, pages = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    file = path / "data.mdb"
    data = file.read_bytes()
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(25):
        page = chance.randrange(2, pages)
        spoiled = bytearray(data)
        size = chance.choice([8, 64, 4096])
        place = page * 4096 + chance.randrange(0, 4097 - size)
        spoiled[place : place + size] = chance.randbytes(size)
        file.write_bytes(spoiled)
        outcomes[use(path)] += 1
    print(
        "fine" if set(outcomes) <= {"fine", "S108", "S303", "S306", "S310", "S302", "S307"} else "bad", dict(outcomes)
    )


if __name__ == "__main__":
    main()
