"""Puts an artifact into a store and says what came of it: `URL`."""

from __future__ import annotations

import os
import sys

from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import PutArtifact


def main() -> None:
    try:
        store = open_store(sys.argv[1])
        store.submit([PutArtifact(b"h", b"x", f"by-{os.getpid()}")]).result(60)
        store.close()
    except StoreError as error:
        print(error.code)
    else:
        print("fine")


if __name__ == "__main__":
    main()
