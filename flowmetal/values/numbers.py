"""Arithmetic and comparison of numbers: integer, ratio, decimal, float, in this order of contagion.

Integers are exact and of any size up to INTEGER_BITS_MAX; dividing them gives a ratio where they do not divide.
Decimals are exact up to DECIMAL_DIGITS_MAX digits.  Floats follow IEEE 754.  A bool is never a number.  Errors are
LanguageErrors of kind :type (not a number), :arithmetic (division by zero, no exact decimal) and :limit (a result too
large to hold).
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from math import floor, inf, isfinite, isnan, nan
from typing import Any, NoReturn

from flowmetal.values.base import LATE, Value
from flowmetal.values.errors import fail
from flowmetal.values.work import weigh

INTEGER_BITS_MAX = 1 << 20  # a larger integer would let one instruction take seconds
WEIGHED_BITS = 1 << 15  # of an integer that is some work to make
RATIO_BITS_MAX = 1 << 16  # of either part; bringing larger ones to lowest terms takes too long
CONVERTED_BITS_MAX = 1 << 17  # of an integer that becomes a decimal: that takes time by the square
DECIMAL_DIGITS_MAX = 4096  # exact decimals grow with every multiplication; this is far beyond any use

_WORD = 1 << 63
_EXACT = Context(
    prec=DECIMAL_DIGITS_MAX,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
_INT, _RATIO, _DECIMAL, _FLOAT = 1, 2, 3, 4
_LEVEL: dict[type, int] = {int: _INT, Fraction: _RATIO, Decimal: _DECIMAL, float: _FLOAT}


def is_number(value: Value) -> bool:
    """Whether a value is a number."""
    return value.__class__ in _LEVEL


def _not_number(value: Value, name: str) -> NoReturn:
    fail("type", f"`{name}` needs numbers, not {LATE.short(value)}", value)


def to_float(value: Any) -> float:
    """A number as a float; infinite when it is too large."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _to_decimal(value: Any, name: str) -> Decimal:
    if value.__class__ is Decimal:
        found: Decimal = value
        return found
    try:
        if value.__class__ is int:
            if value.bit_length() > CONVERTED_BITS_MAX:
                fail("limit", f"a decimal of more than {DECIMAL_DIGITS_MAX} digits")
            return _EXACT.create_decimal(value)
        return _EXACT.divide(_EXACT.create_decimal(value.numerator), _EXACT.create_decimal(value.denominator))
    except Inexact:
        fail("arithmetic", f"`{name}`: a ratio has no exact decimal expansion", value)


def decimal(text: str) -> Decimal:
    """The decimal a text stands for; there is no zero below zero.  decimal.InvalidOperation for other texts."""
    value = Decimal(text)
    return value if value else value.copy_abs()


def normal(value: Any) -> Value:
    """The number as the language holds it: a ratio with denominator 1 becomes an integer; refuses what is too large."""
    if value.__class__ is int:
        if -_WORD <= value < _WORD:
            return value
        bits = value.bit_length()
        if bits <= INTEGER_BITS_MAX:
            if bits > WEIGHED_BITS:
                weigh(bits / 10_000)
            return value
        fail("limit", f"an integer of more than {INTEGER_BITS_MAX} bits")
    if value.__class__ is Fraction:
        if value.denominator == 1:
            return normal(value.numerator)
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > RATIO_BITS_MAX:
            fail("limit", f"a ratio of more than {RATIO_BITS_MAX} bits")
    return value


def _pair(a: Any, b: Any, name: str) -> tuple[int, Any, Any]:
    """Both numbers as the kind that wins, with its level."""
    level_a, level_b = _LEVEL.get(a.__class__), _LEVEL.get(b.__class__)
    if level_a is None:
        _not_number(a, name)
    if level_b is None:
        _not_number(b, name)
    level = max(level_a, level_b)
    if level == _FLOAT:
        return level, to_float(a), to_float(b)
    if level == _DECIMAL:
        return level, _to_decimal(a, name), _to_decimal(b, name)
    return level, a, b


