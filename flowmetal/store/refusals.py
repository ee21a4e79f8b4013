"""What a store refuses a process, as an error of the program's call: its kind, its text and the facts."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.store.errors import StoreError
from flowmetal.values import ErrorValue, Map, keyword

#: Codes that a program may want to tell apart.
KINDS: Final = {
    "S201": "id-taken",
    "S202": "no-program",
    "S204": "argument",
    "S205": "limit",
    "S220": "queue/unknown",
    "S221": "queue/full",
    "S222": "argument",
    "S223": "queue/in-use",
    "S225": "argument",
    "S226": "argument",
    "S227": "argument",
    "S228": "schedule/unknown",
}
OTHER: Final = "store/refused"


def error_value(refusal: StoreError) -> ErrorValue:
    """The error that a program's call raises."""
    facts: dict[Any, Any] = {keyword("code"): refusal.code}
    for name, fact in sorted(refusal.facts.items()):
        if isinstance(fact, (str, int)):
            facts[keyword(name)] = fact
    return ErrorValue(keyword(KINDS.get(refusal.code, OTHER)), str(refusal), Map.of(facts.items()))
