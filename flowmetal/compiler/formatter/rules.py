"""How the forms of a list are indented: cljfmt's default rules, and those of this language's own forms.

Inner(depth, argument): below a form with this head, `depth` lists further in, and only in that argument of it if one
is given, lines are indented by two.
Block(arguments): after so many arguments the rest is a body, indented by two if it starts on a line of its own.
Without a rule, arguments stand under the first argument, or under the head where there is none on its line.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Inner(NamedTuple):
    """See above; `argument` None: in any."""

    depth: int
    argument: int | None = None


class Block(NamedTuple):
    """See above."""

    arguments: int


Rule = Inner | Block


def _rules(text: str, *rules: Rule) -> dict[str, tuple[Rule, ...]]:
    return dict.fromkeys(text.split(), rules)


RULES: dict[str, tuple[Rule, ...]] = {
    **_rules("comment cond delay do finally future try with-out-str", Block(0)),
    **_rules(
        "binding case cond-> cond->> defstruct doseq dotimes doto extend for if if-let if-not if-some let", Block(1)
    ),
    **_rules("locking loop ns struct-map testing when when-first when-let when-not when-some while", Block(1)),
    **_rules("with-open with-local-vars with-precision with-redefs", Block(1)),
    **_rules("are as-> catch condp", Block(2)),
    **_rules("bound-fn fn use-fixtures", Inner(0)),
    **_rules("defprotocol extend-protocol extend-type", Block(1), Inner(1)),
    **_rules("defrecord deftype proxy", Block(2), Inner(1)),
    "letfn": (Block(1), Inner(2, 0)),
    "reify": (Inner(0), Inner(1)),
    # The language's own.
    **_rules("async atomic lazy-seq scope shield", Block(0)),
    **_rules("answering with-deadline with-timeout", Block(1)),
    "handle": (Block(1), Inner(1)),
}

#: Heads without a rule of their own that begin like this have a body.
_BODIES = re.compile(r"def(?!ault)(?!late)(?!er)|with-")

#: How far a rule reaches.
DEPTH_MAX = 2


def rules_of(head: str) -> tuple[Rule, ...]:
    """The rules for a head as it is written; its namespace does not matter."""
    name = head.rpartition("/")[2] or head
    found = RULES.get(name)
    if found is not None:
        return found
    return (Inner(0),) if _BODIES.match(name) else ()
