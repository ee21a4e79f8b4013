"""Processes that cannot be run, or not even be read: they are paused, with what the matter is, for a person to see."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from flowmetal.engine.arrivals import CONTROL_KINDS
from flowmetal.engine.claims import Claims
from flowmetal.engine.lines import error_of
from flowmetal.engine.turns import pause_turn
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import ProcessRecord, Store

logger = logging.getLogger("flowmetal.engine")

#: What cannot be read, and so cannot be paused either, is looked at again after this long.
UNREADABLE_SECONDS = 60.0


class Pausing:
    """Pauses processes of a store that `claims` allow; `wake` is called when that is through."""

    def __init__(self, store: Store, claims: Claims, wake: Callable[[], None]) -> None:
        self._store = store
        self._claims = claims
        self._wake = wake
        self._unreadable: dict[int, float] = {}  # pid -> when to look at it again

    def unreadable(self) -> set[int]:
        """Pids that are not to be looked at now."""
        now = time.monotonic()
        for pid in [pid for pid, until in self._unreadable.items() if until <= now]:
            del self._unreadable[pid]
        return set(self._unreadable)

    def pause(self, record: ProcessRecord, problem: Exception) -> None:
        """Pauses a process that cannot be run."""
        epoch = self._claims.epoch(record.pid)
        if epoch is None:
            return
        inbox = self._store.inbox(record.pid, messages=False)
        kinds = {item.kind for item in inbox}
        if "decided" in kinds:
            self._unreadable[record.pid] = time.monotonic() + UNREADABLE_SECONDS  # it would have it run at once
            if record.status == "paused" and not kinds & (CONTROL_KINDS - {"decided"}):
                return
        turn = pause_turn(record, inbox, epoch, self._store.now(), error_of(problem))
        self._store.submit([turn]).add_done_callback(lambda _: self._wake())

    def cannot_read(self, pid: int, error: StoreError) -> None:
        """Leaves a process with a damaged record alone for a while, paused if that can be written."""
        logger.error("process %d cannot be read: %s", pid, error)
        self._unreadable[pid] = time.monotonic() + UNREADABLE_SECONDS
        try:
            record = self._store.process(pid)
            if record is not None:
                self.pause(record, error)
        except StoreError as problem:
            logger.debug("process %d cannot be paused: %s", pid, problem)
