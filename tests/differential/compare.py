"""Whether two printed answers agree, after a normal form that takes away no more than what has to differ."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.differential.kinds import same_class

KNOWN = Path(__file__).with_name("known.json")

_TOKEN = re.compile(
    r'#?"(?:[^"\\]|\\.)*"|\\(?:[a-z]{2,}|u[0-9a-fA-F]{4}|[\s\S])|#\{|#[a-z:]?|[()\[\]{},]|[^\s()\[\]{},"]+|\s+', re.I
)
_CLOSER = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_BIG = re.compile(r"([+-]?\d+)N")
_GENERATED = re.compile(r"\b(?:user|differential)/")


def normal(text: str) -> str:
    """The text with maps and sets in one order, without the `N` of integers and without the namespace of the test."""
    tokens = [token for token in _TOKEN.findall(text) if token.strip(" \n\t,")]
    stack: list[tuple[str, list[str]]] = [("", [])]
    for token in tokens:
        if token in _CLOSER:
            stack.append((token, []))
        elif token in (")", "]", "}") and len(stack) > 1:
            opener, items = stack.pop()
            if opener == "#{":
                items = sorted(items)
            elif opener == "{":
                pairs = [" ".join(items[at : at + 2]) for at in range(0, len(items), 2)]
                items = sorted(pairs)
            stack[-1][1].append(opener + " ".join(items) + _CLOSER[opener])
        else:
            if _BIG.fullmatch(token):
                token = token[:-1]
            elif not token.startswith('"'):
                token = _GENERATED.sub("", token)
            stack[-1][1].append(token)
    return " ".join(" ".join(items) for _, items in stack)


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is meant: patterns of the expression and both answers, why, and where the page says so."""

    name: str
    expression: re.Pattern[str]
    ours: re.Pattern[str]
    clojure: re.Pattern[str]
    reason: str
    anchor: str
    example: str
    answer: str  # Clojure's, to the example
    near: list[list[str]]  # expression, our answer, Clojure's: what looks like this difference and is none
    without: re.Pattern[str] | None = None  # what has to go from the answers, which then must agree
    floats: int = 0  # the answers must agree once every float in them is read, in so many digits
    check: str = ""  # a function of CHECKS must hold of the answers
    instead: tuple[re.Pattern[str], str] | None = None  # our answer to the expression changed so must be Clojure's

    def fits(self, expression: str, ours: str, clojure: str) -> bool:
        """Whether this may be that difference: all is as the row says, but for what `instead` asks."""
        if not (self.expression.search(expression) and self.ours.fullmatch(ours) and self.clojure.fullmatch(clojure)):
            return False
        if self.check and not CHECKS[self.check](expression, ours, clojure):
            return False
        if self.floats:

            def read(found: re.Match[str]) -> str:
                return f"{float(found.group()):.{self.floats}g}"

            return agree(_FLOAT.sub(read, ours), _FLOAT.sub(read, clojure))
        return self.without is None or agree(self.without.sub("", ours), self.without.sub("", clojure))

    def changed(self, expression: str) -> str | None:
        """What must be asked as well before this can be said to be the difference."""
        if self.instead is None:
            return None
        pattern, replacement = self.instead
        if replacement in CHANGES:
            return pattern.sub(CHANGES[replacement], expression)
        return pattern.sub(replacement, expression)


_FLOAT = re.compile(r"-?\d+\.\d+(?:E-?\d+)?(?!M)")
_WORD = 1 << 64


def _modulo_word(_expression: str, ours: str, clojure: str) -> bool:
    """The answers are integers that agree in their lower 64 bits."""
    return (int(ours) - int(clojure.rstrip("N"))) % _WORD == 0


