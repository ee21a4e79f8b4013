"""Artifacts made by hand, each wrong in one way, with the code that it has to be refused with."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import msgpack

from flowmetal.bytecode.assemble import assemble, assemble_all
from flowmetal.bytecode.flat import pack_integers
from flowmetal.bytecode.fmc import encode_artifact
from flowmetal.bytecode.opcodes import INSTRUCTIONS_MAX, NESTING_MAX
from flowmetal.bytecode.packing import pack_record, pack_texts
from flowmetal.bytecode.program import EffectSite, Function, Global, Module, Reference
from flowmetal.bytecode.records import encode_code
from flowmetal.values import Cell, Closure, Vector, keyword
from flowmetal.vm.builtins.registry import BY_NAME, builtin_arity
from tests.hostile.tree import Tree, packed, sealed

Change = Callable[[Tree], None]

_BODIES = """
.code "x/main"
.index 0
.parameters 1
.registers 6
    return r0

.code "x/inner"
.index 1
.parameters 1
.captures 1
.registers 6
    return r0

.code "x/tell"
.index 2
.parameters 1
.registers 6
    constant r1 k0
    nil r2
    perform r3 r1 r0 r2
    return r3
"""


@cache
def base() -> bytes:
    """A module with a little of everything, as the compiler could have made it."""
    module = Module("x", file="x.fm", source="(ns x)\n")
    module.codes.extend(assemble_all(_BODIES))
    for index, (name, more) in enumerate({"x/main": (), "x/inner": (), "x/tell": ("a/b",)}.items()):
        module.codes[index].module = module
        module.functions.append(Function(name, (index,), index=index, module=module, effects=more))
    module.constants += [keyword("a/b"), 1, Vector.of([1, "two"])]
    module.references += [Reference("x", "main"), Reference("x", "tell"), Reference("x", "cell")]
    module.effect_sites.append(EffectSite("a/b", "x/tell", None))
    values = {"main": Closure(module.functions[0]), "tell": Closure(module.functions[2]), "cell": Cell(1)}
    module.globals.update({name: Global(name, value) for name, value in values.items()})
    module.globals["data"] = Global("data", Vector.of(range(100)))
    return encode_artifact([module], builtin_arity=builtin_arity)


# ---- ways to change it -------------------------------------------------------------------------------------------


def body(text: str, header: str = ".parameters 1\n.registers 6", index: int = 0) -> Change:
    """Puts another body in place of one."""

    def change(tree: Tree) -> None:
        tree.core()["codes"][index] = encode_code(assemble(f'.code "x/main"\n{header}\n{text}'))

    return change


def instruction(*row: object, before: str = "") -> Change:
    """Puts an instruction that no assembler writes in front of the return."""

    def change(tree: Tree) -> None:
        body(f"{before}\n return r0")(tree)
        code = tree.code(0)
        code.rows.insert(-1, [*row])
        tree.put(0, code)

    return change


def header(place: int, value: object) -> Change:
    """Changes a field of the header of the first code."""

    def change(tree: Tree) -> None:
        code = tree.code(0)
        code.header[place] = value
        tree.put(0, code)

    return change


def tries(*numbers: int) -> Change:
    """Gives a body of eight instructions these rows of tries."""

    def change(tree: Tree) -> None:
        body("nil r1\n" * 7 + " return r0")(tree)
        code = tree.code(0)
        code.tries = [*numbers]
        tree.put(0, code)

    return change


def part(name: str, value: object, index: int | None = None) -> Change:
    """Puts a part of the module, or an item of one, in place of what is there."""

    def change(tree: Tree) -> None:
        if index is None:
            tree.core()[name] = value
        else:
            tree.core()[name][index] = value

    return change


def function(effects: tuple[str, ...], is_open: bool, index: int = 0, arities: tuple[int, ...] = (1, 0)) -> Change:
    """Puts a function's record in place."""
    names = ("x/main", "x/inner", "x/tell")
    record = (names[index], int(index == 1), pack_integers(arities), None, pack_texts(effects), is_open)
    return part("functions", pack_record(*record), index)


def both(*changes: Change) -> Change:
    """Several changes."""

    def change(tree: Tree) -> None:
        for one in changes:
            one(tree)

    return change


def _atom(value: object) -> bytes:
    return packed(value)


def _global(flags: int, value: object) -> bytes:
    return pack_record(flags, None, pack_texts(()), _atom(None), None, _atom(value))


