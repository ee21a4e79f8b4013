"""The state of a process for people: fibers, frames with source lines and locals, handlers, open requests.

Now: what the store holds, brought to its wait.  At step N: what the segments up to log entry N say.  Nothing is
changed by looking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.bytecode.liveness import live_after_call, live_retry
from flowmetal.bytecode.program import Code
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import events
from flowmetal.engine.artifacts import Programs
from flowmetal.engine.draft import FUEL
from flowmetal.engine.events import EventError, decode_event, value_text
from flowmetal.engine.lines import instant_text
from flowmetal.engine.live import Live, Loaded, entries_from, exhausted, load, restore_at
from flowmetal.engine.mailboxes import mailbox
from flowmetal.engine.traces import error_lines
from flowmetal.inspect.views import FiberView, FrameView, Inspection, MailboxView, RequestView
from flowmetal.store.interface import FINAL_STATUSES, ProcessRecord, Store
from flowmetal.values import (
    Cell,
    CodecError,
    ErrorValue,
    LanguageError,
    Map,
    Promise,
    Vector,
    decode_value,
    encode_value,
    print_string,
)
from flowmetal.vm import Fiber, run
from flowmetal.vm.state import Region, Wait

#: Characters of a printed local, and frames shown of one fiber: the innermost and the outermost halves of these.
LOCAL_CHARACTERS = 200
FRAMES_SHOWN = 100

#: Messages shown of a mailbox, and where the core library keeps those that no `receive` wanted yet.
MESSAGES_SHOWN = 10
KEPT = ("flowmetal.core.mailbox", "kept")

#: Log entries among which the start is looked for; only pauses and resumes come before it.
STARTED_WITHIN = 20


def inspect_process(
    store: Store, pid: int, at: int | None = None, programs: Callable[[bytes], Loaded] | None = None
) -> Inspection | None:
    """What can be seen of a process; None where there is none.  `at`: after that log entry, from 0."""
    record = store.process(pid)
    if record is None:
        return None
    if at is not None:
        at = max(0, min(at, record.sequence - 1)) if record.sequence else None
    live: Live | None = None
    problem = ""
    try:
        live = _state(store, record, at, programs)
    except (FlowmetalError, LanguageError, CodecError, EventError) as error:
        problem = str(error)
    fibers: tuple[FiberView, ...] = ()
    if live is not None and live.process is not None:
        fibers = tuple(_fiber(fiber) for fiber in live.process.fibers.values())
    result, data, trace = _ended(store, record, programs) if at is None else ("", "", ())
    parent = store.process(record.parent) if record.parent is not None else None
    return Inspection(
        pid=pid,
        id=record.id,
        parent=record.parent,
        parent_id=parent.id if parent is not None else None,
        program=record.artifact.hex(),
        function=record.function,
        arguments=_arguments(store, record),
        deployed=record.program if record.named else "",
        names=tuple(str(what) for kind, what in store.ties(pid, TIES_SHOWN) if kind == "name") if at is None else (),
        status=record.status,
        waits=record.waits,
        error=record.error,
        at=at,
        sequence=record.sequence,
        created_at=instant_text(record.created_at),
        updated_at=instant_text(record.updated_at),
        attributes=dict(record.attributes),
        grants=record.grants,
        ties=_ties(store, pid) if at is None else (),
        fibers=fibers,
        requests=_open_now(store, pid) if at is None else _open_at(store, pid, at),
        mailbox=_mailbox(store, pid, live) if at is None else None,
        result=result,
        data=data,
        trace=trace,
        problem=problem,
    )


#: What a bond is called.
TIES = {
    "name": "name {}", "group": "group {}", "link": "link to {}", "watches": "monitor on {}",
    "watched": "monitored by {}", "leashes": "leash on {}", "leashed": "on the leash of {}",
}  # fmt: skip

#: Bonds and arguments that are shown.
TIES_SHOWN = 20
ARGUMENTS_SHOWN = 100


def _ties(store: Store, pid: int) -> tuple[str, ...]:
    """What the process is tied to, for people."""
    found = store.ties(pid, TIES_SHOWN + 1)
    more = ("...",) if len(found) > TIES_SHOWN else ()
    return (*(TIES[kind].format(what) for kind, what in found[:TIES_SHOWN]), *more)


def _mailbox(store: Store, pid: int, live: Live | None) -> MailboxView:
    """What nobody has received: what the program passed over and keeps (stdlib/core/mailbox.fm), then the store's."""
    process = live.process if live is not None else None
    cell = None if process is None else process.globals.get(KEPT)
    kept = cell.value if isinstance(cell, Cell) and cell.value.__class__ is Vector else Vector.of([])
    texts: list[str] = []
    for at in range(min(len(kept), MESSAGES_SHOWN)):
        one = kept.get(at)
        message = one.get(1) if one.__class__ is Vector and len(one) == 2 else one
        texts.append(print_string(message, limit=LOCAL_CHARACTERS))
    page = mailbox(store, pid, limit=MESSAGES_SHOWN)
    texts += [message.text[:LOCAL_CHARACTERS] for message in page.messages]
    return MailboxView(page.waiting, len(kept), tuple(texts[:MESSAGES_SHOWN]))


def _arguments(store: Store, record: ProcessRecord) -> tuple[str, ...] | None:
    """What the process was called with, each printed; None where it has not begun or its start cannot be read."""
    for entry in store.log(record.pid, 0, STARTED_WITHIN):
        if entry.part:
            continue
        try:
            event = decode_event(entry.event)
        except EventError:
            return None
        if isinstance(event, events.Started):
            return _each(event.arguments)
    return None


