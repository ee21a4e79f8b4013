"""The key spaces of a store: one table, with the form of every key and value, and the packing of keys.

Keys are big-endian, so that their order as bytes is the order of the numbers in them.  Values are compact msgpack
arrays (codec.py) unless the table says otherwise.  docs/store.md is generated from here by
`python -m flowmetal.store.document`.
"""

from __future__ import annotations

import struct
from typing import Final

from flowmetal.dataclass import dataclass

#: Written into every store; a store of a newer format, or one too old, is refused.
FORMAT: Final = 4

#: What can be brought up to it where the store is, by adding the key spaces that are missing and sealing the records.
OLDEST_FORMAT: Final = 2
#: From this one on every record is sealed (sealing.py).
SEALED_FORMAT: Final = 4


@dataclass(frozen=True, slots=True)
class KeySpace:
    """An ordered map from bytes to bytes with a name of its own.

    `of` says what becomes of the entries of a process, so that whoever adds a space has to think of it:

        "process"   keys begin with the pid: they go with the process
        "end"       an index under other keys, whose entries of a process go when it ends (ending.py)
        "removal"   an index under other keys, whose entries go with the process (removing.py)
        "time"      entries that go by themselves some time later
        "store"     of no process
    """

    name: str
    key: str
    value: str
    doc: str
    of: str


_spaces: list[KeySpace] = []


def _space(name: str, key: str, value: str, doc: str, *, of: str) -> str:
    _spaces.append(KeySpace(name, key, value, doc, of))
    return name


