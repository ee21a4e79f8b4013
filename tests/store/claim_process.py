"""Joins a store as an interpreter, `PATH ID`, says how many partitions it got, and stays until it is killed."""

from __future__ import annotations

import sys

from flowmetal.store import open_store
from flowmetal.store.interface import Join


def main() -> None:
    store = open_store(sys.argv[1])
    claim = store.submit([Join(sys.argv[2], 3_600_000)]).result(60)[0]
    print("joined", len(claim.epochs), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
