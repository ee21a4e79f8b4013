"""Artifacts changed at random: as bytes, as tables, and as code whose operands are exchanged for others of their kind."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import msgpack

from flowmetal.bytecode.flat import LAYOUTS, pack_integers, unpack_integers
from flowmetal.bytecode.layout import DEBUG
from flowmetal.bytecode.opcodes import BY_NUMBER, OPCODES, Operand
from flowmetal.bytecode.packing import pack_texts
from flowmetal.bytecode.table import pack_table
from flowmetal.vm.builtins.registry import BUILTINS
from tests.hostile.tree import HASH, HEAD, CodeFields, Tree, items, packed, sealed, unpacked

#: Opcodes that have operands of the same kinds.
_ALIKE: dict[int, list[int]] = {
    one.number: [other.number for other in OPCODES if other.operands == one.operands] for one in OPCODES
}
_SAME_SHAPE: dict[int, list[int]] = {
    number: [other for other, found in LAYOUTS.items() if found == layout] for number, layout in LAYOUTS.items()
}

#: Integers for any place.
NUMBERS = (0, 1, 2, 3, 7, 31, 64, 127, 128, 255, 1023, 1024, 1025, 4095, 4096, 65535, 1 << 20, (1 << 31) - 1, 1 << 31,
           (1 << 63) - 1, -1, -2, -128, -(1 << 31), -(1 << 63))  # fmt: skip

_EXT = msgpack.ExtType

#: Atoms for any place in a value.
ATOMS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 40, 1000, 10**6, 10**9, 1 << 62, -(1 << 63), (1 << 64) - 1, 0.5, 1e308, -0.0, float("inf"),
    float("nan"), "", "text", "x" * 300, "long " * 400, "(a+)+$", "%999999999d", "\x00\x1b[2J\n", b"", b"bytes", [], [0], [1], [2],
    [3], [0, "g", 0], [0, "g", 1], [0, "g", 5], [1, "g", 0], [1, "g", 9], [1, "g", 1 << 40], [[]], [None, None], [0, 1, 2],
    _EXT(1, b"a"), _EXT(1, b"flowmetal/limit"), _EXT(2, b"\x01" + b"\x00" * 40), _EXT(2, b"\x7f" * 3000), _EXT(3, b"map"),
    _EXT(4, b"x"), _EXT(5, b"\x00\x00\x00\x01\x01\x03"), _EXT(6, b"1.5"), _EXT(6, b"1E+999999999"),
    _EXT(6, b"1E-99999"), _EXT(7, b"\x01"), _EXT(7, b"\x7f" * 30), _EXT(8, b"\x7f" * 30), _EXT(9, b"0" * 16), _EXT(10, b"a*"),
    _EXT(10, b"("), _EXT(11, b"\x01"), _EXT(12, b"\0\0\0\1catches"), _EXT(13, b"v"), _EXT(13, b"m"), _EXT(99, b"?"),
)  # fmt: skip


@cache
def _builtins_of(count: int) -> list[int]:
    """The builtins that take this many arguments."""
    return [
        number
        for number, info in BUILTINS.items()
        if info.min_args <= count and (info.max_args is None or count <= info.max_args)
    ]


def mutant(data: bytes, dice: random.Random) -> bytes:
    """An artifact that differs from `data` in one or a few things, with a checksum that fits nearly always."""
    way = dice.randrange(16)
    if way < 2:
        return _bytes(data, dice)
    tree = Tree(data)
    try:
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            number = dice.randrange(len(tree.modules))
            if way < 12:
                _code(tree, number, dice)
            else:
                dice.choice(_PARTS)(tree, number, dice)
        return tree.data()
    except (StopIteration, struct.error, KeyError, OverflowError):  # it cannot be written at all
        return _bytes(data, dice)


# ---- bytes -------------------------------------------------------------------------------------------------------


def scramble(data: bytes, dice: random.Random) -> bytes:
    """Bytes flipped, set, cut, repeated, or put elsewhere."""
    changed = bytearray(data)
    if not changed:
        return bytes(dice.randrange(256) for _ in range(dice.randrange(4)))
    at = dice.randrange(len(changed))
    match dice.randrange(7):
        case 0 | 1:
            for _ in range(dice.choice((1, 1, 2, 5))):
                changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        case 2:
            changed[at] = dice.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xDD, 0xFF))
        case 3:
            lengths = (b"\xdd", b"\xdb", b"\xc6", b"\xdf", b"\xc9", b"")
            number = dice.choice((0xFFFFFFFF, 0x7FFFFFFF, 0x00FFFFFF, len(changed), len(changed) // 4))
            changed[at : at + 5] = dice.choice(lengths) + struct.pack(dice.choice("<>") + "I", number)
        case 4:
            del changed[at : at + dice.choice((1, 2, 4, 30, len(changed)))]
        case 5:
            start = dice.randrange(len(changed))
            part = changed[start : start + dice.randrange(1, 100)]
            changed[at : at + dice.choice((0, len(part)))] = part
        case _:
            changed[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 9)))
    return bytes(changed)


def _bytes(data: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.02:
        return scramble(data, dice)  # the checksum does not fit
    head = data[:HEAD] if dice.random() < 0.95 else scramble(data[:HEAD], dice)
    return sealed(head + scramble(data[HEAD:-HASH], dice) + bytes(HASH))


# ---- code --------------------------------------------------------------------------------------------------------


def _code(tree: Tree, number: int, dice: random.Random) -> None:
    codes = tree.core(number)["codes"]
    if not codes:
        return
    index = dice.randrange(len(codes))
    try:
        code = tree.code(index, number)
    except Exception:  # an earlier change has broken it
        return
    if code.rows:
        dice.choice(_CODE)(tree, number, code, dice)
        tree.put(index, code, number)


def _number(old: int, dice: random.Random) -> int:
    return old + dice.choice((-1, 1, -2, 2, 8)) if dice.random() < 0.6 else dice.choice(NUMBERS)


def _operand(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    """An operand exchanged for one that may do, of the kind that it is."""
    row = dice.choice(code.rows)
    kinds = BY_NUMBER[row[0]].operands
    if not kinds:
        return
    place = dice.randrange(len(kinds))
    kind, core = kinds[place], tree.core(number)
    registers = max(code.header[5] if code.header[5].__class__ is int else 1, 1)
    old = row[place + 1]
    if kind is Operand.REGISTERS:
        listed = [*old]
        match dice.randrange(4):
            case 0:
                listed.append(dice.randrange(min(registers, 64)))
            case 1 if listed:
                listed.pop(dice.randrange(len(listed)))
            case _ if listed:
                listed[dice.randrange(len(listed))] = dice.randrange(min(registers, 64))
        row[place + 1] = tuple(listed)
    elif kind in (Operand.READ, Operand.WRITE):
        row[place + 1] = dice.randrange(min(registers, 64))
    elif kind is Operand.BUILTIN:
        fitting = _builtins_of(len(row[3]))
        row[place + 1] = dice.choice(fitting or [1])
    elif kind is Operand.CONSTANT:
        row[place + 1] = dice.randrange(len(core["constants"]) + 1)
    elif kind is Operand.FUNCTION:
        row[place + 1] = dice.randrange(len(core["functions"]) + 1)
    elif kind is Operand.REGION:
        row[place + 1] = dice.randrange(7)
    elif kind in (Operand.LABEL, Operand.BACK):
        row[place + 1] = dice.randrange(len(code.rows) + 1)
    else:
        row[place + 1] = _number(old, dice)


def _any_operand(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    row = dice.choice(code.rows)
    places = [place for place in range(1, len(row)) if row[place].__class__ is int]
    if places:
        place = dice.choice(places)
        row[place] = _number(row[place], dice)


def _opcode(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    row = dice.choice(code.rows)
    row[0] = dice.choice((_ALIKE if dice.random() < 0.8 else _SAME_SHAPE)[row[0]])


def _arrange(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    rows = code.rows
    at, other = dice.randrange(len(rows)), dice.randrange(len(rows))
    match dice.randrange(4):
        case 0:
            rows[at], rows[other] = rows[other], rows[at]
        case 1:
            del rows[at]
        case 2:
            rows.insert(at, [*rows[other]])
        case _:
            rows[at] = [*rows[other]]


def _insert(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    """An instruction that was not there, of any kind, in place of another."""
    opcode = dice.choice(OPCODES)
    registers = min(max(code.header[5], 1), 64)
    row: list[Any] = [opcode.number]
    for kind in opcode.operands:
        if kind is Operand.REGISTERS:
            row.append(tuple(dice.randrange(registers) for _ in range(dice.randrange(4))))
        elif kind in (Operand.READ, Operand.WRITE):
            row.append(dice.randrange(registers))
        elif kind is Operand.BUILTIN:
            row.append(dice.choice(list(BUILTINS)))
        elif kind in (Operand.LABEL, Operand.BACK):
            row.append(dice.randrange(len(code.rows)))
        else:
            row.append(dice.randrange(6))
    code.rows[dice.randrange(len(code.rows))] = row


def _header(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    place = dice.randrange(len(code.header))
    old = code.header[place]
    if old.__class__ is bool:
        code.header[place] = not old
    elif old.__class__ is int:
        code.header[place] = _number(old, dice)
    else:
        code.header[place] = dice.choice(("", "x" * 3000, "\x00\x1b[2J", 'x"; import os', None, 5))


def _tries(tree: Tree, number: int, code: CodeFields, dice: random.Random) -> None:
    if code.tries and dice.random() < 0.6:
        place = dice.randrange(len(code.tries))
        code.tries[place] = _number(code.tries[place], dice)
    else:
        start = dice.randrange(len(code.rows))
        end = min(start + 1 + dice.randrange(4), len(code.rows))
        target = min(end + dice.randrange(4), len(code.rows))
        code.tries += [start, end, target, dice.randrange(min(max(code.header[5], 1), 64)), dice.randrange(2)]


_CODE: tuple[Callable[[Tree, int, CodeFields, random.Random], None], ...] = (
    _operand, _operand, _operand, _operand, _operand, _any_operand, _opcode, _opcode, _arrange, _insert, _insert, _header, _tries,
)  # fmt: skip


# ---- other parts -------------------------------------------------------------------------------------------------


def _values(tree: Tree, number: int, dice: random.Random) -> None:
    """An atom in a constant, an object, a state or a global."""
    part = dice.choice(("constants", "constants", "constants", "shared", "own", "states", "globals"))
    rows = tree.core(number)[part]
    if not rows:
        return
    index = dice.randrange(len(rows))
    try:
        found = unpacked(rows[index])
    except Exception:  # an earlier change has broken it
        return
    if found.__class__ is list and found and dice.random() < 0.95:
        place = dice.randrange(len(found))
        match dice.randrange(5):
            case 0:
                found[place] = dice.choice(found)
            case 1 if found[place].__class__ is int:
                found[place] = _number(found[place], dice)
            case 2:
                del found[place]
            case _:
                atom = dice.choice(ATOMS)
                found[place] = packed(atom) if found[place].__class__ is bytes else atom
    else:
        found = dice.choice(ATOMS)
    try:
        rows[index] = packed(found)
    except (ValueError, OverflowError):
        rows[index] = b"\xc1"


def _function(tree: Tree, number: int, dice: random.Random) -> None:
    rows = tree.core(number)["functions"]
    if not rows:
        return
    index = dice.randrange(len(rows))
    try:
        name, captures, arities, doc, effects, is_open = unpacked(rows[index])
        listed = [*unpack_integers(arities, "")]
        texts = [str(one, "utf-8", "replace") for one in items(effects)]
    except Exception:  # an earlier change has broken it
        return
    match dice.randrange(6):
        case 0:
            captures = _number(captures, dice)
        case 1 if listed:
            place = dice.randrange(len(listed))
            listed[place] = _number(listed[place], dice)
        case 2 if texts:
            texts.pop(dice.randrange(len(texts)))
        case 3:
            texts.append(dice.choice(("http/request", "shell/run", "", "x")))
        case 4:
            is_open = not is_open
        case _:
            name = dice.choice(("", "x" * 5000, "\x1b[31m", "'''", name + "\n"))
    try:
        rows[index] = packed([name, captures, pack_integers(listed), doc, pack_texts(texts), is_open])
    except (ValueError, OverflowError, StopIteration):
        rows[index] = packed([])


def _item(tree: Tree, number: int, dice: random.Random) -> None:
    """An item of a table changed as bytes, taken away, doubled or exchanged."""
    core = tree.core(number)
    name = dice.choice([name for name, part in core.items() if part])
    part = core[name]
    if not isinstance(part, list):
        core[name] = scramble(part, dice)
        return
    index, other = dice.randrange(len(part)), dice.randrange(len(part))
    match dice.randrange(6):
        case 0:
            del part[index]
        case 1:
            part.insert(index, part[other])
        case 2:
            part[index], part[other] = part[other], part[index]
        case _:
            part[index] = scramble(part[index], dice)


def _integers(tree: Tree, number: int, dice: random.Random) -> None:
    """A number in one of the lists of numbers."""
    core = tree.core(number)
    where: tuple[Any, Any] = dice.choice(((core, "starts"), (core["references"], 0)))
    try:
        listed = [*unpack_integers(where[0][where[1]], "")]
    except Exception:  # an earlier change has broken it
        return
    if listed:
        place = dice.randrange(len(listed))
        listed[place] = _number(listed[place], dice)
        where[0][where[1]] = pack_integers(listed)


def _debug(tree: Tree, number: int, dice: random.Random) -> None:
    parts = tree.debug[number]
    if parts:
        index = dice.randrange(len(parts))
        if DEBUG[index % len(DEBUG)] == "codes" and dice.random() < 0.8:
            try:
                rows = items(parts[index])
                row = dice.randrange(len(rows))
                tables = items(rows[row])
                tables[dice.randrange(len(tables))] = scramble(dice.choice(tables), dice)
                rows[row] = pack_table(tables)
                parts[index] = pack_table(rows)
            except Exception:  # an earlier change has broken it
                return
        else:
            parts[index] = scramble(parts[index], dice)


def _manifest(tree: Tree, number: int, dice: random.Random) -> None:
    tree.manifest = scramble(tree.manifest, dice)


_PARTS: tuple[Callable[[Tree, int, random.Random], None], ...] = (
    _values, _values, _values, _values, _function, _function, _item, _item, _integers, _debug, _manifest,
)  # fmt: skip
