"""The verifier: accepts what is well formed, and refuses each kind of fault under its code."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import given

from flowmetal.bytecode.assemble import assemble
from flowmetal.bytecode.opcodes import ARGUMENTS_MAX, INSTRUCTIONS_MAX, NESTING_MAX, REGISTERS_MAX, Op
from flowmetal.bytecode.program import Code, Function, LocalName, Module, Try
from flowmetal.bytecode.verify import Scope, verify_code, verify_module
from flowmetal.diagnostics import FlowmetalError

from .generated import codes


def arity(number: int) -> tuple[int, int | None] | None:
    """Builtin 1 takes one or two arguments, 2 any number, and there are no others."""
    return {1: (1, 2), 2: (0, None)}.get(number)


SCOPE = Scope(constants=2, references=1, captures=[0, 2], builtin_arity=arity)


def body(text: str, header: str = ".parameters 1\n.registers 4") -> Code:
    return assemble(f'.code "test"\n{header}\n{text}')


GOOD = {
    "return": "return r0",
    "every index": "constant r1 k1\n global r2 g0\n closure r3 f1 (r0 r1)\n builtin r1 b1 (r1 r2)\n return r1",
    "known arity of any number": "builtin r1 b2 ()\n return r1",
    "branches that both write": """
        jump_if_false r0 other
        nil r1
        jump out
        other: true r1
        out: return r1""",
    "loop": """
        integer r1 0
        head: loop
        add_integer r1 r1 1
        jump_if_false r0 out
        jump_back head
        out: return r1""",
    "several jumps back to one head": """
        head: loop
        jump_if_false r0 second
        jump_back head
        second: jump_if_not_nil r0 out
        jump_back head
        out: return r0""",
    "code that control cannot reach": "return r0\n move r1 r2\n return r1",
    "a handler": ".try catch a b c r3\n a: call r1 r0 ()\n b: return r1\n c: return r3",
    "catch inside finally over the same range": """
        .try catch a b c r3
        .try finally a d e r2
        nil r1
        a: call r1 r0 ()
        b: jump d
        c: move r1 r3
        d: nil r2
        e: end_finally r2
        return r1""",
    "a letfn group": "closure r1 f1 (r0 r0)\n sibling r2 r1 f1\n sibling r3 r2 f1\n return r3",
    "regions": "nil r1\n region r2 shield r1 r0\n return r2",
    "map of pairs": "map r1 (r0 r0)\n return r1",
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    verify_code(body(GOOD[name]), SCOPE)


@given(codes())
def test_accepts_what_a_compiler_would_emit(code: Code) -> None:
    verify_code(code, SCOPE)


BAD = [
    ("B103", "return r4"),
    ("B103", "move r4 r0\n return r0"),
    ("B103", "vector r1 (r0 r9)\n return r0"),
    ("B104", "return r1"),
    ("B104", "vector r1 (r0 r2)\n return r1"),
    ("B104", "jump_if_false r0 out\n nil r1\n out: return r1"),
    ("B104", ".try catch a b c r3\n a: nil r1\n call r2 r0 ()\n b: return r1\n c: return r1"),
    ("B104", ".try catch a b c r3\n a: call r1 r0 ()\n b: return r3\n c: return r3"),
    ("B105", "again: jump again"),
    ("B105", "again: nil r1\n jump_if_true r0 again\n return r0"),
    ("B105", "jump out\n out:"),
    ("B106", "head: nil r1\n jump_back head"),
    ("B107", "nil r1"),
    ("B107", "jump_if_false r0 out\n return r0\n out: nil r1"),
    ("B108", "constant r1 k2\n return r1"),
    ("B108", "constant r1 k-1\n return r1"),
    ("B108", "global r1 g1\n return r1"),
    ("B108", "closure r1 f2 ()\n return r1"),
    ("B108", "call_global r1 g7 ()\n return r1"),
    ("B109", "builtin r1 b3 (r0)\n return r1"),
    ("B109", "builtin r1 b-3 (r0)\n return r1"),
    ("B110", "builtin r1 b1 ()\n return r1"),
    ("B110", "builtin r1 b1 (r0 r0 r0)\n return r1"),
    ("B111", "closure r1 f1 (r0)\n return r1"),
    ("B111", "sibling r1 r0 f1\n return r1"),
    ("B111", "closure r1 f0 ()\n sibling r2 r1 f1\n return r2"),
    ("B111", "closure r1 f1 (r0 r0)\n nil r1\n sibling r2 r1 f1\n return r2"),
    ("B111", "closure r1 f1 (r0 r0)\n head: loop\n sibling r2 r1 f1\n move r1 r0\n jump_back head"),
    ("B113", "map r1 (r0)\n return r1"),
    ("B114", f"vector r1 ({'r0 ' * (ARGUMENTS_MAX + 1)})\n return r1"),
    ("B115", "integer r1 2147483648\n return r1"),
    ("B115", "add_integer r1 r0 -2147483649\n return r1"),
    ("B116", ".try catch b a c r3\n a: nil r1\n b: return r0\n c: return r0"),
    ("B116", ".try catch a c b r3\n a: nil r1\n b: nil r1\n c: return r0"),
    ("B116", ".try catch a a c r3\n a: nil r1\n b: nil r1\n c: return r0"),
    ("B116", ".try catch a b c r9\n a: nil r1\n b: nil r1\n c: return r0"),
    ("B116", ".try ensure a b c r3\n a: nil r1\n b: nil r1\n c: return r0"),
    ("B116", ".try catch a b c r3\n a: nil r1\n b: return r0\n c:"),
    # Rows that overlap, and an outer one before an inner one.
    ("B116", ".try catch a c d r3\n .try catch b d d r3\n a: nil r1\n b: nil r1\n c: nil r1\n d: return r0"),
    ("B116", ".try catch a d d r3\n .try catch b c d r3\n a: nil r1\n b: nil r1\n c: nil r1\n d: return r0"),
    # A target inside a loop that the range stands before.
    ("B116", ".try catch a b d r3\n a: nil r1\n b: nil r1\n head: loop\n d: nil r1\n jump_back head"),
    # Loops that overlap, and a jump into one.
    ("B122", "one: loop\n two: loop\n jump_if_true r0 out\n jump_back one\n out: jump_back two"),
    ("B122", "jump_if_true r0 in\n head: loop\n in: nil r1\n jump_back head"),
    # A jump into a try range past what its start had written.
    (
        "B122",
        ".try catch a b c r3\n jump_if_true r0 in\n nil r1\n a: nil r2\n in: nil r2\n b: return r0\n c: return r1",
    ),
]


@pytest.mark.parametrize(("fault", "text"), BAD)
def test_refuses(fault: str, text: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        verify_code(body(text), SCOPE)
    assert raised.value.code == fault
    assert "test" in raised.value.facts["place"]
    assert "?" not in str(raised.value)


HEADERS = [
    ("B118", {"registers": REGISTERS_MAX + 1}),
    ("B118", {"registers": -1}),
    ("B118", {"registers": 0}),
    ("B118", {"parameters": 5}),
    ("B118", {"parameters": -1}),
    ("B118", {"parameters": ARGUMENTS_MAX + 1}),
    ("B118", {"captures": -1}),
    ("B118", {"captures": 1 << 70}),
    ("B118", {"captures": 4}),
    ("B119", {"instructions": ()}),
    ("B101", {"instructions": ((99, 1),)}),
    ("B101", {"instructions": ((),)}),
    ("B102", {"instructions": ((Op.return_,),)}),
    ("B102", {"instructions": ((Op.return_, 0, 0),)}),
    ("B102", {"instructions": ((Op.return_, "0"),)}),
    ("B102", {"instructions": ((Op.return_, False),)}),
    ("B102", {"instructions": ((Op.vector, 0, 0), (Op.return_, 0))}),
    ("B102", {"instructions": ((Op.integer, 0, 0.5), (Op.return_, 0))}),
    ("B112", {"instructions": ((Op.region, 0, 99, 0, 0), (Op.return_, 0))}),
    ("B121", {"spans": (None,)}),
    ("B121", {"locals": (LocalName("x", 4, 0, 1),)}),
    ("B121", {"locals": (LocalName("x", 0, 0, 9),)}),
]


@pytest.mark.parametrize(("fault", "changes"), HEADERS)
def test_refuses_what_no_text_can_say(fault: str, changes: dict[str, Any]) -> None:
    code = dataclasses.replace(body("nil r1\n return r0"), **changes)
    with pytest.raises(FlowmetalError) as raised:
        verify_code(code, SCOPE)
    assert raised.value.code == fault


def module_of(bodies: list[tuple[int, bool, int]], functions: list[tuple[int, ...]]) -> Module:
    """A module whose codes have these parameters, variadic, captures, and whose functions have these codes."""
    module = Module("test")
    for parameters, variadic, captures in bodies:
        module.codes.append(Code("test/f", parameters, variadic, captures, False, 8, ((Op.nil, 7), (Op.return_, 7))))
    module.functions.extend(Function("test/f", row) for row in functions)
    return module


def test_functions() -> None:
    bodies = [(0, False, 1), (2, False, 1), (2, True, 1), (0, False, 0)]
    verify_module(module_of(bodies, [(0, 1, 2), (3,)]))
    for functions in ([()], [(0, 4)], [(-1,)], [(1, 0)], [(2, 1)], [(0, 3)], [(0, 0)], [(0,), (0,)]):
        with pytest.raises(FlowmetalError) as raised:
            verify_module(module_of(bodies, functions))
        assert raised.value.code == "B120"


def nested(depth: int, opening: str, closing: str) -> str:
    opened = [opening.format(level=level) for level in range(depth)]
    closed = [closing.format(level=level) for level in reversed(range(depth))]
    return "\n".join([*opened, "nil r1", *closed, "return r0"])


def test_nesting_limit() -> None:
    loops = "h{level}: loop", "jump_if_true r0 o{level}\n jump_back h{level}\n o{level}:"
    tries = "s{level}: nil r1", "nil r1\n e{level}: nil r2"
    for opening, closing in (loops, tries):
        for depth in (NESTING_MAX, NESTING_MAX + 1):
            rows = [f".try catch s{level} e{level} e{level} r3" for level in reversed(range(depth))]
            text = "\n".join(rows if opening is tries[0] else []) + "\n" + nested(depth, opening, closing)
            if depth > NESTING_MAX:
                with pytest.raises(FlowmetalError) as raised:
                    verify_code(body(text), SCOPE)
                assert raised.value.code == "B117"
            else:
                verify_code(body(text), SCOPE)


def test_linear_time() -> None:
    """The largest body with the most registers, every instruction a join: seconds, not minutes."""
    count = INSTRUCTIONS_MAX - 1
    rows = [(Op.jump_if_true, 0, index + 2) for index in range(count - 1)]
    instructions = (*rows, (Op.nil, 1), (Op.return_, 0))
    tries = tuple(Try(index, index + 1, count, 1, "catch") for index in range(0, count - 1, 8))
    code = Code("test", REGISTERS_MAX - 1, False, 0, False, REGISTERS_MAX, instructions, tries)
    with pytest.raises(FlowmetalError):
        verify_code(code, SCOPE)  # more parameters than a call has
    code.parameters, code.captures = 1, REGISTERS_MAX - 2
    start = time.process_time()
    verify_code(code, SCOPE)
    assert time.process_time() - start < 20
