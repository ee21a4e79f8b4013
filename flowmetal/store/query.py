"""Query: which processes are meant, by what they run, wait for, carry and are called."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """What a process must have, all of it; what is left out does not matter.  Texts are compared as they are.

    `program` is the deployed name that was asked for, or the module of its function.  `waits` and `error` are texts
    that stand in the line that says what it waits for, or why it stopped.  An attribute has one of the values that
    stand with its name.  A time counts from 1970 in nanoseconds.
    """

    program: str | None = None
    function: str | None = None
    waits: str | None = None
    error: str | None = None
    attributes: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    id_prefix: str | None = None
    parent: int | None = None
    started_before: int | None = None
    started_after: int | None = None
    pids: tuple[int, ...] | None = None
    tree: int | None = None  # this process, and all that it has spawned, itself or through others

    def takes_attributes(self, attributes: dict[str, Any]) -> bool:
        """Whether these are attributes of such a process."""
        return all(
            any(same(attributes[name], value) for value in values) if name in attributes else False
            for name, values in self.attributes
        )


#: Every process.
EVERYTHING = Query()


def same(left: Any, right: Any) -> bool:
    """Whether two attributes are the same: 1 is not true, and not 1.0."""
    return left.__class__ is right.__class__ and bool(left == right)
