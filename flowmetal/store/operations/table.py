"""What an operation is, and how operations read what they are given."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.store.errors import StoreError, check_name
from flowmetal.values import Keyword, Map, Vector, fail, keyword, print_string


@dataclass(frozen=True, slots=True)
class Operation:
    """`function(changes, asker, payload)` gives the answer, a value; `asker` is a pid, or 0 for a client.

    It refuses with a LanguageError, or with a StoreError that is about the command.  It checks everything before it
    writes anything: what a turn did besides is committed also where an operation of it is refused.
    """

    function: Callable[..., Any]
    outside: bool = True  # whether clients may ask for it
    starts: bool = False  # it starts a process: the function gets the Start besides


def arguments_of(who: str, payload: Any, least: int, most: int) -> list[Any]:
    """The items of a payload that is a vector, with nil for those that are not given."""
    if payload.__class__ is not Vector or not least <= len(payload) <= most:
        counted = str(least) if least == most else f"{least} to {most}"
        fail("argument", f"{who} takes a vector of {counted}, not {print_string(payload, limit=80)}")
    return [*payload, *([None] * (most - len(payload)))]


def name_of(what: str, value: Any) -> str:
    """A name given as a string or a keyword; the keyword :orders is the name "orders"."""
    text = value.text if value.__class__ is Keyword else value
    if text.__class__ is str:
        try:
            check_name(what, text)
            return str(text)
        except StoreError as error:
            fail("argument", str(error))
    fail("argument", f"{what} is a string or a keyword, not {print_string(value, limit=80)}")
    raise AssertionError


def options_of(who: str, value: Any, allowed: Collection[str]) -> dict[str, Any]:
    """Options by name; :argument for others than those that are allowed."""
    if value is None:
        return {}
    if value.__class__ is not Map:
        fail("argument", f"the options of {who} must be a map, not {print_string(value, limit=80)}")
    found: dict[str, Any] = {}
    for key, option in value.items():
        if key.__class__ is not Keyword or key.text not in allowed:
            known = ", ".join(f":{name}" for name in allowed)
            fail("argument", f"{who} has no option {print_string(key, limit=60)}; there are {known}")
        found[key.text] = option
    return found


def data_of(**facts: Any) -> Map:
    """The data of an error: a map with keywords."""
    return Map.of((keyword(name.replace("_", "-")), fact) for name, fact in facts.items())
