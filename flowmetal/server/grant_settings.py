"""[grants] of flowmetal.toml: what the processes of a deployed name may perform.

    [grants]
    orders = ["http/request=api.example.com", "store"]
    reports = ["all"]

It holds for a name where whoever deploys it says nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.connectors.config import bad
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.grants import read_grants


def read_grant_settings(table: Any) -> dict[str, tuple[str, ...] | None]:
    """The grants of each name; None for all.  FlowmetalError H202 where something is wrong."""
    if not isinstance(table, Mapping):
        raise bad("grants", "the file", table, "a table of lists, NAME = [GRANT, ...]")
    return {name: read_grant_list(name, "[grants]", given) for name, given in table.items()}


def read_grant_list(key: str, section: str, given: Any) -> tuple[str, ...] | None:
    """A list of grants; None for all.  FlowmetalError H202 where it is none."""
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise bad(key, section, given, 'a list of grants, as ["http/request=api.example.com", "store"]')
    try:
        return read_grants(given)
    except FlowmetalError as error:
        raise bad(key, section, given, f"a list of grants; {error.diagnostic.text.rstrip('.')}") from None
