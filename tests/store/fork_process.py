"""Forks with a store open, `PATH`: the child may not use it, may open it anew once it is free; the parent goes on."""

from __future__ import annotations

import os
import sys

from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Fire


def main() -> None:
    store = open_store(sys.argv[1])
    store.submit([Fire()]).result(60)
    child = os.fork()
    if child == 0:
        try:
            store.deployed()
        except StoreError as error:
            print(error.code, flush=True)
        print(store.submit([Fire()]).exception(5).code, flush=True)  # type: ignore[union-attr]
        os._exit(0)
    os.waitpid(child, 0)
    assert store.submit([Fire()]).result(60) == [0]
    assert store.stats()["role"] == "owner"
    print("parent", flush=True)
    store.close()
    open_store(sys.argv[1]).close()
    print("fine", flush=True)


if __name__ == "__main__":
    main()
