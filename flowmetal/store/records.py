"""The records of a store as they are read: processes, log entries, requests, what is in an inbox, claims."""

from __future__ import annotations

from typing import Any

from flowmetal.dataclass import dataclass, field

#: Process status.  "ready": has something to do; "waiting": for events; the last three are final.
STATUSES = ("ready", "waiting", "paused", "done", "failed", "cancelled")
FINAL_STATUSES = frozenset({"done", "failed", "cancelled"})

#: Processes are spread over this many partitions by pid; an interpreter leases partitions.
PARTITIONS = 64
# Of the data classes those are not frozen that are made several times for each step (LogEntry, Request, InboxEvent):
# making a frozen object takes twice as long.  Nothing changes them once they are made.


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What the store knows of a process without loading its image."""

    pid: int
    artifact: bytes  # content hash of its program
    function: str  # "deploy/main"
    status: str  # "ready" while it has a ready mark, whatever the last turn said; see Store.ready
    sequence: int  # number of its next log entry
    checkpoint: int  # sequence number at which the newest checkpoint was written; 0: none, start from entry 0
    created_at: int
    updated_at: int
    id: str | None = None  # the name given at start; unique in the store
    parent: int | None = None
    waits: str = ""  # one line for people: "http/callback #3, until 2026-11-24T10:00:00Z"
    error: str = ""  # one line, when paused or failed
    attributes: dict[str, Any] = field(default_factory=dict)
    deaths: int = 0  # interpreters that ended in one of its turns since its last turn that was committed; see Join
    program: str = ""  # the deployed name that it or an ancestor was started by, or else the module of its function
    root: int | None = None  # where another process spawned it: the one that nobody spawned
    limits: dict[str, int] = field(default_factory=dict)  # those it was started with, by name; see Start
    grants: tuple[str, ...] | None = None  # which effects it may perform, see engine/grants.py; None: all
    queue: tuple[str, str | None, int] | None = None  # the queue it was started in, its key and priority there
    named: bool = True  # whether `program` is a name that it was started by


@dataclass(slots=True)
class LogEntry:
    """One event of a process with the delta of its image (empty bytes: none)."""

    pid: int
    sequence: int
    part: int  # 0 for an event; above 0 a saved cut within it, which has a segment and no event
    event: bytes  # engine/events.py encodes it
    segment: bytes  # vm/image.py encodes it


@dataclass(slots=True)
class Request:
    """An effect that waits for a connector or worker."""

    pid: int
    number: int  # unique within the process, rises
    effect: str  # "http/request"
    payload: bytes  # an encoded value
    options: bytes  # an encoded value (a map or nil)
    idempotency_key: str
    not_before: int = 0
    attempt: int = 0  # how often it has been taken
    #: "queued", "taken", "held" (waits for a time or a person, or is served by a timer or token).  As read also
    #: "answered" and "lost": what settles it is in the inbox (an answer, an error, a timer of its number; the end of
    #: its lease), so that nothing else is accepted until a turn closes it or puts it back.
    state: str = "queued"
    worker: str = ""
    lease_until: int = 0
    queued: bool = True  # False: nobody takes it from a queue (sleep, callbacks, in-process answers)
    called: bool = False  # a function of the interpreter itself answers it; its process is among Store.calls


@dataclass(slots=True)
class InboxEvent:
    """What has arrived for a process and has not been taken by a turn."""

    key: int  # unique within the process; rises with arrival among events of one class, see Store.inbox
    kind: str
    number: int  # request number, 0 where there is none
    attempt: int
    data: bytes


#: Kinds of inbox events and what number, attempt and data are:
#:   "start"     the first event of a process; data: the encoded argument vector
#:   "answer"    number, attempt, data: encoded value
#:   "error"     number, attempt, data: encoded error value
#:   "lost"      number, attempt: the lease of the worker that took it ran out
#:   "timer"     number, data: the timer's kind ("sleep", "timeout", "deadline")
#:   "message"   data: encoded value
#:   "cancel"    data: encoded reason (a string or nil)
#:   "pause" "resume"
#:   "retry"     number: a person wants the paused request tried again
#:   "spawned"   number; data: a pid as decimal digits: an answer, as stores of format 2 have it
#:   "linked"    a process that it is linked to has ended badly; data: encoded error value, which it is to end with
#:   "settled"   number: a person answers the open request; data: the encoded vector [who, is an answer, value or error]
#:   "decided"   the same, for a request that has used up its retries; it ends the pause, and so comes first
#: The data of a "pause", "resume" or "retry" says who wants it: an encoded string, or nothing.  That of a "cancel" may
#: be the encoded vector [reason, who].
INBOX_KINDS = (
    "start", "answer", "error", "lost", "timer", "message", "cancel", "pause", "resume", "retry", "spawned", "linked",
    "settled", "decided",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """The partitions an interpreter may run, with the epoch its commits must carry."""

    interpreter: str
    epochs: dict[int, int]  # partition -> epoch
    lease_until: int
