"""`format`: a pattern with directives, as Java's.

It has its own reader of directives: Python's is another language, and takes its width from hostile input.  The whole
pattern is read before anything is written, so that what is wrong in it is found whatever the values are. Its number
is of the block of strings.py.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from flowmetal.dataclass import dataclass
from flowmetal.values import Char, fail, print_string
from flowmetal.vm.builtins.check import NUMBERS, integer, string, wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.builtins.strings import char, display

FORMAT_WIDTH_MAX = 10_000  # of one directive; wider is a mistake or an attack

_DIRECTIVE = re.compile(r"%([-0+, #(]*)([0-9]*)(?:\.([0-9]*))?(.)?", re.DOTALL)

#: The flags that each directive takes, as in Java.
_FLAGS = {
    "s": "-",
    "S": "-",
    "b": "-",
    "B": "-",
    "c": "-",
    "C": "-",
    "d": "-0+, (",
    "x": "-0#",
    "X": "-0#",
    "o": "-0#",
    "f": "-0+, (#",
    "e": "-0+ (#",
    "E": "-0+ (#",
    "%": "-",
    "n": "",
}


@dataclass(frozen=True, slots=True)
class _Directive:
    letter: str
    flags: str
    width: int
    precision: int | None


@builtin(227, "format", 1, None)
def format_string(pattern: Any, *values: Any) -> str:
    """A pattern with its directives (%s %d %f %e %x %X %o %c %b %n %%) filled in, with flags, width and precision."""
    parts = _parts(string("format", pattern))
    out: list[str] = []
    used = 0
    for part in parts:
        if part.__class__ is str:
            out.append(part)
            continue
        assert part.__class__ is _Directive
        if part.letter == "n":
            out.append("\n")
            continue
        if part.letter == "%":
            piece = "%"
        else:
            if used >= len(values):
                fail("argument", f"format has no value for directive {used + 1} of its pattern")
            piece = _filled(part, values[used])
            used += 1
        out.append(piece.ljust(part.width) if "-" in part.flags else piece.rjust(part.width))
    return "".join(out)


def _parts(pattern: str) -> list[Any]:
    """The pattern as texts and directives."""
    parts: list[Any] = []
    position = 0
    while position < len(pattern):
        start = pattern.find("%", position)
        if start != position:
            parts.append(pattern[position : start if start >= 0 else None])
        if start < 0:
            break
        found = _DIRECTIVE.match(pattern, start)
        assert found is not None
        parts.append(_directive(found))
        position = found.end()
    return parts


def _directive(found: re.Match[str]) -> _Directive:
    flags, width, precision, letter = found.groups()
    if letter is None:
        fail("argument", "format has a directive that does not end")
    if letter not in _FLAGS or precision == "":
        fail("argument", f"format does not know the directive %{letter}")
    for flag in flags:
        if flag not in _FLAGS[letter] or flags.count(flag) > 1:
            _refused(found)
    if (("-" in flags or "0" in flags) and not width) or {"-", "0"} <= set(flags) or {"+", " "} <= set(flags):
        _refused(found)
    if (precision is not None and letter in "dxXocCn%") or (width and letter == "n"):
        _refused(found)
    return _Directive(letter, flags, _number(width) or 0, _number(precision))


def _refused(found: re.Match[str]) -> NoReturn:
    fail("argument", f"format cannot use the flags, width or precision of {found.group()[:40]}")


def _number(digits: str | None) -> int | None:
    if not digits:
        return None
    if len(digits) > 5 or int(digits) > FORMAT_WIDTH_MAX:
        fail("limit", f"format takes widths up to {FORMAT_WIDTH_MAX}")
    return int(digits)


def _filled(directive: _Directive, value: Any) -> str:
    """One filled directive, padded with zeros if asked; blanks are the caller's."""
    letter, precision = directive.letter, directive.precision
    if letter in "sSbB":
        if letter in "bB":
            piece = "false" if value is None or value is False else "true"
        else:
            piece = "nil" if value is None else display(value)
        piece = piece if precision is None else piece[:precision]
        return piece.upper() if letter in "SB" else piece
    if letter in "cC":
        if value.__class__ is not Char:
            value = char(value)
        return str(value.text.upper() if letter == "C" else value.text)
    if letter == "d":
        whole = integer("format's %d", value)
        return _signed(_grouped(print_string(abs(whole)), directive), whole < 0, directive)
    if letter in "xXo":
        whole = integer(f"format's %{letter}", value)
        mark = "" if "#" not in directive.flags else "0" if letter == "o" else "0" + letter
        digits = f"{abs(whole):{letter}}"
        sign = "-" if whole < 0 else ""
        if "0" in directive.flags:
            digits = digits.rjust(directive.width - len(sign + mark), "0")
        return sign + mark + digits
    if value.__class__ not in NUMBERS:
        wrong_type(f"format's %{letter}", "a number", value)
    return _point(directive, 6 if precision is None else precision, value)


