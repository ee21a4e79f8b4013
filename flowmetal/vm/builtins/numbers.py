"""Arithmetic, comparison and bits.  The rules of mixed numbers are those of flowmetal.values.numbers.

Only operations whose result is the same on every machine are here: IEEE arithmetic and correctly rounded square
roots, but none of libm's transcendental functions, whose last digit differs between systems.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from flowmetal.values import Char, fail, float_text, numbers
from flowmetal.vm.builtins.check import index, integer, number, shown, string, wrong_type
from flowmetal.vm.builtins.registry import add, builtin

BITS_MAX = 1 << 20  # of an integer result; a larger one is a mistake or an attack, and would stall the machine
DIGITS_MAX = 315_653  # decimal digits of the largest integer; Python's own quadratic conversion stays bounded

_add, _subtract, _multiply, _divide = numbers.add, numbers.subtract, numbers.multiply, numbers.divide
_less, _less_equal = numbers.less, numbers.less_equal


@builtin(100, "+", 0, None)
def plus(*values: Any) -> Any:
    """The sum of numbers; 0 of none."""
    if not values:
        return 0
    total = number("+", values[0])
    for value in values[1:]:
        total = _add(total, value)
    return total


@builtin(101, "-", 1, None)
def minus(first: Any, *values: Any) -> Any:
    """Subtracts the other numbers from the first; negates a single one."""
    if not values:
        return numbers.negate(first)
    for value in values:
        first = _subtract(first, value)
    return first


@builtin(102, "*", 0, None)
def times(*values: Any) -> Any:
    """The product of numbers; 1 of none."""
    if not values:
        return 1
    product = number("*", values[0])
    for value in values[1:]:
        product = _multiply(product, value)
    return product


@builtin(103, "divide", 1, None)
def over(first: Any, *values: Any) -> Any:
    """Divides the first number by the others; integers that do not divide give a ratio.  A single one is inverted."""
    if not values:
        return _divide(1, first)
    for value in values:
        first = _divide(first, value)
    return first


add(104, "quot", 2, 2, numbers.quotient, doc="The quotient of a division, rounded towards zero.")
add(105, "rem", 2, 2, numbers.remainder, doc="The remainder of a division; it has the sign of the dividend.")
add(106, "mod", 2, 2, numbers.modulo, doc="The modulus of a division; it has the sign of the divisor.")


@builtin(107, "inc", 1)
def inc(value: Any) -> Any:
    """One more than a number."""
    return _add(value, 1)


@builtin(108, "dec", 1)
def dec(value: Any) -> Any:
    """One less than a number."""
    return _subtract(value, 1)


def _chain(test: Callable[[Any, Any], bool], swapped: bool) -> Callable[..., bool]:
    """A comparison of any number of arguments, each with the next, up to the first that does not hold."""

    def compare_all(first: Any, *values: Any) -> bool:
        for value in values:
            if not (test(value, first) if swapped else test(first, value)):
                return False
            first = value
        return True

    return compare_all


add(109, "<", 1, None, _chain(_less, False), doc="Whether numbers are in strictly increasing order.")
add(110, "<=", 1, None, _chain(_less_equal, False), doc="Whether numbers are in non-decreasing order.")
add(111, ">", 1, None, _chain(_less, True), doc="Whether numbers are in strictly decreasing order.")
add(112, ">=", 1, None, _chain(_less_equal, True), doc="Whether numbers are in non-increasing order.")
add(113, "==", 1, None, _chain(numbers.num_equal, False), doc="Whether numbers have one value, whatever type.")


@builtin(114, "max", 1, None)
def maximum(first: Any, *values: Any) -> Any:
    """The greatest of numbers; NaN if one is."""
    if not values:
        return first
    best = number("max", first)
    for value in values:
        if _is_nan(value) or _is_nan(best):
            best = value if _is_nan(value) else best
        elif not _less(value, best):  # of equal ones of two kinds the later, as in Clojure
            best = value
    return best


@builtin(115, "min", 1, None)
def minimum(first: Any, *values: Any) -> Any:
    """The least of numbers; NaN if one is."""
    if not values:
        return first
    best = number("min", first)
    for value in values:
        if _is_nan(value) or _is_nan(best):
            best = value if _is_nan(value) else best
        elif not _less(best, value):
            best = value
    return best


@builtin(116, "abs", 1)
def absolute(value: Any) -> Any:
    """The absolute value of a number."""
    return numbers.absolute(value)


@builtin(117, "zero?", 1)
def is_zero(value: Any) -> bool:
    """Whether a number is zero."""
    return bool(number("zero?", value) == 0)


@builtin(118, "pos?", 1)
def is_positive(value: Any) -> bool:
    """Whether a number is greater than zero."""
    return bool(number("pos?", value) > 0)


@builtin(119, "neg?", 1)
def is_negative(value: Any) -> bool:
    """Whether a number is less than zero."""
    return bool(number("neg?", value) < 0)


@builtin(120, "even?", 1)
def is_even(value: Any) -> bool:
    """Whether an integer is even."""
    return integer("even?", value) & 1 == 0


@builtin(121, "odd?", 1)
def is_odd(value: Any) -> bool:
    """Whether an integer is odd."""
    return integer("odd?", value) & 1 == 1


def _is_nan(value: Any) -> bool:
    return value.is_nan() if value.__class__ is Decimal else value.__class__ is float and math.isnan(value)


@builtin(122, "int", 1)
def to_integer(value: Any) -> int:
    """The integer part of a number, or the code point of a character."""
    if value.__class__ is Char:
        return ord(value.text)
    return numbers.to_integer(value)


@builtin(123, "float", 1)
def to_float(value: Any) -> float:
    """The float nearest to a number."""
    return numbers.to_float(number("float", value))


@builtin(124, "decimal", 1)
def to_decimal(value: Any) -> Decimal:
    """A decimal of the value of a number or a string; a ratio must have a finite expansion."""
    kind = value.__class__
    if kind is Decimal:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return Decimal(value)
    if kind is float:
        if not math.isfinite(value):
            fail("arithmetic", f"decimal needs a finite number, not {shown(value)}")
        return Decimal(float_text(value)) if value else Decimal("0.0")
    if kind is Fraction:
        return numbers.divide(Decimal(value.numerator), Decimal(value.denominator))  # type: ignore[no-any-return]
    if kind is str:
        if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,6})?", value):
            return numbers.decimal(value)
        fail("argument", f"decimal cannot read {shown(value)}")
    wrong_type("decimal", "a number or a string", value)


add(125, "rationalize", 1, 1, numbers.rationalize, doc="The exact integer or ratio a float or decimal is written as.")


@builtin(126, "numerator", 1)
def numerator(value: Any) -> int:
    """The numerator of a ratio or an integer."""
    if value.__class__ not in (int, Fraction):
        wrong_type("numerator", "a ratio", value)
    return value.numerator


@builtin(127, "denominator", 1)
def denominator(value: Any) -> int:
    """The denominator of a ratio or an integer."""
    if value.__class__ not in (int, Fraction):
        wrong_type("denominator", "a ratio", value)
    return value.denominator


@builtin(128, "NaN?", 1)
def is_nan(value: Any) -> bool:
    """Whether a number is not a number."""
    return _is_nan(number("NaN?", value))


@builtin(129, "infinite?", 1)
def is_infinite(value: Any) -> bool:
    """Whether a number is infinite."""
    number("infinite?", value)
    return value.__class__ in (float, Decimal) and value in (math.inf, -math.inf)


def _bits(name: str, function: Callable[[int, int], int]) -> Callable[..., int]:
    def fold(first: Any, second: Any, *more: Any) -> int:
        total = function(integer(name, first), integer(name, second))
        for value in more:
            total = function(total, integer(name, value))
        return total

    return fold


add(130, "bit-and", 2, None, _bits("bit-and", int.__and__), doc="The bitwise and of integers.")
add(131, "bit-or", 2, None, _bits("bit-or", int.__or__), doc="The bitwise or of integers.")
add(132, "bit-xor", 2, None, _bits("bit-xor", int.__xor__), doc="The bitwise exclusive or of integers.")
add(133, "bit-and-not", 2, None, _bits("bit-and-not", lambda a, b: a & ~b), doc="The first without the others' bits.")


@builtin(134, "bit-not", 1)
def bit_not(value: Any) -> int:
    """The bitwise complement of an integer."""
    return ~integer("bit-not", value)


@builtin(135, "bit-shift-left", 2)
def shift_left(value: Any, places: Any) -> int:
    """An integer with its bits moved left."""
    integer("bit-shift-left", value)
    index("bit-shift-left", places)
    if value.bit_length() + places > BITS_MAX:
        fail("limit", f"bit-shift-left would make an integer of more than {BITS_MAX} bits")
    return int(value << places)


@builtin(136, "bit-shift-right", 2)
def shift_right(value: Any, places: Any) -> int:
    """An integer with its bits moved right; the sign stays."""
    return integer("bit-shift-right", value) >> index("bit-shift-right", places)


@builtin(137, "bit-test", 2)
def bit_test(value: Any, place: Any) -> bool:
    """Whether a bit of an integer is set."""
    return integer("bit-test", value) >> index("bit-test", place) & 1 == 1


@builtin(138, "bit-set", 2)
def bit_set(value: Any, place: Any) -> int:
    """An integer with a bit set."""
    return integer("bit-set", value) | shift_left(1, place)


@builtin(139, "bit-clear", 2)
def bit_clear(value: Any, place: Any) -> int:
    """An integer with a bit cleared."""
    return integer("bit-clear", value) & ~shift_left(1, place)


@builtin(140, "bit-flip", 2)
def bit_flip(value: Any, place: Any) -> int:
    """An integer with a bit flipped."""
    return integer("bit-flip", value) ^ shift_left(1, place)


@builtin(141, "bit-count", 1)
def bit_count(value: Any) -> int:
    """How many bits of a non-negative integer are set."""
    return index("bit-count", value).bit_count()


@builtin(142, "sqrt", 1)
def sqrt(value: Any) -> float:
    """The square root of a number, as a float; NaN of a negative one."""
    as_float = to_float(value)
    return math.nan if as_float < 0 else math.sqrt(as_float)


@builtin(143, "integer-sqrt", 1)
def integer_sqrt(value: Any) -> int:
    """The greatest integer whose square is at most an integer."""
    return math.isqrt(index("integer-sqrt", value))


@builtin(144, "power", 2)
def power(base: Any, exponent: Any) -> Any:
    """A number to the power of an integer; exact for exact numbers."""
    number("power", base)
    integer("power", exponent)
    if base.__class__ is int and base.bit_length() * abs(exponent) > BITS_MAX and base not in (0, 1, -1):
        fail("limit", f"power would make an integer of more than {BITS_MAX} bits")
    if base.__class__ is Fraction:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent) > BITS_MAX:
            fail("limit", f"power would make an integer of more than {BITS_MAX} bits")
    # By repeated squaring with the language's own multiplication: Python's ** on floats is libm's.
    result: Any = 1
    square, left = base, abs(exponent)
    while left:
        if left & 1:
            result = _multiply(result, square)
        left >>= 1
        if left:
            square = _multiply(square, square)
    return result if exponent >= 0 else _divide(1, result)


def _rounder(who: str, towards: Callable[[Any], int]) -> Callable[[Any], Any]:
    def rounded(value: Any) -> Any:
        number(who, value)
        if value.__class__ is Decimal and value.is_finite() and value.adjusted() > DIGITS_MAX:
            fail("limit", f"{who} would make an integer of more than {DIGITS_MAX} digits")
        try:
            return towards(value)
        except (OverflowError, ValueError):
            fail("argument", f"{who} needs a finite number, not {shown(value)}")

    return rounded


def _half_up(value: Any) -> int:
    return math.floor(Fraction(value) + Fraction(1, 2))


add(145, "floor", 1, 1, _rounder("floor", math.floor), doc="The greatest integer that is not greater than a number.")
add(146, "ceil", 1, 1, _rounder("ceil", math.ceil), doc="The least integer that is not less than a number.")
add(147, "round", 1, 1, _rounder("round", _half_up), doc="The nearest integer to a number; a half is rounded up.")


@builtin(148, "parse-long", 1)
def parse_long(value: Any) -> int | None:
    """The integer a string of decimal digits stands for, or nil if it is not one."""
    digits = string("parse-long", value)
    if len(digits) > 4000 or not re.fullmatch(r"[+-]?[0-9]+", digits):
        return None
    return int(digits)


@builtin(149, "parse-double", 1)
def parse_double(value: Any) -> float | None:
    """The float a string stands for, or nil if it is not one."""
    digits = string("parse-double", value)
    found = re.fullmatch(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[dDfF]?\s*", digits, re.ASCII)
    if found is None:
        special = re.fullmatch(r"\s*([+-]?)(Infinity|NaN)\s*", digits, re.ASCII)
        return None if special is None else float(special[1] + special[2])
    return float(found[1])


@builtin(150, "parse-boolean", 1)
def parse_boolean(value: Any) -> bool | None:
    """true for "true", false for "false", nil for any other string."""
    return {"true": True, "false": False}.get(string("parse-boolean", value))


@builtin(151, "parse-decimal", 1)
def parse_decimal(value: Any) -> Decimal | None:
    """The decimal a string stands for, or nil if it is not one."""
    digits = string("parse-decimal", value)
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,6})?", digits):
        return None
    try:
        return numbers.decimal(digits)
    except InvalidOperation:
        return None