def _decimal(operation: Any, a: Decimal, b: Decimal, name: str) -> Decimal:
    try:
        result: Decimal = operation(a, b)
    except Inexact:
        if name == "/":
            fail("arithmetic", "the quotient has no exact decimal expansion")
        fail("limit", f"a decimal of more than {DECIMAL_DIGITS_MAX} digits")
    except (InvalidOperation, DivisionByZero, Overflow):
        fail("limit", "a decimal is too large or too small")
    return result if result else result.copy_abs()  # a decimal has no zero below zero


def add(a: Value, b: Value) -> Value:
    """a + b"""
    if a.__class__ is int and b.__class__ is int:
        result = a + b
        return result if -_WORD <= result < _WORD else normal(result)
    level, x, y = _pair(a, b, "+")
    return _decimal(_EXACT.add, x, y, "+") if level == _DECIMAL else normal(x + y)


def subtract(a: Value, b: Value) -> Value:
    """a - b"""
    if a.__class__ is int and b.__class__ is int:
        result = a - b
        return result if -_WORD <= result < _WORD else normal(result)
    level, x, y = _pair(a, b, "-")
    return _decimal(_EXACT.subtract, x, y, "-") if level == _DECIMAL else normal(x - y)


def multiply(a: Value, b: Value) -> Value:
    """a * b"""
    if a.__class__ is int and b.__class__ is int:
        result = a * b
        return result if -_WORD <= result < _WORD else normal(result)
    level, x, y = _pair(a, b, "*")
    return _decimal(_EXACT.multiply, x, y, "*") if level == _DECIMAL else normal(x * y)


def divide(a: Value, b: Value) -> Value:
    """a / b; integers give a ratio unless they divide, floats give infinities, decimals must come out exactly."""
    level, x, y = _pair(a, b, "/")
    if level == _FLOAT:
        return _divide_float(x, y)
    if not y:
        fail("arithmetic", "division by zero")
    if level == _DECIMAL:
        return _decimal(_EXACT.divide, x, y, "/")
    return normal(Fraction(x, y))


def _divide_float(x: float, y: float) -> float:
    if y:
        return x / y
    if not x or isnan(x):
        return nan
    negative = str(y).startswith("-") != (x < 0)
    return -inf if negative else inf


def _whole_quotient(level: int, x: Any, y: Any) -> int:
    """The quotient of two numbers cut off towards zero, as an integer."""
    if not y:
        fail("arithmetic", "division by zero")
    if level == _INT:
        whole: int = abs(x) // abs(y)
        return whole if (x < 0) == (y < 0) else -whole
    if level == _FLOAT:
        ratio = x / y
        if not isfinite(ratio):
            fail("arithmetic", "a quotient that is infinite or not a number has no integer part")
        return int(ratio)
    if level == _DECIMAL and abs(x.adjusted() - y.adjusted()) > DECIMAL_DIGITS_MAX:
        if x.adjusted() < y.adjusted() or not x:
            return 0
        fail("limit", f"a decimal quotient of more than {DECIMAL_DIGITS_MAX} digits")
    exact = Fraction(x) / Fraction(y) if level == _RATIO else _decimal_ratio(x, y)
    result = abs(exact.numerator) // exact.denominator
    return result if exact >= 0 else -result


def _decimal_ratio(x: Decimal, y: Decimal) -> Fraction:
    """x / y exactly, without the powers of ten that both have (their exponents may be huge)."""
    shift = max(min(int(x.as_tuple().exponent), int(y.as_tuple().exponent)), MIN_EMIN)
    return Fraction(x.scaleb(-shift, _EXACT)) / Fraction(y.scaleb(-shift, _EXACT))


def quotient(a: Value, b: Value) -> Value:
    """The quotient cut off towards zero (`quot`), in the kind that wins."""
    level, x, y = _pair(a, b, "quot")
    result = _whole_quotient(level, x, y)
    if level == _FLOAT:
        return to_float(result)
    return _scaled(result, x, y) if level == _DECIMAL else normal(result)


