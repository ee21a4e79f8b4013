"""The rest of a run: what is left when a function needs a store, over a store in memory and with real time.

Nothing is kept: the store is gone with the process.  An effect that nobody serves would wait for ever in a store; here
it ends the run with an error that says so.  run.py begins a run, without all that stands here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence, Set
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Setting
from flowmetal.engine.effects import HELD
from flowmetal.engine.events import LocalDone, decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.lines import NOT_NAMED
from flowmetal.engine.live import Loaded, entries_from
from flowmetal.engine.run import TOLD, Begun, Ended, Serve
from flowmetal.store.interface import FINAL_STATUSES, Hint, Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import ErrorValue, decode_value, keyword, print_string
from flowmetal.vm import Process, run

#: How long an effect may wait for somebody who serves it.
UNSERVED_SECONDS = 2.0

KIND_UNSERVED = keyword("flowmetal/unserved")


class _GoesOn(Interpreter):
    """An interpreter whose first process goes on where a run has come to."""

    def __init__(self, store: MemoryStore, begun: Begun) -> None:
        self._begun = None if begun.process is None else begun
        program = Loaded(begun.program, begun.table)
        super().__init__(store, Config(fallback_seconds=0.2), programs=lambda hash: program)

    def _make_setting(self) -> Setting:
        return replace(super()._make_setting(), run=self._run)

    def _run(self, process: Process, fuel: int) -> Any:
        begun, self._begun = self._begun, None
        if begun is None:
            return run(process, fuel)
        # The process that the start made is new, and nothing of it is written: it becomes the one that has run.
        for name in Process.__slots__:
            if name not in _OWN:
                setattr(process, name, getattr(begun.process, name))
        return begun.outcome


#: What a process keeps when it becomes another one.
_OWN = frozenset({"program", "table", "limits", "image"})


def go_on(
    artifact: bytes,
    begun: Begun,
    function: str,
    arguments: bytes,
    log: Callable[[str], None] | None,
    serve: Serve | None,
    grants: Sequence[str] | None = None,
) -> Ended:
    """Runs what has begun to its end.  `arguments` is what it was started with, encoded."""
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
    start = Start(function=function, arguments=arguments, artifact=hash, grants=grants)
    pid = store.submit([start]).result()[0][0]
    interpreter = _GoesOn(store, begun)
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
    requests = [one for one in store.open_requests(pid) if one.effect not in NOT_NAMED]
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
