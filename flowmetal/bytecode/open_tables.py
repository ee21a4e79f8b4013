"""Open tables: what several modules of a program add to together, such as the methods of a multimethod.

An entry is a hidden global of the module that adds it: its name says to which table, its value is a vector of key and
value.  So entries are stored, hashed, verified and shared like all globals, and a program's table is what its modules
hold: each module after those it requires, entries in the order of their forms; of equal keys the later entry holds, and
one whose value is nil or false takes the key away.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.program import PER_PROCESS, Global, Module, Program
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Vector

#: What the name of an entry begins with; no source can write it.
PREFIX = "%open "

#: What a program keeps of look-ups; emptied when full.
MEMO_MAX = 10_000


@dataclass(slots=True, eq=False)
class OpenTables:
    """What has been found out about the tables of a program; thrown away when an entry is added."""

    index: dict[str, list[tuple[Module, str]]]  # table -> its entries in order
    made: dict[str, Any] = field(default_factory=dict)  # table, or what is made of one -> value
    memo: dict[Any, Any] = field(default_factory=dict)  # look-ups, see the builtins of dispatch


def entry_name(table: str, number: int) -> str:
    """The name of the global that is an entry of a table."""
    return f"{PREFIX}{table} {number}"


def table_of(name: str) -> str | None:
    """The table that a global of this name is an entry of, or None."""
    return name[len(PREFIX) :].rpartition(" ")[0] if name.startswith(PREFIX) else None


def is_entry(name: str) -> bool:
    """Whether a global of this name is an entry of a table."""
    return name.startswith(PREFIX)


def add_entry(module: Module, table: str, key: Any, value: Any, span: Any = None) -> None:
    """Adds an entry to a module that is being compiled."""
    number = sum(1 for name in module.globals if is_entry(name))
    name = entry_name(table, number)
    module.globals[name] = Global(name, Vector.of((key, value)), private=True, span=span)


def tables(program: Program) -> OpenTables:
    """The tables of a program."""
    found: OpenTables | None = program.open
    if found is None:
        index: dict[str, list[tuple[Module, str]]] = {}
        for module in _in_order(program):
            for name in module.globals:
                table = table_of(name)
                if table is not None:
                    index.setdefault(table, []).append((module, name))
        found = program.open = OpenTables(index)
    return found


def entry_of(module: Module, name: str) -> Vector | None:
    """The entry that a global is; None where each process has its own.  FlowmetalError B130."""
    value = module.globals[name].value
    if value is PER_PROCESS:
        return None
    return checked(value, module, name)


def checked(value: Any, module: Module, name: str) -> Vector:
    """The value of an entry's global.  FlowmetalError B130 where it is no vector of two."""
    if value.__class__ is not Vector or len(value) != 2:
        raise FlowmetalError("B130", place=f"{module.name}/{name}")
    entry: Vector = value
    return entry


def check_entries(module: Module) -> None:
    """Checks the entries of a decoded module whose values can be read.  FlowmetalError B130."""
    for name in module.globals:
        if is_entry(name):
            entry_of(module, name)


def _in_order(program: Program) -> list[Module]:
    """The modules, each after those it requires, otherwise by name.

    While a file is compiled only what it requires counts, and the core: what else happens to be compiled already must
    not show.
    """
    modules = program.modules
    starts = sorted(modules)
    if program.seen_from:
        starts = [*(name for name in starts if name.startswith("flowmetal.core")), program.seen_from]
    order: dict[str, Module] = {}
    opened: set[str] = set()
    for start in starts:
        stack = [start]
        while stack:
            top = stack[-1]
            below = [
                name for name in sorted(modules[top].requires)
                if name in modules and name not in order and name not in opened
            ]  # fmt: skip
            opened.add(top)
            if below and top not in order:
                stack.append(below[0])
                continue
            order.setdefault(top, modules[top])
            stack.pop()
    return list(order.values())