def _beyond_words(_expression: str, ours: str, _clojure: str) -> bool:
    """The answer holds an integer of more than 64 bits, or a truth about one."""
    return any(not -_WORD // 2 <= int(found) < _WORD // 2 for found in re.findall(r"-?\d{19,}", ours))


def _float_32(_expression: str, ours: str, clojure: str) -> bool:
    """The answers agree once every float in them is rounded to 32 bits."""

    def rounded(found: re.Match[str]) -> str:
        number = ctypes.c_float(float(found.group())).value
        return f"{number:.6g}"

    return agree(_FLOAT.sub(rounded, ours), _FLOAT.sub(rounded, clojure))


def _near(_expression: str, ours: str, clojure: str) -> bool:
    """Two integers that are the same up to 14 digits: a float was rounded on the way."""
    mine, their = int(ours), int(clojure.rstrip("N"))
    return abs(mine - their) * 10**14 <= abs(their)


def _one_error(_expression: str, ours: str, clojure: str) -> bool:
    """One of the answers is an error, the other is none."""
    return ours.startswith("!") is not clojure.startswith("!")


def _two_errors(expression: str, _ours: str, _clojure: str) -> bool:
    """The expression has several calls side by side, of which the first to fail is another one on either side."""
    return expression.count("(") > 2


def _empty_twice(expression: str, _ours: str, clojure: str) -> bool:
    """The expression, or the answer, has one empty map, set or list twice."""
    return any(expression.count(one) > 1 or clojure.count(one) > 1 for one in ("{}", "#{}", "()"))


#: Functions that look at no item of their argument, or not at all of them.
_BLIND = re.compile(
    r"\((?:compare|=|not=|coll\?|seq\?|sequential\?|some\?|nil\?|not|boolean|list|vector|identity|if|when|and|or|cond|first|"
    r"counted\?|realized\?|type|meta|constantly|any\?|fn\?|ifn\?|map\?|list\?|vector\?|string\?|number\?|set\?|empty\?|"
    r"seqable\?|take|nth|second|some|every\?|not-any\?|not-every\?|get|contains\?|if-let|when-let|when-first|let|do|comment|"
    r"dissoc|case|next|fnext|associative\?|reversible\?|delay\?|satisfies\?|instance\?|keyword\?|symbol\?|conj|cons)[ )]"
)


def _never_looked_at(expression: str, _ours: str, clojure: str) -> bool:
    """Something in the expression takes a collection without looking at all of it, and Clojure's answer is short."""
    return _BLIND.search(expression) is not None and not clojure.startswith("(")


def _low_place(found: re.Match[str]) -> str:
    """A number as Java cuts it to 32 bits."""
    text = found.group().rstrip("NM")
    whole = int(float(text)) if re.search(r"[.eE]", text) else int(text)
    return str((whole + (1 << 31)) % (1 << 32) - (1 << 31))


CHECKS: dict[str, Callable[[str, str, str], bool]] = {
    "modulo-word": _modulo_word,
    "beyond-words": _beyond_words,
    "float-32": _float_32,
    "near": _near,
    "one-error": _one_error,
    "empty-twice": _empty_twice,
    "two-errors": _two_errors,
    "never-looked-at": _never_looked_at,
}


def _as_symbol(found: re.Match[str]) -> str:
    """A large integer as a symbol that prints as Clojure prints the integer."""
    return f'(symbol "{found.group().rstrip("N")}N")'


def _java_dots(found: re.Match[str]) -> str:
    """A regex with each `.` as Java means it."""
    return re.sub(r"\\.|\[(?:[^\]\\]|\\.)*\]|\.", lambda one: r"[^\n\r]" if one[0] == "." else one[0], found.group())


CHANGES: dict[str, Callable[[re.Match[str]], str]] = {
    "as-symbol": _as_symbol,
    "java-dots": _java_dots,
    "low-place": _low_place,
}


def known() -> list[Known]:
    """The list of known differences."""
    rows = json.loads(KNOWN.read_text(encoding="utf-8"))
    return [
        Known(
            row["name"],
            re.compile(row["expression"]),
            re.compile(row["ours"], re.DOTALL),
            re.compile(row["clojure"], re.DOTALL),
            row["reason"],
            row["anchor"],
            row["example"],
            row["answer"],
            row.get("near", []),
            re.compile(row["without"]) if "without" in row else None,
            row.get("floats", 0),
            row.get("check", ""),
            (re.compile(row["instead"][0]), row["instead"][1]) if "instead" in row else None,
        )
        for row in rows
    ]


Ask = Callable[[Sequence[str]], Sequence[str]]


def settled(answers: Sequence[tuple[str, str, str]], ask: Ask) -> list[Known | None]:
    """For each expression, our answer and Clojure's, which disagree: the known difference that it is, or None.

    `ask` gives our answers to expressions that were changed.
    """
    rows = known()
    fitting = [[row for row in rows if row.fits(*one)] for one in answers]
    changed = sorted(
        {
            again
            for (expression, _, _), found in zip(answers, fitting, strict=True)
            for row in found
            if (again := row.changed(expression)) is not None
        }
    )
    ours = dict(zip(changed, ask(changed), strict=True)) if changed else {}

    def holds(row: Known, expression: str, clojure: str) -> bool:
        again = row.changed(expression)
        return again is None or agree(ours[again], clojure)

    return [
        next((row for row in found if holds(row, expression, clojure)), None)
        for (expression, _, clojure), found in zip(answers, fitting, strict=True)
    ]


def agree(ours: str, clojure: str) -> bool:
    """Whether two answers are the same: errors of one class, both without end, or the same value."""
    if clojure.startswith("!StackOverflowError"):  # there is no stack here that could be used up before the time is
        return ours == "timeout" or ours.startswith("!flowmetal/limit")
    if clojure == "timeout" or ours == "timeout":
        # Clojure's printing stops after 200 items.
        return ours == clojure or (ours == "timeout" and clojure.endswith("...)"))
    if ours.startswith("!") or clojure.startswith("!"):
        return ours.startswith("!") and clojure.startswith("!") and same_class(ours, clojure)
    if ours == clojure:
        return True
    mine, their = normal(ours), normal(clojure)
    return mine == their or (their.endswith(" ...)") and mine.startswith(their.removesuffix("...)")))
