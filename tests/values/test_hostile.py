"""Bytes from outside: whatever they are, a value or CodecError comes of them, and memory stays in proportion."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType

from flowmetal.values import (
    Char,
    Closure,
    CodecError,
    Decoder,
    LanguageError,
    Limits,
    Map,
    NeedsRealize,
    Set,
    SortedSet,
    Vector,
    decode_value,
    encode_value,
    equal,
    hash_of,
    insert_at,
    keyword,
    pack,
    print_string,
    to_python,
    unpack,
)
from tests.values.strategies import VALUES
from tests.values.test_codec import Modules
from tests.values.test_equality import sample

TAGS = range(-1, 38)


def use(value: Any) -> None:
    """Does to a decoded value what a program does; only errors of the language may come of it."""
    for act in (
        lambda: print_string(value, limit=10_000),
        lambda: hash_of(value),
        lambda: equal(value, value),
        lambda: encode_value(value),
        lambda: to_python(value),
        lambda: Map.of([(value, 1)]).get(value),
    ):
        try:
            act()
        except (LanguageError, NeedsRealize):
            pass
    if value.__class__ in (Map, Set) and len(value) < 1000:
        for key in value.keys() if value.__class__ is Map else value:
            assert value.contains(key) or print_string(key) == "##NaN"
    if value.__class__ is Vector:
        assert len(list(value)) == len(value)
        if len(value):
            value.get(len(value) - 1)
            value.assoc(0, "x").conj("y").pop()


def check(data: bytes, modules: Any = None) -> None:
    try:
        value = decode_value(data, modules)
    except CodecError:
        return
    use(value)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    check(data)


def test_every_truncation_is_refused() -> None:
    data = encode_value(sample())
    for end in range(len(data)):
        with pytest.raises(CodecError):
            decode_value(data[:end])
    with pytest.raises(CodecError):
        decode_value(data + b"\0")


def test_mutated_bytes() -> None:
    modules = Modules()
    randoms = random.Random(7)
    closure = Closure(modules.functions[0][0], (1, 2))
    sources = [
        encode_value(sample()),
        encode_value(Vector.of([closure, Vector.of(range(100))]), modules),
        encode_value(SortedSet.of(range(50))),
        encode_value(Map.of((number, str(number)) for number in range(60))),
        encode_value(SortedSet(insert_at(insert_at(None, 0, 2, 3), 0, 5, 6), None, closure), modules),
    ]
    for source in sources:
        for _ in range(1500 if len(source) < 2000 else 250):
            data = bytearray(source)
            for _ in range(randoms.choice((1, 1, 1, 2, 5))):
                place = randoms.randrange(len(data))
                choice = randoms.randrange(4)
                if choice == 0:
                    data[place] = randoms.randrange(256)
                elif choice == 1:
                    data[place] ^= 1 << randoms.randrange(8)
                elif choice == 2:
                    del data[place : place + randoms.randrange(1, 9)]
                else:
                    data[place:place] = data[place - randoms.randrange(30) : place]
            check(bytes(data), modules)


_FIELD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.integers(1, 8).map(lambda number: [number]),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.sampled_from("abc").map(keyword),
    st.tuples(st.integers(0, 14), st.binary(max_size=5)).map(lambda pair: ExtType(*pair)),
    st.sampled_from([[0, "g", 1], [], [1, 2], ["a"], [[1]], [True], {}, {1: 2}, [0, "x", 1]]),
    st.sampled_from([ExtType(13, code) for code in (b"l", b"v", b"m", b"s")]),
)
_RECORD = st.tuples(st.sampled_from(TAGS), st.lists(_FIELD, max_size=6)).map(lambda pair: [pair[0], *pair[1]])


@given(_FIELD, st.lists(_RECORD | _FIELD, max_size=8))
def test_any_records(root: Any, records: list[Any]) -> None:
    check(msgpack.packb([root, *records]), Modules())


@given(VALUES, st.data())
def test_records_with_a_changed_field(value: Any, data: st.DataObject) -> None:
    parts = msgpack.unpackb(encode_value(value), strict_map_key=False)
    record = data.draw(st.sampled_from(parts))
    if isinstance(record, list) and record:
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(_FIELD)
    check(msgpack.packb(parts))


TYPE = ExtType(3, b"shop.Order")

BAD_RECORDS: list[tuple[str, list[Any]]] = [
    ("no tag", [[]]),
    ("unknown tag", [[99]]),
    ("modules in the middle", [[0], [26]]),
    ("meta of meta", [[6, keyword("a"), 1], [24, [1], 24, [1], 3, None]]),
    ("meta is no map", [[24, 5, 3, None]]),
    ("meta on a cell", [[24, ExtType(13, b"m"), 26]]),
    ("a text that is a number", [[1, 5]]),
    ("a root without a tail", [[5, *range(32)], [4, 5, 1], [3, 2]]),
    ("a leaf as a root", [[5, *range(32)], [3, 1, 5]]),
    ("a short leaf", [[5, *range(31)]]),
    ("a node over the wrong level", [[5, *range(32)], [4, 10, 1]]),
    ("a node that is not full inside", [[5, *range(32)], [4, 5, 1], [4, 10, 2, 2]]),
    ("an odd map", [[6, 1]]),
    ("a key twice", [[6, 1, 2, 1, 3]]),
    ("an equal key twice", [[3, None, 1], [13, 1, None], [6, [1], 1, [2], 2]]),
    ("an item twice", [[11, "a", "a"]]),
    ("a small map too large", [[6, *range(34)]]),
    ("a key in the wrong place", [[9, 1, 1], [8, 0, 1, 1], [7, 2]]),
    ("a root at a depth", [[9, 1, 1], [8, 5, 1 << 13, 1], [7, 2]]),
    ("too few children", [[9, 1, 1], [8, 0, 3, 1]]),
    ("an empty leaf", [[9]]),
    ("an odd leaf", [[9, 1, 1, 2]]),
    ("a key twice in a leaf", [[9, 1, 1, 1, 2]]),
    ("a list that goes on with a vector", [[3, None, 1], [13, 1, 1]]),
    ("half a list cell", [[13, 1]]),
    ("a cons that goes on with a number", [[14, 1, 5]]),
    ("a sequence outside its vector", [[3, None, 1], [15, [1], 1]]),
    ("a range of step zero", [[16, 0, 5, 0]]),
    ("a range of strings", [[16, "a", "b", "c"]]),
    ("a tree out of order", [[19, 5, None, None, None], [19, 4, None, 1, None]]),
    ("a tree of what has no order", [[6, 1, 2], [19, [1], None, None, None]]),
    ("a tree out of balance", [[19, 1, 0, None, None], [19, 2, 0, 1, None], [19, 3, 0, 2, None], [19, 4, 0, 3, None]]),
    ("a function without modules", [[20, 0, 0]]),
    ("an error of no kind", [[21, "a", "m", None, None, None]]),
    ("a cause that is none", [[21, keyword("a"), "m", None, 5, None]]),
    ("a reference forward", [[3, None, [2]], [3, None]]),
    ("a reference to itself", [[3, None, [1]]]),
    ("a node as a value", [[5, *range(32)], [3, None, [1]]]),
    ("a cell", [[26]]),
    ("a lazy sequence as a key", [[25], [6, [1], 1]]),
    ("a record that is a map", [{}]),
    ("a record of no type", [[3, None, keyword("a")], [29, "T", [1], keyword("a"), 1]]),
    ("a record without its field", [[3, None, keyword("a")], [29, TYPE, [1], keyword("b"), 1]]),
    ("a record whose fields are strings", [[3, None, "a"], [29, TYPE, [1], "a", 1]]),
    ("a record whose fields are no vector", [[29, TYPE, None, "a", 1]]),
    ("an odd record", [[3, None], [29, TYPE, [1], "a"]]),
    ("a large record without its field", [[3, None, keyword("a")], [9, 1, 1], [30, TYPE, [1], 2]]),
    ("an instance of no type", [[6], [31, 5, [1]]]),
    ("an instance without methods", [[3, None], [31, TYPE, [1]]]),
]


@pytest.mark.parametrize(("name", "records"), BAD_RECORDS, ids=[name for name, _ in BAD_RECORDS])
def test_bad_records(name: str, records: list[Any]) -> None:
    with pytest.raises(CodecError):
        decode_value(msgpack.packb([None, *records]))


BAD_ATOMS: list[Any] = [
    [],
    [0],
    [99],
    [-1],
    ["a"],
    [True],
    [1.0],
    [1, 2],
    [0, "g", 0],
    {},
    ExtType(0, b""),
    ExtType(99, b""),
    b"\xd6\xff1234",
    b"\xd5\xff12",
    ExtType(1, b"\xff"),
    ExtType(2, b""),
    ExtType(2, b"\1"),
    ExtType(2, b"\0" * 20),
    ExtType(2, b"\1" * 200_000),
    ExtType(3, b"\xff"),
    ExtType(3, b"\0a"),
    ExtType(4, b""),
    ExtType(4, b"ab"),
    ExtType(4, b"\xed\xa0\x80"),
    ExtType(5, b""),
    ExtType(5, b"\0\0\0\1\1\0"),
    ExtType(5, b"\0\0\0\1\2\4"),
    ExtType(5, b"\0\0\0\1\1\1"),
    ExtType(5, b"\xff\xff\xff\xff\1\2"),
    ExtType(6, b"NaN"),
    ExtType(6, b"Infinity"),
    ExtType(6, b"1e5"),
    ExtType(6, b"1E+99999999999999999999"),
    ExtType(6, b"\xff"),
    ExtType(6, b"01"),
    ExtType(7, b""),
    ExtType(7, b"\0\0"),
    ExtType(8, b"\1" * 100),
    ExtType(9, b"1"),
    ExtType(10, b"\xff"),
    ExtType(11, b""),
    ExtType(12, b"\0"),
    ExtType(13, b"x"),
    b"\xd9\x05\xff\xff\xff\xff\xff",
]


@pytest.mark.parametrize("atom", BAD_ATOMS, ids=repr)
def test_bad_atoms(atom: Any) -> None:
    data = b"\x91" + (atom if atom.__class__ is bytes else msgpack.packb(atom))
    with pytest.raises(CodecError):
        decode_value(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000,
        b"\xdd\x7f\xff\xff\xff" * 3000,
        b"\x92\xc0" + b"\xdd\x00\x10\x00\x00" * 3000,
        b"\x92\xc0" + b"\xdc\x10\x00" * 3000,
        b"\x91\xdb\xff\xff\xff\xffaaa",
        b"\x91\xc6\xff\xff\xff\xffaaa",
        b"\x91\xc9\xff\xff\xff\xff\x01aaa",
        b"\x91\xdf\xff\xff\xff\xffaaa",
        b"\x91" * 100_000,
        b"\x92\xc0" + b"\x91" * 100_000,
        b"\xdd\x00\x01\x86\xa0" + b"\xc0" * 100_000,
    ],
    ids=map(str, range(12)),
)
def test_false_lengths_take_no_memory(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(CodecError):
        decode_value(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000 + 50 * len(data)


def bomb(levels: int, last: Any) -> list[list[Any]]:
    """Records of a vector of twos, each holding the one before twice; 2 ** levels leaves by `levels` records."""
    return [[3, None, last, last], *([3, None, [number], [number]] for number in range(1, levels))]


@pytest.mark.parametrize(
    "records",
    [
        [*bomb(200, 1), [11, [200]]],
        [*bomb(200, 1), *([3, None, [number and number + 200 - 1] if number > 1 else 1] for number in range(1, 3))],
        [*bomb(100, 1), [3, None, [100], 1], *([3, None, [100], 2],), [11, [101], [102]]],
        [[16, 0, 10**18, 1], [11, [1]]],
        [[16, 0.0, 1e300, 1e-300], [6, [1], 1]],
        [[16, 0, 10**18, 1], [3, None, [1]], [19, [2], None, None, None]],
        [
            [1, "x" * 1_000_000],
            *([3, None, *([1] for _ in range(32))] for _ in range(3000)),
            *([11, [n]] for n in range(2, 3000)),
        ],
    ],
    ids=[
        "shared key",
        "chain",
        "two shared keys",
        "endless key",
        "endless float key",
        "endless sorted key",
        "long text",
    ],
)
def test_small_records_that_would_take_forever(records: list[Any]) -> None:
    data = msgpack.packb([None, *records])
    try:
        assert decode_value(data) is None
    except CodecError:
        pass


def test_sorted_keys_that_share_are_compared_in_time() -> None:
    one = bomb(60, 1)
    two = [[3, None, 1, 1], *([3, None, [number], [number]] for number in range(61, 120))]
    other = [[3, None, [60], 1], [3, None, [120], 2]]
    tree = [[19, [121], None, None, None], [19, [122], None, 123, None], [18, 124]]
    found = decode_value(msgpack.packb([[125], *one, *two, *other, *tree]))
    assert len(found) == 2


def test_limits() -> None:
    data = encode_value(Vector.of([Vector.of([number]) for number in range(20)]))
    assert decode_value(data, None, Limits(bytes_max=1000, objects_max=21)).get(3) == Vector.of([3])
    for limits in (Limits(bytes_max=10), Limits(objects_max=20)):
        with pytest.raises(CodecError):
            decode_value(data, None, limits)


def test_ids_must_ascend() -> None:
    decoder = Decoder(object())
    decoder.add(5, [[3, None, 1]])
    decoder.add(9, [[3, None, [5]]])
    for first in (9, 0, -1, True, 2.5, None):
        with pytest.raises(CodecError):
            decoder.add(first, [[3, None]])  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        decoder.add(20, "no list")  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        unpack(pack([1]) + b"\0")


def test_extension_types_that_were_not_unpacked() -> None:
    assert Decoder(object()).value(ExtType(4, b"a")) == Char("a")
    with pytest.raises(CodecError):
        Decoder(object()).value(ExtType(4, b"ab"))
