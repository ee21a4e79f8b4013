"""Removing what has ended, over a store: what a caller says is to go, and one piece of a sweep.

A sweep (engine/retention.py) begins with the newest process each time, so a piece ends, once its time is over, only
where it has removed something: what it has passed in vain is passed again by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.client.errors import Refused
from flowmetal.dataclass import dataclass
from flowmetal.store.interface import Store

if TYPE_CHECKING:
    from flowmetal.engine import retention
else:  # it needs the machine, and few clients prune
    retention = lazily.module("flowmetal.engine.retention")

#: What a policy may be told, by the names of [retention], and what stands beside it.
POLICY_FIELDS = ("older_than", "keep", "keep_failed", "keep_children", "log_older_than", "log_keep")
PRUNE_FIELDS = (*POLICY_FIELDS, "program", "dry_run")

#: Numbers that a policy may keep.
KEEP_MAX = 10**9


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to go: the fields of a policy that were given, of which program, and whether it is only counted."""

    policy: Mapping[str, Any]
    program: str | None = None
    dry_run: bool = False

    def document(self) -> dict[str, Any]:
        """As plain data."""
        said = {name: value for name, value in self.policy.items() if value is not None}
        said |= {} if self.program is None else {"program": self.program}
        return said | ({"dry_run": True} if self.dry_run else {})


def pruning_of(document: Mapping[str, Any]) -> Pruning:
    """What plain data says, checked.  Refused (H513) for what cannot be."""
    for name in document:
        if name not in PRUNE_FIELDS:
            raise Refused(
                "H513", what=f"what is pruned by (here {name[:80]!r})", expected="of " + ", ".join(PRUNE_FIELDS)
            )
    program, dry_run = document.get("program"), document.get("dry_run", False)
    if program is not None and (program.__class__ is not str or not program):
        raise Refused("H513", what="a program", expected="text that is not empty")
    if dry_run.__class__ is not bool:
        raise Refused("H513", what="dry_run", expected="true or false")
    policy = {name: document[name] for name in POLICY_FIELDS if document.get(name) is not None}
    for name in ("older_than", "log_older_than"):
        text = policy.get(name)
        if text is not None and (text.__class__ is not str or _nanoseconds(text) is None):
            raise Refused("H513", what=name, expected='a duration such as "12h" or "30d"')
    for name in ("keep", "log_keep"):
        number = policy.get(name)
        if number is not None and not (number.__class__ is int and 0 <= number <= KEEP_MAX):
            raise Refused("H513", what=name, expected=f"a whole number from 0 to {KEEP_MAX}")
    for name in ("keep_failed", "keep_children"):
        if policy.get(name, False).__class__ is not bool:
            raise Refused("H513", what=name, expected="true or false")
    return Pruning(policy, program, dry_run)


def _nanoseconds(text: str) -> int | None:
    found = retention.duration_of(text) if len(text) <= 80 else None
    return found if found is not None and 0 <= found < 1 << 62 else None


def retention_for(wanted: Pruning, usual: retention.Retention | None = None) -> retention.Retention:
    """By what is pruned: what was given, or, where that says nothing of what is to go, `usual`.  Refused (H555)."""
    given = wanted.policy
    if not any(name in given for name in ("older_than", "keep", "log_older_than", "log_keep")):
        if usual is None or not usual.does_something or given:
            raise Refused("H555")
        return usual
    times = {name: _nanoseconds(given[name]) for name in ("older_than", "log_older_than") if name in given}
    policy = retention.Policy(
        older_than_ns=times.get("older_than"),
        keep=given.get("keep"),
        keep_failed=given.get("keep_failed", False),
        keep_children=given.get("keep_children", True),
        log_older_than_ns=times.get("log_older_than"),
        log_keep=given.get("log_keep"),
    )
    return retention.Retention(usual=policy)


def prune_piece(
    store: Store,
    by: retention.Retention,
    wanted: Pruning,
    seconds: float | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> retention.Report:
    """A sweep, or the part of it that is done in `seconds`; its report says whether there is more.

    `stopping`: whether it is to end at once.
    """
    began = time.monotonic()

    def rest(_: float) -> None:
        over = seconds is not None and time.monotonic() - began > seconds
        if stopping() or (over and not wanted.dry_run and sweep.report.removed):
            raise retention.Stopped

    sweep = retention.Sweep(store, by, program=wanted.program, dry_run=wanted.dry_run, rest=rest)
    try:
        return sweep.run()
    except retention.Stopped:
        sweep.report.more = True
        return sweep.report
