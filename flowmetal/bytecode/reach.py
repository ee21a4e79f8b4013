"""Whether something mutable can be reached from a value: what decides how a global is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmetal.values import Heap, LazySeq, ModuleOwner, Mutable, Spanned


class Reach:
    """Answers for many values, entering each object once; the objects must stay alive meanwhile."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def mutable(self, value: Any) -> bool:
        """Whether a cell, lazy sequence, promise or resumption can be reached from the value."""
        if not isinstance(value, Heap):
            return False
        known = self._known
        stack: list[tuple[Heap, Iterator[Heap]]] = []
        part: Heap | None = value
        while True:
            if part is not None:
                found = known.get(id(part))
                if found or isinstance(part, (Mutable, LazySeq)):
                    # Everything on the stack leads here.
                    known[id(part)] = True
                    for above, _ in stack:
                        known[id(above)] = True
                    return True
                if found is None:
                    # An object that has been entered counts as immutable until shown otherwise: the one way back to it
                    # without something mutable is the empty list, which is its own rest.
                    known[id(part)] = False
                    if part.owner.__class__ is not ModuleOwner:
                        stack.append((part, _parts(part)))
            if not stack:
                return False
            part = next(stack[-1][1], None)
            if part is None:
                stack.pop()


_SLOTS: dict[type, tuple[str, ...]] = {}


def _parts(value: Heap) -> Iterator[Heap]:
    """The heap objects that an object refers to directly."""
    kind = value.__class__
    names = _SLOTS.get(kind)
    if names is None:
        names = _SLOTS[kind] = tuple(name for base in kind.__mro__ for name in getattr(base, "__slots__", ()))
    for name in names:
        field = getattr(value, name, None)
        if field.__class__ is tuple:
            items: Any = field
        elif field.__class__ is dict:
            items = (*field.keys(), *field.values())
        elif field.__class__ is Spanned:
            items = (field.map,)
        else:
            items = (field,)
        for item in items:
            if isinstance(item, Heap):
                yield item
