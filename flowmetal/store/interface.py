"""What a store is: its records, the commands that change it, and the reads.

Every change is a *command*, a small value with the bytes it needs.  `Store.submit` takes a list of commands and
answers when they are durable, all of the list in one transaction; the commands of many callers share a commit
(group commit).  What a command does is written once, in commands.py, over ordered key spaces that each engine
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

from flowmetal.dataclass import dataclass, field
from flowmetal.store.query import Query

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Process status.  "ready": has something to do; "waiting": for events; the last three are final.
STATUSES = ("ready", "waiting", "paused", "done", "failed", "cancelled")
FINAL_STATUSES = frozenset({"done", "failed", "cancelled"})

#: Processes are spread over this many partitions by pid; an interpreter leases partitions.
PARTITIONS = 64

# Data classes here are frozen but for those that are made several times for each step (LogEntry, Request, InboxEvent,
# Timer, Turn): making a frozen object takes twice as long.  Nothing changes them once they are made.

# ---- records, as read ------------------------------------------------------------------------------------------


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
    program: str = ""  # the deployed name it was started by, or else the module of its function
    root: int | None = None  # where another process spawned it: the one that nobody spawned
    limits: dict[str, int] = field(default_factory=dict)  # those it was started with, by name; see Start
    grants: tuple[str, ...] | None = None  # which effects it may perform, see engine/grants.py; None: all
    queue: tuple[str, str | None, int] | None = None  # the queue it was started in, its key and priority there


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


# ---- commands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutArtifact:
    """Keeps an artifact under its content hash; `name` also deploys it: new processes of `name` run it. -> None

    `grants`: what processes that are started by the name may perform, as ProcessRecord has it.  Signed data takes the
    place of the same artifact without these signatures.
    """

    hash: bytes
    data: bytes
    name: str | None = None
    grants: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Starts a process -> (pid, created).

    With an `id` that is taken: the pid of the process that has it and False, if artifact name, function and
    arguments are the same; StoreError S201 otherwise.  The artifact is named by hash or by deployed name:
    S202 where no program of the name is deployed, S203 where the artifact is not in the store.  With both, the hash is
    what runs, and the name is what another start with the same id is compared by.  S304: the store is nearly full.

    In a queue it begins when it is admitted.  With a dedup key that stands for a process: its pid and False, whatever
    it was started with.  S220 for an unknown queue, S221 where too many wait in it, S222 for a bad option.
    """

    function: str
    arguments: bytes  # encoded vector
    artifact: bytes | None = None
    name: str | None = None
    id: str | None = None
    parent: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    #: The queue it is to wait in: (name, key or None, priority from -9 to 9, delay in ns, dedup key or None).
    queue: tuple[str, str | None, int, int, str | None] | None = None
    register: str | None = None  # a name; where a living process has it: its pid and False
    #: Limits of its own, by the names of engine/limits.py; what it spawns has them too.  They count where they are less
    #: than those of its program.
    limits: dict[str, int] = field(default_factory=dict)
    #: What its parent may have, of which this is one more: living children, living processes of its tree, and starts.
    family: tuple[int, int, int] | None = None
    #: What it may perform: ("all",), or as ProcessRecord has it.  None: what the name was deployed with; all without a
    #: name.
    grants: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """Puts an event into a process's inbox -> True, or False where there is no such process or it has ended.

    S208 for a message to a process that has MAX_MESSAGES of them in its inbox.
    """

    pid: int
    kind: str
    data: bytes = b""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """Ends a process at once, whatever it does, as "cancelled" -> True, or False where there is none or it has ended.

    Nothing of it runs any more, no `finally` either; its requests are withdrawn, and a turn under way is stale.
    `events` become the last entries of its log, after `start` where it has had no event yet.  `result` is what it
    returned, `error` the line that says why it stopped.
    """

    pid: int
    events: Sequence[bytes]
    result: bytes  # an encoded error value
    error: str
    start: bytes = b""


