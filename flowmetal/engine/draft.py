"""Draft: a turn while it is being made, with the few changes that all parts of a turn are made of.

Everything a turn will commit is collected here; the live process changes along with it.  Also what a turn needs from
outside (`Setting`) and what it asks of this interpreter's own functions (`Call`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmetal.bytecode.link import ProgramTable
from flowmetal.dataclass import dataclass, replace
from flowmetal.engine import effects, events
from flowmetal.engine.events import Event
from flowmetal.engine.lines import error_line, plain_error
from flowmetal.engine.live import Live, Open, in_process
from flowmetal.store.interface import Ask, InboxEvent, Request, Timer
from flowmetal.values import ErrorValue, decode_value, encode_value
from flowmetal.values.children import long_texts
from flowmetal.vm import Process, settle, settle_error
from flowmetal.vm import run as run_machine
from flowmetal.vm.image import LONG_TEXT

#: Fuel of one turn: calls and loop rounds before other processes get theirs; some 5 to 100 ms.
FUEL = 20_000

#: Entries of one turn.  A program that only logs would never wait; here it ends its turn and goes on in the next.
ENTRIES_MAX = 256

#: A checkpoint is due when the segments since the last one outweigh it and are this many bytes or this many: the first
#: bounds what is written, the second the time that a process with a small state takes to load.
CHECKPOINT_BYTES_MIN = 64 * 1024
CHECKPOINT_SEGMENTS_MIN = 64

NIL = encode_value(None)

#: Objects of one value in which long strings are looked for.
TEXTS_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What turns need besides the process.

    A simulation says when turns end (`entries_max`), when they save (`cut_slices`; 0: as turns.py has it), what runs.
    """

    surroundings: effects.Surroundings
    functions: frozenset[str] = frozenset()  # effects that this interpreter answers itself
    fuel: int = FUEL
    run: Callable[[Process, int], Any] = run_machine
    entries_max: int = ENTRIES_MAX
    cut_slices: int = 0
    work: float | None = None  # microseconds of large operations in a turn, see values/work.py


@dataclass(slots=True)
class Call:
    """A request for a function of this interpreter, to be made once the turn is committed.

    `not_before`: nanoseconds by the store's clock; `attempt` counts from 1.  Not frozen, as one is made for every step.
    """

    pid: int
    number: int
    effect: str
    payload: Any
    options: Any
    idempotency_key: str
    attempt: int = 1
    not_before: int = 0


def call_of(request: Request, attempt: int, table: ProgramTable | None = None) -> Call:
    """The call of a stored in-process request, for its attempt `attempt`."""
    return Call(
        request.pid,
        request.number,
        request.effect,
        decode_value(request.payload, table),
        decode_value(request.options, table) if request.options else None,
        request.idempotency_key,
        attempt,
        request.not_before,
    )


def checkpoint_due(live: Live) -> bool:
    """Whether the segments since the last checkpoint outweigh it."""
    many = live.segments >= CHECKPOINT_SEGMENTS_MIN or live.segment_bytes > CHECKPOINT_BYTES_MIN
    return many and live.segment_bytes > live.checkpoint_bytes


def write_checkpoint(live: Live, process: Process) -> bytes:
    """The whole state, which stands in for the segments so far."""
    image: bytes = process.image.checkpoint()
    live.checkpoint_sequence = live.sequence
    live.checkpoint_bytes = len(image)
    live.segment_bytes = 0
    live.segments = 0
    live.slices = 0
    return image


def bytes_of(texts: Iterable[str | bytes]) -> tuple[bytes, ...]:
    """Texts as a turn names them, each once."""
    return tuple(text.encode(errors="replace") if isinstance(text, str) else text for text in dict.fromkeys(texts))