def _scaled(whole: int, x: Decimal, y: Decimal) -> Decimal:
    """A whole quotient of x and y as a decimal with as many digits behind the point as x has more than y, as Java."""
    scale = int(y.as_tuple().exponent) - int(x.as_tuple().exponent)
    exact = _to_decimal(whole, "quot")
    if scale > DECIMAL_DIGITS_MAX or -scale > DECIMAL_DIGITS_MAX:
        return exact
    if scale >= 0:
        return _decimal(_EXACT.multiply, exact, Decimal((0, (1,) + (0,) * scale, -scale)), "quot")
    zeros = len(exact.as_tuple().digits) - len(str(exact).rstrip("0")) + (exact < 0) if whole else -scale
    digits = min(zeros, -scale)
    return Decimal((int(exact < 0), exact.as_tuple().digits[: -digits or None], digits))


def remainder(a: Value, b: Value) -> Value:
    """The remainder of `quotient`; has the sign of the dividend (`rem`)."""
    level, x, y = _pair(a, b, "rem")
    whole = _whole_quotient(level, x, y)
    if level == _FLOAT:
        return x - to_float(whole) * y
    if level == _DECIMAL:
        return subtract(x, multiply(_scaled(whole, x, y), y))
    return normal(x - whole * y)


def modulo(a: Value, b: Value) -> Value:
    """The remainder with the sign of the divisor (`mod`)."""
    if a.__class__ is int and b.__class__ is int and b:
        return a % b
    result = remainder(a, b)
    return result if not result or (a > 0) == (b > 0) else add(result, b)


def negate(a: Any) -> Value:
    """-a"""
    kind: type = a.__class__
    if kind is Decimal:
        return a.copy_negate() if a else a
    if kind not in _LEVEL:
        _not_number(a, "-")
    return -a


def increment(a: Value) -> Value:
    """a + 1"""
    return add(a, 1)


def decrement(a: Value) -> Value:
    """a - 1"""
    return subtract(a, 1)


def absolute(a: Any) -> Value:
    """The number without its sign."""
    kind: type = a.__class__
    if kind not in _LEVEL:
        _not_number(a, "abs")
    return a.copy_abs() if kind is Decimal else abs(a)


def _ordered(a: Any, b: Any, name: str) -> tuple[Any, Any]:
    """Both numbers as Python can compare them: floats with floats, else exactly."""
    kind_a, kind_b = a.__class__, b.__class__
    if kind_a not in _LEVEL:
        _not_number(a, name)
    if kind_b not in _LEVEL:
        _not_number(b, name)
    if kind_a is kind_b:
        return a, b
    if kind_a is float or kind_b is float:
        return to_float(a), to_float(b)
    if kind_a is Decimal or kind_b is Decimal:
        return _compared(a, b)
    return a, b


def _compared(a: Any, b: Any) -> tuple[int, int]:
    """Two numbers of which one is a decimal, replaced by small integers of the same order."""
    if a.__class__ is Fraction or b.__class__ is Fraction:
        ratio, other, sign = (a, b, 1) if a.__class__ is Fraction else (b, a, -1)
        if abs(other.adjusted()) > DECIMAL_DIGITS_MAX:  # to make it a ratio could take all memory
            if other.adjusted() < 0 or not other:
                return (sign, 0) if ratio > 0 else (-sign, 0)
            return (0, sign) if other > 0 else (0, -sign)
        exact = Fraction(other)
        return sign * ((ratio > exact) - (ratio < exact)), 0
    integer, exact_decimal, sign = (a, b, 1) if a.__class__ is int else (b, a, -1)
    if integer.bit_length() > CONVERTED_BITS_MAX:
        return sign * _compared_large(integer, exact_decimal), 0
    return (a > b) - (a < b), 0


def _compared_large(integer: int, other: Decimal) -> int:
    """An integer that is large with a decimal, without making a decimal of it."""
    digits = integer.bit_length() * 0.30103
    if (integer > 0) != (other > 0) or other.adjusted() < digits - 2:
        return 1 if integer > 0 else -1
    if other.adjusted() > digits + 2:
        return -1 if integer > 0 else 1
    sign, digits_of, exponent = other.as_tuple()
    # A decimal with so many digits before its point has none behind it.
    whole: int = int(Decimal((sign, digits_of, 0))) * 10 ** max(int(exponent), 0)
    return (integer > whole) - (integer < whole)


def less(a: Value, b: Value) -> bool:
    """a < b"""
    if a.__class__ is int and b.__class__ is int:
        return bool(a < b)
    x, y = _ordered(a, b, "<")
    return bool(x < y)