def _point(directive: _Directive, precision: int, value: Any) -> str:
    capital = directive.letter == "E"
    if value.is_nan() if value.__class__ is Decimal else value.__class__ is float and math.isnan(value):
        return "NAN" if capital else "NaN"
    if value in (float("inf"), float("-inf")):
        plain = _Directive(directive.letter, directive.flags.replace("0", ""), directive.width, None)
        return _signed("INFINITY" if capital else "Infinity", value < 0, plain)
    negative = value < 0 or (value.__class__ is float and str(value).startswith("-"))
    # Half up on the decimal expansion, as Java does: the digits do not hang on binary rounding.
    exact = Decimal(repr(value)) if value.__class__ is float else value
    if exact.__class__ is Decimal and abs(exact.adjusted()) > FORMAT_WIDTH_MAX:
        fail("limit", f"format writes numbers of up to {FORMAT_WIDTH_MAX} digits")
    fraction = abs(Fraction(exact))
    if directive.letter in "eE":
        digits, exponent = _exponential(fraction, precision)
        text = digits[0] + ("." + digits[1:] if precision else "." if "#" in directive.flags else "")
        text += f"{directive.letter}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
        return _signed(text, negative, directive)
    digits = str(_rounded(fraction * 10**precision)).rjust(precision + 1, "0")
    whole = digits[: len(digits) - precision]
    below = "." + digits[len(digits) - precision :] if precision else "." if "#" in directive.flags else ""
    return _signed(_grouped(whole, directive) + below, negative, directive)


def _rounded(value: Fraction) -> int:
    """The nearest integer to a number that is not negative; a half is rounded up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _exponential(value: Fraction, precision: int) -> tuple[str, int]:
    """The digits of a number, one more than the precision, and the power of ten of the first."""
    if not value:
        return "0" * (precision + 1), 0
    exponent = len(str(value.numerator)) - len(str(value.denominator))
    if value < Fraction(10) ** exponent:
        exponent -= 1
    digits = str(_rounded(value * Fraction(10) ** (precision - exponent)))
    return (digits, exponent) if len(digits) == precision + 1 else (digits[:-1], exponent + 1)


def _grouped(digits: str, directive: _Directive) -> str:
    """Digits with a comma before each group of three, if asked."""
    if "," not in directive.flags:
        return digits
    head = len(digits) % 3
    groups = [digits[start : start + 3] for start in range(head, len(digits), 3)]
    return ",".join([digits[:head], *groups] if head else groups)


def _signed(digits: str, negative: bool, directive: _Directive) -> str:
    flags = directive.flags
    if negative and "(" in flags:
        before, after = "(", ")"
    else:
        before, after = "-" if negative else "+" if "+" in flags else " " if " " in flags else "", ""
    if "0" in flags:
        digits = digits.rjust(directive.width - len(before + after), "0")
    return before + digits + after