_NESTED_LOOPS = "\n".join(f" h{n}: loop" for n in range(NESTING_MAX + 2)) + "\n" + "\n".join(
    f" jump_if_false r0 e{n}\n jump_back h{n}\n e{n}: nil r1" for n in reversed(range(NESTING_MAX + 2))
)  # fmt: skip
_STR = BY_NAME["count"].number
_EXT = msgpack.ExtType

#: Name -> (code, what is changed).
CASES: dict[str, tuple[str, Change]] = {
    # Operands.
    "a register behind the last": ("B103", body("move r1 r6\n return r1")),
    "a register before the first": ("B103", instruction(6, 1, -1)),
    "a register written behind the last": ("B103", instruction(1, 6)),
    "an argument behind the last": ("B103", instruction(50, 1, (0, 9))),
    "a register that is written on one way only": (
        "B104",
        body("jump_if_false r0 out\n nil r1\n out: return r1"),
    ),
    "a register that nothing wrote": ("B104", body("return r3")),
    "an argument that nothing wrote": ("B104", body("vector r1 (r0 r4)\n return r1")),
    "a register that only the loop writes": (
        "B104",
        body("jump_if_false r0 in\n in: loop\n jump_if_false r0 out\n nil r2\n jump_back in\n out: return r2"),
    ),
    "a handler that reads what its range writes": (
        "B104",
        body(".try catch a b c r1\n a: nil r2\n b: return r0\n c: return r2"),
    ),
    "a constant behind the last": ("B108", body("constant r1 k3\n return r1")),
    "a constant before the first": ("B108", instruction(5, 1, -1)),
    "a reference behind the last": ("B108", body("global r1 g3\n return r1")),
    "a call of a reference behind the last": ("B108", body("call_global r1 g77 (r0)\n return r1")),
    "a function behind the last": ("B108", body("closure r1 f3 ()\n return r1")),
    "a function before the first": ("B108", instruction(9, 1, -1, ())),
    "a sibling behind the last": ("B108", body("closure r1 f1 (r0)\n sibling r2 r1 f9\n return r2")),
    "a builtin that there is not": ("B109", body("builtin r1 b99999 (r0)\n return r1")),
    "a builtin before the first": ("B109", instruction(36, 1, -5, ())),
    "a builtin with too few arguments": ("B110", body(f"builtin r1 b{_STR} ()\n return r1")),
    "a builtin with too many": ("B110", body(f"builtin r1 b{_STR} (r0 r0 r0)\n return r1")),
    "a map of a key without a value": ("B113", body("map r1 (r0 r0 r0)\n return r1")),
    "a region of no known kind": ("B112", instruction(72, 1, 9, 0, 0)),
    "a region of the machine's own": ("B112", instruction(72, 1, 101, 0, 0)),
    "an integer beyond 32 bits": ("B115", instruction(4, 1, 1 << 40)),
    "a number that is no instruction": (
        "B101",
        lambda tree: _code_fields(tree, instructions=pack_integers([99, 0, 26, 0])),
    ),
    "an instruction that is cut short": (
        "B102",
        lambda tree: _code_fields(tree, instructions=pack_integers([26, 0, 40, 1])),
    ),
    "a list that is longer than the code": (
        "B102",
        lambda tree: _code_fields(tree, instructions=pack_integers([50, 1, 900, 0])),
    ),
    "a list of a length below nothing": (
        "B114",
        lambda tree: _code_fields(tree, instructions=pack_integers([50, 1, -3, 0])),
    ),
    "more arguments than a call takes": ("B114", instruction(50, 1, (0,) * 2000)),
    "no instructions": ("B119", lambda tree: _code_fields(tree, instructions=pack_integers([]))),
    "too many instructions": (
        "B119",
        lambda tree: _code_fields(tree, instructions=pack_integers([24] * (INSTRUCTIONS_MAX + 1))),
    ),
    # Jumps.
    "a jump to itself": ("B105", instruction(20, 0)),
    "a jump back that is called one forward": ("B105", instruction(20, 0, before="nil r1")),
    "a jump behind the end": ("B105", instruction(20, 2)),
    "a jump far behind the end": ("B105", instruction(21, 0, 1 << 30)),
    "a jump back to what is no loop": ("B106", instruction(25, 0, before="nil r1")),
    "a jump back before the first": ("B106", instruction(25, -1, before="loop")),
    "a jump back forward": ("B106", instruction(25, 1, before="loop")),
    "a loop that loses a register": (
        "B122",
        body("jump_if_false r0 in\n head: loop\n nil r1\n in: nil r2\n jump_if_false r0 out\n jump_back head\n out: return r0"),
    ),
    "a body that runs over its end": ("B107", body("nil r1\n return r0\n nil r2")),
    "loops that overlap": (
        "B122",
        body("a: loop\n b: loop\n jump_if_false r0 c\n jump_back a\n c: jump_if_false r0 d\n jump_back b\n d: return r0"),
    ),
    "loops too deep in each other": ("B117", body(_NESTED_LOOPS + "\n return r0")),
    # Handlers.
    "a try that ends before it begins": ("B116", tries(3, 2, 5, 1, 0)),
    "a try of nothing": ("B116", tries(2, 2, 5, 1, 0)),
    "a try behind the end": ("B116", tries(0, 90, 95, 1, 0)),
    "a handler inside its own range": ("B116", tries(0, 5, 3, 1, 0)),
    "a handler behind the end": ("B116", tries(0, 2, 8, 1, 0)),
    "a handler before the first": ("B116", tries(-1, 2, 5, 1, 0)),
    "an error into a register behind the last": ("B116", tries(0, 2, 5, 6, 0)),
    "a try of no known kind": ("B005", tries(0, 2, 5, 1, 2)),
    "a row that is cut short": ("B005", tries(0, 2, 5, 1)),
    "tries that overlap": ("B116", tries(0, 3, 6, 1, 0, 2, 5, 6, 2, 0)),
    "an inner try behind the outer one": ("B116", tries(0, 5, 6, 1, 0, 1, 3, 6, 2, 0)),
    "tries too deep in each other": ("B117", tries(*(0, 2, 5, 1, 0) * (NESTING_MAX + 1))),
    # Headers and functions.
    "more parameters than registers": ("B120", header(1, 7)),
    "parameters below nothing": ("B120", header(1, -1)),
    "captures that the function has not": ("B120", header(3, 1)),
    "variadic where the function is not": ("B120", header(2, True)),
    "no registers for what it begins with": ("B118", header(5, 0)),
    "more registers than there may be": ("B118", header(5, 1 << 20)),
    "registers below nothing": ("B118", header(5, -4)),
    "itself without a register for it": ("B118", both(header(4, True), header(5, 1))),
    "a name that is none": ("B005", header(0, None)),
    "a closure with too few captures": ("B111", body("closure r1 f1 ()\n return r1")),
    "a closure with too many": ("B111", body("closure r1 f0 (r0)\n return r1")),
    "a sibling of what is no closure": ("B111", body("sibling r1 r0 f1\n return r1")),
    "a sibling with other captures": ("B111", body("closure r1 f0 ()\n sibling r2 r1 f1\n return r2")),
    "two bodies for one number": ("B120", function((), False, arities=(1, 0, 1, 0))),
    "a function without a body": ("B005", part("starts", pack_integers([0, 0, 1, 3, 3]))),
    "bodies that nobody has": ("B005", part("starts", pack_integers([0, 1, 2, 2]))),
    "bodies out of order": ("B005", part("starts", pack_integers([0, 2, 1, 3]))),
    # Claims.
    "an effect that is not claimed": ("B123", function((), False, 2)),
    "an effect that is claimed by another name": ("B123", function(("a/c",), False, 2)),
    "an unclaimed effect of a function that is called": ("B123", body("call_global r1 g1 (r0)\n return r1")),
    "... that is loaded": ("B123", body("global r1 g1\n return r1")),
    "... that a closure is made of": ("B123", body("closure r1 f2 ()\n return r1")),
    "a call of a parameter": ("B124", body("call r1 r0 ()\n return r1")),
    "a call of a parameter in place of the frame": ("B124", body("tail_call r0 ()")),
    "apply of a parameter": ("B124", body("apply r1 r0 r0\n return r1")),
    "a fiber on a parameter": ("B124", body("async r1 r0\n return r1")),
    "a region around a parameter": ("B124", body("nil r1\n region r2 shield r1 r0\n return r2")),
    "an effect by a name that is computed": ("B124", body("nil r1\n perform r2 r0 r1 r1\n return r2")),
    "what a cell holds": ("B124", body("global r1 g2\n return r1")),
    "one of two functions, by a jump": (
        "B124",
        body("closure r1 f0 ()\n jump_if_false r0 out\n move r1 r0\n out: call r2 r1 ()\n return r2"),
    ),
    "a function that a loop exchanges": (
        "B124",
        body(
            "closure r1 f0 ()\n head: loop\n call r2 r1 ()\n move r1 r0\n jump_if_false r0 out\n jump_back head\n"
            " out: return r2"
        ),
    ),
    "a body of handle that gets away": (
        "B123",
        body("map r1 ()\n closure r2 f2 ()\n region r3 handle r1 r2\n return r2"),
    ),
    "an effect that no call site is listed for": ("B125", part("sites", [pack_texts(()), pack_texts(())])),
    "a call site of another effect": ("B125", part("sites", [pack_texts(("z",)), pack_texts(("x/tell",))])),
    # Values and tables.
    "a constant that refers to nothing": ("B201", part("constants", _atom([900]), 0)),
    "a constant that is a number too many": ("B201", part("constants", _atom(1) + _atom(2), 0)),
    "a constant of no known type": ("B201", part("constants", _atom(_EXT(77, b"")), 0)),
    "a constant that promises much": ("B201", part("constants", b"\xdd\xff\xff\xff\xff", 0)),
    "a constant nested without end": ("B201", part("constants", b"\x91" * 5000, 0)),
    "a cell that all would share": ("B202", part("shared", [packed([26])])),
    "a vector whose leaf is missing": ("B201", part("shared", [packed([3, 8, 1])])),
    "a closure of a function with captures": ("B201", part("shared", [packed([20, 0, 1])])),
    "an object of no known tag": ("B201", part("shared", [packed([99])])),
    "a map with a key twice": ("B201", part("shared", [packed([6, 1, 2, 1, 3])])),
    "a list that is its own rest": ("B201", part("shared", [packed([13, 1, 3])])),
    "a range without a step": ("B201", part("shared", [packed([16, 0, 10, 0])])),
    "a state of no object": ("B201", part("states", [packed([999, 1])])),
    "an object without its state": ("B201", part("states", [])),
    "flags that there are not": ("B005", part("globals", _global(1 << 10, 1), 0)),
    "a global of nothing": ("B201", part("globals", _global(0, [50]), 0)),
    "names without globals": ("B005", part("names", pack_texts(("a", "b", "c", "d", "e")))),
    "a name twice": ("B005", part("names", pack_texts(("a", "a", "c", "d")))),
    "a name that is no text": ("B005", part("names", struct.pack("<5I", 4, 1, 2, 3, 4) + b"\xff\xfe\xfd\xfc")),
    "a reference to a module that is not required": (
        "B005",
        part("references", [pack_integers([5, 0, 0]), pack_texts(("a", "b", "c"))]),
    ),
    "a reference to what nobody defines": (
        "B013",
        part("references", [pack_integers([0, 0, 0]), pack_texts(("main", "nope", "cell"))]),
    ),
    "integers of no width": ("B005", part("starts", b"\x03\x00\x01\x02")),
    "a table that promises much": ("B005", part("starts", b"\x08\xff")),
    "a header that is none": ("B005", part("header", packed(["x"]))),
    "a library that nobody has": (
        "B011",
        part("header", pack_record("x", pack_texts(("y",)), bytes(32))),
    ),
    "itself as a library": ("B005", part("header", pack_record("x", pack_texts(("x",)), bytes(32)))),
    "a main that is not inside": ("B005", lambda tree: _manifest(tree, "y")),
}  # fmt: skip


