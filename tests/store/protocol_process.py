"""Speaks another version of the socket's protocol to the owner of the store `PATH`; prints the codes it gets."""

from __future__ import annotations

import sys

from flowmetal.store import link, open_store
from flowmetal.store.interface import Fire


def main() -> None:
    link.PROTOCOL = 999  # type: ignore[misc]
    store = open_store(sys.argv[1])
    for _ in range(2):
        print(getattr(store.submit([Fire()]).exception(10), "code", "none"))
    store.close()


if __name__ == "__main__":
    main()
