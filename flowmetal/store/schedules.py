"""Schedules: when each run is due, what happens when the last one has not ended, and what is made up for.

All of it is done by Fire, in its transaction: a run is started, the schedule goes on to its next one, and both are
committed or neither is.  So it does not matter which interpreter fires, or how many do, or when one of them dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowmetal import lazily
from flowmetal.diagnostics import FlowmetalError
from flowmetal.store import failpoint
from flowmetal.store.bonds import limit_error
from flowmetal.store.changes import Changes
from flowmetal.store.codec import PAUSED, decode_attributes
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Start
from flowmetal.store.layout import ARTIFACTS, DEPLOYED, SCHEDULES, SCHEDULES_DUE, read_u64, u64
from flowmetal.store.limits import MAX_FORCED_RUNS
from flowmetal.store.schedule_rows import (
    ALL,
    ALLOW,
    CANCEL,
    NONE,
    QUEUE,
    SKIP,
    ScheduleRow,
    decode_schedule,
    encode_schedule,
)
from flowmetal.store.starting import start
from flowmetal.timetable.wrong import Wrong
from flowmetal.values import Instant, Map, Vector, decode_value, encode_value, instant_text, keyword

if TYPE_CHECKING:
    from flowmetal.bytecode import fmc
else:
    fmc = lazily.module("flowmetal.bytecode.fmc")  # for schedules that leave out the module

#: Schedules in one Fire, and runs of one of them: the transaction stays short, and the next Fire goes on.
MAX_SCHEDULES: Final = 100
MAX_RUNS: Final = 100

#: A store that is nearly full is asked again after this long.
FULL_NS: Final = 10 * 1_000_000_000

#: What became of a run; a refused one has the reason behind it.
STARTED, SKIPPED, WAITS, MISSED, REFUSED = "started", "skipped", "waits", "missed", "refused"


def load(changes: Changes, name: bytes) -> ScheduleRow | None:
    """The schedule of a name, or None."""
    data = changes.transaction.get(SCHEDULES, name)
    return None if data is None else decode_schedule(data)


def save(changes: Changes, row: ScheduleRow, due: int | None = None) -> None:
    """Writes a schedule, and when it is to be looked at: at `due`, or when there is something to do."""
    name = row.name.encode()
    if due is None:
        due = _due(changes, row)
    if due != row.indexed:
        if row.indexed:
            changes.transaction.delete(SCHEDULES_DUE, u64(row.indexed) + name)
        if due:
            first = changes.transaction.scan(SCHEDULES_DUE, limit=1, values=False)
            if not first or due < read_u64(first[0][0]):
                changes.hints.add(("timer", 0))
            changes.transaction.put(SCHEDULES_DUE, u64(due) + name, b"")
        row.indexed = due
    changes.transaction.put(SCHEDULES, name, encode_schedule(row))


def remove(changes: Changes, row: ScheduleRow) -> None:
    """Removes a schedule; processes that it started go on."""
    name = row.name.encode()
    if row.indexed:
        changes.transaction.delete(SCHEDULES_DUE, u64(row.indexed) + name)
    changes.transaction.delete(SCHEDULES, name)


def fire_due(changes: Changes) -> int:
    """Runs what is due -> the number of schedules that were looked at."""
    found = changes.transaction.scan(SCHEDULES_DUE, stop=u64(changes.now + 1), limit=MAX_SCHEDULES, values=False)
    for key, _ in found:
        try:
            row = load(changes, key[8:])
        except StoreError as error:
            if not error.is_damage:
                raise
            row = None  # it runs no more, and whoever asks for it is told why; timers go on
        if row is None:
            changes.transaction.delete(SCHEDULES_DUE, key)
        else:
            _look(changes, row)
    return len(found)


def _look(changes: Changes, row: ScheduleRow) -> None:
    """Runs what is due of a schedule."""
    if failpoint.hook is not None:
        failpoint.hook("schedule/due")
    try:
        has_room = _run_due(changes, row)
    except Wrong as wrong:  # its time zone is not on the machine that the store is on now
        row.paused = True
        row.remember(row.planned, changes.now, 0, f"{REFUSED}: {StoreError(wrong.code, **wrong.facts)}")
        has_room = True
    save(changes, row, None if has_room else changes.now + FULL_NS)
    if failpoint.hook is not None:
        failpoint.hook("schedule/run")


def settle(changes: Changes) -> None:
    """Takes note of runs that have ended.  What waited for one of them is started by the next Fire."""
    ended, changes.ended_runs = changes.ended_runs, []
    for pid, name in ended:
        try:
            row = load(changes, name.encode())
        except StoreError as error:
            if not error.is_damage:
                raise
            continue  # the process has ended all the same
        if row is not None and pid in row.running:
            row.running.remove(pid)
            save(changes, row)


def run_now(changes: Changes, row: ScheduleRow, force: bool) -> tuple[str, int]:
    """A run asked for by hand, planned now: (what became of it, its pid or 0).  StoreError where none can start.

    LanguageError :limit where too many were forced."""
    running = _running(changes, row)
    if force and len(row.running) >= MAX_FORCED_RUNS:
        text = f"{MAX_FORCED_RUNS} runs of the schedule {row.name} have not ended, which is the limit"
        raise limit_error(text, "schedule-runs", MAX_FORCED_RUNS)
    if force or not running:
        pid = _start(changes, row, changes.now)
        row.remember(changes.now, changes.now, pid, STARTED)
        return STARTED, pid
    return _overlap(changes, row, changes.now), 0


def _due(changes: Changes, row: ScheduleRow) -> int:
    if row.paused:
        return 0
    if row.waiting and not row.running:
        return changes.now
    return row.plan.due(row.name, row.planned) if row.planned else 0


def _run_due(changes: Changes, row: ScheduleRow) -> bool:
    """False where the store has no room for a process."""
    if row.waiting and not _running(changes, row):
        if not _begin(changes, row, row.waiting):
            return False
        row.waiting = 0
    for _ in range(MAX_RUNS):
        planned = row.planned
        if not planned:
            return True
        due = row.plan.due(row.name, planned)
        if due > changes.now:
            return True
        if planned > row.chosen_until and changes.now - due > row.grace:
            _catch_up(changes, row)
            continue
        if row.overlap != ALLOW and _running(changes, row):
            _overlap(changes, row, planned)
        elif not _begin(changes, row, planned):
            return False
        row.planned = row.plan.after(planned) or 0
    return True


def _catch_up(changes: Changes, row: ScheduleRow) -> None:
    """Chooses which of the missed runs are made up for: the planned one, and those after it that are late as well."""
    first = row.planned
    until = max(first, changes.now - row.grace - row.plan.jitter)
    count = {NONE: 0, ALL: row.catch_up_max}.get(row.catch_up, 1)
    kept = row.plan.latest(count, first - 1, until) if count else []
    if not kept or kept[0] != first:
        row.missed += 1
        row.remember(first, changes.now, 0, MISSED)
    if kept:
        row.planned, row.chosen_until = kept[0], kept[-1]
    else:
        row.planned = row.plan.after(until) or 0


def _running(changes: Changes, row: ScheduleRow) -> bool:
    """Whether a run has not ended."""
    living = []
    for pid in row.running:
        process = changes.load_process(pid)
        if process is not None and process.status <= PAUSED:
            living.append(pid)
    row.running = living
    return bool(living)


def _overlap(changes: Changes, row: ScheduleRow, planned: int) -> str:
    """What becomes of a run while another one has not ended."""
    waited = row.waiting
    if row.overlap == SKIP or (row.overlap == QUEUE and waited):
        row.skipped += 1
        row.remember(planned, changes.now, 0, SKIPPED)
        return SKIPPED
    row.waiting = planned
    if row.overlap == CANCEL:
        if waited:
            row.skipped += 1
            row.remember(waited, changes.now, 0, SKIPPED)
        else:
            reason = encode_value(f"the next run of schedule {row.name} is due")
            for pid in row.running:
                changes.deliver(pid, "cancel", 0, 0, reason)
    return WAITS


def _begin(changes: Changes, row: ScheduleRow, planned: int) -> bool:
    """Starts a run and remembers what came of it; False where it has to wait for room in the store."""
    try:
        pid = _start(changes, row, planned)
    except StoreError as error:
        if error.whose != "command":
            return False
        row.remember(planned, changes.now, 0, f"{REFUSED}: {error.code} {error}")
        return True
    row.remember(planned, changes.now, pid, STARTED)
    return True


def _whole_name(changes: Changes, row: ScheduleRow) -> str:
    """The function with its module, by which processes are found: a schedule may leave out the main module, which is
    that of what is deployed when a run begins."""
    if "/" in row.function:
        return row.function
    data = changes.transaction.get(ARTIFACTS, changes.transaction.get(DEPLOYED, row.program.encode()) or b"-")
    try:
        return f"{fmc.decode_artifact(data or b'').main}/{row.function}"
    except FlowmetalError:  # the interpreter says what is wrong with it
        return row.function


def _start(changes: Changes, row: ScheduleRow, planned: int) -> int:
    arguments = row.arguments
    if row.pass_run:
        told: dict[str, Any] = {"schedule": row.name, "planned": Instant(planned), "number": row.runs + 1}
        run = Map.of((keyword(name), value) for name, value in told.items())
        arguments = encode_value(Vector.of([*decode_value(arguments), run]))
    attributes = decode_attributes(row.attributes or None)
    attributes |= {"schedule": row.name, "planned": instant_text(Instant(planned))}
    command = Start(_whole_name(changes, row), arguments, name=row.program, attributes=attributes)
    pid, _ = start(changes, command)
    row.runs += 1
    if row.overlap != ALLOW:
        process = changes.load_process(pid)
        assert process is not None
        changes.touch(pid, process)
        process.schedule = row.name
        row.running.append(pid)
    return pid
