"""StoreOutside: effects of a session that leave it, performed by small helper processes in a store.

A session cannot wait in a store, since it is no process of one.  For each effect it starts a process that performs
just that, and hands on what comes of it; so connectors, workers and people answer it as they answer any other.
Everything is started when the first effect needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flowmetal.compiler.names import is_core
from flowmetal.dataclass import dataclass
from flowmetal.engine.artifacts import keep_library
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.library import standard_library
from flowmetal.engine.run import Serve
from flowmetal.engine.run_stored import KIND_UNSERVED, UNSERVED_SECONDS
from flowmetal.engine.trust import Trust
from flowmetal.store.interface import FINAL_STATUSES, Hint, Post, Start, Store
from flowmetal.values import ErrorValue, Vector, decode_value, encode_value, keyword

#: The function of the library's core that a helper process runs.
HELPER = "perform*"

#: Asked for the answer of an effect that nobody serves: (effect, payload) -> (value, None) or (None, error).
AskPerson = Callable[[str, Any], tuple[Any, ErrorValue | None]]


@dataclass(slots=True)
class _Helper:
    pid: int
    effect: str
    payload: Any
    served: bool


class StoreOutside:
    """Implements prompt_process.Outside over a store that `open_store` opens at the first effect."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        serve: Serve | None = None,
        person: AskPerson | None = None,
        trust: Trust | None = None,
    ) -> None:
        """`trust`: whose signatures the programs of the store need, whose processes run here meanwhile."""
        self._open = open_store
        self._serve = serve
        self._person = person
        self._trust = trust or Trust()
        self._store: Store | None = None
        self._interpreter: Interpreter | None = None
        self._hash = b""
        self._helpers: dict[int, _Helper] = {}
        self._served: dict[str, bool] = {}
        self._news = threading.Event()

    def ask(self, number: int, effect: str, payload: Any, options: Any) -> None:
        """Starts the helper of an effect.  LanguageError for what cannot leave its process; StoreError."""
        arguments = encode_value(Vector.of([keyword(effect), payload, options]))
        store = self._started()
        if self._serve is not None and effect not in self._served:
            self._served[effect] = self._serve(store, effect)
        modules = standard_library().modules
        home = next(name for name in sorted(modules) if is_core(name) and HELPER in modules[name].globals)
        start = Start(function=f"{home}/{HELPER}", arguments=arguments, artifact=self._hash)
        pid = store.submit([start]).result()[0][0]
        self._helpers[number] = _Helper(pid, effect, payload, self._served.get(effect, False))

    def wait(self, seconds: float) -> list[tuple[int, Any, ErrorValue | None]]:
        """See prompt_process.Outside."""
        found = self._answers()
        if not found:
            self._news.wait(seconds)
            self._news.clear()
            found = self._answers()
        return found

    def forget(self, number: int) -> None:
        """See prompt_process.Outside."""
        helper = self._helpers.pop(number, None)
        if helper is not None and self._store is not None:
            self._store.submit([Post(helper.pid, "cancel")])

    def close(self) -> None:
        """Ends the helpers that wait, and stops what was started."""
        for number in list(self._helpers):
            self.forget(number)
        if self._interpreter is not None:
            self._interpreter.stop()
        if self._store is not None:
            self._store.close()

    def _started(self) -> Store:
        if self._store is None:
            store = self._open()
            self._hash = keep_library(store)  # under no name: what has one is started by others too
            store.watch(self._hinted)
            self._interpreter = Interpreter(store, Config(fallback_seconds=0.2, trust=self._trust))
            self._interpreter.start()
            self._store = store
        return self._store

    def _hinted(self, hints: frozenset[Hint]) -> None:
        self._news.set()

    def _answers(self) -> list[tuple[int, Any, ErrorValue | None]]:
        found: list[tuple[int, Any, ErrorValue | None]] = []
        for number, helper in list(self._helpers.items()):
            answer = self._answer(helper)
            if answer is not None:
                if self._unfinished(helper):
                    self.forget(number)
                else:
                    del self._helpers[number]
                found.append((number, *answer))
        return found

    def _unfinished(self, helper: _Helper) -> bool:
        assert self._store is not None
        record = self._store.process(helper.pid)
        return record is not None and record.status not in FINAL_STATUSES

    def _answer(self, helper: _Helper) -> tuple[Any, ErrorValue | None] | None:
        """What came of an effect; None while it is open."""
        store = self._store
        assert store is not None
        record = store.process(helper.pid)
        if record is None:
            return None, ErrorValue(keyword("flowmetal/store"), "the process that performs this effect is gone", None)
        if record.status in FINAL_STATUSES:
            data = store.result(helper.pid)
            value = decode_value(data) if data is not None else None
            if record.status == "done":
                return value, None
            if value.__class__ is not ErrorValue:
                value = ErrorValue(keyword("flowmetal/cancelled"), record.error or "the effect was cancelled", None)
            return None, value
        if record.status == "paused":
            return None, ErrorValue(keyword("flowmetal/paused"), record.error, None)
        if helper.served or record.status != "waiting" or store.now() - record.updated_at < UNSERVED_SECONDS * 1e9:
            return None
        requests = store.open_requests(helper.pid)
        if any(one.state == "taken" or one.not_before > store.now() for one in requests):
            return None
        if self._person is not None:
            return self._person(helper.effect, helper.payload)
        return None, ErrorValue(
            KIND_UNSERVED, f"nobody here serves {helper.effect}; use `flowvm serve` and a worker", None
        )
