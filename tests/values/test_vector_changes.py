"""Many changes of a vector or a trie at once make what they make one after the other, node by node."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowmetal.values import Map, Vector, hash_trie
from flowmetal.values.hash_trie import HashLeaf, HashNode
from flowmetal.values.vector import VectorNode


def nodes(node: Any, old: Any) -> Any:
    """The shape of a tree, and which of its nodes stand in the old one at the same place."""
    if node.__class__ is VectorNode or node.__class__ is HashNode:
        before = old.children if old.__class__ is node.__class__ else ()
        below = [
            nodes(child, before[place] if place < len(before) else None) for place, child in enumerate(node.children)
        ]
        return (node is old, node.shift, node.size, below)
    if node.__class__ is HashLeaf:
        return (node is old, list(node.table.items()))
    return node


@pytest.mark.parametrize("size", [1, 31, 32, 33, 64, 1000, 1057, 33_000])
def test_vectors(size: int) -> None:
    for seed in range(4):
        chosen = random.Random(seed)
        old = Vector.of(range(size))
        changes = {chosen.randrange(size): -seed - place - 1 for place in range(1 + size // (1 + seed * 9))}
        singly = old
        for place, value in changes.items():
            singly = singly.assoc(place, value)
        items = list(old)
        for place, value in changes.items():
            items[place] = value
        for made in (old.assoc_all(changes), old.with_blocks({place >> 5 for place in changes}, items)):
            assert list(made) == list(singly) == items
            assert (made.tail is old.tail) == (singly.tail is old.tail)
            assert nodes(made.root, old.root) == nodes(singly.root, old.root)


@pytest.mark.parametrize("size", [17, 24, 25, 200, 3000])
def test_tries(size: int) -> None:
    for seed in range(4):
        chosen = random.Random(seed)
        old = Map.of([(place, place) for place in range(size)])
        changes = {chosen.randrange(size * 2): -place - 1 for place in range(1 + size // (1 + seed * 9))}
        singly = old
        for key, value in changes.items():
            singly = singly.assoc(key, value)
        assert nodes(hash_trie.assoc_all(old.root, 0, changes), old.root) == nodes(singly.root, old.root)


@pytest.mark.parametrize("first", [0, 1, 31, 32, 33, 100, 1024, 1056, 1057, 32_768, 32_799, 32_800, 33_000])
@pytest.mark.parametrize("added", [1, 31, 32, 65, 1_025, 33_900])
def test_extended_and_read_in_parts(first: int, added: int) -> None:
    """Many items at once make the nodes that one at a time make, and parts are read as they stand."""
    whole = Vector.of(range(first + added))
    extended = Vector.of(range(first)).extend(range(first, first + added))
    assert extended.tail == whole.tail
    assert _nodes(extended.root) == _nodes(whole.root)
    for start in (0, 5, 32, first, first + added - 1):
        for stop in (start, first + added, min(start + 1_000, first + added)):
            assert whole.some(start, stop) == list(range(start, stop))


def _nodes(node: Any) -> Any:
    if node is None or not node.shift:
        return node and (node.children, node.size)
    return [node.shift, node.size, *map(_nodes, node.children)]
