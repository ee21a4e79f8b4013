"""Scrubbing: reads every record of a store, checks its seal and that it can be read, and the indexes against the rows.

Reads in short transactions, a bounded number of records and bytes each, so that a store can be scrubbed while it runs:
LMDB keeps every page that a reader may see, for as long as it reads.  What concerns one process is compared within one
transaction.  Nothing is changed.

A damaged page of LMDB itself may end whoever reads it: scrubbing.py has this done in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.store import checking
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import IDS, META, NAMES, PROCESSES, QUEUE, READY, SPACE_NAMES, STATUSES, read_pid
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.sealing import TRAILER_BYTES, printable

#: Records and bytes read in one transaction.  One record may be larger.
PAGE_RECORDS = 500
PAGE_BYTES = 8 << 20
#: Findings that are listed; more are counted.
MAX_FINDINGS = 1000

#: `kind` of a finding: not what was written; written otherwise than this version reads; contradicts another record;
#: LMDB's own pages.
DAMAGED, UNREADABLE, INCONSISTENT, PAGE = "damaged", "unreadable", "inconsistent", "page"

_INDEXES = frozenset({STATUSES, IDS, NAMES, READY, QUEUE})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a record, and what that means for people."""

    kind: str
    space: str
    key: str
    reason: str
    means: str


@dataclass(slots=True)
class Report:
    """What a scrub found.  `size` is in bytes; `plain` records are not encrypted; `unsealed` ones are of an older
    format."""

    records: int = 0
    size: int = 0
    plain: int = 0
    encrypted: int = 0
    unsealed: int = 0
    processes: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """All of it as plain data."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        findings = [{name: getattr(one, name) for name in _FACTS} for one in self.findings]
        return {**counts, "findings": findings}

    def add(self, kind: str, space: str, key: bytes, reason: str, means: str) -> None:
        """Notes a finding."""
        self.found += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind, space, printable(key) if key else "", reason, means))


_COUNTS = ("records", "size", "plain", "encrypted", "unsealed", "processes", "found")
_FACTS = ("kind", "space", "key", "reason", "means")


def scrub(engine: LmdbEngine, report: Report, progress: Callable[[str, bytes], None]) -> None:
    """Reads all of a store.  `progress` is told what is read next."""
    for space in SPACE_NAMES:
        start = b""
        while True:
            progress(space, start)
            with engine.reading() as transaction:
                items = transaction.stored(space, start, PAGE_RECORDS, PAGE_BYTES)
                for key, stored in items:
                    _look(engine, transaction, space, key, stored, report)
            if not items:
                break
            start = items[-1][0] + b"\x00"
    progress(META, b"")
    with engine.reading() as transaction:
        try:
            for reason in checking.compare_counters(transaction):
                report.add(INCONSISTENT, META, b"counter", reason, "lists by status may leave something out")
        except StoreError as error:
            if not error.is_damage:
                raise


def _look(
    engine: LmdbEngine, transaction: LmdbTransaction, space: str, key: bytes, stored: bytes, report: Report
) -> None:
    report.records += 1
    report.size += len(stored)
    try:
        value = transaction.open_stored(space, key, stored)
    except StoreError as error:
        if not error.is_damage:
            raise
        report.add(DAMAGED, space, key, str(error.facts.get("reason")), checking.means(space))
        return
    if not engine.is_sealed and value == stored:
        report.unsealed += 1
    elif stored[-TRAILER_BYTES]:
        report.encrypted += 1
    else:
        report.plain += 1
    try:
        checking.read(transaction, space, key, value)
    except (StoreError, ValueError, TypeError, KeyError, IndexError) as error:
        if isinstance(error, StoreError) and error.code == "S310":
            return  # another record, which is found where it stands
        reason = str(error.facts.get("reason")) if isinstance(error, StoreError) else str(error)
        report.add(UNREADABLE, space, key, reason, checking.means(space))
        return
    try:
        if space == PROCESSES:
            report.processes += 1
            for reason in checking.compare_process(transaction, read_pid(key), value):
                report.add(INCONSISTENT, space, key, f"of process {read_pid(key)}, {reason}", checking.means(space))
        elif space in _INDEXES:
            reason = checking.compare_index(transaction, space, key, value)
            if reason:
                report.add(INCONSISTENT, space, key, reason, checking.means(space))
    except (StoreError, ValueError, TypeError, KeyError) as error:
        if not isinstance(error, StoreError):
            report.add(INCONSISTENT, space, key, str(error), checking.means(space))
        elif not error.is_damage:
            raise
