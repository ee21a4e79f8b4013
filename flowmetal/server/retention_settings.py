"""[retention] and [retention.programs.NAME] of flowmetal.toml: what is removed, and how often somebody looks.

[retention]
older_than = "30d"
keep_failed = true

[retention.programs.reports]
keep = 100
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.connectors.config import bad, read_table
from flowmetal.dataclass import dataclass, fields
from flowmetal.engine.retention import SECOND, Policy, Retention, duration_of

#: Numbers that a policy may keep.
KEEP_MAX = 10**9


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """[retention.programs.NAME], and the same in [retention]; what is not given there is as in [retention]."""

    older_than: str | None = None  # how long ended processes stay, as "30d"; with `keep`, both must allow it
    keep: int | None = None  # how many ended processes stay, the newest
    keep_failed: bool = False  # failed processes stay
    keep_children: bool = True  # ended children stay while their parent lives
    log_older_than: str | None = None  # how long the log of a living process stays
    log_keep: int | None = None  # how many of its entries stay at least


@dataclass(frozen=True, slots=True)
class RetentionSettings(PolicySettings):
    """[retention]."""

    every: str = "1h"  # how often the interpreter looks
    artifacts: bool = True  # programs that nothing needs go as well, an hour after the last one did


_POLICY = tuple(field.name for field in fields(PolicySettings))


def read_retention(table: Any) -> Retention:
    """The policies of [retention].  FlowmetalError H201 or H202 where something is wrong."""
    if not isinstance(table, Mapping):
        raise bad("retention", "the file", table, "a table")
    usual = {key: value for key, value in table.items() if key != "programs"}
    settings = read_table(RetentionSettings, usual, "[retention]")
    programs = table.get("programs", {})
    if not isinstance(programs, Mapping):
        raise bad("programs", "[retention]", programs, "a table of tables, [retention.programs.NAME]")
    inherited = {key: value for key, value in usual.items() if key in _POLICY}
    return Retention(
        usual=_policy(settings, "[retention]"),
        programs={name: _program(name, one, inherited) for name, one in programs.items()},
        every_seconds=_duration("every", settings.every, "[retention]", least=SECOND) / SECOND,
        artifacts=settings.artifacts,
    )


def _program(name: str, table: Any, inherited: Mapping[str, Any]) -> Policy:
    section = f"[retention.programs.{name}]"
    if not isinstance(table, Mapping):
        raise bad(name, "[retention.programs]", table, "a table")
    return _policy(read_table(PolicySettings, {**inherited, **table}, section), section)


def _policy(settings: PolicySettings, section: str) -> Policy:
    for key in ("keep", "log_keep"):
        value = getattr(settings, key)
        if value is not None and not 0 <= value <= KEEP_MAX:
            raise bad(key, section, value, f"from 0 to {KEEP_MAX}")
    return Policy(
        older_than_ns=_duration_or_none("older_than", settings.older_than, section),
        keep=settings.keep,
        keep_failed=settings.keep_failed,
        keep_children=settings.keep_children,
        log_older_than_ns=_duration_or_none("log_older_than", settings.log_older_than, section),
        log_keep=settings.log_keep,
    )


def _duration_or_none(key: str, text: str | None, section: str) -> int | None:
    return None if text is None else _duration(key, text, section)


def _duration(key: str, text: str, section: str, least: int = 0) -> int:
    nanoseconds = duration_of(text)
    if nanoseconds is None or not least <= nanoseconds < 1 << 62:
        raise bad(key, section, text, 'a duration such as "12h" or "30d"')
    return nanoseconds
