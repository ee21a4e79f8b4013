"""Equality, keys, hash and order: the language's rules where they differ from Python's."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from flowmetal.values import (
    EMPTY_LIST,
    EMPTY_MAP,
    EMPTY_VECTOR,
    BuiltinFn,
    Cell,
    Char,
    Closure,
    Cons,
    Duration,
    ErrorValue,
    Instant,
    LanguageError,
    LazySeq,
    List,
    Map,
    NeedsRealize,
    Pid,
    Promise,
    Range,
    Regex,
    Set,
    SortedMap,
    SortedSet,
    Symbol,
    Vector,
    VectorSeq,
    compare,
    equal,
    hash_of,
    identical,
    keyword,
    symbol,
)
from tests.values.strategies import VALUES, model

NAN = float("nan")
K = keyword


def done(value: Any) -> LazySeq:
    """A realized lazy sequence."""
    lazy = LazySeq(None)
    lazy.state, lazy.value = "done", value
    return lazy


EQUAL: list[tuple[Any, Any]] = [
    (1, 1),
    (0.0, -0.0),
    (Decimal("1.0"), Decimal("1.00")),
    (Decimal("1E+2"), Decimal("100")),
    (Fraction(1, 2), Fraction(2, 4)),
    (Char("a"), Char("a")),
    (Char("λ"), Char("λ")),
    (K("a/b"), K("a/b")),
    (symbol("a/b"), Symbol("a", "b", meta=EMPTY_MAP)),
    (Instant(5), Instant(5)),
    (Regex("a+"), Regex("a+")),
    (b"ab", b"ab"),
    (UUID(int=5), UUID(int=5)),
    (Vector.of([1, 2]), List.of([1, 2])),
    (Vector.of([1, 2]), Range(1, 3)),
    (List.of([1, 2]), Cons(1, Vector.of([2]))),
    (Vector.of([1, 2]), Cons(1, done(Cons(2, done(None))))),
    (VectorSeq(Vector.of([0, 1]), 1), done(List.of([1]))),
    (EMPTY_LIST, EMPTY_VECTOR),
    (EMPTY_LIST, done(None)),
    (Range(0, 1.5, 0.5), Vector.of([0, 0.5, 1.0])),
    (Map.of([(1, 2), (3, 4)]), Map.of([(3, 4), (1, 2)])),
    (Map.of([(1, 2)]), SortedMap.of([(1, 2)])),
    (Map.of([(Vector.of([1]), 2)]), Map.of([(List.of([1]), 2)])),
    (Set.of([1, 2]), SortedSet.of([2, 1])),
    (Set.of([Map.of([(1, EMPTY_LIST)])]), Set.of([Map.of([(1, EMPTY_VECTOR)])])),
    (BuiltinFn(7, "a"), BuiltinFn(7, "b")),
    (ErrorValue(K("a"), "m", List.of([1])), ErrorValue(K("a"), "m", Vector.of([1]), trace=EMPTY_VECTOR)),
]

UNEQUAL: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, True),
    (0, False),
    (1.0, True),
    (1, Decimal(1)),
    (1.0, Decimal(1)),
    (0.5, Fraction(1, 2)),
    (Decimal("0.5"), Fraction(1, 2)),
    (NAN, NAN),
    (None, False),
    (None, EMPTY_LIST),
    ("a", Char("a")),
    ("a", K("a")),
    ("a", symbol("a")),
    ("a", b"a"),
    (K("a"), symbol("a")),
    (Instant(5), Duration(5)),
    (5, Pid(5)),
    (Vector.of([1, 2]), Vector.of([1, 2, 3])),
    (Vector.of([1, 2]), Cons(1, None)),
    (Cons(1, None), Cons(1, Cons(2, None))),
    (EMPTY_VECTOR, EMPTY_MAP),
    (EMPTY_MAP, Set.of([])),
    (Vector.of([1]), Vector.of([1.0])),
    (Map.of([(1, 2)]), Map.of([(1.0, 2)])),
    (Map.of([(1, 2)]), Map.of([(1, 3)])),
    (SortedMap.of([(1, 2)]), Map.of([(1, 2.0)])),
    (Set.of([1]), Set.of([True])),
    (Vector.of([NAN]), Vector.of([NAN])),
    (Cell(1), Cell(1)),
    (Promise(), Promise()),
    (ErrorValue(K("a"), "m"), ErrorValue(K("b"), "m")),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal(a: Any, b: Any) -> None:
    assert equal(a, b) and equal(b, a)
    assert hash_of(a) == hash_of(b)
    assert equal(Vector.of([a]), List.of([b]))
    assert Map.of([(a, 1)]).get(b) == 1
    assert Map.of([*((number, 0) for number in range(100)), (a, 1)]).get(b) == 1
    assert len(Set.of([a, b])) == 1


@pytest.mark.parametrize(("a", "b"), UNEQUAL)
def test_unequal(a: Any, b: Any) -> None:
    assert not equal(a, b) and not equal(b, a)
    assert not equal(Vector.of([a]), Vector.of([b]))
    assert len(Set.of([a, b])) == 2
    if a is not b:
        assert Map.of([(a, 1)]).get(b) is None
        assert Map.of([*((f"k{number}", 0) for number in range(100)), (a, 1)]).get(b) is None


def test_a_collection_equals_itself_even_with_nan() -> None:
    holder = Vector.of([NAN])
    assert equal(holder, holder)
    assert Map.of([(NAN, 1)]).get(NAN) is None


@given(VALUES, VALUES)
def test_equality_and_hash_follow_the_model(a: Any, b: Any) -> None:
    assert equal(a, a) and equal(b, b)
    same = model(a) == model(b)
    assert equal(a, b) == equal(b, a) == same
    if same:
        assert hash_of(a) == hash_of(b)


def test_identical() -> None:
    big = 10**30
    assert identical(big, 10**29 * 10) and identical("ab" * 3, "ababab") and identical(1.5, 3.0 / 2)
    assert identical(NAN, float("nan")) and not identical(0.0, -0.0) and not identical(1, True)
    assert not identical(Decimal("1.0"), Decimal("1.00")) and identical(Decimal("1.0"), Decimal("1.0"))
    assert not identical(Vector.of([1]), Vector.of([1])) and identical(symbol("a"), symbol("a"))


class Function:
    """What a closure is of, as far as values know."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_closures() -> None:
    one, two = Function("a/f"), Function("a/f")
    held = Vector.of([1])
    assert Closure(one, (1, held)) == Closure(one, (1, held))
    assert hash_of(Closure(one, (1,))) == hash_of(Closure(one, (1,)))
    assert Closure(one) != Closure(two)
    assert Closure(one, (held,)) != Closure(one, (Vector.of([1]),))


