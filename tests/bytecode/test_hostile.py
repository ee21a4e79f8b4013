"""Hostile bytes: whatever is done to an artifact, it is refused with a catalogued error or it is well formed.

The checksum is made to fit after each change, so that what is behind it is reached.
"""

from __future__ import annotations

import hashlib
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.bytecode.disassemble import disassemble_module
from flowmetal.bytecode.fmc import Artifact, decode_artifact, encode_artifact
from flowmetal.bytecode.heap import instantiate
from flowmetal.bytecode.layout import CORE
from flowmetal.bytecode.link import link, verify_artifact
from flowmetal.bytecode.liveness import live_in
from flowmetal.bytecode.program import Module, captures_of
from flowmetal.bytecode.table import Table, pack_table
from flowmetal.diagnostics import FlowmetalError
from flowmetal.diagnostics.catalogue import find_entry
from flowmetal.values import Closure, pack, print_string

from .samples import app, lib

HEAD = 8


def arity(number: int) -> tuple[int, int | None] | None:
    return (0, None) if number == 2 else None


def sample(strip: bool) -> bytes:
    library = lib(size=200)
    return encode_artifact([library, app(library)], strip=strip)


DATA = sample(strip=False)
BARE = sample(strip=True)


def sealed(data: bytes) -> bytes:
    """The bytes with a checksum that fits, in place of the one they end with."""
    body = data[:-32]
    return body + hashlib.sha256(body).digest()


def examine(data: bytes) -> bool:
    """Looks at everything in an artifact; False if it is refused, by a code of the artifact stage."""
    try:
        artifact = verify_artifact(data, arity)
    except FlowmetalError as error:
        assert error.code.startswith("B"), error.code
        assert find_entry(error.code) is not None
        assert len(str(error)) < 3000
        return False
    use(artifact)
    return True


def use(artifact: Artifact) -> None:
    """What follows of a verified artifact cannot fail, but for libraries that are not there."""
    for module in artifact.modules.values():
        disassemble_module(module)
        for code in module.codes:
            assert len(live_in(code)) == len(code.instructions)
    if artifact.requires():
        return
    program = link(artifact)
    values = [found.value for module in program.modules.values() for found in module.globals.values()]
    values += instantiate(program).values()
    for value in values:
        print_string(value, limit=200)
        if value.__class__ is Closure:
            assert len(value.captures) == captures_of(value.function)
    encode_artifact(program)


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 5))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xDD, 0xFF, chance.randrange(256)))