def _code_fields(tree: Tree, instructions: bytes) -> None:
    code = tree.code(0)
    tree.core()["codes"][0] = packed([*code.header, instructions, pack_integers([])])


def _manifest(tree: Tree, main: str) -> None:
    tree.manifest = pack_record(main, "x")


def made(name: str) -> bytes:
    """The artifact of a case."""
    tree = Tree(base())
    CASES[name][1](tree)
    return tree.data()


#: The file around the modules: name -> (code, bytes).
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("B001", lambda: b""),
    "another file": ("B001", lambda: b"\x7fELF" + base()[4:]),
    "the beginning only": ("B004", lambda: base()[:20]),
    "a format of the future": ("B002", lambda: sealed(base()[:4] + b"\x63\x00" + base()[6:])),
    "a machine of the future": ("B003", lambda: sealed(base()[:6] + b"\x63\x00" + base()[8:])),
    "a changed byte": ("B004", lambda: base()[:60] + bytes([base()[60] ^ 1]) + base()[61:]),
    "a byte too many": ("B004", lambda: base() + b"\x00"),
    "no modules": ("B005", lambda: sealed(base()[:8] + struct.pack("<I", 0) + bytes(32))),
    "a table that promises four billion items": (
        "B005",
        lambda: sealed(base()[:8] + b"\xff" * 8 + bytes(32)),
    ),
}
