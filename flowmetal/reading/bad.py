"""Bad: what is wrong inside one token, raised where it is found and reported where the token's place is known."""

from __future__ import annotations

from typing import Any


class Bad(Exception):
    """A token or form that cannot be read: a code of the catalogue and its facts.

    `start` and `end` narrow the place to a part of the token's text (offsets in characters); None is the whole.
    """

    def __init__(self, code: str, start: int | None = None, end: int | None = None, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.start = start
        self.end = end
        self.facts = facts
