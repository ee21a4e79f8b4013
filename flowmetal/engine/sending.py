"""Batches of turns on their way to the store, and on which thread they are committed.

While nothing is under way the interpreter's own thread commits what it sends, which saves two switches between threads.
Where another process or thread commits at that moment, two batches may be under way: one syncs while the next is made.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine import fairness
from flowmetal.engine.config import Config
from flowmetal.engine.live import Live
from flowmetal.engine.turns import Outcome
from flowmetal.store import failpoint
from flowmetal.store.interface import Store


@dataclass(slots=True)
class Sent:
    """A batch on its way: turns with their live processes, and what the store will say."""

    items: list[tuple[Live, Outcome]]
    future: Future[list[Any]]


class Sending:
    """What has been sent and not been taken back, the oldest first; `wake` is called when a batch is through."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self.sent: deque[Sent] = deque()
        self.commits = 0  # sent since the start
        self.commits_here = True  # whether the last batch was committed by this thread
        self.here_at = 0.0  # by time.monotonic(): when to try it again
        self.commit_seconds = 0.0  # how long that took

    def __bool__(self) -> bool:
        return bool(self.sent)

    @property
    def idle(self) -> bool:
        """Whether a batch can be sent off at once; while it cannot, it may as well grow."""
        return not self.sent or self.sent[-1].future.done()

    def room(self, now: float) -> bool:
        """Whether another batch is to be made."""
        if len(self.sent) >= fairness.BATCHES_IN_FLIGHT:
            return False
        # Once it is through, the next one can be committed here.
        return not self.sent or not (self.commits_here or now >= self.here_at)

    def seconds(self, config: Config) -> float:
        """How long a batch is made."""
        return fairness.batch_seconds(config, self.commits_here, self.commit_seconds)

    def take(self) -> Sent | None:
        """The oldest batch, if it is through."""
        return self.sent.popleft() if self.sent and self.sent[0].future.done() else None

    def send(self, items: list[tuple[Live, Outcome]]) -> None:
        """Submits turns as one list of commands."""
        self.commits += 1
        if failpoint.hook is not None:
            failpoint.hook("turn/prepared")
        here, began = not self.sent, time.monotonic()
        future = self._store.submit([outcome.turn for _, outcome in items if outcome.turn is not None], here=here)
        if here:
            ended = time.monotonic()
            self.commits_here = future.done()
            self.commit_seconds = ended - began
            self.here_at = ended + fairness.COMMIT_HERE_AGAIN_SECONDS
            fairness.rest_if_large(items, self.commit_seconds)
        self.sent.append(Sent(items, future))
        if not future.done():
            future.add_done_callback(lambda _: self._wake())
