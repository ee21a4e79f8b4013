"""Whatever happens to a process, in whatever order: every request is settled once, and in the end it ends."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowmetal.engine import events
from flowmetal.store.interface import FINAL_STATUSES, Complete, Take
from flowmetal.values import ErrorValue, encode_value

from .kit import SECOND, World, k, m, seconds
from .test_crashes import FIBERS

ERROR = encode_value(ErrorValue(k("busy"), "busy", None))

#: Three fibers, each with a request that is retried, a sleep, a request with a time limit, and a log line.
BUSY_FIBERS = FIBERS.replace("nil r4", "constant r4 k4").replace(
    "constant r0 k0\n  integer r1 5", "constant r2 k4\n  constant r0 k0\n  integer r1 5"
)
OPTIONS = m(timeout=seconds(50), retry=m(max=2, backoff=seconds(2)))

USUAL = ["answer", "answer", "answer", "error", "vanish", "wait", "wait", "crash"]
SELDOM = ["pause", "resume", "again", "restarts", "cancel"]
ACTIONS = st.lists(st.sampled_from([*USUAL, *SELDOM]), max_size=25)


class Player:
    """Does the actions to one process."""

    def __init__(self) -> None:
        self.world = World(BUSY_FIBERS, [k("double"), k("sleep"), seconds(3), k("log"), OPTIONS])
        self.pid = self.world.begin()
        self.last: Complete | None = None

    def take(self) -> Any:
        requests = self.world.store.submit([Take(("double",), "w", 1, 5_000)]).result()[0]
        return requests[0] if requests else None

    def complete(self, ok: bool, data: bytes) -> None:
        request = self.take()
        if request is not None:
            self.last = Complete(request.pid, request.number, request.attempt, ok, data)
            self.world.store.submit([self.last]).result()

    def do(self, action: str) -> None:
        world = self.world
        match action:
            case "answer":
                self.complete(True, encode_value(10))
            case "error":
                self.complete(False, ERROR)
            case "vanish":
                self.take()
            case "wait":
                world.clock.advance(4 * SECOND)
            case "crash":
                world.crash()
            case "again":
                if self.last is not None:
                    assert world.store.submit([self.last]).result() == [False]
            case "restarts":
                world.settle(crash_each_step=True)
            case _:
                world.post(self.pid, action)
        world.interpreter.look_now()
        world.settle()

    def finish(self) -> None:
        """Answers everything until the process has ended."""
        world = self.world
        world.answers["double"] = lambda payload: 10
        for _ in range(50):
            world.run(self.pid)
            if world.status(self.pid) in FINAL_STATUSES:
                return
            world.post(self.pid, "resume")
            world.interpreter.look_now()
        raise AssertionError(f"it does not end: {world.store.process(self.pid)}")


@given(ACTIONS)
def test_every_request_is_settled_once_and_the_process_ends(actions: list[str]) -> None:
    player = Player()
    for action in actions:
        player.do(action)
    player.finish()
    ran = player.world.outcome(player.pid)
    assert ran.status in ("done", "cancelled", "failed"), ran
    assert ran.error is None or ran.error.kind is not k("flowmetal/engine")
    opened = Counter(event.number for event in ran.log if isinstance(event, events.Requested))
    settled = Counter(
        event.number
        for event in ran.log
        if isinstance(
            event,
            events.Answered | events.AnsweredError | events.TimerFired | events.TimedOut | events.RequestCancelled,
        )
    )
    assert set(opened.values()) <= {1}
    assert set(settled.values()) <= {1}
    assert set(settled) <= set(opened)
    if ran.status == "done":
        assert settled == opened
    if "cancel" not in actions:
        assert ran.status != "cancelled"
    store = player.world.store
    assert store.open_requests(player.pid) == []
    assert store.inbox(player.pid) == []
    assert store.next_due() is None
    assert not store.queued(["double"])
