"""Retention: which ended processes, old log and artifacts are to go, and a sweep that removes them a little at a time.

What is removed at once is small, and the store checks it again in its own transaction (store/removing.py), so a sweep
may be killed, run beside another one, and run while processes do.  A sweep begins with what an earlier one left.

A process stays while its parent lives; of a living one the newest checkpoint and all after it stay, and the entry that
says what it was called with.  States within a span can be had as long as the checkpoint it begins with is there, so
only whole spans go, the oldest first.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.events import EventError, Started, decode_event
from flowmetal.engine.needed import Needed
from flowmetal.reading.numbers import duration_nanoseconds
from flowmetal.store import failpoint
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import FINAL_STATUSES, Command, ForgetArtifacts, ProcessRecord, PruneLog, Remove, Store

logger = logging.getLogger("flowmetal.engine")

SECOND = 1_000_000_000
#: Processes looked at together, and removed in one transaction where they are small.
PAGE = 200
REMOVED_AT_ONCE = 16
#: Keys of one process in such a transaction; what it has more goes alone, by the limit of Remove.
KEYS_AT_ONCE = 64
#: Pids that a report lists.
LISTED = 1000
#: Log entries among which the start is looked for; only pauses and resumes come before it.
STARTED_WITHIN = 20
#: Artifacts go when nothing has needed them for so long.
ARTIFACT_GRACE_NS = 3600 * SECOND
#: A sweep in the background rests for this many times as long as it worked, so that it is not felt.
REST = 9
#: How often a sweep in the background looks whether it is to end.
STOP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """What of a program's processes may go.  None: no such reason to keep less.

    An ended process goes when it ended before `older_than_ns` and is not among the `keep` newest that ended; with
    neither given none goes.  A log before a checkpoint goes when all of it is older than `log_older_than_ns` and
    `log_keep` entries stay; again with neither given none goes.
    """

    older_than_ns: int | None = None
    keep: int | None = None
    keep_failed: bool = False
    keep_children: bool = True  # ended children of a parent that lives
    log_older_than_ns: int | None = None
    log_keep: int | None = None

    @property
    def removes(self) -> bool:
        """Whether any ended process goes."""
        return self.older_than_ns is not None or self.keep is not None

    @property
    def shortens(self) -> bool:
        """Whether any log goes."""
        return self.log_older_than_ns is not None or self.log_keep is not None


@dataclass(frozen=True, slots=True)
class Retention:
    """Policies: that of programs without one of their own, and those of programs; how often the interpreter sweeps."""

    usual: Policy = field(default_factory=Policy)
    programs: Mapping[str, Policy] = field(default_factory=dict)
    every_seconds: float = 3600.0
    artifacts: bool = True

    def of(self, program: str) -> Policy:
        """The policy of a program."""
        return self.programs.get(program, self.usual)

    @property
    def does_something(self) -> bool:
        """Whether a sweep could remove anything of processes."""
        return any(policy.removes or policy.shortens for policy in (self.usual, *self.programs.values()))


@dataclass(slots=True)
class Report:
    """What a sweep removed, or would remove: processes by program, the first pids, log entries, artifacts."""

    dry_run: bool
    processes: int = 0
    by_program: dict[str, int] = field(default_factory=dict)
    pids: list[int] = field(default_factory=list)
    kept_children: int = 0  # ended, and kept for a parent that lives
    logs: int = 0  # processes whose log is shortened
    log_entries: int = 0
    artifacts: int = 0
    unneeded: int = 0  # artifacts that nothing needs, which go when that has been so for an hour
    more: bool = False  # it was ended before it was through

    @property
    def removed(self) -> bool:
        """Whether anything was removed."""
        return bool(self.processes or self.log_entries or self.artifacts)

    def add(self, piece: Report) -> None:
        """Adds what the next piece of the same sweep has done."""
        self.processes += piece.processes
        for name, count in piece.by_program.items():
            self.by_program[name] = self.by_program.get(name, 0) + count
        self.pids += piece.pids[: LISTED - len(self.pids)]
        self.logs += piece.logs
        self.log_entries += piece.log_entries
        self.artifacts += piece.artifacts
        self.kept_children, self.unneeded, self.more = piece.kept_children, piece.unneeded, piece.more

    def count(self, record: ProcessRecord) -> None:
        """Counts a process that goes."""
        self.processes += 1
        self.by_program[record.program] = self.by_program.get(record.program, 0) + 1
        if len(self.pids) < LISTED:
            self.pids.append(record.pid)


def duration_of(text: str) -> int | None:
    """The nanoseconds of a duration as "30d"; None for other text."""
    return duration_nanoseconds(text)


class Stopped(Exception):
    """A sweep is to end before it is through."""


def never_rest(seconds: float) -> None:
    """For a sweep that somebody waits for."""


class Sweep:
    """One look at everything a store keeps.

    `rest` is called after each piece with the seconds it took; `needed` is what earlier ones have found out.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        *,
        program: str | None = None,
        dry_run: bool = False,
        rest: Callable[[float], None] = never_rest,
        needed: Needed | None = None,
    ) -> None:
        self.report = Report(dry_run)
        self._store = store
        self._retention = retention
        self._program = program
        self._rest = rest
        self._needed = needed or Needed(store)
        self._parents: dict[int, bool] = {}  # whether each lives

    def run(self) -> Report:
        """Removes what is to go; the report.  StoreError where the store fails."""
        if not self.report.dry_run:
            self._finish_begun()
        self._ended()
        self._logs()
        if self._retention.artifacts and self._program is None:
            with _beside_damage("which artifacts are needed"):
                self._artifacts()
        return self.report

    # ---- ended processes

    def _finish_begun(self) -> None:
        tried: set[int] = set()  # what cannot be removed for damage is not tried again and again
        while pids := [pid for pid in self._store.leftovers() if pid not in tried]:
            for pid in pids:
                tried.add(pid)
                self._remove_alone(pid)

    def _ended(self) -> None:
        if not any(policy.removes for policy in (self._retention.usual, *self._retention.programs.values())):
            return
        kept = self._newest()
        waiting: list[ProcessRecord] = []
        for record in self._records(FINAL_STATUSES, newest_first=True):
            if self._goes(record, kept) and not self._is_kept_child(record):
                waiting.append(record)
            if len(waiting) >= REMOVED_AT_ONCE:
                self._remove(waiting)
        self._remove(waiting)

    def _newest(self) -> dict[str, tuple[int, int]]:
        """Of each program the time of the end, and the pid, from which on processes are among the newest that stay.

        What ends while this is looked at is newer still.
        """
        if not any(policy.keep for policy in (self._retention.usual, *self._retention.programs.values())):
            return {}
        newest: dict[str, list[tuple[int, int]]] = {}
        for record in self._records(FINAL_STATUSES, newest_first=True):
            policy = self._retention.of(record.program)
            if policy.keep and not (policy.keep_failed and record.status == "failed"):
                found = newest.setdefault(record.program, [])
                if len(found) < policy.keep:
                    heapq.heappush(found, (record.updated_at, record.pid))
                else:
                    heapq.heappushpop(found, (record.updated_at, record.pid))
        return {
            name: found[0] if len(found) == self._retention.of(name).keep else (0, 0) for name, found in newest.items()
        }

    def _goes(self, record: ProcessRecord, kept: Mapping[str, tuple[int, int]]) -> bool:
        policy = self._retention.of(record.program)
        if not policy.removes or (policy.keep_failed and record.status == "failed"):
            return False
        if policy.keep and (record.updated_at, record.pid) >= kept.get(record.program, (0, 0)):
            return False
        return policy.older_than_ns is None or record.updated_at <= self._store.now() - policy.older_than_ns

    def _is_kept_child(self, record: ProcessRecord) -> bool:
        parent = record.parent
        if parent is None or not self._retention.of(record.program).keep_children:
            return False
        lives = self._parents.get(parent)
        if lives is None:
            found, lives = None, True
            with _beside_damage(f"process {parent}"):
                found = self._store.process(parent)
                lives = found is not None and found.status not in FINAL_STATUSES
            self._parents[parent] = lives
        self.report.kept_children += lives
        return lives

    def _remove(self, records: list[ProcessRecord]) -> None:
        for record in records:
            self.report.count(record)
        if records and not self.report.dry_run:
            commands = [
                Remove(record.pid, self._retention.of(record.program).keep_children, KEYS_AT_ONCE) for record in records
            ]
            try:
                found = self._submit(commands)
            except StoreError as error:
                if not error.is_damage:
                    raise
                found = [("more", 0)] * len(commands)  # one of them is damaged: each alone
            for command, (state, _) in zip(commands, found, strict=True):
                if state == "more":
                    self._remove_alone(command.pid, command.spare_children)
        records.clear()

    def _remove_alone(self, pid: int, spare_children: bool = True) -> None:
        with _beside_damage(f"process {pid}"):
            while self._submit([Remove(pid, spare_children)])[0][0] == "more":
                pass

    # ---- logs of processes that live

    def _logs(self) -> None:
        if not any(policy.shortens for policy in (self._retention.usual, *self._retention.programs.values())):
            return
        for record in self._records(("ready", "waiting", "paused"), newest_first=False):
            policy = self._retention.of(record.program)
            if policy.shortens and record.checkpoint:
                with _beside_damage(f"process {record.pid}"):
                    self._shorten(record, policy)

    def _shorten(self, record: ProcessRecord, policy: Policy) -> None:
        store, pid = self._store, record.pid
        before = self._first_needed(record, policy)
        start = started_at(store, pid)
        if start is None or before <= start + 1:
            return
        kept = store.kept_from(pid)
        if kept < before:
            self.report.logs += 1
            self.report.log_entries += before - max(kept, start + 1)
        if self.report.dry_run:
            return
        state = "more" if kept < before else "done"
        while state == "more":
            state = self._submit([PruneLog(pid, before, start)])[0][0]
        if state == "done":
            seen, texts = store.unreferenced_texts(pid)
            if texts:
                self._submit([PruneLog(pid, 0, start, seen, tuple(texts))])

    def _first_needed(self, record: ProcessRecord, policy: Policy) -> int:
        """The sequence of the newest checkpoint that may become the oldest; 0 for none."""
        oldest = self._store.now() - (policy.log_older_than_ns or 0)
        for sequence in reversed(self._store.checkpoints(record.pid)):
            if sequence > record.checkpoint or record.sequence - sequence < (policy.log_keep or 0):
                continue
            if policy.log_older_than_ns is None or self._time_of(record.pid, sequence - 1) <= oldest:
                return sequence
        return 0

    def _time_of(self, pid: int, sequence: int) -> int:
        """When an entry was written; 0 for one that is gone or cannot be read."""
        for entry in self._store.log(pid, sequence, 1):
            if entry.sequence == sequence and not entry.part:
                try:
                    return decode_event(entry.event).time
                except EventError:
                    return 0
        return 0

    # ---- artifacts

    def _artifacts(self) -> None:
        """Notes what nothing needs, and removes what nothing has needed for long."""
        store = self._store
        last_pid = store.last_pid()
        used: set[int] = set()
        after = 0
        while True:
            began = time.monotonic()
            after, found = store.origins_in_use(after)
            used |= found
            if not after:
                break
            self._rest(time.monotonic() - began)
        known = store.origins_known()
        needed = {hash for number, hash in known.items() if number in used} | set(store.deployed().values())
        try:
            stored = store.artifacts()
            needed |= self._needed.libraries(needed, stored)
        except FlowmetalError as error:
            logger.warning("artifacts are kept, since what they need cannot be read: %s", error)
            return
        unneeded = sorted(hash for hash in stored if hash not in needed)
        self.report.unneeded = len(unneeded)
        if not self.report.dry_run:
            gone = sorted(number for number in known if number not in used)
            if unneeded or gone:
                self.report.artifacts = self._submit([ForgetArtifacts(unneeded, gone, last_pid, ARTIFACT_GRACE_NS)])[0]

    # ---- both

    def _records(self, statuses: Iterable[str], *, newest_first: bool) -> Iterator[ProcessRecord]:
        after = 0
        while True:
            began = time.monotonic()
            page = self._store.processes(after=after, limit=PAGE, statuses=statuses, newest_first=newest_first)
            self._rest(time.monotonic() - began)
            for record in page:
                if self._program is None or record.program == self._program:
                    yield record
            if len(page) < PAGE:
                return
            after = page[-1].pid

    def _submit(self, commands: Sequence[Command]) -> list[Any]:
        began = time.monotonic()
        if failpoint.hook is not None:
            failpoint.hook("retention/remove")
        results = self._store.submit(list(commands)).result()
        if failpoint.hook is not None:
            failpoint.hook("retention/removed")
        self._rest(time.monotonic() - began)
        return results


