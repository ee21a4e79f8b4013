"""What must hold of a store under the mixed load at any moment, and at the end: the promises, read from its logs.

`check` is given what clients were told (forks.Acknowledged) and reads everything else from the store.  It says what is
wrong, each thing in one line; nothing wrong is an empty list.  It expects that nobody writes the store meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowmetal.engine.events import (
    Answered,
    AnsweredError,
    Cancelled,
    Failed,
    Finished,
    LocalDone,
    MessageReceived,
    Requested,
    Started,
    TimedOut,
    TimerFired,
    decode_event,
)
from flowmetal.engine.live import entries_from
from flowmetal.store.codec import unpack
from flowmetal.store.interface import FINAL_STATUSES, ProcessRecord, Store
from flowmetal.store.layout import KV
from flowmetal.values import Keyword, Pid, Vector, decode_value, keyword

ENDS = (Finished, Failed, Cancelled)
#: What settles a request; RequestCancelled closes one too, but only where a process is cancelled or does not wait.
SETTLES = (Answered, AnsweredError, TimerFired, TimedOut)
#: The last message to the process that takes messages.
END = ("", "end")
#: Key spaces that are empty once every process has ended.
EMPTY_AT_END = ("ready", "inbox", "calls", "requests", "queue", "timers", "due", "leftovers")


@dataclass
class Report:
    """What was checked, and what is wrong."""

    processes: int = 0
    entries: int = 0
    steps: int = 0
    messages: int = 0
    timers: int = 0
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """As plain data, for another process."""
        return {**vars(self), "wrong": self.wrong[:20]}


@dataclass
class _Seen:
    """What one process's log says."""

    record: ProcessRecord
    function: str = ""
    arguments: tuple[Any, ...] = ()
    opened: dict[int, Requested | LocalDone] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)  # request number -> value


