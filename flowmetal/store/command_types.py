"""The commands that change a store.  What each does is said here, and done where commands.py says.

Each says after `->` what it answers.  Those are not frozen that are made several times for each step (Timer, Ask,
Turn): making a frozen object takes twice as long.  Nothing changes them once they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.store.records import Request


@dataclass(frozen=True, slots=True)
class PutArtifact:
    """Keeps an artifact under its content hash; `name` also deploys it: new processes of `name` run it. -> None

    `grants`: what processes that are started by the name may perform, as ProcessRecord has it.  Signed data takes the
    place of the same artifact without these signatures.  `over`: nothing is done unless the name is deployed as this
    hash.
    """

    hash: bytes
    data: bytes
    name: str | None = None
    grants: Sequence[str] | None = None
    over: bytes | None = None


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