class Draft:
    """A turn on its way: entries, requests, timers and the rest, in the order in which they came up."""

    __slots__ = (
        "_local", "asks", "base_sequence", "calls", "checkpoint", "closed", "entries", "live", "messages", "now",
        "requests", "result", "setting", "status_before", "taken", "taken_answers", "texts", "timers", "tokens",
        "unsaved",
    )  # fmt: skip

    def __init__(self, live: Live, setting: Setting, now: int = 0) -> None:
        self.live = live
        self.setting = setting
        self.now = now or setting.surroundings.now()
        self.base_sequence = live.sequence
        self.status_before = live.status
        self.entries: list[tuple[int, int, bytes, bytes]] = []
        self.taken: list[int] = []
        self.taken_answers: list[InboxEvent] = []
        self.requests: dict[int, Request] = {}
        self.closed: list[int] = []
        self.timers: list[Timer] = []
        self.tokens: list[tuple[str, int]] = []
        self.calls: list[Call] = []
        self.asks: list[Ask] = []  # operations of the store
        self.messages: list[InboxEvent] = []  # arrived, and nobody receives yet
        self._local: effects.Local | None = None
        self.unsaved = False  # something from outside went into the process since its last segment
        self.texts: list[str | bytes] = []  # long strings in what the turn commits
        self.checkpoint: bytes | None = None
        self.result: bytes | None = None

    @property
    def local(self) -> effects.Local:
        """What the local effects of the turn have changed."""
        local = self._local
        if local is None:
            live = self.live
            local = self._local = effects.Local(
                live.pid, self.setting.surroundings, live.attributes, self._token, live.limits.engine
            )
        return local

    @property
    def used_local(self) -> effects.Local | None:
        """`local` where the turn had local effects."""
        return self._local

    def encode(self, value: Any) -> bytes:
        """A value's bytes; functions are named by the program's modules.

        LanguageError for what cannot leave, or is too large to be kept.
        """
        return effects.checked_size(encode_value(value, self.live.program.table), self.live.limits.engine)

    def decode(self, data: bytes) -> Any:
        """The value of bytes that have arrived."""
        value = decode_value(data, self.live.program.table)
        if len(data) >= LONG_TEXT:
            self.note_texts(value)
        return value

    def note_texts(self, value: Any) -> None:
        """Has the store keep the long strings of a value once, wherever the turn writes them."""
        self.texts += long_texts(value, LONG_TEXT, TEXTS_LOOKED_AT)

    # ---- the log and the image

    def entry(self, event: Event, segment: bytes = b"") -> None:
        """Adds an event to the log."""
        self.encoded_entry(events.encode_event(event), segment)

    def encoded_entry(self, event: bytes, segment: bytes = b"") -> None:
        """Adds an event that is encoded already."""
        live = self.live
        self.entries.append((live.sequence, 0, event, segment))
        live.sequence += 1
        live.part = 0

    def segment(self, process: Process) -> bytes:
        """What has changed in the process since its last segment."""
        segment: bytes = process.image.segment()
        live = self.live
        live.segment_bytes += len(segment)
        live.segments += 1
        live.slices = 0
        self.unsaved = False
        if process.image.texts:
            self.texts += process.image.take_texts()
        return segment

    def write_checkpoint(self, process: Process) -> None:
        """Has the turn write the whole state."""
        self.checkpoint = write_checkpoint(self.live, process)
        self.unsaved = False
        self.texts += process.image.take_texts()

    # ---- requests

    def take(self, item: InboxEvent) -> None:
        """Notes that an inbox event is used up."""
        if item.key >= 0:
            self.taken.append(item.key)
        else:  # what functions of this interpreter answer never was in the store's inbox
            self.taken_answers.append(item)

    def settle(self, number: int, value: Any, event: Event) -> None:
        """Hands a value to the program and closes the request."""
        if self._settled(number, value, event.__class__):
            self.entry(event)

    def answer(self, number: int, value: Any, data: bytes) -> None:
        """`settle` for an answer, which `data` are the bytes of."""
        if self._settled(number, value, events.Answered):
            self.encoded_entry(events.encode_answered(self.now, number, data))

    def _settled(self, number: int, value: Any, kind: type[Event]) -> bool:
        self.close(number)
        process = self.live.process
        if process is None or not settle(process, number, value):
            self.late(number, events.name_of(kind))
            return False
        self.unsaved = True
        return True

    def settle_error(self, number: int, error: ErrorValue, event: Event) -> None:
        """Hands an error to the program and closes the request."""
        self.close(number)
        process = self.live.process
        if process is None or not settle_error(process, number, error):
            self.late(number, events.name_of(event.__class__))
            return
        self.unsaved = True
        self.entry(event)

    def close(self, number: int) -> None:
        """Ends a request in the store."""
        live = self.live
        live.open.pop(number, None)
        if live.receives:
            live.receives.pop(number, None)
        if number in self.requests:  # opened or put back in this very turn
            del self.requests[number]
            self.calls = [call for call in self.calls if call.number != number]
        self.closed.append(number)

    def late(self, number: int, what: str) -> None:
        """Something came for a request that is over."""
        self.entry(events.CameLate(self.now, number, what))
        self.closed.append(number)

    def put_back(self, opened: Open, attempt: int, due: int) -> None:
        """Opens a request again for another attempt, at once or when it is due."""
        request = opened.request
        state = "queued" if request.queued else "held"
        opened.request = replace(request, attempt=attempt, state=state, worker="", not_before=due, lease_until=0)
        self.requests[request.number] = opened.request
        if opened.policy.deadline:
            self.timers.append(Timer(opened.policy.deadline, request.number, "timeout"))
        if in_process(request):
            self.calls.append(call_of(opened.request, attempt + 1, self.live.program.table))

    def _token(self, number: int) -> str | None:
        opened = self.live.open.get(number)
        if opened is None or opened.request.effect != effects.CALLBACK:
            return None
        return opened.request.idempotency_key

    # ---- the process as a whole

    def pause(self, number: int, error: bytes, line: str) -> None:
        """Stops the process until a person lets it go on.  `number`: the request that failed, or 0."""
        self.entry(events.Paused(self.now, number, error))
        self.live.status = "paused"
        self.live.error = line

    def end(self, status: str, event: Event, error: ErrorValue) -> None:
        """Ends the process with an error ("failed", "cancelled")."""
        self.result = encode_value(plain_error(error))
        self.live.status = status
        self.live.error = error_line(error)
        self.entry(event)