def _each(data: bytes) -> tuple[str, ...]:
    """The first items of an encoded vector, printed; one text that says so where that cannot be read."""
    try:
        values = list(decode_value(data))
    except Exception:  # a description must not fail, whatever the bytes
        return (value_text(data),)
    shown = tuple(value_text(encode_value(value)) for value in values[:ARGUMENTS_SHOWN])
    return (*shown, "...") if len(values) > ARGUMENTS_SHOWN else shown


def _state(
    store: Store, record: ProcessRecord, at: int | None, programs: Callable[[bytes], Loaded] | None
) -> Live | None:
    program_of = programs or Programs(store).get
    if at is not None:
        return restore_at(store, record, program_of(record.artifact), at)
    if record.sequence == 0 or record.status in FINAL_STATUSES:
        return None  # what was saved last is from before the end; the error's trace says where that was
    live = load(store, record, program_of)
    if live.process is not None and record.status == "waiting":
        # The last segment may be from before the other fibers came to rest; running on there is pure.
        run(live.process, FUEL)
    return live


def _fiber(fiber: Fiber) -> FiberView:
    frames: list[FrameView] = []
    handlers: list[str] = []
    hidden = 0
    calls = [frame for frame in fiber.frames if frame[0] is not None]
    half = FRAMES_SHOWN // 2
    for position, frame in enumerate(reversed(calls)):
        if half <= position < len(calls) - half:
            hidden += 1
            continue
        _, registers, pc, destination = frame
        frames.append(_frame(frame[0].code, registers, pc, destination >= 0))
    for index in reversed(fiber.regions):
        _, kind, data = fiber.frames[index]
        if kind == Region.HANDLE and data.__class__ is Map:
            handlers.extend(print_string(effect, limit=LOCAL_CHARACTERS) for effect, _ in data.items())
    return FiberView(fiber.id, _wait(fiber), tuple(frames), hidden, tuple(handlers))


def _frame(code: Code, registers: list[Any], pc: int, entered: bool) -> FrameView:
    index = pc - 1 if entered else pc
    span = code.spans[index] if 0 <= index < len(code.spans) else None
    live = set(live_after_call(code, pc) if entered else live_retry(code, pc))
    names: dict[str, str] = {}
    for local in code.locals:
        if local.start <= index < local.end and local.register in live:
            names[local.name] = print_string(registers[local.register], limit=LOCAL_CHARACTERS)
    module = code.module
    source = ""
    if span is not None and module is not None and module.source and span.file == module.file:
        lines = module.source.splitlines()
        source = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    if span is None:
        return FrameView(code.name, module.file if module is not None else "", 0, 0, "", names)
    return FrameView(code.name, span.file, span.line, span.column, source, names)


def _wait(fiber: Fiber) -> str:
    if fiber.wait is None:
        return ""
    kind, what = fiber.wait
    if kind == Wait.REQUEST:
        return f"request #{what}"
    if kind == Wait.PROMISE:
        return _promise(what)
    if kind == Wait.ANY:
        return "any of " + ", ".join(_promise(one) for one in list(what)[:10])
    if kind == Wait.SCOPE:
        return "the fibers of its scope"
    return "a lazy sequence that another fiber realizes"


def _promise(promise: Any) -> str:
    if promise.__class__ is not Promise:
        return "a promise"
    if promise.request:
        return f"request #{promise.request}"
    return f"fiber {promise.fiber}" if promise.fiber else "a promise"


def _open_now(store: Store, pid: int) -> tuple[RequestView, ...]:
    return tuple(
        RequestView(
            number=request.number,
            effect=request.effect,
            payload=value_text(request.payload),
            state="exhausted" if exhausted(request) else request.state,
            attempt=request.attempt,
            worker=request.worker,
            until=instant_text(request.not_before) if request.not_before and not exhausted(request) else "",
        )
        for request in store.open_requests(pid)
    )


def _open_at(store: Store, pid: int, at: int) -> tuple[RequestView, ...]:
    """The requests that were open after entry `at`, from the log."""
    found: dict[int, RequestView] = {}
    ending = (
        events.Answered, events.AnsweredError, events.TimerFired, events.TimedOut, events.RequestCancelled,
        events.MessageReceived,
    )  # fmt: skip
    for entry in entries_from(store, pid, 0):
        if entry.sequence > at:
            break
        if entry.part:
            continue
        try:
            event = decode_event(entry.event)
        except EventError:
            continue
        if isinstance(event, events.Requested):
            payload = value_text(event.payload)
            found[event.number] = RequestView(event.number, event.effect, payload, "open", 0, "", "")
        elif isinstance(event, ending):
            found.pop(event.number, None)
        elif isinstance(event, events.Finished | events.Failed | events.Cancelled):
            found.clear()
    return tuple(found.values())


def _ended(
    store: Store, record: ProcessRecord, programs: Callable[[bytes], Loaded] | None
) -> tuple[str, str, tuple[str, ...]]:
    """Of a process that has ended: its result printed, its error's data printed, and the error's trace."""
    data = store.result(record.pid) if record.status in FINAL_STATUSES else None
    if data is None:
        return "", "", ()
    try:
        value = decode_value(data)
    except CodecError:
        try:  # it may hold functions, which its program has
            value = decode_value(data, (programs or Programs(store).get)(record.artifact).table)
        except (FlowmetalError, CodecError):
            return f"<{len(data)} bytes that cannot be read>", "", ()
    if record.status == "done":
        return print_string(value), "", ()
    if value.__class__ is not ErrorValue:
        return "", print_string(value), ()
    return "", "" if value.data is None else print_string(value.data), tuple(error_lines(value))
