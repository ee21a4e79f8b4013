"""The builtins of the language: BUILTINS by permanent number, BY_NAME by name.  See registry.py for the rules."""

from __future__ import annotations

from flowmetal.vm.builtins import (  # noqa: F401 - importing a file registers what it defines
    cells,
    clock,
    collections,
    dispatch,
    errors,
    formatting,
    json,
    mailbox,
    names,
    numbers,
    octets,
    ordered,
    predicates,
    printing,
    protocols,
    regex,
    secrets,
    sequences,
    sets,
    strings,
)
from flowmetal.vm.builtins.registry import BUILTINS, BY_NAME, BuiltinInfo
from flowmetal.vm.builtins.weights import weigh_builtins

weigh_builtins()

__all__ = ["BUILTINS", "BY_NAME", "BuiltinInfo"]
