"""The state of a running program, as plain data: Process, Fiber, frames, outcomes.

A frame at rest is an immutable tuple, so that "the same tuple" means "nothing at or below it has changed" to the
image writer.  There are two shapes:

    code frame      (RunCode, registers, pc, destination)
                    pc is the next instruction; what the frame waits for goes to register `destination`.
                    destination -1: no value is expected, the instruction at pc is run (a new frame, or one to be
                    retried)
    region frame    (None, kind, data): marks what holds for the frames above it, see Region

Nothing here runs; machine.py and its helpers do.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from flowmetal.bytecode.program import Program
from flowmetal.dataclass import dataclass
from flowmetal.values import ErrorValue, Promise, keyword

Frame = tuple[Any, ...]


class Region:
    """Kinds of region frame.  Those below 100 are the operand of `region` in the opcode table; the others are the
    machine's.

    HANDLE data: map of effect name to clause.  SCOPE data: scope number.  SHIELD, ATOMIC: nil.  BIND: map of symbol
    to value. CLAUSE data: the resumption of the handler clause that runs above it.
    ABANDON data: (token, error or None, value): where the unwinding of an abandoned body ends, and what comes of it.
    REALIZE data: the lazy sequence whose body runs above it.
    RESULT data: the value of the process, kept while what is lazy inside it is realized.
    """

    HANDLE, SCOPE, SHIELD, BIND, ATOMIC = 1, 2, 3, 4, 5
    CLAUSE, ABANDON, REALIZE, RESULT = 100, 101, 102, 103


class Wait:
    """What a suspended fiber waits for: `Fiber.wait` is None or (kind, what)."""

    REQUEST, PROMISE, ANY, SCOPE, REALIZE = 1, 2, 3, 4, 5


class Deadline:
    """What `Fiber.deadline` is where it is no request: there is none yet, it is over, or nobody would tell."""

    UNSET, OVER, NONE = 0, -1, -2


class Resume:
    """What a fiber goes on with: `Fiber.resume` is (kind, value)."""

    ENTER, VALUE, ERROR = 0, 1, 2


KIND_CANCELLED = keyword("flowmetal/cancelled")
KIND_LIMIT = keyword("flowmetal/limit")
KIND_ABANDONED = keyword("flowmetal/abandoned")
KIND_INTERNAL = keyword("flowmetal/internal")  # a fault of the machine or of a builtin, see errors.py
UNCATCHABLE = frozenset({KIND_LIMIT, KIND_ABANDONED})

ENTER: tuple[int, Any] = (Resume.ENTER, None)


@dataclass(slots=True)
class Limits:
    """Quotas of one process.  Reaching one is an error of kind :flowmetal/limit."""

    fuel_per_turn: int = 2_000_000  # calls and loop turns before others get their turn
    fuel: int = 10**12  # of its whole life, counted in whole slices: what is short between two effects costs none
    frames: int = 4_000_000  # nested calls of one fiber
    heap_objects: int = 1_000_000  # frames and heap objects that can be reached, counted at intervals
    fibers: int = 100_000
    requests: int = 100_000  # outstanding at once
    lifting: bool = True  # no quota: whether code may run lifted, which nothing but the time it takes can tell


#: Calls and loop turns between two looks at the quotas of stack and heap, so that the loop itself never counts them.
SLICE = 20_000


#: When the heap of a new process is counted first, on the clock of quota.py: a slice or 64 requests after it began.
FIRST_HEAP_COUNT = 64


class Fiber:
    """One line of execution inside a process.

    Where it stands: it runs (`Process.running`), it waits (`wait`), or it is in `Process.ready` and goes on with
    `resume`.  While it waits `resume` says how it goes on when what it waits for has come; an answer to a request
    replaces it.
    """

    __slots__ = (
        "cancelled",
        "changed",
        "deadline",
        "frames",
        "id",
        "known",
        "promise",
        "regions",
        "resume",
        "saved",
        "scope",
        "wait",
    )

    def __init__(self, id: int, scope: int, promise: Promise) -> None:
        self.id = id
        self.scope = scope  # the scope that it ends with; 0 for the first fiber
        self.promise = promise  # settled when the fiber ends
        self.frames: list[Frame] = []
        self.regions: list[int] = []  # where the region frames are in `frames`
        self.wait: tuple[int, Any] | None = None
        self.resume: tuple[int, Any] = ENTER
        self.cancelled: ErrorValue | None = None  # raised at every suspension point from now on
        self.deadline = 0  # of its `finally` blocks: the number of a request, or one of Deadline
        self.saved: list[Frame] = []  # the frames as the last segment wrote them
        self.changed = False  # since the last segment; set by Process.mark
        self.known = False  # a segment since the last checkpoint has its scope and promise


class Scope:
    """A scope's living fibers and the failures nobody has awaited, in order.  Its number is in its region frame."""

    __slots__ = ("failures", "fiber", "living")

    def __init__(self, fiber: int) -> None:
        self.fiber = fiber  # whose frames hold the region
        self.living: dict[int, None] = {}  # fiber ids in the order they were started
        self.failures: list[Promise] = []  # of fibers that have failed; those in state "seen" were awaited since


