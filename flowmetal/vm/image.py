"""The image of a process: what is written after a step, and how a process is made again from it.

A *segment* holds what changed since the last one: objects first reachable now, mutable objects whose state changed,
the frames that moved (the unchanged part of a stack is a length), counters.  A *checkpoint* is a segment from
nothing, with fresh object numbers.  A process is restored from its newest checkpoint and the segments after it, in
order.

    segment = [mask, first object number, objects, section, section ...]

with one section for each bit of the mask, in order; the bits and sections are in SECTIONS below.  Values inside are
the atoms of values/codec.py.  Frames:

    code frame     [module, code, pc, 1 if it is entered else 0, live register, ...]    registers ascending
    region frame   [-kind, data]

Everything is checked when it is read: an image is input from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmetal.bytecode.liveness import live_after_call, live_retry
from flowmetal.bytecode.opcodes import BY_NUMBER, Operand
from flowmetal.bytecode.program import Program
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Closure, CodecError, ErrorValue, LazySeq, Map, Promise, Resumption, Vector
from flowmetal.values.codec import Decoder, Encoder, Reader, encoder_after, pack, set_state, state_of
from flowmetal.vm import control
from flowmetal.vm.load import run_code
from flowmetal.vm.state import Fiber, Frame, Limits, Process, Region, Resume, Scope, Wait

#: Bits of a segment's mask and what their section is.
STATES = 1  # [[object, state atoms ...] ...] of mutable objects
FIBERS = 2  # [fiber ...], see _encode_fiber
ENDED = 4  # [fiber numbers that are gone]
READY = 8  # [fiber numbers], the whole order
COUNTERS = 16  # [next request, next fiber, next scope, next token]
SCOPES = 32  # [[scope, fiber, failed promise ...] ...] of scopes with unawaited failures, those that changed
OPENED = 64  # [promise ...] of requests opened since the last segment
GLOBALS = 128  # [[module name, name, value] ...] of mutable globals first used since

SECTIONS = (STATES, FIBERS, ENDED, READY, COUNTERS, SCOPES, OPENED, GLOBALS)

#: Version of this layout, kept in the store's meta record and in exported images.
IMAGE_VERSION = 1

_REGION_KINDS = frozenset(
    {
        Region.HANDLE,
        Region.SCOPE,
        Region.SHIELD,
        Region.BIND,
        Region.ATOMIC,
        Region.CLAUSE,
        Region.ABANDON,
        Region.REALIZE,
        Region.RESULT,
    }
)


class Image:
    """Writes the image of one process.  Holds what the last segment said, so that the next one can say what changed."""

    __slots__ = ("_counters", "_encoder", "_fiber_ids", "_globals", "_process", "_ready", "_scopes")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._reset(1)

    def _reset(self, next_object: int) -> None:
        # Objects written by this encoder carry its owner token, see values/encoder.py.
        self._encoder = Encoder(object(), next_object, self._process.table)
        self._fiber_ids: list[int] = []
        self._ready: list[int] = []
        self._counters: tuple[int, ...] = (1, 1, 1, 1)
        self._scopes: dict[int, list[Any]] = {}
        self._globals: set[tuple[str, str]] = set()

    def segment(self) -> bytes:
        """What changed since the last segment or checkpoint."""
        return self._write()

    def checkpoint(self, first_object: int | None = None) -> bytes:
        """The whole state, with fresh object numbers (from `first_object`; the default goes on counting)."""
        process = self._process
        self._reset(self._encoder.next_id if first_object is None else first_object)
        for fiber in process.fibers.values():
            fiber.saved = []
            fiber.changed = True
        process.opened = list(process.request_promises.values())
        return self._write()

    def _write(self) -> bytes:
        """Encodes what changed, and only then forgets that it changed: a value that cannot be saved (a transient in a
        live register) raises LanguageError and leaves everything to be written next time."""
        process = self._process
        encoder = self._encoder
        atom = encoder.atom
        sections: dict[int, Any] = {}

        changed = [fiber for fiber in process.fibers.values() if fiber.changed]
        ended = [id for id in self._fiber_ids if id not in process.fibers]
        ready = list(process.ready)
        counters = (process.next_request, process.next_fiber, process.next_scope, process.next_token)
        scopes = self._changed_scopes()
        fresh = [key for key in process.globals if key not in self._globals]
        if changed:
            sections[FIBERS] = [self._encode_fiber(encoder, fiber) for fiber in changed]
        if ended:
            sections[ENDED] = ended
        if ready != self._ready:
            sections[READY] = ready
        if counters != self._counters:
            sections[COUNTERS] = list(counters)
        if scopes:
            sections[SCOPES] = [[number, *map(atom, failures)] for number, failures in scopes]
        if process.opened:
            sections[OPENED] = [atom(promise) for promise in process.opened]
        if fresh:
            sections[GLOBALS] = [[module, name, atom(process.globals[module, name])] for module, name in fresh]
        states = self._encode_states(encoder)
        if states:
            sections[STATES] = states

        for fiber in changed:
            fiber.changed = False
            fiber.saved = fiber.frames.copy()
        for mutable in process.touched:
            mutable.dirty = False
        process.touched = []
        process.opened = []
        self._fiber_ids = list(process.fibers)
        self._ready = ready
        self._counters = counters
        self._globals.update(fresh)
        self._scopes = {number: list(scope.failures) for number, scope in process.scopes.items() if scope.failures}
        first, records, _ = encoder.drain()
        present = [bit for bit in SECTIONS if bit in sections]
        return pack([sum(present), first, records, *(sections[bit] for bit in present)])

    def _changed_scopes(self) -> list[tuple[int, list[Promise]]]:
        """Scopes whose unawaited failures differ from what the last segment said."""
        return [
            (number, scope.failures)
            for number, scope in self._process.scopes.items()
            if (scope.failures or number in self._scopes) and self._scopes.get(number, []) != scope.failures
        ]

    def _encode_states(self, encoder: Encoder) -> list[Any]:
        """States of mutable objects that are new or changed; writing one can meet others, so it goes in rounds."""
        states = []
        pending = [
            mutable
            for mutable in self._process.touched
            if mutable.owner is encoder.owner and mutable.oid < encoder.first_id
        ]
        done = 0  # of encoder.mutables, which grows while states are written
        while True:
            pending += encoder.mutables[done:]
            done = len(encoder.mutables)
            if not pending:
                return states
            for mutable in pending:
                if mutable.__class__ is Resumption:
                    frames = [self._encode_frame(encoder, one) for one in mutable.frames]
                    state = [mutable.state, mutable.fiber, *frames]
                else:
                    state = [encoder.atom(value) for value in state_of(mutable)]
                states.append([mutable.oid, *state])
            pending = []

    def _encode_fiber(self, encoder: Encoder, fiber: Fiber) -> list[Any]:
        """[number, scope, promise, wait kind, what, resume kind, value, cancellation, frames kept, new frames]"""
        frames, saved = fiber.frames, fiber.saved
        kept = min(len(frames), len(saved))
        while kept and saved[kept - 1] is not frames[kept - 1]:
            kept -= 1
        wait_kind, what = fiber.wait if fiber.wait is not None else (0, None)
        if wait_kind in (Wait.PROMISE, Wait.ANY, Wait.REALIZE):
            what = encoder.atom(what)
        return [
            fiber.id,
            fiber.scope,
            encoder.atom(fiber.promise),
            wait_kind,
            what,
            fiber.resume[0],
            encoder.atom(fiber.resume[1]),
            encoder.atom(fiber.cancelled),
            kept,
            [self._encode_frame(encoder, frame) for frame in frames[kept:]],
        ]

    def _encode_frame(self, encoder: Encoder, frame: Frame) -> list[Any]:
        code = frame[0]
        if code is None:
            _, kind, data = frame
            if kind == Region.ABANDON:
                return [-kind, [data[0], encoder.atom(data[1]), encoder.atom(data[2])]]
            return [-kind, encoder.atom(data)]
        _, registers, pc, destination = frame
        plain = code.code
        live = live_after_call(plain, pc) if destination >= 0 else live_retry(plain, pc)
        row = [self._process.table.module_of(plain.module), plain.index, pc, 0 if destination >= 0 else 1]
        atom = encoder.atom
        for register in live:
            row.append(atom(registers[register]))
        return row


# ---- restoring ---------------------------------------------------------------------------------------------------


def new_process(program: Program, table: Any, limits: Limits | None = None) -> Process:
    """A process with nothing to run yet."""
    process = Process(program, table, limits or Limits())
    process.image = Image(process)
    return process


def restore(program: Program, table: Any, segments: Iterable[bytes], limits: Limits | None = None) -> Process:
    """The process that a checkpoint (first, where there is one) and the segments after it describe.

    Raises FlowmetalError V201 for bytes that are no image, or not one of this program.
    """
    process = new_process(program, table, limits)
    try:
        _Restorer(process).restore(segments)
    except (CodecError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as problem:
        # A hostile image can be wrong in more ways than are worth a message each; none of them may pass.
        raise FlowmetalError("V201", reason=f"{type(problem).__name__}: {problem}"[:200]) from None
    return process


class _Restorer:
    """Reads segments in order.  Frames stay encoded until the last, since most are replaced by later ones."""

    def __init__(self, process: Process) -> None:
        self.process = process
        image: Image = process.image
        self.decoder = Decoder(image._encoder.owner, process.table)
        self.fibers: dict[int, list[Any]] = {}
        self.frames: dict[int, list[Any]] = {}
        self.states: dict[int, list[Any]] = {}
        self.scopes: dict[int, list[Any]] = {}
        self.opened: list[Any] = []
        self.globals: list[Any] = []
        self.ready: list[int] = []
        self.counters: tuple[int, ...] = (1, 1, 1, 1)

    def restore(self, segments: Iterable[bytes]) -> None:
        for data in segments:
            self._read(data)
        self._build()

    def _read(self, data: bytes) -> None:
        first, objects, sections = read_segment(data)
        self.decoder.add(first, objects)
        for oid, *state in sections.get(STATES, ()):
            self.states[oid] = state
        for row in sections.get(FIBERS, ()):
            number, kept, frames = row[0], row[8], row[9]
            before = self.frames.get(number, [])
            if number.__class__ is not int or not 0 <= kept <= len(before):
                raise ValueError("a fiber keeps more frames than it had")
            self.frames[number] = before[:kept] + frames
            self.fibers[number] = row
        for number in sections.get(ENDED, ()):
            self.fibers.pop(number, None)
            self.frames.pop(number, None)
        if READY in sections:
            self.ready = sections[READY]
        if COUNTERS in sections:
            self.counters = tuple(sections[COUNTERS])
        for number, *failures in sections.get(SCOPES, ()):
            self.scopes[number] = failures
        self.opened += sections.get(OPENED, [])
        self.globals += sections.get(GLOBALS, [])

    def _build(self) -> None:
        process, value = self.process, self.decoder.value
        request, fiber_count, scope, token = self.counters
        for counter in self.counters:
            if counter.__class__ is not int or counter < 1:
                raise ValueError("a counter is not a positive integer")
        process.next_request, process.next_fiber = request, fiber_count
        process.next_scope, process.next_token = scope, token
        for oid, state in self.states.items():
            mutable = self.decoder.objects[oid]
            if mutable.__class__ is Resumption:
                mutable.state, mutable.fiber, *frames = state
                mutable.frames = tuple(self._frame(frame) for frame in frames)
            else:
                set_state(mutable, [value(atom) for atom in state])
        for number, row in self.fibers.items():
            self._fiber(number, row)
        # The order of fibers is that of their start, however late they were first written.
        process.fibers = {number: process.fibers[number] for number in sorted(process.fibers)}
        for fiber in process.fibers.values():
            if fiber.scope:
                process.scopes[fiber.scope].living[fiber.id] = None
            control.register_wait(process, fiber)
            if fiber.wait is not None and fiber.wait[0] == Wait.SCOPE and fiber.wait[1] not in process.scopes:
                raise ValueError("a fiber waits for a scope that is not there")
        for number, failures in self.scopes.items():
            if number in process.scopes:
                process.scopes[number].failures = [_expect(value(atom), Promise) for atom in failures]
        for atom in self.opened:
            promise = _expect(value(atom), Promise)
            if promise.state == "pending":
                process.request_promises[promise.request] = promise
        for module, name, atom in self.globals:
            process.globals[module, name] = value(atom)
        for number in self.ready:
            if number not in process.fibers:
                raise ValueError("a fiber that is not there is ready")
        process.ready.extend(self.ready)
        self._prime_image()

    def _prime_image(self) -> None:
        """The writer goes on where the last segment ended."""
        process = self.process
        image: Image = process.image
        image._encoder = encoder_after(self.decoder)
        image._fiber_ids = list(process.fibers)
        image._ready = list(self.ready)
        image._counters = self.counters
        image._scopes = {number: list(one.failures) for number, one in process.scopes.items() if one.failures}
        image._globals = set(process.globals)
        process.touched = []

    def _fiber(self, number: int, row: list[Any]) -> None:
        value = self.decoder.value
        _, scope, promise, wait_kind, what, resume_kind, resume_value, cancelled, _, _ = row
        fiber = Fiber(number, scope, _expect(value(promise), Promise))
        if scope.__class__ is not int or resume_kind not in (Resume.ENTER, Resume.VALUE, Resume.ERROR):
            raise ValueError("a fiber is malformed")
        if wait_kind in (Wait.PROMISE, Wait.ANY, Wait.REALIZE):
            what = value(what)
            _expect(what, {Wait.PROMISE: Promise, Wait.ANY: Vector, Wait.REALIZE: LazySeq}[wait_kind])
        elif wait_kind not in (0, Wait.REQUEST, Wait.SCOPE):
            raise ValueError("a fiber waits for something unknown")
        fiber.wait = (wait_kind, what) if wait_kind else None
        fiber.resume = (resume_kind, value(resume_value))
        if resume_kind == Resume.ERROR:
            _expect(fiber.resume[1], ErrorValue)
        error = value(cancelled)
        fiber.cancelled = None if error is None else _expect(error, ErrorValue)
        frames = [self._frame(frame) for frame in self.frames[number]]
        if not frames or frames[0][0] is not None or frames[0][1] != Region.SCOPE:
            raise ValueError("a fiber does not stand on a scope")
        control.mount(fiber, frames)
        for index in fiber.regions:
            _, kind, data = frames[index]
            if kind == Region.SCOPE:
                self.process.scopes[data] = Scope(number)
        top = frames[-1]
        if resume_kind == Resume.ENTER and wait_kind != Wait.REQUEST and (top[0] is None or top[3] >= 0):
            raise ValueError("a fiber has no frame to enter")
        fiber.saved = fiber.frames.copy()
        fiber.changed = False
        self.process.fibers[number] = fiber

    def _frame(self, row: list[Any]) -> Frame:
        value = self.decoder.value
        if row[0] < 0:
            kind = -row[0]
            if kind not in _REGION_KINDS or len(row) != 2:
                raise ValueError("a region of an unknown kind")
            if kind == Region.ABANDON:
                token, error, result = row[1]
                return (None, kind, (token, value(error), value(result)))
            data = value(row[1])
            _check_region(kind, data)
            return (None, kind, data)
        module, code_index, pc, entered, *live_values = row
        code = self.process.table.code(module, code_index)
        instructions = code.instructions
        if pc.__class__ is not int or not 0 <= pc < len(instructions):
            raise ValueError("a frame stands outside its code")
        if entered == 1:
            destination, live = -1, live_retry(code, pc)
        else:
            row_before = instructions[pc - 1] if pc else (0,)
            opcode = BY_NUMBER.get(row_before[0])
            if opcode is None or not opcode.suspends or opcode.operands[:1] != (Operand.WRITE,):
                raise ValueError("a frame waits where nothing waits")
            destination, live = row_before[1], live_after_call(code, pc)
        if len(live) != len(live_values):
            raise ValueError("a frame has not the registers that live there")
        registers: list[Any] = [None] * code.registers
        for register, atom in zip(live, live_values, strict=True):
            registers[register] = value(atom)
        return (run_code(code), registers, pc, destination)


def read_segment(data: bytes) -> tuple[int, list[Any], dict[int, Any]]:
    """First object number, objects, and sections by bit.  CodecError or ValueError for anything that is no segment.

    Long lists are read item by item, so that a false length takes no memory.
    """
    reader = Reader(data)
    parts = reader.header()
    mask = reader.item()
    if mask.__class__ is not int or mask < 0 or mask >> len(SECTIONS) or parts != 3 + mask.bit_count():
        raise ValueError("the sections do not match the mask")
    first = reader.item()
    objects = _read_items(reader)
    sections = {bit: _READERS.get(bit, _read_items)(reader) for bit in SECTIONS if mask & bit}
    reader.end()
    return first, objects, sections


def _read_items(reader: Reader) -> list[Any]:
    return [reader.item() for _ in range(reader.header())]


def _read_rows(reader: Reader) -> list[list[Any]]:
    return [_read_items(reader) for _ in range(reader.header())]


def _read_fibers(reader: Reader) -> list[list[Any]]:
    rows = []
    for _ in range(reader.header()):
        if reader.header() != 10:
            raise ValueError("a fiber is malformed")
        rows.append([*(reader.item() for _ in range(9)), _read_items(reader)])
    return rows


_READERS: dict[int, Callable[[Reader], list[Any]]] = {STATES: _read_rows, SCOPES: _read_rows, FIBERS: _read_fibers}


def _expect(value: Any, cls: type) -> Any:
    if value.__class__ is not cls:
        raise ValueError(f"a {cls.__name__} was expected")
    return value


def _check_region(kind: int, data: Any) -> None:
    expected: dict[int, Callable[[Any], bool]] = {
        Region.HANDLE: lambda one: one.__class__ is Map,
        Region.BIND: lambda one: one.__class__ is Map,
        Region.SCOPE: lambda one: one.__class__ is int,
        Region.CLAUSE: lambda one: one.__class__ is Resumption,
        Region.REALIZE: lambda one: one.__class__ is LazySeq,
    }
    check = expected.get(kind)
    if check is not None and not check(data):
        raise ValueError("a region's data is of the wrong type")


def is_closure(value: Any) -> bool:
    """Whether a value can be started as a process."""
    return value.__class__ is Closure
