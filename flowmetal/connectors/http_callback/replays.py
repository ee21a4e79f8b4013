"""Deliveries sent again under another id, where the id is not part of what is signed.

A signature that was accepted belongs to one process as long as its time is within the tolerance, whatever id comes
with it.  What a server before this one accepted is read from the processes it started.
"""

from __future__ import annotations

from flowmetal.store.interface import Store

#: Signatures remembered at most; the oldest are forgotten first.
SIGNATURES_MAX = 100_000

#: Processes looked at when a server starts.
PROCESSES_MAX = 10_000

#: Attributes of a process that an endpoint started.
ENDPOINT, SIGNATURE = "endpoint", "signature"


class Replays:
    """For one endpoint: the process of each signature of the last `seconds`.  In one thread only."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[float, str]] = {}  # in the order of time

    def first(self, signature: str, process_id: str, now: float) -> str:
        """The id of the process that the signature came with first: `process_id` if it is new."""
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest][0] > now - self._seconds and len(self._seen) < SIGNATURES_MAX:
                break
            del self._seen[oldest]
        return self._seen.setdefault(signature, (now, process_id))[1]


def known_replays(store: Store, windows: dict[str, float], now: float) -> dict[str, Replays]:
    """The signatures that each endpoint in `windows` (name -> seconds) has accepted in its window."""
    replays = {name: Replays(seconds) for name, seconds in windows.items()}
    if not windows:
        return replays
    oldest = now - max(windows.values())
    records = [
        record
        for record in store.processes(limit=PROCESSES_MAX, newest_first=True)
        if record.created_at / 1e9 > oldest and record.id is not None and SIGNATURE in record.attributes
    ]
    for record in reversed(records):
        endpoint = replays.get(record.attributes.get(ENDPOINT, ""))
        if endpoint is not None and record.id is not None:
            endpoint.first(record.attributes[SIGNATURE], record.id, record.created_at / 1e9)
    return replays
