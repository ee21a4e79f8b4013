"""Running one function of an artifact once, in memory, with real time: what `flowvm run` does.

Nothing is kept: the store is gone with the process.  An effect that nobody serves would wait for ever in a store; here
it ends the run with an error that says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence, Set
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.config import Config
from flowmetal.engine.effects import HELD
from flowmetal.engine.events import LocalDone, decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.live import Loaded, entries_from
from flowmetal.store.interface import FINAL_STATUSES, Hint, Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import ErrorValue, Map, Vector, decode_value, encode_value, keyword, print_string

#: How long an effect may wait for somebody who serves it.
UNSERVED_SECONDS = 2.0

#: Local effects that are told as they happen.
TOLD = frozenset({"log", "progress", "print", "println"})

KIND_UNSERVED = keyword("flowmetal/unserved")

#: Starts what serves an effect over a store; False where there is nothing that could.
Serve = Callable[[Any, str], bool]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a run: "done" with a value, or "failed", "cancelled", "waiting" with an error."""

    status: str
    value: Any
    error: ErrorValue | None

    def trace_text(self) -> str:
        """The error's frames, innermost first, a line each."""
        trace = self.error.trace if self.error is not None else None
        if trace.__class__ is not Vector:
            return ""
        lines = []
        for row in trace:
            if row.__class__ is Map:
                place = {key.text: value for key, value in row.items()}
                lines.append(f"  at {place.get('function', '?')} {place.get('file', '?')}:{place.get('line', '?')}")
        return "\n".join(lines)


def run_once(
    artifact: bytes,
    function: str,
    arguments: Sequence[Any],
    log: Callable[[str], None] | None = None,
    serve: Serve | None = None,
) -> Ended:
    """Runs "module/function" to its end.  `log` gets what it logs; `serve` is asked once for every effect."""
    store = MemoryStore()
    news = threading.Condition()
    asked: dict[str, bool] = {}

    def hinted(hints: frozenset[Hint]) -> None:
        with news:
            for kind, what in hints:
                if kind == "request" and what not in asked:
                    asked[what] = False
            news.notify_all()

    hash = deploy(store, artifact)
    store.watch(hinted)
    start = Start(function=function, arguments=encode_value(Vector.of(arguments)), artifact=hash)
    pid = store.submit([start]).result()[0][0]
    interpreter = Interpreter(store, Config(fallback_seconds=0.2))
    interpreter.start()
    told = 0
    try:
        while True:
            told = _tell(store, pid, told, log)
            record = store.process(pid)
            if record is None or record.status in FINAL_STATUSES | {"paused"}:
                break
            if serve is not None:
                for effect in [effect for effect, served in asked.items() if not served]:
                    asked[effect] = serve(store, effect)
            unserved = _unserved(store, pid, {effect for effect, served in asked.items() if served})
            if unserved is not None:
                return Ended("waiting", None, unserved)
            with news:
                news.wait(0.1)
    finally:
        interpreter.stop()
    return _ended(store, pid, interpreter.programs)


def _tell(store: MemoryStore, pid: int, start: int, log: Callable[[str], None] | None) -> int:
    """Passes on what has been logged since entry `start`; the entry to go on from."""
    if log is None:
        return start
    for entry in entries_from(store, pid, start):
        start = max(start, entry.sequence + 1)
        if entry.part == 0:
            event = decode_event(entry.event)
            if isinstance(event, LocalDone) and event.effect in TOLD:
                value = decode_value(event.payload)
                log(value if value.__class__ is str else print_string(value))
    return start


def _unserved(store: MemoryStore, pid: int, served: Set[str]) -> ErrorValue | None:
    """An error for a request that nobody has taken for a while.

    One that is served, or waits until it is tried again, is not given up: something still comes of it.
    """
    now = store.now()
    record = store.process(pid)
    if record is None or record.status != "waiting" or now - record.updated_at < UNSERVED_SECONDS * 1e9:
        return None
    requests = store.open_requests(pid)
    if not requests:
        return ErrorValue(KIND_UNSERVED, "the program waits for something that cannot come", None)
    waiting = [request for request in requests if request.state != "held" or request.effect in HELD - {"sleep"}]
    if len(waiting) < len(requests):
        return None
    if any(one.state == "taken" or one.not_before > now or one.effect in served for one in waiting):
        return None
    first = waiting[0]
    return ErrorValue(KIND_UNSERVED, f"nobody here serves {first.effect}; use `flowvm serve` and a worker", None)


def _ended(store: MemoryStore, pid: int, programs: Callable[[bytes], Loaded]) -> Ended:
    record = store.process(pid)
    data = store.result(pid)
    # The result may hold functions of the program.
    value = decode_value(data, programs(record.artifact).table) if record is not None and data is not None else None
    if record is not None and record.status == "done":
        return Ended("done", value, None)
    if value.__class__ is not ErrorValue:
        value = ErrorValue(keyword("flowmetal/paused"), record.error if record is not None else "", None)
    return Ended(record.status if record is not None else "failed", None, value)