class _Check:
    def __init__(self, store: Store, acknowledged: list[list[Any]], ended: bool) -> None:
        self.store = store
        self.acknowledged = acknowledged
        self.ended = ended
        self.report = Report(acknowledged=len(acknowledged))
        self.seen: dict[int, _Seen] = {}
        self.sent: dict[tuple[int, Any], list[Any]] = defaultdict(list)  # (to, who or what) -> messages
        self.received: dict[tuple[int, Any], list[Any]] = defaultdict(list)
        self.counted: dict[str, list[int]] = defaultdict(
            list
        )  # key of kv -> the counts that were raised, by their logs
        self.cut_off: dict[str, list[int]] = defaultdict(list)  # ... and those of which no log says whether they were
        self.spawned: dict[int, int] = {}  # child -> the parent that says that it started it

    def wrong(self, text: str) -> None:
        self.report.wrong.append(text)

    def run(self) -> Report:
        """Reads and compares everything."""
        for record in all_processes(self.store):
            self.process(record)
        self.check_messages()
        self.check_children()
        self.check_counts()
        self.check_acknowledged()
        if self.ended:
            entries = self.store.stats()["entries"]
            left = {name: entries[name] for name in EMPTY_AT_END if entries[name]}
            if left:
                self.wrong(f"everything has ended, and there is left: {left}")
        return self.report

    # ---- one process

    def process(self, record: ProcessRecord) -> None:
        """Its log, requests, inbox and end."""
        pid = record.pid
        seen = self.seen[pid] = _Seen(record)
        self.report.processes += 1
        events = []
        for entry in entries_from(self.store, pid, 0):
            if entry.part == 0:
                events.append((entry.sequence, decode_event(entry.event)))
        self.report.entries += len(events)
        if [sequence for sequence, _ in events] != list(range(record.sequence)):
            self.wrong(f"process {pid}: its log has entries {[s for s, _ in events]}, not 0 to {record.sequence - 1}")
        settled: Counter[int] = Counter()
        for index, (sequence, event) in enumerate(events):
            if isinstance(event, Started) != (index == 0):
                self.wrong(f"process {pid}: entry {sequence} is {type(event).__name__}")
            if isinstance(event, ENDS) and index != len(events) - 1:
                self.wrong(f"process {pid}: it ends at entry {sequence} and goes on")
            self.event(seen, event, settled)
        self.requests(seen, settled)
        self.inbox(seen)
        self.end(seen, events[-1][1] if events else None)

    def event(self, seen: _Seen, event: Any, settled: Counter[int]) -> None:
        pid = seen.record.pid
        if isinstance(event, Started):
            seen.function, seen.arguments = event.function, tuple(decode_value(event.arguments))
        elif isinstance(event, (Requested, LocalDone)):
            if event.number != len(seen.opened) + 1:
                self.wrong(f"process {pid}: step {len(seen.opened) + 1} has the number {event.number}")
            seen.opened[event.number] = event
            if isinstance(event, LocalDone):
                settled[event.number] += 1
                if event.effect == "send":
                    to, message = decode_value(event.payload)
                    self.sent[to.number, source_of(message)].append(message)
        elif isinstance(event, MessageReceived):
            for message in decode_value(event.value):
                self.received[pid, source_of(message)].append(message)
                self.report.messages += 1
            settled[event.number] += 1
        elif isinstance(event, SETTLES):
            settled[event.number] += 1
            if isinstance(event, Answered):
                seen.answers[event.number] = decode_value(event.value)
            elif isinstance(event, TimerFired):
                self.timer(seen, event)

    def timer(self, seen: _Seen, event: TimerFired) -> None:
        self.report.timers += 1
        asked = seen.opened.get(event.number)
        if asked is None or asked.effect != "sleep":
            self.wrong(f"process {seen.record.pid}: a timer of step {event.number}, which is no sleep")
        elif event.time < asked.time + decode_value(asked.payload).ns:
            self.wrong(f"process {seen.record.pid}: the timer of step {event.number} fired early")

    def requests(self, seen: _Seen, settled: Counter[int]) -> None:
        record, pid = seen.record, seen.record.pid
        self.report.steps += len(seen.opened)
        for number, times in settled.items():
            if times != 1:
                self.wrong(f"process {pid}: step {number} was done {times} times")
            if number not in seen.opened:
                self.wrong(f"process {pid}: step {number} was done, and never asked for")
        stored = {request.number for request in self.store.open_requests(pid)}
        final = record.status in FINAL_STATUSES
        if final and stored:
            self.wrong(f"process {pid} has ended with requests {stored}")
        if not final and (doubled := stored & settled.keys()):
            self.wrong(f"process {pid}: steps {doubled} are done and open")
        if record.status == "done" and (missing := seen.opened.keys() - settled.keys()):
            # A receive that is done with what came before is given up, and only that.
            others = {number for number in missing if seen.opened[number].effect not in ("receive", "sleep")}
            if others:
                self.wrong(f"process {pid} has ended, and steps {others} were never done")

    def inbox(self, seen: _Seen) -> None:
        """What has arrived counts as much as what was taken."""
        pid = seen.record.pid
        for event in self.store.inbox(pid, 100_000):
            if event.kind == "message":
                message = decode_value(event.data)
                self.received[pid, source_of(message)].append(message)
            elif event.kind == "answer":
                if event.number in seen.answers:
                    self.wrong(f"process {pid}: step {event.number} has an answer, and another one in its inbox")
                seen.answers[event.number] = decode_value(event.data)

    def end(self, seen: _Seen, last: Any) -> None:
        record, pid = seen.record, seen.record.pid
        final = record.status in FINAL_STATUSES
        if final != isinstance(last, ENDS):
            self.wrong(f"process {pid} is {record.status}, and its log ends with {type(last).__name__}")
        for number, answer in seen.answers.items():
            request = seen.opened.get(number)
            if request is None:
                continue
            if request.effect == "kv/compare-and-set" and answer is True:
                self.count(request, self.counted)
            elif request.effect == "spawn":
                if answer.number in self.spawned:
                    self.wrong(f"process {answer.number} was started by {pid} and {self.spawned[answer.number]}")
                self.spawned[answer.number] = pid
            elif request.effect == "work/job" and answer != 2 * decode_value(request.payload):
                self.wrong(f"process {pid}: step {number} was answered with {answer}")
        if final:
            for number, request in seen.opened.items():
                if request.effect == "kv/compare-and-set" and number not in seen.answers:
                    self.count(request, self.cut_off)
        if self.ended and not final:
            self.wrong(f"process {pid} has not ended: {record}")
        if record.status == "failed":
            self.wrong(f"process {pid} has failed: {record.error}")
        if record.status != "done":
            return
        result = self.store.result(pid)
        value = decode_value(result) if result is not None else "nothing"
        kind = seen.function.partition("/")[2]
        wanted = result_of(kind, seen.arguments)
        if kind == "hook":
            if [value] != [answer for number, answer in seen.answers.items()
                           if seen.opened[number].effect == "http/callback"]:  # fmt: skip
                self.wrong(f"process {pid}: its callback gave {value}, and its log says {seen.answers}")
        elif kind != "sink" and value != wanted:
            self.wrong(f"process {pid}: {kind} of {seen.arguments} gave {value}, not {wanted}")

    def count(self, request: Requested | LocalDone, into: dict[str, list[int]]) -> None:
        """Notes what a counter was to be raised from."""
        key, before, after = decode_value(request.payload)
        if after != (before or 0) + 1:
            self.wrong(f"the counter {key} was to be raised from {before} to {after}")
        into[key].append(before or 0)

    # ---- all of them

    def check_messages(self) -> None:
        """Each message once and in order; those of clients with no number left out."""
        for (to, source), messages in self.received.items():
            if isinstance(source, str):
                numbers = [message.get(2) for message in messages]
                if numbers != list(range(1, len(numbers) + 1)):
                    self.wrong(f"process {to} got {numbers[:100]} of client {source}")
            elif source != END and messages != self.sent.get((to, source), []):
                self.wrong(f"process {to} was sent {self.sent.get((to, source))} by {source}, and got {messages}")
        for (to, source), messages in self.sent.items():
            if (to, source) not in self.received:
                self.wrong(f"process {to} was sent {messages} by {source}, and got nothing")

    def check_children(self) -> None:
        """Each child has the parent that started it, and the other way round."""
        children = {pid: seen.record.parent for pid, seen in self.seen.items() if seen.record.parent is not None}
        if children != self.spawned:
            different = set(children.items()) ^ set(self.spawned.items())
            self.wrong(f"children and parents differ: {sorted(different)[:20]}")

    def check_counts(self) -> None:
        """The counters in the key-value table are what was committed."""
        with self.store._reading() as transaction:  # type: ignore[attr-defined]
            stored = {key.decode(): kept_value(value) for key, value in transaction.scan(KV)}
        for key in sorted({*stored, *self.counted}):
            for problem in wrong_counts(stored.get(key, 0), self.counted[key], self.cut_off[key]):
                self.wrong(f"the key-value table has {stored}, and {problem} of {key}")

    def check_acknowledged(self) -> None:
        """Nothing that a client was told is missing, and nobody was told two things."""
        posted: dict[str, int] = {}
        deliveries: dict[int, str] = {}
        completions: set[tuple[int, int]] = set()
        for what, *facts in self.acknowledged:
            if what == "post":
                posted[facts[0]] = max(posted.get(facts[0], 0), facts[1])
            elif what == "start":
                self.check_start(*facts)
            elif what == "deliver":
                self.check_delivery(deliveries, *facts)
            elif what == "complete":
                pid, number, _ = facts
                if (pid, number) in completions:
                    self.wrong(f"process {pid}: two answers to step {number} were accepted")
                completions.add((pid, number))
                if pid not in self.seen or number not in self.seen[pid].answers:
                    self.wrong(f"process {pid}: an answer to step {number} was acknowledged, and is not there")
            elif what == "cancel" and facts[1] and self.ended:
                found = self.seen.get(facts[0])
                if found is None or found.record.status != "cancelled":
                    self.wrong(f"process {facts[0]} was told to end, and is {found and found.record.status}")
        for life, number in posted.items():
            arrived = len(self.received.get((1, life), ()))
            if arrived < number:
                self.wrong(f"client {life}: {number} messages were acknowledged, and {arrived} are there")

    def check_start(self, id: str, pid: int, kind: str, number: int | None) -> None:
        record = self.store.process_by_id(id)
        if record is None or record.pid != pid or record.function != f"mixed/{kind}":
            self.wrong(f"start {id} of {kind} was acknowledged as process {pid}, and it is {record}")
            return
        seen = self.seen[pid]
        if seen.function and seen.arguments != (() if number is None else (number,)):
            self.wrong(f"process {pid} was started with {number}, and began with {seen.arguments}")

    def check_delivery(self, deliveries: dict[int, str], pid: int, value: str, outcome: str) -> None:
        answers = list(self.seen[pid].answers.values()) if pid in self.seen else []
        texts = [answer for answer in answers if isinstance(answer, str)]
        if outcome == "accepted":
            if pid in deliveries:
                self.wrong(f"process {pid}: deliveries {deliveries[pid]} and {value} were accepted")
            deliveries[pid] = value
            if texts != [value]:
                self.wrong(f"process {pid}: delivery {value} was accepted, and it has {texts}")
        elif outcome != "duplicate" or len(texts) != 1:
            self.wrong(f"process {pid}: delivery {value} was {outcome}, and it has {texts}")


