"""Searching with regular expressions; what a pattern means is in values/regex.py."""

from __future__ import annotations

import re
from typing import Any

from flowmetal.lazily import pattern
from flowmetal.values import EMPTY_LIST, Regex, Vector, fail, seq
from flowmetal.values.regex import BadPattern, compile_pattern
from flowmetal.vm.builtins.check import integer, shown, string, wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.builtins.strings import _bounded, drop_empty_end

SUBJECT_MAX = 1 << 20  # characters that one search looks at: it cannot be interrupted


def engine(who: str, value: Any) -> Any:
    """The compiled form of a regex value."""
    if value.__class__ is not Regex:
        wrong_type(who, "a regex", value)
    try:
        return compile_pattern(value.pattern)
    except BadPattern as problem:
        fail("argument", f"{who} cannot use the regex {shown(value)}: {problem.reason}")


def subject(who: str, value: Any) -> str:
    """The string that is searched."""
    if len(string(who, value)) > SUBJECT_MAX:
        fail("limit", f"{who} searches strings of up to {SUBJECT_MAX} characters")
    return value  # type: ignore[no-any-return]


def groups(found: Any) -> Any:
    """The whole match, or a vector of it and the groups if the pattern has groups; nil for no match."""
    if found is None:
        return None
    if not found.re.groups:
        return found.group()
    return Vector.of([found.group(), *found.groups()])


@builtin(1100, "re-pattern", 1)
def re_pattern(value: Any) -> Regex:
    """The regex of a pattern string; a regex as it is."""
    if value.__class__ is Regex:
        return value
    made = Regex(string("re-pattern", value))
    engine("re-pattern", made)
    return made


@builtin(1101, "re-find", 2)
def re_find(pattern: Any, whole: Any) -> Any:
    """The first match of a regex in a string: the text, or a vector of it and the groups; nil for none."""
    return groups(engine("re-find", pattern).search(subject("re-find", whole)))


@builtin(1102, "re-matches", 2)
def re_matches(pattern: Any, whole: Any) -> Any:
    """The match of a regex with the whole of a string, as `re-find` gives it; nil for none."""
    return groups(engine("re-matches", pattern).fullmatch(subject("re-matches", whole)))


@builtin(1103, "re-seq", 2)
def re_seq(pattern: Any, whole: Any) -> Any:
    """All matches of a regex in a string, as `re-find` gives them; nil for none."""
    found = [groups(match) for match in engine("re-seq", pattern).finditer(subject("re-seq", whole))]
    return seq(Vector.of(found))


@builtin(1104, "re-split", 2, 3)
def re_split(whole: Any, pattern: Any, limit: Any = 0) -> Vector:
    """The parts of a string between matches of a regex; without a limit, empty parts at the end are left out."""
    string("split", whole)
    integer("split", limit)
    parts: list[str] = []
    start = 0
    for match in engine("split", pattern).finditer(subject("split", whole)):
        if 0 < limit <= len(parts) + 1:
            break
        if match.end() == 0:  # as Java since 8: an empty match at the start makes no part
            continue
        parts.append(whole[start : match.start()])
        start = match.end()
    parts.append(whole[start:])
    return drop_empty_end(parts, limit)


@builtin(1105, "re-replace", 3, 4)
def re_replace(whole: Any, pattern: Any, replacement: Any, first_only: Any = False) -> str:
    """A string with the matches of a regex replaced; $1 and ${name} in the replacement are groups, \\ quotes."""
    out: list[str] = []
    start = size = 0
    string("replace", replacement)
    for match in engine("replace", pattern).finditer(subject("replace", whole)):
        piece = _filled(replacement, match)
        size += len(piece)
        _bounded(len(whole) + size, "replace")
        out += [whole[start : match.start()], piece]
        start = match.end()
        if first_only:
            break
    out.append(whole[start:])
    return "".join(out)


_REFERENCE = pattern(r"\\(.)|\$(?:(\d)|\{(\w+)\})|[\\$]", re.DOTALL | re.ASCII)


def _filled(replacement: str, match: Any) -> str:
    def fill(part: re.Match[str]) -> str:
        literal, digit, name = part.groups()
        if literal is not None:
            return str(literal)
        if digit is None and name is None:
            fail("argument", f"replace cannot use the replacement {shown(replacement)}: \\ or $ stands alone")
        try:
            return match.group(int(digit) if digit is not None else name) or ""
        except (IndexError, KeyError):
            fail("argument", f"replace has no group {digit or name} in the regex")

    return _REFERENCE.sub(fill, replacement)


@builtin(1106, "re-pieces", 2, 3)
def re_pieces(whole: Any, pattern: Any, first_only: Any = False) -> Any:
    """A vector of [text before a match, the match as `re-find` gives it], and at the end [text after the last, nil]."""
    pieces: list[Vector] = []
    start = 0
    for match in engine("replace", pattern).finditer(subject("replace", whole)):
        pieces.append(Vector.of([whole[start : match.start()], groups(match)]))
        start = match.end()
        if first_only:
            break
    pieces.append(Vector.of([whole[start:], None]))
    return Vector.of(pieces)


@builtin(1107, "re-groups-named", 2)
def named_groups(pattern: Any, whole: Any) -> Any:
    """A list of [name, text] of the named groups of the first match of a regex; nil for no match."""
    found = engine("re-named", pattern).search(subject("re-named", whole))
    if found is None:
        return None
    return seq(Vector.of([Vector.of(pair) for pair in found.groupdict().items()])) or EMPTY_LIST


@builtin(1108, "re-quote", 1)
def re_quote(value: Any) -> str:
    """The pattern that matches a string as it is written."""
    return re.escape(string("re-quote", value))
