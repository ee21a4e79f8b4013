"""The shorter ways through builtins give and raise what the builtins themselves do."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from flowmetal.values import (
    EMPTY_LIST,
    Char,
    LanguageError,
    LazySeq,
    List,
    Map,
    NeedsRealize,
    Set,
    Vector,
    VectorSeq,
    keyword,
    print_string,
)
from flowmetal.values import sequences as every
from flowmetal.vm.builtins.lean import LEAN
from flowmetal.vm.builtins.registry import BUILTINS

_LONG = Vector.of(range(100))
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, -(1 << 29), 1 << 29, (1 << 62) + 1, -(1 << 300), 1 << 300, 0.0, -0.0, 1.5,
    float("inf"), Fraction(1, 3), Decimal("1.0"), "", "text", Char("a"), keyword("a"), EMPTY_LIST, List.of([1, 2, 3]),
    Vector.of([]), Vector.of([1, 2]), _LONG, VectorSeq(Vector.of([1, 2, 3]), 1), VectorSeq(_LONG, 40), Map.of([]),
    Map.of([(1, 2), (True, 4), (keyword("a"), 3), ("text", 5), (1.5, 6)]), Map.of([(n, n) for n in range(50)]),
    Set.of([1, True]), every.cons(1, Vector.of([2])), every.cons(1, LazySeq(None)), LazySeq(None),
    BUILTINS[515].function(0, 10, 3), BUILTINS[515].function(10, 0, -3), BUILTINS[515].function(0.5, 4, 1),
]  # fmt: skip


def _outcome(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        value = function(*arguments)
    except LanguageError as problem:
        return type(problem), problem.error.kind, problem.error.message
    except NeedsRealize as need:
        return NeedsRealize, id(need.seq), need.whole
    return type(value), print_string(value, limit=200)


@pytest.mark.parametrize(("number", "count"), LEAN)
def test_the_same(number: int, count: int) -> None:
    info = BUILTINS[number]
    assert info.accepts(count)
    for arguments in product(VALUES, repeat=min(count, 2)):
        given = (*arguments, *(keyword("end"),) * (count - 2)) if count > 2 else arguments
        assert _outcome(LEAN[number, count], given) == _outcome(info.function, given), (info.name, given)
