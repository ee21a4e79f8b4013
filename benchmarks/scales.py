"""How much is measured: everything, a quick share, or so little that a test can see whether it still works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of the workloads."""

    name: str
    rounds: int
    chain: tuple[int, ...]  # steps of one process
    fan: int  # processes of ten steps
    events: int  # for the latency
    parked: tuple[int, ...]
    resume: tuple[int, ...]  # steps before the kill
    entries: int  # of the large map; ten times as many items of the large vector
    frames: int
    spoken: int  # steps of the conversation, 50 KB each
    starts: int  # of commands
    idle: float  # seconds for which is watched what waiting processes take
    pure: float  # share of the sizes in pure/run.py
    pure_rounds: int
    #: Steps that the peers take in a round: they are slower, and a round should not take more than a few seconds.
    peer_chain: int
    peer_fan: int
    peer_events: int
    peer_parked: int
    peer_resume: tuple[int, ...]


FULL = Scale(
    "full", 5, (1_000, 10_000), 1_000, 200, (10_000, 100_000), (10, 1_000, 100_000),
    10_000, 200, 100, 11, 2.0, 1.0, 5, 200, 50, 30, 500, (10, 1_000),
)  # fmt: skip
QUICK = Scale(
    "quick", 3, (1_000,), 500, 50, (10_000,), (10, 1_000),
    10_000, 200, 30, 5, 1.0, 0.5, 3, 100, 20, 5, 100, (10,),
)  # fmt: skip
TINY = Scale(
    "tiny", 1, (20,), 3, 3, (20,), (3, 12),
    50, 20, 5, 1, 0.1, 0.01, 1, 5, 2, 2, 3, (3,),
)  # fmt: skip
