"""Sorted maps and sets: persistent weight-balanced trees with visible nodes.

The order is that of `compare`: two keys are the same key when it gives 0 for them.  A collection with an `order` is
ordered by a function of the program instead.  It knows its keys by place only: what looks for one raises NeedsProgram,
and the program finds the place.  The recursion is bounded by the height of a balanced tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from flowmetal.values.base import Collection, Heap, Value
from flowmetal.values.compare import check_ordered, compare
from flowmetal.values.errors import NeedsProgram
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


class OrderedNode(SortedNode):
    """A node of a tree whose order is the program's."""

    __slots__ = ()


_Tree = SortedNode | None


def _weight(node: _Tree) -> int:
    return 1 if node is None else node.size + 1


def balanced(left: _Tree, right: _Tree) -> bool:
    """Whether two trees may be the sides of one node."""
    a, b = _weight(left), _weight(right)
    return _DELTA * a >= b and _DELTA * b >= a


def _join(key: Value, value: Value, left: _Tree, right: _Tree, node: type[SortedNode] = SortedNode) -> SortedNode:
    """A node of a class over two trees of which one has changed by one key; rotates where needed."""
    a, b = _weight(left), _weight(right)
    if _DELTA * a < b:
        assert right is not None
        inner = right.left
        if _weight(inner) < _RATIO * _weight(right.right):
            return node(right.key, right.value, node(key, value, left, inner), right.right)
        assert inner is not None
        return node(
            inner.key,
            inner.value,
            node(key, value, left, inner.left),
            node(right.key, right.value, inner.right, right.right),
        )
    if _DELTA * b < a:
        assert left is not None
        inner = left.right
        if _weight(inner) < _RATIO * _weight(left.left):
            return node(left.key, left.value, left.left, node(key, value, inner, right))
        assert inner is not None
        return node(
            inner.key,
            inner.value,
            node(left.key, left.value, left.left, inner.left),
            node(key, value, inner.right, right),
        )
    return node(key, value, left, right)


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


def node_at(node: SortedNode, index: int) -> SortedNode:
    """The node at a place of the tree, which must be within it."""
    while True:
        before = 0 if node.left is None else node.left.size
        if index == before:
            return node
        if index < before:
            node = node.left  # type: ignore[assignment]
        else:
            node = node.right  # type: ignore[assignment]
            index -= before + 1


def insert_at(node: _Tree, index: int, key: Value, value: Value) -> SortedNode:
    """The tree with one more key at a place; of ordered nodes."""
    if node is None:
        return OrderedNode(key, value, None, None)
    before = 0 if node.left is None else node.left.size
    if index <= before:
        return _join(node.key, node.value, insert_at(node.left, index, key, value), node.right, OrderedNode)
    right = insert_at(node.right, index - before - 1, key, value)
    return _join(node.key, node.value, node.left, right, OrderedNode)


def replace_at(node: SortedNode, index: int, value: Value) -> SortedNode:
    """The tree with another value at a place; of ordered nodes."""
    left, right = node.left, node.right
    before = 0 if left is None else left.size
    if index == before:
        return OrderedNode(node.key, value, left, right)
    if left is not None and index < before:
        left = replace_at(left, index, value)
    else:
        assert right is not None
        right = replace_at(right, index - before - 1, value)
    return OrderedNode(node.key, node.value, left, right)


def remove_at(node: SortedNode, index: int) -> _Tree:
    """The tree without the key at a place; of ordered nodes."""
    left, right = node.left, node.right
    before = 0 if left is None else left.size
    if left is not None and index < before:
        return _join(node.key, node.value, remove_at(left, index), right, OrderedNode)
    if right is not None and index > before:
        return _join(node.key, node.value, left, remove_at(right, index - before - 1), OrderedNode)
    if left is None or right is None:
        return right if left is None else left
    first = node_at(right, 0)
    return _join(first.key, first.value, left, remove_at(right, 0), OrderedNode)


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


def _ask(order: Any) -> NoReturn:
    raise NeedsProgram(order, "the order of this collection is a function of the program, which cannot be asked here")


class _Sorted(Collection):
    """What sorted maps and sets have in common: a tree, or None; the function that orders it, or None."""

    __slots__ = ("order", "root")

    def __init__(self, root: SortedNode | None = None, meta: Any = None, order: Any = None) -> None:
        self.root = root
        self.order = order
        self.meta = meta
        self.hash = None
        self.owner = None

    def __len__(self) -> int:
        return 0 if self.root is None else self.root.size

    def find(self, key: Value) -> SortedNode | None:
        """The node of a key, or None."""
        if self.order is not None:
            _ask(self.order)
        return _search(self.root, key)

    def contains(self, key: Value) -> bool:
        """Whether the key is there."""
        return self.find(key) is not None

    __contains__ = contains

    def nodes(self) -> Iterator[SortedNode]:
        """The nodes in order."""
        return _walk(self.root)

    def nodes_back(self) -> Iterator[SortedNode]:
        """The nodes in the opposite order."""
        return _walk_back(self.root)

    def nodes_from(self, key: Value, ascending: bool = True) -> Iterator[SortedNode]:
        """The nodes from a key on (it included), in order or in the opposite one."""
        if self.order is not None:
            _ask(self.order)
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
        node = self.find(key)
        return default if node is None else node.value

    def assoc(self, key: Value, value: Value) -> SortedMap:
        """The map with an entry added or changed."""
        if self.order is not None:
            _ask(self.order)
        check_ordered(key)
        root = _put(self.root, settled(key), value)
        return self if root is self.root else SortedMap(root, self.meta)

    def dissoc(self, key: Value) -> SortedMap:
        """The map without a key."""
        if self.order is not None:
            _ask(self.order)
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
        node = self.find(item)
        return default if node is None else node.key

    def conj(self, item: Value) -> SortedSet:
        """The set with an item added."""
        if self.order is not None:
            _ask(self.order)
        check_ordered(item)
        root = _put(self.root, settled(item), None)
        return self if root is self.root else SortedSet(root, self.meta)

    def disj(self, item: Value) -> SortedSet:
        """The set without an item."""
        if self.order is not None:
            _ask(self.order)
        root = _drop(self.root, item)
        return self if root is self.root else SortedSet(root, self.meta)

    def __iter__(self) -> Iterator[Value]:
        return (node.key for node in _walk(self.root))


def settled(key: Value) -> Value:
    """A key as it is kept: only vectors can be composite here, and they must not hold lazy parts."""
    return key_of(key) if key.__class__ is Vector else key


EMPTY_SORTED_MAP = SortedMap()
EMPTY_SORTED_SET = SortedSet()
