"""Long strings of a process are kept once, and nobody who reads notices."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.store.errors import StoreError
from flowmetal.store.layout import LOG, TEXTS
from flowmetal.store.texts import MARK, TEXT_BYTES_MIN, Texts, whole
from tests.store.support import Rig

LONG = bytes(random.Random(1).randbytes(50_000))
OTHER = b"other " * 400


class Table:
    """What texts.py needs of a transaction."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def get(self, space: str, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def put(self, space: str, key: bytes, value: bytes) -> None:
        self.kept[key] = value


def test_texts_of_a_turn(rig: Rig) -> None:
    pid = rig.start()
    events = [b"a" + LONG + b"b", b"short", OTHER + LONG + OTHER]
    entries = tuple((number, 0, event, b"segment" + LONG) for number, event in enumerate(events))
    assert rig.turn(pid, entries=entries, next_sequence=3, checkpoint=b"image" + LONG + OTHER, texts=(LONG, OTHER))
    found = rig.store.log(pid)
    assert [(entry.event, entry.segment) for entry in found] == [(event, b"segment" + LONG) for event in events]
    assert rig.store.checkpoint(pid) == (3, b"image" + LONG + OTHER)
    assert rig.store.stats()["entries"][TEXTS] == 2
    # Another process has its own, and so has what nobody named.
    other = rig.start()
    assert rig.turn(other, entries=((0, 0, LONG, b""),), texts=(LONG,))
    assert rig.turn(other, entries=((1, 0, OTHER, b""),))
    assert [entry.event for entry in rig.store.log(other)] == [LONG, OTHER]
    assert rig.store.stats()["entries"][TEXTS] == 3


def test_a_text_that_is_missing_is_damage(memory: Rig) -> None:
    pid = memory.start()
    memory.turn(pid, entries=((0, 0, LONG, b""),), texts=(LONG,))
    store: Any = memory.store
    table = store._tables[TEXTS]
    for key, _ in list(table.from_key(b"")):
        table.delete(key)
    with pytest.raises(StoreError, match="cannot be read"):
        memory.store.log(pid)


PIECES = st.sampled_from([b"", b"x", b"\xc1", LONG[:2000], LONG[1000:3000], OTHER, b"z" * TEXT_BYTES_MIN])


@given(st.lists(PIECES).map(b"".join), st.lists(PIECES, max_size=4))
def test_any_record_comes_back(record: bytes, texts: list[bytes]) -> None:
    record = b"\x91" + record
    table: Any = Table()
    data = Texts(table, 7, texts).shortened(record)
    assert whole(table, LOG, 7, data) == record
    assert len(data) <= len(record) or not table.kept or len(record) < 3 * TEXT_BYTES_MIN


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93",
        b"\x80",
        msgpack.packb([b"a", b"b"]),
        msgpack.packb([b"a", 1, b"c"]),
        msgpack.packb([b"a", b"h", b"c"]),
    ],
)
def test_damaged_references(data: bytes) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        whole(Table(), LOG, 1, MARK + data)  # type: ignore[arg-type]