def huge(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    number = chance.choice((0xFFFFFFFF, 0x7FFFFFFF, 0x00FFFFFF, len(data), len(data) // 4))
    lengths = (b"\xdd", b"\xdb", b"\xc6", b"\xdf", b"\xc9", b"")
    data[at : at + 5] = chance.choice(lengths) + struct.pack(chance.choice("<>") + "I", number)


def cut(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice((1, 2, 4, 30, len(data)))]


def splice(data: bytearray, chance: random.Random) -> None:
    start, to = chance.randrange(len(data)), chance.randrange(len(data))
    part = data[start : start + chance.randrange(1, 200)]
    if chance.random() < 0.5:
        data[to : to + len(part)] = part
    else:
        data[to:to] = part


Change = Callable[[bytearray, random.Random], None]
CHANGES: list[Change] = [flip, overwrite, huge, cut, splice]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("data", [DATA, BARE], ids=["whole", "stripped"])
def test_mutants(change: Change, data: bytes) -> None:
    for seed in range(300):
        body = bytearray(data[HEAD:-32])
        change(body, random.Random(f"{change.__name__} {seed}"))
        examine(sealed(data[:HEAD] + body + bytes(32)))


#: The parts of a module that are tables, whose items are changed one at a time below.
TABLES = {*CORE} - {"header", "names", "starts"}
Tree = list[Any]


def tree_of(data: bytes) -> Tree:
    """An artifact as nested lists of the items of its tables."""
    outer = items(data[HEAD:-32])
    modules: Tree = []
    for module in outer[1:]:
        core, debug = items(module)
        parts = [items(part) if name in TABLES else part for name, part in zip(CORE, items(core), strict=True)]
        modules.append([parts, items(debug)])
    return [outer[0], *modules]


def items(data: bytes) -> Tree:
    table = Table(memoryview(data), "")
    return [bytes(table[index]) for index in range(len(table))]


def bytes_of(tree: Tree) -> bytes:
    """The artifact again, in which `app` requires the library that now is there."""
    packed = [packed_of(tree[0])]
    hashes: dict[bytes, bytes] = {}
    for before, (parts, debug) in zip(HASHES, tree[1:], strict=True):
        header = bytes(parts[0])
        for old, new in hashes.items():
            header = header.replace(old, new)
        core = packed_of([header, *parts[1:]])
        hashes[before] = hashlib.sha256(core).digest()
        packed.append(packed_of([core, packed_of(debug)]))
    return sealed(DATA[:HEAD] + pack_table(packed) + bytes(32))


def packed_of(node: Any) -> bytes:
    return pack_table(map(packed_of, node)) if isinstance(node, list) else bytes(node)


HASHES = [module.hash or b"" for module in decode_artifact(DATA).modules.values()]


def test_the_tree_is_the_artifact() -> None:
    assert bytes_of(tree_of(DATA)) == DATA


@pytest.mark.parametrize("change", [*CHANGES, None])
def test_mutants_inside(change: Change | None) -> None:
    """One item changed, or exchanged with another one, and everything around it made to fit again."""
    accepted = 0
    for seed in range(400):
        chance = random.Random(f"inside {change} {seed}" if change is None else f"inside {change.__name__} {seed}")
        tree = tree_of(DATA)
        places: list[tuple[Tree, int]] = []
        stack: list[Tree] = [tree]
        while stack:
            node = stack.pop()
            for index, item in enumerate(node):
                if isinstance(item, list):
                    stack.append(item)
                elif item:
                    places.append((node, index))
        node, index = chance.choice(places)
        if change is None:
            other, place = chance.choice(places)
            node[index], other[place] = other[place], node[index]
        else:
            item = bytearray(node[index])
            change(item, chance)
            node[index] = bytes(item)
        accepted += examine(bytes_of(tree))
    # Texts and small numbers can be changed for others; most changes are noticed.
    assert accepted < 270
    assert accepted or change is huge


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(data: bytes, head: bool) -> None:
    examine(data)
    examine(sealed((DATA[:HEAD] if head else b"") + data + bytes(32)))


@given(st.integers(HEAD, len(DATA) - 33), st.binary(min_size=1, max_size=8))
def test_any_bytes_anywhere(at: int, data: bytes) -> None:
    examine(sealed(DATA[:at] + data + DATA[at + len(data) :]))


def test_truncated_anywhere() -> None:
    for size in range(HEAD, len(BARE), 7):
        assert not examine(BARE[:size])
        assert not examine(sealed(BARE[:size] + bytes(32)))


def crafted(part: str, *items: bytes) -> bytes:
    """An artifact of one module with a part of its core put in place of the right one."""
    data = encode_artifact([Module("x")])
    outer = Table(memoryview(data)[HEAD:-32], "")
    core = Table(Table(outer[1], "")[0], "")
    parts = [bytes(core[index]) for index in range(len(core))]
    parts[CORE.index(part)] = pack_table(items)
    module = pack_table([pack_table(parts), b""])
    return sealed(DATA[:HEAD] + pack_table([bytes(outer[0]), module]) + bytes(32))


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        ("B201", crafted("shared", pack([5]))),
        ("B201", crafted("shared", pack([99, 1]))),
        ("B201", crafted("shared", pack([13, [0], None]))),  # a list cell of itself
        ("B201", crafted("shared", pack([13, [0, "g", 0], None]))),  # the same by way of the module
        ("B201", crafted("shared", pack([20, 0, 5]))),  # a closure of a function that is not there
        ("B201", crafted("shared", pack([20, 3, 0]))),  # and of a module
        ("B201", crafted("shared", b"\xdd\xff\xff\xff\xff")),
        ("B201", crafted("shared", b"\x91" * 5000)),
        ("B202", crafted("shared", pack([26]))),  # a cell that all processes would share
        ("B201", crafted("own", pack([26]))),  # a cell without a state
        ("B201", crafted("states", pack([0, 1]))),  # a state without a cell
        ("B201", crafted("constants", pack([7]))),
        ("B201", crafted("constants", b"\xc1")),
        ("B201", crafted("constants", pack(1) + pack(2))),
        ("B005", crafted("functions", b"")),
        ("B005", crafted("codes", b"")),
        ("B005", crafted("references", b"")),
        ("B005", crafted("globals", b"")),
    ],
)
def test_crafted(fault: str, data: bytes) -> None:
    with pytest.raises(FlowmetalError) as raised:
        verify_artifact(data)
    assert raised.value.code == fault


def test_memory_and_time_are_proportional() -> None:
    """Lengths that promise much in a file of a megabyte take neither."""
    filler = b"\xdc\xff\xff\xdd\x7f\xff\xff\xff" * (1 << 17)
    for part in ("header", "names", "globals", "functions", "codes", "constants", "shared", "own", "states"):
        for data in (crafted(part, filler), crafted(part, *[filler[:64]] * (1 << 13))):
            tracemalloc.start()
            start = time.process_time()
            try:
                assert not examine(data)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert time.process_time() - start < 5
            assert peak < 30 * len(data) + (32 << 20)
