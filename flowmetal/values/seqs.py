"""Sequences: the persistent list, cons cells, lazy sequences and ranges.

A list knows its length and ends in the empty list; a cons cell goes on with any sequence, a lazy one included.  A lazy
sequence is mutable: the machine runs its thunk once and puts what came out in `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from flowmetal.values.base import Collection, Value
from flowmetal.values.errors import NeedsRealize, fail, shortly
from flowmetal.values.numbers import add, less, multiply

#: Items of a range that one instruction walks through: it cannot be interrupted, and this many take less than a second.
ITEMS_AT_ONCE_MAX = 1 << 20


def _too_long(most: int = ITEMS_AT_ONCE_MAX) -> NoReturn:
    fail(
        "limit",
        f"a range of more than {most} numbers cannot be taken at once; loop over it, or take parts",
    )


class List(Collection):
    """A persistent list: `first`, `rest` (a List) and `count`.  EMPTY_LIST has count 0 and is its own rest."""

    __slots__ = ("count", "first", "rest")

    first: Value
    rest: List
    count: int

    def __init__(self, first: Value, rest: List, meta: Any = None) -> None:
        self.first = first
        self.rest = rest
        self.count = rest.count + 1
        self.meta = meta
        self.hash = None
        self.owner = None

    @staticmethod
    def of(items: Iterable[Value]) -> List:
        """The list of these items."""
        result = EMPTY_LIST
        for item in reversed(tuple(items)):
            result = List(item, result)
        return result

    @staticmethod
    def empty(meta: Any = None) -> List:
        """An empty list with metadata; without any it is EMPTY_LIST."""
        if meta is None:
            return EMPTY_LIST
        result = List.__new__(List)
        result.first = None
        result.rest = result
        result.count = 0
        result.meta = meta
        result.hash = None
        result.owner = None
        return result

    def conj(self, item: Value) -> List:
        """The list with an item put in front."""
        return List(item, self, self.meta)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Value]:
        cell = self
        while cell.count:
            yield cell.first
            cell = cell.rest


EMPTY_LIST: List = List.__new__(List)
EMPTY_LIST.first = None
EMPTY_LIST.rest = EMPTY_LIST
EMPTY_LIST.count = 0
EMPTY_LIST.meta = None
EMPTY_LIST.hash = None
EMPTY_LIST.owner = None


class Cons(Collection):
    """An item in front of any sequence (`rest`: a list, a sequence, a lazy one, or a vector)."""

    __slots__ = ("first", "rest")

    def __init__(self, first: Value, rest: Any, meta: Any = None) -> None:
        self.first = first
        self.rest = EMPTY_LIST if rest is None else rest
        self.meta = meta
        self.hash = None
        self.owner = None

    def __iter__(self) -> Iterator[Value]:
        return walk(self)


class LazySeq(Collection):
    """A sequence that is computed when it is looked at.  Mutable; only the machine changes it.

    `state` is "new", "running" (`owner_fiber` realizes it) or "done"; then `value` is a sequence that is not lazy, or
    None. `dirty` says that it changed since it was last written to an image.
    """

    __slots__ = ("dirty", "owner_fiber", "state", "thunk", "value")

    def __init__(self, thunk: Any) -> None:
        self.thunk = thunk
        self.state = "new"
        self.value: Any = None
        self.owner_fiber = 0
        self.dirty = False
        self.meta = None
        self.hash = None
        self.owner = None

    @property
    def realized(self) -> bool:
        """Whether the sequence has been computed as far as its first cell."""
        return self.state == "done"

    def seq(self) -> Any:
        """What it stands for: a sequence that is not lazy, or None; raises NeedsRealize until it is known."""
        if self.state != "done":
            raise NeedsRealize(self, False)
        return self.value

    def __iter__(self) -> Iterator[Value]:
        return walk(self)


def walk(sequence: Any) -> Iterator[Value]:
    """The items of a chain of cons cells and lazy sequences, to its end.

    Raises NeedsRealize (of the whole) at the first lazy sequence that is not realized.
    """
    while True:
        kind = sequence.__class__
        if kind is Cons:
            yield sequence.first
            sequence = sequence.rest
        elif kind is LazySeq:
            if sequence.state != "done":
                raise NeedsRealize(sequence, True)
            sequence = sequence.value
        elif sequence is None:
            return
        else:
            yield from sequence
            return


class Range(Collection):
    """The numbers from `start` up to, not including, `end` by `step` (not zero).

    Of other numbers than integers each item is the one before plus the step, as in Clojure.
    """

    __slots__ = ("end", "start", "step")

    def __init__(self, start: Value, end: Value, step: Value = 1, meta: Any = None) -> None:
        if step == 0:
            fail("argument", "the step of a range is zero")
        self.start = start
        self.end = end
        self.step = step
        self.meta = meta
        self.hash = None
        self.owner = None

    def integers(self) -> range | None:
        """The same as a Python range, if all three numbers are integers."""
        if self.start.__class__ is int and self.end.__class__ is int and self.step.__class__ is int:
            return range(self.start, self.end, self.step)
        return None

    def __len__(self) -> int:
        whole = self.integers()
        if whole is None:
            return sum(1 for _ in self)
        try:
            return len(whole)
        except OverflowError:
            fail("limit", "a range is too long to count")

    @property
    def is_empty(self) -> bool:
        """Whether there is no number in it."""
        if less(0, self.step):
            return not less(self.start, self.end)
        return not less(self.end, self.start)

    def next(self) -> Range | None:
        """The range after its first number, None at the end."""
        rest = Range(add(self.start, self.step), self.end, self.step)
        return None if rest.is_empty else rest

    def skip(self, count: int) -> Range | None:
        """The range after its first numbers, None at the end or behind it."""
        if self.integers() is not None:
            rest: Range | None = Range(add(self.start, multiply(count, self.step)), self.end, self.step)
            return None if rest is None or rest.is_empty else rest
        if count > ITEMS_AT_ONCE_MAX:
            _too_long()
        rest = self
        while count and rest is not None:
            rest = rest.next()
            count -= 1
        return rest

    def get(self, index: int) -> Value:
        """The number at an index; an error of kind :index outside the range."""
        if index >= 0:
            whole = self.integers()
            if whole is not None:
                item = add(self.start, multiply(index, self.step))
                if item < self.end if self.step > 0 else item > self.end:
                    return item
            else:
                for position, item in enumerate(self):
                    if position == index:
                        return item
        fail("index", f"index {shortly(index)} is outside the range", index)

    def __iter__(self) -> Iterator[Value]:
        # Who iterates does it within one instruction, which nothing can interrupt; programs walk by index or `next`.
        whole = self.integers()
        if whole is not None:
            yield from whole[:ITEMS_AT_ONCE_MAX]
            if whole[ITEMS_AT_ONCE_MAX:]:
                _too_long()
            return
        rest: Range | None = None if self.is_empty else self
        left = ITEMS_AT_ONCE_MAX >> 1  # sums of other numbers take longer
        while rest is not None:
            left -= 1
            if left < 0:
                _too_long(ITEMS_AT_ONCE_MAX >> 1)
            yield rest.start
            rest = rest.next()
