"""What the compiler needs from outside: someone who runs code at compile time, and the table of builtins.

The compiler does not know the machine.  Whoever calls it hands in an Evaluator made of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from flowmetal.bytecode.program import Function, Program
from flowmetal.values import Value


class BuiltinRow(Protocol):
    """What the compiler knows of a builtin; `max_args` None takes any number."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def min_args(self) -> int: ...
    @property
    def max_args(self) -> int | None: ...


class Evaluator(Protocol):
    """Runs code at compile time.  Both methods raise `LanguageError` when the program does.

    `names` is the number of names that were given out in the module before a call, and after it: `gensym` goes on from
    there, so that names do not depend on what else was compiled.
    """

    names: int

    def run(self, program: Program, function: Function) -> Any:
        """Calls a function of no arguments and no captures."""
        ...

    def call(self, program: Program, function: Value, args: Sequence[Any]) -> Any:
        """Calls a closure or another value that can be called."""
        ...


def accepts(row: BuiltinRow, count: int) -> bool:
    """Whether a builtin takes `count` arguments."""
    return row.min_args <= count and (row.max_args is None or count <= row.max_args)
