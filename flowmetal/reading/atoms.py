"""Atoms: the text of a name, keyword, number or duration to the value it stands for."""

from __future__ import annotations

from typing import Any

from flowmetal.lazily import pattern
from flowmetal.reading.bad import Bad
from flowmetal.reading.numbers import duration_nanoseconds, is_number, number_value
from flowmetal.values import Char, Duration, Keyword, keyword, symbol

CONSTANTS = {"nil": None, "true": True, "false": False}

#: The three ways to write the mark of an ascription, one keyword.
ASCRIPTIONS = frozenset({":-", "|-", "⊢"})

SYMBOLIC = {"##Inf": float("inf"), "##-Inf": float("-inf"), "##NaN": float("nan")}

ARGUMENT = pattern(r"%(?:&|[0-9]*)")

#: One `/` at most, between two parts that are not empty; the part behind it may be a `/` itself, as in `core//`.
_NAME = pattern(r"(?:[^/]++/)?(?:[^/]++|/)")

#: Characters that take no room or turn the direction of the text around them.  Written out, not asked of Python's
#: Unicode tables, so that a file is read the same by every version of Python.
_INVISIBLE = pattern(
    "[\x80-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def atom_value(text: str) -> Any:
    """The value of an atom; Bad R02x or R03x if it stands for none.  `::names` are for the caller (keyword_parts)."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text in ASCRIPTIONS:
        return keyword("-")
    if is_number(text):
        nanoseconds = duration_nanoseconds(text)
        return number_value(text) if nanoseconds is None else Duration(nanoseconds)
    _check_visible(text)
    if text[0] == ":":
        return _keyword(text)
    if not _NAME.fullmatch(text) or text[-1] == ":" or "::" in text:
        raise Bad("R030", name=text[:60], hint=_why(text))
    return symbol(text)


def keyword_parts(text: str) -> tuple[str | None, str]:
    """Alias (or None) and name of a keyword written `::name` or `::alias/name`; Bad R031 or R033."""
    _check_visible(text)
    alias, slash, name = text[2:].rpartition("/")
    if not name or (slash and not alias) or "/" in alias or not _is_keyword(text[2:]):
        raise Bad("R031", name=text[:60])
    return alias or None, name


def symbolic_value(text: str) -> float:
    """The float of `##Inf` and its like; Bad R035."""
    if text not in SYMBOLIC:
        raise Bad("R035", name=text[:60])
    return SYMBOLIC[text]


def char(text: str) -> Char:
    """The character value of one code point."""
    return Char(text)


def _keyword(text: str) -> Keyword:
    if not _is_keyword(text[1:]):
        raise Bad("R031", name=text[:60])
    return keyword(text[1:])


def _is_keyword(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name[0] != ":" and name[-1] != ":" and "::" not in name


def _check_visible(text: str) -> None:
    if not text.isascii() and (found := _INVISIBLE.search(text)):
        character = f"U+{ord(found.group()):04X}"
        visible = text[: found.start()] + "�" + text[found.end() :]
        raise Bad("R033", found.start(), found.end(), name=visible[:60], character=character)


def _why(text: str) -> str | None:
    if text.endswith(":"):
        return "A keyword has its colon in front: `:name`."
    return None
