"""A stand-in for the interpreter, for tests of what stands around it: opens requests and ends processes by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flowmetal.store import Store, open_store
from flowmetal.store.interface import InboxEvent, Join, PutArtifact, Request, Start, Turn
from flowmetal.values import decode_value, encode_value, from_python, to_python

#: Generous: a machine may have much else to do, and what happens ends the wait at once.
DEADLINE_SECONDS = 60.0

#: How often what waits looks for itself, where only hints are to wake it.
SLOW_SECONDS = 600.0


def only_hints_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever waits for longer than DEADLINE_SECONDS from here on has missed its hint."""
    for module in ("client.over_store", "client.serving", "server.api"):
        monkeypatch.setattr(f"flowmetal.{module}.SLOW_POLL_SECONDS", SLOW_SECONDS)


def eventually(look: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """What `look` gives once that is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.005)


class Driver:
    """Processes of a store, moved by the test."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store if store is not None else open_store("memory:")
        self.submit(PutArtifact(b"\x01" * 32, b"artifact", "deploy"))
        self.claim = self.submit(Join("driver", 600_000))

    def submit(self, command: Any) -> Any:
        (result,) = self.store.submit([command]).result(DEADLINE_SECONDS)
        return result

    def start(self, function: str = "deploy/main", arguments: Any = (), id: str | None = None) -> int:
        pid, _ = self.submit(Start(function, encode_value(from_python(list(arguments))), name="deploy", id=id))
        return int(pid)

    def turn(self, pid: int, **changes: Any) -> bool:
        record = self.store.process(pid)
        assert record is not None
        taken = tuple(event.key for event in self.store.inbox(pid))
        command = {
            "pid": pid,
            "epoch": self.claim.epochs[pid % 64],
            "base_sequence": record.sequence,
            "status": "waiting",
            "entries": ((record.sequence, 0, b"event", b""),),
            "next_sequence": record.sequence + 1,
            "taken": taken,
        }
        return bool(self.submit(Turn(**{**command, **changes})))

    def request(
        self, effect: str, payload: Any = None, options: Any = None, number: int = 1, key: str = "key-1"
    ) -> int:
        """A new process with one open request; payload and options are values."""
        pid = self.start()
        opened = Request(pid, number, effect, encode_value(payload), encode_value(options), key)
        assert self.turn(pid, requests=(opened,))
        return pid

    def callback(self, token: str) -> int:
        """A new process that waits for a callback."""
        pid = self.start()
        held = Request(pid, 1, "http/callback", encode_value(None), b"", token, state="held", queued=False)
        assert self.turn(pid, requests=(held,), tokens=((token, 1),))
        return pid

    def finish(self, pid: int, status: str, result: Any) -> None:
        assert self.turn(pid, status=status, result=encode_value(result))

    def close_request(self, pid: int, number: int = 1) -> None:
        assert self.turn(pid, closed=(number,))

    def events(self, pid: int, *kinds: str) -> list[InboxEvent]:
        return [event for event in self.store.inbox(pid) if not kinds or event.kind in kinds]

    def answer(self, pid: int, seconds: float = DEADLINE_SECONDS) -> tuple[bool, Any]:
        """The answer to a process's request, once it is there: (ok, value)."""
        event = eventually(lambda: self.events(pid, "answer", "error"), seconds)[0]
        return event.kind == "answer", decode_value(event.data)

    def plain_answer(self, pid: int) -> tuple[bool, Any]:
        ok, value = self.answer(pid)
        return ok, to_python(value)


@contextmanager
def running(service: Any) -> Iterator[Any]:
    """Something with start() and stop(), meanwhile."""
    service.start()
    try:
        yield service
    finally:
        service.stop()
