"""The opcode table: what has shipped stays as it is, and the generated page is current."""

from __future__ import annotations

from keyword import iskeyword
from pathlib import Path

from flowmetal.bytecode.document import document
from flowmetal.bytecode.opcodes import BY_NAME, BY_NUMBER, MACHINE_VERSION, OPCODES, REGION_KINDS, Op, Operand

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "tests" / "golden" / "opcodes.lock"


def lock() -> str:
    """What a change to the table must not change without a thought: rows are added, none is changed or removed.

    After adding rows raise MACHINE_VERSION and write what this gives to the lock file.
    """
    lines = [f"machine {MACHINE_VERSION}"]
    for opcode in sorted(OPCODES, key=lambda opcode: opcode.number):
        flags = [flag for flag in ("ends", "suspends", "raises") if getattr(opcode, flag)]
        lines.append(" ".join([str(opcode.number), opcode.name, *(kind.name for kind in opcode.operands), *flags]))
    lines += [f"region {number} {name}" for number, (name, _) in sorted(REGION_KINDS.items())]
    return "\n".join(lines) + "\n"


def test_lock() -> None:
    assert lock() == LOCK.read_text()


def test_page_is_current() -> None:
    assert document() == (ROOT / "docs" / "bytecode.md").read_text()


def test_numbers_and_names_are_unique() -> None:
    assert len(BY_NUMBER) == len(BY_NAME) == len(OPCODES)
    assert all(0 < opcode.number < 128 for opcode in OPCODES)  # above is free for the machine's own


def test_op_has_every_mnemonic() -> None:
    for opcode in OPCODES:
        assert getattr(Op, opcode.name + "_" if iskeyword(opcode.name) else opcode.name) == opcode.number
    assert not hasattr(Op, "no_such_instruction")


def test_what_writes_writes_first() -> None:
    for opcode in OPCODES:
        assert Operand.WRITE not in opcode.operands[1:]
        assert opcode.doc.endswith(".")
