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
    """Writes the message to the journal, as another would post it to a chat.

    A call may come twice, where a worker died before its answer arrived; with the same key, so that it is seen.
    """
    facts = [json.loads(line) for line in journal.read_text().splitlines()]
    known = any(fact["kind"] == "effect" and fact["key"] == context.idempotency_key for fact in facts if "key" in fact)
    with journal.open("a") as file:
        fact = {"kind": "repeated" if known else "effect", "path": "notify/send", "key": context.idempotency_key}
        file.write(json.dumps({"time": time.time(), **fact, "text": message["text"]}) + "\n")
    return {"sent": True}


if __name__ == "__main__":
    worker.run()
