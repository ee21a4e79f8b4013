"""An artifact taken apart, so that one thing in it can be changed and everything around it made to fit again."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack

from flowmetal.bytecode.flat import decode_instructions, encode_instructions, pack_integers, unpack_integers
from flowmetal.bytecode.layout import CORE, DEBUG
from flowmetal.bytecode.table import Table, pack_table

HEAD = 8
HASH = 32

#: The parts of a module that are tables of items.
TABLES = frozenset(CORE) - {"header", "names", "starts"}

Items = list[Any]


def sealed(data: bytes) -> bytes:
    """The bytes with a checksum that fits, in place of the one they end with."""
    body = data[:-HASH]
    return body + hashlib.sha256(body).digest()


def items(data: bytes) -> Items:
    """The items of a table."""
    table = Table(memoryview(data), "")
    return [bytes(table[index]) for index in range(len(table))]


def unpacked(data: bytes) -> Any:
    """Msgpack data with its extension types as they are."""
    return msgpack.unpackb(data, ext_hook=msgpack.ExtType, raw=False, strict_map_key=False)


def packed(tree: Any) -> bytes:
    """The same again."""
    return bytes(msgpack.packb(tree))


class CodeFields:
    """The record of a code: name, parameters, variadic, captures, takes_self, registers; instructions; try rows."""

    def __init__(self, data: bytes) -> None:
        fields = unpacked(data)
        self.header: list[Any] = fields[:6]
        self.rows: list[list[Any]] = [[*row] for row in decode_instructions(unpack_integers(fields[6], ""), "")]
        self.tries: list[int] = list(unpack_integers(fields[7], ""))

    def data(self) -> bytes:
        """The record again, whatever stands in it."""
        flat = encode_instructions(
            tuple(tuple(one) if isinstance(one, list) else one for one in row) for row in self.rows
        )
        return packed([*self.header, pack_integers(flat), pack_integers(self.tries)])


class Tree:
    """One artifact: `manifest`, and for each module its parts by name, in lists of bytes where they are tables."""

    def __init__(self, data: bytes) -> None:
        self.head = data[:HEAD]
        outer = items(data[HEAD:-HASH])
        self.manifest: bytes = outer[0]
        self.modules: list[dict[str, Any]] = []
        self.debug: list[Items] = []
        self._hashes: list[bytes] = []
        for module in outer[1:]:
            core, debug = items(module)
            self._hashes.append(hashlib.sha256(core).digest())
            parts = zip(CORE, items(core), strict=True)
            self.modules.append({name: items(part) if name in TABLES else part for name, part in parts})
            self.debug.append(items(debug) if debug else [])

    def core(self, number: int = -1) -> dict[str, Any]:
        """The parts of a module."""
        return self.modules[number]

    def code(self, index: int, number: int = -1) -> CodeFields:
        """A code of a module, taken apart."""
        return CodeFields(self.modules[number]["codes"][index])

    def put(self, index: int, code: CodeFields, number: int = -1) -> None:
        """Puts a code back."""
        self.modules[number]["codes"][index] = code.data()

    def data(self) -> bytes:
        """The artifact again, in which modules require each other by the hashes that they have now."""
        done = [self.manifest]
        changed: dict[bytes, bytes] = {}
        for before, parts, debug in zip(self._hashes, self.modules, self.debug, strict=True):
            header = bytes(parts["header"])
            for old, new in changed.items():
                header = header.replace(old, new)
            rest = [parts[name] for name in CORE[1:]]
            core = pack_table([header, *(pack_table(one) if isinstance(one, list) else bytes(one) for one in rest)])
            changed[before] = hashlib.sha256(core).digest()
            done.append(pack_table([core, pack_table(debug) if debug else b""]))
        return sealed(self.head + pack_table(done) + bytes(HASH))


assert DEBUG[0] == "source" and CORE[0] == "header"