# ---- outcomes: why the machine handed control back ----------------------------------------------------------------


@dataclass(slots=True)
class Performed:
    """An effect that no handler of the program took.  It stays open until settled, or is answered at once.

    Not frozen, though nothing changes it: one is made for every step, and a frozen one takes five times as long.
    """

    number: int
    effect: str
    payload: Any
    options: Any  # a Map or None
    fiber: int
    waits: bool  # False: the program holds a promise and goes on


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """The program no longer wants the answer to an open request."""

    number: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Every fiber waits."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The process's function has returned and all its fibers have ended."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """An error left the process's function; kind :flowmetal/cancelled when it was cancelled."""

    error: ErrorValue


@dataclass(frozen=True, slots=True)
class OutOfFuel:
    """The turn's fuel is used up; the process can go on in another turn."""


Outcome = Performed | CancelRequest | Idle | Finished | Failed | OutOfFuel


class Process:
    """A running program: its fibers and what they share.  `image` (image.py) writes it down."""

    __slots__ = (
        "changed", "changed_scopes", "cleaning", "deadlines", "end", "ended", "fibers", "fuel", "globals",
        "heap_due", "heap_rest", "image", "limits", "next_fiber", "next_name", "next_request", "next_scope",
        "next_token", "opened", "outbox", "overdue", "program", "ready", "realizes_result", "request_promises",
        "request_waits", "running", "scopes", "slice_end", "slice_left", "slices", "stepping", "table",
        "touched", "waiters",
    )  # fmt: skip

    def __init__(self, program: Program, table: Any, limits: Limits) -> None:
        self.program = program
        self.table = table  # bytecode ProgramTable: how images name modules, functions, constants
        self.limits = limits
        self.fibers: dict[int, Fiber] = {}
        self.ready: deque[int] = deque()
        self.scopes: dict[int, Scope] = {}
        self.request_waits: dict[int, int] = {}  # request number -> the fiber that waits for it
        self.request_promises: dict[int, Promise] = {}  # request number -> promise, for `request`
        self.deadlines: dict[int, int] = {}  # request number -> the fiber whose `finally` blocks it ends
        self.cleaning: dict[int, None] = {}  # cancelled fibers that have no deadline yet
        self.waiters: dict[int, list[int]] = {}  # id() of a promise or lazy sequence -> fibers waiting for it
        self.globals: dict[tuple[str, str], Any] = {}  # (module, name) -> this process's copy of a mutable global
        self.next_fiber = 1
        self.next_request = 1
        self.next_scope = 1
        self.next_token = 1
        self.next_name = 1  # the number of the next `gensym`
        self.outbox: deque[Outcome] = deque()  # outcomes that `run` has still to give
        self.end: Finished | Failed | None = None
        self.running = 0  # the fiber that runs; 0 between two runs
        self.stepping = False  # stop before every instruction
        self.realizes_result = True  # the value at the end leaves the process: nothing lazy may be inside it
        # Fuel, and the clock of the quotas (quota.py).  The clock goes on at the same places wherever fuel cuts in.
        self.fuel = 0
        self.slice_left = SLICE  # fuel until the quotas are looked at next
        self.slice_end = 0  # while a fiber runs: the fuel at which that is
        self.slices = 0  # slices that are over
        self.heap_due = FIRST_HEAP_COUNT  # when the heap is counted next
        self.heap_rest = 0  # turns ended by much work until the heap is counted at the end of one; in no image
        self.overdue = 0  # the seconds that it may compute, once it has for longer; whoever runs it measures them
        # What has changed since the last segment, for image.py.
        self.changed: list[Fiber] = []
        self.ended: list[int] = []
        self.changed_scopes: dict[int, None] = {}
        self.touched: list[Any] = []  # mutable objects
        self.opened: list[Promise] = []  # promises of requests
        self.image: Any = None

    def touch(self, mutable: Any) -> None:
        """Notes that a cell, lazy sequence, promise or resumption has changed, for the next segment.

        One that no image has yet is written whole when it is first met, so it need not be kept in mind.
        """
        if mutable.owner is not None and not mutable.dirty:
            mutable.dirty = True
            self.touched.append(mutable)

    def bindings(self) -> list[Any]:
        """The maps of the regions that bind dynamic names around what runs, outermost first."""
        fiber = self.fibers.get(self.running)
        if fiber is None or not fiber.regions:
            return []
        frames = (fiber.frames[position] for position in fiber.regions)
        return [frame[2] for frame in frames if frame[1] == Region.BIND]

    def mark(self, fiber: Fiber) -> None:
        """Notes that a fiber has changed, for the next segment."""
        if not fiber.changed:
            fiber.changed = True
            self.changed.append(fiber)
