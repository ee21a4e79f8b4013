"""A process as a client sees it.  On its own, for commands that list processes and end at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.dataclass import dataclass
from flowmetal.store.interface import ProcessRecord

if TYPE_CHECKING:
    from flowmetal import values
else:
    values = lazily.module("flowmetal.values")

#: From here on years have five digits.
_FAR = 253_402_300_800


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process as a client sees it.  Times are ISO 8601 in UTC, the artifact is its hash in hex."""

    pid: int
    function: str
    status: str
    id: str | None
    artifact: str
    sequence: int
    created_at: str
    updated_at: str
    parent: int | None
    waits: str
    error: str
    attributes: dict[str, Any]
    grants: list[str] | None = None  # which effects it may perform; None: all

    @property
    def ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.status in ("done", "failed", "cancelled")


def time_text(nanoseconds: int) -> str:
    """An instant of the store's clock in ISO 8601, as the language writes it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if not 0 <= seconds < _FAR:
        return str(values.to_python(values.Instant(nanoseconds)))
    digits = f"{rest:09d}"
    while len(digits) > 3 and digits.endswith("000"):
        digits = digits[:-3]
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{digits}Z"


def info_of(record: ProcessRecord) -> ProcessInfo:
    """A record in plain data."""
    return ProcessInfo(
        pid=record.pid,
        function=record.function,
        status=record.status,
        id=record.id,
        artifact=record.artifact.hex(),
        sequence=record.sequence,
        created_at=time_text(record.created_at),
        updated_at=time_text(record.updated_at),
        parent=record.parent,
        waits=record.waits,
        error=record.error,
        attributes=dict(record.attributes),
        grants=None if record.grants is None else list(record.grants),
    )
