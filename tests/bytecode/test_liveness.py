"""Liveness: hand examples, and on random structured codes exactly what a walk over all ways finds."""

from __future__ import annotations

import pytest
from hypothesis import given

from flowmetal.bytecode.assemble import assemble
from flowmetal.bytecode.liveness import live_after_call, live_in, live_retry
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES, jump_target, register_written, registers_read

from .generated import codes

LOOP = """
.code "loop"            ; r0 count, r1 function, r2 total
.parameters 3
.registers 6
loop_head:
    loop                ; 0
    integer r3 0        ; 1
    less r4 r3 r0       ; 2
    jump_if_false r4 out ; 3
    call r5 r1 (r0)     ; 4
    add r2 r2 r5        ; 5
    add_integer r0 r0 -1 ; 6
    jump_back loop_head ; 7
out:
    return r2           ; 8
"""

CATCH = """
.code "catch"           ; r0 function, r1 other, r2 fallback
.parameters 3
.registers 6
.try catch start end handler r5
start:
    call r3 r0 ()       ; 0
    call r4 r1 (r3)     ; 1
end:
    return r4           ; 2
handler:
    call r4 r2 (r5)     ; 3
    return r4           ; 4
"""

FINALLY = """
.code "finally"         ; r0 body, r1 clean
.parameters 2
.registers 5
.try finally start end clean r4
    nil r2              ; 0
start:
    call r2 r0 ()       ; 1
end:
    nil r4              ; 2
clean:
    call r3 r1 ()       ; 3
    end_finally r4      ; 4
    return r2           ; 5
"""

NESTED = """
.code "nested"          ; r0 body, r1 inner handler's, r2 outer handler's
.parameters 3
.registers 6
.try catch inner inner_end inner_catch r4
.try finally outer outer_end outer_finally r5
outer:
    move r3 r0          ; 0
inner:
    call r3 r3 ()       ; 1
inner_end:
    jump out            ; 2
inner_catch:
    call r3 r1 (r4)     ; 3
out:
    nil r5              ; 4
outer_end:
    nil r5              ; 5
outer_finally:
    call r4 r2 ()       ; 6
    end_finally r5      ; 7
    return r3           ; 8
"""


@pytest.mark.parametrize(
    ("text", "pc", "saved"),
    [
        (LOOP, 5, (0, 1, 2)),  # the function and both accumulators; not the temporaries, not the result
        (CATCH, 1, (1, 2)),  # the handler's fallback is needed if the call fails
        (CATCH, 2, (2,)),
        (CATCH, 4, ()),  # outside of the range nothing is
        (FINALLY, 2, (1, 2)),  # r2 may be read behind end_finally, for all the analysis knows
        (FINALLY, 4, (2, 4)),
        (NESTED, 2, (1, 2, 3)),  # r3: an error goes to `finally` by way of end_finally, where the result may be read
        (NESTED, 4, (2, 3)),
        (NESTED, 7, (3, 5)),
    ],
)
def test_after_call(text: str, pc: int, saved: tuple[int, ...]) -> None:
    assert live_after_call(assemble(text), pc) == saved


@pytest.mark.parametrize(
    ("text", "pc", "saved"),
    [
        (LOOP, 0, (0, 1, 2)),
        (LOOP, 7, (0, 1, 2)),
        (LOOP, 8, (2,)),
        (CATCH, 0, (0, 1, 2)),
        (CATCH, 1, (1, 2, 3)),
        (FINALLY, 0, (0, 1)),
        (FINALLY, 1, (0, 1, 2)),
    ],
)
def test_retry(text: str, pc: int, saved: tuple[int, ...]) -> None:
    assert live_retry(assemble(text), pc) == saved


def test_nested_loops_need_a_pass_each() -> None:
    depth = 12
    lines = ['.code "deep"', ".parameters 2", f".registers {depth + 2}"]
    lines += [f"head{level}: loop\n jump_if_false r0 out{level}\n integer r{level + 2} 1" for level in range(depth)]
    lines.append("call r0 r1 ()")
    # A register that only the outermost loop's beginning reads is live down to the innermost back edge.
    lines += [f"jump_back head{level}\n out{level}:" for level in reversed(range(depth))]
    lines.append("return r0")
    code = assemble("\n".join(lines))
    masks = live_in(code)
    assert all(mask & 2 for mask in masks[:-1])
    assert not masks[-1] & 2


def ways(code: Code, index: int) -> list[int]:
    """The instructions that may run right after `index`."""
    instruction = code.instructions[index]
    found = [] if SHAPES[instruction[0]].ends else [index + 1]
    target = jump_target(instruction)
    return found if target is None else [*found, target]


def read_later(code: Code) -> list[set[int]]:
    """The reference: for each instruction the registers that some walk from it reads before it writes them."""
    needs: list[set[int]] = [set() for _ in code.instructions]
    for register in range(code.registers):
        changed = True
        while changed:
            changed = False
            for index, instruction in enumerate(code.instructions):
                if register in needs[index]:
                    continue
                found = register in registers_read(instruction)
                if register_written(instruction) != register:
                    found = found or any(register in needs[way] for way in ways(code, index))
                for row in code.tries:
                    if row.start <= index < row.end and row.register != register:
                        found = found or register in needs[row.target]
                if found:
                    needs[index].add(register)
                    changed = True
    return needs


@given(codes())
def test_live_is_what_is_read_later(code: Code) -> None:
    expected = read_later(code)
    masks = live_in(code)
    assert [{register for register in range(code.registers) if mask >> register & 1} for mask in masks] == expected
    for pc in range(1, len(code.instructions)):
        if SHAPES[code.instructions[pc - 1][0]].ends:
            continue
        saved = set(live_after_call(code, pc))
        assert expected[pc] - {register_written(code.instructions[pc - 1])} <= saved
        for row in code.tries:
            if row.start <= pc - 1 < row.end:
                assert expected[row.target] - {row.register} <= saved
