"""The table of builtins: every primitive of the language by its permanent number and by its name.

A builtin is a leaf: a Python function from values to a value.  It never calls a function of the program, never
performs an effect and never looks at the outside world; what would need that is written in the language, in stdlib/.
When it meets an unrealized lazy sequence it lets `NeedsRealize` out, and the machine runs the instruction again once
the sequence is realized; so a builtin must not change anything before it has read all that it needs.

Numbers are permanent: artifacts and images hold them.  One is never removed or changed in meaning; a new meaning is a
new number.  tests/golden/builtins.lock pins what has shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flowmetal.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class BuiltinInfo:
    """One row of the table.

    `max_args` is None when any number of further arguments is taken.  With `context` the function gets the running
    process as its first argument, which `min_args` and `max_args` do not count.
    """

    number: int
    name: str
    min_args: int
    max_args: int | None
    function: Callable[..., Any]
    context: bool
    doc: str

    def accepts(self, count: int) -> bool:
        """Whether the builtin can be called with `count` arguments."""
        return self.min_args <= count and (self.max_args is None or count <= self.max_args)


BUILTINS: dict[int, BuiltinInfo] = {}
BY_NAME: dict[str, BuiltinInfo] = {}

#: First number of each file's block of a hundred, so that a file grows without colliding with another.
BLOCKS: dict[str, int] = {
    "errors": 1,
    "numbers": 100,
    "strings": 200,
    "names": 300,
    "collections": 400,
    "sequences": 500,
    "cells": 600,
    "predicates": 700,
    "printing": 800,
    "clock": 900,
    "json": 1000,
    "regex": 1100,
    "octets": 1200,
    "sets": 1300,
    "dispatch": 1700,
    "protocols": 1800,
    "ordered": 1900,
    "mailbox": 2100,
    "secrets": 2200,
}

_F = TypeVar("_F", bound=Callable[..., Any])


def builtin(
    number: int, name: str, min_args: int, max_args: int | None = -1, *, context: bool = False
) -> Callable[[_F], _F]:
    """Registers the decorated function.  Without `max_args` the builtin takes exactly `min_args` arguments."""

    def register(function: _F) -> _F:
        add(number, name, min_args, max_args, function, context=context)
        return function

    return register


def add(
    number: int,
    name: str,
    min_args: int,
    max_args: int | None,
    function: Callable[..., Any],
    *,
    context: bool = False,
    doc: str | None = None,
) -> None:
    """Registers `function`; for rows made from a table, where a decorator does not fit."""
    if number in BUILTINS:
        raise ValueError(f"builtin number {number} is taken by {BUILTINS[number].name}")
    if name in BY_NAME:
        raise ValueError(f"builtin name {name} is taken by number {BY_NAME[name].number}")
    maximum = min_args if max_args == -1 else max_args
    text = doc if doc is not None else (function.__doc__ or "").strip()
    info = BuiltinInfo(number, name, min_args, maximum, function, context, text)
    BUILTINS[number] = info
    BY_NAME[name] = info


def builtin_arity(number: int) -> tuple[int, int | None] | None:
    """How many arguments a builtin takes, for the verifier; None for a number that no builtin has."""
    row = BUILTINS.get(number)
    return None if row is None else (row.min_args, row.max_args)
