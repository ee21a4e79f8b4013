"""The heap quota: counts the objects a process can reach, seldom enough to cost little.

Counting walks everything from the frames.  The next count is put off in proportion to what the last one found, so
that the time spent counting stays a small part of the time spent running.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values.base import Heap
from flowmetal.vm.state import Fiber, Process, Region

#: Objects counted for each slice of fuel that passes without a count: a slice runs about twenty times longer than
#: it takes to count this many.
OBJECTS_PER_SLICE = 2_000


def heap_exceeded(process: Process, running: Fiber) -> bool:
    """Whether the process reaches more heap objects than its limit.  Called once a slice; counts only now and then."""
    if process.heap_pause > 0:
        process.heap_pause -= 1
        return False
    count = count_objects(process, process.limits.heap_objects)
    process.heap_pause = count // OBJECTS_PER_SLICE
    return count > process.limits.heap_objects


def count_objects(process: Process, limit: int) -> int:
    """The number of frames and heap objects reachable from a process, or some number above `limit`."""
    seen: set[int] = set()
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
    while pending:
        value = pending.pop()
        if isinstance(value, Heap):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if len(seen) + frames > limit:
                break
            for name in _slots(value.__class__):
                pending.append(getattr(value, name, None))
        elif value.__class__ is tuple:
            pending.extend(value)
        elif value.__class__ is dict:
            pending.extend(value)
            pending.extend(value.values())
    return len(seen) + frames


_SLOTS: dict[type, tuple[str, ...]] = {}


def _slots(cls: type) -> tuple[str, ...]:
    """The slots of a class of heap objects in which other objects can stand."""
    found = _SLOTS.get(cls)
    if found is None:
        names = [name for base in cls.__mro__ for name in getattr(base, "__slots__", ())]
        found = _SLOTS[cls] = tuple(name for name in names if name not in ("owner", "oid", "hash", "dirty", "function"))
    return found
