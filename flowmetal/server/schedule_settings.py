"""[schedules.NAME] of the settings: schedules that a server puts into its store when it begins.

    [schedules.report]
    cron = "0 3 * * *"
    zone = "Europe/Berlin"
    program = "reports"
    args = ["daily"]

The keys are those of the operation `schedule/put`, with `_` for `-`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from flowmetal.connectors.config import bad
from flowmetal.diagnostics import FlowmetalError
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Operate, Store
from flowmetal.store.operations.schedules import read_definition
from flowmetal.values import LanguageError, encode_value, from_python


def read_schedules(table: Any, now: int = 0) -> dict[str, bytes]:
    """The payload of `schedule/put` for every [schedules.NAME].  FlowmetalError H202."""
    if not isinstance(table, Mapping):
        raise bad("schedules", "the file", table, "a table of tables, [schedules.NAME]")
    found = {}
    for name, entry in table.items():
        section = f"[schedules.{name}]"
        if not isinstance(entry, Mapping):
            raise bad(str(name), "[schedules]", entry, "a table, [schedules.NAME]")
        if "name" in entry:
            raise bad("name", section, entry["name"], "in the name of the table")
        try:
            payload = from_python(_plain({"name": name, **entry}, section))
            read_definition(payload, None, now)
        except LanguageError as error:
            raise bad("args", section, entry, f"plain data ({error})") from error
        except StoreError as error:
            raise _wrong(section, entry, error) from error
        found[name] = encode_value(payload)
    return found


def put_schedules(store: Store, payloads: Mapping[str, bytes]) -> None:
    """Puts the schedules of the settings; others that are in the store stay as they are."""
    if payloads:
        store.submit([Operate("schedule/put", payload) for payload in payloads.values()]).result()


def _wrong(section: str, entry: Mapping[str, Any], error: StoreError) -> FlowmetalError:
    facts = error.facts
    if error.code == "S225":
        place = f"{facts['reason']} (character {facts['column']})"
        return bad("cron", section, entry.get("cron"), f"five fields, and here {place}")
    if error.code == "S226":
        near = facts.get("suggestion")
        return bad("zone", section, entry.get("zone"), "a time zone" + (f", perhaps {near}" if near else ""))
    if error.code == "S227":
        key = str(facts["what"]).replace("-", "_").replace(" ", "_")
        return FlowmetalError("H202", key=key, section=section, found=facts["found"], expected=facts["expected"])
    return bad("name", section, str(facts.get("found", ""))[:80], str(error))


def _plain(value: Any, section: str) -> Any:
    """Dates of TOML as text of an instant."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise bad("an instant", section, value, "with an offset or Z")
        return value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item, section) for key, item in value.items()}
    return [_plain(item, section) for item in value] if isinstance(value, list) else value
