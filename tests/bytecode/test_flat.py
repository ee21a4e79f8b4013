"""Instructions and integers in their stored form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.bytecode.flat import decode_instructions, encode_instructions, pack_integers, unpack_integers
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.table import Table, pack_table
from flowmetal.diagnostics import FlowmetalError

from .generated import codes


@given(codes())
def test_instructions(code: Code) -> None:
    assert decode_instructions(encode_instructions(code.instructions), "x") == code.instructions


@pytest.mark.parametrize(
    ("fault", "flat"),
    [
        ("B101", [0]),
        ("B101", [-5]),
        ("B102", [Op.move, 1]),
        ("B102", [Op.call, 1, 2]),
        ("B102", [Op.call, 1, 2, 3, 0, 0]),
        ("B102", [Op.vector, 1]),
        ("B114", [Op.vector, 1, -1]),
        ("B114", [Op.vector, 1, 1 << 40, 0]),
    ],
)
def test_refuses(fault: str, flat: list[int]) -> None:
    with pytest.raises(FlowmetalError) as raised:
        decode_instructions(flat, "x")
    assert raised.value.code == fault


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers(integers: list[int]) -> None:
    assert list(unpack_integers(memoryview(pack_integers(integers)), "x")) == integers


@pytest.mark.parametrize(("integers", "size"), [([], 1), ([127, -128], 3), ([128], 3), ([-129], 3), ([1 << 31], 9)])
def test_least_width(integers: list[int], size: int) -> None:
    assert len(pack_integers(integers)) == size


@pytest.mark.parametrize("data", [b"", b"\x03abc", b"\x02abc", b"\x00", b"\xff\xff"])
def test_refuses_integers(data: bytes) -> None:
    with pytest.raises(FlowmetalError) as raised:
        unpack_integers(data, "x")
    assert raised.value.code == "B005"


@given(st.lists(st.binary(max_size=20)))
def test_tables(items: list[bytes]) -> None:
    table = Table(memoryview(pack_table(items)), "x")
    assert [bytes(table[index]) for index in range(len(table))] == items


@given(st.binary(max_size=40))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    try:
        table = Table(memoryview(data), "x")
    except FlowmetalError as error:
        assert error.code == "B005"
    else:
        assert pack_table(bytes(table[index]) for index in range(len(table))) == data
