"""SortedTable is a dict with an order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowmetal.store import sorted_table
from flowmetal.store.sorted_table import SortedTable

keys = st.binary(max_size=3)


@given(st.lists(st.tuples(st.booleans(), keys, st.binary(max_size=2)), max_size=120), keys, st.integers(2, 6))
def test_it_is_a_dict_with_an_order(steps: list[tuple[bool, bytes, bytes]], probe: bytes, chunk: int) -> None:
    before, sorted_table.CHUNK = sorted_table.CHUNK, chunk
    try:
        table, model = SortedTable(), dict[bytes, bytes]()
        for put, key, value in steps:
            if put:
                table.put(key, value)
                model[key] = value
            else:
                assert table.delete(key) == model.pop(key, None)
            assert len(table) == len(model) and table.get(probe) == model.get(probe)
        items = sorted(model.items())
        assert list(table.from_key(b"")) == items
        assert list(table.from_key(probe)) == [item for item in items if item[0] >= probe]
        assert list(table.down_from(None)) == items[::-1]
        assert list(table.down_from(probe)) == [item for item in items if item[0] <= probe][::-1]
    finally:
        sorted_table.CHUNK = before
