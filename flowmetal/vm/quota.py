"""Quotas of stack and heap, and what is still lazy inside a value that leaves the process.

Counting the heap walks everything that the frames can still read.  The next count is put off in proportion to what the
last one found, so that the time spent counting stays a small part of the time spent running.  The clock of that is
counted in requests and in slices of fuel, both part of the image, and registers that are dead are not looked at: so a
limit is met at the same instruction wherever fuel cut in and however often the process was restored.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flowmetal.bytecode.liveness import live_after_call, live_retry
from flowmetal.values import (
    Char,
    Cons,
    Duration,
    Instant,
    Keyword,
    LazySeq,
    List,
    Resumption,
    Symbol,
    VectorNode,
    children_of,
    meta_of,
)
from flowmetal.values.wire import ModuleOwner
from flowmetal.vm.faults import limit_error
from flowmetal.vm.state import SLICE, Fiber, Frame, Process, Region

#: Ticks of the clock for a full slice of fuel; a request is one tick.
SLICE_TICKS = 64
#: Objects counted for each slice until the next count: a slice runs about ten times longer than it takes to count
#: this many.
OBJECTS_PER_SLICE = 200
#: Slices until the next count at least: counting begins with the frames, however few objects there are.
PAUSE_MIN = 16
#: Objects a program makes in a slice, at a guess: so many slices as fill the heap are waited for at most, though
#: counting a large heap that often takes its time.
OBJECTS_MADE = 50_000
#: Objects that are counted in some milliseconds, about what a turn takes that works on large values.
OBJECTS_PER_TURN = 10_000
#: Registers of a frame, and bytes or characters of a string, that weigh as much as one object.
REGISTERS_PER_OBJECT = 16
TEXT_PER_OBJECT = 256
TEXT_MIN = 256  # shorter strings are part of what holds them
#: Bits of a number that weigh as much as one object, and of one that is part of what holds it.
BITS_PER_OBJECT = 8 * TEXT_PER_OBJECT
BITS_MIN = 8 * TEXT_MIN
_LARGE = 1 << BITS_MIN - 1
#: Values that weigh nothing and hold nothing.
_WEIGHTLESS = frozenset({type(None), bool, float, Char, Instant, Duration})


def check_quotas(process: Process, fiber: Fiber, frame: Frame | None) -> None:
    """Raises the limit error of a fiber that has outgrown its stack or a process that has outgrown its heap.

    Called at the end of each slice and with each request; `frame` is the running one, off the stack.
    """
    limits = process.limits
    if len(fiber.frames) >= limits.frames:
        raise limit_error("stack", limits.frames, "nested calls")
    now = process.slices * SLICE_TICKS + process.next_request
    if now < process.heap_due:
        return
    count = count_objects(process, frame, limits.heap_objects)
    pause = min(max(count // OBJECTS_PER_SLICE, PAUSE_MIN), limits.heap_objects // OBJECTS_MADE)
    process.heap_due = now + SLICE_TICKS * max(pause, 1)
    if count > limits.heap_objects:
        raise limit_error("heap", limits.heap_objects, "heap objects")


def pause(process: Process, fiber: Fiber, code: Any, registers: list[Any], index: int, fuel: int) -> int:
    """Fuel has come to the end of a slice, or to its own end, at instruction `index` of `code`; None: between frames.

    Gives the fuel at which to come here next, or -1 when there is none left: the fiber then stands at its instruction,
    which will take its fuel again, and is the next to run.  Raises the limit errors.
    """
    frame = None if code is None else (code, code.settle(registers, index), index, -1)
    if fuel < 0:
        if frame is not None:
            fiber.frames.append(frame)
        process.ready.appendleft(fiber.id)
        process.slice_left = fuel + 1 - process.slice_end
        process.fuel = 0
        return -1
    process.slices += 1
    process.slice_end = fuel - SLICE
    if process.overdue:
        raise limit_error("compute", process.overdue, "seconds of computing without an effect")
    if process.slices * SLICE > process.limits.fuel:
        raise limit_error("fuel", process.limits.fuel, "calls and loop turns")
    check_quotas(process, fiber, frame)
    return max(process.slice_end, 0)


def end_turn(process: Process, fiber: Fiber, frame: Frame, slice_left: int) -> None:
    """The turn has done its share of work on large values (values/work.py), and `frame` goes on in the next.

    Of such values one slice can make more than memory holds, so the heap is counted here too, as often as the counting
    takes no longer than the turns.  Raises the limit error.
    """
    if process.heap_rest:
        process.heap_rest -= 1
    else:
        count = count_objects(process, frame, process.limits.heap_objects)
        process.heap_rest = count // OBJECTS_PER_TURN
        if count > process.limits.heap_objects:
            raise limit_error("heap", process.limits.heap_objects, "heap objects")
    fiber.frames.append(frame)
    process.slice_left = slice_left
    process.ready.appendleft(fiber.id)
    process.fuel = 0


def heap_due_at_most(process: Process) -> int:
    """The latest time, on the clock of the quotas, at which a count can be due."""
    now = process.slices * SLICE_TICKS + process.next_request
    return now + SLICE_TICKS * max(process.limits.heap_objects // OBJECTS_MADE, 1)


def count_objects(process: Process, running: Frame | None, limit: int) -> int:
    """The number of frames and heap objects reachable from a process, or some number above `limit`."""
    pending: list[Any] = list(process.globals.values())
    count = 0 if running is None else _frame(running, pending)
    for fiber in process.fibers.values():
        pending.append(fiber.promise)
        pending.append(fiber.resume[1])
        for frame in fiber.frames:
            count += _frame(frame, pending)
        if count > limit:
            return count
    return count_values(pending, count, limit)


def count_values(pending: list[Any], count: int, limit: int) -> int:
    """`count` and the heap objects reachable from the values in `pending`, or some number above `limit`.

    What belongs to a module is no process's and is not entered.
    """
    seen: set[int] = set()
    texts: set[Any] = set()
    pop, push = pending.pop, pending.append
    while pending:
        value = pop()
        kind = value.__class__
        if kind in _WEIGHTLESS:
            continue
        if kind in _SCALARS:
            weight = _SCALARS[kind](value)
            # By content: which equal strings are one object does not survive an image.
            if weight and value not in texts:
                texts.add(value)
                count += weight
                if count > limit:
                    break
            if kind is Symbol and value.meta is not None:
                push(meta_of(value))
            continue
        if kind is List or kind is Cons or kind is LazySeq:
            # The longest chains there are: without a detour through `pending`.
            while kind is List or kind is Cons or (kind is LazySeq and value.state == "done"):
                key = id(value)
                if key in seen or value.owner.__class__ is ModuleOwner:
                    break
                seen.add(key)
                count += 1
                if kind is LazySeq:
                    value = value.value
                    kind = value.__class__
                    continue
                first = value.first
                if (kind_of := first.__class__) not in _WEIGHTLESS and (
                    kind_of is not int or first.bit_length() >= BITS_MIN
                ):
                    push(first)
                if value.meta is not None:
                    push(meta_of(value))
                rest = value.rest
                if rest is value:  # the empty list
                    break
                value = rest
                kind = value.__class__
            else:
                if kind is not LazySeq:
                    push(value)
                elif id(value) not in seen and value.owner.__class__ is not ModuleOwner:  # it is still to be computed
                    seen.add(id(value))
                    count += 1
                    pending.extend(children_of(value) or ())
            if count > limit:
                break
            continue
        key = id(value)
        if key in seen:
            continue
        # Nodes of vectors are what there is most of.
        below = value.children if kind is VectorNode else children_of(value)
        if below is None or value.owner.__class__ is ModuleOwner:
            continue
        seen.add(key)
        count += 1
        if count > limit:
            break
        if kind is not LazySeq and getattr(value, "meta", None) is not None:
            push(meta_of(value))
        if kind is Resumption:
            for frame in value.frames:
                count += _frame(frame, pending)
        elif kind is not VectorNode or not _numbers(below):
            pending.extend(
                [
                    child
                    for child in below
                    if (kind := child.__class__) not in _WEIGHTLESS
                    and (kind is not int or child.bit_length() >= BITS_MIN)
                ]
            )
    return count


def _numbers(items: Any) -> bool:
    """Whether the items of a block are seen at a glance to weigh nothing: whole numbers, which alone add up to one,
    none of them large, or the like."""
    if items and items[0].__class__ is int:
        try:
            return sum(items).__class__ is int and min(items) > -_LARGE and max(items) < _LARGE
        except (TypeError, ArithmeticError):
            return False
    return _WEIGHTLESS.issuperset(map(type, items))


def _of_text(value: Any) -> int:
    return len(value) // TEXT_PER_OBJECT if len(value) >= TEXT_MIN else 0


def _of_name(value: Any) -> int:
    return _of_text(value.text)


def _of_int(value: int) -> int:
    bits = value.bit_length()
    return bits // BITS_PER_OBJECT if bits >= BITS_MIN else 0


def _of_fraction(value: Fraction) -> int:
    return _of_int(value.numerator) + _of_int(value.denominator)


#: What a scalar weighs that can be of any size.
_SCALARS: dict[type, Callable[[Any], int]] = {
    str: _of_text,
    bytes: _of_text,
    int: _of_int,
    Fraction: _of_fraction,
    Keyword: _of_name,
    Symbol: _of_name,
}


def _frame(frame: Frame, pending: list[Any]) -> int:
    """Adds what a frame can still read to `pending`; what the frame itself weighs."""
    code = frame[0]
    if code is None:
        if frame[1] == Region.ABANDON:
            pending.extend(frame[2])
        else:
            pending.append(frame[2])
        return 1
    _, registers, pc, destination = frame
    live = live_after_call(code.code, pc) if destination >= 0 else live_retry(code.code, pc)
    pending.extend([registers[register] for register in live])
    weight: int = 1 + code.code.registers // REGISTERS_PER_OBJECT
    return weight


def unrealized_inside(value: Any) -> LazySeq | None:
    """The first unrealized lazy sequence inside a value, or None.  Constants hold none and are not entered."""
    if children_of(value) is None:
        return None
    seen: set[int] = set()
    pending: list[Any] = [value]
    while pending:
        value = pending.pop()
        below = children_of(value)
        if below is None or id(value) in seen or value.owner.__class__ is ModuleOwner:
            continue
        if value.__class__ is LazySeq and value.state != "done":
            return value
        seen.add(id(value))
        pending.extend(below)
    return None
