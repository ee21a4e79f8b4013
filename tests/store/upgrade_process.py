"""Brings a store up and writes it, or reads it again and again: `PATH write` or `PATH read COUNT`."""

from __future__ import annotations

import sys

from flowmetal.store import open_store
from flowmetal.store.interface import Post
from flowmetal.store.reader import StoreReader


def main() -> None:
    path = sys.argv[1]
    if sys.argv[2] == "write":
        store = open_store(path)
        assert store.submit([Post(1, "message", b"up")]).result(60) == [True]
        print("up", flush=True)
        store.close()
        return
    count = int(sys.argv[3])
    reader = StoreReader(path)
    rounds = 0
    print("reading", flush=True)
    while reader.inbox(1)[-1].data != b"up":
        pids = [record.pid for record in reader.processes(limit=count, after=rounds * 97 % count)]
        assert pids == list(range(rounds * 97 % count + 1, count + 1)), pids[:5]
        assert reader.process_by_id(f"id{rounds % count}") is not None
        rounds += 1
    assert reader._engine.is_sealed
    print(rounds, flush=True)
    reader.close()


if __name__ == "__main__":
    main()
