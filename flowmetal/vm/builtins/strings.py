"""Strings and characters.  Strings hold Unicode scalar values only, and count and index in code points."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowmetal.values import Char, Map, Regex, Secret, Vector, fail, float_text, int_text, iterate, print_string
from flowmetal.values.errors import shortly
from flowmetal.vm.builtins.check import index, integer, shown, string, text, wrong_type
from flowmetal.vm.builtins.registry import builtin

#: Code points of a string that a builtin may make: 16 Mi.  Payloads are smaller, and memory is not endless.
STRING_MAX = 1 << 24

#: Digits that one text may have of numbers of so many bits: what they take goes by more than their length.
DIGITS_MAX = 1 << 22
LONG_BITS = 10_000

#: And of one that lifted code makes by itself; longer ones are left to the builtins, which weigh their work.
LIFTED_MAX = 1 << 16


def display(value: Any) -> str:
    """What `str` makes of one value: text as it is, nothing of nil, all else as it prints."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return int_text(value)
    if value is None:
        return ""
    if kind is Char:
        return value.text  # type: ignore[no-any-return]
    alone = _ALONE.get(kind)
    return print_string(value) if alone is None else alone(value)


def _float_alone(value: float) -> str:
    return float_text(value).replace("##", "").replace("Inf", "Infinity")


#: What has another text alone than inside a collection, as in Clojure.
_ALONE: dict[type, Callable[[Any], str]] = {
    float: _float_alone,
    Decimal: str,
    Regex: lambda value: value.pattern,
    Secret: lambda value: value.text,
    UUID: str,
}


def _counted(digits: int, value: int, who: str) -> int:
    """`digits` and those of a number, where it is a long one."""
    bits = value.bit_length()
    if bits >= LONG_BITS:
        digits += bits * 3 // 10
        if digits > DIGITS_MAX:
            fail("limit", f"{who} would make {shortly(digits)} digits of long numbers; {DIGITS_MAX} are allowed")
    return digits


def _bounded(length: int, who: str) -> None:
    if length > STRING_MAX:
        fail("limit", f"{who} would make a string of {shortly(length)} characters; {STRING_MAX} are allowed")


@builtin(200, "str", 0, None)
def to_string(*values: Any) -> str:
    """The texts of values, joined; nil has none."""
    digits = length = 0
    parts = []
    for value in values:
        if value.__class__ is int:
            digits = _counted(digits, value, "str")
        part = display(value)
        length += len(part)
        if length > STRING_MAX:
            _bounded(length, "str")
        parts.append(part)
    return "".join(parts)


@builtin(201, "subs", 2, 3)
def subs(whole: Any, start: Any, *end: Any) -> str:
    """The part of a string from start up to end."""
    string("subs", whole)
    stop = integer("subs", end[0]) if end else len(whole)
    if not 0 <= integer("subs", start) <= stop <= len(whole):
        fail("index", f"subs from {shortly(start)} to {shortly(stop)} is outside a string of {len(whole)} characters")
    return whole[start:stop]  # type: ignore[no-any-return]


@builtin(202, "string-join", 2)
def join(separator: Any, parts: Any) -> str:
    """The texts of a collection's items with a separator between them."""
    between, texts, length = display(separator), [], 0
    digits = 0
    for part in iterate(parts):
        if part.__class__ is int:
            digits = _counted(digits, part, "join")
        text = display(part)
        length += len(text) + len(between)
        if length > STRING_MAX:
            _bounded(length, "join")
        texts.append(text)
    return between.join(texts)


@builtin(203, "upper-case", 1)
def upper_case(value: Any) -> str:
    """A string in upper case."""
    return text("upper-case", value).upper()


@builtin(204, "lower-case", 1)
def lower_case(value: Any) -> str:
    """A string in lower case."""
    return text("lower-case", value).lower()


@builtin(205, "capitalize", 1)
def capitalize(value: Any) -> str:
    """A string with its first character in upper case and the others in lower case."""
    whole = text("capitalize", value)
    return whole[:1].upper() + whole[1:].lower()


@builtin(206, "trim", 1)
def trim(value: Any) -> str:
    """A string without white space at its ends."""
    return string("trim", value).strip()


@builtin(207, "triml", 1)
def trim_left(value: Any) -> str:
    """A string without white space at its start."""
    return string("triml", value).lstrip()


@builtin(208, "trimr", 1)
def trim_right(value: Any) -> str:
    """A string without white space at its end."""
    return string("trimr", value).rstrip()


@builtin(209, "trim-newline", 1)
def trim_newline(value: Any) -> str:
    """A string without line ends at its end."""
    return string("trim-newline", value).rstrip("\r\n")


@builtin(210, "starts-with?", 2)
def starts_with(whole: Any, part: Any) -> bool:
    """Whether a string starts with another."""
    return string("starts-with?", whole).startswith(string("starts-with?", part))


@builtin(211, "ends-with?", 2)
def ends_with(whole: Any, part: Any) -> bool:
    """Whether a string ends with another."""
    return string("ends-with?", whole).endswith(string("ends-with?", part))


@builtin(212, "includes?", 2)
def includes(whole: Any, part: Any) -> bool:
    """Whether a string contains another."""
    return string("includes?", part) in string("includes?", whole)


