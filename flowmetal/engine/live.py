"""Live: a process in memory between its turns, and how it gets there from the store.

A live process is a cache and nothing more: what the store holds is enough to make it again, and the interpreter drops
it whenever a commit did not go through.  Loading reads the newest checkpoint and the segments since then, so its cost
hangs on the live state and not on the length of the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flowmetal.bytecode.link import ProgramTable
from flowmetal.bytecode.program import Program
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.effects import HELD, RECEIVE
from flowmetal.engine.events import (
    Answered,
    AnsweredError,
    CancelAsked,
    Cancelled,
    Event,
    EventError,
    Linked,
    MessageReceived,
    Paused,
    Resumed,
    Started,
    Steered,
    TimedOut,
    TimerFired,
    decode_event,
)
from flowmetal.engine.grants import Grants, granted
from flowmetal.engine.limits import ProgramLimits
from flowmetal.engine.policies import NO_POLICY, Policy, read_options
from flowmetal.engine.starting import Begin, begin_of
from flowmetal.store.interface import LogEntry, ProcessRecord, Request, Store
from flowmetal.store.limits import NEVER
from flowmetal.values import LanguageError, decode_value
from flowmetal.vm import Limits, Process, cancel, new_process, restore, settle, settle_error, start

#: Events of an inbox that one turn takes at most.
INBOX_PAGE = 1000

#: Log entries read at once while a process is loaded.
LOG_PAGE = 512


def exhausted(request: Request) -> bool:
    """Whether a request waits for a person, its retries used up."""
    return request.state == "held" and request.not_before == NEVER


def in_process(request: Request) -> bool:
    """Whether a request was opened for a function of an interpreter, and not for a worker, a timer or a delivery."""
    return not request.queued and request.effect not in HELD


@dataclass(frozen=True, slots=True)
class Loaded:
    """A linked program with the table by which its images name modules, functions and constants."""

    program: Program
    table: ProgramTable


def loaded(program: Program) -> Loaded:
    """A program ready to be run."""
    return Loaded(program, ProgramTable(program))


@dataclass(slots=True)
class Open:
    """A request that has no answer yet: as the store has it, its options understood, and when it ends by itself."""

    request: Request
    policy: Policy
    until: int = 0  # when a timer ends it, for people; 0: not known or never


@dataclass(slots=True)
class Live:
    """A process in memory.  `process` is None before its first event and after its last."""

    pid: int
    program: Loaded
    function: str
    process: Process | None
    sequence: int  # number of its next log entry
    artifact: bytes = b""  # the hash by which the store has its program
    status: str = "ready"
    attributes: dict[str, Any] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    receives: dict[int, None] = field(default_factory=dict)  # those of `open` that are a `receive`, the oldest first
    error: str = ""
    part: int = 0  # saved cuts of the last entry
    checkpoint_sequence: int = -1  # where the newest checkpoint is; -1: none
    checkpoint_bytes: int = 0
    segment_bytes: int = 0  # written since that checkpoint
    segments: int = 0  # how many
    slices: int = 0  # fuel used up that no segment holds yet
    inbox_read: bool = False  # whether the turn was handed all messages that had come
    limits: ProgramLimits = field(default_factory=ProgramLimits)
    share: float = 1.0  # of the fuel and the entries of a turn, see fairness.py
    name: str = ""  # of its program
    spawned: bool = False  # by another process
    computed: float = 0.0  # seconds of its turns since it was saved, where they are measured
    unbroken: float = 0.0  # seconds of a processor that it has computed since the last entry of its log
    weight: int = 0  # its bytes among those of all in memory, see residents.py
    burst: int = 0  # entries since something came from outside, see fairness.py
    rests_until: float = 0.0  # by time.monotonic()
    grants: Grants | None = None  # None: all is granted
    catching_up: bool = False  # restored: what is ready runs up to its wait before anything new arrives

    def add(self, opened: Open) -> None:
        """Takes in an open request."""
        request = opened.request
        self.open[request.number] = opened
        if request.effect == RECEIVE:
            self.receives[request.number] = None

    @property
    def receiver(self) -> int:
        """The number of the oldest open `receive`, or 0."""
        return next(iter(self.receives)) if self.receives else 0


def let_go(live: Live) -> None:
    """Frees the process of a live one at once: it and its image name each other, which Python would have to find."""
    process, live.process = live.process, None
    if process is not None:
        process.image = None


def load(
    store: Store, record: ProcessRecord, program_of: Callable[[bytes], Loaded], limits: ProgramLimits | None = None
) -> Live:
    """A live process as the store's commits left it.

    Raises FlowmetalError where its program or its image cannot be read.
    """
    program = program_of(record.artifact)
    live = Live(
        pid=record.pid,
        program=program,
        function=record.function,
        process=None,
        sequence=record.sequence,
        artifact=record.artifact,
        status=record.status,
        attributes=dict(record.attributes),
        error=record.error,
        limits=limits or ProgramLimits(),
        name=record.program,
        spawned=record.parent is not None,
        grants=granted(record.grants),
    )
    if record.sequence:
        _restore(live, store, program, None, live.limits.vm)
        live.catching_up = live.process is not None
        for request in store.open_requests(record.pid):
            policy = policy_of(request)
            until = request.not_before if request.effect in HELD else policy.deadline
            live.add(Open(request, policy, until))
    return live


def restore_at(store: Store, record: ProcessRecord, program: Loaded, at: int, limits: Limits | None = None) -> Live:
    """The process as it was after log entry `at`, for looking at.  V336 where retention removed what that needs."""
    live = Live(record.pid, program, record.function, None, at + 1, attributes=dict(record.attributes))
    arrived = _restore(live, store, program, at, limits or Limits())
    kept = store.kept_from(record.pid)  # afterwards: it may have been removed while it was read
    if at + 1 < kept and (not (head := store.log(record.pid, 0, 1)) or head[0].sequence != at):
        raise FlowmetalError("V336", pid=record.pid, at=at, kept=kept, first=kept - 1)
    if live.process is not None:
        for data in arrived:
            _arrive(live.process, decode_event(data), program.table)
    return live


def _arrive(process: Process, event: Event, table: ProgramTable) -> None:
    """Puts into a process what a logged event brought it."""
    match event:
        case Answered(_, number, value) | MessageReceived(_, number, value):
            settle(process, number, decode_value(value, table))
        case AnsweredError(_, number, error) | TimedOut(_, number, error):
            settle_error(process, number, decode_value(error, table))
        case TimerFired(_, number):
            settle(process, number, None)
        case CancelAsked(_, reason):
            text = decode_value(reason)
            cancel(process, text if text.__class__ is str else None)
        case Linked(_, error):
            cause = decode_value(error)
            cancel(process, cause.message, cause)
        case _:
            pass


def policy_of(request: Request) -> Policy:
    """The policy of a stored request; what a newer release wrote and this one cannot read counts as none."""
    try:
        return read_options(decode_value(request.options)) if request.options else NO_POLICY
    except LanguageError:
        return NO_POLICY


def entries_from(store: Store, pid: int, start: int, last: int | None = None) -> Iterator[LogEntry]:
    """The log from entry `start` on, cuts included, read in pages.  `last`: what is known to be the last entry."""
    while last is None or start <= last:
        page = store.log(pid, start, LOG_PAGE)
        yield from page
        if not page:
            return
        start = page[-1].sequence + 1  # a page is never cut within an entry


def _restore(live: Live, store: Store, program: Loaded, at: int | None, limits: Limits) -> list[bytes]:
    """Makes the process of a live one; the events since its last segment."""
    found = store.checkpoint(live.pid, None if at is None else at + 1)
    first, image = found if found is not None else (0, None)
    segments: list[bytes] = []
    arrived: list[bytes] = []
    for entry in entries_from(store, live.pid, first, live.sequence - 1):
        if at is not None and entry.sequence > at:
            break
        live.part = entry.part
        if entry.segment:
            segments.append(entry.segment)
            live.segment_bytes += len(entry.segment)
            live.segments += 1
            arrived.clear()
        else:
            arrived.append(entry.event)
    if image is not None:
        live.checkpoint_sequence = first
        live.checkpoint_bytes = len(image)
        segments.insert(0, image)
    if segments:
        live.process = restore(program.program, program.table, segments, limits)
    else:
        call = _call_of_start(store, live.pid, program)
        if call is None:
            return arrived
        live.process = new_process(program.program, program.table, limits)
        start(live.process, call.closure, call.arguments, call.spawned_by)
    return arrived


def _call_of_start(store: Store, pid: int, program: Loaded) -> Begin | None:
    """What a process was started with; None where it was paused before it began, and has not begun yet."""
    event: Event | None = None
    try:
        for entry in entries_from(store, pid, 0):
            event = decode_event(entry.event)
            if not isinstance(event, Paused | Resumed | Steered):
                break
    except EventError as error:
        raise FlowmetalError("V301", pid=pid, reason=str(error)) from None
    if isinstance(event, Paused | Resumed | Steered | Cancelled):  # it ended before it began, or has not yet
        return None
    if not isinstance(event, Started):
        raise FlowmetalError("V301", pid=pid, reason="its first event is not a start")
    return begin_of(program.program, program.table, event.function, event.arguments)


def start_process(live: Live, arguments: bytes, limits: Limits) -> None:
    """Makes the process of a live one that has not begun.  LanguageError for a missing function or wrong arity."""
    program = live.program
    begin = begin_of(program.program, program.table, live.function, arguments, named=not live.spawned)
    process = new_process(program.program, program.table, limits)
    start(process, begin.closure, begin.arguments, begin.spawned_by)
    live.process = process
