"""What must hold, of every commit and at the end: the promises of the store and of the engine, against its records."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flowmetal.engine import events
from flowmetal.engine.events import Event, decode_event
from flowmetal.engine.live import entries_from, load
from flowmetal.store import commands
from flowmetal.store.cache import Cache
from flowmetal.store.changes import Changes
from flowmetal.store.codec import WAKE, decode_partition
from flowmetal.store.interface import FINAL_STATUSES, PARTITIONS, Claim, Fire, Join, LogEntry, Turn
from flowmetal.store.layout import DUE, QUEUES, RESULTS, STATES, pid_key, read_due_key, read_pid, u16
from flowmetal.store.layout import PARTITIONS as PARTITION_SPACE
from flowmetal.store.memory import MemoryTransaction
from flowmetal.store.operations import kv
from flowmetal.store.queue_rows import RUNNING, decode_queue
from flowmetal.store.rows import decode_state
from flowmetal.values import Keyword, Vector, decode_value, encode_value, keyword
from tests.simulation.outside import TICKS_UNTIL, Outside
from tests.simulation.plans import expect, nested, text
from tests.simulation.world import SECOND
from tests.store.queue_kit import check_queues
from tests.store.test_equivalence import check_indexes, content

_ENDS = (events.Finished, events.Failed, events.Cancelled)
#: Messages of plans that are sent once each.
_ONCE = frozenset(map(keyword, ("child", "item", "ping", "pong", "note")))
_OUTCOMES = (events.Answered, events.AnsweredError, events.TimerFired, events.TimedOut, events.RequestCancelled)


class Watched(Outside):
    """An outside whose commits are looked at, and that is checked at the end."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.granted: dict[tuple[int, int], str] = {}  # partition and epoch -> the interpreter that has them
        self._claims: list[Claim] = []  # of the transaction under way
        self.queues = any(one[0] == "queue" for plan in self.plans for one in nested(plan))
        self.disk.began = self._claims.clear
        self.disk.ended = self._committed

    def requested(self, pid: int) -> list[int]:
        """See Outside."""
        found = (decode_event(entry.event) for entry in entries_from(self.reader, pid, 0) if not entry.part)
        return [event.number for event in found if isinstance(event, events.Requested)]

    # ---- each command

    def _turn(self, apply: Callable[..., Any], changes: Any, command: Turn) -> Any:
        kept = apply(changes, command)
        if kept:
            data = changes.transaction.get(PARTITION_SPACE, u16(command.pid % PARTITIONS))
            if data is None or command.epoch != decode_partition(data)[1]:
                self.problems.append(f"a turn of epoch {command.epoch} of process {command.pid} was taken")
        return kept

    def _join(self, apply: Callable[..., Any], changes: Any, command: Join) -> Any:
        claim = apply(changes, command)
        self._claims.append(claim)
        return claim

    def _committed(self) -> None:
        if self.queues and self.happens(0.3):
            self._check_queues()
        for claim in self._claims:
            for partition, epoch in claim.epochs.items():
                holder = self.granted.setdefault((partition, epoch), claim.interpreter)
                if holder != claim.interpreter and not self.void:
                    self.problems.append(
                        f"{holder} and {claim.interpreter} have epoch {epoch} of partition {partition}"
                    )

    def _check_queues(self) -> None:
        """Nobody begins beyond the limits of a queue."""
        transaction = MemoryTransaction(self.disk.tables)
        running: Counter[int] = Counter()
        for key, value in transaction.scan(STATES):
            place = decode_state(read_pid(key), value, self.disk.id).queue
            if place is not None and place.state == RUNNING:
                running[place.queue] += 1
        for key, value in transaction.scan(QUEUES):
            if key[0] == 0:
                row = decode_queue(read_pid(key), value)
                limit = row.limits.concurrency
                if running[row.number] != row.running or (limit and row.running > limit):
                    self.problems.append(
                        f"in queue {row.number} run {running[row.number]}, it says {row.running} of {limit}"
                    )

    def _fire(self, apply: Callable[..., Any], changes: Any, command: Fire) -> Any:
        before = [read_due_key(key) for key, _ in changes.transaction.scan(DUE)]
        fired = apply(changes, command)
        left = {read_due_key(key) for key, _ in changes.transaction.scan(DUE)}
        due = {one[1:3] for one in before if one[0] <= self.clock.now}
        for one in before:
            # What settles a request takes its other timers along; one that is alone was fired.
            if one[0] > self.clock.now and one not in left and one[3] != WAKE and one[1:3] not in due:
                self.problems.append(f"the timer {one} was fired at {self.clock.now}")
        return fired

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks at each command that is applied."""
        table = commands._APPLY
        before = {kind: table[kind] for kind in (Turn, Join, Fire)}
        for kind, watch in ((Turn, self._turn), (Join, self._join), (Fire, self._fire)):
            table[kind] = lambda changes, command, watch=watch, apply=before[kind]: watch(apply, changes, command)  # type: ignore[misc]
        try:
            yield
        finally:
            table.update(before)

    # ---- the end

    def check(self) -> list[str]:
        """All that is wrong."""
        store = self.reader
        try:
            check_indexes(content(store))
            check_queues(store)
        except AssertionError as error:
            self.problems.append(f"the tables of the store do not agree: {error!r} {_place(error)}")
        logs: dict[int, list[Event]] = {}
        records = {record.pid: record for record in store.processes(limit=10_000)}
        for pid, record in records.items():
            logs[pid] = self._check_log(pid, record, list(entries_from(store, pid, 0)))
        self.steps = sum(map(len, logs.values()))
        self._check_effects(logs)
        self._check_promises(logs, records)
        self._check_results(records)
        self._check_cleanup(logs, records)
        self._check_schedule(records)
        self._check_locks(logs)
        for record in records.values():
            if record.status not in FINAL_STATUSES and record.sequence:
                load(store, record, self.programs)
        return self.all_problems()

    def all_problems(self) -> list[str]:
        """What was found so far."""
        return list(dict.fromkeys(self.problems if self.void else [*self.problems, *self.broken_promises]))

    def _check_log(self, pid: int, record: Any, entries: list[LogEntry]) -> list[Event]:
        places = [(entry.sequence, entry.part) for entry in entries]
        if places != sorted(set(places)) or [s for s, part in places if part == 0] != list(range(record.sequence)):
            self.problems.append(f"the log of {pid} has gaps: {places}, next is {record.sequence}")
        log = [decode_event(entry.event) for entry in entries if entry.part == 0]
        ends = [index for index, event in enumerate(log) if isinstance(event, _ENDS)]
        final = record.status in FINAL_STATUSES
        if ends != ([len(log) - 1] if final else []):
            self.problems.append(f"process {pid} is {record.status}, and its log ends at {ends} of {len(log)}")
        if final and self.disk.tables[RESULTS].get(pid_key(pid)) is None:
            self.problems.append(f"process {pid} has ended without a result")
        if any(one.time > other.time for one, other in itertools.pairwise(log)):
            self.problems.append(f"in the log of {pid} time goes back")
        requested = [event.number for event in log if isinstance(event, events.Requested)]
        if requested != sorted(set(requested)):
            self.problems.append(f"steps of {pid} are there twice: {requested}")
        settled = Counter(event.number for event in log if isinstance(event, _OUTCOMES))
        came = Counter(
            encode_value(value)
            for event in log
            if isinstance(event, events.MessageReceived)
            for value in decode_value(event.value)
            if value.__class__ is Vector and value.get(0) in _ONCE
        )
        self.problems += [f"{pid} got {decode_value(data)} {count} times" for data, count in came.items() if count > 1]
        twice = [number for number, count in settled.items() if count > 1]
        if twice:
            self.problems.append(f"requests {twice} of {pid} have two outcomes")
        return log

    def _check_effects(self, logs: dict[int, list[Event]]) -> None:
        """Each effect outside has its step in the log, with its key."""
        steps = {
            (pid, event.number): event
            for pid, log in logs.items()
            for event in log
            if isinstance(event, events.Requested)
        }
        for key, known in self.keys.items():
            step = steps.get((known.pid, known.number))
            if step is None or (
                (step.effect, step.key or key) != (known.effect, key)
                or (known.payload and step.payload != known.payload)  # a site has only the body
            ):
                self.complain(f"effect {known.effect} of {known.pid}, {known.number} has no step: {step}")

    def _check_promises(self, logs: dict[int, list[Event]], records: dict[int, Any]) -> None:
        promises = self.promises
        for id, pid in promises.pids.items():
            record = records.get(pid)
            if record is None or record.id != id:
                self.complain(f"{id} was acknowledged as {pid}, which is {record}")
        if any(count > 1 for count in promises.created.values()):
            self.complain(f"started twice: {promises.created}")
        if len({record.id for record in records.values() if record.id}) != sum(bool(r.id) for r in records.values()):
            self.complain("two processes have one id")
        for pid, number, ok, data in promises.answers:
            of_it = [event for event in logs.get(pid, ()) if getattr(event, "number", None) == number]
            there = any(isinstance(e, events.Answered) and ok and e.value == data for e in of_it)
            told = any(isinstance(e, (events.AnsweredError, events.AttemptFailed)) and not ok for e in of_it)
            late = any(isinstance(e, (events.CameLate, events.RequestCancelled)) for e in of_it)
            ended = records[pid].status in ("failed", "cancelled") if pid in records else False
            if not (there or told or late or ended):
                self.complain(f"the answer of {pid}, {number} was acknowledged and is gone: {of_it}")
        collector = promises.pids.get("collector")
        if collector is not None:
            self._check_notes(logs.get(collector, []))

    def _check_notes(self, log: list[Event]) -> None:
        """Messages: once each, in the order of each sender; those that were acknowledged are all there."""
        got: dict[int, list[int]] = {}
        for event in log:
            if isinstance(event, events.MessageReceived):
                for value in decode_value(event.value):
                    if value.__class__ is Vector:
                        got.setdefault(value.get(1), []).append(value.get(2))
        for sender in got.keys() | self.promises.notes.keys():
            seen, sent = got.get(sender, []), self.promises.notes.get(sender, [])
            rest = [i for i in seen if (sender, i) not in self.promises.maybe]
            if seen != sorted(set(seen)) or rest != sent:
                self.complain(f"messages of {sender}: {sent} were accepted, {seen} came")

    def _check_results(self, records: dict[int, Any]) -> None:
        store = self.reader
        disturbed = bool(self.promises.cancelled)
        for index, plan in enumerate(self.plans):
            pid = self.promises.pids.get(f"root-{index}")
            record = records.get(pid or 0)
            if record is None or pid in self.promises.cancelled:
                continue
            data = store.result(record.pid)
            value = decode_value(data) if data is not None else None
            values = expect(plan)
            if record.status != "done" or (values is not None and value not in values):
                self.complain(f"{text(plan)} is {record.status} with {value}, and should be {values}")
        if disturbed:
            return
        added: Counter[str] = Counter()
        for plan in self.plans:
            for one in nested(plan):
                if one[0] in ("add", "cas"):
                    added[one[1]] += one[2]
        changes = Changes(MemoryTransaction(self.disk.tables), self.clock.now, Cache(self.disk.id))
        for name, total in added.items():
            kept = kv.get(changes, 0, Vector.of([name]))
            if kept != total:
                self.complain(f"{name} is {kept}, and all that was added is {total}")

    def _check_schedule(self, records: dict[int, Any]) -> None:
        """Each planned instant has one run, however late, and the runs are numbered in order."""
        runs = sorted(
            (record.attributes["planned"], self.reader.result(pid))
            for pid, record in records.items()
            if record.attributes.get("schedule") == "tick"
        )
        numbers = [decode_value(data) if data is not None else None for _, data in runs]
        planned = TICKS_UNTIL // (3 * SECOND) if self.scheduled else 0
        if len({at for at, _ in runs}) != planned or numbers != list(range(1, planned + 1)):
            self.complain(f"{planned} runs of a schedule were planned, and there are {runs}")

    def _check_cleanup(self, logs: dict[int, list[Event]], records: dict[int, Any]) -> None:
        """Every `finally` that was entered has run, once, where the process has ended by itself or in time."""
        for pid, log in logs.items():
            if "did not end in time" in (records[pid].error or ""):
                continue  # it was cancelled, and had its 30 seconds
            entered: Counter[int] = Counter()
            left: Counter[int] = Counter()
            for kind, value in _logged(log):
                if kind == "enter":
                    entered[value] += 1
                elif kind == "exit":
                    left[value] += 1
            if entered != left and records[pid].status in FINAL_STATUSES:
                self.problems.append(f"finally of {pid}: entered {dict(entered)}, left {dict(left)}")

    def _check_locks(self, logs: dict[int, list[Event]]) -> None:
        """Nobody holds a lock while another does."""
        held: dict[str, list[tuple[int, int, int]]] = {}  # by name: token, from, until
        for log in logs.values():
            begun: dict[tuple[str, int], int] = {}
            for event in log:
                for kind, value in _logged([event]):
                    if kind == "locked":
                        begun[value] = event.time
                    elif kind == "unlocked":
                        held.setdefault(value[0], []).append((value[1], begun.pop(value), event.time))
            for (name, token), time in begun.items():
                held.setdefault(name, []).append((token, time, time))
        for name, spans in held.items():
            spans.sort()
            for (one, _, until), (other, since, _) in itertools.pairwise(spans):
                if one == other or since < until:
                    self.problems.append(f"lock {name} was held twice: {spans}")


def _logged(log: list[Event]) -> Iterator[tuple[str, Any]]:
    for event in log:
        if isinstance(event, events.LocalDone) and event.effect == "log":
            value = decode_value(event.payload)
            if value.__class__ is Vector and len(value) == 1:
                value = value.get(0)
            if value.__class__ is Vector and len(value) and isinstance(value.get(0), Keyword):
                rest = tuple(value)[1:]
                yield value.get(0).text, rest[0] if len(rest) == 1 else rest


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"line {trace.tb_lineno}" if trace is not None else ""
