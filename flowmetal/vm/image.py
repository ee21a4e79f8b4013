"""The image of a process: what is written after a step.  restore.py reads it.

A *segment* holds what changed since the last one: objects first reachable now, mutable objects whose state changed,
the frames that moved (the unchanged part of a stack is a length), counters.  A *checkpoint* is a segment from
nothing, with fresh object numbers.  A process is restored from its newest checkpoint and the segments after it, in
order.

    segment = [mask, section ...]

with one section for each bit of the mask, in order; see the bits below.  Values inside are the atoms of
values/codec.py.

    fiber          [number, frames kept, state, field ..., frame ...]
                   state = wait kind + 8 * resume kind + CANCELLED + NEW; the fields, those that there are:
                   scope and promise (NEW), what is waited for, what it goes on with, the cancellation
    code frame     [module, code, pc, live register ...]    registers ascending; -1 - pc: pc is to be run again
    region frame   [-kind, data]

The number of a request that a fiber waits for is written as the distance to the next request's, which stays small.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.liveness import live_after_call, live_retry
from flowmetal.bytecode.program import Program
from flowmetal.packing import pack_small
from flowmetal.values import Cell, Resumption
from flowmetal.values.codec import Encoder, pack, state_of
from flowmetal.values.wire import Tag
from flowmetal.vm.state import (
    ENTER,
    FIRST_HEAP_COUNT,
    SLICE,
    CancelRequest,
    Fiber,
    Frame,
    Limits,
    Process,
    Region,
    Resume,
    Wait,
)

#: Bits of a segment's mask and what their section is; the frequent ones fit into one byte.
OBJECTS = 1  # [record ...], numbered on from the last object
FIBERS = 2  # [fiber ...]
COUNTERS = 4  # [increase ...] of the counters, those behind the last that changed left out
STATES = 8  # [[object, state atoms ...] ...] of mutable objects
READY = 16  # [numbers gone from the front, numbers new at the front, the new ones there, those new at the end]
ENDED = 32  # [fiber numbers that are gone]
OPENED = 64  # [promise ...] of requests opened since the last segment
SCOPES = 128  # [[scope, failed promise ...] ...] of scopes whose failures changed
GLOBALS = 256  # [[module name, name, value] ...] of mutable globals first used since
CANCELS = 512  # [request ...] no longer wanted, of which `run` has still to tell
FIRST = 1024  # number of the first object, in a checkpoint where that is not 1

SECTIONS = (OBJECTS, FIBERS, COUNTERS, STATES, READY, ENDED, OPENED, SCOPES, GLOBALS, CANCELS, FIRST)

#: Flags in the state of a fiber, beside the kinds of wait and resume.
WAIT_KINDS, RESUME_UNIT, RESUME_KINDS, CANCELLED, NEW, DEADLINE = 7, 8, 3, 32, 64, 128

#: States of promises, lazy sequences and resumptions, by the number they are written as.
STATE_NAMES = ("new", "used", "pending", "done", "failed", "seen", "running")
_STATE_NUMBERS = {name: number for number, name in enumerate(STATE_NAMES)}

#: Version of this layout, kept in the store's meta record and in exported images.
IMAGE_VERSION = 1

#: Strings and bytes of this length are told apart by who writes, so that what keeps them can keep each once.
LONG_TEXT = 1024
#: Classes of values that are atoms as they are, and how large the integers are that are.
PLAIN_ATOMS = frozenset({type(None), bool, float})
WORD = 1 << 63
_TEXT_TAGS = frozenset({Tag.TEXT, Tag.BLOB})

#: Counters before the first segment, in the order in which `counters_of` gives them.
COUNTERS_START = (1, SLICE, 1, 1, 1, 0, FIRST_HEAP_COUNT, 1)


def counters_of(process: Process) -> tuple[int, ...]:
    """The counters of a process, those that change most often first."""
    return (
        process.next_request,
        process.slice_left,
        process.next_fiber,
        process.next_scope,
        process.next_token,
        process.slices,
        process.heap_due,
        process.next_name,
    )


class Image:
    """Writes the image of one process.  Holds what the last segment said, so that the next one can say what changed."""

    __slots__ = ("cancels", "counters", "encoder", "globals", "process", "ready", "texts")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.texts: list[str | bytes] = []  # long strings that the segments since `take_texts` hold
        self._reset(1)

    def _reset(self, next_object: int) -> None:
        # Objects written by this encoder carry its owner token, see values/encoder.py.
        self.encoder = Encoder(object(), next_object, self.process.table)
        self.counters: tuple[int, ...] = COUNTERS_START
        self.ready: list[int] = []
        self.cancels: list[int] = []
        self.globals: set[tuple[str, str]] = set()

    def segment(self) -> bytes:
        """What changed since the last segment or checkpoint.

        LanguageError :type for a value that cannot be saved; everything is written next time then.
        """
        process = self.process
        changed = process.changed
        if (
            len(changed) == 1
            and changed[0].id in process.fibers
            and not (process.ended or process.opened or process.changed_scopes)
            and not (process.outbox or self.cancels)
            and len(process.globals) == len(self.globals)
        ):
            return self._step(changed[0])
        return self._write(1)

    def _step(self, fiber: Fiber) -> bytes:
        """What `_write` gives where one fiber has moved and nothing else that is rare happened: nearly every step."""
        process = self.process
        encoder = self.encoder
        frames, saved = fiber.frames, fiber.saved
        kept = len(saved) if len(saved) < len(frames) else len(frames)
        while kept and saved[kept - 1] is not frames[kept - 1]:  # as _unchanged
            kept -= 1
        fibers = [self._fiber(fiber, kept)]
        touched = process.touched
        states = self._states() if encoder.mutables or touched else None
        mask = FIBERS
        sections: list[Any] = [mask]
        if encoder.records:
            mask += OBJECTS
            sections.append(encoder.records)
        sections.append(fibers)
        counters = counters_of(process)
        if counters != self.counters:
            mask += COUNTERS
            before = self.counters
            if counters[1:] == before[1:]:
                sections.append([counters[0] - before[0]])
            else:
                sections.append(_increases(before, counters))
        if states:
            mask += STATES
            sections.append(states)
        ready = process.ready
        moved = ready or self.ready
        if moved and list(ready) != self.ready:
            mask += READY
            sections.append(_moves(self.ready, list(ready)))
        sections[0] = mask
        data = pack(sections) if encoder.records or states else pack_small(sections)

        fiber.changed = False
        fiber.known = True
        fiber.saved[kept:] = fiber.frames[kept:]
        process.changed.clear()
        if touched:
            for mutable in touched:
                mutable.dirty = False
            process.touched = []
        self.counters = counters
        if moved:
            self.ready = list(ready)
        if encoder.records:
            self._drain()
        return data

    def take_texts(self) -> list[str | bytes]:
        """The strings of at least LONG_TEXT that were written since the last call."""
        texts, self.texts = self.texts, []
        return texts

    def _drain(self) -> None:
        _, records, _ = self.encoder.drain()
        self.texts += [one[1] for one in records if one[0] in _TEXT_TAGS and len(one[1]) >= LONG_TEXT]

    def checkpoint(self, first_object: int | None = None) -> bytes:
        """The whole state, with fresh object numbers (from `first_object`; the default goes on counting)."""
        process = self.process
        self._reset(self.encoder.next_id if first_object is None else first_object)
        process.changed = list(process.fibers.values())
        for fiber in process.changed:
            fiber.saved = []
            fiber.known = False
            fiber.changed = True
        process.ended = []
        process.changed_scopes = {number: None for number, scope in process.scopes.items() if scope.failures}
        process.opened = list(process.request_promises.values())
        return self._write(self.encoder.first_id)

    def _write(self, first_object: int) -> bytes:
        """Encodes what changed, and only then forgets that it changed."""
        process = self.process
        encoder = self.encoder
        atom = encoder.atom
        sections: dict[int, Any] = {}

        changed = [fiber for fiber in process.changed if fiber.id in process.fibers]
        changed.sort(key=lambda fiber: fiber.id)
        kept = [_unchanged(fiber) for fiber in changed]
        ready = list(process.ready)
        counters = counters_of(process)
        outbox, touched, known = process.outbox, process.changed_scopes, self.globals
        cancels = [one.number for one in outbox if one.__class__ is CancelRequest] if outbox else []
        scopes = [number for number in touched if number in process.scopes] if touched else []
        fresh = [key for key in process.globals if key not in known] if len(process.globals) > len(known) else []
        if changed:
            sections[FIBERS] = [self._fiber(fiber, count) for fiber, count in zip(changed, kept, strict=True)]
        if counters != self.counters:
            sections[COUNTERS] = _increases(self.counters, counters)
        if ready != self.ready:
            sections[READY] = _moves(self.ready, ready)
        if process.ended:
            sections[ENDED] = process.ended
        if process.opened:
            sections[OPENED] = [atom(promise) for promise in process.opened]
        if scopes:
            sections[SCOPES] = [[number, *map(atom, process.scopes[number].failures)] for number in scopes]
        if fresh:
            sections[GLOBALS] = [[module, name, atom(process.globals[module, name])] for module, name in fresh]
        if cancels != self.cancels:
            sections[CANCELS] = cancels
        if first_object != 1:
            sections[FIRST] = first_object
        states = self._states()
        if states:
            sections[STATES] = states
        if encoder.records:
            sections[OBJECTS] = encoder.records
        present = [bit for bit in SECTIONS if bit in sections]
        data = pack([sum(present), *(sections[bit] for bit in present)])

        for fiber, count in zip(changed, kept, strict=True):
            fiber.changed = False
            fiber.known = True
            fiber.saved[count:] = fiber.frames[count:]
        for mutable in process.touched:
            mutable.dirty = False
        process.changed = []
        process.ended = []
        process.changed_scopes = {}
        process.touched = []
        process.opened = []
        self.ready = ready
        self.counters = counters
        self.cancels = cancels
        self.globals.update(fresh)
        self._drain()
        return data

    def _states(self) -> list[Any]:
        """States of mutable objects that are new or changed; writing one can meet others, so it goes in rounds."""
        encoder = self.encoder
        atom = encoder.atom
        pending = [one for one in self.process.touched if one.owner is encoder.owner and one.oid < encoder.first_id]
        states: list[Any] = []
        done = 0  # of encoder.mutables, which grows while states are written
        while True:
            pending += encoder.mutables[done:]
            done = len(encoder.mutables)
            if not pending:
                return states
            for mutable in pending:
                if mutable.__class__ is Resumption:
                    frames = [self._frame(one) for one in mutable.frames]
                    states.append([mutable.oid, _STATE_NUMBERS[mutable.state], mutable.fiber, *frames])
                    continue
                state = state_of(mutable)
                if mutable.__class__ is not Cell:
                    state[0] = _STATE_NUMBERS[state[0]]
                states.append([mutable.oid, *map(atom, state)])
            pending = []

    def _fiber(self, fiber: Fiber, kept: int) -> list[Any]:
        if fiber.known and fiber.cancelled is None and fiber.resume is ENTER and fiber.wait is not None:
            wait, what = fiber.wait
            if wait == Wait.REQUEST:  # nearly every step ends so
                row = [fiber.id, kept, wait, self.process.next_request - what]
                for frame in fiber.frames[kept:]:
                    row.append(self._frame(frame))
                return row
        atom = self.encoder.atom
        kind, value = fiber.resume
        state = RESUME_UNIT * kind
        fields: list[Any] = []
        if not fiber.known:
            state += NEW
            fields += [fiber.scope, atom(fiber.promise)]
        if fiber.wait is not None:
            wait, what = fiber.wait
            state += wait
            if wait == Wait.REQUEST:
                fields.append(self.process.next_request - what)
            else:
                fields.append(what if wait == Wait.SCOPE else atom(what))
        if kind != Resume.ENTER:
            fields.append(atom(value))
        if fiber.cancelled is not None:
            state += CANCELLED
            fields.append(atom(fiber.cancelled))
            if fiber.deadline:
                state += DEADLINE
                fields.append(fiber.deadline)
        return [fiber.id, kept, state, *fields, *[self._frame(frame) for frame in fiber.frames[kept:]]]

    def _frame(self, frame: Frame) -> list[Any]:
        atom = self.encoder.atom
        code = frame[0]
        if code is None:
            _, kind, data = frame
            if kind == Region.ABANDON:
                return [-kind, [data[0], atom(data[1]), atom(data[2])]]
            return [-kind, atom(data)]
        _, registers, pc, destination = frame
        plain = code.code
        row = [self.process.table.module_of(plain.module), plain.index, pc if destination >= 0 else -1 - pc]
        if destination < 0:
            live: tuple[int, ...] | None = live_retry(plain, pc)
        else:  # mostly known already
            live = None if plain.live is None else plain.live.after_call.get(pc)
        for register in live_after_call(plain, pc) if live is None else live:
            value = registers[register]
            if value.__class__ in PLAIN_ATOMS or (value.__class__ is int and -WORD <= value < WORD):
                row.append(value)  # what `atom` gives for it, without the call
            else:
                row.append(atom(value))
        return row


def _unchanged(fiber: Fiber) -> int:
    """How many frames are those of the last segment: below the topmost one that is, none can have changed."""
    frames, saved = fiber.frames, fiber.saved
    kept = min(len(frames), len(saved))
    while kept and saved[kept - 1] is not frames[kept - 1]:
        kept -= 1
    return kept


def _increases(before: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    if before[1:] == after[1:]:
        return [after[0] - before[0]]
    increases = [new - old for old, new in zip(before, after, strict=True)]
    while not increases[-1]:
        increases.pop()
    return increases


def _moves(before: list[int], after: list[int]) -> list[int]:
    """How the order of ready fibers came about: some gone from the front, some new there, some new at the end."""
    known = set(before)
    for front, number in enumerate(after):
        if number in known:
            gone = before.index(number)
            rest = before[gone:]
            if after[front : front + len(rest)] == rest:
                return [gone, front, *after[:front], *after[front + len(rest) :]]
            break
    return [len(before), 0, *after]


def new_process(program: Program, table: Any, limits: Limits | None = None) -> Process:
    """A process with nothing to run yet."""
    process = Process(program, table, limits or Limits())
    process.image = Image(process)
    return process
