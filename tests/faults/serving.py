"""`flowvm serve` whose store meets a failed sync, in a process of its own: `FOLDER`; prints the code that it ends with."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from flowmetal.cli.serving import serve_store
from flowmetal.store.errors import StoreError
from tests.tracing.ptrace import Answer, Call, Fail, Tracer, why_not


def main() -> None:
    reason = why_not()
    if reason:
        print("skipped:", reason)
        return
    folder = Path(sys.argv[1])

    def work() -> None:
        try:
            serve_store(str(folder / "store"), None, None, None, with_http=False)
        except StoreError as error:
            print(error.code, (folder / "store").exists(), flush=True)
            return
        os._exit(4)

    def before(call: Call) -> Answer:
        return Fail(errno.EIO)

    # Making and opening a store syncs with fsync and once with fdatasync; commits sync with fdatasync.
    syncs = iter(range(1, 1000))
    code = Tracer(work, ["fdatasync"], lambda call: before(call) if next(syncs) == 3 else None).run()
    print("ended with", code)


if __name__ == "__main__":
    main()