META: Final = _space(
    "meta",
    "name, text",
    "msgpack",
    "`about`: [format, engine, store id, made at, CRC-32 of these], not sealed. `seal`, where the store is encrypted "
    "or was of an older format: [sealed up to, [generation, wrapped data key, made at] of each, generation that is "
    "written, renewed up to], sealed and never encrypted. `counter:NAME`: the last pid, the "
    "last number of the order of arrival, processes by status. `bulk:NAME`: [digest, done up to, end, at] of an "
    "operation on many processes. `lives`, of a store that was restored: [first pid, id] of each life, with whose id "
    "the idempotency keys of its processes begin. `grants:NAME`: the grants of a deployed name, texts, or nil for all; "
    "where it is missing, none.",
    of="store",
)
ARTIFACTS: Final = _space(
    "artifacts", "content hash", "the artifact's bytes", "Compiled programs and libraries.", of="store"
)
DEPLOYED: Final = _space("deployed", "name, text", "content hash", "What new processes of a name run.", of="store")
PROCESSES: Final = _space(
    "processes",
    "pid u40",
    "[origin, created_at, id, parent, digest, mark, attributed, more]",
    "What a process is from its start on. `origin`: a number of `origins`. `digest`, where it has an id: the SHA-256 "
    "of its arguments, to tell whether another start with its id is the same. `mark`: the number of its first ready "
    "mark. `attributed`: whether it was given attributes. `more`: a map of what few have, left out where it is empty: "
    "`root`, the process at the root of its tree, where it was spawned; `limits`, those it was started with; `queue`, "
    "[name, key, priority] of the queue it was started in.",
    of="process",
)
ORIGINS: Final = _space(
    "origins",
    "origin u40; or the SHA-256 of a value",
    "[artifact, function, name, grants]; or origin u40",
    "What processes run, once for all that run the same: the program, the function, the deployed name that was "
    "asked for, and the grants, texts, which are left out where all is granted; and which number each has.",
    of="store",
)
STATES: Final = _space(
    "states",
    "pid u40",
    "[status, sequence, checkpoint, updated_at, mark, messages, events, receives, deaths, calls, far_requests, "
    "far_timers, attributed, waits, error, requests, timers, extra]",
    "What changes with every turn, all that a turn has to read. A process that has had none and got nothing but its "
    "start has no record here yet, so that records come in the order of pids and fill their pages. `mark`: the number "
    "of its ready mark, 0 for none. `messages`, `events`: messages and other things in its inbox. `receives`: whether "
    "it is to run for a message. `deaths`: interpreters that ended in one of its turns since the last one that was "
    "committed. `calls`: open "
    "requests for functions of an interpreter. `requests`: the first small ones, each with its number before the "
    "fields of `requests`; `timers`: the first few, [number, kind, due] one after the other; how many more there are "
    "in the spaces `requests` and `timers`: `far_requests`, `far_timers`. `extra`: a map of what few processes have, "
    "left out where it is empty: `queue`, [queue, key, priority, state, order]; states 0 waiting, 1 delayed, 2 paused "
    "while it waits, 3 running, 4 paused and without a slot, 5 waiting to go on from there; order: its ticket, or when "
    "its delay ends; `bonds`, how many it has of each kind; `schedule`, whose run it is; `family`, [children, "
    "descendants, starts]: living processes that it spawned, living ones of its tree where it is the root, and how "
    "many it has spawned in its life.",
    of="process",
)
ATTRIBUTES: Final = _space("attributes", "pid u40", "a map", "Attributes of processes that have some.", of="process")
IDS: Final = _space("ids", "id, text", "pid u40", "Processes by the id they were given at start.", of="removal")
STATUSES: Final = _space(
    "statuses",
    "255 less group u8, pid u40",
    "empty",
    "Processes by group: 0 live (ready or waiting), 1 paused, 2 done, 3 failed, 4 cancelled. A live process is "
    "ready while it has a ready mark. The live ones stand last: new ones are then added at the end, which fills pages.",
    of="removal",
)
CALLS: Final = _space(
    "calls",
    "pid u40",
    "empty",
    "Processes with open requests for functions of an interpreter: what has to be called again after a crash.",
    of="process",
)
LOG: Final = _space(
    "log",
    "pid u40, sequence u40; for a part also part u24",
    "[event, segment, event, segment, ...]",
    "The events of a process in order, each with what it changed in the image; nil stands for no bytes. One record "
    "has the entries of a turn from its sequence on, as far as they are small. A part, which is a cut saved within an "
    "entry, has a record of its own.",
    of="process",
)
CHECKPOINTS: Final = _space(
    "checkpoints",
    "pid u40, sequence u40",
    "image bytes",
    "Full images: the state before the entry of this sequence.",
    of="process",
)
TEXTS: Final = _space(
    "texts",
    "pid u40, SHA-256 32 bytes",
    "bytes",
    "Long strings in the log and the checkpoints of a process, each once. A record that refers to some is the byte "
    "0xc1 and [bytes, hash, bytes, hash, ..., bytes], which give the record when the texts stand in between.",
    of="process",
)
RESULTS: Final = _space(
    "results", "pid u40", "encoded value", "What ended processes returned, or their error.", of="process"
)
INBOX: Final = _space(
    "inbox",
    "pid u40, class and arrival u64",
    "[kind u8, number, attempt, data]",
    "What has arrived for a process and was not yet taken. Arrivals are numbered over the whole store. Class, in the "
    "highest bits: 0 start, cancel, pause, resume, retry; 2^61 answers, errors, losses and timers; 2^62 messages.",
    of="process",
)
READY: Final = _space(
    "ready",
    "partition u16, mark u64",
    "pid u40",
    "Processes that have something to do, the longest waiting first.",
    of="end",
)
REQUESTS: Final = _space(
    "requests",
    "pid u40, number u40",
    "[effect, payload, options, idempotency_key, not_before, attempt, state, worker, lease_until, flags, place, "
    "tokens]",
    "Effects that are not over and stand in no record of `states`, being large or many. `idempotency_key`: nil for "
    "the usual one, which is the store's id, the pid and the number; true where it is the first token. `flags`: 1 "
    "queued, 2 called. `place`: the number under which it stands in its queue, 0 if it does not.",
    of="process",
)
QUEUE: Final = _space(
    "queue",
    "effect, text, 0 u8, place u64",
    "pid u40, number u40",
    "Requests that a worker may take, oldest first.",
    of="end",
)
TIMERS: Final = _space(
    "timers",
    "pid u40, number u40, kind u8",
    "due u64",
    "When each timer is due that stands in no record of `states`. Kinds: 1 sleep, 2 timeout, 3 deadline, 4 retry.",
    of="process",
)
DUE: Final = _space(
    "due",
    "due u64, pid u40, number u40, kind u8",
    "attempt, empty for 0; of kind 7 a key",
    "All timers by time: those of processes; 5, the leases of taken requests (whose attempt is the value); 6, the ends "
    "of delays of processes in queues; 7, when a queue (whose number stands for a pid) or a key of it is looked at.",
    of="end",
)
TOKENS: Final = _space(
    "tokens",
    "token, text",
    "[pid, number, over_at]",
    "Callback tokens. `over_at`: when it was delivered or its request was over, 0 while it is open.",
    of="time",
)
FORGET: Final = _space(
    "forget",
    "time u64, token; or time u64, queue u40, kind u8, text",
    "empty",
    "When to forget tokens that are over, 72 hours after it; of queues, 0: dedup keys, 1: keys without processes.",
    of="time",
)
INTERPRETERS: Final = _space(
    "interpreters",
    "name, text",
    "[lease_until, joined_at, running]",
    "Who runs processes, each with a lease. `running`: the process in whose turn it has been for long, or 0.",
    of="store",
)
PARTITIONS: Final = _space(
    "partitions",
    "partition u16",
    "[interpreter, epoch]",
    "Who may commit turns of the processes of a partition; the epoch rises when it changes hands.",
    of="store",
)
CLIENTS: Final = _space(
    "clients",
    "client 16 bytes, batch u64",
    "batch 0: [last batch whose results have arrived, seen_at]; others: [results]",
    "Batches that attached processes have passed to the owner: a batch that is sent again because the owner died is "
    "not applied again.",
    of="store",
)
QUEUES: Final = _space(
    "queues",
    "queue u40; or name, text",
    "[name, created_at, limits, paused, running, waiting, delayed, parked, heads, turns, tickets, served, started, "
    "admitted, wake_at, sweep]; or queue u40",
    "Queues of starts with how many of their processes run, wait, are delayed, and are paused while they wait; and the "
    "number of each name. `heads`: lanes among `queue_heads`. `turns`, `tickets`: the last numbers given. `served`: "
    "how many that waited no longer do. `started`: how many were admitted while there was a rate. `wake_at`: when it "
    "is looked at again, 0 for not. `sweep`: the key from which on the keys are still to be looked at since the limits "
    "were changed, or nil.",
    of="store",
)
QUEUE_KEYS: Final = _space(
    "queue_keys",
    "queue u40, key text",
    "[running, started, wake_at, forget_at, lanes]",
    "The keys of a queue that have processes in it; the empty one stands for starts without a key. `lanes`: "
    "[priority, turn, waiting] of each priority at which processes wait; turn 0: none of them may begin, because of "
    "the limits of the key.",
    of="store",
)
QUEUE_ITEMS: Final = _space(
    "queue_items",
    "queue u40, key text, 0 u8, 9 less priority u8, ticket u64",
    "pid u40",
    "Processes that wait in a queue, in the order in which those of one key and priority begin.",
    of="end",
)
QUEUE_HEADS: Final = _space(
    "queue_heads",
    "queue u40, rank u8, turn u64",
    "9 less priority u8, key text",
    "Keys and priorities of which a process may begin, whose turn it is first. Rank 0: all by turn, from which every "
    "eighth is taken, so that none waits for ever; 1 to 19: those of one priority, the greatest first.",
    of="store",
)
QUEUE_STARTS: Final = _space(
    "queue_starts",
    "queue u40, key text, 0 u8, count u64; the queue's own: queue u40, 0 u8, count u64",
    "time u64",
    "When the last processes of a queue, or of a key of it, began: as many as its rate allows in its period.",
    of="store",
)
QUEUE_ARGUMENTS: Final = _space(
    "queue_arguments",
    "pid u40",
    "encoded vector",
    "The arguments of processes that have not been admitted yet.",
    of="process",
)
QUEUE_DEDUP: Final = _space(
    "queue_dedup",
    "queue u40, dedup key, text",
    "[pid, until]",
    "Which process a start with a dedup key stands for, until its window is over.",
    of="time",
)
LEFTOVERS: Final = _space(
    "leftovers",
    "pid u40",
    "empty",
    "Processes that were removed, and of which something is left to be removed.",
    of="process",
)
UNNEEDED: Final = _space(
    "unneeded",
    "content hash",
    "since u64",
    "Artifacts that nothing needed when somebody looked, and since when; they are removed some time later.",
    of="store",
)

