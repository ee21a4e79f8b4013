"""What an interpreter holds: the partitions it may run, kept by joining the store again in time.

A claim is one lease for all partitions.  Whoever lets it run out loses them to the interpreters that are alive, and
the epochs that its turns carry are then no longer the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flowmetal.engine.config import Config
from flowmetal.store.interface import PARTITIONS, Claim, Join, Leave, Store


class Claims:
    """The claim of one interpreter.  All methods run on its thread; `wake` is called, from any, when a join is done."""

    def __init__(self, store: Store, config: Config, wake: Callable[[], None]) -> None:
        self.epochs: dict[int, int] = {}  # partition -> the epoch that commits of its processes carry
        self.renew_at = 0  # ns by the store's clock
        self._store = store
        self._config = config
        self._wake = wake
        self._claimed = False
        self._joining: Future[list[Any]] | None = None

    def __bool__(self) -> bool:
        """Whether the store has given this interpreter a claim, be it one of no partitions."""
        return self._claimed

    @property
    def joining(self) -> bool:
        """Whether the store is being asked."""
        return self._joining is not None

    def holds(self, pid: int) -> bool:
        """Whether this interpreter may run a process."""
        return pid % PARTITIONS in self.epochs

    def epoch(self, pid: int) -> int | None:
        """The epoch for a process's turn, None where it is not this interpreter's to run."""
        return self.epochs.get(pid % PARTITIONS)

    def ask(self, now: int) -> None:
        """Joins, or renews the lease; `answer` says when the store has answered."""
        config = self._config
        self.renew_at = now + config.lease_ms * 1_000_000 // 3
        self._joining = self._store.submit([Join(config.name, config.lease_ms)])
        self._joining.add_done_callback(lambda _: self._wake())

    def answer(self) -> tuple[dict[int, int], dict[int, int]] | None:
        """The epochs before and since, once the store has answered; None until then.

        StoreError where it refused: see `retry_in`.
        """
        if self._joining is None or not self._joining.done():
            return None
        future, self._joining = self._joining, None
        claim: Claim = future.result()[0]
        before, self.epochs = self.epochs, claim.epochs
        self._claimed = True
        return before, claim.epochs

    def doubt(self) -> None:
        """Holds nothing until the store has answered a new join, and with it all that was submitted before.

        For what nobody knows the outcome of: it may be applied later, under an epoch that is good, and then what was
        made from the state before it must not be there.
        """
        self.epochs = {}
        self._claimed = False

    def retry_in(self, seconds: float) -> None:
        """Has the lease asked for again after some seconds, and before it runs out."""
        self.renew_at = self._store.now() + int(min(seconds, self._config.lease_ms / 3000) * 1e9)

    def leave(self, seconds: float) -> None:
        """Gives the partitions back.  StoreError or TimeoutError where that could not be done in time."""
        if self._claimed:
            self._claimed = False
            self.epochs = {}
            self._store.submit([Leave(self._config.name)]).result(seconds)


def lost(before: dict[int, int], now: dict[int, int], pid: int) -> bool:
    """Whether somebody else may have run a process between two claims."""
    return before.get(pid % PARTITIONS) != now.get(pid % PARTITIONS)


def gained(before: dict[int, int], now: dict[int, int]) -> frozenset[int]:
    """The partitions that are new, or that were lost and came back."""
    return frozenset(partition for partition, epoch in now.items() if before.get(partition) != epoch)
