"""What the commands about named things of a store (queues, schedules) share: their first words, and lists of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowmetal.cli import common

if TYPE_CHECKING:
    from flowmetal.client.base import Client

#: Names in an answer of the store, at most.
PAGE = 1000


def check_action(action: str, actions: Sequence[str]) -> None:
    """U103 for what cannot be done."""
    if action not in actions:
        common.usage("U103", what="the action", found=action[:80], expected="one of " + ", ".join(actions))


def check_named(action: str, name: str | None, code: str, thing: str) -> None:
    """Everything but a list is about one of them: the error of `code` where the name is missing, or one too many."""
    if (name is None) != (action == "list"):
        common.usage(code, action=action, expected="no name" if action == "list" else f"the name of a {thing}")


def all_of(client: Client, operation: str) -> list[dict[str, Any]]:
    """All that an operation lists page by page, in order of name."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.operate(operation, {"after": found[-1]["name"]} if found else None)
        found += page
        if len(page) < PAGE:
            return found
