"""Writes until the disk is full, then goes on when there is space again: `PATH`.

The full disk is a limit on the size of files, which fails writes as a full disk does.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Post, PutArtifact, Start


def main() -> None:
    path = Path(sys.argv[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(path)
    store.submit([PutArtifact(b"h", b"code", "p"), Start("f", b"", name="p")]).result(60)
    size = os.path.getsize(path / "data.mdb")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300_000, hard))
    written = 0
    code = ""
    while not code and written < 1000:
        try:
            store.submit([Post(1, "message", b"%d " % written + b"x" * 3000)]).result(60)
            written += 1
        except StoreError as error:
            code = error.code
    again = store.submit([Post(1, "message", b"lost" * 100_000)]).exception(10)
    assert len(store.inbox(1, 10_000)) == written + 1, "what was acknowledged can be read"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.submit([Post(1, "message", b"%d after" % written)]).result(60)
    store.close()
    store = open_store(path)
    numbers = [int(event.data.split()[0]) for event in store.inbox(1, 10_000) if event.kind == "message"]
    assert numbers == list(range(written + 1))
    store.close()
    print(code, getattr(again, "code", ""), written)


if __name__ == "__main__":
    main()
