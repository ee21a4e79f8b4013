"""What a store is: its records, the commands that change it, and the reads.

Every change is a *command*, a small value with the bytes it needs.  `Store.submit` takes a list of commands and
answers when they are durable, all of the list in one transaction; the commands of many callers share a commit
(group commit).  The commands are in command_types.py, the records in records.py, and can be imported from here.  What
a command does is written once, see commands.py, over ordered key spaces that each engine
provides, so that engines differ only in how bytes are kept.

Times are integer nanoseconds since 1970 by the store's clock (`Store.now`).  A pid is an integer from 1.  Pids,
sequences and numbers of requests are below 2^40.

Names (ids, programs, effects, tokens, interpreters, workers) are 1 to 200 bytes of printable text, S204 otherwise.
Sizes have limits, S205 beyond: 64 MiB for an event, segment, payload, answer or result, 512 MiB for a checkpoint or
artifact, 64 KiB for attributes; see limits.py.  A command that does not hold together is S206; a StoreError takes back
the whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flowmetal.store.command_types import (
    Ask,
    Bulk,
    Command,
    Complete,
    Deliver,
    Extend,
    Fire,
    ForgetArtifacts,
    Join,
    Kill,
    Leave,
    Mend,
    Operate,
    Post,
    PruneLog,
    PutArtifact,
    Rekey,
    Remove,
    Settle,
    Start,
    Take,
    Timer,
    Turn,
)
from flowmetal.store.query import Query
from flowmetal.store.records import (
    FINAL_STATUSES,
    INBOX_KINDS,
    PARTITIONS,
    STATUSES,
    Claim,
    InboxEvent,
    LogEntry,
    ProcessRecord,
    Request,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from flowmetal.store.lives import Lives

__all__ = (
    "FINAL_STATUSES",
    "INBOX_KINDS",
    "PARTITIONS",
    "STATUSES",
    "Ask",
    "Bulk",
    "Claim",
    "Command",
    "Complete",
    "Deliver",
    "Extend",
    "Fire",
    "ForgetArtifacts",
    "Hint",
    "InboxEvent",
    "Join",
    "Kill",
    "Leave",
    "LogEntry",
    "Mend",
    "Operate",
    "Post",
    "ProcessRecord",
    "PruneLog",
    "PutArtifact",
    "Rekey",
    "Remove",
    "Request",
    "Settle",
    "Start",
    "Store",
    "Take",
    "Timer",
    "Turn",
)

#: What a watcher is told after a commit: ("ready", partition), ("request", effect), ("timer", 0),
#: ("woken", pid) when something came for a process that was not ready, ("process", pid) when one ended or paused,
#: ("claims", 0) when partitions moved.
Hint = tuple[str, Any]


class Store(Protocol):
    """The operations an interpreter, a connector, a client and a debugger need.

    Reads see one committed state each.  Hints may be lost or doubled; whoever waits also looks at a slow interval.
    Every method may raise StoreError.
    """

    id: str  # unique, made with the store
    url: str

    def now(self) -> int: ...
    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """Results in the order of the commands, once all are durable.  One transaction for the list.

        Lists of one thread are applied in the order they were submitted.  What waits on the future by
        `add_done_callback` is called on a thread of the store: it must be short and must not wait for another result.
        The memory store is done when this returns.  S110 where the owner does not answer: whether the list was
        applied is then not known.

        `here`: the caller has nothing else to do, so the commit is made on its thread where that can be: where this
        process owns the store and is not committing at the moment.  The future is then done when this returns.
        """

    def watch(self, callback: Callable[[frozenset[Hint]], None]) -> Callable[[], None]:
        """Calls back (from a thread of the store) after commits; returns what ends the watch.

        The callback must be short.  Where another process began to commit, hints for all partitions, the timers and
        the claims come at once, since some may have been missed.
        """

    def close(self) -> None: ...

    # reads
    def process(self, pid: int) -> ProcessRecord | None: ...
    def process_by_id(self, id: str) -> ProcessRecord | None: ...
    def processes(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        statuses: Iterable[str] = (),
        newest_first: bool = False,
        where: Query | None = None,
    ) -> list[ProcessRecord]:
        """By pid, those beyond `after` in the order of the answer; at most 10,000.  S206 for an unknown status.

        `where`: only those that fit it.  Few of very many are found in some hundredths of a second; no index is kept.
        """

    def result(self, pid: int) -> bytes | None: ...
    def log(self, pid: int, start: int = 0, limit: int = 1000) -> list[LogEntry]:
        """Entries from sequence `start` on, about `limit`, fewer where they are large.

        Never cut within a sequence: the next read goes on at the last sequence plus one.
        """

    def checkpoint(self, pid: int, at: int | None = None) -> tuple[int, bytes] | None:
        """The newest checkpoint at or before `at`: (sequence, image), or None."""

    def inbox(self, pid: int, limit: int = 1000, messages: bool = True) -> list[InboxEvent]:
        """What has arrived and was not taken, in three classes, each in order of arrival.

        First "start", "cancel", "pause", "resume" and "retry", then answers, errors, losses and timers, then messages
        (none where they are not wanted): however many there are of one class, those before it are seen.
        """

    def ready(self, partitions: Iterable[int], limit: int, leave_out: Container[int] = ()) -> list[int]:
        """Pids with something to do, fair between processes: the longest waiting first.

        A process is ready from its start, from anything that comes into its inbox (messages: if its last turn said that
        it receives; while it is paused only "cancel", "resume" and "retry"), and after a turn that said so or left such
        a thing there; until a turn leaves nothing.  `leave_out`: pids that are not asked for.
        """

    def next_due(self) -> int | None:
        """When the next Fire has something to do: a timer, a lease, a schedule, or what should be forgotten by now."""

    def open_requests(self, pid: int) -> list[Request]: ...
    def ties(self, pid: int, limit: int = 100) -> list[tuple[str, str | int]]:
        """What a living process is tied to: "name" and "group" with a text; "link", "watches", "watched", "leashes"
        (it ends with this one) and "leashed" with a pid."""

    def calls(self, after: int = 0, limit: int = 1000) -> list[int]:
        """Pids beyond `after`, in order, of processes with open `called` requests, the paused ones included: what has
        to be called again where an interpreter died.  Its cost does not hang on how many processes there are."""

    def queued(self, effects: Sequence[str]) -> bool:
        """Whether a Take of one of these effects would find something now."""

    def token(self, token: str) -> str | None:
        """Whether a callback token is "open" or "over"; None where it is unknown."""

    def artifact(self, hash: bytes) -> bytes | None: ...
    def messages(self, pid: int) -> int:
        """How many messages wait in the mailbox of a process; 0 where there is none."""

    def messages_after(self, pid: int, after: int = 0, limit: int = 100) -> list[tuple[int, bytes]]:
        """Messages that wait in its mailbox beyond number `after`, in order of arrival: (number, encoded value)."""

    def living(self) -> int:
        """How many processes have not ended."""

    def artifacts(self) -> list[bytes]:
        """The hashes of all artifacts."""

    def lives(self) -> Lives:
        """The lives that the store has begun by being restored, see lives.py; none changes while it is open."""

    def last_pid(self) -> int:
        """The newest pid that was ever given; one up to it without a record was removed."""

    def kept_from(self, pid: int) -> int:
        """The sequence from which on the log is whole; 0: all of it.  Before, only the start is kept."""

    def checkpoints(self, pid: int) -> list[int]:
        """The sequences of the checkpoints of a process, in order."""

    def leftovers(self, limit: int = 100) -> list[int]:
        """Pids of processes whose removal was begun and is to be finished."""

    def unreferenced_texts(self, pid: int) -> tuple[int, list[bytes]]:
        """The next sequence of a process, and the hashes of its texts that none of its records refers to."""

    def origins_in_use(self, after: int = 0, limit: int = 1000) -> tuple[int, set[int]]:
        """The origins of at most `limit` processes beyond pid `after`, and the last of those pids, 0 at the end."""

    def origins_known(self) -> dict[int, bytes]:
        """The number of each origin with the hash of the artifact it runs."""

    def deployed(self, name: str | None = None) -> dict[str, bytes]:
        """Deployed names and their artifact hashes."""

    def grants(self, name: str) -> tuple[str, ...] | None:
        """What the processes of a deployed name may perform; None for all, and where nothing is deployed."""

    def stats(self) -> dict[str, Any]:
        """Counts by status, sizes, engine and format: for `flowvm` and tests.

        {"format", "engine", "id", "role", "processes": {status: count}, "entries": {key space: count}}; LMDB adds
        "made_at", "file_bytes", "map_bytes", "map_limit", "last_transaction", "readers", and, for the owner, "commits"
        and "units" since it became that.
        """
