"""Expressions over the core, made from a seed: the same seed gives the same expressions on every machine.

Generation is directed by kinds.  A kind is a way to make an expression: a pool of edge cases, forms, and the functions
of signatures.txt that give it.  Now and then an argument is of a wrong kind, or there is one too many or too few.
Where Clojure leaves an order open (sets, large maps), functions that would show it are not applied.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.differential.pools import POOLS
from tests.differential.templates import TEMPLATES

SIGNATURES = Path(__file__).with_name("signatures.txt")

FORMS_SHARE = 0.6  # of expressions that are forms and programs of templates.py; the others are calls
WRONG_KIND = 0.03  # of arguments
WRONG_ARITY = 0.01  # of calls

Signature = tuple[str, tuple[str, ...], str]


def signatures() -> list[Signature]:
    """The rows of signatures.txt: name, kinds of arguments, kind of the result."""
    rows: list[Signature] = []
    for line in SIGNATURES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(";"):
            name, _, rest = line.partition(" : ")
            kinds, _, result = rest.partition("->")
            rows.append((name, tuple(kinds.split()), result.strip()))
    return [row for row in rows if row[0] != "cat-xform"]


class Generator:
    """Makes expressions one after another, from one seed."""

    def __init__(self, seed: int, only: set[str] | None = None) -> None:
        self.random = random.Random(seed)
        self.forms_share = FORMS_SHARE if only is None else 0.0
        self.rows = [row for row in signatures() if only is None or row[0] in only]
        self.giving: dict[str, list[Signature]] = {}
        for row in self.rows:
            self.giving.setdefault(row[2], []).append(row)
        #: What gives a function is not asked for by itself: functions print differently.
        self.tops = [row for row in self.rows if row[2] not in ("fn1", "pred", "fn2r")]

    def expressions(self, count: int) -> Iterator[str]:
        """`count` different expressions."""
        seen: set[str] = set()
        tops = [(name, at) for name in sorted(TEMPLATES) for at in range(len(TEMPLATES[name]))]
        while len(seen) < count:
            if self.random.random() < self.forms_share:
                name, at = tops[self.random.randrange(len(tops))]
                text = self.filled(TEMPLATES[name][at], self.random.choice((1, 2, 2, 3)))
            else:
                text = self.call(self.pick(self.tops), self.random.choice((1, 1, 2, 2, 3)))
            if len(text) <= 400 and text not in seen:
                seen.add(text)
                yield text

    def pick(self, items: list[Signature]) -> Signature:
        return items[self.random.randrange(len(items))]

    def call(self, row: Signature, depth: int) -> str:
        """A call of a function with arguments of its kinds."""
        name, kinds, _ = row
        arguments: list[str] = []
        for kind in kinds:
            times = 1
            if kind.endswith("*") and len(kind) > 1:
                kind, times = kind[:-1], self.random.randrange(4)
            elif kind.endswith("?"):
                kind, times = kind[:-1], self.random.randrange(2)
            for _ in range(times):
                if self.random.random() < WRONG_KIND:
                    kind = "any"
                arguments.append(self.of(kind, depth - 1))
        if self.random.random() < WRONG_ARITY:
            if arguments and self.random.random() < 0.5:
                arguments.pop()
            else:
                arguments.append(self.of("any", 0))
        return f"({' '.join([name, *arguments])})"

    def of(self, kind: str, depth: int) -> str:
        """An expression of a kind."""
        if kind in POOLS and (depth <= 0 or self.random.random() < 0.55 or kind not in self.giving):
            text = POOLS[kind][self.random.randrange(len(POOLS[kind]))]
            return self.filled(text, depth)
        if depth > 0 and kind in self.giving and kind != "any":
            return self.call(self.pick(self.giving[kind]), depth)
        if kind == "any" and depth > 0:
            return self.of(self.random.choice(_ANY), depth)
        if kind in POOLS:
            return self.filled(POOLS[kind][self.random.randrange(len(POOLS[kind]))], depth)
        return kind  # written as it stands, such as a function's name

    def filled(self, text: str, depth: int) -> str:
        """A text with each `<kind>` replaced by an expression of that kind."""
        return _HOLE.sub(lambda match: self.of(match[1], depth - 1), text)


_HOLE = re.compile(r"<([a-z]+[0-9]?r?)>")
_ANY = ("num", "str", "kw", "bool", "vec", "map", "list", "char", "nil", "coll", "scalar", "any0")
Make = Callable[[int], str]


def expressions(seed: int, count: int, only: set[str] | None = None) -> list[str]:
    """The expressions of a seed."""
    return list(Generator(seed, only).expressions(count))
