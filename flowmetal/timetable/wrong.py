"""Wrong: a plan that cannot be read, with the code of the catalogue and the facts it is told with."""

from __future__ import annotations

from typing import Any


class Wrong(Exception):
    """`code` is one of the catalogue's, `facts` are those that its texts name."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts


def wrong_cron(text: str, column: int, found: str, reason: str, hint: str) -> Wrong:
    """The error at a place of a cron expression, counted from 1."""
    return Wrong("S225", expression=text[:120], column=column, found=found[:40], reason=reason, advice=hint)
