"""Reads a store: prints the size of the inbox of process 1, and again for each line it is given."""

from __future__ import annotations

import sys

from flowmetal.store import open_store


def main() -> None:
    store = open_store(sys.argv[1], create=False)
    print(len(store.inbox(1, 10_000)), flush=True)
    for _ in sys.stdin:
        print(len(store.inbox(1, 10_000)), flush=True)
    store.close()


if __name__ == "__main__":
    main()
