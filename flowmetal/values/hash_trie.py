"""The hash trie under large maps and sets: 32-way nodes, leaves that are small dicts.

Keys are dict keys (see keys.py).  A leaf is split when it grows past LEAF_MAX; once all 32 bits of the hash are used up
it grows up to COLLISIONS_MAX, so that keys of equal hash share one leaf.  Iteration goes by hash and, within a leaf, by
age; it depends on the entries and the order they came in, on nothing else.  Nodes are heap objects: a change makes one
new node a level.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmetal.values.base import MISSING, Heap, Value
from flowmetal.values.errors import fail
from flowmetal.values.hashing import HASHERS
from flowmetal.values.keys import identical

LEAF_MAX = 24  # entries of a leaf: copying a dict of this size costs about what copying a node does
SMALL_MAX = 16  # entries of a small map or set, which is one dict; also what a shrinking node collapses at
COLLISIONS_MAX = 1024  # keys of one and the same hash: it is chance or cells up to here, and an attack beyond
SHIFT_END = 35  # the shift at which the 32 bits of the hash are used up


class HashLeaf(Heap):
    """A leaf: a dict of 1 to LEAF_MAX entries (more where hashes collide), never changed once made."""

    __slots__ = ("size", "table")

    def __init__(self, table: dict[Any, Value]) -> None:
        self.table = table
        self.size = len(table)
        self.owner = None


class HashNode(Heap):
    """A node: a tuple of 32 children, each a HashNode, a HashLeaf or None; `size` counts the entries below.

    The five bits of the hash from `shift` on tell the child.
    """

    __slots__ = ("children", "shift", "size")

    def __init__(self, children: tuple[HashNode | HashLeaf | None, ...], size: int, shift: int) -> None:
        self.children = children
        self.size = size
        self.shift = shift
        self.owner = None


Trie = HashNode | HashLeaf


def hash_key(key: Any) -> int:
    """The stable hash of a dict key."""
    return HASHERS[key.__class__](key)


def build(table: dict[Any, Value], shift: int = 0) -> Trie:
    """The trie of the entries of a dict, which is taken over."""
    if len(table) <= LEAF_MAX or shift >= SHIFT_END:
        return _leaf(table)
    return _spread([(hash_key(key), key, value) for key, value in table.items()], shift)


def _leaf(table: dict[Any, Value]) -> HashLeaf:
    if len(table) > COLLISIONS_MAX:
        fail("limit", f"more than {COLLISIONS_MAX} keys have the same hash")
    return HashLeaf(table)


def _spread(entries: list[tuple[int, Any, Value]], shift: int) -> Trie:
    if len(entries) <= LEAF_MAX or shift >= SHIFT_END:
        return _leaf({key: value for _, key, value in entries})
    groups: list[list[tuple[int, Any, Value]]] = [[] for _ in range(32)]
    for entry in entries:
        groups[(entry[0] >> shift) & 31].append(entry)
    children = tuple([_spread(group, shift + 5) if group else None for group in groups])
    return HashNode(children, len(entries), shift)


def find(node: Trie, key: Any) -> Value:
    """The value of a key, or MISSING."""
    place = HASHERS[key.__class__](key)
    below: Any = node
    while below.__class__ is HashNode:
        below = below.children[place & 31]
        place >>= 5
    return MISSING if below is None else below.table.get(key, MISSING)


def leaf_of(node: Trie, place: int) -> dict[Any, Value]:
    """The table of the leaf where keys of this hash are."""
    below: Any = node
    while below.__class__ is HashNode:
        below = below.children[place & 31]
        place >>= 5
    return {} if below is None else below.table


def assoc(node: Any, shift: int, place: int, key: Any, value: Value) -> Any:
    """The trie with an entry added or changed, `place` being the hash of the key; the same one if nothing changed.

    The recursion is bounded by the depth of a trie, eight levels.
    """
    if node.__class__ is HashNode:
        children = node.children
        index = (place >> shift) & 31
        child = children[index]
        if child is None:
            below: Trie = HashLeaf({key: value})
            size = node.size + 1
        else:
            below = assoc(child, shift + 5, place, key, value)
            if below is child:
                return node
            size = node.size + below.size - child.size
        changed = list(children)
        changed[index] = below
        return HashNode(tuple(changed), size, shift)
    table = node.table
    old = table.get(key, MISSING)
    if old is not MISSING and identical(old, value):
        return node
    table = table.copy()
    table[key] = value
    return build(table, shift)


def assoc_all(node: Any, shift: int, changes: dict[Any, Value]) -> Any:
    """The trie with entries added or changed, each with a new path to it; what they would make one after the other."""
    hashed = [(hash_key(key), key, value) for key, value in changes.items()]
    return _assoc_all(node, shift, hashed)


def _assoc_all(node: Any, shift: int, changes: list[tuple[int, Any, Value]]) -> Any:
    if node.__class__ is HashNode:
        children = list(node.children)
        groups: dict[int, list[tuple[int, Any, Value]]] = {}
        for change in changes:
            groups.setdefault((change[0] >> shift) & 31, []).append(change)
        size = node.size
        for index, group in groups.items():
            child = children[index]
            if child is None:
                below = build({key: value for _, key, value in group}, shift + 5)
                size += below.size
            else:
                below = _assoc_all(child, shift + 5, group)
                size += below.size - child.size
            children[index] = below
        return HashNode(tuple(children), size, shift)
    table = node.table.copy()
    for _, key, value in changes:
        table[key] = value
    return build(table, shift)


def dissoc(node: Any, shift: int, place: int, key: Any) -> Any:
    """The trie without a key; the same one if it was not there, None if nothing is left.

    A node left with few entries becomes a leaf again, so that a map that shrinks does not stay spread out.
    """
    if node.__class__ is HashNode:
        children = node.children
        index = (place >> shift) & 31
        child = children[index]
        if child is None:
            return node
        below = dissoc(child, shift + 5, place, key)
        if below is child:
            return node
        size = node.size - 1
        if size == 0:
            return None
        changed = list(children)
        changed[index] = below
        smaller = HashNode(tuple(changed), size, shift)
        return HashLeaf(dict(entries(smaller))) if size <= SMALL_MAX else smaller
    if key not in node.table:
        return node
    if node.size == 1:
        return None
    table = node.table.copy()
    del table[key]
    return HashLeaf(table)


def entries(node: Trie) -> Iterator[tuple[Any, Value]]:
    """The entries (dict key, value) in order."""
    stack: list[Any] = [node]
    while stack:
        below = stack.pop()
        if below.__class__ is HashLeaf:
            yield from below.table.items()
        else:
            stack.extend([child for child in reversed(below.children) if child is not None])
