"""Argument checks that the builtins share: each gives the argument back or raises an error of the language.

The message names the function as the program calls it, says what was wanted and shows what was given, shortened.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from flowmetal.values import Char, Keyword, Symbol, fail, print_string

SHOWN_MAX = 60  # characters of an offending value in a message

NUMBERS: frozenset[type] = frozenset((int, float, Fraction, Decimal))


def shown(value: Any) -> str:
    """The value as a message shows it; never realizes a lazy sequence, never long."""
    return print_string(value, limit=SHOWN_MAX)


def wrong_type(who: str, wanted: str, value: Any) -> NoReturn:
    """Raises the `:type` error that every check here raises."""
    fail("type", f"{who} needs {wanted}, not {shown(value)}")


def integer(who: str, value: Any) -> int:
    if value.__class__ is not int:
        wrong_type(who, "an integer", value)
    return value


def index(who: str, value: Any) -> int:
    """An integer that is not negative."""
    if value.__class__ is not int:
        wrong_type(who, "an integer", value)
    if value < 0:
        fail("index", f"{who} needs an integer that is not negative, not {shown(value)}")
    return value


def number(who: str, value: Any) -> Any:
    if value.__class__ not in NUMBERS:
        wrong_type(who, "a number", value)
    return value


def string(who: str, value: Any) -> str:
    if value.__class__ is not str:
        wrong_type(who, "a string", value)
    return value


def text(who: str, value: Any) -> str:
    """A string, or the text of a character, a keyword or a symbol."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is Char:
        return value.text  # type: ignore[no-any-return]
    wrong_type(who, "a string or a character", value)


def keyword_of(who: str, value: Any) -> Keyword:
    if value.__class__ is not Keyword:
        wrong_type(who, "a keyword", value)
    return value


def symbol_of(who: str, value: Any) -> Symbol:
    if value.__class__ is not Symbol:
        wrong_type(who, "a symbol", value)
    return value


def octets(who: str, value: Any) -> bytes:
    if value.__class__ is not bytes:
        wrong_type(who, "bytes", value)
    return value
