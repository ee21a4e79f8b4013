"""Random structured codes: statements, branches, loops and tries nested in each other, as a compiler emits them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code, Try
from flowmetal.diagnostics import Span

REGISTERS = 6

_register = st.integers(0, REGISTERS - 1)
_registers = st.lists(_register, max_size=4).map(tuple)
_statement = st.one_of(
    st.tuples(st.just(Op.nil), _register),
    st.tuples(st.just(Op.integer), _register, st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(Op.move), _register, _register),
    st.tuples(st.just(Op.add), _register, _register, _register),
    st.tuples(st.just(Op.call), _register, _register, _registers),
    st.tuples(st.just(Op.vector), _register, _registers),
    st.tuples(st.just(Op.perform), _register, _register, _register, _register),
).map(lambda instruction: ("plain", instruction))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    block = st.lists(inner, max_size=4)
    return st.one_of(
        st.tuples(st.just("if"), _register, block, block),
        st.tuples(st.just("loop"), block, _register),
        st.tuples(st.just("try"), block, block, _register, st.sampled_from(["catch", "finally"])),
        st.tuples(st.just("leave"), st.sampled_from([Op.throw, Op.return_]), _register),
    )


blocks = st.lists(st.recursive(_statement, _nested, max_leaves=25), max_size=8)


@st.composite
def codes(draw: st.DrawFn) -> Code:
    """A code that passes the verifier: every register is written at its start."""
    emitter = _Emitter()
    for register in range(1, REGISTERS):
        emitter.add((Op.nil, register))
    emitter.block(draw(blocks))
    emitter.add((Op.return_, draw(_register)))
    spans = tuple(Span("generated.fm", index + 1, 1, index + 1, 9) for index in range(len(emitter.instructions)))
    return Code(
        "generated/code",
        1,
        False,
        0,
        False,
        REGISTERS,
        tuple(emitter.instructions),
        tuple(emitter.tries),
        spans=draw(st.sampled_from([spans, ()])),
    )


class _Emitter:
    def __init__(self) -> None:
        self.instructions: list[Any] = []
        self.tries: list[Try] = []

    def add(self, instruction: Any) -> int:
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def patch(self, index: int) -> None:
        self.instructions[index] = (*self.instructions[index][:-1], len(self.instructions))

    def block(self, statements: list[Any]) -> None:
        for statement in statements:
            getattr(self, statement[0] + "_")(*statement[1:])

    def plain_(self, instruction: Any) -> None:
        self.add(instruction)

    def leave_(self, number: int, register: int) -> None:
        skip = self.add((Op.jump_if_true, register, None))
        self.add((number, register))
        self.patch(skip)

    def if_(self, register: int, then: list[Any], otherwise: list[Any]) -> None:
        test = self.add((Op.jump_if_false, register, None))
        self.block(then)
        leave = self.add((Op.jump, None))
        self.patch(test)
        self.block(otherwise)
        self.patch(leave)

    def loop_(self, body: list[Any], register: int) -> None:
        head = self.add((Op.loop,))
        leave = self.add((Op.jump_if_false, register, None))
        self.block(body)
        self.add((Op.jump_back, head))
        self.patch(leave)

    def try_(self, body: list[Any], handler: list[Any], register: int, kind: str) -> None:
        start = len(self.instructions)
        self.block(body)
        end = len(self.instructions)
        self.add((Op.nil, register))
        leave = self.add((Op.jump, None))
        target = len(self.instructions)
        if start < end:
            self.tries.append(Try(start, end, target, register, kind))
        self.block(handler)
        self.patch(leave)
        self.add((Op.nil, register))
