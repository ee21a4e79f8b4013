"""The other mutable objects: cells, promises and resumptions.  Only the machine changes them.

Each carries `dirty`: it changed since it was last written to an image.  They are equal only to themselves.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values.base import LATE, Heap, Value


class Mutable(Heap):
    """A mutable object of a process."""

    __slots__ = ("dirty",)

    def __repr__(self) -> str:
        return LATE.text(self)


class Cell(Mutable):
    """A cell (`atom`): holds one value, belongs to one process.

    `care` is None, or a map of what the library keeps with it: its metadata, validator and watches, and the `:keeper`,
    the closure that changes the cell where one of these has to be called.
    """

    __slots__ = ("care", "value")

    care: Any

    def __init__(self, value: Value = None) -> None:
        self.value = value
        self.care = None
        self.dirty = False
        self.owner = None


class Promise(Mutable):
    """What a fiber or an outstanding request will give.

    `state` is "pending", "done" (`value` is the result), "failed" (`value` is the error), or "seen": failed, and
    somebody who awaited it has got the error.  `request` is the number of the request that settles it, `fiber` the id
    of the fiber; 0 where there is none.
    """

    __slots__ = ("fiber", "request", "state", "value")

    def __init__(self, request: int = 0, fiber: int = 0) -> None:
        self.state = "pending"
        self.value: Value = None
        self.request = request
        self.fiber = fiber
        self.dirty = False
        self.owner = None


class Resumption(Mutable):
    """The rest of a computation that a handler's clause may resume once; all of it belongs to the machine.

    `state` is "new" or "used", `fiber` the id of the fiber that performed, `frames` the frames cut off (empty once
    used).
    """

    __slots__ = ("fiber", "frames", "state")

    def __init__(self) -> None:
        self.state = "new"
        self.fiber = 0
        self.frames: tuple[Any, ...] = ()
        self.dirty = False
        self.owner = None