def less_equal(a: Value, b: Value) -> bool:
    """a <= b"""
    if a.__class__ is int and b.__class__ is int:
        return bool(a <= b)
    x, y = _ordered(a, b, "<=")
    return bool(x <= y)


def num_equal(a: Value, b: Value) -> bool:
    """Whether two numbers are the same number, of whatever kind (`==`)."""
    if a.__class__ is int and b.__class__ is int:
        return bool(a == b)
    x, y = _ordered(a, b, "==")
    return bool(x == y)


def compare_numbers(a: Value, b: Value) -> int:
    """-1, 0 or 1; 0 where one is not a number (##NaN), as in Clojure."""
    if a.__class__ is int and b.__class__ is int:
        return int(a > b) - int(a < b)
    x, y = _ordered(a, b, "compare")
    return int(x > y) - int(x < y)


def to_integer(a: Value) -> int:
    """The number cut off towards zero, as an integer (`long`, `bigint`)."""
    kind = a.__class__
    if kind is int:
        return int(a)
    if kind not in _LEVEL:
        _not_number(a, "int")
    if kind is float and not isfinite(a):
        fail("arithmetic", "an infinite number or ##NaN has no integer part")
    if kind is Decimal and a.adjusted() > INTEGER_BITS_MAX:
        fail("limit", f"an integer of more than {INTEGER_BITS_MAX} bits")
    if kind is Decimal and a.adjusted() < 0:
        return 0
    return int(normal(int(a)))


def rationalize(a: Value) -> Value:
    """The number as an integer or ratio; a float stands for the decimal it prints as."""
    if a.__class__ not in _LEVEL:
        _not_number(a, "rationalize")
    if a.__class__ is float:
        if not isfinite(a):
            fail("arithmetic", "an infinite number or ##NaN is no ratio")
        return normal(Fraction(repr(a)))
    if a.__class__ is Decimal:
        if abs(int(a.as_tuple().exponent)) > DECIMAL_DIGITS_MAX:
            fail("limit", f"a ratio of more than {DECIMAL_DIGITS_MAX} digits")
        return normal(Fraction(a))
    return a


def floor_number(a: Value) -> Value:
    """The largest integer that is not above the number; a float stays a float."""
    if a.__class__ is float:
        return float(floor(a)) if isfinite(a) else a
    if a.__class__ is Decimal or a.__class__ is Fraction:
        whole = to_integer(a)
        return whole - 1 if less(a, whole) else whole
    if a.__class__ is not int:
        _not_number(a, "floor")
    return a


_CHUNK = 4000  # digits Python converts without its limit on long numbers being met


def int_text(value: int) -> str:
    """The decimal digits of an integer of any size, in less than quadratic time for long ones."""
    if value.bit_length() < 13000:
        return str(value)
    if value < 0:
        return "-" + int_text(-value)
    powers = [10**_CHUNK]
    while powers[-1].bit_length() * 2 <= value.bit_length() + 1:
        powers.append(powers[-1] * powers[-1])
    parts = [value]
    for power in reversed(powers):
        halves: list[int] = []
        for part in parts:
            halves.extend(divmod(part, power))
        parts = halves
    return "".join(str(part).zfill(_CHUNK) for part in parts).lstrip("0")


def parse_int(digits: str) -> int:
    """The integer with these decimal digits (a sign may stand in front), of any length; ValueError if they are none.

    The caller bounds the length; INTEGER_BITS_MAX is about 315,653 digits.
    """
    if len(digits) <= _CHUNK:
        return int(digits)
    sign, text = (-1, digits[1:]) if digits[0] == "-" else (1, digits.removeprefix("+"))
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a decimal integer")
    head = len(text) % _CHUNK
    parts = [int(text[:head] or "0")] + [int(text[at : at + _CHUNK]) for at in range(head, len(text), _CHUNK)]
    power = 10**_CHUNK
    while len(parts) > 1:
        if len(parts) % 2:
            parts.insert(0, 0)
        parts = [high * power + low for high, low in zip(parts[::2], parts[1::2], strict=True)]
        power *= power
    return sign * parts[0]