def test_unrealized_sequences_ask_to_be_realized() -> None:
    lazy = LazySeq(None)
    for act in (
        lambda: equal(lazy, EMPTY_LIST),
        lambda: equal(Vector.of([1, lazy]), Vector.of([1, EMPTY_LIST])),
        lambda: hash_of(Vector.of([lazy])),
        lambda: Map.of([(lazy, 1)]),
        lambda: EMPTY_MAP.assoc(Vector.of([lazy]), 1),
    ):
        with pytest.raises(NeedsRealize) as caught:
            act()
        assert caught.value.seq is lazy
    assert not equal(lazy, 1) and not equal(Vector.of([1, lazy]), Vector.of([2, lazy]))
    with pytest.raises(NeedsRealize) as caught:
        equal(Vector.of(range(5)), Cons(0, lazy))
    assert caught.value.cells == 5 and not caught.value.whole


def test_keys_keep_no_lazy_parts() -> None:
    assert next(iter(Set.of([Range(1, 3)]))).__class__ is List
    assert next(Map.of([(Vector.of([Range(1, 3)]), 1)]).keys()).get(0).__class__ is List
    key = Vector.of([1, done(Cons(2, done(None)))])
    for table in (EMPTY_MAP.assoc(key, 5), Map.of([(key, 5)]), Map.of((n, n) for n in range(99)).assoc(key, 5)):
        kept = next(own for own, _ in table.items() if own.__class__ is Vector)
        assert kept.get(1).__class__ is List and kept.hash is not None
        assert table.get(key) == 5 and table.get(Vector.of([1, List.of([2])])) == 5


ORDERED: list[list[Any]] = [
    [None, -5, Fraction(1, 3), 0.5, Decimal("0.75"), 1, 10**30, 1e300],
    [None, False, True],
    [None, "", "a", "aa", "b", "λ", "😀"],
    [None, K("z"), K("a/a"), K("a/b"), K("b/a")],
    [Symbol(None, "z"), symbol("a/a")],
    [Char("a"), Char("b")],
    [Vector.of([]), Vector.of([9]), Vector.of([1, 2]), Vector.of([1, 3])],
    [Vector.of([None, Vector.of([1])]), Vector.of([None, Vector.of([2])]), Vector.of([1, None])],
    [Instant(-1), Instant(0), Instant(10**20)],
    [Duration(-1), Duration(0)],
    [UUID(int=1), UUID(int=1 << 100)],
    [b"", b"a", b"b"],
    [Pid(1), Pid(2)],
]


@pytest.mark.parametrize("values", ORDERED)
def test_compare(values: list[Any]) -> None:
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert compare(a, b) == (i > j) - (i < j)


