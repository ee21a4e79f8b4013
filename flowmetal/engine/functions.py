"""Functions that answer effects inside the interpreter's own Python process: a small pool, delays, and their answers.

What is called here has been committed as an open request, so a crash loses nothing: whoever has the process next makes
the call again, with the same idempotency key.  Answers come back as inbox events that the store never saw.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flowmetal.engine.draft import Call
from flowmetal.engine.lines import plain_error
from flowmetal.store.interface import InboxEvent
from flowmetal.values import ErrorValue, LanguageError, encode_value, keyword

KIND_FUNCTION = keyword("flowmetal/function-failed")

#: Answers a Call with a value of the language, or raises LanguageError.
Function = Callable[[Call], Any]

#: The key of an inbox event that is not in the store's inbox.
NOT_IN_STORE = -1


class Functions:
    """Effect names and what answers them.  All methods but the functions themselves run on the interpreter's thread.

    `arrived` is called, from any thread, when an answer can be taken.
    """

    def __init__(self, functions: Mapping[str, Function], threads: int, arrived: Callable[[], None]) -> None:
        self.functions: dict[str, Function] = dict(functions)
        self.inline: set[str] = set()  # effects whose functions are quick and run on the interpreter's thread
        self._threads = threads
        self._arrived = arrived
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: set[tuple[int, int]] = set()  # pid and number of calls without an answer
        self._delayed: list[tuple[int, int, int]] = []  # due, pid, number; may have more than is in _waiting
        self._waiting: dict[tuple[int, int], Call] = {}  # the delayed calls by pid and number
        self._lock = threading.Lock()
        self._answers: deque[tuple[Call, str, bytes]] = deque()

    def __contains__(self, effect: str) -> bool:
        return effect in self.functions

    def __bool__(self) -> bool:
        return bool(self.functions)

    @property
    def busy(self) -> bool:
        """Whether calls are under way or answers wait to be taken."""
        return bool(self._under_way or self._answers)

    @property
    def next_due(self) -> int | None:
        """When the next delayed call is to be made, ns since 1970."""
        return self._delayed[0][0] if self._delayed else None

    def call(self, call: Call, now: int) -> InboxEvent | None:
        """Makes a call, at once or when it is due; one that is under way already is left alone.

        Gives the answer of a function that runs on this thread; those of others are to be taken.
        """
        key = (call.pid, call.number)
        if key in self._under_way:
            return None
        if call.not_before > now:
            self._waiting[key] = call
            heapq.heappush(self._delayed, (call.not_before, *key))
            return None
        if self._waiting:
            self._waiting.pop(key, None)
        if call.effect in self.inline:
            kind, data = self._answer(call)
            return InboxEvent(NOT_IN_STORE, kind, call.number, call.attempt, data)
        self._under_way.add(key)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "flowmetal-function")
        self._pool.submit(self._perform, call)
        return None

    def call_due(self, now: int, mine: Callable[[int], bool] = lambda pid: True) -> bool:
        """Makes the delayed calls that are due; True if there were any.  Those of pids that are not `mine` are dropped:
        whoever runs these processes makes the calls."""
        made = False
        while self._delayed and self._delayed[0][0] <= now:
            due, *key = heapq.heappop(self._delayed)
            call = self._waiting.get((key[0], key[1]))
            if call is None or call.not_before != due:
                continue  # it was made already, or is due at another time
            del self._waiting[call.pid, call.number]
            if mine(call.pid):
                answer = self.call(call, now)
                if answer is not None:
                    self._answered(call, answer.kind, answer.data)
                made = True
        return made

    def take(self) -> list[tuple[int, InboxEvent]]:
        """Pid and event of every answer since the last call."""
        taken: list[tuple[int, InboxEvent]] = []
        if not self._answers:
            return taken
        while True:
            with self._lock:
                if not self._answers:
                    return taken
                call, kind, data = self._answers.popleft()
            self._under_way.discard((call.pid, call.number))
            taken.append((call.pid, InboxEvent(NOT_IN_STORE, kind, call.number, call.attempt, data)))

    def close(self) -> None:
        """Starts nothing more; what runs is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _perform(self, call: Call) -> None:
        self._answered(call, *self._answer(call))

    def _answer(self, call: Call) -> tuple[str, bytes]:
        """Runs a function: ("answer", value) or ("error", error value), encoded."""
        try:
            return "answer", encode_value(self.functions[call.effect](call))
        except LanguageError as error:
            return "error", encode_value(plain_error(error.error))
        except Exception as error:  # whatever a function does must end as an error of its process
            return "error", encode_value(ErrorValue(KIND_FUNCTION, f"{type(error).__name__}: {error}", None))

    def _answered(self, call: Call, kind: str, data: bytes) -> None:
        with self._lock:
            self._answers.append((call, kind, data))
        self._arrived()
