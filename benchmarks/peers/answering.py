"""How a side answers: a line of JSON in, a line of JSON out.  It runs in each peer's environment, and imports nothing.

    {"do": "chain", "steps": 300}  ->  {"wall": 0.91}

A side that cannot do something answers {"error": "..."}; the table then shows the reason.  What a side can be asked:

    chain   steps            one workflow of so many steps -> wall, seconds; first, last: of its first and last tenth
    fan     count, steps     so many workflows of so many steps at once -> wall
    latency count            events sent to waiting workflows, one after the other -> ms, from sending to the result
    park    count            workflows that wait for an event -> wall, until all wait durably
    hold    steps, key       a workflow that takes so many steps and then waits for an event -> {} once it waits
    nudge   key              has a workflow that waits take a step (Flowmetal alone)
    wake    key              sends that event -> result
    bytes                    -> bytes on disk; log: bytes written ahead, where that is kept apart
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]


def say(answer: Answer) -> None:
    """Writes one line to whoever asks."""
    print(json.dumps(answer), file=_out, flush=True)


def serve(commands: dict[str, Callable[..., Answer | None]], **ready: Any) -> None:
    """Says that the side is up, then answers until standard input ends; then the process ends at once."""
    say({"ready": True, **ready})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = commands[asked.pop("do")](**asked) or {}
        except Exception as problem:
            traceback.print_exc()
            answer = {"error": f"{type(problem).__name__}: {problem}"[:300]}
        say(answer)
    os._exit(0)


def tenths(marks: list[float]) -> Answer:
    """Seconds of the first and of the last tenth, of the times at which steps began."""
    tenth = len(marks) // 10
    if tenth < 2:
        return {}
    return {"first": marks[tenth - 1] - marks[0], "last": marks[-1] - marks[-tenth]}


def until(test: Callable[[], bool], seconds: float, pause: float = 0.002) -> None:
    """Waits until a test holds.  TimeoutError."""
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(pause)


def folder_bytes(path: str) -> int:
    """Bytes that the files under a folder take on the disk."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


# What libraries print must not come between the answers.
_out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
