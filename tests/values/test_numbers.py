"""Arithmetic: contagion, exactness, limits, Clojure's division."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from flowmetal.values import (
    INTEGER_BITS_MAX,
    LanguageError,
    absolute,
    add,
    compare_numbers,
    decrement,
    divide,
    floor_number,
    identical,
    increment,
    int_text,
    keyword,
    less,
    less_equal,
    modulo,
    multiply,
    negate,
    num_equal,
    parse_int,
    quotient,
    rationalize,
    remainder,
    subtract,
    to_integer,
)
from tests.values.strategies import DECIMALS, FLOATS, INTEGERS, RATIOS

INF, NAN = math.inf, math.nan
D, F = Decimal, Fraction

RESULTS: list[tuple[Callable[..., Any], tuple[Any, ...], Any]] = [
    (add, (1, 2), 3),
    (add, (1 << 62, 1 << 62), 1 << 63),
    (add, (F(1, 2), F(1, 2)), 1),
    (add, (1, F(1, 2)), F(3, 2)),
    (add, (1, 0.5), 1.5),
    (add, (D("1.0"), 1), D("2.0")),
    (add, (F(1, 2), D("1")), D("1.5")),
    (add, (D("0.1"), 0.5), 0.6),
    (add, (10**400, 1.0), INF),
    (subtract, (1, 2), -1),
    (multiply, (F(2, 3), F(3, 2)), 1),
    (multiply, (D("1.10"), D("2")), D("2.20")),
    (multiply, (1e308, 10), INF),
    (divide, (6, 3), 2),
    (divide, (1, 3), F(1, 3)),
    (divide, (-6, 4), F(-3, 2)),
    (divide, (1, 2.0), 0.5),
    (divide, (1, 0.0), INF),
    (divide, (-1, 0.0), -INF),
    (divide, (1.0, 0), INF),
    (divide, (1.0, -0.0), -INF),
    (divide, (0.0, 0), NAN),
    (divide, (D("1.0"), D("4")), D("0.25")),
    (quotient, (7, 2), 3),
    (quotient, (-7, 2), -3),
    (quotient, (7, -2), -3),
    (quotient, (-7.5, 2), -3.0),
    (quotient, (F(7, 2), 1), 3),
    (quotient, (D("7.5"), 2), D("3.0")),
    (remainder, (7, 2), 1),
    (remainder, (-7, 2), -1),
    (remainder, (7, -2), 1),
    (remainder, (-7.5, 2), -1.5),
    (remainder, (F(7, 2), 1), F(1, 2)),
    (remainder, (D("7.5"), 2), D("1.5")),
    (modulo, (7, 2), 1),
    (modulo, (-7, 2), 1),
    (modulo, (7, -2), -1),
    (modulo, (-7.5, 2), 0.5),
    (modulo, (6.0, -2), 0.0),
    (modulo, (F(-1, 2), 1), F(1, 2)),
    (negate, (5,), -5),
    (negate, (D("1.0"),), D("-1.0")),
    (negate, (0.0,), -0.0),
    (negate, (F(1, 2),), F(-1, 2)),
    (increment, (5,), 6),
    (decrement, (0.5,), -0.5),
    (absolute, (-5,), 5),
    (absolute, (D("-1.0"),), D("1.0")),
    (to_integer, (2.9,), 2),
    (to_integer, (D("-2.9"),), -2),
    (to_integer, (F(-7, 2),), -3),
    (to_integer, (D("1E-999999999"),), 0),
    (rationalize, (0.1,), F(1, 10)),
    (rationalize, (D("1.50"),), F(3, 2)),
    (floor_number, (-0.5,), -1.0),
    (floor_number, (F(-1, 2),), -1),
    (floor_number, (D("1.5"),), 1),
    (less, (1, 1.5), True),
    (less, (F(1, 3), D("0.3334")), True),
    (less, (D("1E+999999999"), F(1, 3)), False),
    (less, (D("1E-999999999"), F(1, 3)), True),
    (less, (NAN, 1), False),
    (less_equal, (1, 1.0), True),
    (num_equal, (1, 1.0), True),
    (num_equal, (1, D("1.00")), True),
    (num_equal, (0.5, F(1, 2)), True),
    (num_equal, (NAN, NAN), False),
    (compare_numbers, (1, 2.5), -1),
    (compare_numbers, (10**400, 1.0), 1),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), RESULTS)
def test_results(function: Callable[..., Any], arguments: tuple[Any, ...], expected: Any) -> None:
    found = function(*arguments)
    assert identical(found, expected), f"{found!r} is not {expected!r}"


ERRORS: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (add, (1, True), "type"),
    (add, ("a", 1), "type"),
    (add, (None, 1), "type"),
    (less, (1, "a"), "type"),
    (num_equal, (True, True), "type"),
    (compare_numbers, (True, 1), "type"),
    (negate, ("a",), "type"),
    (negate, (True,), "type"),
    (absolute, (False,), "type"),
    (divide, (1, 0), "arithmetic"),
    (divide, (F(1, 2), 0), "arithmetic"),
    (divide, (D(1), D(3)), "arithmetic"),
    (divide, (D(1), 0), "arithmetic"),
    (add, (F(1, 3), D(1)), "arithmetic"),
    (quotient, (1, 0), "arithmetic"),
    (quotient, (1.0, 0), "arithmetic"),
    (quotient, (INF, 1), "arithmetic"),
    (remainder, (1, 0.0), "arithmetic"),
    (modulo, (1, 0), "arithmetic"),
    (to_integer, (NAN,), "arithmetic"),
    (rationalize, (INF,), "arithmetic"),
    (multiply, (1 << INTEGER_BITS_MAX // 2, 1 << INTEGER_BITS_MAX // 2), "limit"),
    (add, (D("1E+9999"), D("1E-9999")), "limit"),
    (quotient, (D("1E+999999"), D(3)), "limit"),
    (to_integer, (D("1E+999999999"),), "limit"),
    (rationalize, (D("1E-999999999"),), "limit"),
]


@pytest.mark.parametrize(("function", "arguments", "kind"), ERRORS)
def test_errors(function: Callable[..., Any], arguments: tuple[Any, ...], kind: str) -> None:
    with pytest.raises(LanguageError) as caught:
        function(*arguments)
    assert caught.value.error.kind is keyword(kind)


NUMBERS = INTEGERS | RATIOS | FLOATS | DECIMALS


@given(NUMBERS, NUMBERS)
def test_only_errors_of_the_language(a: Any, b: Any) -> None:
    for function in (add, subtract, multiply, divide, quotient, remainder, modulo, less, less_equal, num_equal):
        try:
            found = function(a, b)
        except LanguageError:
            continue
        assert found.__class__ in (int, F, D, float, bool)
        assert found.__class__ is not F or found.denominator != 1


@given(INTEGERS, INTEGERS.filter(bool))
def test_division_of_integers(a: int, b: int) -> None:
    assert add(multiply(quotient(a, b), b), remainder(a, b)) == a
    assert modulo(a, b) == a % b
    assert multiply(divide(a, b), b) == a


@given(RATIOS | INTEGERS, RATIOS | INTEGERS)
def test_exact_numbers_are_those_of_fractions(a: Any, b: Any) -> None:
    assert add(a, b) == F(a) + F(b) and multiply(a, b) == F(a) * F(b) and subtract(a, b) == F(a) - F(b)
    assert less(a, b) == (F(a) < F(b))


@pytest.mark.parametrize("digits", [1, 3999, 4000, 4001, 4300, 8000, 12345, 50_000])
def test_long_integers_as_text(digits: int) -> None:
    for value in (10**digits, 10**digits - 1, -(10**digits) // 7, 10 ** (digits - 1)):
        text = int_text(value)
        assert parse_int(text) == value
        assert text.lstrip("-")[0] != "0"
    assert int_text(10**digits) == "1" + "0" * digits
    assert parse_int("+" + "9" * digits) == 10**digits - 1


@pytest.mark.parametrize("text", ["", "a", "1" * 5000 + "x", "-", "1_" * 3000, "١" * 5000])
def test_what_is_no_integer(text: str) -> None:
    if text == "":
        text = "x"
    with pytest.raises(ValueError, match=r"inte|literal"):
        parse_int(text)
