"""Nesting far beyond Python's stack, in every direction.  The slow run goes a million levels deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowmetal.values import (
    EMPTY_MAP,
    EMPTY_VECTOR,
    Cell,
    Cons,
    Decoder,
    Encoder,
    ErrorValue,
    LanguageError,
    LazySeq,
    List,
    Map,
    Reduced,
    Set,
    Vector,
    compare,
    count,
    decode_value,
    encode_value,
    equal,
    from_python,
    hash_of,
    keyword,
    print_string,
    to_python,
)

DEPTH = 50_000
MILLION = 1_000_000
K = keyword("k")


def nest(wrap: Callable[[Any], Any], depth: int = DEPTH) -> Any:
    value: Any = EMPTY_VECTOR
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("depth", [DEPTH, pytest.param(MILLION, marks=pytest.mark.slow)])
def test_nested_vectors(depth: int) -> None:
    one, two = nest(lambda inner: Vector((inner,)), depth), nest(lambda inner: Vector((inner,)), depth)
    assert equal(one, two)
    assert compare(one, two) == 0
    assert hash_of(one) == hash_of(two)
    text = print_string(one)
    assert len(text) == 2 * depth + 2 and text.startswith("[[[") and text.endswith("]]]")
    assert print_string(one, limit=20) == "[" * 20 + "…"
    del text
    assert equal(decode_value(encode_value(one)), one)
    encoder, decoder = Encoder(object(), 1), Decoder(object())
    atom = encoder.atom(one)
    decoder.add(*encoder.drain()[:2])
    assert equal(decoder.value(atom), two)


WRAPS: dict[str, Callable[[Any], Any]] = {
    "list": lambda inner: List.of([inner]),
    "value of a map": lambda inner: Map.of([(K, inner)]),
    "key of a map": lambda inner: Map.of([(inner, 1)]),
    "set": lambda inner: Set.of([inner]),
    "error": lambda inner: ErrorValue(K, "m", inner),
    "cause": lambda inner: ErrorValue(K, "m", None, inner if inner.__class__ is ErrorValue else None),
    "reduced": Reduced,
    "last of a vector": lambda inner: Vector((1, "a", inner)),
    "metadata": lambda inner: Vector((1,), None, Map.of([(K, inner)])),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_deep_nesting(wrap: Callable[[Any], Any]) -> None:
    depth = DEPTH // 5
    one, two = nest(wrap, depth), nest(wrap, depth)
    assert equal(one, two) and hash_of(one) == hash_of(two)
    assert print_string(one) == print_string(two)
    assert equal(decode_value(encode_value(one)), one)
    assert Map.of([(one, 1)]).get(two) == 1


def test_long_lists_and_chains() -> None:
    numbers = List.of(range(DEPTH))
    assert equal(numbers, Vector.of(range(DEPTH))) and hash_of(numbers) == hash_of(Vector.of(range(DEPTH)))
    short = List.of(range(100_000))
    assert equal(decode_value(encode_value(short)), short)
    chain: Any = None
    for number in range(100_000):
        lazy = LazySeq(None)
        lazy.state, lazy.value = "done", Cons(number, chain)
        chain = lazy
    assert count(chain) == 100_000 and equal(chain, Vector.of(range(99_999, -1, -1)))
    assert equal(decode_value(encode_value(chain)), chain)


def test_cells_in_cells() -> None:
    inner: Any = 1
    for _ in range(DEPTH):
        inner = Cell(inner)
    assert print_string(inner).startswith("#cell #cell #cell") and len(print_string(inner, limit=50)) == 51
    encoder = Encoder(object(), 1)
    encoder.atom(inner)
    assert len(encoder.records) == 1  # its state is the caller's to write
    knot = Cell()
    knot.value = Vector.of([knot, knot])
    assert print_string(knot) == "#cell [#cell … #cell …]"


def test_sharing_does_not_make_comparison_exponential() -> None:
    one: Any = EMPTY_MAP
    two: Any = EMPTY_MAP
    for _ in range(200):
        one, two = Vector.of([one, one]), Vector.of([two, two])
    assert equal(one, two)
    assert hash_of(one) == hash_of(two)
    assert len(print_string(one, limit=1000)) == 1001


def test_python_data_has_a_limit_of_depth() -> None:
    data: Any = 1
    for _ in range(512):
        data = [data]
    assert to_python(from_python(data)) == data
    with pytest.raises(LanguageError) as caught:
        from_python([data])
    assert caught.value.error.kind is keyword("limit")
    with pytest.raises(LanguageError) as caught:
        to_python(nest(lambda inner: Vector((inner,)), 513))
    assert caught.value.error.kind is keyword("limit")