def test_compare_refuses() -> None:
    for a, b in [
        (1, "a"),
        (List.of([1]), List.of([2])),
        (EMPTY_MAP, EMPTY_MAP),
        (True, 1),
        (Vector.of(["a"]), Vector.of([1])),
    ]:
        with pytest.raises(LanguageError) as caught:
            compare(a, b)
        assert caught.value.error.kind is K("type")
    assert compare(NAN, 1.0) == 0 and compare(1, 1.0) == 0


SCRIPT = """
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from flowmetal.values import *
from tests.values.test_equality import sample
print(hash_of(sample()))
print(print_string(sample()))
print(encode_value(sample()).hex())
"""


def sample() -> Any:
    """A value with something of everything, in tables large and small."""
    scalars = [
        None,
        True,
        False,
        0,
        1,
        -1,
        1 << 70,
        -(1 << 70),
        1.5,
        -0.0,
        Decimal("1.50"),
        Fraction(1, 3),
        "",
        "text",
        b"bytes",
        K("a"),
        K("a/b"),
        symbol("s"),
        symbol("n/s"),
        Char("x"),
        Char("😀"),
        Instant(10**18),
        Duration(-5),
        UUID(int=99),
        Pid(3),
        Regex("a+"),
        EMPTY_LIST,
        EMPTY_MAP,
        float("inf"),
    ]
    words = [f"word-{number}" for number in range(200)]
    nested = Map.of([*((word, Vector.of([word])) for word in words), *((scalar, scalar) for scalar in scalars)])
    return Vector.of([nested, Set.of([*words, *scalars]), SortedMap.of(zip(words, words, strict=True)), *scalars])


def test_hash_order_and_bytes_do_not_depend_on_the_seed() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    outputs = set()
    for seed in "0123":
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=root, check=False)
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1


def test_hashes_are_frozen() -> None:
    """These numbers are part of the image format: tries in stored images are laid out by them."""
    found = {repr(value): hash_of(value) for value in _frozen_values()}
    assert found == FROZEN


def _frozen_values() -> list[Any]:
    return [
        None,
        True,
        False,
        0,
        1,
        -1,
        1 << 63,
        -(1 << 63),
        1 << 64,
        1.0,
        -0.0,
        1e300,
        NAN,
        Decimal("1.50"),
        Decimal("0E-5"),
        Fraction(1, 3),
        "",
        "abc",
        "λ",
        b"abc",
        K("a"),
        K("a/b"),
        symbol("a"),
        symbol("a/b"),
        Char("a"),
        Instant(1),
        Duration(1),
        Pid(1),
        UUID(int=1),
        Regex("a"),
        EMPTY_LIST,
        Vector.of([1]),
        Vector.of([1, 2]),
        EMPTY_MAP,
        Map.of([(1, 2)]),
        Set.of([1]),
        Set.of([1, 2]),
        ErrorValue(K("a"), "m", 1),
        BuiltinFn(700, "="),
    ]


FROZEN: dict[str, int] = {
    "None": 0x3D1F9A6B,
    "True": 0x4C93A175,
    "False": 0x71B2E8D3,
    "0": 0x00000000,
    "1": 0x9E3779B9,
    "-1": 0x61C88646,
    "9223372036854775808": 0x79ADC7E7,
    "-9223372036854775808": 0x80000000,
    "18446744073709551616": 0x44666EAF,
    "1.0": 0xE25782E7,
    "-0.0": 0x408D4E67,
    "1e+300": 0x34C8286C,
    "nan": 0x7FF80000,
    "Decimal('1.50')": 0xD46315D3,
    "Decimal('0.00000')": 0x1B873593,
    "Fraction(1, 3)": 0x2C44BEF2,
    "''": 0x00000000,
    "'abc'": 0x352441C2,
    "'λ'": 0x4813823B,
    "b'abc'": 0x590CDC52,
    ":a": 0x0E53C1C2,
    ":a/b": 0x4D0D4083,
    "a": 0x22425F00,
    "a/b": 0x2ECD900B,
    "Char('a')": 0xF69AB67B,
    "Instant(1)": 0xDF109492,
    "Duration(1)": 0xB45C9CEA,
    "Pid(1)": 0x461C483F,
    "UUID('00000000-0000-0000-0000-000000000001')": 0xA7830B5D,
    "Regex('a')": 0x75C99D6F,
    "()": 0x514E28B7,
    "[1]": 0x3A593976,
    "[1 2]": 0x09C2ADB3,
    "{}": 0x048E72BD,
    "{1 2}": 0x0E5AE3E5,
    "#{1}": 0x0E00F11F,
    "#{1 2}": 0x181A3769,
    '#error {:kind :a, :message "m", :data 1}': 0x37AEECFD,
    "#fn %=": 0x8D3F9349,
}