@dataclass(frozen=True, slots=True)
class Settle:
    """A person answers a request -> "done", or why not: "unknown" or "ended" (the process), "no-request", "answered".

    The request is that of `number`; without one, the oldest open one of `effect`; without that as well, the oldest that
    has used up its retries.  Whoever works on it finds its lease gone.
    """

    pid: int
    data: bytes  # see "settled"
    number: int = 0
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A piece of an operation on many processes -> (done up to, end, results); a refused command changes nothing.

    With a `name` the store remembers how far the operation is, in the same transaction, for a week: a piece that does
    not begin where the last one ended (`after`) changes nothing, its results are None, and the answer says where to go
    on.  `end` is where the operation ends; what is remembered counts.  A name that stands for something else (another
    `digest`) answers with -1.  A result is that of the command, or (code, facts) of the StoreError that refused it.
    """

    commands: Sequence[Start | Post | Kill | Settle]
    name: str = ""
    digest: bytes = b""
    after: int = 0
    upto: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Deliver:
    """Delivers to a callback token -> "accepted", "duplicate" (it had its delivery) or "unknown".

    One-shot: the first delivery answers the request that the token belongs to.  A delivery after its request was
    settled in another way (a timeout, another token of it, the end of the process) is a "duplicate" too.  Tokens that
    are over are known for 72 hours, then "unknown".
    """

    token: str
    data: bytes  # encoded value


@dataclass(frozen=True, slots=True)
class Take:
    """Takes queued requests for a worker -> list[Request], `attempt` already counted up, state "taken".

    Oldest first, over all the effects that are asked for; at most 1,000.  A lease is 1 ms to a week.

    The worker answers with Complete before `lease_ms` runs out, or extends; else the request is "lost".
    """

    effects: tuple[str, ...]
    worker: str
    limit: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Extend:
    """Extends the lease of a taken request -> False if it is no longer this attempt's."""

    pid: int
    number: int
    attempt: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Complete:
    """Answers a request -> True, or False where it came late (answered, cancelled, another attempt): dropped.

    Only a taken request, or a held one that is in no queue (with the attempt it has, 0 at first), can be answered.
    """

    pid: int
    number: int
    attempt: int
    ok: bool
    data: bytes  # encoded value, or encoded error value


@dataclass(frozen=True, slots=True)
class Join:
    """Registers an interpreter or renews its lease -> Claim.  Dead ones lose their partitions to the living.

    Dead: its lease ran out, or (LMDB) the process that joined under its id has ended; S112 where another one lives.

    `running`: the process in whose turn the interpreter has been for a suspiciously long time, 0 for none.  Where it is
    found dead before it has joined again without one, that process has a death more.
    """

    interpreter: str
    lease_ms: int
    running: int = 0


@dataclass(frozen=True, slots=True)
class Leave:
    """Gives an interpreter's partitions back at once. -> None"""

    interpreter: str


