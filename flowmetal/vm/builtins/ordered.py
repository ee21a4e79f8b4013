"""Sorted maps and sets whose order is a function of the program: what is done at a place, which the program found.

Where a key stands, or would stand, is found by stdlib/core/ordered.fm; see decision 0070.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    Closure,
    SortedMap,
    SortedSet,
    Vector,
    entry,
    fail,
    identical,
    insert_at,
    node_at,
    remove_at,
    replace_at,
)
from flowmetal.values.errors import shortly
from flowmetal.vm.builtins.check import index, wrong_type
from flowmetal.vm.builtins.registry import builtin


def _order(who: str, value: Any) -> Any:
    if value.__class__ is not Closure:
        wrong_type(who, "a function of the program", value)
    return value


@builtin(1900, "ordered-map", 1)
def ordered_map(order: Any) -> SortedMap:
    """An empty map in the order of a function that does all operations which need the order."""
    return SortedMap(None, None, _order("ordered-map", order))


@builtin(1901, "ordered-set", 1)
def ordered_set(order: Any) -> SortedSet:
    """An empty set in the order of a function that does all operations which need the order."""
    return SortedSet(None, None, _order("ordered-set", order))


@builtin(1902, "order", 1)
def order_of(value: Any) -> Any:
    """The function that orders a sorted collection; nil if that is `compare`."""
    if value.__class__ is not SortedMap and value.__class__ is not SortedSet:
        wrong_type("order", "a sorted map or set", value)
    return value.order


def _ordered(who: str, value: Any, place: Any, room: int) -> Any:
    """A collection with an order of the program; the place must be less than `room` above its size."""
    if (value.__class__ is not SortedMap and value.__class__ is not SortedSet) or value.order is None:
        wrong_type(who, "a sorted collection with an order of its own", value)
    if index(who, place) >= len(value) + room:
        fail("index", f"{who} at {shortly(place)} is outside a collection of {len(value)}")
    return value


@builtin(1903, "ordered-key", 2)
def ordered_key(value: Any, place: Any) -> Any:
    """The key, or the item of a set, at a place."""
    return node_at(_ordered("ordered-key", value, place, 0).root, place).key


@builtin(1904, "ordered-entry", 2)
def ordered_entry(value: Any, place: Any) -> Vector:
    """The entry at a place; of a set, its item twice."""
    node = node_at(_ordered("ordered-entry", value, place, 0).root, place)
    return entry(node.key, node.key if value.__class__ is SortedSet else node.value)


@builtin(1905, "ordered-insert", 4)
def ordered_insert(value: Any, place: Any, key: Any, content: Any) -> Any:
    """The collection with one more key at a place."""
    root = _ordered("ordered-insert", value, place, 1).root
    return value.__class__(insert_at(root, place, key, content), value.meta, value.order)


@builtin(1906, "ordered-replace", 3)
def ordered_replace(value: Any, place: Any, content: Any) -> Any:
    """The collection with another value at a place."""
    root = _ordered("ordered-replace", value, place, 0).root
    if identical(node_at(root, place).value, content):
        return value
    return value.__class__(replace_at(root, place, content), value.meta, value.order)


@builtin(1907, "ordered-remove", 2)
def ordered_remove(value: Any, place: Any) -> Any:
    """The collection without the key at a place."""
    root = _ordered("ordered-remove", value, place, 0).root
    return value.__class__(remove_at(root, place), value.meta, value.order)