@contextmanager
def _beside_damage(what: str) -> Iterator[None]:
    """Leaves alone what a damaged record belongs to; the rest is swept all the same."""
    try:
        yield
    except StoreError as error:
        if not error.is_damage:
            raise
        logger.warning("%s cannot be told or removed: %s", what, error)


def started_at(store: Store, pid: int) -> int | None:
    """The sequence of the entry that says what a process was called with; None where it is not where it should be."""
    for entry in store.log(pid, 0, STARTED_WITHIN):
        try:
            if not entry.part and isinstance(decode_event(entry.event), Started):
                return entry.sequence
        except EventError:
            return None
    return None


class Sweeper:
    """Sweeps a store in the background, from a thread of its own, while `is_ours` says that no other process is to."""

    def __init__(self, store: Store, retention: Retention, is_ours: Callable[[], bool]) -> None:
        self._store, self._retention, self._is_ours = store, retention, is_ours
        self.sweeps = 0  # that were finished

    def start(self, thread: threading.Thread) -> None:
        """Sweeps now and then until the interpreter's thread ends; where nothing is to go, never."""
        if self._retention.does_something:
            threading.Thread(target=self._sweep, args=(thread,), name="flowmetal-retention", daemon=True).start()

    def _sweep(self, thread: threading.Thread) -> None:
        retention, needed = self._retention, Needed(self._store)

        def rest(seconds: float) -> None:
            if not wait(seconds * REST):
                raise Stopped

        def wait(seconds: float) -> bool:
            until = time.monotonic() + seconds
            while thread.is_alive() and (left := until - time.monotonic()) > 0:
                thread.join(min(left, STOP_SECONDS))
            return thread.is_alive()

        while wait(min(retention.every_seconds, 1.0) if not self.sweeps else retention.every_seconds):
            if not self._is_ours():
                continue
            try:
                report = Sweep(self._store, retention, rest=rest, needed=needed).run()
                self.sweeps += 1
                if report.processes or report.logs or report.artifacts:
                    logger.info(
                        "removed %d processes, %d log entries of %d others, %d artifacts",
                        report.processes, report.log_entries, report.logs, report.artifacts,
                    )  # fmt: skip
            except Stopped:
                return
            except Exception as error:  # of the store, mostly: it is there again the next time
                logger.warning("retention did not get through: %s", error)
