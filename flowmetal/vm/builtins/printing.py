"""Printing values to strings.  Printing to the world is an effect, not a builtin."""

from __future__ import annotations

from typing import Any

from flowmetal.values import print_string
from flowmetal.vm.builtins.check import index
from flowmetal.vm.builtins.registry import builtin


@builtin(800, "pr-str", 0, None)
def pr_str(*values: Any) -> str:
    """Values printed so that they read back equal, with blanks between."""
    return " ".join([print_string(value) for value in values])


@builtin(801, "print-str", 0, None)
def print_str(*values: Any) -> str:
    """Values printed for people (strings without quotes, also inside collections), with blanks between."""
    return " ".join(["nil" if value is None else print_string(value, readably=False) for value in values])


@builtin(802, "pr-str-limited", 2)
def pr_str_limited(value: Any, limit: Any) -> str:
    """A value printed with at most a number of characters; what is longer ends in an ellipsis."""
    return print_string(value, limit=index("pr-str-limited", limit))
