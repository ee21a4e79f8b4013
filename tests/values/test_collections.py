"""Persistent collections against Python's own, with every version kept and checked again at the end."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.values import (
    EMPTY_LIST,
    EMPTY_MAP,
    EMPTY_SET,
    EMPTY_VECTOR,
    Cell,
    HashLeaf,
    HashNode,
    LanguageError,
    List,
    Map,
    Range,
    Set,
    SortedMap,
    SortedSet,
    TransientMap,
    TransientSet,
    TransientVector,
    Vector,
    VectorSeq,
    hash_of,
    keyword,
)

SIZES = [0, 1, 16, 17, 24, 25, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 1056, 1057, 1088, 1089, 33000]


@pytest.mark.parametrize("size", SIZES)
def test_vector_sizes(size: int) -> None:
    grown = EMPTY_VECTOR
    for item in range(size):
        grown = grown.conj(item)
    built = Vector.of(range(size))
    assert list(grown) == list(built) == list(range(size))
    assert grown == built and len(built) == size
    assert [built.get(index) for index in range(0, size, 7)] == list(range(0, size, 7))
    assert list(built.iter_from(size // 2)) == list(range(size // 2, size))
    extended = built.extend(range(size, 2 * size + 5))
    assert list(extended) == list(range(2 * size + 5))
    assert list(built.slice(size // 3, size)) == list(range(size // 3, size))
    if size:
        assert list(VectorSeq(built, size - 1)) == [size - 1]
        assert list(built.pop()) == list(range(size - 1))


def test_vector_pops_to_nothing() -> None:
    vector = Vector.of(range(2100))
    for left in range(2099, -1, -1):
        vector = vector.pop()
        assert len(vector) == left
        if left % 97 == 0:
            assert list(vector) == list(range(left))
    assert vector is EMPTY_VECTOR


@pytest.mark.parametrize("size", [3, 100])
def test_vector_index_errors(size: int) -> None:
    vector = Vector.of(range(size))
    for act in (
        *(partial(vector.get, index) for index in (-1, size, 10**30, -(10**30))),
        *(partial(vector.assoc, index, 0) for index in (-1, size + 1, 10**30)),
        *(partial(vector.slice, *ends) for ends in ((-1, 1), (2, 1), (0, size + 1))),
        *(partial(VectorSeq(vector, 1).get, index) for index in (-1, size - 1)),
        partial(Range(0, size).get, size),
        EMPTY_VECTOR.pop,
    ):
        with pytest.raises(LanguageError) as caught:
            act()
        assert caught.value.error.kind is keyword("index")


VECTOR_STEPS = st.lists(
    st.tuples(st.sampled_from(["conj", "pop", "assoc", "extend"]), st.integers(0, 5000), st.integers(0, 200)),
    max_size=40,
)


@given(st.integers(0, 1100), VECTOR_STEPS)
def test_vector_model(size: int, steps: list[tuple[str, int, int]]) -> None:
    vector, plain = Vector.of(range(size)), list(range(size))
    versions: list[tuple[Vector, list[int]]] = []
    for name, number, more in steps:
        versions.append((vector, plain.copy()))
        if name == "conj":
            vector = vector.conj(number)
            plain.append(number)
        elif name == "pop" and plain:
            vector = vector.pop()
            plain.pop()
        elif name == "assoc" and plain:
            vector = vector.assoc(number % len(plain), more)
            plain[number % len(plain)] = more
        elif name == "extend":
            vector = vector.extend(range(more))
            plain.extend(range(more))
    versions.append((vector, plain))
    for version, expected in versions:
        assert list(version) == expected
        assert len(version) == len(expected)
        assert vector.hash is None or hash_of(version) == hash_of(Vector.of(expected))


KEYS: list[Any] = [*range(40), *map(str, range(20)), *map(keyword, "abcdefgh"), 1.0, True, None, Vector.of([1]), 2.5]
MAP_STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, len(KEYS) - 1), st.integers(0, 3)), max_size=150)


def check_trie(node: Any, shift: int = 0, path: int = 0) -> int:
    """The entries below a node, which must stand where their hashes say."""
    if node.__class__ is HashLeaf:
        for key in node.table:
            assert hash_of(key) & ((1 << shift) - 1) == path
        assert node.size == len(node.table) > 0
        return node.size
    assert node.__class__ is HashNode and node.shift == shift and len(node.children) == 32
    total = sum(
        check_trie(child, shift + 5, path | index << shift)
        for index, child in enumerate(node.children)
        if child is not None
    )
    assert total == node.size > 0
    return total


@given(MAP_STEPS)
def test_map_and_set_model(steps: list[tuple[bool, int, int]]) -> None:
    table, items = EMPTY_MAP, EMPTY_SET
    plain: dict[int, int] = {}  # by index into KEYS, since Python would take some of them for one
    versions = []
    for add, key, value in steps:
        if add:
            same = table
            table = table.assoc(KEYS[key], value)
            assert (table is same) == (plain.get(key) == value)
            items = items.conj(KEYS[key])
            plain[key] = value
        else:
            table, items = table.dissoc(KEYS[key]), items.disj(KEYS[key])
            plain.pop(key, None)
        versions.append((table, items, dict(plain)))
    for version, kept, expected in versions:
        assert len(version) == len(kept) == len(expected)
        for index, key in enumerate(KEYS):
            assert version.get(key, "none") == expected.get(index, "none")
            assert version.contains(key) == kept.contains(key) == (index in expected)
        assert sorted(map(repr, version.keys())) == sorted(repr(KEYS[index]) for index in expected)
        assert sorted(map(repr, kept)) == sorted(map(repr, version.keys()))
        rebuilt = Map.of((KEYS[index], value) for index, value in expected.items())
        assert version == rebuilt and hash_of(version) == hash_of(rebuilt)
        if version.root is not None:
            check_trie(version.root)


def test_small_maps_keep_their_order() -> None:
    pairs = [(keyword(name), number) for number, name in enumerate("qwertyuiopasdfgh")]
    table = Map.of(pairs)
    assert list(table.items()) == pairs
    assert list(table.assoc(keyword("e"), 99).keys()) == [key for key, _ in pairs]
    assert table.root is None and table.assoc(1, 1).root is not None


def test_maps_shrink_back() -> None:
    table = Map.of((number, number) for number in range(5000))
    check_trie(table.root)
    for number in range(5000):
        table = table.dissoc(number)
        if number % 500 == 0 and table.root is not None:
            check_trie(table.root)
    assert table is EMPTY_MAP


def test_order_of_large_maps_does_not_depend_on_how_they_were_built() -> None:
    numbers = list(range(3000))
    grown = EMPTY_MAP
    for number in numbers:
        grown = grown.assoc(number, number)
    assert list(grown.keys()) == list(Map.of(zip(numbers, numbers, strict=True)).keys())
    assert list(Set.of(numbers)) == list(grown.keys())


def test_keys_of_equal_hash_share_a_leaf() -> None:
    cells = [Cell(number) for number in range(300)]  # all cells have one hash
    table = Map.of((cell, cell.value) for cell in cells)
    for number in range(100):
        table = table.assoc(number, -number)
    assert all(table.get(cell) == cell.value for cell in cells)
    assert len(table) == 400
    for cell in cells:
        table = table.dissoc(cell)
    assert len(table) == 100 and sorted(table.keys()) == list(range(100))


def test_too_many_keys_of_equal_hash_are_refused() -> None:
    cells = [Cell() for _ in range(1025)]
    table = Map.of((cell, 1) for cell in cells[:1024])
    for act in (lambda: Map.of((cell, 1) for cell in cells), lambda: table.assoc(cells[1024], 1)):
        with pytest.raises(LanguageError) as caught:
            act()
        assert caught.value.error.kind is keyword("limit")


def test_merge_and_union() -> None:
    large = Map.of((number, 0) for number in range(1000))
    assert large.merge([(1, 5)]) == large.assoc(1, 5)
    assert large.merge((number, 1) for number in range(2000)) == Map.of((number, 1) for number in range(2000))
    assert Set.of(range(100)).union(range(50, 200)) == Set.of(range(200))
    assert Set.of(range(1000)).union([5000]) == Set.of([*range(1000), 5000])


def test_set_get_gives_its_own_item() -> None:
    mine = Vector.of([1, 2])
    assert Set.of([mine, 1.0]).get(List.of([1, 2])) is mine
    assert Set.of([*range(100), mine]).get(List.of([1, 2])) is mine
    assert Set.of([1.0]).get(1, "none") == "none"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 3)), max_size=200))
def test_sorted_model(steps: list[tuple[bool, int, int]]) -> None:
    table, items, plain = SortedMap(), SortedSet(), dict[int, int]()
    for add, key, value in steps:
        if add:
            table, items = table.assoc(key, value), items.conj(key)
            plain[key] = value
        else:
            table, items = table.dissoc(key), items.disj(key)
            plain.pop(key, None)
    assert list(table.items()) == sorted(plain.items())
    assert list(items) == sorted(plain)
    assert [node.key for node in items.nodes_back()] == sorted(plain, reverse=True)
    for key in range(-1, 62, 9):
        assert [node.key for node in table.nodes_from(key)] == [other for other in sorted(plain) if other >= key]
        below = [node.key for node in table.nodes_from(key, ascending=False)]
        assert below == sorted((other for other in plain if other <= key), reverse=True)
    assert table == Map.of(plain.items()) and Map.of(plain.items()) == table
    assert hash_of(table) == hash_of(Map.of(plain.items()))

    def height(node: Any) -> int:
        return 0 if node is None else 1 + max(height(node.left), height(node.right))

    assert height(table.root) <= 2.5 * max(1, len(plain)).bit_length()


def test_sorted_refuses_what_has_no_order() -> None:
    for act in (
        lambda: SortedSet.of([1, "a"]),
        lambda: SortedSet().conj(EMPTY_MAP),
        lambda: SortedMap().assoc(List.of([1]), 1),
    ):
        with pytest.raises(LanguageError) as caught:
            act()
        assert caught.value.error.kind is keyword("type")


def test_sorted_growth_in_order_stays_balanced() -> None:
    table = SortedSet.of(range(20000))
    node, depth = table.root, 0
    while node is not None:
        node, depth = node.right, depth + 1
    assert depth < 30 and table.contains(19999) and not table.contains(20000)


def test_lists() -> None:
    assert list(List.of([1, 2, 3])) == [1, 2, 3]
    assert List.of([]) is EMPTY_LIST and EMPTY_LIST.rest is EMPTY_LIST
    assert EMPTY_LIST.conj(1).conj(2) == List.of([2, 1])


@pytest.mark.parametrize(
    ("start", "end", "step"), [(0, 10, 1), (0, 10, 3), (10, 0, -3), (5, 5, 1), (5, 0, 1), (0, 5, -1)]
)
def test_ranges(start: int, end: int, step: int) -> None:
    mine, plain = Range(start, end, step), range(start, end, step)
    assert list(mine) == list(plain) and len(mine) == len(plain) and mine.is_empty == (not plain)
    assert [mine.get(index) for index in range(len(plain))] == list(plain)
    assert mine == Vector.of(plain) and hash_of(mine) == hash_of(List.of(plain))


def test_transients() -> None:
    randoms = random.Random(4)
    for base in (0, 10, 33, 2000):
        vector, table, items = (
            TransientVector(Vector.of(range(base))),
            TransientMap(Map.of((number, number) for number in range(base))),
            TransientSet(Set.of(range(base))),
        )
        plain, entries = list(range(base)), {number: number for number in range(base)}
        for _ in range(500):
            number = randoms.randrange(600)
            choice = randoms.randrange(3)
            if choice == 0:
                vector.conj(number)
                plain.append(number)
                table.assoc(number, -number)
                items.conj(number)
                entries[number] = -number
            elif choice == 1 and plain:
                vector.assoc(number % len(plain), number)
                plain[number % len(plain)] = number
            elif plain:
                vector.pop()
                plain.pop()
                table.dissoc(number)
                items.disj(number)
                entries.pop(number, None)
            assert len(vector) == len(plain) and len(table) == len(items) == len(entries)
        if plain:
            assert vector.get(len(plain) - 1) == plain[-1] and vector.get(0) == plain[0]
        assert table.get(5, None) == entries.get(5)
        assert list(vector.persistent()) == plain
        assert table.persistent() == Map.of(entries.items())
        assert items.persistent() == Set.of(entries)
        for act in (partial(vector.conj, 1), partial(table.assoc, 1, 1), items.persistent):
            with pytest.raises(LanguageError):
                act()
