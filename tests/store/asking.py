"""Asking for operations, as a process and as a client."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.store import StoreError
from flowmetal.store.interface import Ask, Operate
from flowmetal.values import ErrorValue, Keyword, Map, Pid, Vector, decode_value, encode_value, from_python, to_python
from tests.store.support import Rig, request


def value(plain: Any) -> Any:
    return plain if plain.__class__ in (Vector, Map, Pid, Keyword) else from_python(plain)


def operate(rig: Rig, name: str, *arguments: Any) -> Any:
    payload = Vector.of([value(argument) for argument in arguments])
    return to_python(decode_value(rig.one(Operate(name, encode_value(payload)))))


def refused(rig: Rig, name: str, *arguments: Any) -> str:
    """The kind with which an operation is refused."""
    with pytest.raises(StoreError) as caught:
        operate(rig, name, *arguments)
    assert caught.value.code == "S211" and str(caught.value)
    return str(caught.value.facts["kind"])


def ask(rig: Rig, pid: int, name: str, *arguments: Any, status: str = "waiting", **more: Any) -> Any:
    """What a process gets that asks in a turn; None where it ended with that turn."""
    payload = encode_value(more.pop("payload", Vector.of([value(argument) for argument in arguments])))
    record = rig.store.process(pid)
    assert record is not None
    number = record.sequence + 1
    asked = Ask(number, name, payload, more.pop("start", None))
    assert rig.turn(pid, status, requests=(request(pid, number, name, queued=False),), asks=(asked,), **more)
    answers = [event for event in rig.store.inbox(pid) if event.number == number]
    if not answers:
        return None
    (event,) = answers
    found = decode_value(event.data)
    assert event.kind == ("error" if found.__class__ is ErrorValue else "answer")
    return found
