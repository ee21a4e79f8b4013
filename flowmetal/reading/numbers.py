"""Numbers and durations as written.

Digits are turned into integers in halves, because Python's own conversion takes the square of their number and
refuses more than a few thousand.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from flowmetal.lazily import pattern
from flowmetal.reading.bad import Bad
from flowmetal.values import DECIMAL_DIGITS_MAX, INTEGER_BITS_MAX
from flowmetal.values.numbers import decimal

#: Digits of one number: what an integer of INTEGER_BITS_MAX bits has in base 10.
NUMBER_DIGITS = 315_653
#: Digits of either side of a ratio: finding the common divisor takes the square of them.
RATIO_DIGITS = 20_000
#: Exponent of a decimal either way, which Python's decimals have on every machine.
DECIMAL_EXPONENT = 400_000_000

_D = r"[0-9]++(?:_[0-9]++)*+"
_INTEGER = pattern(
    r"([+-]?)(?:0[xX]([0-9A-Fa-f]++(?:_[0-9A-Fa-f]++)*+)|0([0-7]++(?:_[0-7]++)*+)|(0|[1-9](?:_?[0-9])*+))N?"
)
_RADIX = pattern(r"([+-]?)([0-9]{1,2})[rR]([0-9A-Za-z]++(?:_[0-9A-Za-z]++)*+)")
_RATIO = pattern(rf"([+-]?{_D})/({_D})")
_FLOAT = pattern(rf"[+-]?{_D}(?:\.(?:{_D})?)?(?:[eE]([+-]?{_D}))?(M?)")
_DURATION = pattern(rf"([+-]?{_D})(ms|s|m|h|d)")

NANOSECONDS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}

_SMALL = pattern(r"-?(?:0|[1-9][0-9]{0,17})")

Number = int | float | Fraction | Decimal


def is_number(text: str) -> bool:
    """Whether an atom is meant as a number: it starts with a digit, or a sign and a digit."""
    head = text[1:2] if text[0] in "+-" else text[0]
    return "0" <= head <= "9"


def duration_nanoseconds(text: str) -> int | None:
    """Nanoseconds of a duration like `250ms` or `7d`; None if the atom is not one."""
    match = _DURATION.fullmatch(text)
    return None if match is None else _decimal(match[1]) * NANOSECONDS[match[2]]


def number_value(text: str) -> Number:
    """The number an atom stands for; Bad R020 (not a number) to R023 if it stands for none."""
    if _SMALL.fullmatch(text):
        return int(text)
    if match := _INTEGER.fullmatch(text):
        sign, hexadecimal, octal, decimal = match.groups()
        digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (decimal, 10)
        value = integer(digits.replace("_", ""), base)
        return -value if sign == "-" else value
    if match := _RADIX.fullmatch(text):
        return _radix(*match.groups())
    if match := _RATIO.fullmatch(text):
        return _ratio(match[1], match[2])
    if (match := _FLOAT.fullmatch(text)) and ("." in text or match[1] or match[2]):
        return _decimal_value(text.replace("_", ""), match[1]) if match[2] else float(text.replace("_", ""))
    raise Bad("R020", text=text[:60], hint=_why(text))


def integer(digits: str, base: int = 10) -> int:
    """The integer of a run of digits; Bad R021 if there are more than NUMBER_DIGITS, ValueError if one is wrong."""
    if len(digits) > NUMBER_DIGITS:
        raise Bad("R021", limit=f"{NUMBER_DIGITS} digits")
    value = int(digits, base) if base in (2, 4, 8, 16, 32) else _joined(digits, base)
    if value.bit_length() > INTEGER_BITS_MAX:
        raise Bad("R021", limit=f"{INTEGER_BITS_MAX} bits")
    return value


def _joined(digits: str, base: int) -> int:
    size = 1000
    parts = [int(digits[max(0, end - size) : end], base) for end in range(len(digits), 0, -size)]
    scale = base**size
    # From the least part up, neighbours are joined until one is left.
    while len(parts) > 1:
        if len(parts) % 2:
            parts.append(0)
        parts = [parts[i] + parts[i + 1] * scale for i in range(0, len(parts), 2)]
        scale *= scale
    return parts[0]


def _decimal(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "")
    value = integer(digits)
    return -value if text[0] == "-" else value


def _radix(sign: str, base: str, digits: str) -> int:
    if not 2 <= int(base) <= 36:
        raise Bad("R023", radix=base)
    try:
        value = integer(digits.replace("_", ""), int(base))
    except ValueError:
        wrong = next(digit for digit in digits if digit != "_" and int(digit, 36) >= int(base))
        raise Bad(
            "R020", text=f"{sign}{base}r{digits}"[:60], hint=f"`{wrong}` is not a digit of base {base}."
        ) from None
    return -value if sign == "-" else value


def _ratio(numerator: str, denominator: str) -> Number:
    if max(len(numerator), len(denominator)) > RATIO_DIGITS:
        raise Bad("R021", limit=f"{RATIO_DIGITS} digits on either side")
    below = _decimal(denominator)
    if below == 0:
        raise Bad("R022")
    value = Fraction(_decimal(numerator), below)
    return value.numerator if value.denominator == 1 else value


def _decimal_value(text: str, exponent: str | None) -> Decimal:
    if exponent is not None and (len(exponent) > 12 or abs(int(exponent.replace("_", ""))) > DECIMAL_EXPONENT):
        raise Bad("R021", limit=f"an exponent of {DECIMAL_EXPONENT}")
    value = decimal(text.removesuffix("M"))
    if len(value.as_tuple().digits) > DECIMAL_DIGITS_MAX:
        raise Bad("R021", limit=f"{DECIMAL_DIGITS_MAX} digits of a decimal")
    return value


def _why(text: str) -> str | None:
    """A guess at what was meant, for the hint."""
    body = text.lstrip("+-")
    if "__" in body or "_." in body or "._" in body or body.endswith("_"):
        return "Underscores go between two digits, as in `1_000_000`."
    if re.fullmatch(r"0[0-9_]+N?", body):
        return "A leading zero means octal, where the digits end at 7; leave the zero out for a decimal number."
    if re.fullmatch(r"[0-9_]*\.[0-9_]+(?:ms|s|m|h|d)", body):
        return "A duration is a whole number of its unit: `1500ms`, not `1.5s`."
    if re.fullmatch(r"[0-9_]+(?:us|µs|ns|sec|secs|min|mins|hr|hrs|hour|hours|day|days|w|y)", body):
        return "The units of durations are `ms`, `s`, `m`, `h` and `d`."
    if re.fullmatch(r"(?:[0-9]+(?:ms|s|m|h|d)){2,}", body):
        return "A duration has one unit; write it in the smaller one, as in `90m` for an hour and a half."
    if body.count(".") > 1:
        return "A number has one decimal point; write a version or an address as a string."
    return None
