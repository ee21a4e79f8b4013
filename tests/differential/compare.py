"""Whether two printed answers agree, after a normal form that takes away no more than what has to differ."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

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
    without: re.Pattern[str] | None = None  # what has to go from the answers, which then must agree
    floats: int = 0  # the answers must agree once every float in them is read, in so many digits

    def holds(self, expression: str, ours: str, clojure: str) -> bool:
        """Whether this is that difference."""
        if not (self.expression.search(expression) and self.ours.fullmatch(ours) and self.clojure.fullmatch(clojure)):
            return False
        if self.floats:

            def read(found: re.Match[str]) -> str:
                return f"{float(found.group()):.{self.floats}g}"

            return agree(_FLOAT.sub(read, ours), _FLOAT.sub(read, clojure))
        return self.without is None or agree(self.without.sub("", ours), self.without.sub("", clojure))


_FLOAT = re.compile(r"-?\d+\.\d+(?:E-?\d+)?(?!M)")


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
            re.compile(row["without"]) if "without" in row else None,
            row.get("floats", 0),
        )
        for row in rows
    ]


def coarse(answer: str) -> str:
    """The class of an error: arity, arithmetic, index, or other."""
    if re.match(r"!(arity|ArityException|A109)", answer):
        return "arity"
    if re.match(r"!(arithmetic|ArithmeticException)", answer):
        return "arithmetic"
    return "index" if re.match(r"!(index|(String|Array)?IndexOutOfBounds)", answer) else "other"


def agree(ours: str, clojure: str) -> bool:
    """Whether two answers are the same: both errors, both without end, or the same value."""
    if clojure == "timeout" or ours == "timeout":
        # Clojure's printing stops after 200 items.
        return ours == clojure or (ours == "timeout" and clojure.endswith("...)"))
    if ours.startswith("!") or clojure.startswith("!"):
        return ours.startswith("!") and clojure.startswith("!")
    return ours == clojure or normal(ours) == normal(clojure)
