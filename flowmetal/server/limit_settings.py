"""[limits] and [limits.programs.NAME] of flowmetal.toml, by the names of engine/limits.py.

[limits]
heap = 1_000_000

[limits.programs.reports]
heap = 4_000_000
fuel = 100_000_000_000
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.connectors.config import bad, known
from flowmetal.engine.limits import TABLE, AllLimits, EngineLimits, ProgramLimits, limits_with

_ROWS = {row.name.replace("-", "_"): row for row in TABLE}


def read_limits(table: Any) -> AllLimits:
    """The limits of [limits].  FlowmetalError H201 or H202 where something is wrong."""
    if not isinstance(table, Mapping):
        raise bad("limits", "the file", table, "a table")
    usual = {key: value for key, value in table.items() if key != "programs"}
    programs = table.get("programs", {})
    if not isinstance(programs, Mapping):
        raise bad("programs", "[limits]", programs, "a table of tables, [limits.programs.NAME]")
    return AllLimits(
        _limits(usual, "[limits]"),
        {name: _program(name, one, usual) for name, one in programs.items()},
    )


def _program(name: str, table: Any, usual: Mapping[str, Any]) -> ProgramLimits:
    section = f"[limits.programs.{name}]"
    if not isinstance(table, Mapping):
        raise bad(name, "[limits.programs]", table, "a table")
    return _limits({**usual, **table}, section)


def _limits(table: Mapping[str, Any], section: str) -> ProgramLimits:
    known(table, _ROWS, section)
    vm: dict[str, int] = {}
    engine: dict[str, int] = {}
    for key, value in table.items():
        row = _ROWS[key]
        if value.__class__ is not int or not 1 <= value <= row.most:
            raise bad(key, section, value, f"a whole number from 1 to {row.most}")
        (engine if hasattr(EngineLimits(), row.field) else vm)[row.field] = value
    return limits_with(vm, engine)