BONDS: Final = _space(
    "bonds",
    "pid u40, kind u8, and what it is tied to",
    "empty; for 4 pid u40",
    "What ties living processes to others, from both ends. 1: a name, text. 2: a group, text. 3: a link, pid u40. 4: a "
    "monitor that it has, number u40. 5: one on it, pid u40, number u40. 6: a process that is cancelled when it ends, "
    "pid u40; 7: the other end of that.",
    of="process",
)
NAMES: Final = _space("names", "name, text", "pid u40", "Processes by the name they are registered as.", of="end")
GROUPS: Final = _space(
    "groups",
    "group, text; for a member also 0 u8, pid u40",
    "members u40; empty for a member",
    "Groups of processes, with how many members each has.",
    of="end",
)
KV: Final = _space(
    "kv",
    "key, text",
    "[expires, encoded value]",
    "The key-value table of programs. `expires`: from when on the key counts as absent, 0 for never.",
    of="store",
)
KV_EXPIRY: Final = _space(
    "kv_expiry", "time u64, key", "empty", "When to remove keys of `kv` whose time is over.", of="store"
)

SCHEDULES: Final = _space(
    "schedules",
    "name, text",
    "[name, plan, program, function, arguments, attributes, pass_run, overlap, catch_up, catch_up_max, grace, "
    "made_at, paused, planned, indexed, chosen_until, waiting, running, runs, skipped, missed, recent]",
    "Schedules. `plan`: [cron, zone, every, anchor, at, jitter, start, end]. "
    "`overlap`: 0 skip, 1 queue, 2 cancel, 3 allow; `catch_up`: 0 none, 1 one, 2 all. `planned`: the next run. "
    "`running`: processes that count for the overlap. `recent`: [planned, begun, pid, what] of the last 20.",
    of="store",
)
SCHEDULES_DUE: Final = _space(
    "schedules_due", "due u64, name, text", "empty", "When each schedule is to be looked at next.", of="store"
)