@builtin(213, "index-of", 2, 3)
def index_of(whole: Any, part: Any, start: Any = 0) -> int | None:
    """Where a string or character first stands in a string, from an index on; nil if nowhere."""
    wanted, from_ = text("index-of", part), max(0, integer("index-of", start))
    found = string("index-of", whole).find(wanted, min(from_, len(whole)))
    return None if found < 0 else found


@builtin(214, "last-index-of", 2, 3)
def last_index_of(whole: Any, part: Any, *start: Any) -> int | None:
    """Where a string or character last stands in a string, up to an index; nil if nowhere."""
    string("last-index-of", whole)
    wanted = text("last-index-of", part)
    if not start:
        found = whole.rfind(wanted)
    else:
        if integer("last-index-of", start[0]) < 0:
            return None
        found = whole.rfind(wanted, 0, start[0] + len(wanted))
    return None if found < 0 else found


@builtin(215, "string-replace", 3)
def replace(whole: Any, match: Any, replacement: Any) -> str:
    """A string with each occurrence of a string or character replaced."""
    wanted, instead = text("replace", match), text("replace", replacement)
    if (match.__class__ is str) is not (replacement.__class__ is str):
        wrong_type("replace", "two strings or two characters", replacement)
    string("replace", whole)
    _bounded(len(whole) + whole.count(wanted) * max(0, len(instead) - len(wanted)), "replace")
    return whole.replace(wanted, instead)  # type: ignore[no-any-return]


@builtin(216, "string-replace-first", 3)
def replace_first(whole: Any, match: Any, replacement: Any) -> str:
    """A string with the first occurrence of a string or character replaced."""
    return string("replace-first", whole).replace(text("replace-first", match), text("replace-first", replacement), 1)


@builtin(217, "string-split", 2, 3)
def split(whole: Any, separator: Any, limit: Any = 0) -> Vector:
    """The parts of a string between a separator string; without a limit, empty parts at the end are left out."""
    string("split", whole)
    between = text("split", separator)
    integer("split", limit)
    if not between:
        return drop_empty_end(split_characters(whole, limit), limit)
    return drop_empty_end(whole.split(between, limit - 1 if limit > 0 else -1), limit)


def split_characters(whole: str, limit: int) -> list[str]:
    """Splits at the empty separator: every character is a part, the last of `limit` parts takes the rest."""
    if limit > 0 and limit < len(whole):
        return [*whole[: limit - 1], whole[limit - 1 :]]
    return [*whole, *([""] if limit != 0 and len(whole) else [])] if whole else [""]


def drop_empty_end(parts: list[str], limit: int) -> Vector:
    """As Java's split: with limit 0 no empty strings at the end, but one part at least for an empty whole."""
    if limit == 0:
        whole_empty = len(parts) == 1
        while parts and not parts[-1] and not whole_empty:
            parts.pop()
    return Vector.of(parts)


@builtin(218, "split-lines", 1)
def split_lines(whole: Any) -> Vector:
    """The lines of a string, which end with a line feed or a carriage return and a line feed."""
    lines = string("split-lines", whole).replace("\r\n", "\n").split("\n")
    return drop_empty_end(lines, 0)


@builtin(219, "blank?", 1)
def is_blank(value: Any) -> bool:
    """Whether a string is nil, empty or only white space."""
    return value is None or not string("blank?", value).strip()


@builtin(220, "string-reverse", 1)
def reverse(value: Any) -> str:
    """A string with its characters in the opposite order."""
    return string("reverse", value)[::-1]


@builtin(221, "string-repeat", 2)
def repeat(value: Any, times: Any) -> str:
    """A string some times over."""
    _bounded(len(string("repeat", value)) * index("repeat", times), "repeat")
    return str(value * times)


@builtin(222, "string-escape", 2)
def escape(value: Any, replacements: Any) -> str:
    """A string with each character that is a key of a map replaced by the text of its value."""
    if not isinstance(replacements, Map):
        wrong_type("escape", "a map from character to string", replacements)
    table = {
        ord(k.text): display(v)
        for k, v in replacements.items()
        if k.__class__ is Char and v is not None and v is not False
    }
    return string("escape", value).translate(table)


@builtin(223, "char", 1)
def char(value: Any) -> Char:
    """The character of a code point; a character as it is."""
    if value.__class__ is Char:
        return value
    code = integer("char", value)
    if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
        fail("argument", f"char needs the code point of a character, not {shown(value)}")
    return Char(chr(code))


@builtin(224, "pad-left", 2, 3)
def pad_left(value: Any, width: Any, filler: Any = " ") -> str:
    """The text of a value with a character put before it until it has a width."""
    _bounded(index("pad-left", width), "pad-left")
    return display(value).rjust(width, _filler("pad-left", filler))


@builtin(225, "pad-right", 2, 3)
def pad_right(value: Any, width: Any, filler: Any = " ") -> str:
    """The text of a value with a character put after it until it has a width."""
    _bounded(index("pad-right", width), "pad-right")
    return display(value).ljust(width, _filler("pad-right", filler))


def _filler(who: str, value: Any) -> str:
    filler = text(who, value)
    if len(filler) != 1:
        fail("argument", f"{who} needs one character to fill with, not {shown(value)}")
    return filler


@builtin(226, "replace-kind", 1)
def replace_kind(value: Any) -> str:
    """How `replace` is to look at what it searches: "regex" or "text"."""
    if value.__class__ is Regex:
        return "regex"
    text("replace", value)
    return "text"
