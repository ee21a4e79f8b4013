"""What commands read through a client: a history over HTTP, an outcome of which the server may be away meanwhile."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from flowmetal.client.base import Client
from flowmetal.client.errors import Unreachable
from flowmetal.client.over_store import StoreClient
from flowmetal.client.plain import Outcome
from flowmetal.inspect.history import History, HistoryLine

#: Entries of a log asked for at once.
PAGE = 1000

#: Pause between two attempts to reach a server that is away.
AWAY_SECONDS = 0.5


def history_of(client: Client, pid: int, start: int, limit: int) -> History:
    """At most `limit` events from step `start` on.  The numbers of requests are not known here."""
    lines: list[HistoryLine] = []
    begin = start
    while True:
        steps = client.history(pid, start, PAGE)
        for step in steps:
            if step.part == 0 and len(lines) <= limit:
                lines.append(
                    HistoryLine(step.sequence, _nanoseconds(step.time), step.kind, step.text, 0, step.event_bytes)
                )
        if not steps or len(lines) > limit:
            return History(pid, tuple(lines[:limit]), len(lines) > limit, begin)
        start = steps[-1].sequence + 1


def outcome_of(client: Client, pid: int, wait: float) -> tuple[Outcome | None, str]:
    """client.outcome(); a server that cannot be reached is tried again until the wait is over."""
    end = time.monotonic() + wait
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            return client.outcome(pid, left)
        except Unreachable as error:
            if error.code != "H501" or left <= 0:
                raise
            time.sleep(min(AWAY_SECONDS, left))


def nobody_serves(client: Client) -> bool:
    """Whether the client reads a store of which no interpreter runs the processes."""
    return isinstance(client, StoreClient) and client.store.stats()["interpreters"] == 0


def _nanoseconds(text: str) -> int:
    try:
        since = datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    except (ValueError, TypeError, OverflowError):  # no time at all, or not one of a server of this kind
        return 0
    return since // timedelta(microseconds=1) * 1000
