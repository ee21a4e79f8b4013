"""Persistent vectors: a tuple of up to 32 items, beyond that a 32-way trie of visible nodes with a tail.

The tail holds the last 1 to 32 items and the trie full blocks of 32, so that appending copies one small tuple.  Nodes
are heap objects of their own: a changed item makes one new node a level, and an image writes only those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Any

from flowmetal.values.base import Collection, Heap, Value
from flowmetal.values.errors import fail, shortly
from flowmetal.values.keys import identical

WIDTH = 32
"""Items of a block and children of a node."""


class VectorNode(Heap):
    """A node of the trie.

    At `shift` 0 the children are 32 items; above, 1 to 32 nodes of shift - 5, all full but the last.  `size` counts the
    items below; the node is full at 1 << (shift + 5).
    """

    __slots__ = ("children", "shift", "size")

    def __init__(self, children: tuple[Any, ...], shift: int, size: int) -> None:
        self.children = children
        self.shift = shift
        self.size = size
        self.owner = None


def _path(shift: int, leaf: VectorNode) -> VectorNode:
    """A branch of single children from `shift` down to a leaf."""
    node = leaf
    for level in range(5, shift + 1, 5):
        node = VectorNode((node,), level, WIDTH)
    return node


def _push(node: VectorNode, leaf: VectorNode) -> VectorNode:
    """A node that is not full, with one more leaf at its end.  The depth is that of the trie, six at most."""
    children, shift = node.children, node.shift
    if shift == 5:
        children = (*children, leaf)
    else:
        last = children[-1]
        if last.size == 1 << shift:
            children = (*children, _path(shift - 5, leaf))
        else:
            children = (*children[:-1], _push(last, leaf))
    return VectorNode(children, shift, node.size + WIDTH)


def _push_root(root: VectorNode | None, leaf: VectorNode) -> VectorNode:
    if root is None:
        return VectorNode((leaf,), 5, WIDTH)
    if root.size == 1 << (root.shift + 5):
        return VectorNode((root, _path(root.shift, leaf)), root.shift + 5, root.size + WIDTH)
    return _push(root, leaf)


def _filled(shift: int, leaves: list[VectorNode], at: int) -> tuple[VectorNode, int]:
    """A node of leaves from `at` on, as many as it takes, and where those begin that are left."""
    children: list[Any] = []
    if shift == 5:
        children = leaves[at : at + WIDTH]
        at += len(children)
    else:
        while at < len(leaves) and len(children) < WIDTH:
            child, at = _filled(shift - 5, leaves, at)
            children.append(child)
    return VectorNode(tuple(children), shift, sum(child.size for child in children)), at


def _push_all(node: VectorNode, leaves: list[VectorNode], at: int) -> tuple[VectorNode, int]:
    """A node with leaves from `at` on put at its end, as many as it takes, and where those begin that are left."""
    children, shift = list(node.children), node.shift
    if shift == 5:
        added = leaves[at : at + WIDTH - len(children)]
        children += added
        at += len(added)
    else:
        if children[-1].size < 1 << shift:
            children[-1], at = _push_all(children[-1], leaves, at)
        while at < len(leaves) and len(children) < WIDTH:
            child, at = _filled(shift - 5, leaves, at)
            children.append(child)
    return VectorNode(tuple(children), shift, sum(child.size for child in children)), at


def _set(node: VectorNode, index: int, value: Value) -> VectorNode:
    children = list(node.children)
    if node.shift:
        place = (index >> node.shift) & 31
        children[place] = _set(children[place], index, value)
    else:
        children[index & 31] = value
    return VectorNode(tuple(children), node.shift, node.size)


def _set_all(node: VectorNode, changes: dict[int, Value]) -> VectorNode:
    """The node with items changed, by their index in the vector."""
    children = list(node.children)
    shift = node.shift
    if shift:
        groups: dict[int, dict[int, Value]] = {}
        for index, value in changes.items():
            groups.setdefault((index >> shift) & 31, {})[index] = value
        for place, group in groups.items():
            children[place] = _set_all(children[place], group)
    else:
        for index, value in changes.items():
            children[index & 31] = value
    return VectorNode(tuple(children), shift, node.size)


def _set_blocks(node: VectorNode, blocks: list[int], items: list[Value]) -> VectorNode:
    """The node with some blocks of 32 items, by number in rising order, taken from `items`, which has all."""
    children = list(node.children)
    below = node.shift - 5
    if not below:
        for block in blocks:
            children[block & 31] = VectorNode(tuple(items[block << 5 : (block + 1) << 5]), 0, WIDTH)
        return VectorNode(tuple(children), node.shift, node.size)
    for place, group in groupby(blocks, lambda block: (block >> below) & 31):
        children[place] = _set_blocks(children[place], list(group), items)
    return VectorNode(tuple(children), node.shift, node.size)


def _drop_leaf(node: VectorNode) -> VectorNode | None:
    """The node without its last leaf, or None if nothing is left."""
    children = node.children[:-1]
    if node.shift > 5:
        last = _drop_leaf(node.children[-1])
        if last is not None:
            children = (*children, last)
    return VectorNode(children, node.shift, node.size - WIDTH) if children else None


def _build(items: tuple[Any, ...]) -> VectorNode:
    """The trie of items whose number is a multiple of 32 and not zero."""
    nodes = [VectorNode(items[start : start + WIDTH], 0, WIDTH) for start in range(0, len(items), WIDTH)]
    shift = 0
    while len(nodes) > 1 or shift == 0:
        shift += 5
        groups = (tuple(nodes[start : start + WIDTH]) for start in range(0, len(nodes), WIDTH))
        nodes = [VectorNode(group, shift, sum(child.size for child in group)) for group in groups]
    return nodes[0]


def _blocks(root: VectorNode, start: int) -> Iterator[tuple[Any, ...]]:
    """The blocks of 32 items from the one that holds item `start` on."""
    stack = [root]
    skip = start
    while stack:
        node = stack.pop()
        if node.size <= skip:
            skip -= node.size
        elif node.shift:
            stack.extend(reversed(node.children))
        else:
            skip = 0
            yield node.children


class Vector(Collection):
    """A persistent vector.  Built by `Vector.of`; the constructor takes a tail and the root of the trie as they are."""

    __slots__ = ("root", "tail")

    def __init__(self, tail: tuple[Any, ...], root: VectorNode | None = None, meta: Any = None) -> None:
        self.tail = tail
        self.root = root
        self.meta = meta
        self.hash = None
        self.owner = None

    @staticmethod
    def of(items: Iterable[Value]) -> Vector:
        """The vector of these items."""
        return Vector.from_tuple(tuple(items))

    @staticmethod
    def from_tuple(items: tuple[Value, ...]) -> Vector:
        """The vector of the items of a tuple, which is taken as it is when it is short."""
        count = len(items)
        if count <= WIDTH:
            return Vector(items) if count else EMPTY_VECTOR
        cut = (count - 1) // WIDTH * WIDTH
        return Vector(items[cut:], _build(items[:cut]))

    def __len__(self) -> int:
        root = self.root
        return len(self.tail) if root is None else root.size + len(self.tail)

    def get(self, index: int) -> Value:
        """The item at an index; raises an error of kind :index outside 0 <= index < length."""
        root = self.root
        if root is None:
            if 0 <= index < len(self.tail):
                return self.tail[index]
        elif index >= root.size:
            if index < root.size + len(self.tail):
                return self.tail[index - root.size]
        elif index >= 0:
            node = root
            shift = root.shift
            while shift:
                node = node.children[(index >> shift) & 31]
                shift -= 5
            return node.children[index & 31]
        fail("index", f"index {shortly(index)} is outside a vector of {len(self)}", index)

    def assoc(self, index: int, value: Value) -> Vector:
        """The vector with another item at an index; at the length it appends."""
        root = self.root
        start = 0 if root is None else root.size
        end = start + len(self.tail)
        if index == end:
            return self.conj(value)
        if not 0 <= index < end:
            fail("index", f"index {shortly(index)} is outside a vector of {end}", index)
        if identical(self.get(index), value) and self.tail.__class__ is tuple:
            return self
        if index >= start:
            tail = list(self.tail)
            tail[index - start] = value
            return Vector(tuple(tail), root, self.meta)
        assert root is not None
        return Vector(self.tail, _set(root, index, value), self.meta)

    def assoc_all(self, changes: dict[int, Value]) -> Vector:
        """The vector with other items at some of its indexes, each of them changed."""
        root, tail = self.root, list(self.tail)
        start = 0 if root is None else root.size
        below: dict[int, Value] = {}
        for index, value in changes.items():
            if index >= start:
                tail[index - start] = value
            else:
                below[index] = value
        if below and root is not None:
            root = _set_all(root, below)
        return Vector(tuple(tail) if len(below) < len(changes) else self.tail, root, self.meta)

    def with_blocks(self, blocks: set[int], items: list[Value]) -> Vector:
        """The vector with some blocks of 32 items, by number, taken from `items`, which has all items."""
        root = self.root
        start = 0 if root is None else root.size
        below = sorted(block for block in blocks if block << 5 < start)
        if below and root is not None:
            root = _set_blocks(root, below, items)
        return Vector(tuple(items[start:]) if len(below) < len(blocks) else self.tail, root, self.meta)

    def conj(self, value: Value) -> Vector:
        """The vector with one more item at its end."""
        tail = self.tail
        if len(tail) < WIDTH:
            return Vector((*tail, value), self.root, self.meta)
        return Vector((value,), _push_root(self.root, VectorNode(tail, 0, WIDTH)), self.meta)

    def extend(self, items: Iterable[Value]) -> Vector:
        """The vector with these items at its end."""
        added = tuple(items)
        if not added:
            return self
        every = self.tail + added
        root = self.root
        if root is None and len(every) <= WIDTH:
            return Vector(every, None, self.meta)
        cut = (len(every) - 1) // WIDTH * WIDTH
        if root is None:
            return Vector(every[cut:], _build(every[:cut]) if cut else None, self.meta)
        leaves = [VectorNode(every[start : start + WIDTH], 0, WIDTH) for start in range(0, cut, WIDTH)]
        at = 0
        while at < len(leaves):
            if root.size == 1 << (root.shift + 5):
                root = _push_root(root, leaves[at])
                at += 1
            else:
                root, at = _push_all(root, leaves, at)
        return Vector(every[cut:], root, self.meta)

    def pop(self) -> Vector:
        """The vector without its last item; an error of kind :index when it is empty."""
        tail, root = self.tail, self.root
        if len(tail) > 1:
            return Vector(tail[:-1], root, self.meta)
        if root is None:
            if not tail:
                fail("index", "an empty vector has no last item to take away")
            return EMPTY_VECTOR if self.meta is None else Vector((), None, self.meta)
        last = root
        while last.shift:
            last = last.children[-1]
        left = _drop_leaf(root)
        while left is not None and left.shift > 5 and len(left.children) == 1:
            left = left.children[0]
        return Vector(last.children, left, self.meta)

    def peek(self) -> Value:
        """The last item, nil when there is none."""
        return self.tail[-1] if self.tail else None

    def slice(self, start: int, end: int | None = None) -> Vector:
        """The items from `start` up to `end`; an error of kind :index when they are not within the vector."""
        count = len(self)
        stop = count if end is None else end
        if not 0 <= start <= stop <= count:
            fail("index", f"items {shortly(start)} to {shortly(stop)} are outside a vector of {shortly(count)}")
        return Vector.of(islice(self.iter_from(start), stop - start))

    def __iter__(self) -> Iterator[Value]:
        root = self.root
        if root is None:
            return iter(self.tail)
        return chain(chain.from_iterable(_blocks(root, 0)), self.tail)

    def iter_from(self, start: int) -> Iterator[Value]:
        """The items from an index on; it takes time in the depth of the trie to begin."""
        root = self.root
        if root is None:
            return iter(self.tail[start:])
        if start >= root.size:
            return iter(self.tail[start - root.size :])
        items = chain.from_iterable(_blocks(root, start))
        return chain(islice(items, start & 31, None), self.tail)

    def some(self, start: int, stop: int) -> list[Value]:
        """The items from `start` up to `stop`, which are in the vector."""
        root = self.root
        if root is None:
            return list(self.tail[start:stop])
        found: list[Value] = []
        skipped, place, end = start & 31, start & ~31, min(stop, root.size)
        while place < end:
            node = root
            while node.shift > 5:
                node = node.children[(place >> node.shift) & 31]
            last = min(end, (place | 1023) + 1)
            for leaf in node.children[(place >> 5) & 31 : ((last - 1) >> 5 & 31) + 1]:
                found += leaf.children
            place = last
        found += self.tail
        del found[stop - (start & ~31) if start < root.size else stop - root.size :]
        del found[: skipped if start < root.size else start - root.size]
        return found

    def __reversed__(self) -> Iterator[Value]:
        yield from reversed(tuple(self))


EMPTY_VECTOR = Vector(())


class Pair(tuple[Any, Any]):
    """The tail of a map entry.

    An entry is a vector of two in every way; this class alone tells the two apart.  Whatever makes another vector of it
    makes a plain tuple, so only the entry itself is one.
    """

    __slots__ = ()


def entry(key: Value, value: Value) -> Vector:
    """The entry of a map."""
    return Vector(Pair((key, value)))


def is_entry(value: Value) -> bool:
    """Whether the value is an entry of a map, not just a vector of two."""
    return value.__class__ is Vector and value.tail.__class__ is Pair


class VectorSeq(Collection):
    """A sequence over the items of a vector from `start` on; never empty."""

    __slots__ = ("start", "vector")

    def __init__(self, vector: Vector, start: int = 0, meta: Any = None) -> None:
        self.vector = vector
        self.start = start
        self.meta = meta
        self.hash = None
        self.owner = None

    @staticmethod
    def of(items: Iterable[Value]) -> VectorSeq | None:
        """The sequence of these items, nil when there are none."""
        vector = Vector.of(items)
        return VectorSeq(vector, 0) if len(vector) else None

    def __len__(self) -> int:
        return len(self.vector) - self.start

    @property
    def first(self) -> Value:
        """The first item."""
        return self.vector.get(self.start)

    def next(self) -> VectorSeq | None:
        """The sequence after the first item, None at the end."""
        start = self.start + 1
        return VectorSeq(self.vector, start) if start < len(self.vector) else None

    def get(self, index: int) -> Value:
        """The item at an index; an error of kind :index outside the sequence."""
        if index < 0:
            fail("index", f"index {shortly(index)} is outside a sequence of {len(self)}", index)
        return self.vector.get(self.start + index)

    def __iter__(self) -> Iterator[Value]:
        start = self.start
        return self.vector.iter_from(start) if start else iter(self.vector)