@dataclass(frozen=True, slots=True)
class Fire:
    """Fires timers that are due, at most `limit` -> the number fired.

    A timer whose number is that of an open request settles it, or is dropped if something has.  Fire also takes
    partitions from dead interpreters and forgets old tokens; `Fire(0)` does nothing else.
    """

    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes an ended process with all that is its own, at most `limit` keys at once -> (what came of it, keys).

    "gone": nothing of it is left, or nothing was there.  "more": it is not to be found any more, and the same command
    goes on with the rest; Store.leftovers has those that were begun.  "kept": it has not ended (or only just), or
    `spare_children` and its parent has not ended.  Callback tokens that are over go by themselves, see Deliver.
    """

    pid: int
    spare_children: bool = True
    limit: int = 500


@dataclass(frozen=True, slots=True)
class PruneLog:
    """Removes the log of a process before a checkpoint, oldest first -> (what came of it, keys).

    `before`: the sequence of a checkpoint it has; 0: nothing.  `start`: the sequence of the entry that says what it
    was called with, which stays, as do those before it.  `texts`: hashes of texts that nothing referred to when `seen`
    was the next sequence (Store.unreferenced_texts); those that still are not referred to are removed at the end.
    "more": the same command goes on; "done"; "kept": there is no such checkpoint, or a turn is just being committed.
    """

    pid: int
    before: int
    start: int
    seen: int = 0
    texts: Sequence[bytes] = ()
    limit: int = 500


@dataclass(frozen=True, slots=True)
class ForgetArtifacts:
    """Removes artifacts that nothing has needed for `grace_ns` -> how many.

    `unneeded`: all that nothing needed when process `last_pid` was the newest; from now on, if that is new.  An
    artifact that is deployed, that is put again, or that a process was started with since, stays, and with it all
    others until the next time.  `origins`: numbers of origins (Store.origins_in_use) that no process had.
    """

    unneeded: Sequence[bytes]
    origins: Sequence[int]
    last_pid: int
    grace_ns: int


@dataclass(slots=True)
class Timer:
    """A timer of a process.  kind "sleep", "timeout", "deadline": an inbox event "timer"; "retry": the request is
    queued again; "lease" is set by Take itself.  There is one timer of a kind and number in a process: setting it
    again replaces it.  A queued request whose `not_before` is to come gets its "retry" timer by itself.  The data of
    the inbox event is the kind as plain UTF-8.  Closing or putting back a request drops the timers of its number."""

    due: int
    number: int
    kind: str


@dataclass(slots=True)
class Ask:
    """An operation that a turn asks for; its answer comes as event "answer" or "error" of the request `number`."""

    number: int
    name: str  # one of operations.OPERATIONS
    payload: bytes  # encoded value
    start: Start | None = None  # for those that start a process, whose parent is the one that asks


@dataclass(slots=True)
class Operate:
    """Has the store answer an operation -> encoded value.

    S210 where there is none of that name, or it is none for those outside; S211 where it refuses.
    """

    name: str  # one of operations.OPERATIONS
    payload: bytes  # encoded value


@dataclass(slots=True)
class Turn:
    """What one turn did to one process, committed whole or not at all -> True, or False if the claim was stale.

    Stale: the partition's epoch is not `epoch`, or the process's next sequence number is not `base_sequence`; also a
    process that is not there or has ended.  Done in this order: log, taken, closed, requests, tokens, timers,
    checkpoint, result, attributes, posts, asks, the process with its ready mark.  With a final status its inbox,
    requests, timers and tokens are removed.  StoreError (S206) takes back the whole list it is in.
    """

    pid: int
    epoch: int
    base_sequence: int
    status: str
    #: (sequence, part, event, segment), in order; may begin with further parts of the entry before `base_sequence`.
    entries: Sequence[tuple[int, int, bytes, bytes]]
    next_sequence: int
    taken: Sequence[int] = ()  # keys of inbox events this turn used up
    requests: Sequence[Request] = ()  # opened, or put back (same number: attempt and tokens stay), "queued" or "held"
    closed: Sequence[int] = ()  # request numbers that are over; their queue entries, timers and tokens go too
    timers: Sequence[Timer] = ()
    tokens: Sequence[tuple[str, int]] = ()  # (callback token, request number)
    posts: Sequence[Post] = ()  # messages to other processes
    asks: Sequence[Ask] = ()  # operations, each of an open request
    checkpoint: bytes | None = None  # a full image at next_sequence
    result: bytes | None = None  # encoded value (done) or error value (failed, cancelled)
    waits: str = ""
    error: str = ""
    attributes: dict[str, Any] | None = None  # None: unchanged
    receives: bool = True  # whether it is to run for messages in its inbox; False: they wait until a turn says so
    texts: Sequence[bytes] = ()  # long strings in entries and checkpoint: those of a process are kept once each


@dataclass(frozen=True, slots=True)
class Rekey:
    """Changes the keys of an encrypted store -> (the generation of the data key that is written, how many records were
    written anew, whether the change is over).  S316 for one that is not encrypted.

    "begin" adds a data key, unless a change is under way; "go-on" writes the next records anew, and is given again
    until it is over; "wrap" puts other wrapped forms of the data keys in the place of those that the client has seen.
    """

    action: str
    wrapped: tuple[tuple[int, bytes], ...] = ()  # generation, wrapped data key
    expected: bytes = b""  # the SHA-256 of the record of the keys


@dataclass(frozen=True, slots=True)
class Mend:
    """Makes damaged or missing entries of indexes whole from the rows of processes -> (where to go on, how many).

    `space`: one of mending.STEPS, which are given in their order, each from `start` on until it is empty.
    """

    space: str
    start: bytes = b""
    limit: int = 500


Command = (
    PutArtifact
    | Start
    | Post
    | Deliver
    | Take
    | Extend
    | Complete
    | Join
    | Leave
    | Fire
    | Turn
    | Remove
    | PruneLog
    | ForgetArtifacts
    | Operate
    | Kill
    | Settle
    | Bulk
    | Rekey
    | Mend
)

# ---- the store -------------------------------------------------------------------------------------------------

#: What a watcher is told after a commit: ("ready", partition), ("request", effect), ("timer", 0),
#: ("process", pid) when a process ended or paused, ("claims", 0) when partitions moved.
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

    def living(self) -> int:
        """How many processes have not ended."""

    def artifacts(self) -> list[bytes]:
        """The hashes of all artifacts."""

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
