"""Serves the foreign function notify/send: `python worker.py STORE JOURNAL`, in a process of its own.

STORE is what `flowmetal.connect` takes: a folder, or the URL of a `flowvm serve`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from flowmetal import Worker, connect

store, journal = sys.argv[1], Path(sys.argv[2])
worker = Worker(connect(store), name="notifier")


@worker.function("notify/send")
def send(message: dict[str, Any], context: Any) -> dict[str, Any]:
    """Writes the message to the journal, as another would post it to a chat."""
    with journal.open("a") as file:
        fact = {"kind": "effect", "path": "notify/send", "key": context.idempotency_key, "text": message["text"]}
        file.write(json.dumps({"time": time.time(), **fact}) + "\n")
    return {"sent": True}


if __name__ == "__main__":
    worker.run()
