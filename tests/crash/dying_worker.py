"""A worker for test_worker.py: `ADDRESS JOURNAL NAME HANG`.

It notes each call in the journal.  With HANG "yes" it then waits for ever, so that it can be killed in the middle;
with "once" it waits until the file JOURNAL.go exists, and answers late.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from flowmetal import Worker, connect

address, journal, name, hang = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
worker = Worker(connect(address), name=name, lease_seconds=0.5)


@worker.function("slow/job")
def job(payload: Any, context: Any) -> Any:
    """Notes the call and answers with the name of this worker."""
    with journal.open("a") as file:
        fact = {"worker": name, "attempt": context.attempt, "key": context.idempotency_key, "payload": payload}
        file.write(json.dumps(fact) + "\n")
    while hang == "yes" or (hang == "once" and not journal.with_suffix(".go").exists()):
        time.sleep(0.05)
    return {"by": name, "payload": payload}


if __name__ == "__main__":
    worker.run()
