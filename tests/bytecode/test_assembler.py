"""The text form: what the disassembler writes assembles back, and bad text is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.bytecode.assemble import assemble, assemble_all
from flowmetal.bytecode.disassemble import disassemble, disassemble_module
from flowmetal.bytecode.opcodes import OPCODES, REGION_KINDS, Operand
from flowmetal.bytecode.program import Code, LocalName
from flowmetal.diagnostics import FlowmetalError, Span

from .generated import codes
from .samples import lib
from .test_fmc import assert_same_code


@given(codes())
def test_round_trip(code: Code) -> None:
    assert_same_code(assemble(disassemble(code)), code)


@given(st.text(), st.text(), st.text(min_size=1))
def test_round_trip_of_names(name: str, local: str, file: str) -> None:
    spans = (Span(file, 1, 2, 3, 4), None)
    code = Code(name, 0, True, 2, True, 9, ((1, 0), (26, 0)), (), (LocalName(local, 3, 0, 2),), spans)
    code.index = 12
    again = assemble(disassemble(code))
    assert_same_code(again, code)
    assert again.index == 12


def test_every_instruction() -> None:
    examples = {Operand.REGISTERS: (3, 0), Operand.INTEGER: -7, Operand.LABEL: 1, Operand.BACK: 1}
    regions = iter([*REGION_KINDS] * len(OPCODES))
    instructions = tuple(
        (
            opcode.number,
            *(
                next(regions) if kind is Operand.REGION else examples.get(kind, place)
                for place, kind in enumerate(opcode.operands)
            ),
        )
        for opcode in OPCODES
    )
    code = Code("all", 0, False, 0, False, 9, instructions)
    assert_same_code(assemble(disassemble(code)), code)


def test_a_module_assembles_back() -> None:
    module = lib()
    text = disassemble_module(module)
    for one, other in zip(assemble_all(text), module.codes, strict=True):
        assert_same_code(one, other)


def test_module_text() -> None:
    text = disassemble_module(lib())
    for part in (
        "; module lib\n",
        "; may perform http/get in lib/adder at lib.fm:7:1\n",
        "; global adder private\n",
        "; global later unbound\n",
        "; global tagged macro\n",
        "; function f1 lib/adder, codes 2 3, performs http/get log, open\n",
        '.code "lib/increment"\n',
        "  ; lib.fm:1  (defn increment [x]\n",
        "    add_integer       r1 r0 1 @1:1-1:9\n",
        "    constant          r2 k0                          ; :a/b\n",
        '    constant          r3 k1                          ; [1 "two" [x/y 2.5]]\n',
        "    global            r2 g0                          ; lib/routes\n",
        "    closure           r1 f2 (r0)                     ; lib/adder/fn@3\n",
    ):
        assert part in text, part


def test_text_of_unverified_code() -> None:
    """Code that has not passed the verifier can be looked at; indexes out of range have no meaning beside them."""
    rows = ((5, 7, 99), (7, 0, -1), (9, 0, 99, ()), (5, 0, -1))
    code = Code("bad", 0, False, 0, False, 1, rows)
    assert ";" not in disassemble(code, lib())
    assert_same_code(assemble(disassemble(code, lib())), code)
    code.instructions = ((20, 99),)
    assert "L99" in disassemble(code, lib())


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, ""),
        (1, "nil r1"),
        (1, ".code name"),
        (1, '.code "a" more'),
        (1, '.code "a'),
        (2, '.code "a"\nnothing r1'),
        (2, '.code "a"\nnil'),
        (2, '.code "a"\nnil 1'),
        (2, '.code "a"\nnil r1 r2'),
        (2, '.code "a"\nnil rx'),
        (2, '.code "a"\nnil r99999999999'),
        (2, '.code "a"\nvector r1 r2'),
        (2, '.code "a"\nvector r1 (r2'),
        (2, '.code "a"\njump nowhere'),
        (2, '.code "a"\njump 3'),
        (3, '.code "a"\nx:\nx:'),
        (2, '.code "a"\n.tries'),
        (2, '.code "a"\n.registers'),
        (2, '.code "a"\n.registers many'),
        (2, '.code "a"\n.try catch a b c r1'),
        (2, '.code "a"\nregion r1 nowhere r1 r1'),
        (2, '.code "a"\nreturn r0 @1:2'),
        (2, '.code "a"\n.local x r1 a b'),
        (1, '.code "a"\n.code "b"'),
    ],
)
def test_bad_text(line: int, text: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        assemble(text)
    assert (raised.value.code, raised.value.facts["line"]) == ("B401", line)


@given(st.text(alphabet='.code "\n\\abrkgf01:;()@-xé', max_size=60))
def test_any_text(text: str) -> None:
    for whole in (text, '.code "a"\n' + text):
        try:
            assemble_all(whole)
        except FlowmetalError as error:
            assert error.code == "B401"
