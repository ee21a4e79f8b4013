"""Walks over the heap: the quota of reachable objects, and what is still lazy inside a value that leaves the process.

Counting walks everything from the frames.  The next count is put off in proportion to what the last one found, so that
the time spent counting stays a small part of the time spent running.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import LazySeq, children_of
from flowmetal.values.wire import ModuleOwner
from flowmetal.vm.state import Process, Region

#: Objects counted for each slice of fuel that passes without a count: a slice runs about twenty times longer than
#: it takes to count this many.
OBJECTS_PER_SLICE = 2_000


def heap_exceeded(process: Process) -> bool:
    """Whether the process reaches more heap objects than its limit.  Called once a slice; counts only now and then."""
    if process.heap_pause > 0:
        process.heap_pause -= 1
        return False
    count = count_objects(process, process.limits.heap_objects)
    process.heap_pause = count // OBJECTS_PER_SLICE
    return count > process.limits.heap_objects


def count_objects(process: Process, limit: int) -> int:
    """The number of frames and heap objects reachable from a process, or some number above `limit`."""
    frames = sum(len(fiber.frames) for fiber in process.fibers.values())
    if frames > limit:
        return frames
    pending: list[Any] = list(process.globals.values())
    for fiber in process.fibers.values():
        pending.append(fiber.promise)
        pending.append(fiber.resume[1])
        for frame in fiber.frames:
            if frame[0] is not None:
                pending.extend(frame[1])
            elif frame[1] != Region.ABANDON:
                pending.append(frame[2])
            else:
                pending.extend(frame[2])
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        below = children_of(value)
        if below is None or id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) + frames > limit:
            break
        pending.extend(below)
    return len(seen) + frames


def unrealized_inside(value: Any) -> LazySeq | None:
    """The first unrealized lazy sequence inside a value, or None.  Constants hold none and are not entered."""
    below = children_of(value)
    if below is None:
        return None
    seen: set[int] = set()
    pending: list[Any] = [value]
    while pending:
        value = pending.pop()
        below = children_of(value)
        if below is None or id(value) in seen or value.owner.__class__ is ModuleOwner:
            continue
        if value.__class__ is LazySeq and value.state != "done":
            return value  # type: ignore[no-any-return]
        seen.add(id(value))
        pending.extend(below)
    return None
