"""An interpreter without programs, `PATH ID`: two turns for each process that it claims, then prints how many turns."""

from __future__ import annotations

import sys
import time

from flowmetal.store import open_store
from flowmetal.store.interface import Join, Turn


def main() -> None:
    store = open_store(sys.argv[1])
    store.submit([Join(sys.argv[2], 3_600_000)]).result(60)
    print("joined", flush=True)
    sys.stdin.readline()
    count = 0
    give_up = time.monotonic() + 120
    while store.stats()["processes"]["done"] < 200 and time.monotonic() < give_up:
        claim = store.submit([Join(sys.argv[2], 3_600_000)]).result(60)[0]
        turns = []
        for pid in store.ready(range(64), 50):  # those of the other one too: the epoch keeps them apart
            record = store.process(pid)
            if record is None or record.status != "ready":
                continue
            last = record.sequence == 1
            turns.append(
                Turn(
                    pid,
                    claim.epochs.get(pid % 64, 0),
                    record.sequence,
                    "done" if last else "ready",
                    ((record.sequence, 0, b"e", b"s"),),
                    record.sequence + 1,
                    taken=tuple(event.key for event in store.inbox(pid)),
                )
            )
        count += sum(store.submit(turns).result(60))
    print(count)
    store.close()


if __name__ == "__main__":
    main()
