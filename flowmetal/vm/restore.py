"""Makes a process again from its image, see image.py for what an image is.

An image is input from outside: everything is checked when it is read.  What the machine takes for granted about a
process (who waits is woken by something, scopes form a tree, numbers are given once) is checked here, so that a false
image is refused or does something a program could have done; it never breaks the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmetal.bytecode.liveness import live_after_call, live_retry
from flowmetal.bytecode.opcodes import BY_NUMBER, Operand
from flowmetal.bytecode.program import Code, Program
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Cell, ErrorValue, LazySeq, Map, Promise, Resumption, Vector
from flowmetal.values.codec import Decoder, Reader, encoder_after, set_state
from flowmetal.vm.faults import exception_text
from flowmetal.vm.frames import mount
from flowmetal.vm.image import (
    CANCELLED,
    CANCELS,
    COUNTERS,
    COUNTERS_START,
    DEADLINE,
    ENDED,
    FIBERS,
    FIRST,
    GLOBALS,
    NEW,
    OBJECTS,
    OPENED,
    READY,
    RESUME_KINDS,
    RESUME_UNIT,
    SCOPES,
    SECTIONS,
    STATE_NAMES,
    STATES,
    WAIT_KINDS,
    new_process,
)
from flowmetal.vm.load import run_code
from flowmetal.vm.quota import heap_due_at_most
from flowmetal.vm.state import (
    SLICE,
    CancelRequest,
    Deadline,
    Fiber,
    Frame,
    Limits,
    Process,
    Region,
    Resume,
    Scope,
    Wait,
)
from flowmetal.vm.waiting import register_wait

#: Counters and numbers stay below this: a process that gave one out each nanosecond would need 30 years.
NUMBER_MAX = 1 << 60

_REGION_DATA: dict[int, Callable[[Any], bool]] = {
    Region.HANDLE: lambda data: data.__class__ is Map,
    Region.SCOPE: lambda data: data.__class__ is int and data > 0,
    Region.SHIELD: lambda data: True,
    Region.BIND: lambda data: data.__class__ is Map,
    Region.ATOMIC: lambda data: True,
    Region.CLAUSE: lambda data: data.__class__ is Resumption,
    Region.REALIZE: lambda data: data.__class__ is LazySeq,
    Region.RESULT: lambda data: True,
}
_WAITED: dict[int, type] = {Wait.PROMISE: Promise, Wait.ANY: Vector, Wait.REALIZE: LazySeq}


def restore(program: Program, table: Any, segments: Iterable[bytes], limits: Limits | None = None) -> Process:
    """The process that a checkpoint (first, where there is one) and the segments after it describe.

    Raises FlowmetalError V201 for bytes that are no image, or not one of this program.
    """
    process = new_process(program, table, limits)
    try:
        restorer = _Restorer(process)
        for data in segments:
            restorer.read(data)
        restorer.build()
    except FlowmetalError:
        raise  # the program itself is damaged
    except Exception as problem:
        # A false image can be wrong in more ways than are worth a message each; none of them may pass.
        raise FlowmetalError("V201", reason=exception_text(problem)[:200]) from None
    return process


@dataclass(slots=True)
class _Row:
    """What the segments say of a fiber, still encoded; see Fiber."""

    frames: list[Any] = field(default_factory=list)
    scope: Any = None
    promise: Any = None
    wait: int = 0
    what: Any = None
    resume: int = 0
    value: Any = None
    cancelled: Any = None
    deadline: Any = 0


class _Restorer:
    """Reads segments in order.  Frames stay encoded until the last, since most are replaced by later ones."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.decoder = Decoder(process.image.encoder.owner, process.table)
        self.next_object = 1
        self.fibers: dict[int, _Row] = {}
        self.states: dict[int, list[Any]] = {}
        self.failures: dict[int, list[Any]] = {}
        self.opened: list[Any] = []
        self.globals: list[Any] = []
        self.cancels: list[int] = []
        self.ready: list[int] = []
        self.counters = list(COUNTERS_START)

    # ---- reading

    def read(self, data: bytes) -> None:
        """Takes in one segment."""
        sections = read_segment(data)
        if FIRST in sections:
            self.next_object = _number(sections[FIRST])
        objects = sections.get(OBJECTS, [])
        if objects:
            self.decoder.add(self.next_object, objects)
            self.next_object += len(objects)
        for index, increase in enumerate(sections.get(COUNTERS, ())):
            self.counters[index] += _integer(increase)
        for row in sections.get(FIBERS, ()):
            self._read_fiber(row)
        for oid, *state in sections.get(STATES, ()):
            self.states[oid] = state
        if READY in sections:
            gone, front, *numbers = sections[READY]
            if not 0 <= _integer(gone) <= len(self.ready) or not 0 <= _integer(front) <= len(numbers):
                raise ValueError("the order of ready fibers is malformed")
            self.ready[:gone] = numbers[:front]
            self.ready += numbers[front:]
        for number in sections.get(ENDED, ()):
            del self.fibers[number]
        self.opened += sections.get(OPENED, [])
        for number, *failures in sections.get(SCOPES, ()):
            self.failures[number] = failures
        self.globals += sections.get(GLOBALS, [])
        self.cancels = sections.get(CANCELS, self.cancels)

    def _read_fiber(self, items: list[Any]) -> None:
        number, kept, state, *rest = items
        row = self.fibers.get(_number(number))
        if row is None:
            row = self.fibers[number] = _Row()
        if not 0 <= _integer(kept) <= len(row.frames) or not 0 <= _integer(state) < 2 * DEADLINE:
            raise ValueError("a fiber is malformed")
        if bool(state & NEW) != (row.scope is None):
            raise ValueError("a fiber is new twice, or never was")
        fields = iter(rest)
        if state & NEW:
            row.scope, row.promise = next(fields), next(fields)
        row.wait = state & WAIT_KINDS
        row.what = next(fields) if row.wait else None
        if row.wait == Wait.REQUEST:
            row.what = self.counters[0] - _number(row.what)
        row.resume = state // RESUME_UNIT & RESUME_KINDS
        row.value = next(fields) if row.resume != Resume.ENTER else None
        row.cancelled = next(fields) if state & CANCELLED else None
        row.deadline = next(fields) if state & DEADLINE else Deadline.UNSET
        row.frames[kept:] = fields

    # ---- building

    def build(self) -> None:
        """Makes the process."""
        process = self.process
        self._counters()
        for oid, state in self.states.items():
            self._state(oid, state)
        for number in sorted(self.fibers):
            self._fiber(number, self.fibers[number])
        self._scopes()
        self._waits()
        value = self.decoder.value
        for module, name, atom in self.globals:
            found = process.program.lookup(_expect(module, str), _expect(name, str))
            if found is None or not found.mutable:
                raise ValueError("a global is none of the program's")
            process.globals[module, name] = value(atom)
        process.outbox.extend(CancelRequest(_number(number)) for number in self.cancels)
        self._prime_image()

    def _counters(self) -> None:
        process = self.process
        request, slice_left, fiber, scope, token, slices, heap_due, name = self.counters
        if min(request, fiber, scope, token, name) < 1 or min(slices, heap_due) < 0 or not 0 <= slice_left <= SLICE + 1:
            raise ValueError("a counter is out of range")
        if max(self.counters) >= NUMBER_MAX:
            raise ValueError("a counter is out of range")
        process.next_request, process.next_fiber, process.next_scope, process.next_token = request, fiber, scope, token
        process.slice_left, process.slices, process.next_name = slice_left, slices, name
        process.heap_due = min(heap_due, heap_due_at_most(process))

    def _state(self, oid: int, state: list[Any]) -> None:
        mutable = self.decoder.objects[oid]
        value = self.decoder.value
        if mutable.__class__ is Resumption:
            number, fiber, *frames = state
            mutable.state = _state_name(number)
            mutable.fiber = _integer(fiber)
            if mutable.state not in ("new", "used") or (frames and mutable.state == "used"):
                raise ValueError("a resumption has no such state")
            mutable.frames = tuple(self._frame(frame) for frame in frames)
        elif mutable.__class__ is not Cell:
            set_state(mutable, [_state_name(state[0]), *[value(atom) for atom in state[1:]]])
        else:
            set_state(mutable, [value(atom) for atom in state])

    def _deadline(self, fiber: Fiber, deadline: int) -> None:
        process = self.process
        if deadline > 0:
            if deadline >= process.next_request or deadline in process.deadlines:
                raise ValueError("a deadline is no request of its own")
            process.deadlines[deadline] = fiber.id
        elif deadline == Deadline.UNSET:
            process.cleaning[fiber.id] = None
        elif deadline not in (Deadline.OVER, Deadline.NONE):
            raise ValueError("a fiber has a deadline of no known kind")
        fiber.deadline = deadline

    def _fiber(self, number: int, row: _Row) -> None:
        process, value = self.process, self.decoder.value
        if number >= process.next_fiber or (row.scope == 0) != (number == 1):
            raise ValueError("a fiber has a number or a scope that it cannot have")
        fiber = Fiber(number, _integer(row.scope), _expect(value(row.promise), Promise))
        if row.wait:
            what: Any = value(row.what) if row.wait in _WAITED else _number(row.what)
            if row.wait in _WAITED:
                _expect(what, _WAITED[row.wait])
            elif row.wait not in (Wait.REQUEST, Wait.SCOPE):
                raise ValueError("a fiber waits for something unknown")
            fiber.wait = (row.wait, what)
            if row.wait == Wait.ANY and any(one.__class__ is not Promise for one in what):
                raise ValueError("a fiber waits for what is no promise")
        if row.resume not in (Resume.ENTER, Resume.VALUE, Resume.ERROR):
            raise ValueError("a fiber goes on in no known way")
        fiber.resume = (row.resume, value(row.value))
        if row.resume == Resume.ERROR:
            _expect(fiber.resume[1], ErrorValue)
        if row.cancelled is not None:
            fiber.cancelled = _expect(value(row.cancelled), ErrorValue)
            self._deadline(fiber, _integer(row.deadline))
        elif row.deadline:
            raise ValueError("a fiber that was not cancelled has a deadline")
        mount(fiber, [self._frame(frame) for frame in row.frames])
        if not fiber.regions or fiber.regions[0] != 0 or fiber.frames[0][1] != Region.SCOPE:
            raise ValueError("a fiber does not stand on a scope")
        fiber.saved = fiber.frames.copy()
        fiber.known = True
        process.fibers[number] = fiber

    def _scopes(self) -> None:
        """Who has which scope open, on its stack or in a body cut off from it, and which fibers live in it."""
        process = self.process
        for fiber in process.fibers.values():
            self._open_scopes(fiber.id, fiber.frames)
        for found in self.decoder.objects.values():
            if found.__class__ is Resumption and found.state == "new":
                if found.fiber not in process.fibers:
                    raise ValueError("a body belongs to no fiber")
                self._open_scopes(found.fiber, found.frames)
        for fiber in process.fibers.values():
            if fiber.scope:
                scope = process.scopes[fiber.scope]
                if scope.fiber >= fiber.id:
                    raise ValueError("a fiber lives in a scope that was opened after it")
                scope.living[fiber.id] = None
        for number, failures in self.failures.items():
            if number in process.scopes:
                promises = [_expect(self.decoder.value(atom), Promise) for atom in failures]
                if any(promise.state not in ("failed", "seen") for promise in promises):
                    raise ValueError("a failure has not failed")
                process.scopes[number].failures = promises

    def _open_scopes(self, owner: int, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if frame[0] is None and frame[1] == Region.SCOPE:
                number = frame[2]
                if number in self.process.scopes or number >= self.process.next_scope:
                    raise ValueError("a scope has a number that it cannot have")
                self.process.scopes[number] = Scope(owner)

    def _waits(self) -> None:
        process = self.process
        for atom in self.opened:
            promise = _expect(self.decoder.value(atom), Promise)
            if promise.state == "pending":
                if not 0 < promise.request < process.next_request or promise.request in process.deadlines:
                    raise ValueError("a promise is of a request that there was not")
                process.request_promises[promise.request] = promise
        for fiber in process.fibers.values():
            top = fiber.frames[-1]
            enters = fiber.resume[0] == Resume.ENTER
            kind, what = fiber.wait or (0, 0)
            if kind == Wait.REQUEST:
                taken = (process.request_waits, process.request_promises, process.deadlines)
                if what >= process.next_request or any(what in one for one in taken):
                    raise ValueError("a request is waited for that there was not, or that another one waits for")
            elif kind == Wait.SCOPE:
                if top[0] is not None or top[1] != Region.SCOPE or top[2] != what or not process.scopes[what].living:
                    raise ValueError("a fiber waits for a scope that it does not leave")
                if enters:
                    raise ValueError("a fiber leaves a scope with nothing")
            elif enters and (top[0] is None or top[3] >= 0):
                raise ValueError("a fiber has no frame to enter")
            register_wait(process, fiber)
        if sorted(self.ready) != sorted(fiber.id for fiber in process.fibers.values() if fiber.wait is None):
            raise ValueError("the fibers that are ready are not those that wait for nothing")
        process.ready.extend(self.ready)

    def _prime_image(self) -> None:
        """The writer goes on where the last segment ended."""
        image = self.process.image
        image.encoder = encoder_after(self.decoder)
        image.encoder.next_id = image.encoder.first_id = self.next_object
        image.ready = list(self.ready)
        image.counters = tuple(self.counters)
        image.cancels = list(self.cancels)
        image.globals = set(self.process.globals)

    def _frame(self, row: list[Any]) -> Frame:
        value = self.decoder.value
        first = _integer(row[0])
        if first < 0:
            kind, data = -first, row[1]
            if len(row) != 2:
                raise ValueError("a region is malformed")
            if kind == Region.ABANDON:
                token, error, result = data
                stopped = value(error)
                if stopped is not None:
                    _expect(stopped, ErrorValue)
                return (None, kind, (_number(token), stopped, value(result)))
            data = value(data)
            if not _REGION_DATA[kind](data):
                raise ValueError("a region's data is of the wrong type")
            return (None, kind, data)
        _, code_index, pc, *atoms = row
        code = self.process.table.code(first, _integer(code_index))
        entered = _integer(pc) < 0
        if entered:
            pc = -1 - pc
        if pc >= len(code.instructions):
            raise ValueError("a frame stands outside its code")
        if entered:
            destination, live = -1, live_retry(code, pc)
        else:
            destination, live = _waiting(code, pc), live_after_call(code, pc)
        ready = run_code(code)
        values = {register: value(atom) for register, atom in zip(live, atoms, strict=True)}
        return (ready, ready.frame_registers(values), pc, destination)


def read_segment(data: bytes) -> dict[int, Any]:
    """The sections of a segment by bit.  CodecError or ValueError for anything that is no segment.

    Long lists are read item by item, so that a false length takes no memory.
    """
    reader = Reader(data)
    parts = reader.header()
    mask = reader.item()
    if mask.__class__ is not int or mask < 0 or mask >> len(SECTIONS) or parts != 1 + mask.bit_count():
        raise ValueError("the sections do not match the mask")
    sections: dict[int, Any] = {}
    for bit in SECTIONS:
        if mask & bit:
            read: Callable[[Reader], Any] = _READERS.get(bit, _read_items)
            sections[bit] = read(reader)
    reader.end()
    return sections


def _read_items(reader: Reader) -> list[Any]:
    return [reader.item() for _ in range(reader.header())]


def _read_rows(reader: Reader) -> list[list[Any]]:
    return [_read_items(reader) for _ in range(reader.header())]


_READERS: dict[int, Callable[[Reader], Any]] = {
    STATES: _read_rows,
    SCOPES: _read_rows,
    FIBERS: _read_rows,
    FIRST: Reader.item,
}


def _waiting(code: Code, pc: int) -> int:
    """The register that the instruction before `pc` writes when what it waits for has come."""
    if pc:
        instruction = code.instructions[pc - 1]
        opcode = BY_NUMBER[instruction[0]]
        if opcode.suspends and opcode.operands[:1] == (Operand.WRITE,):
            return int(instruction[1])
    raise ValueError("a frame waits where nothing waits")


def _integer(value: Any) -> int:
    if value.__class__ is not int:
        raise ValueError("an integer was expected")
    return int(value)


def _number(value: Any) -> int:
    """A number as processes give them out."""
    if not 0 < _integer(value) < NUMBER_MAX:
        raise ValueError("a number is out of range")
    return int(value)


def _state_name(number: Any) -> str:
    if not 0 <= _integer(number) < len(STATE_NAMES):
        raise ValueError("a state is unknown")
    return STATE_NAMES[number]


def _expect(value: Any, cls: type) -> Any:
    if value.__class__ is not cls:
        raise ValueError(f"a {cls.__name__} was expected")
    return value
