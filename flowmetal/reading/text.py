"""Strings and characters as written: takes the escapes out of a string token and names out of a character token."""

from __future__ import annotations

import re

from flowmetal.diagnostics import suggest
from flowmetal.lazily import pattern
from flowmetal.reading.bad import Bad
from flowmetal.values.regex import BadPattern, compile_pattern

_ESCAPE = pattern(
    r"\\(?:([ntrbf\"\\])"
    r"|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u([0-9a-fA-F]{4})"
    r"|([0-7]{1,3})"
    r"|[\s\S])"
)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}

CHARACTER_NAMES = {
    "newline": "\n",
    "space": " ",
    "tab": "\t",
    "backspace": "\b",
    "formfeed": "\f",
    "return": "\r",
}


def string_value(token: str) -> str:
    """The string that a token with its quotes stands for; Bad R011 or R012 at the escape that is wrong."""
    if "\\" not in token:
        return token[1:-1]
    return _ESCAPE.sub(_unescaped, token[:-1])[1:]


def character_value(token: str) -> str:
    """The one code point that a token like `\\a` or `\\newline` stands for; Bad R012, R015 or R016."""
    name = token[1:]
    if len(name) == 1:
        if name.isspace():
            raise Bad("R015")
        return name
    if name in CHARACTER_NAMES:
        return CHARACTER_NAMES[name]
    if re.fullmatch(r"u[0-9a-fA-F]{4}", name):
        return _scalar(int(name[1:], 16), token, 0)
    if re.fullmatch(r"o[0-7]{1,3}", name) and int(name[1:], 8) <= 0o377:
        return chr(int(name[1:], 8))
    raise Bad("R016", name=name[:40], suggestion=suggest(name, CHARACTER_NAMES))


def _unescaped(match: re.Match[str]) -> str:
    simple, high, low, unit, octal = match.groups()
    if simple:
        return _SIMPLE[simple]
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if unit:
        return _scalar(int(unit, 16), match.group(), match.start())
    if octal and int(octal, 8) <= 0o377:
        return chr(int(octal, 8))
    raise Bad("R011", match.start(), match.end(), escape=match.group())


def _scalar(unit: int, written: str, start: int) -> str:
    if 0xD800 <= unit <= 0xDFFF:
        raise Bad("R012", start, start + len(written), escape=written)
    return chr(unit)


def regex_pattern(token: str) -> str:
    """The pattern of a token `#"..."`, taken as it is: backslashes belong to the pattern.  Bad R014."""
    pattern = token[2:-1]
    try:
        compile_pattern(pattern)
    except BadPattern as error:
        start = None if error.position is None else error.position + 2
        raise Bad("R014", start, None if start is None else start + 1, reason=error.reason) from None
    return pattern
