"""Rows of schedules, and their stored form."""

from __future__ import annotations

from typing import Any, Final

from flowmetal import packing
from flowmetal.dataclass import dataclass, field, fields
from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.layout import SCHEDULES
from flowmetal.timetable.plan import Plan

_pack = packing.pack

#: What happens when a run is due while the last one has not ended; permanent.
SKIP, QUEUE, CANCEL, ALLOW = range(4)
OVERLAPS: Final = ("skip", "queue", "cancel", "allow")
#: What happens with runs that were missed; permanent.
NONE, ONE, ALL = range(3)
CATCH_UPS: Final = ("none", "one", "all")

#: Runs that a schedule remembers.
RECENT: Final = 20


@dataclass(slots=True)
class ScheduleRow:
    """A schedule.  Times in nanoseconds; 0: none.  The order of the fields is that of the stored form."""

    name: str
    plan: Plan
    program: str
    function: str
    arguments: bytes  # encoded vector
    attributes: bytes  # of the processes; msgpack, or empty
    pass_run: bool  # whether the run is told as one more argument
    overlap: int
    catch_up: int
    catch_up_max: int
    grace: int  # a run that begins later than this was missed
    made_at: int
    paused: bool = False
    planned: int = 0  # the next run
    indexed: int = 0  # where it stands in SCHEDULES_DUE
    chosen_until: int = 0  # runs planned until then were missed and are to be made up for
    waiting: int = 0  # the planned instant of the run that waits for the last one to end
    running: list[int] = field(default_factory=list)  # processes that count for `overlap`
    runs: int = 0
    skipped: int = 0
    missed: int = 0  # how often runs were left out; one for each gap
    recent: list[list[Any]] = field(default_factory=list)  # [planned, begun, pid, what], the last last

    def remember(self, planned: int, begun: int, pid: int, what: str) -> None:
        """Puts a run among the last ones."""
        self.recent.append([planned, begun, pid, what[:200]])
        del self.recent[:-RECENT]


_NAMES: Final = tuple(one.name for one in fields(ScheduleRow))
_PLAN_NAMES: Final = tuple(one.name for one in fields(Plan))


def encode_schedule(row: ScheduleRow) -> bytes:
    """The value of SCHEDULES."""
    values = [getattr(row, name) for name in _NAMES]
    values[1] = [getattr(row.plan, name) for name in _PLAN_NAMES]
    data: bytes = _pack(values)
    return data


def decode_schedule(data: bytes) -> ScheduleRow:
    """From the value of SCHEDULES."""
    try:
        values = unpack(SCHEDULES, data)
        values[1] = Plan(*values[1])
        return ScheduleRow(*values)
    except (TypeError, ValueError, IndexError) as error:
        raise unreadable(SCHEDULES, error) from error