SPACES: Final[tuple[KeySpace, ...]] = tuple(_spaces)
SPACE_NAMES: Final[tuple[str, ...]] = tuple(space.name for space in SPACES)

# ---- keys --------------------------------------------------------------------------------------------------------

_U16 = struct.Struct(">H")
_U64 = struct.Struct(">Q")
_READY_KEY = struct.Struct(">HQ")

#: Pids, sequences and the numbers of requests have 40 bits: keys are in every page, and a process that makes 1,000
#: steps a second makes them for 34 years.
NUMBER_BITS: Final = 40
MAX_NUMBER: Final = (1 << NUMBER_BITS) - 1
PID_BYTES: Final = 5
PAIR_BYTES: Final = 10

u16 = _U16.pack
u64 = _U64.pack

_WIDTHS = {"u8": 1, "u16": 2, "u24": 3, "u40": 5, "u64": 8}


def _length(form: str) -> int:
    """How long keys of a form are whose parts all have a length; 0 for others."""
    length = 0
    for part in form.split(", "):
        *words, last = part.split(" ")
        if last not in _WIDTHS and last != "bytes":
            return 0
        length += int(words[-1]) if last == "bytes" else _WIDTHS[last]
    return 0 if ";" in form else length


#: How long the keys of a space are, where all are of one length.
KEY_BYTES: Final = {space.name: length for space in SPACES if (length := _length(space.key))}

ready_key = _READY_KEY.pack


def pid_key(pid: int) -> bytes:
    """The 5 bytes of a pid."""
    return pid.to_bytes(5, "big")


def pair_key(pid: int, number: int) -> bytes:
    """A pid and a number (of a request, an entry), 5 bytes each."""
    return (pid << 40 | number).to_bytes(10, "big")


def log_key(pid: int, sequence: int, part: int) -> bytes:
    """The key of a log record that begins with an entry."""
    key = (pid << 40 | sequence).to_bytes(10, "big")
    return key + part.to_bytes(3, "big") if part else key


def inbox_key(pid: int, number: int) -> bytes:
    """The key of an inbox event."""
    return (pid << 64 | number).to_bytes(13, "big")


def status_key(group: int, pid: int) -> bytes:
    """The key of a process in the index by group."""
    return (255 - group << 40 | pid).to_bytes(6, "big")


def timer_key(pid: int, number: int, kind: int) -> bytes:
    """The key of a timer of a process."""
    return (pid << 48 | number << 8 | kind).to_bytes(11, "big")


def due_key(due: int, pid: int, number: int, kind: int) -> bytes:
    """The key of a timer in the order of time."""
    return (due << 88 | pid << 48 | number << 8 | kind).to_bytes(19, "big")


def queue_key(effect: bytes, place: int) -> bytes:
    """The key of a queued request; names of effects have no NUL in them."""
    return effect + b"\x00" + u64(place)


def read_u64(data: bytes, offset: int = 0) -> int:
    """The number of 8 bytes at `offset`."""
    return int.from_bytes(data[offset : offset + 8], "big")


def read_pid(data: bytes, offset: int = 0) -> int:
    """The pid, or other number, of 5 bytes at `offset`."""
    return int.from_bytes(data[offset : offset + 5], "big")


def read_pair(data: bytes) -> tuple[int, int]:
    """Pid and number."""
    both = int.from_bytes(data[:10], "big")
    return both >> 40, both & MAX_NUMBER


def read_log_key(key: bytes) -> tuple[int, int, int]:
    """(pid, sequence, part)."""
    pid, sequence = read_pair(key)
    return pid, sequence, int.from_bytes(key[10:], "big")


def read_timer_key(key: bytes) -> tuple[int, int, int]:
    """(pid, number, kind)."""
    pid, number = read_pair(key)
    return pid, number, key[10]


def read_due_key(key: bytes) -> tuple[int, int, int, int]:
    """(due, pid, number, kind)."""
    return read_u64(key), *read_timer_key(key[8:])


def read_ready_key(key: bytes) -> tuple[int, int]:
    """(partition, mark)."""
    parts: tuple[int, int] = _READY_KEY.unpack(key)
    return parts
