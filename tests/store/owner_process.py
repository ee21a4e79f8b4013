"""Owns stores for the tests in another process: reads lines `own PATH CLOCK` and `disown PATH`, answers `ok`."""

from __future__ import annotations

import sys
from pathlib import Path

from flowmetal.store import Store, open_store
from flowmetal.store.interface import Fire
from tests.store.support import SharedClock


def main() -> None:
    stores: dict[str, Store] = {}
    for line in sys.stdin:
        order, path, *rest = line.rstrip("\n").split("\t")
        if order == "own":
            stores[path] = open_store(path, clock=SharedClock(Path(rest[0])))
            stores[path].submit([Fire(0)]).result(60)
        elif path in stores:
            stores.pop(path).close()
        print("ok", flush=True)


if __name__ == "__main__":
    main()
