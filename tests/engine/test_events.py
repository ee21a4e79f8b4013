"""The event codec: every kind goes there and back, damaged bytes are refused, every event has its line of text."""

from __future__ import annotations

from dataclasses import fields

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.engine import events
from flowmetal.engine.events import KINDS, Event, EventError, decode_event, describe, encode_event, kind_of
from flowmetal.values import ErrorValue, Vector, encode_value, keyword

FIELD = {
    "int": st.integers(min_value=0, max_value=(1 << 63) - 1),
    "str": st.text(max_size=40),
    "bytes": st.binary(max_size=40),
}


def of_kind(number: int) -> st.SearchStrategy[Event]:
    make = KINDS[number][1]
    return st.builds(make, **{field.name: FIELD[str(field.type)] for field in fields(make)})


any_event = st.sampled_from(sorted(KINDS)).flatmap(of_kind)


@given(any_event)
def test_there_and_back(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@given(any_event)
def test_every_event_has_one_line(event: Event) -> None:
    text = describe(event)
    assert text
    assert kind_of(event)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_an_event_error(data: bytes) -> None:
    try:
        event = decode_event(data)
    except EventError:
        return
    assert decode_event(encode_event(event)) == event


@given(any_event, st.data())
def test_one_changed_byte_is_an_event_or_an_event_error(event: Event, data: st.DataObject) -> None:
    raw = bytearray(encode_event(event))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        decode_event(bytes(raw))
    except EventError:
        pass


@pytest.mark.parametrize(
    "items",
    [
        [],
        [0, 1],
        [99, 1],
        ["start", 1, "f", b""],
        [True, 1, "f", b""],
        [1, 1, "f"],
        [1, 1, "f", b"", b""],
        [1, "1", "f", b""],
        [1, True, "f", b""],
        [1, 1, b"f", b""],
        [1, 1.0, "f", b""],
        [1, 1, "f", [b""]],
        [1, 1, "f", {}],
    ],
)
def test_wrong_shapes_are_refused(items: list[object]) -> None:
    with pytest.raises(EventError):
        decode_event(msgpack.packb(items))


def test_numbers_of_kinds_are_permanent() -> None:
    assert {number: name for number, (name, _) in KINDS.items()} == {
        1: "start", 2: "request", 3: "attempt", 4: "retry", 5: "answer", 6: "answer-error", 7: "local", 8: "timer",
        9: "timeout", 10: "cancel", 11: "cancel-request", 12: "message", 13: "late", 14: "paused", 15: "resumed",
        16: "done", 17: "failed", 18: "cancelled", 19: "linked", 30: "by",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (events.Started(1, "deploy/main", encode_value(Vector.of([1, "a"]))), 'start deploy/main [1 "a"]'),
        (events.Requested(1, 3, "sleep", encode_value(5), "", ""), "request #3 sleep 5"),
        (events.Requested(1, 3, "a/b", encode_value(5), "{:timeout 1}", ""), "request #3 a/b 5 {:timeout 1}"),
        (events.RetryPlanned(1, 3, 2, 1_500_000_000), "retry #3 in 1.5s"),
        (events.LocalDone(1, 2, "uuid", encode_value(None), encode_value(7)), "uuid nil => 7"),
        (events.TimerFired(1, 4), "timer #4"),
        (events.Paused(1, 0, b""), "paused"),
        (events.Resumed(1, 4), "resumed, #4 tried again"),
        (events.Finished(1, encode_value(keyword("ok"))), "done :ok"),
        (events.Answered(1, 4, b"\xff\xff"), "answer #4 <2 bytes>"),
    ],
)
def test_descriptions(event: Event, text: str) -> None:
    assert describe(event) == text


def test_errors_are_described() -> None:
    error = encode_value(ErrorValue(keyword("http/timeout"), "no answer", None))
    assert "no answer" in describe(events.Failed(1, error))


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (250_000_000, "250ms"),
        (30_000_000_000, "30s"),
        (300_000_000_000, "5m"),
        (7_200_000_000_000, "2h"),
        (604_800_000_000_000, "7d"),
        (1_234_000_000, "1.234s"),
    ],
)
def test_lengths_of_time(nanoseconds: int, text: str) -> None:
    assert events.duration_text(nanoseconds) == text
