"""Sequences and mappings of a decoded module whose items are made when first asked, and kept.

They stand where a module that is being compiled has a list or a dict, and cannot be changed.  Threads may share them:
two may make the same item at once, but one item is kept, and only that one is ever given out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from typing import Any, Generic, NoReturn, TypeVar, overload

Item = TypeVar("Item")


class LazyList(MutableSequence[Item], Generic[Item]):
    """`make(index)` gives the item at an index."""

    __slots__ = ("_count", "_made", "_make")

    def __init__(self, count: int, make: Callable[[int], Item]) -> None:
        self._count = count
        self._made: dict[int, Item] = {}
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[number] for number in range(self._count)[index]]
        made = self._made
        if index in made:
            return made[index]
        place = range(self._count)[index]
        return made[place] if place in made else made.setdefault(place, self._make(place))

    def __setitem__(self, index: int | slice, value: Any) -> NoReturn:
        raise TypeError("a decoded module cannot be changed")

    def __delitem__(self, index: int | slice) -> NoReturn:
        raise TypeError("a decoded module cannot be changed")

    def insert(self, index: int, value: Item) -> NoReturn:
        raise TypeError("a decoded module cannot be changed")


class LazyDict(MutableMapping[str, Item], Generic[Item]):
    """Names in order, each with an item of a LazyList."""

    __slots__ = ("_indexes", "_items")

    def __init__(self, names: Iterable[str], items: LazyList[Item]) -> None:
        self._indexes = {name: index for index, name in enumerate(names)}
        self._items = items

    def __len__(self) -> int:
        return len(self._indexes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexes)

    def __contains__(self, name: object) -> bool:
        return name in self._indexes

    def __getitem__(self, name: str) -> Item:
        return self._items[self._indexes[name]]

    def __setitem__(self, name: str, value: Item) -> NoReturn:
        raise TypeError("a decoded module cannot be changed")

    def __delitem__(self, name: str) -> NoReturn:
        raise TypeError("a decoded module cannot be changed")
