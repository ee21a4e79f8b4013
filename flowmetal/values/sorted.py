"""Sorted maps and sets: persistent weight-balanced trees with visible nodes, in the natural order of `compare`.

Two keys are the same key when `compare` gives 0 for them.  The recursion is bounded by the height of a balanced tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowmetal.values.base import Collection, Heap, Value
from flowmetal.values.compare import compare
from flowmetal.values.keys import identical, key_of
from flowmetal.values.vector import Pair, Vector

_DELTA, _RATIO = 3, 2  # the balance parameters of Hirai and Yamamoto, proven to work together


class SortedNode(Heap):
    """A node of the tree: a key, its value (nil in a set), two subtrees; `size` counts the keys from here on down."""

    __slots__ = ("key", "left", "right", "size", "value")

    size: int

    def __init__(self, key: Value, value: Value, left: SortedNode | None, right: SortedNode | None) -> None:
        self.key = key
        self.value = value
        self.left = left
        self.right = right
        self.size = (0 if left is None else left.size) + (0 if right is None else right.size) + 1
        self.owner = None


_Tree = SortedNode | None


def _weight(node: _Tree) -> int:
    return 1 if node is None else node.size + 1


def balanced(left: _Tree, right: _Tree) -> bool:
    """Whether two trees may be the sides of one node."""
    a, b = _weight(left), _weight(right)
    return _DELTA * a >= b and _DELTA * b >= a


def _join(key: Value, value: Value, left: _Tree, right: _Tree) -> SortedNode:
    """A node over two trees of which one has changed by one key; rotates where needed."""
    a, b = _weight(left), _weight(right)
    if _DELTA * a < b:
        assert right is not None
        inner = right.left
        if _weight(inner) < _RATIO * _weight(right.right):
            return SortedNode(right.key, right.value, SortedNode(key, value, left, inner), right.right)
        assert inner is not None
        return SortedNode(
            inner.key,
            inner.value,
            SortedNode(key, value, left, inner.left),
            SortedNode(right.key, right.value, inner.right, right.right),
        )
    if _DELTA * b < a:
        assert left is not None
        inner = left.right
        if _weight(inner) < _RATIO * _weight(left.left):
            return SortedNode(left.key, left.value, left.left, SortedNode(key, value, inner, right))
        assert inner is not None
        return SortedNode(
            inner.key,
            inner.value,
            SortedNode(left.key, left.value, left.left, inner.left),
            SortedNode(key, value, inner.right, right),
        )
    return SortedNode(key, value, left, right)


def _put(node: _Tree, key: Value, value: Value) -> SortedNode:
    if node is None:
        return SortedNode(key, value, None, None)
    order = compare(key, node.key)
    if order < 0:
        left = _put(node.left, key, value)
        return node if left is node.left else _join(node.key, node.value, left, node.right)
    if order > 0:
        right = _put(node.right, key, value)
        return node if right is node.right else _join(node.key, node.value, node.left, right)
    return node if identical(node.value, value) else SortedNode(node.key, value, node.left, node.right)


def _take_first(node: SortedNode) -> tuple[SortedNode, _Tree]:
    """The leftmost node, and the tree without it."""
    if node.left is None:
        return node, node.right
    first, left = _take_first(node.left)
    return first, _join(node.key, node.value, left, node.right)


def _drop(node: _Tree, key: Value) -> _Tree:
    if node is None:
        return None
    order = compare(key, node.key)
    if order < 0:
        left = _drop(node.left, key)
        return node if left is node.left else _join(node.key, node.value, left, node.right)
    if order > 0:
        right = _drop(node.right, key)
        return node if right is node.right else _join(node.key, node.value, node.left, right)
    if node.left is None:
        return node.right
    if node.right is None:
        return node.left
    first, right = _take_first(node.right)
    return _join(first.key, first.value, node.left, right)


def _search(node: _Tree, key: Value) -> _Tree:
    while node is not None:
        order = compare(key, node.key)
        if order == 0:
            return node
        node = node.left if order < 0 else node.right
    return None


def _walk(node: _Tree) -> Iterator[SortedNode]:
    stack: list[SortedNode] = []
    while stack or node is not None:
        while node is not None:
            stack.append(node)
            node = node.left
        node = stack.pop()
        yield node
        node = node.right


def _walk_back(node: _Tree) -> Iterator[SortedNode]:
    stack: list[SortedNode] = []
    while stack or node is not None:
        while node is not None:
            stack.append(node)
            node = node.right
        node = stack.pop()
        yield node
        node = node.left


def _walk_from(node: _Tree, key: Value, ascending: bool) -> Iterator[SortedNode]:
    """The nodes from `key` on (it included), upwards or downwards."""
    stack: list[SortedNode] = []
    while node is not None:
        order = compare(node.key, key)
        if (order >= 0) if ascending else (order <= 0):
            stack.append(node)
            node = node.left if ascending else node.right
        else:
            node = node.right if ascending else node.left
    while stack:
        top = stack.pop()
        yield top
        node = top.right if ascending else top.left
        while node is not None:
            stack.append(node)
            node = node.left if ascending else node.right


class _Sorted(Collection):
    """What sorted maps and sets have in common: a tree, or None."""

    __slots__ = ("root",)

    def __init__(self, root: SortedNode | None = None, meta: Any = None) -> None:
        self.root = root
        self.meta = meta
        self.hash = None
        self.owner = None

    def __len__(self) -> int:
        return 0 if self.root is None else self.root.size

    def find(self, key: Value) -> SortedNode | None:
        """The node of a key, or None."""
        return _search(self.root, key)

    def contains(self, key: Value) -> bool:
        """Whether the key is there."""
        return _search(self.root, key) is not None

    __contains__ = contains

    def nodes(self) -> Iterator[SortedNode]:
        """The nodes in order."""
        return _walk(self.root)

    def nodes_back(self) -> Iterator[SortedNode]:
        """The nodes in the opposite order."""
        return _walk_back(self.root)

    def nodes_from(self, key: Value, ascending: bool = True) -> Iterator[SortedNode]:
        """The nodes from a key on (it included), in order or in the opposite one."""
        return _walk_from(self.root, key, ascending)


class SortedMap(_Sorted):
    """A persistent map in the order of its keys."""

    __slots__ = ()

    @staticmethod
    def of(pairs: Iterable[Iterable[Value]]) -> SortedMap:
        """The sorted map of these (key, value) pairs; of equal keys the last value holds."""
        root: _Tree = None
        for key, value in pairs:
            root = _put(root, settled(key), value)
        return SortedMap(root)

    def get(self, key: Value, default: Value = None) -> Value:
        """The value of a key, or the default."""
        node = _search(self.root, key)
        return default if node is None else node.value

    def assoc(self, key: Value, value: Value) -> SortedMap:
        """The map with an entry added or changed."""
        if self.root is None:
            compare(key, key)
        root = _put(self.root, settled(key), value)
        return self if root is self.root else SortedMap(root, self.meta)

    def dissoc(self, key: Value) -> SortedMap:
        """The map without a key."""
        root = _drop(self.root, key)
        return self if root is self.root else SortedMap(root, self.meta)

    def items(self) -> Iterator[tuple[Value, Value]]:
        """The entries as (key, value), in order."""
        return ((node.key, node.value) for node in _walk(self.root))

    def keys(self) -> Iterator[Value]:
        """The keys, in order."""
        return (node.key for node in _walk(self.root))

    def values(self) -> Iterator[Value]:
        """The values, in the order of the keys."""
        return (node.value for node in _walk(self.root))

    def __iter__(self) -> Iterator[Vector]:
        """The entries."""
        return (Vector(Pair((node.key, node.value))) for node in _walk(self.root))


class SortedSet(_Sorted):
    """A persistent set in the order of its items."""

    __slots__ = ()

    @staticmethod
    def of(items: Iterable[Value]) -> SortedSet:
        """The sorted set of these items."""
        root: _Tree = None
        for item in items:
            root = _put(root, settled(item), None)
        return SortedSet(root)

    def get(self, item: Value, default: Value = None) -> Value:
        """The item of the set that compares equal, or the default."""
        node = _search(self.root, item)
        return default if node is None else node.key

    def conj(self, item: Value) -> SortedSet:
        """The set with an item added."""
        if self.root is None:
            compare(item, item)
        root = _put(self.root, settled(item), None)
        return self if root is self.root else SortedSet(root, self.meta)

    def disj(self, item: Value) -> SortedSet:
        """The set without an item."""
        root = _drop(self.root, item)
        return self if root is self.root else SortedSet(root, self.meta)

    def __iter__(self) -> Iterator[Value]:
        return (node.key for node in _walk(self.root))


def settled(key: Value) -> Value:
    """A key as it is kept: only vectors can be composite here, and they must not hold lazy parts."""
    return key_of(key) if key.__class__ is Vector else key


EMPTY_SORTED_MAP = SortedMap()
EMPTY_SORTED_SET = SortedSet()
