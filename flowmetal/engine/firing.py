"""Timers that are due: the store fires them, and an interpreter has it do so when the first one's time has come."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flowmetal.engine.signals import Signals
from flowmetal.engine.trouble import Trouble
from flowmetal.store import failpoint
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Fire, Store


class Firing:
    """The first timer of a store, read again when `signals` say that there is another one."""

    def __init__(
        self, store: Store, signals: Signals, trouble: Trouble, in_trouble: Callable[[Exception], float]
    ) -> None:
        self._store = store
        self._signals = signals
        self._trouble = trouble
        self._in_trouble = in_trouble
        self._under_way: Future[list[Any]] | None = None
        self.next_due: int | None = None  # ns since 1970

    @property
    def busy(self) -> bool:
        """Whether the store has been told, and has not answered."""
        return self._under_way is not None

    def fire(self, now: int) -> bool:
        """Has the store fire what is due; True if anything was done."""
        if self._under_way is not None:
            if not self._under_way.done():
                return False
            future, self._under_way = self._under_way, None
            self._signals.timers = True
            try:
                future.result()
            except StoreError as error:
                self._in_trouble(error)
                return True
            self._trouble.accepted()
        if self._signals.timers:
            self._signals.timers = False
            self.next_due = self._store.next_due()
        if self.next_due is None or self.next_due > now:
            return False
        self.next_due = None
        if failpoint.hook is not None:
            failpoint.hook("timers/due")
        self._under_way = self._store.submit([Fire()])
        self._under_way.add_done_callback(lambda _: self._signals.wake())
        return True