def wrong_counts(stored: int, raised: list[int], cut_off: list[int]) -> list[str]:
    """What is wrong about a counter that stands at `stored`: each step up to it is somebody's, and only one's.

    `raised`: from what it was raised, as logs say.  `cut_off`: from what processes tried to raise it that ended before
    their answer came, as a cancelled one does whose `finally` blocks run out of time.  The table has then done it or not,
    and once.
    """
    times, maybe = Counter(raised), Counter(cut_off)
    return [
        f"{times[step]} processes raised number {step + 1}"
        for step in range(max([stored, *(one + 1 for one in raised)]))
        if times[step] != (step < stored) and not (step < stored and times[step] == 0 and maybe[step])
    ]


def result_of(kind: str, arguments: tuple[Any, ...]) -> Any:
    """What a process of a kind gives."""
    n = arguments[0] if arguments else None
    if kind in ("chain", "fan", "work"):
        assert isinstance(n, int)
        return n * (n - 1)
    return {"timers": 3 * (n if isinstance(n, int) else 0), "ping": n}.get(kind)


def source_of(message: Any) -> Any:
    """Whom a message is from, as far as it says: the pid, the name of a client, or what else it begins with."""
    if isinstance(message, Vector) and isinstance(message.get(0), Pid):
        return message.get(0).number
    if isinstance(message, Vector) and isinstance(message.get(0), Keyword):
        return message.get(1) if message.get(0).text == "post" else (message.get(0).text, message.get(1))
    return END if message is keyword("end") else ("", str(message))


def all_processes(store: Store) -> Iterator[ProcessRecord]:
    """All records of a store, by pid."""
    after = 0
    while page := store.processes(after=after, limit=1000):
        yield from page
        after = page[-1].pid


def kept_value(row: bytes) -> Any:
    """The value of a row of the key-value table."""
    return decode_value(unpack(KV, row)[1])


def check(store: Store, acknowledged: list[list[Any]], ended: bool) -> Report:
    """Everything that must hold; `ended`: after finish()."""
    return _Check(store, acknowledged, ended).run()
